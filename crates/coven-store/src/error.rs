//! What can go wrong, told apart by what the caller has to do about it.

use std::path::PathBuf;

use crate::{ChannelKey, CommitNumber, Epoch, Owner, Sequence, ShardId};

/// Why the store did not do what it was asked for.
///
/// Unless it says otherwise, an error means: not done, and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another epoch owns the shard (design: I1). Drop the shard.
    #[error("shard {shard} is not owned at epoch {epoch}: the store has {}", describe(.stored))]
    Fenced {
        /// The shard.
        shard: ShardId,
        /// The epoch that the caller showed.
        epoch: Epoch,
        /// Who owns it.
        stored: Option<Owner>,
    },
    /// A claim was refused: somebody who was not judged dead owns the shard.
    #[error("shard {shard} is held at epoch {}", .owner.epoch)]
    Held {
        /// The shard.
        shard: ShardId,
        /// Who owns it.
        owner: Owner,
    },
    /// The commit's number is not the next one. Judge it only when nothing earlier is undecided.
    #[error("commit {number} of shard {shard} does not follow {stored}")]
    Diverged {
        /// The shard.
        shard: ShardId,
        /// The number of the refused commit.
        number: CommitNumber,
        /// The newest stored one.
        stored: CommitNumber,
    },
    /// The expected sequence of a channel is not the stored one.
    #[error("channel {key} is at sequence {stored}, not at {expected}")]
    Sequence {
        /// The channel.
        key: ChannelKey,
        /// What the commit expected.
        expected: Sequence,
        /// What the store has.
        stored: Sequence,
    },
    /// The snapshot is beyond the head, or covers what is not acknowledged. Try again later.
    #[error("snapshot of {key} at {sequence} covers what is not acknowledged")]
    Unacknowledged {
        /// The channel.
        key: ChannelKey,
        /// The snapshot's sequence.
        sequence: Sequence,
    },
    /// The request contradicts itself: a fault of the caller.
    #[error("invalid request: {0}")]
    Invalid(&'static str),
    /// A queue or the log is full. Try again later.
    #[error("the store is busy: {0}")]
    Busy(&'static str),
    /// No room on the disk, or no memory in the server. Try again later.
    #[error("no room left in the store: {0}")]
    Full(String),
    /// Another process has the store open (exit code 2).
    #[error("the store {} is in use by another process", .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The store was made with other settings, or by a newer version (exit code 2).
    #[error("the store does not fit: {0}")]
    Unfit(String),
    /// It is not the store that this process began with, or has been emptied (design §5.15): nothing is written to it until
    /// [`Store::accept`](crate::Store::accept).
    #[error("the store was replaced: {0}")]
    Replaced(String),
    /// The server does not allow it: no or a wrong password, or not enough rights.
    #[error("the store does not allow it: {0}")]
    Denied(String),
    /// Stored bytes are not what was written. Names the table, the row and what is wrong.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// The connection or the disk failed in a way that leaves open whether it was done: `remote-server-timeout` (I5).
    #[error("not known whether the store did it: {0}")]
    Unknown(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// Whether the same request may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Busy(_)
                | Self::Full(_)
                | Self::Io(_)
                | Self::Replaced(_)
                | Self::Denied(_)
                | Self::Unacknowledged { .. }
        )
    }

    /// Whether the store has lost what it had acknowledged to one that shows `epoch` and was there up to commit `last`:
    /// its own fail-over went back in time (design §5.11; IL-16, IL-18). The caller claims anew and makes good for it.
    #[must_use]
    pub fn is_behind(&self, epoch: Epoch, last: CommitNumber) -> bool {
        match self {
            Self::Diverged { stored, .. } => *stored < last,
            Self::Fenced { stored, .. } => stored.is_some_and(|owner| owner.epoch < epoch),
            _ => false,
        }
    }
}

fn describe(owner: &Option<Owner>) -> String {
    owner.map_or_else(
        || "no owner".to_owned(),
        |owner| format!("epoch {}", owner.epoch),
    )
}
