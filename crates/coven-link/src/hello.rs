//! The first frame of each side: who is there, and which version both speak (pure).

use crate::Broken;
use crate::convert::{process_from, process_to};
use coven_cluster::ProcessId;
use coven_proto::wire::link as wire;
use std::ops::RangeInclusive;

/// The versions of this protocol that this build speaks: its own and the one before, once there is one (docs/links.md).
pub const VERSIONS: RangeInclusive<u32> = 1..=1;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It holds streams to servers.
    Front,
    /// It runs channels.
    Node,
}

impl Role {
    /// The DNS name that its certificate carries.
    #[must_use]
    pub const fn certificate_name(self) -> &'static str {
        match self {
            Self::Front => "front.coven",
            Self::Node => "node.coven",
        }
    }

    const fn to_wire(self) -> wire::Role {
        match self {
            Self::Front => wire::Role::Front,
            Self::Node => wire::Role::Node,
        }
    }

    fn from_wire(role: wire::Role) -> Result<Self, Broken> {
        match role {
            wire::Role::Front => Ok(Self::Front),
            wire::Role::Node => Ok(Self::Node),
            wire::Role::Unknown => Err(Broken::Refused("a peer without a role".into())),
        }
    }
}

/// How this process names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Drawn at its start.
    pub process: ProcessId,
    /// What it does.
    pub role: Role,
    /// The versions of the protocol that it speaks: [`VERSIONS`], but in tests.
    pub versions: RangeInclusive<u32>,
    /// The formats of events and snapshots that it reads.
    pub formats: RangeInclusive<u32>,
    /// The cluster that it belongs to; a link to another is refused.
    pub cluster: String,
    /// Into how many shards that is cut.
    pub shards: u16,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The process.
    pub process: ProcessId,
    /// What it does.
    pub role: Role,
    /// The version that both speak from now on.
    pub version: u32,
    /// The formats that it reads.
    pub formats: RangeInclusive<u32>,
}

impl Me {
    /// The front-end's hello to the process that is meant, if a certain one is: all versions it speaks.
    pub(crate) fn hello(&self, meant: Option<ProcessId>) -> wire::Hello {
        wire::Hello {
            oldest_version: *self.versions.start(),
            newest_version: *self.versions.end(),
            process: process_to(self.process.0),
            role: self.role.to_wire().into(),
            oldest_format: *self.formats.start(),
            newest_format: *self.formats.end(),
            cluster: self.cluster.clone(),
            shards: self.shards.into(),
            meant: meant.map(|it| process_to(it.0)).unwrap_or_default(),
        }
    }

    /// The node's answer: the version that was chosen.
    pub(crate) fn answer(&self, version: u32) -> wire::Hello {
        wire::Hello {
            oldest_version: version,
            newest_version: version,
            ..self.hello(None)
        }
    }

    /// Who is there.
    ///
    /// Errors: it is of another cluster, not of that role, speaks no version that we speak, or reads no format that we read:
    /// it could take nothing of what is stored. Or it means another process than this one.
    pub(crate) fn meets(&self, hello: &wire::Hello, role: Role) -> Result<Peer, Broken> {
        let process =
            process_from(&hello.process).map_err(|error| Broken::Malformed(error.to_string()))?;
        if !hello.meant.is_empty() && hello.meant != process_to(self.process.0) {
            return Err(Broken::OtherProcess);
        }
        let theirs = Role::from_wire(hello.role())?;
        if theirs != role {
            return Err(refused(format!("a peer that is no {role:?}")));
        }
        if hello.cluster != self.cluster {
            return Err(refused(format!("a peer of cluster {:?}", hello.cluster)));
        }
        if hello.shards != u32::from(self.shards) {
            return Err(refused(format!("a peer with {} shards", hello.shards)));
        }
        if hello.oldest_format > *self.formats.end() || hello.newest_format < *self.formats.start()
        {
            let (oldest, newest) = (hello.oldest_format, hello.newest_format);
            return Err(refused(format!("a peer of formats {oldest} to {newest}")));
        }
        Ok(Peer {
            process: ProcessId(process),
            role,
            version: self.common(hello)?,
            formats: hello.oldest_format..=hello.newest_format,
        })
    }

    /// The highest version that both speak.
    fn common(&self, hello: &wire::Hello) -> Result<u32, Broken> {
        let newest = hello.newest_version.min(*self.versions.end());
        let oldest = hello.oldest_version.max(*self.versions.start());
        if newest < oldest {
            return Err(refused(format!(
                "a peer that speaks versions {} to {}; this one speaks {} to {}",
                hello.oldest_version,
                hello.newest_version,
                self.versions.start(),
                self.versions.end(),
            )));
        }
        Ok(newest)
    }
}

const fn refused(why: String) -> Broken {
    Broken::Refused(why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn me(role: Role, versions: RangeInclusive<u32>) -> Me {
        Me {
            process: ProcessId(7),
            role,
            versions,
            formats: 1..=1,
            cluster: "c".into(),
            shards: 16,
        }
    }

    #[test]
    fn the_highest_common_version_is_spoken_and_none_is_a_refusal() {
        for (ours, theirs, spoken) in [
            (1..=1, 1..=1, Some(1)),
            (1..=2, 2..=3, Some(2)),
            (2..=3, 1..=2, Some(2)),
            (3..=4, 1..=2, None),
            (1..=2, 3..=4, None),
        ] {
            let hello = me(Role::Front, theirs).hello(None);
            let met = me(Role::Node, ours).meets(&hello, Role::Front);
            assert_eq!(met.ok().map(|peer| peer.version), spoken);
        }
    }

    #[test]
    fn who_means_another_process_is_refused_and_who_means_none_is_not() {
        let (node, front) = (me(Role::Node, 1..=1), me(Role::Front, 1..=1));
        let met = |meant| node.meets(&front.hello(meant), Role::Front);
        assert!(met(None).is_ok() && met(Some(node.process)).is_ok());
        assert_eq!(met(Some(ProcessId(8))), Err(Broken::OtherProcess));
    }

    #[test]
    fn a_peer_of_another_cluster_role_or_number_of_shards_is_refused() {
        let node = me(Role::Node, 1..=1);
        let mut other = me(Role::Front, 1..=1);
        assert!(node.meets(&other.hello(None), Role::Node).is_err());
        other.shards = 17;
        assert!(node.meets(&other.hello(None), Role::Front).is_err());
        other.shards = 16;
        other.cluster = "d".into();
        assert!(node.meets(&other.hello(None), Role::Front).is_err());
        other.cluster = "c".into();
        other.formats = 2..=3;
        assert!(node.meets(&other.hello(None), Role::Front).is_err());
        other.formats = 1..=2;
        let peer = node.meets(&other.hello(None), Role::Front).unwrap();
        assert_eq!(peer.process, ProcessId(7));
    }
}
