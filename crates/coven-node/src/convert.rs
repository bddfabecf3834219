//! Between the names of the core and those of the store.

use coven_cluster::{Channel, ShardId};
use coven_core::content::archive::Place;
use coven_core::{ChannelName, Sequence, StableId, Timestamp};
use coven_store as store;

pub(crate) fn key(channel: &Channel) -> store::ChannelKey {
    let name = channel.name();
    store::ChannelKey {
        space: name.space.clone(),
        local: name.local.clone(),
    }
}

/// The other way, where so many shards are.
pub(crate) fn channel(key: store::ChannelKey, shards: u16) -> Channel {
    let store::ChannelKey { space, local } = key;
    Channel::new(ChannelName { space, local }, shards)
}

pub(crate) const fn shard(shard: ShardId) -> store::ShardId {
    store::ShardId(shard.0)
}

pub(crate) const fn sequence(sequence: Sequence) -> store::Sequence {
    store::Sequence(sequence.0)
}

pub(crate) fn stamp(stamp: Timestamp) -> store::Timestamp {
    store::Timestamp(u64::try_from(stamp.0).unwrap_or_default())
}

pub(crate) fn timestamp(stamp: store::Timestamp) -> Timestamp {
    Timestamp(i64::try_from(stamp.0).unwrap_or(i64::MAX))
}

pub(crate) fn place(place: Place) -> store::Place {
    store::Place {
        stamp: stamp(place.stamp),
        sequence: sequence(place.sequence),
    }
}

pub(crate) fn core_place(place: store::Place) -> Place {
    Place {
        stamp: timestamp(place.stamp),
        sequence: Sequence(place.sequence.0),
    }
}

pub(crate) const fn sender(id: StableId) -> store::SenderId {
    store::SenderId(id.0)
}
