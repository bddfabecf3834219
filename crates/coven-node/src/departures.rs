//! Sessions that go while the store refuses: a leave or a bounce that could not be committed is tried again here, since
//! nobody is told of it and so nobody sends it again (MUC-LEAVE-01, MUC-LEAVE-12). Else a ghost would stay.
//!
//! Owns what waits in one channel; when it is tried by itself is [`backoff`]'s. It is done before anything else is decided in
//! the channel, in the order in which it came, and never ends a session that is known to have begun after it. What a
//! departure leads to is the core's. One that turns out to follow something that was lost on its link is its front-end's to
//! send again, in order.
//!
//! Bounds (I9): [`MOST_WEIGHT`] for all channels of a node, beyond it a departure is refused as before (a front-end elsewhere
//! keeps it for a while, `coven_cluster::operations`); [`KEPT_FOR`], after which it is forgotten. Where the shard goes to
//! another node, what waits is its front-end's to send there.

mod backoff;

use crate::actor::{Room, Soundness};
use crate::shared;
use backoff::Backoff;
use coven_cluster::{Operation, operations};
use coven_core::{Sequence, View};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a departure is tried.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// What waits in all channels weighs at most, in units.
const MOST_WEIGHT: usize = 32 * 1024;
/// Bytes of a unit.
const UNIT: usize = 1024;
/// More than so many are much: not tried with each command that comes.
const MANY: usize = 16;

/// Room for what waits, shared by all channels of a node.
pub(crate) fn budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MOST_WEIGHT))
}

/// Set when what a departure led to is durable.
pub(crate) type Done = Arc<AtomicBool>;

/// What waits in one channel.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    line: VecDeque<Departure>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Departure {
    operation: Box<Operation>,
    since: Instant,
    /// Where the channel was; not known while it was not in memory.
    at: Option<Sequence>,
    /// Decided, and on its way to the store; else it waits.
    under_way: Option<Done>,
    _weighs: OwnedSemaphorePermit,
}

impl Departures {
    fn waits(&self) -> bool {
        self.line.iter().any(|it| it.under_way.is_none())
    }

    /// What is durable need not be kept, nor what has waited for too long.
    fn prune(&mut self) {
        let is_done = |done: &Done| done.load(Ordering::Acquire);
        self.line.retain(|it| match &it.under_way {
            Some(done) => !is_done(done),
            None => it.since.elapsed() < KEPT_FOR,
        });
    }

    /// Takes out what waits, to try it; what is under way stays. `None`: it is too early for that.
    fn take_waiting(&mut self) -> Option<VecDeque<Departure>> {
        let is_much = self.line.len() > MANY;
        if !self.backoff.begin(is_much, Instant::now()) {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        let (waiting, under_way) = line.into_iter().partition(|it| it.under_way.is_none());
        self.line = under_way;
        Some(waiting)
    }

    /// What was not tried waits on, behind what has to wait again. Tells whether anything does.
    fn put_back(&mut self, untried: VecDeque<Departure>) -> bool {
        self.line.extend(untried);
        let waits = self.waits();
        if waits {
            self.backoff.due(shared::now());
        }
        waits
    }
}

impl Room {
    /// Keeps a departure that could not be decided; tells whether it will be tried again.
    pub(crate) fn keep(&mut self, operation: &Operation) -> bool {
        if !operation.is_departure() || !self.put_off(operation, None) {
            return false;
        }
        if let Some(departures) = &mut self.departures {
            departures.backoff.due(shared::now());
        }
        true
    }

    /// A departure was decided, and is about to be committed: `None` if it is none, or there is no room to remember it.
    pub(crate) fn departs(&mut self, operation: &Operation) -> Option<Done> {
        let done = Done::default();
        let kept = operation.is_departure() && self.put_off(operation, Some(Arc::clone(&done)));
        kept.then_some(done)
    }

    fn put_off(&mut self, operation: &Operation, under_way: Option<Done>) -> bool {
        let since = self.departing_since.unwrap_or_else(Instant::now);
        let is_sound = matches!(self.condition, Soundness::Sound(_));
        let at = is_sound.then(|| self.head());
        let units = operations::weight(operation).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let budget = Arc::clone(&self.shared.departing);
        let (Ok(weighs), true) = (
            budget.try_acquire_many_owned(units),
            since.elapsed() < KEPT_FOR,
        ) else {
            return false;
        };
        let departures = self.departures.get_or_insert_default();
        let name = operation.id.map(|id| id.name());
        let is_same =
            |it: &Departure| name.is_some() && it.operation.id.map(|id| id.name()) == name;
        if under_way.is_none() && departures.line.iter().any(is_same) {
            return true;
        }
        departures.line.push_back(Departure {
            operation: operation.copy(),
            since,
            at,
            under_way,
            _weighs: weighs,
        });
        true
    }

    /// Does what waits, before anything else is decided. `false`: that cannot be done yet.
    pub(crate) async fn end_departed(&mut self) -> bool {
        let Some(departures) = self.departures.as_mut().filter(|it| it.waits()) else {
            return true;
        };
        if !matches!(self.condition, Soundness::Sound(_)) {
            departures.backoff.later(shared::now());
            return false;
        }
        let Some(waiting) = departures.take_waiting() else {
            return false;
        };
        // Its own deadline was covered by that of what waits.
        self.shared.deadlines.set(&self.channel, self.timer);
        let untried = self.decide_departed(waiting).await;
        let departures = self.departures.as_mut();
        !departures.is_some_and(|departures| departures.put_back(untried))
    }

    /// Decides departures in their order, until one has to wait again: then those behind it are not tried.
    async fn decide_departed(&mut self, mut waiting: VecDeque<Departure>) -> VecDeque<Departure> {
        let turn = std::mem::take(&mut self.turn);
        while let Some(next) = waiting.pop_front() {
            if self.has_come_back(&next) {
                continue;
            }
            self.departing_since = Some(next.since);
            Box::pin(self.decide_operation(&next.operation)).await;
            if self.departures.as_ref().is_some_and(|it| it.waits()) {
                break;
            }
        }
        self.departing_since = None;
        self.turn = turn;
        waiting
    }

    /// Whether the session is another than the one that went: it began later.
    fn has_come_back(&self, departure: &Departure) -> bool {
        let full = departure.operation.sender.full.as_ref();
        let (Soundness::Sound(state), Some(full), Some(at)) = (&self.condition, full, departure.at)
        else {
            return false;
        };
        let of = |view| state.roster().session_of(view, full);
        let mut sessions = [View::Muc, View::Mix].into_iter().filter_map(of);
        sessions.any(|session| session.joined > at)
    }

    /// The state was dropped, and with it what was decided on it: what is not durable waits again.
    pub(crate) fn departs_again(&mut self) {
        let Some(departures) = &mut self.departures else {
            return;
        };
        departures.prune();
        for it in &mut departures.line {
            it.under_way = None;
        }
        if departures.waits() {
            departures.backoff.later(shared::now());
        }
    }

    /// At the end of a turn: what is durable is forgotten, and what waits has its time.
    pub(crate) fn look_at_departures(&mut self) {
        let Some(departures) = &mut self.departures else {
            return;
        };
        departures.prune();
        if departures.line.is_empty() {
            self.departures = None;
        } else if departures.waits() {
            let due = departures.backoff.due(shared::now());
            self.shared.deadlines.set(&self.channel, Some(due));
        }
    }

    /// Whether a departure is not durable.
    pub(crate) async fn owes_departures(&mut self) -> bool {
        if self.departures.is_some() {
            self.settle().await;
            self.look_at_departures();
        }
        self.departures.is_some()
    }

    /// The ownership ends: whoever owns the shard next is to do it. Who asked in this process asks no more.
    pub(crate) fn hand_on_departures(&mut self) {
        let Some(departures) = self.departures.take() else {
            return;
        };
        let waiting = departures.line.iter().filter(|it| it.under_way.is_none());
        for it in waiting {
            self.not_owner(&it.operation);
        }
    }
}
