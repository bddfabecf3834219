//! What of a channel's output is acknowledged, by which connection, and what follows from it: how far its journal may be
//! let go, whether anything is still owed, and which operations are done (design §3.6, §5.7). Pure.
//!
//! Counted are all connections of the space, held or not (IL-13, IL-21, IL-27): the lowest of them decides. What was never
//! sent cannot be acknowledged: such a word is about an earlier channel of the same name, and is dropped.

use coven_cluster::Acknowledged;
use coven_core::Sequence;
use coven_store::{Ack, LeaseNumber, StoredOutcome};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// A place in a channel's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// All events up to here.
    pub(crate) sequence: Sequence,
    /// All output of commits up to here.
    pub(crate) commit: u64,
}

/// The acknowledgements of one channel.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    by: Vec<(SmolStr, LeaseNumber, Place)>,
    /// Every connection has taken in what was before the channel was loaded, as far as that is known.
    floor: Place,
    /// Where the channel and its shard were when it was loaded.
    loaded: Place,
    /// What has been sent.
    sent: Place,
    /// The newest commit that marked the channel as unsent.
    marked: u64,
    /// Operations whose output is not acknowledged: (commit, process, n).
    waiting: BTreeSet<(u64, u128, u64)>,
}

impl Acks {
    /// The channel was loaded. `commit`: the newest of its shard.
    pub(crate) fn load(
        &mut self,
        stored: &[Ack],
        outcomes: &[StoredOutcome],
        (base, head): (Sequence, Sequence),
        unsent: Option<u64>,
        commit: u64,
    ) {
        let place = |ack: &Ack| Place {
            sequence: Sequence(ack.sequence.0),
            commit: ack.commit.0,
        };
        self.by = stored
            .iter()
            .map(|ack| (ack.connection.0.clone(), ack.lease, place(ack)))
            .collect();
        self.loaded = Place {
            sequence: head,
            commit,
        };
        self.sent = self.loaded;
        self.marked = unsent.unwrap_or_default();
        self.floor = match unsent {
            Some(_) => Place {
                sequence: base,
                commit: 0,
            },
            None => self.loaded,
        };
        self.waiting = outcomes
            .iter()
            .filter(|it| it.commit.0 > self.floor.commit)
            .map(|it| (it.commit.0, it.outcome.process.0, it.outcome.n))
            .collect();
    }

    /// Output of a commit has left. `marks`: the commit marked the channel as unsent.
    pub(crate) fn leaves(&mut self, last: Option<Sequence>, commit: u64, marks: bool) {
        self.sent.sequence = self.sent.sequence.max(last.unwrap_or_default());
        self.sent.commit = self.sent.commit.max(commit);
        if marks {
            self.marked = self.marked.max(commit);
        }
    }

    /// What an operation led to is durable. `commit`: the one that made output of it; one that made none waits only for what
    /// was owed before.
    pub(crate) fn waits(&mut self, commit: Option<u64>, process: u128, n: u64) {
        let commit = commit.unwrap_or(self.marked);
        self.waiting.insert((commit, process, n));
    }

    /// Whether an operation's output is still waited for.
    pub(crate) fn waits_for(&self, process: u128, n: u64) -> bool {
        self.waiting
            .iter()
            .any(|(_, p, m)| (*p, *m) == (process, n))
    }

    /// A process will not ask any more.
    pub(crate) fn forget(&mut self, process: u128) {
        self.waiting.retain(|(_, p, _)| *p != process);
    }

    /// Takes an acknowledgement. Tells whether it counts.
    pub(crate) fn take(&mut self, ack: &Acknowledged) -> bool {
        let place = Place {
            sequence: ack.sequence,
            commit: ack.commit,
        };
        let lease = LeaseNumber(ack.lease.0);
        let of_another =
            place.sequence > self.loaded.sequence && place.commit <= self.loaded.commit;
        if place.sequence > self.sent.sequence || place.commit > self.sent.commit || of_another {
            return false;
        }
        let known = self.by.iter_mut().find(|(of, ..)| *of == ack.connection);
        let Some((_, newest, at)) = known else {
            self.by.push((ack.connection.clone(), lease, place));
            return true;
        };
        if lease < *newest {
            return false;
        }
        *newest = lease;
        at.sequence = at.sequence.max(place.sequence);
        at.commit = at.commit.max(place.commit);
        true
    }

    /// What all connections have taken in.
    pub(crate) fn least(&self, connections: &[SmolStr]) -> Place {
        let of = |name: &SmolStr| self.by.iter().find(|(of, ..)| of == name);
        let at = |known: Option<&(SmolStr, LeaseNumber, Place)>| {
            let at = known.map(|(.., at)| *at).unwrap_or_default();
            Place {
                sequence: at.sequence.max(self.floor.sequence),
                commit: at.commit.max(self.floor.commit),
            }
        };
        let configured = connections.iter().map(|name| at(of(name)));
        let others = self.by.iter().map(|known| at(Some(known)));
        let all = configured.chain(others);
        let least = all.reduce(|one, other| Place {
            sequence: one.sequence.min(other.sequence),
            commit: one.commit.min(other.commit),
        });
        least.unwrap_or(self.floor)
    }

    /// Whether output is owed to any connection.
    pub(crate) fn owes(&self, connections: &[SmolStr]) -> bool {
        self.least(connections).commit < self.marked
    }

    /// The newest event that was sent.
    pub(crate) const fn newest(&self) -> Sequence {
        self.sent.sequence
    }

    /// Connections are not waited for any more: everything up to `place` counts as taken in.
    pub(crate) fn waive(&mut self, gone: &[SmolStr], place: Sequence) {
        self.by.retain(|(of, ..)| !gone.contains(of));
        self.floor.sequence = self.floor.sequence.max(place);
        self.floor.commit = self.floor.commit.max(self.marked);
    }

    /// The operations that are done, with a new state of acknowledgements: (process, n).
    pub(crate) fn done(&mut self, connections: &[SmolStr]) -> Vec<(u128, u64)> {
        let up_to = self.least(connections).commit;
        let rest = self.waiting.split_off(&(up_to + 1, 0, 0));
        let done = std::mem::replace(&mut self.waiting, rest);
        done.into_iter()
            .map(|(_, process, n)| (process, n))
            .collect()
    }
}
