//! The store as a process sees it over a [`Line`]; what calls mean is said by [`coven_store::MemoryStore`].
//!
//! Rules that the store keeps are left out here ([`Rule`]): the model itself cannot be told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coven_store::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, Claim, Commit, CommitNumber,
    DirectoryPage, DirectoryQuery, Epoch, Error, Listing, Loaded, MemoryStore, Owner, Ownership,
    Pending, ProcessId, Receipts, Retention, Sent, Sequence, ShardId, Snapshot, Store, StoreId,
    Timestamp, UnknownChannel, UnknownPlace,
};
use smol_str::SmolStr;

use crate::line::Line;
use crate::rng::Rng;
use crate::rule::Rule;
use crate::truth::Truth;

/// The store itself: outlives processes.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Says what calls mean.
    pub model: MemoryStore,
    truth: Arc<Mutex<Truth>>,
}

/// What a store had at some time.
#[derive(Debug, Clone)]
pub struct Kept {
    model: coven_store::Kept,
    truth: Truth,
}

impl Disk {
    /// What there is now.
    #[must_use]
    pub fn keep(&self) -> Kept {
        Kept {
            model: self.model.keep(),
            truth: self.truth().clone(),
        }
    }

    /// Loses all that came since then.
    pub fn set_back(&self, kept: Kept) {
        self.model.set_back(kept.model);
        self.truth().set_back(kept.truth);
    }

    /// What is durable.
    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of one process.
#[derive(Debug, Clone)]
pub struct SimStore {
    /// The way to it.
    pub line: Line<Disk>,
    without: Option<Rule>,
}

impl SimStore {
    /// A connection.
    #[must_use]
    pub fn new(rng: Rng, without: Option<Rule>) -> Self {
        let line = Line::new(rng);
        Self { line, without }
    }
}

impl Disk {
    /// A commit arrives.
    fn commit(
        &self,
        shard: ShardId,
        epoch: Epoch,
        mut commit: Commit,
        without: Option<Rule>,
    ) -> Result<(), Error> {
        let mut shown = epoch;
        if without == Some(Rule::Epoch) {
            let owner = self.model.owner(shard).wait()?;
            shown = owner.map_or(epoch, |owner| owner.epoch);
        }
        let mut done = self.model.commit(shard, shown, commit.clone()).wait();
        while without == Some(Rule::Sequence) {
            match &done {
                Err(Error::Sequence { key, stored, .. }) => renumber(&mut commit, key, *stored),
                Err(Error::Diverged { stored, .. }) => commit.number = CommitNumber(stored.0 + 1),
                _ => break,
            }
            done = self.model.commit(shard, shown, commit.clone()).wait();
        }
        done?;
        let owner = self.model.owner(shard).wait()?;
        let mut truth = self.truth();
        if owner.is_none_or(|owner| owner.epoch != epoch) {
            let wrong = format!("I1: commit of epoch {epoch} of shard {shard}, owned by {owner:?}");
            truth.wrong.push(wrong);
        }
        truth.commit(&commit);
        Ok(())
    }
}

/// What a store writes that does not look where a channel stands: the events follow whatever is there.
fn renumber(commit: &mut Commit, key: &ChannelKey, stored: Sequence) {
    for change in commit.channels.iter_mut().filter(|it| it.key == *key) {
        change.expected = stored;
        for (entry, at) in change.entries.iter_mut().zip(stored.0 + 1..) {
            entry.sequence = Sequence(at);
        }
    }
}

impl Store for SimStore {
    fn identity(&self) -> Pending<StoreId> {
        self.line.call(|disk| disk.model.identity().wait())
    }

    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>> {
        self.line.call(move |disk| disk.model.owner(shard).wait())
    }

    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership> {
        self.line
            .call(move |disk| disk.model.claim(shard, claim).wait())
    }

    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()> {
        self.line
            .call(move |disk| disk.model.release(shard, epoch).wait())
    }

    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()> {
        let without = self.without;
        let pending = self
            .line
            .call(move |disk| disk.commit(shard, epoch, commit, without));
        match without {
            Some(Rule::Gate) => Pending::ready(Ok(())),
            _ => pending,
        }
    }

    fn acknowledge(&self, shard: ShardId, epoch: Epoch, receipts: Receipts) -> Pending<()> {
        self.line.call(move |disk| {
            let taken = disk.model.acknowledge(shard, epoch, receipts.clone());
            taken.wait()?;
            disk.truth().receipts(&receipts);
            Ok(())
        })
    }

    fn forget_process(&self, shard: ShardId, epoch: Epoch, process: ProcessId) -> Pending<()> {
        self.line
            .call(move |disk| disk.model.forget_process(shard, epoch, process).wait())
    }

    fn snapshot(
        &self,
        shard: ShardId,
        epoch: Epoch,
        key: ChannelKey,
        snapshot: Snapshot,
    ) -> Pending<()> {
        self.line
            .call(move |disk| disk.model.snapshot(shard, epoch, key, snapshot).wait())
    }

    fn expire(&self, shard: ShardId, epoch: Epoch, retention: Retention) -> Pending<u64> {
        self.line
            .call(move |disk| disk.model.expire(shard, epoch, retention).wait())
    }

    fn list(
        &self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Pending<()> {
        self.line
            .call(move |disk| disk.model.list(shard, epoch, listings).wait())
    }

    fn load(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<Loaded>> {
        let key = key.clone();
        let without = self.without;
        self.line.call(move |disk| {
            let mut loaded = disk.model.load(shard, &key).wait()?;
            if let (Some(loaded), Some(Rule::Operation)) = (&mut loaded, without) {
                loaded.outcomes.clear();
            }
            Ok(loaded)
        })
    }

    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool> {
        let key = key.clone();
        self.line
            .call(move |disk| disk.model.exists(shard, &key).wait())
    }

    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>> {
        let without = self.without;
        self.line.call(move |disk| match without {
            Some(Rule::Unsent) => Ok(Vec::new()),
            _ => disk.model.unsent(shard).wait(),
        })
    }

    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>> {
        self.line.call(move |disk| disk.model.timers(shard).wait())
    }

    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>> {
        let key = key.clone();
        self.line
            .call(move |disk| disk.model.archive_page(shard, &key, query).wait())
    }

    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>> {
        let key = key.clone();
        self.line
            .call(move |disk| disk.model.archive_bounds(shard, &key).wait())
    }

    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>> {
        let space = space.clone();
        self.line
            .call(move |disk| disk.model.directory(&space, query).wait())
    }

    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>> {
        let (space, after) = (space.clone(), after.cloned());
        self.line
            .call(move |disk| disk.model.channels(&space, after.as_ref(), max).wait())
    }

    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        Vec::new()
    }

    fn close(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }
}
