//! Works out what a request changes, as commands for the script that writes.
//!
//! Knows the records of the channels that a shard's owner has touched: only the owner changes them, and whether this is
//! still so is compared by the script. What is staged counts as done for what is staged after it; if it was not done
//! after all, the script refuses what follows too, and the shard is forgotten here.

use std::collections::HashMap;

use super::job::Request;
use super::keys::{self, Commands, Keys, name, number};
use super::record::{Record, Under};
use super::retention::Expired;
use super::upkeep::Upkeep;
use crate::state::{self, Tip};
use crate::{
    ChannelCommit, ChannelKey, Commit, CommitNumber, Epoch, Error, Listing, Owner, Receipts,
    Sequence, SessionId, ShardId, Snapshot, Timestamp,
};

/// What is known of a shard that is written to.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) epoch: Epoch,
    pub(super) owner: Option<SessionId>,
    pub(super) commit: CommitNumber,
    /// Number of the newest write.
    pub(super) writes: u64,
    /// Why records could not be read.
    pub(super) damaged: HashMap<ChannelKey, Error>,
    /// Records that have been read or written; `None` for a channel that is not stored.
    pub(super) channels: HashMap<ChannelKey, Option<Record>>,
}

/// A request as the script takes it.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) commands: Commands,
    /// The commit number that the shard has to have.
    pub(super) follows: CommitNumber,
    /// The commit number that it has afterwards.
    pub(super) number: CommitNumber,
    /// Its own number among the writes of the shard.
    pub(super) write: u64,
    /// It makes room, and is done although the memory is full.
    pub(super) frees: bool,
}

impl Shard {
    /// Its owner as it is stored.
    pub(super) fn owner(&self) -> Option<Owner> {
        let epoch = self.epoch;
        self.owner.map(|session| Owner { epoch, session })
    }

    /// Works out what `request` changes. Errors: as [`Store`](crate::Store) says; then nothing is changed here either.
    pub(super) fn stage(
        &mut self,
        shard: ShardId,
        keys: &Keys,
        epoch: Epoch,
        request: &Request,
    ) -> Result<Staged, Error> {
        if self.owner.is_none() || self.epoch != epoch {
            return Err(Error::Fenced {
                shard,
                epoch,
                stored: self.owner(),
            });
        }
        let needed = request.channels().into_iter().flatten();
        if let Some(error) = needed.filter_map(|key| self.damaged.get(key)).next() {
            return Err(error.clone());
        }
        let follows = self.commit;
        let mut commands = Commands::default();
        match request {
            Request::Commit(commit) => self.commit(shard, keys, commit, &mut commands)?,
            Request::Acknowledge(receipts) => self.take_in(keys, receipts, &mut commands),
            Request::ForgetProcess(process) => {
                let all: Vec<_> = self.channels.keys().cloned().collect();
                for key in all {
                    self.change(keys, &key, &mut commands, |record| {
                        record.state.forget(*process);
                    });
                }
            }
            Request::Snapshot(key, snapshot) => {
                self.snapshot(keys, key, snapshot, &mut commands)?
            }
            Request::Expire(expired) => {
                for it in expired {
                    self.expire(keys, it, &mut commands);
                }
            }
            Request::List(listings) => listings
                .iter()
                .for_each(|(key, listing)| list(keys, key, listing.as_ref(), &mut commands)),
            Request::Release => {
                commands.push("GONE", keys.owner(), &[]);
                self.owner = None;
            }
        }
        self.writes += 1;
        Ok(Staged {
            commands,
            follows,
            number: self.commit,
            write: self.writes,
            frees: !matches!(request, Request::Commit(_) | Request::List(_)),
        })
    }

    fn commit(
        &mut self,
        shard: ShardId,
        keys: &Keys,
        commit: &Commit,
        to: &mut Commands,
    ) -> Result<(), Error> {
        if commit.number != self.commit.next() {
            return Err(Error::Diverged {
                shard,
                number: commit.number,
                stored: self.commit,
            });
        }
        self.check(commit)?;
        self.commit = commit.number;
        for change in &commit.channels {
            self.apply(keys, change, commit.number, to);
        }
        self.take_in(keys, &commit.receipts, to);
        let word = number(commit.number.0);
        to.push("HSET", keys.owner(), &[b"commit", &word]);
        Ok(())
    }

    fn check(&self, commit: &Commit) -> Result<(), Error> {
        let mut seen = std::collections::HashSet::new();
        for change in &commit.channels {
            if !seen.insert(&change.key) {
                return Err(Error::Invalid("a commit names a channel twice"));
            }
            let record = self.channels.get(&change.key).and_then(Option::as_ref);
            state::check(record.map(|record| Tip::from(&record.state)), change)?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        keys: &Keys,
        change: &ChannelCommit,
        commit: CommitNumber,
        to: &mut Commands,
    ) {
        let before = self.channels.get(&change.key).cloned().flatten();
        let mut record = before.clone().unwrap_or_default();
        let floor = record.state.floor;
        record.state.apply(change, commit);
        if record.state.floor != floor {
            record.floor_stamp = stamp_of(change, record.state.floor);
        }
        append(keys, change, &mut record, to);
        rewrite(keys, change, &mut record, to);
        self.keep(keys, &change.key, before.as_ref(), record, to);
    }

    fn take_in(&mut self, keys: &Keys, receipts: &Receipts, to: &mut Commands) {
        for ack in &receipts.acks {
            self.change(keys, &ack.key, to, |record| record.state.acknowledge(ack));
        }
        for (key, connection) in &receipts.gone {
            self.change(keys, key, to, |record| record.state.gone(connection));
        }
        for sent in &receipts.sent {
            self.change(keys, &sent.key, to, |record| record.state.sent(sent.commit));
        }
        for it in &receipts.answered {
            self.change(keys, &it.key, to, |record| {
                record.state.answered(it.process, it.base);
            });
        }
    }

    fn snapshot(
        &mut self,
        keys: &Keys,
        key: &ChannelKey,
        snapshot: &Snapshot,
        to: &mut Commands,
    ) -> Result<(), Error> {
        let Some(record) = self.channels.get(key).and_then(Option::as_ref) else {
            return Ok(());
        };
        if !record.state.admits_snapshot(snapshot.sequence) {
            return Err(Error::Unacknowledged {
                key: key.clone(),
                sequence: snapshot.sequence,
            });
        }
        if record
            .snapshot
            .is_some_and(|stored| stored > snapshot.sequence)
        {
            return Ok(());
        }
        let blob = Under(key).encode_snapshot(snapshot);
        to.push("HSET", keys.snapshots(), &[name(key).as_bytes(), &blob]);
        to.push("TRIM", keys.journal(key), &[&number(snapshot.sequence.0)]);
        self.change(keys, key, to, |record| {
            record.snapshot = Some(snapshot.sequence)
        });
        if let Some(record) = self.channels.get(key).and_then(Option::as_ref) {
            trim(keys, key, record, to);
        }
        Ok(())
    }

    /// Hides the archive of a channel up to a place, and lets go of what nothing needs any more; not of one that was made
    /// anew since it was looked at.
    fn expire(&mut self, keys: &Keys, expired: &Expired, to: &mut Commands) {
        let (key, place) = (&expired.key, expired.last);
        let record = self.channels.get(key).and_then(Option::as_ref);
        if !record.is_some_and(|record| expired.is_of(record)) {
            return;
        }
        self.change(keys, key, to, |record| {
            record.state.floor = place.sequence;
            record.floor_stamp = place.stamp;
        });
        if let Some(record) = self.channels.get(key).and_then(Option::as_ref) {
            trim(keys, key, record, to);
        }
        expired.forget_rewrites(keys, to);
    }

    /// Tells upkeep of journals that are too long, and of what could go if a snapshot covered it.
    pub(super) fn tell(&self, shard: ShardId, request: &Request, upkeep: &Upkeep) {
        let record = |key: &ChannelKey| self.channels.get(key).and_then(Option::as_ref);
        match request {
            Request::Commit(commit) => {
                let is_long = |key: &&ChannelKey| record(key).is_some_and(Record::is_long);
                let keys = commit.channels.iter().map(|change| &change.key);
                keys.filter(is_long)
                    .for_each(|key| upkeep.want(shard, key.clone()));
            }
            Request::Expire(expired) => {
                let keys = expired.iter().map(|it| &it.key);
                keys.filter(|key| record(key).is_some_and(Record::hides_uncovered))
                    .for_each(|key| upkeep.want_for_room(shard, key.clone()));
            }
            Request::Snapshot(key, _) if !record(key).is_some_and(Record::hides_uncovered) => {
                upkeep.covered(shard, key);
            }
            _ => {}
        }
    }

    fn change(
        &mut self,
        keys: &Keys,
        key: &ChannelKey,
        to: &mut Commands,
        change: impl FnOnce(&mut Record),
    ) {
        let Some(before) = self.channels.get(key).cloned().flatten() else {
            return;
        };
        let mut record = before.clone();
        change(&mut record);
        if record != before {
            self.keep(keys, key, Some(&before), record, to);
        }
    }

    /// Stores a record and what is derived of it.
    fn keep(
        &mut self,
        keys: &Keys,
        key: &ChannelKey,
        before: Option<&Record>,
        record: Record,
        to: &mut Commands,
    ) {
        let name = name(key);
        let name = name.as_bytes();
        let was = before.map(|record| &record.state);
        let is = &record.state;
        if is.is_forgotten() {
            forget(keys, key, to);
            self.channels.insert(key.clone(), None);
            return;
        }
        to.push(
            "HSET",
            keys.channels(),
            &[name, &Under(key).encode_record(&record)],
        );
        if was.and_then(|was| was.unsent) != is.unsent {
            match is.unsent {
                Some(mark) => to.push("HSET", keys.unsent(), &[name, &number(mark.0)]),
                None => to.push("HDEL", keys.unsent(), &[name]),
            }
        }
        if was.and_then(|was| was.timer) != is.timer {
            match is.timer {
                Some(at) => to.push("ZADD", keys.timers(), &[&number(at.0), name]),
                None => to.push("ZREM", keys.timers(), &[name]),
            }
        }
        if was.is_some_and(|was| was.alive) != is.alive {
            match is.alive {
                true => to.push("ZADD", keys.alive(), &[b"0", name]),
                false => to.push("ZREM", keys.alive(), &[name]),
            }
        }
        self.channels.insert(key.clone(), Some(record));
    }
}

/// When the event of a change was; the beginning of time for one before it, of which nothing is stored.
fn stamp_of(change: &ChannelCommit, sequence: Sequence) -> Timestamp {
    let entry = change
        .entries
        .iter()
        .find(|entry| entry.sequence == sequence);
    entry.map_or_else(Timestamp::default, |entry| entry.stamp)
}

fn append(keys: &Keys, change: &ChannelCommit, record: &mut Record, to: &mut Commands) {
    let key = &change.key;
    for entry in &change.entries {
        if entry.archive.is_some() {
            record.archived += 1;
            let body = Under(key).encode_entry(entry, Some(record.archived));
            to.append(keys.archive(key), entry, &body);
        } else {
            let body = Under(key).encode_entry(entry, None);
            to.append(keys.journal(key), entry, &body);
        }
    }
}

fn rewrite(keys: &Keys, change: &ChannelCommit, record: &mut Record, to: &mut Commands) {
    let held = |sequence: Sequence| record.state.floor < sequence && sequence <= record.state.head;
    let rewrites: Vec<_> = change
        .rewrites
        .iter()
        .filter(|it| held(it.sequence))
        .collect();
    record.rewritten |= !rewrites.is_empty();
    for rewrite in rewrites {
        let blob = Under(&change.key).encode_rewrite(rewrite);
        let sequence = number(rewrite.sequence.0);
        to.push("HSET", keys.rewrites(&change.key), &[&sequence, &blob]);
    }
}

/// What the archive hides stays only as long as no snapshot covers it.
fn trim(keys: &Keys, key: &ChannelKey, record: &Record, to: &mut Commands) {
    if record.state.floor > Sequence(0) && !record.hides_uncovered() {
        let first = keys::id(record.first());
        to.push("XTRIM", keys.archive(key), &[b"MINID", first.as_bytes()]);
    }
}

fn forget(keys: &Keys, key: &ChannelKey, to: &mut Commands) {
    let name = name(key);
    let name = name.as_bytes();
    for of_channel in [keys.archive(key), keys.journal(key), keys.rewrites(key)] {
        to.push("DEL", of_channel, &[]);
    }
    for hash in [keys.channels(), keys.snapshots(), keys.unsent()] {
        to.push("HDEL", hash, &[name]);
    }
    for set in [keys.timers(), keys.alive()] {
        to.push("ZREM", set, &[name]);
    }
}

fn list(keys: &Keys, key: &ChannelKey, listing: Option<&Listing>, to: &mut Commands) {
    let name = name(key);
    let name = name.as_bytes();
    let shown = listing.is_some_and(|listing| listing.listed);
    match listing {
        Some(listing) => {
            let blob = Under(key).encode_listing(listing);
            to.push("HSET", keys.listings(), &[name, &blob]);
            to.push("ZADD", keys.directory(true), &[b"0", name]);
        }
        None => {
            to.push("HDEL", keys.listings(), &[name]);
            to.push("ZREM", keys.directory(true), &[name]);
        }
    }
    match shown {
        true => to.push("ZADD", keys.directory(false), &[b"0", name]),
        false => to.push("ZREM", keys.directory(false), &[name]),
    }
}
