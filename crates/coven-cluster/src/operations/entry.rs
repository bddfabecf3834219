//! One operation of the table: what of its sendings may have been executed, and how much it weighs.

use super::{DEPARTURES, Effects, OWNERLESS, UNKNOWN};
use crate::{Operation, OperationId, ProcessId, Request};
use coven_core::{Command, Condition, Refusal};
use std::collections::VecDeque;
use tokio::time::Instant;

/// What an operation weighs besides its payload.
const OVERHEAD_BYTES: usize = 512;

/// The unanswered operations of a channel, in order.
pub(super) type Line = VecDeque<Entry>;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) n: u64,
    pub(super) operation: Box<Operation>,
    pub(super) bytes: usize,
    /// When it came.
    pub(super) since: Instant,
    /// To whom it was sent and has not come back from.
    pub(super) with: Option<ProcessId>,
    /// How many of its sendings may have been executed.
    pub(super) in_doubt: u32,
    /// Its outcome is durable.
    pub(super) is_committed: bool,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) const fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }

    pub(super) const fn take(&mut self, bytes: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Whether a line has more than `most` of some; short lines are not counted.
pub(super) fn has_more(line: &Line, most: usize, of: impl Fn(&Entry) -> bool) -> bool {
    line.len() > most && line.iter().filter(|entry| of(entry)).count() > most
}

impl Entry {
    pub(super) fn new(n: u64, operation: Box<Operation>, bytes: usize, since: Instant) -> Self {
        Self {
            n,
            operation,
            bytes,
            since,
            with: None,
            in_doubt: 0,
            is_committed: false,
        }
    }

    /// Sends it, unless it is there already, or may not be sent again. `false`: there was no room.
    pub(super) fn send(&mut self, id: OperationId, to: ProcessId, out: &mut dyn Effects) -> bool {
        let is_there = self.with == Some(to);
        if is_there || self.operation.is_passing() && self.in_doubt > 0 {
            return true;
        }
        let mut operation = self.operation.copy();
        operation.id = Some(id);
        if !out.send(to, operation) {
            return false;
        }
        self.with = Some(to);
        self.in_doubt += 1;
        true
    }

    /// Whether it may have been executed where nobody can be asked any more, and must not be sent again.
    pub(super) fn is_spent(&self) -> bool {
        self.operation.is_passing() && self.with.is_none() && self.in_doubt > 0
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let patience = match self.operation.is_departure() {
            true => DEPARTURES,
            false if self.in_doubt > 0 => UNKNOWN,
            false => OWNERLESS,
        };
        !self.is_committed && now >= self.since + patience
    }

    /// What its sender is told: `refusal`, unless more than `known` sendings may have been executed.
    pub(super) fn verdict(&self, known: u32, refusal: Refusal) -> Refusal {
        if self.in_doubt > known {
            return Refusal::usual(Condition::RemoteServerTimeout);
        }
        refusal
    }
}

/// About how much memory it holds.
#[must_use]
pub fn weight(operation: &Operation) -> usize {
    let carried = match &operation.request {
        Request::Command(Command::Post(post)) => post.payload.len(),
        _ => 0,
    };
    OVERHEAD_BYTES + operation.origin.payload.len().max(carried)
}
