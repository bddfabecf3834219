//! The index in memory: which channels have something in the log, and where.
//!
//! Only durable things are in it. It takes over each transaction once that is committed; readers copy what they need
//! under its lock, and begin their view of the database under the same lock, so that what the copy points to is there
//! (`underway` says how the two are kept together). A channel whose log is all folded into its row is not in it: an idle
//! channel costs no memory.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;

use super::page::PAGE;
use super::row::{Core, Shard};
use super::stage::Staged;
use super::underway::{Full, Underway};
use crate::{ChannelCommit, ChannelKey, Rewrite, Sequence, ShardId};

/// All of the index.
#[derive(Debug, Default)]
pub(super) struct Index {
    channels: HashMap<ShardId, HashMap<ChannelKey, Live, RandomState>, RandomState>,
    pub(super) shards: BTreeMap<ShardId, Shard>,
    pub(super) log: LogRows,
    pub(super) underway: Underway,
}

/// A channel with something in the log.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) core: Core,
    pub(super) spans: Vec<Span>,
    pub(super) overlay: Vec<Overlay>,
    /// The oldest log row with a change that is in no row of `channels` yet.
    pub(super) dirty: Option<i64>,
    /// Archived entries that are in no page yet, at most.
    pub(super) unpacked: u32,
    /// What was kept elsewhere and packed when spans were last dropped.
    pruned: Option<(Sequence, Sequence)>,
}

/// Where entries of a channel are: a section of a log blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) log: i64,
    pub(super) offset: u32,
    /// How many of the entries are archived.
    pub(super) archived: u32,
    pub(super) first: Sequence,
    pub(super) last: Sequence,
}

/// A new record for an archived message that is in no page yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overlay {
    pub(super) log: i64,
    pub(super) rewrite: Rewrite,
}

impl Span {
    /// Where the entries of a section are; `None` if it has none.
    pub(super) fn of(change: &ChannelCommit, log: i64, offset: u32) -> Option<Self> {
        let archived = change
            .entries
            .iter()
            .filter(|entry| entry.archive.is_some())
            .count();
        Some(Self {
            log,
            offset,
            archived: u32::try_from(archived).unwrap_or(u32::MAX),
            first: change.entries.first()?.sequence,
            last: change.entries.last()?.sequence,
        })
    }
}

impl Live {
    pub(super) const fn new(core: Core) -> Self {
        Self {
            core,
            spans: Vec::new(),
            overlay: Vec::new(),
            dirty: None,
            unpacked: 0,
            pruned: None,
        }
    }

    /// Whether messages in log rows up to `id` are in no page yet.
    pub(super) fn needs_packing(&self, id: i64) -> bool {
        let packed = self.core.packed();
        let spans = self
            .spans
            .iter()
            .any(|span| span.log <= id && span.archived > 0 && span.last > packed);
        spans || self.overlay.iter().any(|overlay| overlay.log <= id)
    }

    fn append(&mut self, rows: &mut LogRows, spans: Vec<Span>, overlay: Vec<Overlay>) {
        spans.iter().for_each(|span| rows.refer(span.log, 1));
        overlay
            .iter()
            .for_each(|overlay| rows.refer(overlay.log, 1));
        self.unpacked += spans.iter().map(|span| span.archived).sum::<u32>();
        self.spans.extend(spans);
        self.overlay.extend(overlay);
    }

    fn mark(&mut self, rows: &mut LogRows, logged: bool, folded: bool, log: i64) {
        if folded && let Some(dirty) = self.dirty.take() {
            rows.refer(dirty, -1);
        }
        if logged && !folded && self.dirty.is_none() {
            self.dirty = Some(log);
            rows.refer(log, 1);
        }
    }

    /// Drops spans and overlays that are in a snapshot or a page by now.
    fn prune(&mut self, rows: &mut LogRows) {
        let (covered, packed) = (self.core.kept(), self.core.packed());
        if self.pruned.replace((covered, packed)) == Some((covered, packed)) {
            return;
        }
        self.spans.retain(|span| {
            let keep = span.last > covered || (span.archived > 0 && span.last > packed);
            if !keep {
                rows.refer(span.log, -1);
            }
            keep
        });
        let unpacked = self.spans.iter().filter(|span| span.last > packed);
        self.unpacked = unpacked.map(|span| span.archived).sum();
        let any = self.unpacked > 0;
        self.overlay.retain(|overlay| {
            let keep = any && overlay.rewrite.sequence > packed;
            if !keep {
                rows.refer(overlay.log, -1);
            }
            keep
        });
    }

    fn release(self, rows: &mut LogRows) {
        let spans = self.spans.iter().map(|span| span.log);
        let overlay = self.overlay.iter().map(|overlay| overlay.log);
        spans
            .chain(overlay)
            .chain(self.dirty)
            .for_each(|id| rows.refer(id, -1));
    }

    /// Whether the log may be trimmed without this channel.
    fn is_settled(&self) -> bool {
        self.spans.is_empty() && self.overlay.is_empty() && self.dirty.is_none()
    }

    /// The oldest log row with entries that are in no snapshot and not held apart.
    pub(super) fn unsnapshotted(&self) -> Option<i64> {
        self.beyond(self.core.kept())
    }

    /// The oldest log row with entries after `sequence`.
    pub(super) fn beyond(&self, sequence: Sequence) -> Option<i64> {
        let mut spans = self.spans.iter();
        spans.find(|span| span.last > sequence).map(|span| span.log)
    }
}

impl Index {
    /// The index of a log and the channels in it, as they were found in the file.
    pub(super) fn restore(
        log: LogRows,
        shards: BTreeMap<ShardId, Shard>,
        channels: Vec<(ChannelKey, Live)>,
    ) -> Self {
        let mut index = Self {
            channels: HashMap::default(),
            shards,
            log,
            underway: Underway::Nothing,
        };
        for (key, mut live) in channels {
            let spans = live.spans.iter().map(|span| span.log);
            let overlay = live.overlay.iter().map(|overlay| overlay.log);
            spans
                .chain(overlay)
                .chain(live.dirty)
                .for_each(|id| index.log.refer(id, 1));
            live.prune(&mut index.log);
            if !live.is_settled() {
                index
                    .channels
                    .entry(live.core.shard)
                    .or_default()
                    .insert(key, live);
            }
        }
        index
    }

    /// A channel with something in the log.
    pub(super) fn live(&self, shard: ShardId, key: &ChannelKey) -> Option<&Live> {
        self.channels.get(&shard)?.get(key)
    }

    /// The channels of a shard with something in the log.
    pub(super) fn of_shard(&self, shard: ShardId) -> impl Iterator<Item = (&ChannelKey, &Live)> {
        self.channels.get(&shard).into_iter().flatten()
    }

    /// All channels with something in the log.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ChannelKey, &Live)> {
        self.channels.values().flatten()
    }

    /// The channels that hold up the front of the log most, oldest first, at most `max`.
    pub(super) fn oldest(&self, max: usize) -> Vec<(ShardId, ChannelKey)> {
        let spans = self
            .all()
            .filter_map(|(key, live)| Some((live.unsnapshotted()?, live.core.shard, key)));
        let mut spans: Vec<_> = spans.collect();
        spans.sort_unstable();
        spans
            .into_iter()
            .take(max)
            .map(|(_, shard, key)| (shard, key.clone()))
            .collect()
    }

    /// Makes a committed transaction visible. Answers which channels have enough messages for a page.
    pub(super) fn take_over(&mut self, staged: Staged) -> Full {
        let log = self.log.next();
        if let Some(blob) = staged.blob {
            self.log.push(Bytes::from(blob));
        }
        let mut full = Full::new();
        for (shard, key, change) in staged.channels {
            if self.publish(shard, &key, change, log) as usize >= PAGE {
                full.push((shard, key));
            }
        }
        self.shards.extend(staged.shards);
        full
    }

    /// Makes what a transaction did to a channel visible. Answers how many of its messages are in no page.
    fn publish(&mut self, shard: ShardId, key: &ChannelKey, change: Change, log: i64) -> u32 {
        let Self {
            channels,
            log: rows,
            ..
        } = self;
        let channels = channels.entry(shard).or_default();
        if change.afresh
            && let Some(before) = channels.remove(key)
        {
            before.release(rows);
        }
        let Some(core) = change.core else { return 0 };
        let mut slot = match channels.entry(key.clone()) {
            Slot::Occupied(slot) => slot,
            Slot::Vacant(slot) => slot.insert_entry(Live::new(core.clone())),
        };
        let live = slot.get_mut();
        live.append(rows, change.spans, change.overlay);
        live.mark(rows, change.logged, change.folded, log);
        live.core = core;
        live.prune(rows);
        let unpacked = live.unpacked;
        if live.is_settled() {
            slot.remove();
        }
        unpacked
    }
}

/// What a transaction does to a channel.
#[derive(Debug)]
pub(super) struct Change {
    /// Its condition afterwards; `None` where nothing of it is left.
    pub(super) core: Option<Core>,
    /// Nothing of what was there before counts.
    pub(super) afresh: bool,
    /// New entries.
    pub(super) spans: Vec<Span>,
    /// New records of unpacked messages.
    pub(super) overlay: Vec<Overlay>,
    /// The log says something of it that its row does not.
    pub(super) logged: bool,
    /// Its row says all that the log does.
    pub(super) folded: bool,
}

impl Change {
    /// Whether it changes anything at all: a channel may only have been looked at.
    pub(super) const fn is_any(&self) -> bool {
        let said = !self.spans.is_empty() || !self.overlay.is_empty();
        self.afresh || said || self.logged || self.folded
    }
}

/// The rows of the log: ids without gaps, each with its size and how much still refers to it.
#[derive(Debug, Default)]
pub(super) struct LogRows {
    first: i64,
    rows: VecDeque<LogRow>,
    bytes: u64,
    cached: usize,
    /// Rows before this id are not cached.
    cached_from: i64,
}

#[derive(Debug)]
struct LogRow {
    size: u32,
    references: i64,
    data: Option<Bytes>,
}

/// Newest blobs are kept in memory up to this many bytes, for packing and for reading the tail.
const CACHE: usize = 4 << 20;

impl LogRows {
    /// An empty log whose next row is `next`.
    pub(super) fn starting_at(next: i64) -> Self {
        Self {
            first: next,
            cached_from: next,
            ..Self::default()
        }
    }

    /// Id of the oldest row.
    pub(super) const fn first(&self) -> i64 {
        self.first
    }

    /// Id of the next row.
    pub(super) fn next(&self) -> i64 {
        self.first + i64::try_from(self.rows.len()).unwrap_or(i64::MAX)
    }

    /// Size of all blobs.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether anything still needs a row. One that is not there counts as needed.
    pub(super) fn is_needed(&self, id: i64) -> bool {
        self.row(id).is_none_or(|row| row.references > 0)
    }

    /// Appends a row.
    pub(super) fn push(&mut self, blob: Bytes) {
        self.bytes += blob.len() as u64;
        self.cached += blob.len();
        let size = u32::try_from(blob.len()).unwrap_or(u32::MAX);
        self.rows.push_back(LogRow {
            size,
            references: 0,
            data: Some(blob),
        });
        while self.cached > CACHE && self.cached_from < self.next() {
            let dropped = self
                .row_mut(self.cached_from)
                .and_then(|row| row.data.take());
            self.cached -= dropped.map_or(0, |data| data.len());
            self.cached_from += 1;
        }
    }

    /// Drops the oldest row, which nothing needs.
    pub(super) fn pop(&mut self) {
        let Some(row) = self.rows.pop_front() else {
            return;
        };
        self.first += 1;
        self.cached_from = self.cached_from.max(self.first);
        self.bytes -= u64::from(row.size);
        self.cached -= row.data.map_or(0, |data| data.len());
    }

    /// The blob of a row, if it is cached.
    pub(super) fn cached(&self, id: i64) -> Option<Bytes> {
        self.row(id)?.data.clone()
    }

    fn refer(&mut self, id: i64, by: i64) {
        if let Some(row) = self.row_mut(id) {
            row.references += by;
        }
    }

    fn row(&self, id: i64) -> Option<&LogRow> {
        self.rows
            .get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    fn row_mut(&mut self, id: i64) -> Option<&mut LogRow> {
        self.rows
            .get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }
}
