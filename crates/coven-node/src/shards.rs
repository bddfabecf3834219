//! Which shards this node owns, and under which epoch (design §5.2, 5.3). Only says so: who claims and gives up is
//! [`crate::ownership`], and what is safe is decided by the store's check of the epoch alone (I1).

use coven_cluster::ShardId;
use coven_core::Epoch;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The shards, by number.
#[derive(Debug)]
pub(crate) struct Shards {
    slots: Vec<Slot>,
    /// Since when the node knows that its session may have ended.
    suspended: watch::Sender<Option<Instant>>,
}

/// One shard.
#[derive(Debug)]
struct Slot {
    /// 0 while it is somebody else's.
    epoch: AtomicU64,
    /// The highest epoch that was ever ours.
    was: AtomicU64,
    /// The newest durable commit.
    commit: AtomicU64,
    /// It is being given up: nothing more is taken.
    is_leaving: std::sync::atomic::AtomicBool,
    /// Since when the store does not answer.
    stalled: watch::Sender<Option<Instant>>,
}

/// Whether something may be decided now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Yes.
    Open,
    /// Not now: the store is away, or the session may have ended.
    Shut,
}

impl Shards {
    pub(crate) fn new(count: u16) -> Self {
        let slot = |_| Slot {
            epoch: AtomicU64::new(0),
            was: AtomicU64::new(0),
            commit: AtomicU64::new(0),
            is_leaving: false.into(),
            stalled: watch::Sender::new(None),
        };
        Self {
            slots: (0..count).map(slot).collect(),
            suspended: watch::Sender::new(None),
        }
    }

    /// The epoch under which this node owns a shard; 0 if it does not.
    pub(crate) fn epoch(&self, shard: ShardId) -> Epoch {
        Epoch(
            self.slot(shard)
                .map_or(0, |s| s.epoch.load(Ordering::Acquire)),
        )
    }

    /// The highest epoch of it that this node has had.
    pub(crate) fn known(&self, shard: ShardId) -> Epoch {
        Epoch(
            self.slot(shard)
                .map_or(0, |s| s.was.load(Ordering::Acquire)),
        )
    }

    /// Whether operations for it are taken.
    pub(crate) fn takes(&self, shard: ShardId) -> bool {
        self.slot(shard).is_some_and(|slot| {
            slot.epoch.load(Ordering::Acquire) != 0 && !slot.is_leaving.load(Ordering::Acquire)
        })
    }

    /// Whether it is this node's.
    pub(crate) fn owns(&self, shard: ShardId) -> bool {
        self.epoch(shard).0 != 0
    }

    /// All that are this node's.
    pub(crate) fn owned(&self) -> Vec<(ShardId, Epoch)> {
        let all = (0..).map(ShardId).take(self.slots.len());
        all.map(|shard| (shard, self.epoch(shard)))
            .filter(|(_, epoch)| epoch.0 != 0)
            .collect()
    }

    /// It is this node's from now on, or under another epoch.
    pub(crate) fn own(&self, shard: ShardId, epoch: Epoch) {
        if let Some(slot) = self.slot(shard) {
            slot.is_leaving.store(false, Ordering::Release);
            slot.was.fetch_max(epoch.0, Ordering::AcqRel);
            slot.epoch.store(epoch.0, Ordering::Release);
        }
    }

    /// Nothing more is taken for it.
    pub(crate) fn leaving(&self, shard: ShardId) {
        if let Some(slot) = self.slot(shard) {
            slot.is_leaving.store(true, Ordering::Release);
        }
    }

    /// It is not this node's any more. Answers its last epoch, if it was.
    pub(crate) fn drop(&self, shard: ShardId) -> Option<Epoch> {
        let slot = self.slot(shard)?;
        slot.stalled.send_replace(None);
        let epoch = slot.epoch.swap(0, Ordering::AcqRel);
        (epoch != 0).then_some(Epoch(epoch))
    }

    /// The newest durable commit of a shard.
    pub(crate) fn commit(&self, shard: ShardId) -> u64 {
        self.slot(shard)
            .map_or(0, |slot| slot.commit.load(Ordering::Acquire))
    }

    pub(crate) fn committed(&self, shard: ShardId, commit: u64) {
        if let Some(slot) = self.slot(shard) {
            slot.commit.store(commit, Ordering::Release);
        }
    }

    /// The store does not answer for it, or does again.
    pub(crate) fn stall(&self, shard: ShardId, stalled: bool) {
        if let Some(slot) = self.slot(shard) {
            set(&slot.stalled, stalled);
        }
    }

    /// The session may have ended, or is sound again.
    pub(crate) fn suspend(&self, suspended: bool) {
        set(&self.suspended, suspended);
    }

    /// Whether the session may have ended: then nothing is read (IL-29).
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.borrow().is_some()
    }

    /// Waits until something may be decided for a shard: at most `patience` from when that ended (IL-24). Nothing is decided
    /// while the store is away, so nothing that was refused is committed later.
    pub(crate) async fn way(&self, shard: ShardId, patience: Duration) -> Way {
        let Some(slot) = self.slot(shard) else {
            return Way::Shut;
        };
        loop {
            let (mut stalled, mut suspended) =
                (slot.stalled.subscribe(), self.suspended.subscribe());
            let both = [*slot.stalled.borrow(), *self.suspended.borrow()];
            let Some(since) = both.into_iter().flatten().min() else {
                return Way::Open;
            };
            tokio::select! {
                _ = stalled.changed() => {}
                _ = suspended.changed() => {}
                () = tokio::time::sleep_until(since + patience) => return Way::Shut,
            }
        }
    }

    fn slot(&self, shard: ShardId) -> Option<&Slot> {
        self.slots.get(usize::from(shard.0))
    }
}

fn set(since: &watch::Sender<Option<Instant>>, on: bool) {
    since.send_if_modified(|since| {
        let changed = since.is_some() != on;
        if changed {
            *since = on.then(Instant::now);
        }
        changed
    });
}
