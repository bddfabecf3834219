//! Which channels are in quarantine: nothing is decided in them and nothing read, all is answered with an error (I10).
//!
//! Owns the two lists: what operators ask for, which every node is told, and what this node has found to be damaged or
//! panicking by itself, which lasts as long as the channel is this node's. The state itself is the actor's.

use crate::convert;
use coven_cluster::{Channel, ShardId};
use coven_store::ChannelKey;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Channels in quarantine.
#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    asked: BTreeSet<ChannelKey>,
    found: BTreeSet<ChannelKey>,
}

impl Quarantine {
    /// Whether operators want it there.
    pub(crate) fn is_asked(&self, channel: &Channel) -> bool {
        let lists = self.lists();
        !lists.asked.is_empty() && lists.asked.contains(&convert::key(channel))
    }

    /// What operators want from now on; answers what is another than before.
    pub(crate) fn ask(&self, asked: &BTreeSet<ChannelKey>) -> Vec<ChannelKey> {
        let mut lists = self.lists();
        let changed = lists.asked.symmetric_difference(asked).cloned().collect();
        lists.asked.clone_from(asked);
        changed
    }

    /// This node cannot work with it.
    pub(crate) fn found(&self, channel: &Channel) {
        self.lists().found.insert(convert::key(channel));
    }

    /// It is tried again.
    pub(crate) fn lifted(&self, channel: &Channel) {
        self.lists().found.remove(&convert::key(channel));
    }

    /// A shard is taken: what ailed its channels may be mended, they are looked at anew.
    pub(crate) fn taken(&self, shard: ShardId, shards: u16) {
        let is_another = |key: &ChannelKey| convert::channel(key.clone(), shards).shard() != shard;
        self.lists().found.retain(is_another);
    }

    /// What this node cannot work with.
    pub(crate) fn all_found(&self) -> Vec<ChannelKey> {
        self.lists().found.iter().cloned().collect()
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
