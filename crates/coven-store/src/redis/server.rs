//! Connections to Redis, and what is made of its errors.
//!
//! One connection is used by everybody, in order; it is made anew when it breaks or leads to what is no primary any more.
//! What was sent on a broken one is not sent again: whether it was done is not known, and who asked has to find out.

mod target;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::sync::Mutex;
use tracing::warn;

pub(super) use self::target::Target;
use super::keys::Keys;
use super::value::text;
use super::{Durability, Options};
use crate::{Error, ShardId, StoreId};

/// How long an answer may take (crates' default is half a second, which a short stall already exceeds).
const PATIENCE: Duration = Duration::from_secs(10);
/// How long `WAIT` waits for a replica.
const REPLICA_MS: u64 = 1_000;
/// What the value of the store's own key begins with.
const FORMAT: &str = "coven1";

/// Where commands go.
#[derive(Clone, Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    options: Options,
    link: Mutex<Linked>,
}

#[derive(Debug, Default)]
struct Linked {
    /// Counts connections, so that only the one that broke is given up.
    number: u64,
    link: Option<Link>,
}

/// An open connection.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To all primaries of a cluster.
    Many(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Many(_) => "Many",
        })
    }
}

/// Commands for the slot of one shard.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) shard: ShardId,
    pub(super) commands: Vec<Cmd>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There is no connection: nothing was sent.
    Unreachable(String),
    /// The connection broke: not known what was done.
    Lost(String),
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(why) => Self::Io(format!("redis cannot be reached: {why}")),
            Trouble::Lost(why) => Self::Unknown(format!("the connection to redis broke: {why}")),
        }
    }
}

/// Answers of one batch: a refusal of the server stands in for a single command's answer.
pub(super) type Answers = Result<Vec<RedisResult<Value>>, Trouble>;

impl Server {
    /// Connects and looks whether this Redis can be used.
    pub(super) async fn open(target: Target, options: Options) -> Result<(Self, StoreId), Error> {
        let server = Self {
            shared: Arc::new(Shared {
                target,
                options,
                link: Mutex::default(),
            }),
        };
        server.look().await?;
        let identity = server.identity().await?;
        Ok((server, identity))
    }

    /// Whether commands of different shards may go to different servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.shared.target, Target::Cluster(_))
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The keys of a shard.
    pub(super) fn keys(&self, shard: ShardId) -> Keys {
        Keys::new(&self.shared.options.prefix, shard)
    }

    /// Whether there is a connection, made now if there is none.
    pub(super) async fn connect(&self) -> Result<(), Trouble> {
        self.link().await.map(|_| ())
    }

    /// Sends all batches at once; each gets its answers.
    pub(super) async fn run(&self, batches: &[Batch]) -> Vec<Answers> {
        match self.link().await {
            Ok((number, Link::One(link))) => self.run_on_one(number, link, batches).await,
            Ok((number, Link::Many(link))) => self.run_on_many(number, &link, batches).await,
            Err(trouble) => batches.iter().map(|_| Err(trouble.clone())).collect(),
        }
    }

    /// The answers to commands of one shard, none of which may be refused.
    pub(super) async fn ask(
        &self,
        shard: ShardId,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>, Error> {
        let mut answers = self.run(&[Batch { shard, commands }]).await;
        let answers = answers.pop().unwrap_or_else(|| Ok(Vec::new()));
        // Reading changes nothing: there is no doubt about what was done.
        let answers = answers.map_err(|trouble| match trouble {
            Trouble::Unreachable(why) | Trouble::Lost(why) => Error::Io(why),
        })?;
        answers
            .into_iter()
            .map(|answer| answer.map_err(|error| refusal(&error)))
            .collect()
    }

    /// The command that waits until what was written before it on this connection is durable; none where it is at once.
    pub(super) fn barrier(&self) -> Option<Cmd> {
        let mut cmd = match self.shared.options.durability {
            Durability::Primary => return None,
            Durability::Replica => redis::cmd("WAIT"),
            Durability::ReplicaFsync => {
                let mut cmd = redis::cmd("WAITAOF");
                cmd.arg(0);
                cmd
            }
        };
        cmd.arg(1).arg(REPLICA_MS);
        Some(cmd)
    }

    async fn run_on_one(
        &self,
        number: u64,
        mut link: MultiplexedConnection,
        batches: &[Batch],
    ) -> Vec<Answers> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        for command in batches.iter().flat_map(|batch| &batch.commands) {
            pipe.add_command(command.clone());
        }
        let all: RedisResult<Vec<RedisResult<Value>>> = pipe.query_async(&mut link).await;
        match all {
            Ok(answers) => {
                self.look_for_replica(number, &answers).await;
                let mut answers = answers.into_iter();
                let part =
                    |batch: &Batch| Ok(answers.by_ref().take(batch.commands.len()).collect());
                batches.iter().map(part).collect()
            }
            Err(error) => {
                self.give_up(number, &error).await;
                let trouble = Trouble::Lost(error.to_string());
                batches.iter().map(|_| Err(trouble.clone())).collect()
            }
        }
    }

    async fn run_on_many(
        &self,
        number: u64,
        link: &ClusterConnection,
        batches: &[Batch],
    ) -> Vec<Answers> {
        let each = batches.iter().map(|batch| {
            let mut link = link.clone();
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            for command in &batch.commands {
                pipe.add_command(command.clone());
            }
            async move { pipe.query_async::<Vec<RedisResult<Value>>>(&mut link).await }
        });
        let mut answers = Vec::with_capacity(batches.len());
        for all in futures_join(each).await {
            if let Err(error) = &all
                && error.is_unrecoverable_error()
            {
                self.give_up(number, error).await;
            }
            answers.push(all.map_err(|error| Trouble::Lost(error.to_string())));
        }
        answers
    }

    async fn link(&self) -> Result<(u64, Link), Trouble> {
        let mut linked = self.shared.link.lock().await;
        if let Some(link) = &linked.link {
            return Ok((linked.number, link.clone()));
        }
        let link = self.shared.target.connect(PATIENCE).await;
        let link = link.map_err(|error| Trouble::Unreachable(error.to_string()))?;
        linked.number += 1;
        linked.link = Some(link.clone());
        Ok((linked.number, link))
    }

    async fn give_up(&self, number: u64, error: &RedisError) {
        let mut linked = self.shared.link.lock().await;
        if linked.number == number && linked.link.take().is_some() {
            warn!(%error, "the connection to redis broke");
        }
    }

    /// A server that has become a replica, or is loading, is asked no more: the next connection finds the primary.
    async fn look_for_replica(&self, number: u64, answers: &[RedisResult<Value>]) {
        let moved = answers.iter().find_map(|answer| match answer {
            Err(error) if is_elsewhere(error) => Some(error),
            _ => None,
        });
        if let Some(error) = moved {
            self.give_up(number, error).await;
        }
    }

    /// Version and settings. What may not be asked is taken to be right.
    async fn look(&self) -> Result<(), Error> {
        let info = redis::cmd("INFO");
        let answers = self.ask(ShardId(0), vec![info]).await;
        let text = match answers {
            Ok(answers) => answers.first().map(text).unwrap_or_default(),
            Err(Error::Io(why)) => return Err(Error::Io(why)),
            Err(error) => {
                warn!(%error, "INFO is refused: version, eviction and persistence are not checked");
                return Ok(());
            }
        };
        check_info(&text)
    }

    async fn identity(&self) -> Result<StoreId, Error> {
        let options = &self.shared.options;
        let key = format!("{}:store", options.prefix);
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let found = self.ask(ShardId(0), vec![get.clone()]).await?;
        if matches!(found.first(), Some(Value::Nil)) {
            if options.must_exist {
                let prefix = &options.prefix;
                return Err(Error::Unfit(format!(
                    "there is no store with the prefix {prefix:?} in this redis, and must-exist = true"
                )));
            }
            let fresh = crate::random::store_id();
            let mut set = redis::cmd("SET");
            set.arg(&key)
                .arg(format!("{FORMAT}:{:032x}:{}", fresh.0, options.shards))
                .arg("NX");
            self.ask(ShardId(0), vec![set]).await?;
        }
        let found = self.ask(ShardId(0), vec![get]).await?;
        identity(&found.first().map(text).unwrap_or_default(), options.shards)
    }
}

/// Runs futures side by side, and answers in their order.
async fn futures_join<T>(
    each: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T>
where
    T: Send + 'static,
{
    let tasks: Vec<_> = each.map(tokio::spawn).collect();
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(answer) => all.push(answer),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    all
}

fn identity(value: &str, shards: u16) -> Result<StoreId, Error> {
    let unfit = |why: String| Err(Error::Unfit(why));
    let mut parts = value.split(':');
    if parts.next() != Some(FORMAT) {
        return unfit(format!(
            "{value:?} is not the mark of a store that this version knows"
        ));
    }
    let id = parts
        .next()
        .and_then(|id| u128::from_str_radix(id, 16).ok());
    let made_with = parts.next().and_then(|shards| shards.parse::<u16>().ok());
    match (id, made_with) {
        (Some(id), Some(stored)) if stored == shards => Ok(StoreId(id)),
        (Some(_), Some(stored)) => unfit(format!("it was made with {stored} shards, not {shards}")),
        _ => unfit(format!("{value:?} is not the mark of a store")),
    }
}

/// Refuses what cannot work, warns of what loses data (design §5.13, §5.14).
fn check_info(info: &str) -> Result<(), Error> {
    let field = |name: &str| {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let major =
        field("redis_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major < 7) {
        return Err(Error::Unfit("redis 7.0 or newer is needed".to_owned()));
    }
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        return Err(Error::Unfit(format!(
            "this redis evicts keys: set maxmemory-policy to noeviction, not {policy}"
        )));
    }
    if field("maxmemory") == Some("0") {
        warn!("maxmemory of this redis is 0: it grows until the system kills it");
    }
    if field("aof_enabled") == Some("0") && field("connected_slaves") == Some("0") {
        warn!(
            "this redis has no append-only file and no replica: a restart of it loses what is newest"
        );
    }
    Ok(())
}

/// The server does not take commands now, or is not the right one.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    matches!(code, "READONLY" | "LOADING" | "MASTERDOWN" | "UNKILLABLE")
}

/// What a refusal of the server means: nothing was done.
pub(super) fn refusal(error: &RedisError) -> Error {
    match error.code().unwrap_or_default() {
        "OOM" => Error::Full("the memory of redis is used up: maxmemory".to_owned()),
        "READONLY" | "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" | "NOREPLICAS"
        | "BUSY" | "NOSCRIPT" | "MISCONF" => Error::Io(error.to_string()),
        "NOPERM" | "NOAUTH" => Error::Io(format!("redis does not allow it: {error}")),
        _ => Error::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_redis_that_evicts_is_refused() {
        let info = |policy: &str| {
            format!(
                "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:{policy}\r\n"
            )
        };
        assert!(check_info(&info("noeviction")).is_ok());
        let refused = check_info(&info("allkeys-lru")).unwrap_err();
        assert!(refused.to_string().contains("noeviction"), "{refused}");
        assert!(check_info("redis_version:6.2.14\r\n").is_err());
        assert!(check_info("").is_ok());
    }

    #[test]
    fn the_number_of_shards_is_part_of_the_mark() {
        assert_eq!(identity("coven1:00ff:1024", 1024), Ok(StoreId(255)));
        assert!(identity("coven1:00ff:1024", 512).is_err());
        assert!(identity("hello", 1024).is_err());
    }
}
