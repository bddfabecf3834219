//! The bytes of what lies in Redis: channels' records, entries, snapshots, rewrites, listings.
//!
//! Built of the same parts as SQLite's blobs. The checksum covers the channel's name, so that a value in the wrong place
//! is noticed.

use bytes::Bytes;

use super::keys;
use super::upkeep::MAX_JOURNAL;
use crate::sqlite::codec::{Decoder, Encoder, Malformed, Table};
use crate::sqlite::log;
use crate::state::ChannelState;
use crate::{
    Ack, ChannelKey, CommitNumber, ConnectionId, Entry, Error, LeaseNumber, Listing, Place,
    Rewrite, Sequence, Snapshot, StoredOutcome, Timestamp,
};

/// What is known of a channel besides its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: ChannelState,
    /// Stamp of the entry at `state.floor`: with it the floor is a place in the archive.
    pub(super) floor_stamp: Timestamp,
    /// Sequence of the stored snapshot.
    pub(super) snapshot: Option<Sequence>,
    /// Messages ever archived: the newest has this number, which pages are counted by.
    pub(super) archived: u64,
    /// Some archived message has been rewritten.
    pub(super) rewritten: bool,
}

impl Record {
    /// Its journal is so long that a snapshot is due.
    pub(super) fn is_long(&self) -> bool {
        let covered = self.snapshot.map_or(0, |covered| covered.0);
        self.state.head.0.saturating_sub(covered) > MAX_JOURNAL
    }

    /// What is hidden of its archive is journal still, until a snapshot covers it.
    pub(super) fn hides_uncovered(&self) -> bool {
        self.snapshot
            .is_none_or(|covered| covered < self.state.floor)
    }

    /// The first place that is not hidden.
    pub(super) const fn first(&self) -> Place {
        keys::next(Place {
            stamp: self.floor_stamp,
            sequence: self.state.floor,
        })
    }
}

/// An entry of a stream, and its number in the archive.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) entry: Entry,
    pub(super) number: Option<u64>,
}

/// A value that lies under the name of `key`.
#[derive(Clone, Copy)]
pub(super) struct Under<'a>(pub(super) &'a ChannelKey);

impl Under<'_> {
    fn row(self) -> i64 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(keys::name(self.0).as_bytes());
        sum.finalize().into()
    }

    fn read<'b, T>(
        self,
        table: Table,
        blob: &'b Bytes,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let damaged = |why: String| Error::Corrupt(format!("{table} of {}: {why}", self.0));
        let mut from = match Decoder::open(table, self.row(), blob) {
            Ok(from) => from,
            Err(Error::Corrupt(why)) => return Err(damaged(why)),
            Err(error) => return Err(error),
        };
        read(&mut from).map_err(|why| damaged(why.0.to_owned()))
    }

    pub(super) fn encode_record(self, record: &Record) -> Vec<u8> {
        let mut to = Encoder::new();
        let state = &record.state;
        to.number(state.head.0);
        to.number(state.stamp.0);
        to.byte(state.alive.into());
        to.number(state.floor.0);
        to.number(record.floor_stamp.0);
        to.optional(state.unsent.map(|mark| mark.0));
        to.optional(state.timer.map(|at| at.0));
        to.optional(record.snapshot.map(|sequence| sequence.0));
        to.number(record.archived);
        to.byte(record.rewritten.into());
        to.count(state.acks().count());
        for ack in state.acks() {
            to.bytes(ack.connection.0.as_bytes());
            to.number(ack.lease.0);
            to.number(ack.sequence.0);
            to.number(ack.commit.0);
        }
        to.count(state.outcomes().count());
        for stored in state.outcomes() {
            to.number(stored.commit.0);
            log::put_outcome(&mut to, &stored.outcome);
        }
        to.seal(Table::Channels, self.row())
    }

    pub(super) fn record(self, blob: &Bytes) -> Result<Record, Error> {
        self.read(Table::Channels, blob, record)
    }

    pub(super) fn encode_entry(self, entry: &Entry, number: Option<u64>) -> Vec<u8> {
        let mut to = Encoder::with_capacity(entry.record.len() + 64);
        to.optional(number);
        log::put_entry(&mut to, entry);
        to.seal(Table::Log, self.row())
    }

    pub(super) fn entry(self, blob: &Bytes) -> Result<Stored, Error> {
        self.read(Table::Log, blob, |from| {
            Ok(Stored {
                number: from.optional()?,
                entry: log::entry(from)?,
            })
        })
    }

    /// The sequence in front is for the script that loads.
    pub(super) fn encode_snapshot(self, snapshot: &Snapshot) -> Vec<u8> {
        let mut to = Encoder::with_capacity(snapshot.state.len() + 16);
        to.number(snapshot.sequence.0);
        to.fixed(&snapshot.state);
        let mut value = format!("{}:", snapshot.sequence).into_bytes();
        value.extend(to.seal(Table::Snapshots, self.row()));
        value
    }

    pub(super) fn snapshot(self, value: &Bytes) -> Result<Snapshot, Error> {
        let colon = value.iter().position(|byte| *byte == b':');
        let blob = value.slice(colon.map_or(0, |at| at + 1)..);
        self.read(Table::Snapshots, &blob, |from| {
            Ok(Snapshot {
                sequence: Sequence(from.number()?),
                state: blob.slice(from.position()..),
            })
        })
    }

    pub(super) fn encode_rewrite(self, rewrite: &Rewrite) -> Vec<u8> {
        let mut to = Encoder::with_capacity(rewrite.record.len() + 16);
        to.number(rewrite.sequence.0);
        to.number(rewrite.kind.into());
        to.bytes(&rewrite.record);
        to.seal(Table::Pages, self.row())
    }

    pub(super) fn rewrite(self, blob: &Bytes) -> Result<Rewrite, Error> {
        self.read(Table::Pages, blob, |from| {
            Ok(Rewrite {
                sequence: Sequence(from.number()?),
                kind: from.small()?,
                record: from.bytes()?,
            })
        })
    }

    pub(super) fn encode_listing(self, listing: &Listing) -> Vec<u8> {
        let mut to = Encoder::new();
        to.bytes(listing.title.as_bytes());
        to.number(listing.occupants.into());
        to.byte(listing.listed.into());
        to.bytes(&listing.details);
        to.seal(Table::Directory, self.row())
    }

    pub(super) fn listing(self, blob: &Bytes) -> Result<Listing, Error> {
        self.read(Table::Directory, blob, |from| {
            Ok(Listing {
                title: from.text()?.to_string(),
                occupants: from.small()?,
                listed: from.byte()? != 0,
                details: from.bytes()?,
            })
        })
    }
}

fn record(from: &mut Decoder<'_>) -> Result<Record, Malformed> {
    let mut state = ChannelState::default();
    state.head = Sequence(from.number()?);
    state.stamp = Timestamp(from.number()?);
    state.alive = from.byte()? != 0;
    state.floor = Sequence(from.number()?);
    let floor_stamp = Timestamp(from.number()?);
    state.unsent = from.optional()?.map(CommitNumber);
    state.timer = from.optional()?.map(Timestamp);
    let snapshot = from.optional()?.map(Sequence);
    let archived = from.number()?;
    let rewritten = from.byte()? != 0;
    let acks = log::list(from, ack)?;
    let outcomes = log::list(from, |from| {
        Ok(StoredOutcome {
            commit: CommitNumber(from.number()?),
            outcome: log::outcome(from)?,
        })
    })?;
    Ok(Record {
        state: state.restore(acks, outcomes),
        floor_stamp,
        snapshot,
        archived,
        rewritten,
    })
}

fn ack(from: &mut Decoder<'_>) -> Result<Ack, Malformed> {
    Ok(Ack {
        connection: ConnectionId(from.text()?),
        lease: LeaseNumber(from.number()?),
        sequence: Sequence(from.number()?),
        commit: CommitNumber(from.number()?),
    })
}
