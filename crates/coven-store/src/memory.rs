//! The store in memory: the model that the others are measured against, and a store for tests.
//!
//! Keeps nothing over the end of the process. Every call is done before it comes back, so there is no queue.

mod archive;
mod directory;

pub(crate) use archive::page_of;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use crate::state::{self, ChannelState, Tip};
use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelCommit, ChannelKey, Claim, Commit,
    CommitNumber, DirectoryPage, DirectoryQuery, Entry, Epoch, Error, Life, Listing, Loaded, Owner,
    Ownership, Pending, ProcessId, Receipts, Retention, Sent, Sequence, SessionId, ShardId,
    Snapshot, Store, StoreId, Timestamp, UnknownChannel, UnknownPlace,
};

/// A store in memory. Clones share their content; [`MemoryStore::reopen`] is what a restart of the process would see.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
    closed: Arc<Mutex<bool>>,
}

#[derive(Clone, Debug)]
struct Content {
    identity: StoreId,
    shards: BTreeMap<ShardId, Shard>,
    channels: BTreeMap<(ShardId, ChannelKey), Channel>,
    directory: BTreeMap<ChannelKey, Listing>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shard {
    epoch: Epoch,
    owner: Option<SessionId>,
    last_commit: CommitNumber,
}

#[derive(Clone, Debug, Default)]
struct Channel {
    state: ChannelState,
    snapshot: Option<Snapshot>,
    journal: Vec<Entry>,
    archive: BTreeMap<Sequence, Entry>,
}

/// What a store held at some time ([`MemoryStore::keep`]).
#[derive(Clone, Debug)]
pub struct Kept(Content);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let content = Content {
            identity: crate::random::store_id(),
            shards: BTreeMap::new(),
            channels: BTreeMap::new(),
            directory: BTreeMap::new(),
        };
        Self {
            content: Arc::new(Mutex::new(content)),
            closed: Arc::default(),
        }
    }

    /// The same content, opened by the next process: nobody owns a shard.
    #[must_use]
    pub fn reopen(&self) -> Self {
        for shard in lock(&self.content).shards.values_mut() {
            shard.owner = None;
        }
        Self {
            content: Arc::clone(&self.content),
            closed: Arc::default(),
        }
    }

    /// What it holds now.
    #[must_use]
    pub fn keep(&self) -> Kept {
        Kept(lock(&self.content).clone())
    }

    /// Goes back to what it held, as a store does whose fail-over loses what it had acknowledged (design §5.11).
    pub fn set_back(&self, kept: Kept) {
        *lock(&self.content) = kept.0;
    }

    fn with<T>(&self, answer: impl FnOnce(&mut Content) -> Result<T, Error>) -> Pending<T> {
        if *lock(&self.closed) {
            return Pending::ready(Err(Error::Closed));
        }
        Pending::ready(answer(&mut lock(&self.content)))
    }

    fn read<T>(&self, answer: impl FnOnce(&Content) -> T) -> Pending<T> {
        self.with(|content| Ok(answer(content)))
    }
}

impl Store for MemoryStore {
    fn identity(&self) -> Pending<StoreId> {
        self.read(|content| content.identity)
    }

    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>> {
        self.read(|content| content.shards.get(&shard).and_then(Shard::owner))
    }

    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership> {
        self.with(|content| content.shards.entry(shard).or_default().claim(shard, claim))
    }

    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()> {
        self.with(|content| {
            content.owned(shard, epoch)?.owner = None;
            Ok(())
        })
    }

    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()> {
        self.with(|content| content.commit(shard, epoch, commit))
    }

    fn acknowledge(&self, shard: ShardId, epoch: Epoch, receipts: Receipts) -> Pending<()> {
        self.with(|content| {
            content.owned(shard, epoch)?;
            content.take_in(shard, &receipts);
            Ok(())
        })
    }

    fn forget_process(&self, shard: ShardId, epoch: Epoch, process: ProcessId) -> Pending<()> {
        self.with(|content| {
            content.owned(shard, epoch)?;
            content.channels.retain(|(of, _), channel| {
                if *of == shard {
                    channel.state.forget(process);
                }
                *of != shard || !channel.state.is_forgotten()
            });
            Ok(())
        })
    }

    fn snapshot(
        &self,
        shard: ShardId,
        epoch: Epoch,
        key: ChannelKey,
        snapshot: Snapshot,
    ) -> Pending<()> {
        self.with(|content| {
            content.owned(shard, epoch)?;
            let unacknowledged = Error::Unacknowledged {
                key: key.clone(),
                sequence: snapshot.sequence,
            };
            let Some(channel) = content.channels.get_mut(&(shard, key)) else {
                return Ok(());
            };
            channel.take_snapshot(snapshot).ok_or(unacknowledged)
        })
    }

    fn expire(&self, shard: ShardId, epoch: Epoch, retention: Retention) -> Pending<u64> {
        self.with(|content| {
            content.owned(shard, epoch)?;
            let of_shard = content
                .channels
                .iter_mut()
                .filter(|((of, _), _)| *of == shard);
            Ok(of_shard.map(|(_, channel)| channel.expire(retention)).sum())
        })
    }

    fn list(
        &self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Pending<()> {
        self.with(|content| {
            content.owned(shard, epoch)?;
            content.list(listings);
            Ok(())
        })
    }

    fn load(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<Loaded>> {
        self.read(|content| content.channel(shard, key).map(Channel::loaded))
    }

    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool> {
        self.read(|content| {
            content
                .channel(shard, key)
                .is_some_and(|channel| channel.state.alive)
        })
    }

    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>> {
        self.read(|content| {
            let marks = content
                .of_shard(shard)
                .filter_map(|(key, channel)| Some((key, channel.state.unsent?)));
            marks
                .map(|(key, commit)| Sent {
                    key: key.clone(),
                    commit,
                })
                .collect()
        })
    }

    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>> {
        self.read(|content| {
            let timers = content
                .of_shard(shard)
                .filter_map(|(key, channel)| Some((channel.state.timer?, key.clone())));
            let mut timers: Vec<_> = timers.collect();
            timers.sort();
            timers
        })
    }

    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>> {
        let empty = BTreeMap::new();
        self.read(|content| {
            archive::page(
                content
                    .channel(shard, key)
                    .map_or(&empty, |channel| &channel.archive),
                &query,
            )
        })
    }

    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>> {
        self.read(|content| archive::bounds(&content.channel(shard, key)?.archive))
    }

    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>> {
        self.read(|content| directory::page(&content.directory, space, &query))
    }

    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>> {
        self.read(|content| {
            let alive = content
                .channels
                .iter()
                .filter(|(_, channel)| channel.state.alive)
                .map(|((_, key), _)| key);
            let mut keys: Vec<_> = alive
                .filter(|key| key.space == *space && after < Some(&key.local))
                .cloned()
                .collect();
            keys.sort();
            keys.truncate(max);
            keys
        })
    }

    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        Vec::new()
    }

    fn close(&self) -> Pending<()> {
        *lock(&self.closed) = true;
        Pending::ready(Ok(()))
    }
}

impl Content {
    fn owned(&mut self, shard: ShardId, epoch: Epoch) -> Result<&mut Shard, Error> {
        let stored = self.shards.entry(shard).or_default();
        match stored.owner() {
            Some(owner) if owner.epoch == epoch => Ok(stored),
            owner => Err(Error::Fenced {
                shard,
                epoch,
                stored: owner,
            }),
        }
    }

    fn commit(&mut self, shard: ShardId, epoch: Epoch, commit: Commit) -> Result<(), Error> {
        let stored = self.owned(shard, epoch)?.last_commit;
        if commit.number != stored.next() {
            return Err(Error::Diverged {
                shard,
                number: commit.number,
                stored,
            });
        }
        let mut seen = HashSet::new();
        for change in &commit.channels {
            if !seen.insert(&change.key) {
                return Err(Error::Invalid("a commit names a channel twice"));
            }
            state::check(
                self.channel(shard, &change.key)
                    .map(|channel| Tip::from(&channel.state)),
                change,
            )?;
        }
        self.owned(shard, epoch)?.last_commit = commit.number;
        for change in commit.channels {
            let at = (shard, change.key.clone());
            let channel = self.channels.entry(at.clone()).or_default();
            channel.apply(change, commit.number);
            if channel.state.is_forgotten() {
                self.channels.remove(&at);
            }
        }
        self.take_in(shard, &commit.receipts);
        Ok(())
    }

    fn take_in(&mut self, shard: ShardId, receipts: &Receipts) {
        for ack in &receipts.acks {
            self.change(shard, &ack.key, |state| state.acknowledge(ack));
        }
        for (key, connection) in &receipts.gone {
            self.change(shard, key, |state| state.gone(connection));
        }
        for sent in &receipts.sent {
            self.change(shard, &sent.key, |state| state.sent(sent.commit));
        }
        for it in &receipts.answered {
            self.change(shard, &it.key, |state| state.answered(it.process, it.base));
        }
    }

    fn change(&mut self, shard: ShardId, key: &ChannelKey, change: impl FnOnce(&mut ChannelState)) {
        let at = (shard, key.clone());
        let Some(channel) = self.channels.get_mut(&at) else {
            return;
        };
        change(&mut channel.state);
        if channel.state.is_forgotten() {
            self.channels.remove(&at);
        }
    }

    fn list(&mut self, listings: Vec<(ChannelKey, Option<Listing>)>) {
        for (key, listing) in listings {
            match listing {
                Some(listing) => self.directory.insert(key, listing),
                None => self.directory.remove(&key),
            };
        }
    }

    fn channel(&self, shard: ShardId, key: &ChannelKey) -> Option<&Channel> {
        self.channels.get(&(shard, key.clone()))
    }

    fn of_shard(&self, shard: ShardId) -> impl Iterator<Item = (&ChannelKey, &Channel)> {
        self.channels
            .iter()
            .filter(move |((of, _), _)| *of == shard)
            .map(|((_, key), channel)| (key, channel))
    }
}

impl Shard {
    fn owner(&self) -> Option<Owner> {
        self.owner.map(|session| Owner {
            epoch: self.epoch,
            session,
        })
    }

    fn claim(&mut self, shard: ShardId, claim: Claim) -> Result<Ownership, Error> {
        if let Some(owner) = self
            .owner()
            .filter(|owner| Some(*owner) != claim.judged_dead)
        {
            return Err(Error::Held { shard, owner });
        }
        let found = self.epoch;
        self.epoch = Epoch(found.max(claim.known).0 + 1);
        self.owner = Some(claim.session);
        Ok(Ownership {
            epoch: self.epoch,
            last_commit: self.last_commit,
            found,
        })
    }
}

impl Channel {
    fn apply(&mut self, change: ChannelCommit, number: CommitNumber) {
        self.state.apply(&change, number);
        for entry in change.entries {
            if entry.archive.is_some() {
                self.archive.insert(entry.sequence, entry.clone());
            }
            if entry.life == Life::Destroys {
                self.archive.clear();
            }
            self.journal.push(entry);
        }
        for rewrite in change.rewrites {
            if let Some(entry) = self.archive.get_mut(&rewrite.sequence) {
                entry.kind = rewrite.kind;
                entry.record = rewrite.record;
            }
        }
    }

    fn take_snapshot(&mut self, snapshot: Snapshot) -> Option<()> {
        if !self.state.admits_snapshot(snapshot.sequence) {
            return None;
        }
        if self
            .snapshot
            .as_ref()
            .is_none_or(|stored| stored.sequence <= snapshot.sequence)
        {
            self.journal
                .retain(|entry| entry.sequence > snapshot.sequence);
            self.snapshot = Some(snapshot);
        }
        Some(())
    }

    fn expire(&mut self, retention: Retention) -> u64 {
        let before = self.archive.len();
        let oldest = retention.not_before.unwrap_or_default();
        self.archive.retain(|_, entry| entry.stamp >= oldest);
        let most = retention.max_count.map_or(usize::MAX, |most| {
            usize::try_from(most).unwrap_or(usize::MAX)
        });
        while self.archive.len() > most {
            self.archive.pop_first();
        }
        u64::try_from(before - self.archive.len()).unwrap_or(u64::MAX)
    }

    fn loaded(&self) -> Loaded {
        self.state
            .loaded(self.snapshot.clone(), self.journal.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
