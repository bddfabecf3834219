//! What of a channel's output is acknowledged, by which connection, and what follows from it: how far its journal may be
//! let go, whether anything is still owed, and which operations are done (design §3.6, §5.7). Pure.
//!
//! Counted are all connections of the space, held or not (IL-13, IL-21, IL-27): the lowest of them decides. What was never
//! sent cannot be acknowledged: such a word is about an earlier channel of the same name, and is dropped.

use coven_cluster::Acknowledged;
use coven_core::Sequence;
use coven_store::{Ack, LeaseNumber, StoredOutcome};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// A place in a channel's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// All events up to here.
    pub(crate) sequence: Sequence,
    /// All output of commits up to here.
    pub(crate) commit: u64,
}

impl Place {
    const MAX: Self = Self {
        sequence: Sequence(u64::MAX),
        commit: u64::MAX,
    };

    fn lower(self, other: Self) -> Self {
        Self {
            sequence: self.sequence.min(other.sequence),
            commit: self.commit.min(other.commit),
        }
    }
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
    /// Operations that are not done, of each process in order: what each waits for. One that made events is done when they
    /// are durable, since the journal owes them; it is here only behind one that is not.
    waiting: BTreeMap<u128, BTreeMap<u64, Option<Owed>>>,
}

/// What is said to one alone, and has to be taken in before its operation is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owed {
    /// The commit that it leaves with.
    pub(crate) commit: u64,
    /// The group of the connection by which it goes.
    pub(crate) group: SmolStr,
}

impl Owed {
    /// What a stored outcome says to its sender alone.
    pub(crate) fn of(stored: &StoredOutcome) -> Option<Self> {
        let to = stored.outcome.addressee.as_ref()?;
        let (commit, group) = (stored.commit.0, to.0.clone());
        Some(Self { commit, group })
    }
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
        self.waiting.clear();
        let floor = self.floor.commit;
        for it in outcomes.iter().filter(|it| it.commit.0 > floor) {
            if let Some(owed) = Owed::of(it) {
                self.waits(it.outcome.process.0, it.outcome.n, Some(owed));
            }
        }
    }

    /// Output of a commit has left. `marks`: the commit marked the channel as unsent.
    pub(crate) fn leaves(&mut self, last: Option<Sequence>, commit: u64, marks: bool) {
        self.sent.sequence = self.sent.sequence.max(last.unwrap_or_default());
        self.sent.commit = self.sent.commit.max(commit);
        if marks {
            self.marked = self.marked.max(commit);
        }
    }

    /// What an operation led to is durable. `owed`: what of it is waited for.
    pub(crate) fn waits(&mut self, process: u128, n: u64, owed: Option<Owed>) {
        self.waiting.entry(process).or_default().insert(n, owed);
    }

    /// An operation is done, but not before those that it follows.
    pub(crate) fn waits_behind(&mut self, process: u128, n: u64) {
        let of = self.waiting.entry(process).or_default();
        of.entry(n).or_insert(None);
    }

    /// Whether an operation, or one of its process before it, is not done.
    pub(crate) fn waits_for(&self, process: u128, n: u64) -> bool {
        let of = self.waiting.get(&process);
        of.is_some_and(|of| of.range(..=n).next().is_some())
    }

    /// A process will not ask any more.
    pub(crate) fn forget(&mut self, process: u128) {
        self.waiting.remove(&process);
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
        let others = self.by.iter().map(|(.., at)| self.at_least(*at));
        let least = others.reduce(Place::lower);
        let of_these = self.least_of(connections);
        least.map_or(of_these, |least| least.lower(of_these))
    }

    /// What these connections have taken in.
    fn least_of(&self, connections: &[SmolStr]) -> Place {
        let of = |name: &SmolStr| self.by.iter().find(|(of, ..)| of == name);
        let at = |name| of(name).map(|(.., at)| *at).unwrap_or_default();
        let all = connections.iter().map(|name| self.at_least(at(name)));
        let none = match self.by.is_empty() {
            true => self.floor,
            false => Place::MAX,
        };
        all.reduce(Place::lower).unwrap_or(none)
    }

    fn at_least(&self, at: Place) -> Place {
        Place {
            sequence: at.sequence.max(self.floor.sequence),
            commit: at.commit.max(self.floor.commit),
        }
    }

    /// What each connection has acknowledged.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&SmolStr, LeaseNumber, Place)> {
        self.by.iter().map(|(of, lease, at)| (of, *lease, *at))
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

    /// The operations that are done now: (process, n), of each process in order, since the end of one means that of all
    /// before it.
    pub(crate) fn done(&mut self, connections: &[SmolStr]) -> Vec<(u128, u64)> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut done = Vec::new();
        waiting.retain(|process, of| {
            while let Some(first) = of.first_entry() {
                if first
                    .get()
                    .as_ref()
                    .is_some_and(|it| self.is_owed(it, connections))
                {
                    break;
                }
                done.push((*process, *first.key()));
                first.remove();
            }
            !of.is_empty()
        });
        self.waiting = waiting;
        done
    }

    /// Whether none of a group's connections can be said to have taken something in. One that the group does not have goes by
    /// any.
    pub(crate) fn is_owed(&self, owed: &Owed, connections: &[SmolStr]) -> bool {
        let is_of = |name: &&SmolStr| {
            let rest = name.strip_prefix(owed.group.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let of_group: Vec<SmolStr> = connections.iter().filter(is_of).cloned().collect();
        let least = match of_group.is_empty() {
            true => self.least(connections),
            false => self.least_of(&of_group),
        };
        least.commit < owed.commit
    }
}
