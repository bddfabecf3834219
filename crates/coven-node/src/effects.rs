//! What a decision leads to: its events applied, with its outputs made into deliveries, handed to the commit pipeline.
//!
//! What is decided, and when, is in [`crate::turn`]; what becomes of it in [`crate::commit`].

use crate::actor::{Room, Soundness};
use crate::archive;
use crate::commit::Request;
use crate::directory::{self, Listed};
use crate::entry;
use crate::holding::SeatNo;
use crate::operations;
use crate::quota::{self, Owner};
use crate::shared;
use coven_cluster::{Delivery, Operation};
use coven_core::channel::{Decision, Output};
use coven_core::content::history;
use coven_core::{Condition, Delta, Event, HistoryRequest, Record, Refusal, Sequence, Timestamp};
use coven_store::{Entry, TimerChange};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tracing::error;

/// Bytes of one decision's records: it is never split (design §5.4).
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What a decision has led to: to be committed, and sent after that.
#[derive(Debug, Default)]
struct Effects {
    /// The sequence before the first event.
    expected: Sequence,
    records: Vec<Arc<Record>>,
    /// The same as the store has them.
    entries: Vec<Entry>,
    /// The roster before them, for those who lack it.
    base: Option<(Box<Delivery>, Vec<SeatNo>)>,
    deliveries: Vec<Delivery>,
    /// Who owns the channel by them, or no longer.
    owners: Vec<Owner>,
}

impl Effects {
    /// Nothing is to be committed or said.
    const fn are_none(&self) -> bool {
        self.entries.is_empty() && self.deliveries.is_empty()
    }
}

impl Room {
    /// Applies the events, and hands them with all outputs to the commit pipeline.
    pub(crate) async fn carry_out(
        &mut self,
        decision: Decision,
        now: Timestamp,
        operation: Option<&Operation>,
    ) {
        match self.effects(decision, now, operation).await {
            Ok(effects) => self.hand_over(effects, operation).await,
            Err(condition) => self.failed(operation, condition).await,
        }
    }

    /// Applies a decision.
    ///
    /// Errors: it is too large, or an event could not be applied; then nothing may be committed.
    async fn effects(
        &mut self,
        decision: Decision,
        now: Timestamp,
        operation: Option<&Operation>,
    ) -> Result<Effects, Condition> {
        let mut effects = self.written(decision.events, now)?;
        if needs_roster(&effects.records, &decision.outputs, operation) {
            effects.base = self.base();
        }
        self.apply(&mut effects).await?;
        for output in decision.outputs {
            let delivery = self.delivery(output, operation).await;
            effects.deliveries.extend(delivery);
        }
        Ok(effects)
    }

    /// The events as they are stored.
    ///
    /// Errors: they are too large for a commit.
    fn written(&self, events: Vec<Event>, now: Timestamp) -> Result<Effects, Condition> {
        let Soundness::Sound(state) = &self.condition else {
            return Err(Condition::InternalServerError);
        };
        let epoch = self.shared.epoch(self.channel.shard());
        let records = state.records(events, now, epoch);
        let format = self.shared.formats.written();
        let entries: Vec<Entry> = records.iter().map(|r| entry::encode(r, format)).collect();
        if entries.iter().map(|e| e.record.len()).sum::<usize>() > MOST_BYTES {
            return Err(Condition::ResourceConstraint);
        }
        Ok(Effects {
            expected: state.roster().at(),
            records,
            entries,
            ..Effects::default()
        })
    }

    /// Gives the commit pipeline what a decision has led to, and what is kept of its operation.
    async fn hand_over(&mut self, effects: Effects, operation: Option<&Operation>) {
        let id = operation.and_then(|operation| operation.id);
        let (head, done) = (self.head(), || operations::done(&effects.deliveries));
        let outcomes = self.outcomes.note(operation, head, done);
        if effects.are_none() && outcomes.is_empty() {
            if let Some(id) = id {
                self.shared.passed(&self.channel, id);
            }
            return;
        }
        let origin = operation.map(|operation| &operation.origin);
        let seats = self.audience();
        let request = Request {
            operation: id,
            is_passing: operation.is_some_and(Operation::is_passing),
            origin: origin.filter(|o| o.is_answerable()).cloned(),
            timer: self.timer_change(),
            listing: self.listing(&effects.records),
            departed: operation.and_then(|operation| self.departs(operation)),
            expected: effects.expected,
            entries: effects.entries,
            base: effects.base,
            owners: effects.owners,
            outcomes,
            ..Request::output(self, seats, effects.deliveries)
        };
        self.send(request).await;
    }

    /// A decision cannot be carried out.
    async fn failed(&mut self, operation: Option<&Operation>, condition: Condition) {
        error!(channel = %self.channel, ?condition, "a decision could not be carried out");
        if let Some(operation) = operation {
            self.refused(operation, Refusal::usual(condition)).await;
        }
    }

    /// Applies the events one by one. Errors: one panicked.
    async fn apply(&mut self, effects: &mut Effects) -> Result<(), Condition> {
        for record in &effects.records {
            let history = self.history_of(record).await;
            let delta = self.apply_one(record)?;
            effects.owners.extend(quota::changes(&delta));
            effects.deliveries.push(Delivery::Event {
                record: Arc::clone(record),
                history,
            });
        }
        Ok(())
    }

    /// Errors: it panicked, and the channel is in quarantine.
    fn apply_one(&mut self, record: &Arc<Record>) -> Result<Delta, Condition> {
        let Soundness::Sound(state) = &mut self.condition else {
            return Err(Condition::InternalServerError);
        };
        let Ok(delta) = catch_unwind(AssertUnwindSafe(|| state.apply(record))) else {
            error!(event = "quarantined", channel = %self.channel, "an event could not be applied");
            self.shared.health.panicked();
            self.quarantine();
            return Err(Condition::InternalServerError);
        };
        if matches!(record.event, Event::Created { .. }) {
            state.tail_mut().fill([]);
        }
        Ok(delta)
    }

    async fn delivery(
        &mut self,
        output: Output,
        operation: Option<&Operation>,
    ) -> Option<Delivery> {
        let origin = operation.map(|operation| Arc::clone(&operation.origin));
        let name = operation.and_then(operations::chained).map(|id| id.name());
        Some(match output {
            Output::Answer(answer) => Delivery::Answer {
                origin: origin?,
                answer: Box::new(answer),
                operation: name,
            },
            Output::Sync {
                session,
                history,
                altered,
                stanza_id,
            } => Delivery::Sync {
                session,
                altered,
                stanza_id,
                max_chars: history.max_chars,
                history: self.history(history, self.head(), shared::now()).await,
            },
            Output::PresenceDump { to } => Delivery::PresenceDump { to },
            Output::Passing(message) => Delivery::Passing(message),
            Output::Relay(relayed) => Delivery::Relay(relayed),
            Output::NotJoined => Delivery::NotJoined {
                origin: origin?,
                operation: name,
            },
            Output::Probe(probe) => Delivery::Probe(probe),
        })
    }

    /// The history that goes with a joined event.
    pub(crate) async fn history_of(&mut self, record: &Record) -> Vec<Arc<Record>> {
        match &record.event {
            Event::Joined { entry, .. } => {
                self.history(entry.history, record.sequence, record.stamp)
                    .await
            }
            _ => Vec::new(),
        }
    }

    async fn history(
        &mut self,
        wanted: HistoryRequest,
        before: Sequence,
        now: Timestamp,
    ) -> Vec<Arc<Record>> {
        if wanted.max_stanzas == Some(0) || wanted.max_chars == Some(0) {
            return Vec::new();
        }
        archive::fill_tail(self).await;
        let policies = self.shared.policies(&self.channel);
        let Soundness::Sound(state) = &self.condition else {
            return Vec::new();
        };
        let max = history::limit(state.roster().config(), &policies);
        state.tail().select(wanted, max, now, before)
    }

    fn timer_change(&mut self) -> TimerChange {
        let Soundness::Sound(state) = &self.condition else {
            return TimerChange::Keep;
        };
        let next = state.next_timer();
        if next == self.timer {
            return TimerChange::Keep;
        }
        self.timer = next;
        self.shared.deadlines.set(&self.channel, next);
        next.map_or(TimerChange::Clear, |at| {
            TimerChange::Set(crate::convert::stamp(at))
        })
    }

    /// What the directory is to say once the events are durable, if they may have changed that.
    fn listing(&self, records: &[Arc<Record>]) -> Option<Box<Listed>> {
        let Soundness::Sound(state) = &self.condition else {
            return None;
        };
        let same = |r: &Arc<Record>| {
            matches!(
                r.event,
                Event::Message(_) | Event::Private(_) | Event::Announced
            )
        };
        let changes = !records.iter().all(same);
        changes.then(|| Box::new(directory::listing(state)))
    }
}

/// Whether front-ends need the roster for these; a stored outcome is acknowledged with it.
fn needs_roster(
    records: &[Arc<Record>],
    outputs: &[Output],
    operation: Option<&Operation>,
) -> bool {
    let needs = |output: &Output| {
        matches!(
            output,
            Output::Sync { .. }
                | Output::PresenceDump { .. }
                | Output::Passing(_)
                | Output::Relay(_)
        )
    };
    let is_named = operation.is_some_and(|it| it.id.is_some() && !it.is_passing());
    is_named || !records.is_empty() || outputs.iter().any(needs)
}
