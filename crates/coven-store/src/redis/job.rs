//! What the writing tasks are asked for, and how it gets to the right one.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::retention::Expired;
use crate::{
    ChannelKey, Claim, Commit, Epoch, Error, Listing, Ownership, ProcessId, Receipts, Reply,
    ShardId, Snapshot,
};

/// Jobs that wait for the writers, all together; more are `Busy`.
const QUEUE: usize = 16_384;
/// Jobs that may wait for one of many.
const LEAST: usize = 1024;

/// The ways to the writing tasks: one for all shards, or one for each where shards lie on different servers, so that
/// nobody waits for another's server.
#[derive(Clone, Debug)]
pub(super) struct Lanes(Arc<[mpsc::Sender<Job>]>);

impl Lanes {
    /// So many, and their other ends.
    pub(super) fn new(count: u16) -> (Self, Vec<mpsc::Receiver<Job>>) {
        let count = usize::from(count.max(1));
        let room = (QUEUE / count).max(LEAST);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::channel(room)).unzip();
        (Self(senders.into()), receivers)
    }

    /// Puts a job into its queue, or answers it.
    pub(super) fn put(&self, shard: ShardId, job: Job) {
        let Some(lane) = self.0.get(usize::from(shard.0) % self.0.len().max(1)) else {
            return job.refuse(Error::Closed);
        };
        if let Err(error) = lane.try_send(job) {
            let refused = super::refused(&error);
            error.into_inner().refuse(refused);
        }
    }
}

/// What a writer is asked for.
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
}

impl Job {
    /// Answers that it is not done.
    pub(super) fn refuse(self, error: Error) {
        match self {
            Self::Write { reply, .. } => reply.send(Err(error)),
            Self::Claim { reply, .. } => reply.send(Err(error)),
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
    Expire(Vec<Expired>),
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
            Self::Expire(expired) => expired.iter().map(|it| &it.key).collect(),
            Self::List(_) | Self::Release => Vec::new(),
            Self::ForgetProcess(_) => return None,
        })
    }
}
