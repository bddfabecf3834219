//! Operations of a front-end on remote links: which node each goes to, what is sent again, what its sender is told when
//! nobody answers (design §3.2, §5.10; interleavings IL-19, IL-20, IL-25).
//!
//! Owns the front-end's shard map, made of the nodes' own words, and every operation from its first sending until it is
//! done. Pure: the time comes in, what is to be sent or refused goes out through [`Effects`]. It does not know links, nor
//! how errors look. In one process nothing of this is needed: operations have no names there and are never sent again.
//!
//! The chain: `n` counts per process. `prev` and `base` are those of the moment of each sending, over the operations of the
//! channel that are unanswered then; reads and passing commands stand outside of it, and are never sent again once they may
//! have been executed.
//!
//! Bounds (I9): [`OPERATIONS`] in all, [`PER_CHANNEL`] of one channel, [`BYTES`] of payload. Beyond them an operation is given
//! back to the caller, who refuses it. What is committed does not count: it waits for its output only, which a connection
//! that is away may hold up for long. As many of those are kept, to be sent again to a node whose store has lost them;
//! beyond that the oldest are forgotten: their outcome is stored, and the journal owes what they led to.

use crate::{Channel, Operation, OperationId, ProcessId, ShardId};
use coven_core::{Condition, Epoch, Refusal};
pub use entry::weight;
use entry::{Entry, Line, Load, has_more};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Operations that are kept.
pub const OPERATIONS: usize = 65_536;
/// Operations of one channel.
pub const PER_CHANNEL: usize = 4_096;
/// Bytes of what they carry.
pub const BYTES: usize = 64 * 1024 * 1024;
/// What has never left this process is refused after so long without an owner.
pub const OWNERLESS: Duration = Duration::from_secs(5);
/// What may have been executed is `remote-server-timeout` after so long without a word.
pub const UNKNOWN: Duration = Duration::from_secs(20);
/// What says that a session is gone is kept for so long: nobody is told that it was given up, and a ghost would stay. Not for
/// longer: whoever left may be back by another front-end.
pub const DEPARTURES: Duration = Duration::from_secs(30);
/// What a node has not taken is sent again after so long.
const AGAIN: Duration = Duration::from_millis(250);
/// What the table wants done, at once and in order.
pub trait Effects {
    /// Hands an operation to a node's link. `false`: its queue is full, nothing was sent.
    fn send(&mut self, to: ProcessId, operation: Box<Operation>) -> bool;
    /// Tells the operation's sender why it is given up; it is in the table no more.
    fn refuse(&mut self, operation: &Operation, refusal: Refusal);
}

/// The operations of one front-end process, and who owns which shard.
#[derive(Debug)]
pub struct Operations {
    process: ProcessId,
    /// The number of the last operation.
    n: u64,
    links: BTreeSet<ProcessId>,
    shards: BTreeMap<ShardId, Shard>,
    /// Channels of which something could not be sent, since a queue was full.
    backlog: BTreeSet<Channel>,
    /// Channels of which a node has not taken something that is kept, ...
    put_off: BTreeSet<Channel>,
    /// ... and when they are in the backlog again.
    again: Option<Instant>,
    /// What is not committed.
    open: Load,
    /// What is.
    committed: Load,
    /// Where that is, the oldest first.
    oldest: BTreeMap<u64, Channel>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The highest that anybody has named.
    epoch: Epoch,
    owner: Option<ProcessId>,
    /// Since when operations find no owner.
    ownerless: Option<Instant>,
    lines: BTreeMap<Channel, Line>,
}

impl Operations {
    /// The table of a front-end process.
    #[must_use]
    pub const fn new(process: ProcessId) -> Self {
        Self {
            process,
            n: 0,
            links: BTreeSet::new(),
            shards: BTreeMap::new(),
            backlog: BTreeSet::new(),
            put_off: BTreeSet::new(),
            again: None,
            open: Load { count: 0, bytes: 0 },
            committed: Load { count: 0, bytes: 0 },
            oldest: BTreeMap::new(),
        }
    }

    /// Takes an operation, and sends it if the shard's owner is known.
    ///
    /// Errors: gives it back, never sent, where a bound is reached, the owner's queue is full, or nobody has owned the shard
    /// for [`OWNERLESS`].
    pub fn submit(
        &mut self,
        operation: Box<Operation>,
        now: Instant,
        out: &mut dyn Effects,
    ) -> Result<(), Box<Operation>> {
        let bytes = weight(&operation);
        if self.open.count >= OPERATIONS || self.open.bytes + bytes > BYTES {
            return Err(operation);
        }
        let channel = operation.channel.clone();
        let target = self.target(channel.shard());
        let shard = self.shards.entry(channel.shard()).or_default();
        if target.is_none() && now >= *shard.ownerless.get_or_insert(now) + OWNERLESS {
            return Err(operation);
        }
        let line = shard.lines.entry(channel.clone()).or_default();
        if has_more(line, PER_CHANNEL - 1, |entry| !entry.is_committed) {
            return Err(operation);
        }
        self.n += 1;
        line.push_back(Entry::new(self.n, operation, bytes, now));
        self.open.add(bytes);
        match target {
            Some(to) if !self.flush(&channel, to, out) => self.withdraw(&channel),
            _ => Ok(()),
        }
    }

    /// A link to a node is up.
    pub fn link_up(&mut self, node: ProcessId) {
        self.links.insert(node);
    }

    /// The link to a node is gone, and with it what it owns; what was sent there and not answered waits for the next owner,
    /// but for what may not be sent twice.
    pub fn link_down(&mut self, node: ProcessId, now: Instant, out: &mut dyn Effects) {
        self.links.remove(&node);
        let shards: Vec<ShardId> = self.shards.keys().copied().collect();
        for id in shards {
            let Some(shard) = self.shards.get_mut(&id) else {
                continue;
            };
            if shard.owner == Some(node) {
                shard.owner = None;
                shard.ownerless = Some(now);
            }
            for entry in shard.lines.values_mut().flatten() {
                entry.with.take_if(|with| *with == node);
            }
            self.give_up(id, |entry| entry.is_spent(), out);
        }
    }

    /// A node owns shards: what waits for them goes there, first and in order.
    pub fn owned(&mut self, node: ProcessId, shards: &[(ShardId, Epoch)], out: &mut dyn Effects) {
        for (id, epoch) in shards {
            let shard = self.shards.entry(*id).or_default();
            if !self.links.contains(&node) || *epoch < shard.epoch {
                continue;
            }
            shard.epoch = *epoch;
            shard.ownerless = None;
            if shard.owner.replace(node) != Some(node) {
                self.send_shard(*id, node, out);
            }
        }
    }

    /// A node owns shards no more. What was sent there and not answered goes to the next owner, also if that is the same node:
    /// it may have dropped it with the shard.
    pub fn released(&mut self, node: ProcessId, shards: &[(ShardId, Epoch)], now: Instant) {
        for (id, epoch) in shards {
            let shard = self.shards.entry(*id).or_default();
            if shard.disown(node, *epoch, now) {
                let entries = shard.lines.values_mut().flatten();
                for entry in entries.filter(|entry| !entry.operation.is_passing()) {
                    entry.with.take_if(|with| *with == node);
                }
            }
        }
    }

    /// An operation came to a node that does not own its shard: nothing was done there.
    pub fn not_owner(
        &mut self,
        node: ProcessId,
        channel: &Channel,
        n: u64,
        epoch: Epoch,
        now: Instant,
        out: &mut dyn Effects,
    ) {
        let Some(shard) = self.shards.get_mut(&channel.shard()) else {
            return;
        };
        shard.disown(node, epoch, now);
        let line = shard.lines.get_mut(channel);
        let entry = line.and_then(|line| line.iter_mut().find(|entry| entry.n == n));
        if let Some(entry) = entry.filter(|entry| entry.with == Some(node)) {
            entry.with = None;
            entry.in_doubt = entry.in_doubt.saturating_sub(1);
        }
        if let Some(to) = self.target(channel.shard()) {
            self.flush(channel, to, out);
        }
    }

    /// A node lacks operations of a channel: all after `after` are sent again, in order.
    pub fn missing(
        &mut self,
        node: ProcessId,
        channel: &Channel,
        after: u64,
        out: &mut dyn Effects,
    ) {
        let Some(line) = self.line(channel) else {
            return;
        };
        for entry in line.iter_mut().filter(|entry| entry.n > after) {
            if !entry.operation.is_passing() {
                entry.with.take_if(|with| *with == node);
            }
        }
        if self.target(channel.shard()) == Some(node) {
            self.flush(channel, node, out);
        }
    }

    /// What an operation led to is durable: it does not time out any more (IL-25).
    pub fn committed(&mut self, channel: &Channel, n: u64) {
        let Some(line) = self.line(channel) else {
            return;
        };
        let at = line.binary_search_by_key(&n, |entry| entry.n);
        let entry = at.ok().and_then(|at| line.get_mut(at));
        let Some(entry) = entry.filter(|entry| !entry.is_committed) else {
            return;
        };
        entry.is_committed = true;
        let bytes = entry.bytes;
        let too_many = has_more(line, PER_CHANNEL, |entry| entry.is_committed);
        let first = line.iter().find(|entry| entry.is_committed);
        let first = first.map(|entry| entry.n).filter(|_| too_many);
        self.open.take(bytes);
        self.committed.add(bytes);
        self.oldest.insert(n, channel.clone());
        if let Some(first) = first {
            self.remove(channel, |entry| entry.n == first);
        }
        self.forget_oldest();
    }

    /// What is committed and beyond the bounds is forgotten.
    fn forget_oldest(&mut self) {
        while self.committed.count > OPERATIONS || self.committed.bytes > BYTES {
            let Some((n, channel)) = self.oldest.pop_first() else {
                return;
            };
            self.remove(&channel, |entry| entry.n == n);
        }
    }

    /// What commands up to `n` led to is acknowledged; if `n` is a read or a passing command, it alone is answered. Of what is
    /// not kept any more nobody knows which it was: its end says nothing of others.
    pub fn done(&mut self, channel: &Channel, n: u64) {
        let Some(is_passing) = self.kept(channel, n).map(|e| e.operation.is_passing()) else {
            return;
        };
        let is_done = |entry: &Entry| {
            entry.n == n || entry.n < n && !is_passing && !entry.operation.is_passing()
        };
        self.remove(channel, is_done);
    }

    /// Sends what found a full queue.
    pub fn retry(&mut self, out: &mut dyn Effects) {
        for channel in std::mem::take(&mut self.backlog) {
            if let Some(to) = self.target(channel.shard()) {
                self.flush(&channel, to, out);
            }
        }
    }

    /// Whether something waits for room in a queue.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Operations that are kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.open.count + self.committed.count
    }

    /// Whether none is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The owner of a shard, if a link leads there.
    #[must_use]
    pub fn target(&self, shard: ShardId) -> Option<ProcessId> {
        let owner = self.shards.get(&shard)?.owner?;
        self.links.contains(&owner).then_some(owner)
    }

    /// Whether this is a read or a passing command that is kept.
    #[must_use]
    pub fn is_passing(&self, channel: &Channel, n: u64) -> bool {
        let entry = self.kept(channel, n);
        entry.is_some_and(|entry| entry.operation.is_passing())
    }

    fn kept(&self, channel: &Channel, n: u64) -> Option<&Entry> {
        let line = self.shards.get(&channel.shard())?.lines.get(channel)?;
        let at = line.binary_search_by_key(&n, |entry| entry.n).ok()?;
        line.get(at)
    }

    fn line(&mut self, channel: &Channel) -> Option<&mut Line> {
        let shard = self.shards.get_mut(&channel.shard())?;
        shard.lines.get_mut(channel)
    }

    /// Sends all unanswered operations of a shard to its new owner.
    fn send_shard(&mut self, id: ShardId, to: ProcessId, out: &mut dyn Effects) {
        let Some(shard) = self.shards.get_mut(&id) else {
            return;
        };
        let channels: Vec<Channel> = shard.lines.keys().cloned().collect();
        for channel in channels {
            self.flush(&channel, to, out);
        }
    }

    /// Sends what is not with this node yet, in order. `false`: its queue is full.
    fn flush(&mut self, channel: &Channel, to: ProcessId, out: &mut dyn Effects) -> bool {
        let process = self.process.0;
        let Some(line) = self.line(channel) else {
            return true;
        };
        let first = line.iter().find(|entry| !entry.operation.is_passing());
        let base = first.or_else(|| line.back()).map_or(0, |entry| entry.n - 1);
        let mut prev = base;
        for entry in line.iter_mut() {
            let (n, is_passing) = (entry.n, entry.operation.is_passing());
            let id = OperationId {
                process,
                n,
                prev,
                base,
            };
            if !entry.send(id, to, out) {
                self.backlog.insert(channel.clone());
                return false;
            }
            if !is_passing {
                prev = n;
            }
        }
        true
    }

    /// Takes the newest operation of a channel back, for which its node has no room, if it never left.
    fn withdraw(&mut self, channel: &Channel) -> Result<(), Box<Operation>> {
        let newest = self.line(channel).and_then(|line| line.back());
        let Some(n) = newest.filter(|e| e.with.is_none()).map(|e| e.n) else {
            return Ok(());
        };
        let removed = self.remove(channel, |entry| entry.n == n);
        match removed.into_iter().next() {
            Some(entry) => Err(entry.operation),
            None => Ok(()),
        }
    }

    /// Gives up operations of a shard.
    fn give_up(&mut self, id: ShardId, which: impl Fn(&Entry) -> bool, out: &mut dyn Effects) {
        let Some(shard) = self.shards.get(&id) else {
            return;
        };
        let has =
            |(channel, line): (&Channel, &Line)| line.iter().any(&which).then(|| channel.clone());
        let channels: Vec<Channel> = shard.lines.iter().filter_map(has).collect();
        for channel in channels {
            for entry in self.remove(&channel, &which) {
                let busy = Refusal::usual(Condition::ResourceConstraint);
                let busy = busy.text("the service is busy");
                out.refuse(&entry.operation, entry.verdict(0, busy));
            }
        }
    }

    /// Takes operations out.
    fn remove(&mut self, channel: &Channel, which: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let Some(shard) = self.shards.get_mut(&channel.shard()) else {
            return Vec::new();
        };
        let Some(line) = shard.lines.get_mut(channel) else {
            return Vec::new();
        };
        let (gone, kept): (Vec<Entry>, Line) = std::mem::take(line).into_iter().fold(
            (Vec::new(), Line::new()),
            |(mut gone, mut kept), entry| {
                if which(&entry) {
                    gone.push(entry);
                } else {
                    kept.push_back(entry);
                }
                (gone, kept)
            },
        );
        *line = kept;
        if line.is_empty() {
            shard.lines.remove(channel);
            self.backlog.remove(channel);
        }
        for entry in &gone {
            if entry.is_committed {
                self.committed.take(entry.bytes);
                self.oldest.remove(&entry.n);
            } else {
                self.open.take(entry.bytes);
            }
        }
        gone
    }
}

impl Shard {
    /// The node says that it does not own it, as of an epoch. Tells whether that is the newest that is known.
    fn disown(&mut self, node: ProcessId, epoch: Epoch, now: Instant) -> bool {
        let is_news = epoch >= self.epoch;
        if self.owner == Some(node) && is_news {
            self.owner = None;
            self.ownerless = Some(now);
        }
        self.epoch = self.epoch.max(epoch);
        is_news
    }
}

mod entry;
mod refusals;
#[cfg(test)]
mod tests;
