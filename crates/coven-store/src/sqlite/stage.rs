//! What one transaction does, before it is durable.
//!
//! The writer stages a group of requests here, one after the other, each against what those before it made of the
//! store. Requests are accepted or refused as they come, with the database only read; [`Stage::write`] then writes
//! everything, and after the COMMIT [`Staged`] goes to the index. If the transaction fails, all of it is dropped.

mod channel;

use std::collections::BTreeMap;

use self::channel::Draft;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rusqlite::Connection;

use super::codec::Encoder;
use super::index::Change;
use super::paging::Pages;
use super::row::{Core, Shard};
use super::shared::Shared;
use super::underway::Mark;
use super::{log, rows, schema};
use crate::{
    ChannelKey, Claim, Commit, Entry, Epoch, Error, Listing, Owner, Ownership, ProcessId, Receipts,
    Sequence, ShardId, Snapshot,
};

/// A transaction in the making.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) db: &'a Connection,
    pub(super) shared: &'a Shared,
    /// Id that this transaction's log row will have.
    log: i64,
    blob: Encoder,
    channels: HashMap<(ShardId, ChannelKey), Draft, RandomState>,
    shards: BTreeMap<ShardId, (Shard, bool)>,
    listings: Vec<(ChannelKey, Option<Listing>)>,
    pub(super) pages: Pages,
    next_channel: &'a mut i64,
    turn: u64,
}

/// What the index has to take over after the COMMIT.
#[derive(Debug)]
pub(super) struct Staged {
    /// What shows that the COMMIT is done; `None` where there is nothing to take over.
    pub(super) mark: Option<Mark>,
    /// The blob of the log row, unless nothing was logged.
    pub(super) blob: Option<Vec<u8>>,
    pub(super) channels: Vec<(ShardId, ChannelKey, Change)>,
    pub(super) shards: Vec<(ShardId, Shard)>,
    /// Pages were doomed.
    pub(super) doomed: bool,
}

impl<'a> Stage<'a> {
    /// `bytes`: what the log is going to take, about.
    pub(super) fn new(
        db: &'a Connection,
        shared: &'a Shared,
        next_channel: &'a mut i64,
        bytes: usize,
    ) -> Self {
        Self {
            db,
            shared,
            log: shared.index().log.next(),
            blob: Encoder::with_capacity(bytes),
            channels: HashMap::default(),
            shards: BTreeMap::new(),
            listings: Vec::new(),
            pages: Pages::default(),
            next_channel,
            turn: 0,
        }
    }

    /// Makes somebody the owner of a shard.
    pub(super) fn claim(&mut self, shard: ShardId, claim: Claim) -> Result<Ownership, Error> {
        let state = self.shard(shard);
        let owner = state.owner.map(|session| Owner {
            epoch: state.epoch,
            session,
        });
        if let Some(owner) = owner.filter(|owner| Some(*owner) != claim.judged_dead) {
            return Err(Error::Held { shard, owner });
        }
        let epoch = Epoch(state.epoch.max(claim.known).0 + 1);
        self.set_shard(
            shard,
            Shard {
                epoch,
                owner: Some(claim.session),
                ..state
            },
        );
        Ok(Ownership {
            epoch,
            last_commit: state.last_commit,
            found: state.epoch,
        })
    }

    /// Gives a shard up.
    pub(super) fn release(&mut self, shard: ShardId, epoch: Epoch) -> Result<(), Error> {
        let state = self.owned(shard, epoch)?;
        self.set_shard(
            shard,
            Shard {
                owner: None,
                ..state
            },
        );
        Ok(())
    }

    /// Appends a commit.
    pub(super) fn commit(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        commit: &Commit,
    ) -> Result<(), Error> {
        let state = self.owned(shard, epoch)?;
        if commit.number != state.last_commit.next() {
            return Err(Error::Diverged {
                shard,
                number: commit.number,
                stored: state.last_commit,
            });
        }
        self.turn += 1;
        for change in &commit.channels {
            self.check(shard, change)?;
        }
        self.find_all(shard, &commit.receipts)?;
        self.shards.insert(
            shard,
            (
                Shard {
                    last_commit: commit.number,
                    ..state
                },
                self.is_written(shard),
            ),
        );
        log::put_commit(&mut self.blob, shard, commit.number, commit.channels.len());
        for change in &commit.channels {
            self.append(shard, change, commit.number)?;
        }
        log::put_receipts(&mut self.blob, &commit.receipts);
        self.take_in(shard, &commit.receipts)?;
        for change in &commit.channels {
            self.forget_if_over(shard, &change.key);
        }
        self.forget_all_over(shard, &commit.receipts);
        Ok(())
    }

    /// Stores receipts without a commit.
    pub(super) fn acknowledge(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        receipts: &Receipts,
    ) -> Result<(), Error> {
        self.owned(shard, epoch)?;
        if receipts.is_empty() {
            return Ok(());
        }
        self.find_all(shard, receipts)?;
        log::put_receipts_item(&mut self.blob, shard, receipts);
        self.take_in(shard, receipts)?;
        self.forget_all_over(shard, receipts);
        Ok(())
    }

    /// Forgets the outcomes of a process in the channels of a shard.
    pub(super) fn forget_process(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        process: ProcessId,
    ) -> Result<(), Error> {
        self.owned(shard, epoch)?;
        let keys = self.with_outcomes_of(shard, process)?;
        if keys.is_empty() {
            return Ok(());
        }
        log::put_forget_process(&mut self.blob, shard, process);
        for key in &keys {
            self.change(shard, key, |state| state.forget(process))?;
            self.draft(shard, key)?.write = true;
            self.forget_if_over(shard, key);
        }
        Ok(())
    }

    /// Replaces a channel's snapshot.
    pub(super) fn snapshot(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        key: &ChannelKey,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        self.owned(shard, epoch)?;
        let draft = self.draft(shard, key)?;
        let refused = || Error::Unacknowledged {
            key: key.clone(),
            sequence: snapshot.sequence,
        };
        let Some(core) = draft.core.as_mut() else {
            return Ok(());
        };
        if !core.state.admits_snapshot(snapshot.sequence) {
            return Err(refused());
        }
        if core
            .snapshot
            .is_none_or(|stored| stored <= snapshot.sequence)
        {
            core.snapshot = Some(snapshot.sequence);
            draft.releases |= core.held > Sequence(0);
            if core.held <= snapshot.sequence {
                core.held = Sequence(0);
            }
            draft.snapshot = Some(snapshot);
            draft.write = true;
        }
        Ok(())
    }

    /// Changes the directory.
    pub(super) fn list(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Result<(), Error> {
        self.owned(shard, epoch)?;
        self.listings.extend(listings);
        Ok(())
    }

    /// Hides archived messages of a channel up to `floor`.
    pub(super) fn raise_floor(
        &mut self,
        shard: ShardId,
        key: &ChannelKey,
        floor: Sequence,
        first_page: u32,
    ) -> Result<(), Error> {
        let draft = self.draft(shard, key)?;
        let Some(core) = &mut draft.core else {
            return Ok(());
        };
        core.state.floor = core.state.floor.max(floor);
        draft.write = true;
        let channel = core.row;
        let from = std::mem::replace(&mut core.paging.first, first_page);
        if let Some(channel) = channel {
            self.pages.doom(channel, from..first_page);
        }
        Ok(())
    }

    /// Has a channel's row written with what is known of it by the end of the transaction.
    pub(super) fn fold(&mut self, shard: ShardId, key: &ChannelKey) -> Result<(), Error> {
        let draft = self.draft(shard, key)?;
        draft.write = draft.core.is_some();
        Ok(())
    }

    /// Has the row of a shard written; it is `state` unless this transaction changes it.
    pub(super) fn fold_shard(&mut self, shard: ShardId, state: Shard) {
        self.shards.entry(shard).or_insert((state, true)).1 = true;
    }

    /// Moves messages of a channel, up to `packed`, into pages.
    pub(super) fn append_pages(
        &mut self,
        shard: ShardId,
        key: &ChannelKey,
        entries: Vec<Entry>,
        packed: Sequence,
    ) -> Result<(), Error> {
        let next = *self.next_channel;
        let draft = self.draft(shard, key)?;
        let Some(core) = &mut draft.core else {
            return Ok(());
        };
        let row = *core.row.get_or_insert(next);
        let mut paging = core.paging;
        paging.packed = paging.packed.max(packed);
        draft.write = true;
        draft.packed = true;
        *self.next_channel += i64::from(row == next);
        self.pages.append(self.db, row, &mut paging, entries)?;
        if let Some(core) = self.draft(shard, key)?.core.as_mut() {
            core.paging = paging;
        }
        Ok(())
    }

    /// Keeps entries of a channel apart, so that the log can be trimmed without a snapshot.
    pub(super) fn hold(
        &mut self,
        shard: ShardId,
        key: &ChannelKey,
        entries: &[Entry],
    ) -> Result<(), Error> {
        let next = *self.next_channel;
        let draft = self.draft(shard, key)?;
        let (Some(core), Some(last)) = (&mut draft.core, entries.last()) else {
            return Ok(());
        };
        let row = *core.row.get_or_insert(next);
        core.held = last.sequence;
        draft.write = true;
        *self.next_channel += i64::from(row == next);
        rows::write_held(self.db, row, entries)
    }

    /// Up to where entries of a channel are not needed in the log, if this transaction has it at hand.
    pub(super) fn kept(&self, shard: ShardId, key: &ChannelKey) -> Option<Sequence> {
        let draft = self.channels.get(&(shard, key.clone()))?;
        draft.core.as_ref().map(Core::kept)
    }

    /// Whether messages of a channel were moved into pages already.
    pub(super) fn is_packed(&self, shard: ShardId, key: &ChannelKey) -> bool {
        self.channels
            .get(&(shard, key.clone()))
            .is_some_and(|draft| draft.packed)
    }

    /// Whether nothing was done to any channel.
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Refuses unless the shard is owned at `epoch`.
    pub(super) fn owned(&self, shard: ShardId, epoch: Epoch) -> Result<Shard, Error> {
        let state = self.shard(shard);
        let stored = state.owner.map(|session| Owner {
            epoch: state.epoch,
            session,
        });
        match stored {
            Some(owner) if owner.epoch == epoch => Ok(state),
            _ => Err(Error::Fenced {
                shard,
                epoch,
                stored,
            }),
        }
    }

    /// Writes everything into the open transaction.
    pub(super) fn write(mut self) -> Result<Staged, Error> {
        let channels = std::mem::take(&mut self.channels);
        let mut changes = Vec::with_capacity(channels.len());
        for ((shard, key), draft) in channels {
            let change = self.write_draft(&key, draft)?;
            if change.is_any() {
                changes.push((shard, key, change));
            }
        }
        for (key, listing) in &self.listings {
            rows::write_listing(self.db, key, listing.as_ref())?;
        }
        for (shard, (state, _)) in self.shards.iter().filter(|(_, (_, write))| *write) {
            rows::write_shard(self.db, *shard, state)?;
        }
        let doomed = self.pages.write(self.db)?;
        let blob =
            (!self.blob.is_empty()).then(|| self.blob.seal(super::codec::Table::Log, self.log));
        let mark = match &blob {
            Some(blob) => {
                rows::write_log(self.db, self.log, blob)?;
                Some(Mark::Logged(self.log))
            }
            None if changes.is_empty() && self.shards.is_empty() => None,
            None => Some(Mark::Counted(schema::count(self.db)?)),
        };
        let shards = self
            .shards
            .into_iter()
            .map(|(shard, (state, _))| (shard, state))
            .collect();
        Ok(Staged {
            mark,
            blob,
            channels: changes,
            shards,
            doomed,
        })
    }

    fn shard(&self, shard: ShardId) -> Shard {
        let staged = self.shards.get(&shard).map(|(state, _)| *state);
        staged.unwrap_or_else(|| {
            self.shared
                .index()
                .shards
                .get(&shard)
                .copied()
                .unwrap_or_default()
        })
    }

    fn set_shard(&mut self, shard: ShardId, state: Shard) {
        self.shards.insert(shard, (state, true));
    }

    fn is_written(&self, shard: ShardId) -> bool {
        self.shards.get(&shard).is_some_and(|(_, write)| *write)
    }
}
