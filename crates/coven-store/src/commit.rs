//! What is written: commits, journal entries, outcomes and receipts.
//!
//! These types only carry; which of them are accepted is stated at [`Store`](crate::Store) and shown by
//! [`MemoryStore`](crate::MemoryStore). What is read back is in `channel` and `archive`.

use bytes::Bytes;

use crate::{
    ChannelKey, CommitNumber, ConnectionId, Epoch, LeaseNumber, Place, ProcessId, SenderId,
    Sequence, Timestamp,
};

/// One group commit of one shard: written as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The stored number plus one.
    pub number: CommitNumber,
    /// What changes, per channel; each channel at most once.
    pub channels: Vec<ChannelCommit>,
    /// Acknowledgements that go along (else: [`Store::acknowledge`](crate::Store::acknowledge)).
    pub receipts: Receipts,
}

/// What one commit does to one channel. Parts take effect in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelCommit {
    /// The channel.
    pub key: ChannelKey,
    /// Its newest sequence before this commit (0 for a channel that has none). A channel unknown to the store also
    /// takes another number where the first entry [creates](Life::Creates) it: a room destroyed and made again while
    /// its old number is still in memory goes on counting.
    pub expected: Sequence,
    /// Events, numbered from `expected + 1` without gaps. May be empty (a commit of refusals only).
    pub entries: Vec<Entry>,
    /// Archived messages whose record changes (retraction, moderation); their id, time, sender and place stay.
    pub rewrites: Vec<Rewrite>,
    /// Outcomes of operations from remote links; empty for the in-process link.
    pub outcomes: Vec<Outcome>,
    /// Whether this commit makes output, so that the channel is marked `unsent` with the commit's number.
    pub unsent: bool,
    /// What becomes of the channel's deadline.
    pub timer: TimerChange,
}

impl ChannelCommit {
    /// A commit that changes nothing yet; `expected` is the channel's newest sequence.
    pub fn new(key: ChannelKey, expected: Sequence) -> Self {
        Self {
            key,
            expected,
            entries: Vec::new(),
            rewrites: Vec::new(),
            outcomes: Vec::new(),
            unsent: false,
            timer: TimerChange::Keep,
        }
    }
}

/// One event of a channel: a journal record, and where `archive` is set also an archived message. Stored once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of the event.
    pub sequence: Sequence,
    /// Epoch under which it was first committed; stays when it is appended again after a loss (design: IL-08).
    pub first_epoch: Epoch,
    /// When. Never before the stamp of the entry before it in this channel: [`Error::Invalid`](crate::Error::Invalid).
    pub stamp: Timestamp,
    /// The caller's event kind; the store keeps it and never looks at it.
    pub kind: u32,
    /// Whether it begins or ends the channel.
    pub life: Life,
    /// Set for what the archive keeps.
    pub archive: Option<ArchiveMeta>,
    /// The encoded event.
    pub record: Bytes,
}

impl Entry {
    /// Where it stands in the archive.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            stamp: self.stamp,
            sequence: self.sequence,
        }
    }
}

/// What the archive must know about a message to answer queries without decoding it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveMeta {
    /// Stable id of the sender; `None` for what the service itself said.
    pub sender: Option<SenderId>,
}

/// Where an event stands in the life of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// In the middle.
    #[default]
    Within,
    /// The channel begins with it.
    Creates,
    /// The channel ends with it: all that is archived so far is gone for readers from this commit on (MUC-MAM-23).
    Destroys,
}

/// A new record for an archived message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Its sequence. One that the archive does not hold (any more) is passed over.
    pub sequence: Sequence,
    /// The event kind from now on.
    pub kind: u32,
    /// The record from now on, in archive pages only: the journal keeps what was said until a snapshot covers it.
    pub record: Bytes,
}

/// The outcome of an operation `(process, n)`, refusals included, kept so that a repeat is answered alike (I4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The front-end process whose operation it was.
    pub process: ProcessId,
    /// The operation's number.
    pub n: u64,
    /// All operations of this process on this channel up to here are answered: their outcomes are forgotten.
    pub base: u64,
    /// The channel's newest sequence when it was decided: output of this outcome stands behind it.
    pub after: Sequence,
    /// Set for a refusal: the connection that has to write it. It is output that is not acknowledged until that
    /// connection has acknowledged the commit.
    pub addressee: Option<ConnectionId>,
    /// What to answer, encoded by the caller.
    pub result: Bytes,
}

/// What becomes of the one deadline of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimerChange {
    /// As it is.
    #[default]
    Keep,
    /// None any more.
    Clear,
    /// At this moment.
    Set(Timestamp),
}

/// Acknowledgements and what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// How far connections have taken in the output of channels.
    pub acks: Vec<Acknowledgement>,
    /// Connections that are no more: their acknowledgements are dropped and hold up no snapshot.
    pub gone: Vec<(ChannelKey, ConnectionId)>,
    /// Channels of which all output up to a commit is acknowledged.
    pub sent: Vec<Sent>,
    /// Operations known to be answered, where no newer outcome says so.
    pub answered: Vec<Answered>,
}

impl Receipts {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acks.is_empty()
            && self.gone.is_empty()
            && self.sent.is_empty()
            && self.answered.is_empty()
    }
}

impl Receipts {
    /// The channels that it is about; one may come several times.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &ChannelKey> {
        let acks = self.acks.iter().map(|ack| &ack.key);
        let gone = self.gone.iter().map(|(key, _)| key);
        let sent = self.sent.iter().map(|sent| &sent.key);
        acks.chain(gone)
            .chain(sent)
            .chain(self.answered.iter().map(|answered| &answered.key))
    }
}

/// A connection under a lease has taken in the output of a channel up to `sequence` and `commit`.
///
/// One is kept per (channel, connection). An older lease is ignored; numbers never go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The channel.
    pub key: ChannelKey,
    /// The connection.
    pub connection: ConnectionId,
    /// The lease under which it was held.
    pub lease: LeaseNumber,
    /// All events up to here.
    pub sequence: Sequence,
    /// All other output (refusals) of commits up to here.
    pub commit: CommitNumber,
}

/// A channel and the number of a commit that made output.
///
/// As a receipt: takes the mark away unless a later commit has set it (design: IL-21).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sent {
    /// The channel.
    pub key: ChannelKey,
    /// The commit.
    pub commit: CommitNumber,
}

/// All operations of `process` on a channel up to `base` are answered: their outcomes are forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The channel.
    pub key: ChannelKey,
    /// The front-end process.
    pub process: ProcessId,
    /// Number of the last operation that needs no outcome.
    pub base: u64,
}
