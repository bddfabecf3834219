//! Which format is written, and which shards hold a newer one than this node reads (I7).
//!
//! Owns two facts; what is done about them is the agent's: it tells the node what is finalized, and has a shard that the
//! node cannot read moved to one that can.

use coven_cluster::ShardId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Formats, as a node knows them.
#[derive(Debug)]
pub(crate) struct Formats {
    written: AtomicU32,
    beyond: Mutex<BTreeSet<ShardId>>,
}

impl Default for Formats {
    fn default() -> Self {
        Self {
            written: AtomicU32::new(coven_proto::format::FIRST),
            beyond: Mutex::default(),
        }
    }
}

impl Formats {
    /// The format in which records are written now.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// This format is finalized. It never goes back, and nothing is written that this build does not know.
    pub(crate) fn finalized(&self, format: u32) {
        let format = format.min(coven_proto::format::newest());
        self.written.fetch_max(format, Ordering::Relaxed);
    }

    /// Something in this shard is of a newer version.
    pub(crate) fn met_newer(&self, shard: ShardId) {
        let mut beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        beyond.insert(shard);
    }

    /// The shards of which that was found since this was asked last.
    pub(crate) fn take_beyond(&self) -> BTreeSet<ShardId> {
        let mut beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut beyond)
    }
}
