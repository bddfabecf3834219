//! What the writing task is asked for.

use crate::{
    ChannelKey, Claim, Commit, Epoch, Error, Listing, Ownership, ProcessId, Receipts, Reply,
    Retention, ShardId, Snapshot,
};

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    /// Changes something of a shard.
    Write {
        shard: ShardId,
        epoch: Epoch,
        request: Request,
        reply: Reply<()>,
    },
    /// See [`Store::claim`](crate::Store::claim).
    Claim {
        shard: ShardId,
        claim: Claim,
        reply: Reply<Ownership>,
    },
    /// See [`Store::expire`](crate::Store::expire).
    Expire {
        shard: ShardId,
        epoch: Epoch,
        retention: Retention,
        reply: Reply<u64>,
    },
    /// See [`Store::close`](crate::Store::close).
    Close { reply: Reply<()> },
}

impl Job {
    /// Answers that it is not done.
    pub(super) fn refuse(self, error: Error) {
        match self {
            Self::Write { reply, .. } | Self::Close { reply } => reply.send(Err(error)),
            Self::Claim { reply, .. } => reply.send(Err(error)),
            Self::Expire { reply, .. } => reply.send(Err(error)),
        }
    }
}

/// A change of a shard.
#[derive(Debug)]
pub(super) enum Request {
    Commit(Box<Commit>),
    Acknowledge(Receipts),
    ForgetProcess(ProcessId),
    Snapshot(ChannelKey, Snapshot),
    List(Vec<(ChannelKey, Option<Listing>)>),
    Release,
}

impl Request {
    /// The channels whose records it needs; `None` for all of the shard.
    pub(super) fn channels(&self) -> Option<Vec<&ChannelKey>> {
        Some(match self {
            Self::Commit(commit) => {
                let changed = commit.channels.iter().map(|change| &change.key);
                changed.chain(commit.receipts.keys()).collect()
            }
            Self::Acknowledge(receipts) => receipts.keys().collect(),
            Self::Snapshot(key, _) => vec![key],
            Self::List(_) | Self::Release => Vec::new(),
            Self::ForgetProcess(_) => return None,
        })
    }
}
