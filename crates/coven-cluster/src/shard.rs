//! Shards: the unit of ownership. A channel's shard comes from its name alone (design §1).

use coven_core::ChannelName;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// How many shards there are unless the first start says otherwise.
pub const DEFAULT_SHARDS: u16 = 1024;

/// One of the fixed number of slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// First 8 bytes of SHA-256(space, NUL, localpart) as a big-endian number, modulo `shards`.
    #[must_use]
    pub fn of(name: &ChannelName, shards: u16) -> Self {
        let mut hash = Sha256::new();
        hash.update(name.space.as_bytes());
        hash.update([0]);
        hash.update(name.local.as_bytes());
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self(u16::try_from(number % u64::from(shards.max(1))).unwrap_or_default())
    }
}

/// A channel as links and tables name it: its name and shard, shared, cheap to clone and to compare.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<(ChannelName, ShardId)>);

impl Channel {
    /// The channel of this name.
    #[must_use]
    pub fn new(name: ChannelName, shards: u16) -> Self {
        let shard = ShardId::of(&name, shards);
        Self(Arc::new((name, shard)))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.0.0
    }

    /// Its shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.0.1
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name().space, self.name().local)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name().space, self.name().local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(space: &str, local: &str) -> u16 {
        ShardId::of(
            &ChannelName {
                space: space.into(),
                local: local.into(),
            },
            DEFAULT_SHARDS,
        )
        .0
    }

    #[test]
    fn vectors_never_change() {
        assert_eq!(shard("chat.example", "coven"), VECTORS[0]);
        assert_eq!(shard("chat.example", ""), VECTORS[1]);
        assert_eq!(shard("chat.example", "{s0001}"), VECTORS[2]);
    }

    const VECTORS: [u16; 3] = [496, 154, 436];
}
