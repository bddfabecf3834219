//! Rebuilds the index from the file: the log on top of the rows of `channels` and `shards`.
//!
//! Checks every blob of the log, that no row is missing, and that each channel goes on where it stopped. What does not fit
//! is reported with its row, never passed over.

use std::collections::BTreeMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;
use rusqlite::Connection;

use super::codec::{Decoder, Malformed, Table, corrupt};
use super::failure::failed;
use super::index::{Index, Live, LogRows, Overlay, Span};
use super::log::{self, Item};
use super::row::{Core, Shard};
use super::rows;
use super::schema::Meta;
use crate::state::{self, ChannelState, Tip};
use crate::{
    ChannelCommit, ChannelKey, CommitNumber, Error, Life, ProcessId, Receipts, Rewrite, ShardId,
};

/// The index of the file.
pub(super) fn index(db: &Connection, meta: &Meta) -> Result<Index, Error> {
    let mut replay = Replay {
        db,
        log: LogRows::starting_at(meta.log_first),
        shards: rows::shards(db)?.into_iter().collect(),
        channels: HashMap::default(),
    };
    let mut statement = db
        .prepare("SELECT id, data FROM log ORDER BY id")
        .map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let (id, data): (i64, Vec<u8>) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        replay.row(id, Bytes::from(data))?;
    }
    replay.finish()
}

struct Replay<'a> {
    db: &'a Connection,
    log: LogRows,
    shards: BTreeMap<ShardId, Shard>,
    channels: HashMap<(ShardId, ChannelKey), Found, RandomState>,
}

/// A channel that the log names.
enum Found {
    /// Its condition, and the log row up to which its row in `channels` says all.
    Known(Box<Live>, i64),
    /// Only receipts name it, and the store holds nothing of it.
    Unknown,
    /// Its beginning is gone: right only if it is forgotten further on. The log row that showed it.
    Orphan(i64),
}

impl Replay<'_> {
    fn row(&mut self, id: i64, blob: Bytes) -> Result<(), Error> {
        let next = self.log.next();
        if id < next {
            // Trimmed, but the deletion was not durable: nothing needs it.
            return Ok(());
        }
        if id > next {
            return Err(Error::Corrupt(format!(
                "rows {next} to {} of table log are missing",
                id - 1
            )));
        }
        let mut from = Decoder::open(Table::Log, id, &blob)?;
        let malformed = |why: Malformed| corrupt(Table::Log, id, why);
        while let Some(item) = log::item(&mut from).map_err(malformed)? {
            match item {
                Item::Commit {
                    shard,
                    number,
                    sections,
                } => {
                    self.commit(shard, number, id)?;
                    for _ in 0..sections {
                        let offset = u32::try_from(from.position()).unwrap_or(u32::MAX);
                        let change = log::section(&mut from).map_err(malformed)?;
                        self.section(shard, number, change, (id, offset))?;
                    }
                    self.receipts(shard, &log::receipts(&mut from).map_err(malformed)?, id)?;
                }
                Item::Receipts { shard } => {
                    self.receipts(shard, &log::receipts(&mut from).map_err(malformed)?, id)?;
                }
                Item::Forget { shard, key } => {
                    self.channels.remove(&(shard, key));
                }
                Item::ForgetProcess { shard, process } => self.forget_process(shard, process, id),
            }
        }
        self.log.push(blob);
        Ok(())
    }

    fn commit(&mut self, shard: ShardId, number: CommitNumber, id: i64) -> Result<(), Error> {
        let state = self.shards.entry(shard).or_default();
        // The shard's row may be newer than this log row.
        if number > state.last_commit.next() {
            let last = state.last_commit;
            return Err(wrong(
                id,
                &format!("commit {number} of shard {shard} follows {last}"),
            ));
        }
        state.last_commit = state.last_commit.max(number);
        Ok(())
    }

    fn section(
        &mut self,
        shard: ShardId,
        number: CommitNumber,
        change: ChannelCommit,
        (id, offset): (i64, u32),
    ) -> Result<(), Error> {
        let begins = change.expected.0 == 0
            || change
                .entries
                .first()
                .is_some_and(|it| it.life == Life::Creates);
        let found = self.found(shard, &change.key)?;
        if matches!(found, Found::Unknown) {
            *found = if begins {
                Found::Known(Box::new(Live::new(Core::new(shard))), 0)
            } else {
                Found::Orphan(id)
            };
        }
        let Found::Known(live, folded) = found else {
            return Ok(());
        };
        if id > *folded {
            check(live, &change, id)?;
            live.core.state.apply(&change, number);
            live.core.hide_pages();
            live.dirty.get_or_insert(id);
        }
        live.spans.extend(Span::of(&change, id, offset));
        // The row may know a newer head than this section had.
        let head = change
            .entries
            .last()
            .map_or(change.expected, |entry| entry.sequence);
        let rewrites = change
            .rewrites
            .into_iter()
            .filter(|rewrite| rewrite.sequence <= head);
        live.overlay.extend(rewrites.map(|rewrite| Overlay {
            log: id,
            rewrite: owned(rewrite),
        }));
        Ok(())
    }

    fn receipts(&mut self, shard: ShardId, receipts: &Receipts, id: i64) -> Result<(), Error> {
        for ack in &receipts.acks {
            self.change(shard, &ack.key, id, |state| state.acknowledge(ack))?;
        }
        for (key, connection) in &receipts.gone {
            self.change(shard, key, id, |state| state.gone(connection))?;
        }
        for sent in &receipts.sent {
            self.change(shard, &sent.key, id, |state| state.sent(sent.commit))?;
        }
        for it in &receipts.answered {
            self.change(shard, &it.key, id, |state| {
                state.answered(it.process, it.base)
            })?;
        }
        Ok(())
    }

    fn change(
        &mut self,
        shard: ShardId,
        key: &ChannelKey,
        id: i64,
        change: impl FnOnce(&mut ChannelState),
    ) -> Result<(), Error> {
        if let Found::Known(live, folded) = self.found(shard, key)?
            && id > *folded
        {
            change(&mut live.core.state);
            live.dirty.get_or_insert(id);
        }
        Ok(())
    }

    fn forget_process(&mut self, shard: ShardId, process: ProcessId, id: i64) {
        for ((_, _), found) in self.channels.iter_mut().filter(|((of, _), _)| *of == shard) {
            if let Found::Known(live, folded) = found
                && id > *folded
                && live.core.state.has_outcomes_of(process)
            {
                live.core.state.forget(process);
                live.dirty.get_or_insert(id);
            }
        }
    }

    fn found(&mut self, shard: ShardId, key: &ChannelKey) -> Result<&mut Found, Error> {
        match self.channels.entry((shard, key.clone())) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let row = rows::find_channel(self.db, shard, key)?;
                let found = row.map_or(Found::Unknown, |(core, folded)| {
                    Found::Known(Box::new(Live::new(core)), folded)
                });
                Ok(slot.insert(found))
            }
        }
    }

    fn finish(self) -> Result<Index, Error> {
        let mut channels = Vec::with_capacity(self.channels.len());
        for ((_, key), found) in self.channels {
            match found {
                Found::Known(live, _) => channels.push((key, *live)),
                Found::Unknown => {}
                Found::Orphan(id) => {
                    return Err(wrong(
                        id,
                        &format!("the beginning of channel {key} is missing"),
                    ));
                }
            }
        }
        Ok(Index::restore(self.log, self.shards, channels))
    }
}

fn check(live: &Live, change: &ChannelCommit, id: i64) -> Result<(), Error> {
    let fresh = live.core.row.is_none() && live.core.state == ChannelState::default();
    let tip = (!fresh).then(|| Tip::from(&live.core.state));
    state::check(tip, change)
        .map(|_| ())
        .map_err(|error| wrong(id, &error.to_string()))
}

/// The log of channels does not fit together.
fn wrong(id: i64, what: &str) -> Error {
    Error::Corrupt(format!("row {id} of table log: {what}"))
}

/// A copy that does not hold on to the blob it was read from.
fn owned(rewrite: Rewrite) -> Rewrite {
    Rewrite {
        record: Bytes::copy_from_slice(&rewrite.record),
        ..rewrite
    }
}
