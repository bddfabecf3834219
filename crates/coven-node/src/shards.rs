//! Which shards this node owns, and under which epoch (design §5.2, 5.3). Only says so: who claims and gives up is
//! [`crate::ownership`], and what is safe is decided by the store's check of the epoch alone (I1).

use coven_cluster::{Fence, ShardId};
use coven_core::Epoch;
use std::sync::OnceLock;
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
    /// The deadline of the session, which may have passed before the node knows it.
    fence: OnceLock<Fence>,
}

/// One shard.
#[derive(Debug)]
struct Slot {
    /// 0 while it is somebody else's.
    epoch: AtomicU64,
    /// The epoch that front-ends have been told: after a renewal the earlier one, until all that was held under it has left.
    said: AtomicU64,
    /// How often it has become this node's: what was made of it before is void.
    tenure: AtomicU64,
    /// The highest epoch that was ever ours.
    was: AtomicU64,
    /// The newest durable commit.
    commit: AtomicU64,
    /// It is being given up: nothing more is taken.
    is_leaving: std::sync::atomic::AtomicBool,
    /// There is a new session with which it has not been claimed yet.
    is_stale: std::sync::atomic::AtomicBool,
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
            said: AtomicU64::new(0),
            tenure: AtomicU64::new(0),
            is_stale: false.into(),
            was: AtomicU64::new(0),
            commit: AtomicU64::new(0),
            is_leaving: false.into(),
            stalled: watch::Sender::new(None),
        };
        Self {
            slots: (0..count).map(slot).collect(),
            suspended: watch::Sender::new(None),
            fence: OnceLock::new(),
        }
    }

    /// What says when the session ends.
    pub(crate) fn fence(&self, fence: Fence) {
        let _set_before = self.fence.set(fence);
    }

    /// The epoch under which this node owns a shard; 0 if it does not.
    pub(crate) fn epoch(&self, shard: ShardId) -> Epoch {
        Epoch(
            self.slot(shard)
                .map_or(0, |s| s.epoch.load(Ordering::Acquire)),
        )
    }

    /// The epoch that front-ends have been told; 0 if it is not this node's.
    pub(crate) fn said(&self, shard: ShardId) -> Epoch {
        Epoch(
            self.slot(shard)
                .map_or(0, |s| s.said.load(Ordering::Acquire)),
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

    /// How often it has become this node's.
    pub(crate) fn tenure(&self, shard: ShardId) -> u64 {
        self.slot(shard)
            .map_or(0, |s| s.tenure.load(Ordering::Acquire))
    }

    /// All that are this node's.
    pub(crate) fn owned(&self) -> Vec<(ShardId, Epoch)> {
        let all = (0..).map(ShardId).take(self.slots.len());
        all.map(|shard| (shard, self.epoch(shard)))
            .filter(|(_, epoch)| epoch.0 != 0)
            .collect()
    }

    /// All that are this node's, as front-ends have been told.
    pub(crate) fn announced(&self) -> Vec<(ShardId, Epoch)> {
        let owned = self.owned().into_iter();
        owned.map(|(shard, _)| (shard, self.said(shard))).collect()
    }

    /// It is this node's from now on.
    pub(crate) fn own(&self, shard: ShardId, epoch: Epoch) {
        if let Some(slot) = self.slot(shard) {
            slot.tenure.fetch_add(1, Ordering::AcqRel);
            slot.is_leaving.store(false, Ordering::Release);
            slot.said.store(epoch.0, Ordering::Release);
        }
        self.renew(shard, epoch, true);
    }

    /// It goes on as this node's under another epoch, which is not said yet. `is_newest`: with the newest session.
    pub(crate) fn renew(&self, shard: ShardId, epoch: Epoch, is_newest: bool) {
        if let Some(slot) = self.slot(shard) {
            slot.was.fetch_max(epoch.0, Ordering::AcqRel);
            slot.epoch.store(epoch.0, Ordering::Release);
            if is_newest {
                slot.is_stale.store(false, Ordering::Release);
            }
        }
    }

    /// Front-ends are told its epoch now. Answers it if that is news.
    pub(crate) fn say(&self, shard: ShardId) -> Option<Epoch> {
        let epoch = self.epoch(shard);
        let said = self.slot(shard)?.said.swap(epoch.0, Ordering::AcqRel);
        (said != epoch.0 && epoch.0 != 0).then_some(epoch)
    }

    /// It has to be claimed with a new session before anything of it is read or decided.
    pub(crate) fn outdate(&self, shard: ShardId) {
        if let Some(slot) = self.slot(shard) {
            slot.is_stale.store(true, Ordering::Release);
            set(&slot.stalled, true);
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
        slot.is_stale.store(false, Ordering::Release);
        slot.said.store(0, Ordering::Release);
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

    /// Whether the session with which it was claimed may have ended: then nothing is read (IL-29).
    pub(crate) fn is_suspended(&self, shard: ShardId) -> bool {
        let is_stale = |slot: &Slot| slot.is_stale.load(Ordering::Acquire);
        self.fence.get().is_some_and(Fence::has_passed)
            || self.suspended.borrow().is_some()
            || self.slot(shard).is_some_and(is_stale)
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
