//! Whether a Redis can be used: version, eviction, memory, persistence, replicas.
//!
//! Source: design §5.5, §5.13, §5.14. All of it comes from `INFO`, which an operator may grant alone: `CONFIG` may be denied.
//! Here is what is made of the text; asking for it is `server`'s.

use super::super::Durability;
use crate::Error;

/// What the servers say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// What may lose data or end badly, one line each.
    pub(super) warnings: Vec<String>,
    /// Each primary has a replica now.
    pub(super) has_replicas: bool,
    /// One has none now and was a replica itself before: those that it had in common are away, not missing.
    pub(super) is_bereft: bool,
    /// All servers can be waited for until their replicas have written to disk.
    pub(super) waits_for_disk: bool,
}

/// Reads the `INFO` of each primary. Errors: `Unfit` for one that cannot work.
pub(super) fn findings(infos: &[String]) -> Result<Findings, Error> {
    let mut all = Findings {
        warnings: Vec::new(),
        has_replicas: !infos.is_empty(),
        is_bereft: false,
        waits_for_disk: !infos.is_empty(),
    };
    for info in infos {
        let info = Info(info);
        info.check()?;
        for warning in info.warnings() {
            if !all.warnings.contains(&warning) {
                all.warnings.push(warning);
            }
        }
        let has_replicas = info.has_replica();
        all.has_replicas &= has_replicas;
        all.is_bereft |= !has_replicas && info.was_replica();
        all.waits_for_disk &= info.version().is_some_and(|it| it >= (7, 2));
    }
    Ok(all)
}

impl Findings {
    /// The durability that was asked for, or the one that fits. Errors: `Unfit` where no server of this version has it.
    pub(super) fn durability(&self, asked: Option<Durability>) -> Result<Durability, Error> {
        match asked {
            Some(Durability::ReplicaFsync) if !self.waits_for_disk => Err(Error::Unfit(
                "durability = \"replica-fsync\" needs redis 7.2 or newer: use \"replica\""
                    .to_owned(),
            )),
            Some(durability) => Ok(durability),
            None if self.has_replicas || self.is_bereft => Ok(Durability::Replica),
            None => Ok(Durability::Primary),
        }
    }
}

/// The text that `INFO` answers.
#[derive(Clone, Copy)]
pub(in crate::redis) struct Info<'a>(pub(in crate::redis) &'a str);

impl<'a> Info<'a> {
    /// Whether a replica follows it: one that is still being given a copy may be a backup, which goes again.
    fn has_replica(self) -> bool {
        let mut lines = self.0.lines();
        lines.any(|line| line.starts_with("slave") && line.contains(",state=online,"))
    }

    fn field(self, name: &str) -> Option<&'a str> {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim())
    }

    pub(in crate::redis) fn number(self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    /// Major and minor version.
    fn version(self) -> Option<(u32, u32)> {
        let mut parts = self.field("redis_version")?.split('.');
        let major = parts.next()?.parse().ok()?;
        Some((major, parts.next()?.parse().ok()?))
    }

    /// A primary that took over remembers up to where it was the other's history.
    fn was_replica(self) -> bool {
        let offset = self.field("second_repl_offset");
        offset.is_some_and(|offset| offset != "-1")
    }

    fn check(self) -> Result<(), Error> {
        if self.version().is_some_and(|version| version < (7, 0)) {
            return Err(Error::Unfit("redis 7.0 or newer is needed".to_owned()));
        }
        match self.field("maxmemory_policy") {
            Some(policy) if policy != "noeviction" => Err(Error::Unfit(format!(
                "this redis throws keys away when it is full: set maxmemory-policy to noeviction, not {policy}"
            ))),
            _ => Ok(()),
        }
    }

    fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.number("maxmemory") == Some(0) {
            warnings.push(
                "maxmemory of this redis is 0: it grows until the system kills it; set a bound"
                    .to_owned(),
            );
        }
        if self.number("aof_enabled") == Some(0) {
            warnings.push(
                "this redis keeps no append-only file: what is newest is lost when it is restarted; set appendonly yes"
                    .to_owned(),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn info(version: &str, policy: &str, more: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory_policy:{policy}\r\n{more}"
        )
    }

    #[test]
    fn a_redis_that_evicts_or_is_old_is_refused() {
        let of = |version, policy| findings(&[info(version, policy, "")]);
        assert!(of("7.0.15", "noeviction").is_ok());
        let refused = of("7.0.15", "allkeys-lru").unwrap_err();
        assert!(refused.to_string().contains("noeviction"), "{refused}");
        assert!(of("6.2.14", "noeviction").is_err());
        assert!(findings(&[String::new()]).is_ok());
        // One of a cluster is enough.
        let both = [
            info("7.0.15", "noeviction", ""),
            info("7.0.15", "volatile-ttl", ""),
        ];
        assert!(findings(&both).is_err());
    }

    #[test]
    fn what_loses_data_is_warned_of_once() {
        let careless = info("7.0.15", "noeviction", "maxmemory:0\r\naof_enabled:0\r\n");
        let found = findings(&[careless.clone(), careless]).unwrap();
        assert_eq!(found.warnings.len(), 2, "{found:?}");
        let careful = info(
            "7.0.15",
            "noeviction",
            "maxmemory:1000\r\naof_enabled:1\r\n",
        );
        assert_eq!(findings(&[careful]).unwrap().warnings, [""; 0]);
    }

    fn replicas(count: u32, state: &str) -> String {
        let one = |n| format!("slave{n}:ip=127.0.0.1,port=6379,state={state},offset=1,lag=0\r\n");
        let lines: String = (0..count).map(one).collect();
        format!("connected_slaves:{count}\r\n{lines}")
    }

    /// A backup by `redis-cli --rdb` is such a one: who waited for it would wait for ever once it is gone.
    #[test]
    fn what_is_given_a_copy_is_no_replica_yet() {
        let copied = info("7.0.15", "noeviction", &replicas(1, "send_bulk"));
        assert!(!findings(&[copied]).unwrap().has_replicas);
    }

    #[test]
    fn the_durability_follows_the_replicas() {
        let of = |slaves: &[u32], asked| {
            let infos: Vec<_> = slaves
                .iter()
                .map(|count| info("7.0.15", "noeviction", &replicas(*count, "online")))
                .collect();
            findings(&infos).unwrap().durability(asked)
        };
        assert_eq!(of(&[0], None), Ok(Durability::Primary));
        // It took over a moment ago, and the one that it took over from is not back yet.
        let took_over = |offset: &str| {
            let more = format!("connected_slaves:0\r\nsecond_repl_offset:{offset}\r\n");
            let found = findings(&[info("7.0.15", "noeviction", &more)]);
            found.unwrap().durability(None)
        };
        assert_eq!(took_over("1234"), Ok(Durability::Replica));
        assert_eq!(took_over("-1"), Ok(Durability::Primary));
        assert_eq!(of(&[1], None), Ok(Durability::Replica));
        assert_eq!(of(&[2, 0, 1], None), Ok(Durability::Primary));
        assert_eq!(of(&[], None), Ok(Durability::Primary));
        assert_eq!(of(&[0], Some(Durability::Replica)), Ok(Durability::Replica));
        assert_eq!(of(&[1], Some(Durability::Primary)), Ok(Durability::Primary));
        assert!(of(&[1], Some(Durability::ReplicaFsync)).is_err());
        let newer = info("7.2.0", "noeviction", &replicas(1, "online"));
        let newer = findings(&[newer]).unwrap();
        let fsync = Durability::ReplicaFsync;
        assert_eq!(newer.durability(Some(fsync)), Ok(fsync));
    }
}
