//! What is on its way to the store, and what comes back.

use super::request::Part;
use coven_cluster::ShardId;
use coven_store::{Commit, CommitNumber, Epoch, Error, Ownership, Pending};
use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// A commit or a claim on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) shard: ShardId,
    /// Under which it was sent: the answer counts only while this is the shard's.
    pub(super) epoch: Epoch,
    pub(super) number: CommitNumber,
    pub(super) sent: Instant,
    pub(super) answer: Awaited,
    pub(super) events: u64,
    pub(super) parts: Vec<Part>,
    /// As it was sent, where it may have to be sent again.
    pub(super) commit: Option<Commit>,
}

/// What the store is to answer.
#[derive(Debug)]
pub(super) enum Awaited {
    Commit(Pending<()>),
    Claim(Pending<Ownership>),
}

/// What it has answered.
#[derive(Debug)]
pub(super) enum Answer {
    Commit(Result<(), Error>),
    Claim(Result<Ownership, Error>),
}

/// Waits for the next answer: of each shard in order, of different shards as they come. Nothing is lost if this is dropped.
pub(super) async fn answered(in_flight: &mut VecDeque<InFlight>) -> (usize, Answer) {
    poll_fn(|context| poll_answers(in_flight, context)).await
}

fn poll_answers(
    in_flight: &mut VecDeque<InFlight>,
    context: &mut Context<'_>,
) -> Poll<(usize, Answer)> {
    let mut pending = BTreeSet::new();
    for (at, it) in in_flight.iter_mut().enumerate() {
        if pending.contains(&it.shard) {
            continue;
        }
        let answer = match &mut it.answer {
            Awaited::Commit(answer) => Pin::new(answer).poll(context).map(Answer::Commit),
            Awaited::Claim(answer) => Pin::new(answer).poll(context).map(Answer::Claim),
        };
        match answer {
            Poll::Ready(answer) => return Poll::Ready((at, answer)),
            Poll::Pending => pending.insert(it.shard),
        };
    }
    Poll::Pending
}
