//! What the sender of an operation is told alone: answers to reads, refusals, and what a repeat is told (I4, I5, design §3.6).
//!
//! What a command leads to is decided in [`crate::turn`], what is stored of it is in [`crate::operations`].

use crate::actor::{Room, Soundness};
use crate::archive;
use crate::commit::{Request, wait};
use crate::operations;
use crate::table::lock;
use coven_cluster::{Delivery, Operation, ToFront};
use coven_core::{Answer, Condition, Origin, Query, Refusal};
use coven_proto::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::time::Instant;

impl Room {
    /// Answers a read.
    pub(crate) async fn query(&mut self, operation: &Operation, query: &Query) {
        let Soundness::Sound(state) = &self.condition else {
            return;
        };
        // Past the deadline of the session somebody else may own the channel, and have gone on (design §5.1).
        if self.shared.shards.is_suspended(self.channel.shard()) {
            return self.refused_plainly(operation, wait()).await;
        }
        let policies = self.shared.policies(&self.channel);
        let answer = catch_unwind(AssertUnwindSafe(|| {
            state.query(&operation.sender, query, &policies)
        }));
        match answer {
            Ok(Ok(answer)) if archive::is_read(query) => {
                archive::spawn_read(self, operation, query, answer).await;
            }
            Ok(Ok(answer)) => self.reply(operation, answer).await,
            Ok(Err(refusal)) => self.refused_plainly(operation, refusal).await,
            Err(_) => {
                self.panicked();
                let refusal = Refusal::usual(Condition::InternalServerError);
                self.refused_plainly(operation, refusal).await;
            }
        }
    }

    /// Refuses an operation without an outcome: the front-end whose it is drops it, and then writes the error (IL-19).
    /// What nobody is told of is kept instead, and tried again.
    pub(crate) async fn not_taken(&mut self, operation: &Operation, refusal: Refusal) {
        if refusal.condition == Condition::ResourceConstraint && self.keep(operation) {
            return;
        }
        match operation.id {
            Some(id) => self.shared.not_taken(&self.channel, id, refusal),
            None => self.refused(operation, refusal).await,
        }
    }

    /// What is passed on to an occupant is rendered by the roster.
    async fn reply(&mut self, operation: &Operation, answer: Answer) {
        let delivery = answered(&operation.origin, answer);
        let is_relayed = matches!(delivery, Delivery::Relay(_));
        let base = is_relayed.then(|| self.base()).flatten();
        let word = self.word(operation, delivery);
        self.send(Request { base, ..word }).await;
    }

    /// One delivery to whoever asked: an error in its place if what it depends on is not done (I5).
    fn word(&self, operation: &Operation, delivery: Delivery) -> Request {
        let origin = Some(Arc::clone(&operation.origin)).filter(|o| o.is_answerable());
        Request {
            origin,
            operation: operation.id,
            is_passing: true,
            ..Request::output(self, self.view().seats.clone(), vec![delivery])
        }
    }

    /// Refuses an operation; one from a remote link together with its outcome (IL-01). The roster goes before it, so that
    /// its being taken in can be said of the channel.
    pub(crate) async fn refused(&mut self, operation: &Operation, refusal: Refusal) {
        let origin = Arc::clone(&operation.origin);
        let usable = matches!(self.condition, Soundness::Sound(_));
        if !usable || operations::chained(operation).is_none() {
            return self.refused_plainly(operation, refusal).await;
        }
        let (head, refused) = (self.head(), ((*origin).clone(), refusal.clone()));
        let outcome = || Outcome::Refused(Box::new(refused));
        let outcomes = self.outcomes.note(Some(operation), head, outcome);
        let refusal = Box::new(refusal);
        let deliveries = match origin.is_answerable() {
            true => vec![Delivery::Refused {
                origin,
                refusal,
                operation: operation.id.map(|id| id.name()),
            }],
            false => Vec::new(),
        };
        let base = self.base();
        let seats = self.audience();
        self.send(Request {
            outcomes,
            base,
            operation: operation.id,
            expected: self.head(),
            ..Request::output(self, seats, deliveries)
        })
        .await;
    }

    /// Refuses what leaves no outcome: a read, or an operation of the link in this process.
    async fn refused_plainly(&mut self, operation: &Operation, refusal: Refusal) {
        let origin = Arc::clone(&operation.origin);
        if !origin.is_answerable() {
            if let Some(id) = operation.id {
                self.shared.passed(&self.channel, id);
            }
            return;
        }
        let refusal = Box::new(refusal);
        let delivery = Delivery::Refused {
            origin,
            refusal,
            operation: operation.id.map(|id| id.name()),
        };
        self.send(self.word(operation, delivery)).await;
    }

    /// A repeated operation: what made events is sent from the journal, and only what its sender alone is told, and may not have
    /// heard, is said again (IL-02, design §3.6). When all of that is acknowledged, the link hears that it is done.
    pub(crate) async fn repeat(&mut self, operation: &Operation, outcome: Option<Outcome>) {
        let Some(id) = operation.id else { return };
        if !lock(&self.acks).waits_for(id.process, id.n) {
            let done = ToFront::Done {
                channel: self.channel.clone(),
                n: id.n,
            };
            // Behind what is on its way: it may be the operation itself.
            self.settle().await;
            if !lock(&self.acks).waits_for(id.process, id.n) {
                return self.shared.fronts.tell(id.process, done);
            }
        }
        lock(&self.acks).waits_behind(id.process, id.n);
        let word = ToFront::Committed {
            channel: self.channel.clone(),
            n: id.n,
        };
        self.shared.fronts.tell(id.process, word);
        let again = |outcome| operations::again(outcome, (id.process, id.n));
        if let Some(delivery) = outcome.and_then(again) {
            // It says nothing new: it is not done with this, and nobody waits for this alone.
            self.send(Request {
                operation: None,
                origin: None,
                ..self.word(operation, delivery)
            })
            .await;
        }
    }

    /// An operation came before one that it follows: the link sends what is missing, and this one again. Nothing is said
    /// to whoever asked, since it will still be done.
    pub(crate) fn missing(&mut self, operation: &Operation, after: u64) {
        let channel = self.channel.clone();
        let Some(id) = operation.id else { return };
        if self
            .outcomes
            .misses((id.process, id.n), after, Instant::now())
        {
            let missing = ToFront::Missing { channel, after };
            self.shared.fronts.tell(id.process, missing);
        }
    }
}

/// An answer to whom it is for: a ping to somebody else goes on to that one.
pub(crate) fn answered(origin: &Arc<Origin>, answer: Answer) -> Delivery {
    match answer {
        Answer::Relayed(relayed) => Delivery::Relay(*relayed),
        answer => Delivery::Answer {
            origin: Arc::clone(origin),
            answer: Box::new(answer),
            operation: None,
        },
    }
}
