//! The newest owner of each shard, as far as anybody has said so: what an older one sends is dropped (design §5.9).

use std::sync::atomic::{AtomicU64, Ordering};

use coven_cluster::ShardId;
use coven_core::Epoch;

/// The highest epoch of each shard.
#[derive(Debug)]
pub(crate) struct Epochs(Box<[AtomicU64]>);

impl Epochs {
    pub(crate) fn new(shards: u16) -> Self {
        Self((0..shards).map(|_| AtomicU64::default()).collect())
    }

    /// Somebody owns a shard under this epoch.
    pub(crate) fn raise(&self, shard: ShardId, epoch: Epoch) {
        if let Some(known) = self.0.get(usize::from(shard.0)) {
            known.fetch_max(epoch.0, Ordering::AcqRel);
        }
    }

    /// Whether a newer owner is known.
    pub(crate) fn is_old(&self, shard: ShardId, epoch: Epoch) -> bool {
        let known = self.0.get(usize::from(shard.0));
        known.is_some_and(|known| epoch.0 < known.load(Ordering::Acquire))
    }
}
