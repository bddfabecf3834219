//! Operations of remote links: each takes effect at most once, and a repeat gets the same answer (I4, design §3.2).
//!
//! The in-process link never sends again: its operations have no name, and nothing here is done for them.

use coven_cluster::{Operation, OperationId};
use coven_core::Sequence;
use coven_proto::{Outcome, decode_outcome, encode_outcome};
use coven_store::{self as store, ProcessId, StoredOutcome};
use std::collections::BTreeMap;

/// What is known of operations on one channel.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    by_process: BTreeMap<u128, Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    base: u64,
    kept: BTreeMap<u64, bytes::Bytes>,
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

    /// Notes what came of an operation, to be stored with its commit.
    pub(crate) fn note(
        &mut self,
        operation: Option<&Operation>,
        outcome: &Outcome,
        after: Sequence,
    ) -> Vec<store::Outcome> {
        let chained = operation.filter(|operation| !operation.is_passing());
        let Some((operation, id)) = chained.and_then(|o| Some((o, o.id?))) else {
            return Vec::new();
        };
        let refused = matches!(outcome, Outcome::Refused(_));
        let connection = store::ConnectionId(operation.origin.group.0.clone());
        let outcome = store::Outcome {
            process: ProcessId(id.process),
            n: id.n,
            base: id.base,
            after: crate::convert::sequence(after),
            addressee: refused.then_some(connection),
            result: encode_outcome(outcome),
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
