//! What the writer does besides requests: packing messages into pages, trimming the log, deleting old pages.
//!
//! Upkeep is staged at the beginning of a transaction, from what is durable, and becomes durable with it. It never waits
//! for anything, and does a bounded amount each time.

use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use rusqlite::Connection;
use tracing::error;

use super::codec::{Decoder, Table, corrupt};
use super::log::{self, Item};
use super::page::PAGE;
use super::row::Shard;
use super::shared::{Shared, Trace};
use super::stage::Stage;
use super::view::View;
use super::{rows, schema};
use crate::{ChannelKey, Error, Place, Retention, Sequence, ShardId};

/// Channels packed in one transaction, at most.
const PACKED_AT_ONCE: usize = 16;
/// Log rows looked at in one transaction, at most, to find out what holds up the trimming.
const SETTLED_AT_ONCE: i64 = 16;
/// Bytes of one channel put aside in one transaction, about.
const HELD_AT_ONCE: usize = 1 << 20;
/// Pages deleted in one transaction, at most.
const BURIED_AT_ONCE: i64 = 64;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Upkeep {
    full: VecDeque<(ShardId, ChannelKey)>,
    queued: HashSet<(ShardId, ChannelKey), RandomState>,
    /// There may be doomed pages.
    doomed: bool,
    /// The log is to be trimmed below the low mark.
    trimming: bool,
    /// Only a snapshot lets the trimming go on; not worth a look before the log has so many bytes.
    blocked_until: u64,
    /// Log rows before this one are of no use, and may still be in the file.
    trim_to: i64,
    /// Bytes of such rows.
    dropped: u64,
    /// What the rows of shards say.
    written: BTreeMap<ShardId, Shard>,
    meta: schema::Meta,
}

impl Upkeep {
    pub(super) fn new(meta: schema::Meta) -> Self {
        Self {
            full: VecDeque::new(),
            queued: HashSet::default(),
            doomed: true,
            trimming: false,
            blocked_until: 0,
            trim_to: meta.log_first,
            dropped: 0,
            written: BTreeMap::new(),
            meta,
        }
    }

    /// Takes note that a channel has enough messages in the log for a page.
    pub(super) fn note(&mut self, shard: ShardId, key: ChannelKey) {
        if self.queued.insert((shard, key.clone())) {
            self.full.push_back((shard, key));
        }
    }

    /// Whether there is anything to do.
    pub(super) fn is_due(&self, shared: &Shared) -> bool {
        let pending = !self.full.is_empty() || self.doomed;
        pending || (self.may_trim(shared) && shared.index().log.bytes() >= self.blocked_until)
    }

    /// Does some of it. What is damaged is reported and left alone, so that requests go on.
    pub(super) fn stage(&mut self, stage: &mut Stage<'_>) -> Result<(), Error> {
        self.pack(stage);
        match self.trim(stage).and_then(|()| self.bury(stage)) {
            Err(error @ Error::Corrupt(_)) => {
                error!(%error, "upkeep of the store failed");
                self.doomed = false;
                Ok(())
            }
            done => done,
        }
    }

    fn bury(&mut self, stage: &Stage<'_>) -> Result<(), Error> {
        if self.doomed {
            self.doomed = rows::bury(stage.db, BURIED_AT_ONCE)?;
        }
        Ok(())
    }

    /// What [`Upkeep::stage`] did is durable. `doomed`: there may be pages to delete.
    pub(super) const fn committed(&mut self, doomed: bool) {
        if self.dropped > 0 && self.meta.log_first == self.trim_to {
            self.dropped = 0;
        }
        self.doomed |= doomed;
    }

    /// What [`Upkeep::stage`] did is undone.
    pub(super) fn failed(&mut self) {
        self.doomed = true;
        self.written.clear();
    }

    fn pack(&mut self, stage: &mut Stage<'_>) {
        for _ in 0..PACKED_AT_ONCE {
            let Some((shard, key)) = self.full.pop_front() else {
                return;
            };
            self.queued.remove(&(shard, key.clone()));
            if let Err(error) = pack(stage, shard, &key, Amount::FullPages) {
                error!(%shard, %key, %error, "cannot pack the archive");
            }
        }
    }

    fn trim(&mut self, stage: &mut Stage<'_>) -> Result<(), Error> {
        if !self.may_trim(stage.shared) {
            return self.delete_dropped(stage);
        }
        self.drop_front(stage.shared);
        // First, so that what is put aside finds room on a full disk.
        self.delete_dropped(stage)?;
        let bytes = stage.shared.index().log.bytes();
        if bytes >= self.blocked_until {
            settle_front(stage)?;
            let helps = !stage.is_empty();
            self.blocked_until = if helps {
                0
            } else {
                bytes + stage.shared.options.log_limit / 16
            };
        }
        Ok(())
    }

    fn delete_dropped(&mut self, stage: &mut Stage<'_>) -> Result<(), Error> {
        if self.dropped == 0 || self.dropped < stage.shared.options.log_limit / 64 {
            return Ok(());
        }
        crate::fail::point("store-during-trimming");
        // What the dropped rows said of shards must be in their rows now.
        self.fold_shards(stage);
        rows::trim_log(stage.db, self.trim_to)?;
        self.meta.log_first = self.trim_to;
        schema::write_meta(stage.db, &self.meta)
    }

    fn fold_shards(&mut self, stage: &mut Stage<'_>) {
        let shards = stage.shared.index().shards.clone();
        for (shard, state) in &shards {
            if self.written.get(shard) != Some(state) {
                stage.fold_shard(*shard, *state);
            }
        }
        self.written = shards;
    }

    /// Takes rows that nothing needs out of the index. Readers that copied the index before have begun their view of
    /// the database before, too, so the rows may be deleted from now on.
    fn drop_front(&mut self, shared: &Shared) {
        let mut index = shared.index();
        let before = index.log.bytes();
        while index.log.bytes() > shared.options.low_mark()
            && !index.log.is_needed(index.log.first())
        {
            index.log.pop();
            self.blocked_until = 0;
        }
        self.dropped += before - index.log.bytes();
        self.trimming = index.log.bytes() > shared.options.low_mark();
        self.trim_to = index.log.first();
    }

    fn may_trim(&self, shared: &Shared) -> bool {
        let bytes = shared.index().log.bytes();
        if self.trimming {
            bytes > shared.options.low_mark()
        } else {
            bytes > shared.options.high_mark()
        }
    }
}

/// How much to pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    FullPages,
    Everything,
}

/// Packs messages of a channel into pages, once in a transaction: it goes by what is durable.
fn pack(
    stage: &mut Stage<'_>,
    shard: ShardId,
    key: &ChannelKey,
    amount: Amount,
) -> Result<(), Error> {
    if stage.is_packed(shard, key) {
        return Ok(());
    }
    let trace = {
        let index = stage.shared.index();
        let Some(live) = index.live(shard, key) else {
            return Ok(());
        };
        Trace::unpacked(&index, live)
    };
    let mut entries = trace.tail(stage.db)?;
    let all = entries.len();
    if amount == Amount::FullPages {
        let room = match trace.core.row {
            Some(row) => stage.pages.room(stage.db, row, trace.core.paging)?,
            None => 0,
        };
        entries.truncate(room + (all.saturating_sub(room)) / PAGE * PAGE);
        if all < room || entries.is_empty() {
            return Ok(());
        }
    }
    let everything = entries.len() == all;
    let packed = if everything {
        trace.core.state.head
    } else {
        entries.last().map_or(Sequence(0), |it| it.sequence)
    };
    stage.append_pages(shard, key, entries, packed)
}

/// Folds and packs what the oldest rows of the log are needed for, up to one that only a snapshot helps.
fn settle_front(stage: &mut Stage<'_>) -> Result<(), Error> {
    let first = stage.shared.index().log.first();
    for id in first..first.saturating_add(SETTLED_AT_ONCE) {
        match settle_row(stage, id) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error @ Error::Corrupt(_)) => {
                error!(row = id, %error, "cannot trim the log");
                return Ok(());
            }
            // The transaction may be gone.
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Answers whether the row can go once this transaction is durable.
fn settle_row(stage: &mut Stage<'_>, id: i64) -> Result<bool, Error> {
    let cached = {
        let index = stage.shared.index();
        if id + 1 >= index.log.next() || index.log.bytes() <= stage.shared.options.low_mark() {
            return Ok(false);
        }
        if !index.log.is_needed(id) {
            return Ok(true);
        }
        index.log.cached(id)
    };
    let blob = match cached {
        Some(blob) => blob,
        None => rows::read_log(stage.db, id)?,
    };
    let mut free = true;
    for (shard, key) in named_in(&blob, id)? {
        free &= settle(stage, id, shard, &key)?;
    }
    Ok(free)
}

fn settle(stage: &mut Stage<'_>, id: i64, shard: ShardId, key: &ChannelKey) -> Result<bool, Error> {
    let (blocked, unpacked, dirty) = {
        let index = stage.shared.index();
        let Some(live) = index.live(shard, key) else {
            return Ok(true);
        };
        (
            live.unsnapshotted().is_some_and(|row| row <= id),
            live.needs_packing(id),
            live.dirty.is_some_and(|row| row <= id),
        )
    };
    if unpacked {
        pack(stage, shard, key, Amount::Everything)?;
    }
    if dirty {
        stage.fold(shard, key)?;
    }
    Ok(!blocked || hold(stage, id, shard, key)?)
}

/// Puts entries aside that only a snapshot could replace, if the log is so long that no snapshot is to be expected.
/// Answers whether row `id` can do without this channel then.
fn hold(stage: &mut Stage<'_>, id: i64, shard: ShardId, key: &ChannelKey) -> Result<bool, Error> {
    let trace = {
        let index = stage.shared.index();
        let Some(live) = index.live(shard, key) else {
            return Ok(true);
        };
        if index.log.bytes() <= stage.shared.options.hold_mark() {
            return Ok(false);
        }
        let kept = stage.kept(shard, key).unwrap_or_else(|| live.core.kept());
        if live.beyond(kept).is_none_or(|row| row > id) {
            return Ok(true);
        }
        if kept > live.core.kept() {
            return Ok(false);
        }
        Trace::copy(&index, live, |span| span.last > kept)
    };
    let entries = trace.front(stage.db, HELD_AT_ONCE)?;
    stage.hold(shard, key, &entries)?;
    let kept = stage.kept(shard, key).unwrap_or_default();
    let index = stage.shared.index();
    let next = index.live(shard, key).and_then(|live| live.beyond(kept));
    Ok(next.is_none_or(|row| row > id))
}

/// The channels that a log row names.
fn named_in(
    blob: &bytes::Bytes,
    id: i64,
) -> Result<HashSet<(ShardId, ChannelKey), RandomState>, Error> {
    let mut from = Decoder::open(Table::Log, id, blob)?;
    let mut named = HashSet::default();
    let mut read = || {
        while let Some(item) = log::item(&mut from)? {
            let (shard, sections) = match item {
                Item::Commit {
                    shard, sections, ..
                } => (shard, sections),
                Item::Receipts { shard } => (shard, 0),
                Item::Forget { .. } | Item::ForgetProcess { .. } => continue,
            };
            for _ in 0..sections {
                named.insert((shard, log::skip_section(&mut from)?));
            }
            named.extend(
                log::receipts(&mut from)?
                    .keys()
                    .map(|key| (shard, key.clone())),
            );
        }
        Ok(())
    };
    read().map_err(|why| corrupt(Table::Log, id, why))?;
    Ok(named)
}

/// Hides what `retention` does not keep in any channel of a shard. Answers how many messages went.
pub(super) fn expire(
    stage: &mut Stage<'_>,
    shard: ShardId,
    retention: Retention,
) -> Result<u64, Error> {
    let mut traces: Vec<(ChannelKey, Trace)> = {
        let index = stage.shared.index();
        index
            .of_shard(shard)
            .map(|(key, live)| (key.clone(), Trace::unpacked(&index, live)))
            .collect()
    };
    let cold = rows::channels_of(stage.db, shard)?.into_iter();
    let cold = cold.filter(|(key, _)| stage.shared.index().live(shard, key).is_none());
    traces.extend(cold.map(|(key, core)| (key, Trace::cold(core))));
    let mut gone = 0;
    for (key, trace) in traces {
        if let Some((count, floor, first_page)) = expired(stage.db, &trace, retention)? {
            stage.raise_floor(shard, &key, floor, first_page)?;
            gone += count;
        }
    }
    Ok(gone)
}

/// How many messages of a channel go, the last of them, and the first page that stays.
fn expired(
    db: &Connection,
    trace: &Trace,
    retention: Retention,
) -> Result<Option<(u64, Sequence, u32)>, Error> {
    let view = View::new(db, &trace.core, trace.tail(db)?)?;
    let oldest = retention.not_before.map(|oldest| Place {
        stamp: oldest,
        sequence: Sequence(0),
    });
    let by_age = oldest.map_or(Ok(0), |oldest| view.rank(|place| place < oldest))?;
    let by_count = retention
        .max_count
        .map_or(0, |most| view.len().saturating_sub(most));
    let count = by_age.max(by_count);
    let Some(last) = count.checked_sub(1) else {
        return Ok(None);
    };
    let Some(entry) = view.get(last)? else {
        return Ok(None);
    };
    Ok(Some((count, entry.sequence, view.page_of(count)?)))
}
