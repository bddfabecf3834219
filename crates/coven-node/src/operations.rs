//! Operations of remote links: each takes effect at most once, and a repeat gets the same answer (I4, design §3.2).
//!
//! The in-process link never sends again: its operations have no name, and nothing here is done for them.

use bytes::Bytes;
use coven_cluster::{Delivery, Operation, OperationId};
use coven_core::{Answer, Origin, Sequence};
use coven_proto::{Outcome, Reply, decode_outcome, encode_outcome};
use coven_store::{self as store, ProcessId, StoredOutcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a front-end is not asked twice to send the same again.
const ASKED_FOR: Duration = Duration::from_secs(1);
/// Bytes of a request that are kept with its answer, which may repeat parts of it.
const MOST_PAYLOAD: usize = 8 * 1024;

/// What is known of operations on one channel.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    by_process: BTreeMap<u128, Known>,
    missed: Option<Box<Missed>>,
}

/// What a front-end was asked to send again.
#[derive(Debug)]
struct Missed {
    process: u128,
    /// All after this.
    after: u64,
    /// The newest that came before it.
    newest: u64,
    since: Instant,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    base: u64,
    kept: BTreeMap<u64, Bytes>,
}

/// Whether an operation is to be done.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Yes.
    New,
    /// It was done; what came of it, if that is still kept.
    Repeat(Option<Outcome>),
    /// One before it is missing: the newest that is known.
    Early(u64),
}

impl Outcomes {
    /// As the store keeps them.
    pub(crate) fn load(stored: &[StoredOutcome]) -> Self {
        let mut outcomes = Self::default();
        for StoredOutcome { outcome, .. } in stored {
            outcomes.keep(outcome);
        }
        outcomes
    }

    /// `n <= last` is a repeat; taken is what has `prev <= last < n` or `prev <= base`.
    pub(crate) fn check(&self, id: Option<OperationId>) -> Verdict {
        let Some(id) = id else { return Verdict::New };
        let known = self.by_process.get(&id.process);
        let last = known.map_or(0, |k| k.last);
        if id.n <= last {
            let kept = known.and_then(|k| k.kept.get(&id.n)).cloned();
            return Verdict::Repeat(kept.and_then(|bytes| decode_outcome(bytes).ok()));
        }
        if id.prev <= last || id.prev <= id.base {
            Verdict::New
        } else {
            Verdict::Early(last)
        }
    }

    /// Whether a front-end is to be asked for what is missing before `n`. Once for all that it had sent: those come in order
    /// behind the first, and those that it sends again begin anew.
    pub(crate) fn misses(&mut self, (process, n): (u128, u64), after: u64, now: Instant) -> bool {
        if let Some(missed) = &mut self.missed {
            let is_same = missed.process == process && missed.after == after;
            if is_same && n > missed.newest && now < missed.since + ASKED_FOR {
                missed.newest = n;
                return false;
            }
        }
        self.missed = Some(Box::new(Missed {
            process,
            after,
            newest: n,
            since: now,
        }));
        true
    }

    /// Notes what came of an operation, to be stored with its commit.
    pub(crate) fn note(
        &mut self,
        operation: Option<&Operation>,
        after: Sequence,
        outcome: impl FnOnce() -> Outcome,
    ) -> Vec<store::Outcome> {
        let Some((operation, id)) = operation.and_then(|it| Some((it, chained(it)?))) else {
            return Vec::new();
        };
        let outcome = outcome();
        let is_told = !matches!(outcome, Outcome::Done);
        let connection = store::ConnectionId(operation.origin.group.0.clone());
        let outcome = store::Outcome {
            process: ProcessId(id.process),
            n: id.n,
            base: id.base,
            after: crate::convert::sequence(after),
            addressee: is_told.then_some(connection),
            result: encode_outcome(&outcome),
        };
        self.keep(&outcome);
        vec![outcome]
    }

    /// A process will not ask any more (design §5.6).
    pub(crate) fn forget(&mut self, process: u128) {
        self.by_process.remove(&process);
    }

    fn keep(&mut self, outcome: &store::Outcome) {
        let known = self.by_process.entry(outcome.process.0).or_default();
        known.last = known.last.max(outcome.n);
        known.base = known.base.max(outcome.base);
        known.kept.insert(outcome.n, outcome.result.clone());
        known.kept = known.kept.split_off(&(known.base + 1));
    }
}

/// The name of an operation whose outcome is stored.
pub(crate) fn chained(operation: &Operation) -> Option<OperationId> {
    operation.id.filter(|_| !operation.is_passing())
}

/// What is stored of an operation that was done, by what leaves with it: what its sender is told alone comes again from there,
/// as an event does from the journal (I4, I5).
pub(crate) fn done(deliveries: &[Delivery]) -> Outcome {
    let reply = deliveries.iter().find_map(reply);
    let reply = reply.filter(|(origin, _)| origin.payload.len() <= MOST_PAYLOAD);
    reply.map_or(Outcome::Done, |reply| Outcome::Answered(Box::new(reply)))
}

fn reply(delivery: &Delivery) -> Option<(Origin, Reply)> {
    match delivery {
        Delivery::Answer { origin, answer, .. } => {
            let mut origin = (**origin).clone();
            if matches!(**answer, Answer::Done) {
                // Says nothing of what was asked.
                origin.payload = Bytes::new();
            }
            Some((origin, Reply::Answer((**answer).clone())))
        }
        Delivery::NotJoined { origin, .. } => Some(((**origin).clone(), Reply::NotJoined)),
        _ => None,
    }
}

/// What an operation's sender is told again of its outcome.
pub(crate) fn again(outcome: Outcome, (process, n): (u128, u64)) -> Option<Delivery> {
    let operation = Some((coven_cluster::ProcessId(process), n));
    Some(match outcome {
        Outcome::Done => return None,
        Outcome::Refused(refused) => {
            let (origin, refusal) = *refused;
            Delivery::Refused {
                origin: Arc::new(origin),
                refusal: Box::new(refusal),
                operation,
            }
        }
        Outcome::Answered(answered) => {
            let (origin, reply) = *answered;
            let origin = Arc::new(origin);
            match reply {
                Reply::NotJoined => Delivery::NotJoined { origin, operation },
                Reply::Answer(answer) => Delivery::Answer {
                    origin,
                    answer: Box::new(answer),
                    operation,
                },
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn i9_a_front_end_is_asked_once_for_each_time_that_it_has_sent() {
        let mut outcomes = Outcomes::default();
        let now = Instant::now();
        assert!(outcomes.misses((1, 7), 5, now));
        assert!(!outcomes.misses((1, 8), 5, now));
        assert!(!outcomes.misses((1, 9), 5, now));
        assert!(outcomes.misses((1, 8), 5, now), "sent again");
        assert!(!outcomes.misses((1, 9), 5, now));
        assert!(outcomes.misses((1, 10), 6, now), "it has gone on");
        assert!(outcomes.misses((2, 11), 6, now), "another front-end");
        assert!(outcomes.misses((2, 12), 6, now + ASKED_FOR), "long ago");
    }
}
