//! Operations that come to nothing: not taken by a node, overdue, or given up with the stream of their senders.
//!
//! Owns nothing: the table is [`Operations`]'s.

use super::entry::Entry;
use super::{AGAIN, Effects, Operations};
use crate::{Channel, Operation, ProcessId, ShardId};
use coven_core::{Condition, Refusal};
use tokio::time::Instant;

impl Operations {
    /// A node has not taken an operation, and keeps nothing of it: it is dropped, then refused (IL-19). Where an earlier
    /// sending may have been executed, nobody can say that it was not. A departure waits in its place, and is sent again.
    pub fn not_taken(
        &mut self,
        node: ProcessId,
        channel: &Channel,
        n: u64,
        refusal: Refusal,
        out: &mut dyn Effects,
    ) {
        let of_node = |entry: &Entry| entry.n == n && entry.with == Some(node);
        if refusal.condition == Condition::ResourceConstraint && self.keeps(channel, of_node) {
            return;
        }
        for entry in self.remove(channel, of_node) {
            if !entry.is_committed {
                out.refuse(&entry.operation, entry.verdict(1, refusal.clone()));
            }
        }
    }

    /// Whether it is a departure, which is then sent again with a later [`Self::tick`].
    fn keeps(&mut self, channel: &Channel, which: impl Fn(&Entry) -> bool) -> bool {
        let line = self.line(channel);
        let entry = line.and_then(|line| line.iter_mut().find(|entry| which(entry)));
        let is_kept = |entry: &&mut Entry| entry.operation.is_departure() && !entry.is_committed;
        let Some(entry) = entry.filter(is_kept) else {
            return false;
        };
        entry.with = None;
        entry.in_doubt = entry.in_doubt.saturating_sub(1);
        self.put_off.insert(channel.clone());
        true
    }

    /// Gives up what has waited for too long, and sends what found a full queue.
    pub fn tick(&mut self, now: Instant, out: &mut dyn Effects) {
        if self.again.is_none_or(|at| now >= at) {
            self.again = Some(now + AGAIN);
            self.backlog.append(&mut self.put_off);
        }
        self.retry(out);
        let shards: Vec<ShardId> = self.shards.keys().copied().collect();
        for id in shards {
            self.give_up(id, |entry| entry.is_overdue(now), out);
        }
    }

    /// Gives up what is meant and has no owner to go to: the stream by which its sender can be told is about to end.
    pub fn abandon(&mut self, is_meant: impl Fn(&Operation) -> bool, out: &mut dyn Effects) {
        let shards: Vec<ShardId> = self.shards.keys().copied().collect();
        let ownerless: Vec<ShardId> = shards
            .into_iter()
            .filter(|id| self.target(*id).is_none())
            .collect();
        for id in ownerless {
            let is_over = |entry: &Entry| {
                let operation = &entry.operation;
                !entry.is_committed && !operation.is_departure() && is_meant(operation)
            };
            self.give_up(id, is_over, out);
        }
    }
}
