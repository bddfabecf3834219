//! Identifiers and numbers of the store: newtypes without behaviour.
//!
//! Whoever computes them (shard of a name, stable ids, process ids) lives elsewhere; the store only compares them.

use std::fmt;

use smol_str::SmolStr;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

number! {
    /// One of a fixed number (default 1024) of slices of all channels: the unit of ownership.
    ShardId(u16)
}
number! {
    /// Number of an ownership of a shard; each new owner gets a higher one (design: invariant I1).
    Epoch(u64)
}
number! {
    /// Number of a commit of a shard: counts by one over all owners. The first commit of a shard is 1.
    CommitNumber(u64)
}
number! {
    /// Number of a committed event of a channel, without gaps. The first event is 1; 0 means "none yet".
    Sequence(u64)
}
number! {
    /// A moment, in milliseconds since the Unix epoch.
    Timestamp(u64)
}
number! {
    /// Numbers the leases of a connection: each new holder's is higher (design §5.9). 0 where there are no leases: in one
    /// process.
    LeaseNumber(u64)
}
number! {
    /// A process, drawn at its start (design §5.1): operations and their outcomes belong to it, links lead to it.
    ProcessId(u128)
}
number! {
    /// Random id of one session of a process with the store: owners of shards are named by it.
    SessionId(u128)
}
number! {
    /// Random id of a store, drawn when it is created: an emptied or exchanged store shows by it.
    StoreId(u128)
}

impl SessionId {
    /// A fresh one.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::random::number())
    }
}

impl ProcessId {
    /// A fresh one.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::random::number())
    }
}

impl Sequence {
    /// The sequence after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl CommitNumber {
    /// The commit number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Name of a channel: `local` within `space`, both already normalised by the caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey {
    /// The space (one domain or a mirrored pair).
    pub space: SmolStr,
    /// The localpart.
    pub local: SmolStr,
}

impl ChannelKey {
    /// The channel `local` in `space`.
    pub fn new(space: impl Into<SmolStr>, local: impl Into<SmolStr>) -> Self {
        Self {
            space: space.into(),
            local: local.into(),
        }
    }
}

impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.local)
    }
}

/// Name of one XEP-0114 stream: group, server node and slot, in the caller's own writing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub SmolStr);

/// The stable id of who sent an archived message: 160 bits (XEP-0421 occupant-id = MIX participant id).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderId(pub [u8; 20]);

impl fmt::Debug for SenderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SenderId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Who owns a shard: the token that each commit is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Number of this ownership.
    pub epoch: Epoch,
    /// The session that claimed the shard.
    pub session: SessionId,
}
