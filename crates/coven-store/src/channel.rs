//! What is read back of one channel.

use bytes::Bytes;

use crate::{CommitNumber, ConnectionId, Entry, LeaseNumber, Outcome, Sequence, Timestamp};

/// All that a new owner needs of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Newest sequence.
    pub head: Sequence,
    /// The channel is destroyed (or never was: `head` 0), and only what is still to be sent or answered is kept.
    pub dead: bool,
    /// The newest snapshot.
    pub snapshot: Option<Snapshot>,
    /// All entries after the snapshot, in order, without gaps.
    pub journal: Vec<Entry>,
    /// How far each connection has acknowledged, in order of connection.
    pub acks: Vec<Ack>,
    /// Outcomes above their base, in order of (process, n).
    pub outcomes: Vec<StoredOutcome>,
    /// The commit of the newest output that is not known to be acknowledged.
    pub unsent: Option<CommitNumber>,
    /// The deadline.
    pub timer: Option<Timestamp>,
}

/// The state of a channel after its event `sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last event in it.
    pub sequence: Sequence,
    /// The state, encoded by the caller.
    pub state: Bytes,
}

/// How far one connection has acknowledged a channel's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The connection.
    pub connection: ConnectionId,
    /// The newest lease that acknowledged.
    pub lease: LeaseNumber,
    /// All events up to here.
    pub sequence: Sequence,
    /// All other output of commits up to here.
    pub commit: CommitNumber,
}

/// An outcome and the commit that stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOutcome {
    /// The commit.
    pub commit: CommitNumber,
    /// The outcome.
    pub outcome: Outcome,
}
