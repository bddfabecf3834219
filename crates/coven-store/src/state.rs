//! What a store knows of a channel apart from its entries: the part that all implementations in this process share.
//!
//! Says which commits, receipts and snapshots are accepted, and what they change. Holds no record and no snapshot: where
//! these are kept is each implementation's own matter.

use crate::{
    Ack, Acknowledgement, ChannelCommit, CommitNumber, ConnectionId, Entry, Error, Life, Loaded,
    Outcome, ProcessId, Sequence, Snapshot, StoredOutcome, TimerChange, Timestamp,
};

/// The numbers and marks of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChannelState {
    /// Newest sequence.
    pub(crate) head: Sequence,
    /// Stamp of the newest entry.
    pub(crate) stamp: Timestamp,
    /// Created and not destroyed.
    pub(crate) alive: bool,
    /// Archived messages up to here are hidden: expired, or of a channel that was destroyed.
    pub(crate) floor: Sequence,
    /// The commit of the newest output not known to be acknowledged.
    pub(crate) unsent: Option<CommitNumber>,
    /// The deadline.
    pub(crate) timer: Option<Timestamp>,
    /// In order of connection. Few, and copied with each transaction: hence no map.
    acks: Vec<Ack>,
    /// In order of (process, n).
    outcomes: Vec<StoredOutcome>,
}

impl ChannelState {
    /// Rebuilds a state from its parts.
    pub(crate) fn restore(mut self, acks: Vec<Ack>, outcomes: Vec<StoredOutcome>) -> Self {
        (self.acks, self.outcomes) = (acks, outcomes);
        self.acks
            .sort_by(|one, other| one.connection.cmp(&other.connection));
        self.outcomes.sort_by_key(StoredOutcome::order);
        self
    }

    /// Makes `change`, which passed [`check`], part of the state.
    pub(crate) fn apply(&mut self, change: &ChannelCommit, number: CommitNumber) {
        if self.head < change.expected {
            self.head = change.expected;
            self.floor = change.expected;
        }
        for entry in &change.entries {
            self.append(entry);
        }
        for outcome in &change.outcomes {
            self.keep(outcome, number);
        }
        if change.unsent {
            self.unsent = Some(number);
        }
        match change.timer {
            TimerChange::Keep => {}
            TimerChange::Clear => self.timer = None,
            TimerChange::Set(at) => self.timer = Some(at),
        }
    }

    /// Stores an acknowledgement; one of an older lease is passed over, and numbers never go back.
    pub(crate) fn acknowledge(&mut self, ack: &Acknowledgement) {
        let new = Ack {
            connection: ack.connection.clone(),
            lease: ack.lease,
            sequence: ack.sequence,
            commit: ack.commit,
        };
        let found = self
            .acks
            .binary_search_by(|stored| stored.connection.cmp(&new.connection));
        let stored = match found {
            Ok(at) => self.acks.get_mut(at),
            Err(at) => return self.acks.insert(at, new),
        };
        if let Some(stored) = stored.filter(|stored| ack.lease >= stored.lease) {
            stored.lease = ack.lease;
            stored.sequence = stored.sequence.max(ack.sequence);
            stored.commit = stored.commit.max(ack.commit);
        }
    }

    /// Drops what a connection acknowledged.
    pub(crate) fn gone(&mut self, connection: &ConnectionId) {
        self.acks.retain(|ack| ack.connection != *connection);
    }

    /// Takes the mark away unless a commit after `commit` has set it (IL-21).
    pub(crate) fn sent(&mut self, commit: CommitNumber) {
        if self.unsent.is_some_and(|mark| mark <= commit) {
            self.unsent = None;
        }
    }

    /// Forgets outcomes of `process` up to `base`.
    pub(crate) fn answered(&mut self, process: ProcessId, base: u64) {
        self.outcomes
            .retain(|it| it.outcome.process != process || it.outcome.n > base);
    }

    /// Forgets all outcomes of `process`.
    pub(crate) fn forget(&mut self, process: ProcessId) {
        self.answered(process, u64::MAX);
    }

    /// Whether nothing of the channel is needed any more.
    pub(crate) fn is_forgotten(&self) -> bool {
        !self.alive && self.unsent.is_none() && self.timer.is_none() && self.outcomes.is_empty()
    }

    /// Whether any outcome of `process` is kept.
    pub(crate) fn has_outcomes_of(&self, process: ProcessId) -> bool {
        self.outcomes.iter().any(|it| it.outcome.process == process)
    }

    /// Whether a snapshot at `sequence` covers only what is committed and acknowledged.
    pub(crate) fn admits_snapshot(&self, sequence: Sequence) -> bool {
        let acknowledged =
            || !self.acks.is_empty() && self.acks.iter().all(|ack| ack.sequence >= sequence);
        sequence <= self.head && (self.unsent.is_none() || acknowledged())
    }

    /// Acknowledgements in order of connection.
    pub(crate) fn acks(&self) -> impl Iterator<Item = &Ack> {
        self.acks.iter()
    }

    /// Outcomes in order of (process, n).
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &StoredOutcome> {
        self.outcomes.iter()
    }

    /// What a new owner is told.
    pub(crate) fn loaded(&self, snapshot: Option<Snapshot>, journal: Vec<Entry>) -> Loaded {
        Loaded {
            head: self.head,
            dead: !self.alive,
            snapshot,
            journal,
            acks: self.acks().cloned().collect(),
            outcomes: self.outcomes().cloned().collect(),
            unsent: self.unsent,
            timer: self.timer,
        }
    }

    fn append(&mut self, entry: &Entry) {
        self.head = entry.sequence;
        self.stamp = entry.stamp;
        match entry.life {
            Life::Within => {}
            Life::Creates => self.alive = true,
            Life::Destroys => {
                self.alive = false;
                self.floor = entry.sequence;
                self.timer = None;
            }
        }
    }

    fn keep(&mut self, outcome: &Outcome, commit: CommitNumber) {
        self.answered(outcome.process, outcome.base);
        let new = StoredOutcome {
            commit,
            outcome: outcome.clone(),
        };
        match self
            .outcomes
            .binary_search_by_key(&new.order(), StoredOutcome::order)
        {
            Ok(at) => self.outcomes.splice(at..=at, [new]).for_each(drop),
            Err(at) => self.outcomes.insert(at, new),
        }
    }
}

impl StoredOutcome {
    const fn order(&self) -> (u128, u64) {
        (self.outcome.process.0, self.outcome.n)
    }
}

/// The little that decides whether a commit fits a channel; cheap to copy, so that it can run ahead of what is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) head: Sequence,
    pub(crate) stamp: Timestamp,
    pub(crate) alive: bool,
}

impl From<&ChannelState> for Tip {
    fn from(state: &ChannelState) -> Self {
        Self {
            head: state.head,
            stamp: state.stamp,
            alive: state.alive,
        }
    }
}

/// Checks `change` against the channel's tip (`None`: unknown channel) and answers the tip after it.
pub(crate) fn check(tip: Option<Tip>, change: &ChannelCommit) -> Result<Tip, Error> {
    let stored = tip.map_or(Sequence(0), |tip| tip.head);
    let creates = change
        .entries
        .first()
        .is_some_and(|entry| entry.life == Life::Creates);
    if change.expected != stored && !(tip.is_none() && creates) {
        return Err(Error::Sequence {
            key: change.key.clone(),
            expected: change.expected,
            stored,
        });
    }
    let start = Tip {
        head: change.expected,
        ..tip.unwrap_or_default()
    };
    change.entries.iter().try_fold(start, step)
}

fn step(tip: Tip, entry: &Entry) -> Result<Tip, Error> {
    if entry.sequence != tip.head.next() {
        return Err(Error::Invalid("the sequences of a commit have a gap"));
    }
    if entry.stamp < tip.stamp {
        return Err(Error::Invalid("a stamp goes back"));
    }
    if !tip.alive && entry.life != Life::Creates {
        return Err(Error::Invalid("an event of a channel that is not created"));
    }
    Ok(Tip {
        head: entry.sequence,
        stamp: entry.stamp,
        alive: entry.life != Life::Destroys,
    })
}
