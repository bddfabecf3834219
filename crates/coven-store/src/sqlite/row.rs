//! The bytes of table rows: channels, held entries, snapshots, shards, directory.
//!
//! A channel's row is its state as of one log row (`folded`): what the log says up to there is in it, what it says later
//! has to be applied on top. Archive pages have their own module, `page`.

use std::ops::Range;

use bytes::Bytes;

use super::codec::{Decoder, Encoder, Malformed, Table, corrupt};
use super::log;
use crate::state::ChannelState;
use crate::{
    Ack, ChannelKey, CommitNumber, ConnectionId, Entry, Epoch, Error, LeaseNumber, Listing,
    Sequence, SessionId, ShardId, Snapshot, StoredOutcome, Timestamp,
};

/// What is known of a channel besides its entries in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Core {
    pub(super) shard: ShardId,
    pub(super) state: ChannelState,
    /// Id of its row in `channels`; `None` while it is in the log only.
    pub(super) row: Option<i64>,
    /// Sequence of the stored snapshot.
    pub(super) snapshot: Option<Sequence>,
    pub(super) paging: Paging,
    /// Entries after the snapshot up to here are in the table `held`; 0 for none.
    pub(super) held: Sequence,
}

/// Which archive pages a channel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paging {
    /// Archived entries up to here are in pages; later ones are in the log.
    pub(super) packed: Sequence,
    /// Number of the first page that still counts.
    pub(super) first: u32,
    /// Number of the next page to write.
    pub(super) next: u32,
}

impl Core {
    pub(super) fn new(shard: ShardId) -> Self {
        Self {
            shard,
            state: ChannelState::default(),
            row: None,
            snapshot: None,
            paging: Paging::default(),
            held: Sequence(0),
        }
    }

    /// Entries up to here are not needed for a load.
    pub(super) fn covered(&self) -> Sequence {
        self.snapshot.unwrap_or_default()
    }

    /// Entries up to here are not read from the log for a load.
    pub(super) fn kept(&self) -> Sequence {
        self.covered().max(self.held)
    }

    /// Lets go of the archive pages if nothing in them is to be seen any more; answers which.
    pub(super) fn hide_pages(&mut self) -> Range<u32> {
        if self.state.floor < self.paging.packed {
            return 0..0;
        }
        let hidden = self.paging.first..self.paging.next;
        self.paging.first = self.paging.next;
        hidden
    }

    /// Archived entries up to here are not read from the log.
    pub(super) fn packed(&self) -> Sequence {
        self.paging.packed.max(self.state.floor)
    }
}

/// The row of `channels` with id `row`, as of log row `folded`.
pub(super) fn encode_channel(row: i64, key: &ChannelKey, core: &Core, folded: i64) -> Vec<u8> {
    let mut to = Encoder::new();
    let state = &core.state;
    to.key(key);
    to.number(core.shard.0.into());
    to.number(folded.unsigned_abs());
    to.number(state.head.0);
    to.number(state.stamp.0);
    to.byte(state.alive.into());
    to.number(state.floor.0);
    to.optional(state.unsent.map(|mark| mark.0));
    to.optional(state.timer.map(|at| at.0));
    to.optional(core.snapshot.map(|sequence| sequence.0));
    to.number(core.paging.packed.0);
    to.number(core.paging.first.into());
    to.number(core.paging.next.into());
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
    to.number(core.held.0);
    to.seal(Table::Channels, row)
}

/// Reads a row of `channels`: its key, its core, and up to which log row it is folded.
pub(super) fn decode_channel(row: i64, blob: Vec<u8>) -> Result<(ChannelKey, Core, i64), Error> {
    let blob = Bytes::from(blob);
    let mut from = Decoder::open(Table::Channels, row, &blob)?;
    channel(&mut from, row).map_err(|why| corrupt(Table::Channels, row, why))
}

fn channel(from: &mut Decoder<'_>, row: i64) -> Result<(ChannelKey, Core, i64), Malformed> {
    let key = from.key()?;
    let shard = ShardId(from.small()?);
    let folded = from.small()?;
    let mut state = ChannelState::default();
    state.head = Sequence(from.number()?);
    state.stamp = Timestamp(from.number()?);
    state.alive = from.byte()? != 0;
    state.floor = Sequence(from.number()?);
    state.unsent = from.optional()?.map(CommitNumber);
    state.timer = from.optional()?.map(Timestamp);

    let snapshot = from.optional()?.map(Sequence);
    let paging = Paging {
        packed: Sequence(from.number()?),
        first: from.small()?,
        next: from.small()?,
    };
    let acks = log::list(from, ack)?;
    let outcomes = log::list(from, |from| {
        Ok(StoredOutcome {
            commit: CommitNumber(from.number()?),
            outcome: log::outcome(from)?,
        })
    })?;
    let core = Core {
        shard,
        state: state.restore(acks, outcomes),
        row: Some(row),
        snapshot,
        paging,
        held: if from.is_at_end() {
            // Written under schema version 1.
            Sequence(0)
        } else {
            Sequence(from.number()?)
        },
    };
    Ok((key, core, folded))
}

fn ack(from: &mut Decoder<'_>) -> Result<Ack, Malformed> {
    Ok(Ack {
        connection: ConnectionId(from.text()?),
        lease: LeaseNumber(from.number()?),
        sequence: Sequence(from.number()?),
        commit: CommitNumber(from.number()?),
    })
}

/// A run of entries of the channel in row `row` that was taken out of the log.
pub(super) fn encode_held(row: i64, entries: &[Entry]) -> Vec<u8> {
    let mut to = Encoder::new();
    to.count(entries.len());
    for entry in entries {
        log::put_entry(&mut to, entry);
    }
    to.seal(Table::Held, row)
}

pub(super) fn decode_held(row: i64, blob: Vec<u8>) -> Result<Vec<Entry>, Error> {
    let blob = Bytes::from(blob);
    let mut from = Decoder::open(Table::Held, row, &blob)?;
    log::list(&mut from, log::entry).map_err(|why| corrupt(Table::Held, row, why))
}

pub(super) fn encode_snapshot(row: i64, snapshot: &Snapshot) -> Vec<u8> {
    let mut to = Encoder::with_capacity(snapshot.state.len() + 16);
    to.number(snapshot.sequence.0);
    to.fixed(&snapshot.state);
    to.seal(Table::Snapshots, row)
}

pub(super) fn decode_snapshot(row: i64, blob: Vec<u8>) -> Result<Snapshot, Error> {
    let blob = Bytes::from(blob);
    let mut from = Decoder::open(Table::Snapshots, row, &blob)?;
    let sequence = from
        .number()
        .map_err(|why| corrupt(Table::Snapshots, row, why))?;
    Ok(Snapshot {
        sequence: Sequence(sequence),
        state: blob.slice(from.position()..),
    })
}

/// What is known of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) epoch: Epoch,
    pub(super) owner: Option<SessionId>,
    pub(super) last_commit: CommitNumber,
}

pub(super) fn encode_shard(shard: ShardId, state: &Shard) -> Vec<u8> {
    let mut to = Encoder::with_capacity(40);
    to.number(state.epoch.0);
    to.number(state.last_commit.0);
    to.byte(state.owner.is_some().into());
    to.wide(state.owner.unwrap_or_default().0);
    to.seal(Table::Shards, shard.0.into())
}

/// Reads a row of `shards`. The owner in it is dead: it held the file's lock, which is ours now.
pub(super) fn decode_shard(row: i64, blob: Vec<u8>) -> Result<(ShardId, Shard), Error> {
    let blob = Bytes::from(blob);
    let mut from = Decoder::open(Table::Shards, row, &blob)?;
    let mut read = || {
        let shard =
            ShardId(u16::try_from(row).map_err(|_| Malformed("a shard's number is too large"))?);
        let (epoch, last_commit) = (Epoch(from.number()?), CommitNumber(from.number()?));
        Ok((
            shard,
            Shard {
                epoch,
                owner: None,
                last_commit,
            },
        ))
    };
    read().map_err(|why| corrupt(Table::Shards, row, why))
}

pub(super) fn encode_listing(local: &str, listing: &Listing) -> Vec<u8> {
    let mut to = Encoder::new();
    to.bytes(local.as_bytes());
    to.bytes(listing.title.as_bytes());
    to.number(listing.occupants.into());
    to.byte(listing.listed.into());
    to.bytes(&listing.details);
    to.seal(Table::Directory, 0)
}

pub(super) fn decode_listing(local: &str, blob: Vec<u8>) -> Result<Listing, Error> {
    let blob = Bytes::from(blob);
    let mut from = Decoder::open(Table::Directory, 0, &blob)?;
    let mut read = || {
        if from.text()? != local {
            return Err(Malformed("a row of another channel"));
        }
        Ok(Listing {
            title: from.text()?.to_string(),
            occupants: from.small()?,
            listed: from.byte()? != 0,
            details: from.bytes()?,
        })
    };
    read().map_err(|why| corrupt(Table::Directory, 0, why))
}
