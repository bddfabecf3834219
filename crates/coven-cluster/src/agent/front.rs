//! The agent of a front-end: takes leases of connections, gives them up, and keeps links to all nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use coven_store::registry::{Lease, Role, Seen, Sight, TakeLease};
use coven_store::{ConnectionId, Error, SessionId};
use smol_str::SmolStr;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::core::{Asked, Core, HURRY, OVERDUE};
use super::link::{LinkUp, Links};
use super::{Event, Handle, Options};
use crate::claims::candidates;
use crate::clock::Moment;
use crate::leases::{Connection, Elections, Step, View};
use crate::{LeaseNumber, ProcessId};

/// How long a lease may take to be granted: a barrier of the store included.
const PATIENCE: Duration = Duration::from_secs(3);

/// What an agent does with a front-end.
pub trait FrontControl: Send + Sync + 'static {
    /// The connections of all front-ends, as configured and resolved now.
    fn connections(&self) -> Vec<Connection>;

    /// The leases that other front-ends hold, each with where its connection leads.
    fn others_hold(&self, _leases: &[&Lease]) {}

    /// A connection is this front-end's, under this lease. One that it holds already goes on under the new number.
    fn grant(&self, connection: &ConnectionId, lease: LeaseNumber);

    /// The connection is to be given up: passes a barrier, closes the stream, and then ends.
    fn revoke(&self, connection: &ConnectionId) -> impl Future<Output = ()> + Send;

    /// The connection is somebody else's: nothing more is written to it, and its stream is closed.
    fn lost(&self, connection: &ConnectionId);
}

/// Makes links to nodes.
pub trait Dial: Send + Sync + 'static {
    /// Dials a node, says so when the link is up, and ends when it is down, or could not be made. Dropped, it ends the link.
    fn link(
        &self,
        node: ProcessId,
        address: SmolStr,
        up: LinkUp,
    ) -> impl Future<Output = ()> + Send;
}

/// The agent of a front-end.
pub struct FrontAgent<C, D> {
    core: Core,
    control: Arc<C>,
    dial: Arc<D>,
    links: Links,
    elections: Elections,
    /// The leases that the front-end has been given.
    held: BTreeMap<ConnectionId, LeaseNumber>,
    /// The session that each was taken with.
    taken_with: BTreeMap<ConnectionId, SessionId>,
    /// Connections that are just being taken or given up.
    busy: BTreeSet<ConnectionId>,
    /// Since when the others can know that this front-end drains.
    draining: Option<Moment>,
    tasks: JoinSet<Done>,
}

/// What a task has done.
#[derive(Debug)]
enum Done {
    Taken(ConnectionId, SessionId, Result<Option<LeaseNumber>, Error>),
    GivenUp(ConnectionId),
}

impl<C, D> std::fmt::Debug for FrontAgent<C, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontAgent").finish_non_exhaustive()
    }
}

impl<C: FrontControl, D: Dial> FrontAgent<C, D> {
    /// An agent for a front-end. Nothing happens before it runs.
    pub fn new(options: Options, control: C, dial: D) -> (Self, Handle) {
        let (handle, outlet) = Handle::new();
        let agent = Self {
            elections: Elections::new(options.member.process, options.leases),
            core: Core::new(options, outlet),
            control: Arc::new(control),
            dial: Arc::new(dial),
            links: Links::default(),
            held: BTreeMap::new(),
            taken_with: BTreeMap::new(),
            busy: BTreeSet::new(),
            draining: None,
            tasks: JoinSet::new(),
        };
        (agent, handle)
    }

    /// Works until it is told to stop: then gives up what it holds, ends the session, and drops the links.
    pub async fn run(mut self) {
        loop {
            for change in self.core.poll().await {
                self.core.report(change);
            }
            while let Some(done) = self.tasks.try_join_next() {
                self.done(done);
            }
            let is_own = self.is_own();
            self.core.open_fence(is_own);
            self.core.tell(|_| ()).await;
            self.act();
            let has_something = !self.held.is_empty() || !self.busy.is_empty();
            self.core.publish(has_something, self.links.missing());
            if self.core.is_over(has_something) {
                break;
            }
            let drains = self.draining.is_some() && !self.held.is_empty();
            let hurry = drains || !self.tasks.is_empty() || self.is_anybody_leaving();
            if let Asked::Kicked(connection) = self.rest(hurry).await {
                let now = self.core.options.clock.now();
                self.elections.kicked(connection, now);
            }
        }
        self.tasks.shutdown().await;
        self.core.end().await;
        self.links.close().await;
    }

    /// Waits until the next poll is due. What is taken or given up meanwhile is so at once: people wait for it.
    async fn rest(&mut self, hurry: bool) -> Asked {
        let due = self.core.due(hurry);
        loop {
            tokio::select! {
                asked = self.core.pause_until(due) => return asked,
                Some(done) = self.tasks.join_next() => self.done(done),
            }
        }
    }

    /// Another front-end gives up what it holds, or may be dead: somebody is to take it soon.
    fn is_anybody_leaving(&self) -> bool {
        let me = self.core.options.member.process;
        let Some(sight) = &self.core.sight else {
            return false;
        };
        let is_leaving = |seen: &Seen| {
            let is_asked = sight.requests.draining.contains(&seen.member.process);
            seen.member.draining || is_asked || seen.remaining < OVERDUE
        };
        let holds = |seen: &Seen| {
            let mut leases = sight.leases.iter();
            leases.any(|lease| lease.holder == Some(seen.session))
        };
        let mut others = sight.sessions.iter();
        others.any(|seen| seen.member.process != me && is_leaving(seen) && holds(seen))
    }

    /// Whether what is held may be given up: one that drains serves on until the others have seen that, and look more
    /// often. Then hardly a moment is without a stream.
    fn may_let_go(&mut self, sight: &Sight) -> bool {
        if !self.core.is_draining() {
            self.draining = None;
            return true;
        }
        let (me, now) = (
            self.core.options.member.process,
            self.core.options.clock.now(),
        );
        let since = *self.draining.get_or_insert(now);
        let fronts = candidates(sight, Role::Front);
        let is_alone = fronts.iter().all(|front| front.process == me);
        is_alone || now.since(since) >= self.core.options.timing.poll + HURRY
    }

    fn act(&mut self) {
        let Some(sight) = self.core.sight.clone() else {
            return;
        };
        if self.core.health.unreachable.is_some() {
            return;
        }
        self.links.update(&sight, &self.dial);
        let Some(session) = self.core.valid() else {
            return;
        };
        let linked = self.links.up();
        let is_others = |lease: &&Lease| {
            let held = self.held.contains_key(&lease.connection);
            lease.holder.is_some() && !held
        };
        let others: Vec<&Lease> = sight.leases.iter().filter(is_others).collect();
        self.control.others_hold(&others);
        let steps = self.elections.plan(
            &self.control.connections(),
            View {
                now: self.core.options.clock.now(),
                sight: &sight,
                session,
                held: &self.held,
                busy: &self.busy,
                linked: &linked,
                draining: self.core.is_draining(),
            },
        );
        let lets_go = self.may_let_go(&sight);
        let waits = |step: &Step| matches!(step, Step::GiveUp(..)) && !lets_go;
        for step in steps.into_iter().filter(|step| !waits(step)) {
            self.begin(step);
        }
    }

    fn begin(&mut self, step: Step) {
        match step {
            Step::Take(take) => self.take(take),
            Step::GiveUp(connection, number) => self.give_up(connection, number),
            Step::Lost(connection) => {
                warn!(connection = %connection.0, "another front-end holds it");
                self.lose(&connection);
            }
        }
    }

    fn take(&mut self, take: TakeLease) {
        let (connection, session) = (take.connection.clone(), take.session);
        self.busy.insert(connection.clone());
        let registry = Arc::clone(&self.core.options.registry);
        self.tasks.spawn(async move {
            let taken = tokio::time::timeout(PATIENCE, registry.take(take)).await;
            let taken = match taken {
                Ok(taken) => taken.map(Result::ok),
                Err(_) => Err(Error::Unknown("the registry takes too long".to_owned())),
            };
            Done::Taken(connection, session, taken)
        });
    }

    /// The front-end lets go first, and the lease ends after it.
    fn give_up(&mut self, connection: ConnectionId, number: LeaseNumber) {
        self.busy.insert(connection.clone());
        let control = Arc::clone(&self.control);
        let registry = Arc::clone(&self.core.options.registry);
        self.tasks.spawn(async move {
            control.revoke(&connection).await;
            let released = registry.release(&connection, number);
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, released).await {
                warn!(connection = %connection.0, %error, "its lease is not released yet");
            }
            Done::GivenUp(connection)
        });
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Taken(connection, session, taken)) => {
                self.busy.remove(&connection);
                self.taken(connection, session, taken);
            }
            Ok(Done::GivenUp(connection)) => {
                self.busy.remove(&connection);
                self.held.remove(&connection);
                info!(connection = %connection.0, "a connection is given up");
                self.core.say(Event::Revoked(connection));
            }
            // A fault of ours that ends the task ends the agent too, and with it the process.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    /// A lease counts only under the session that it was taken with, and while that is valid.
    fn taken(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        taken: Result<Option<LeaseNumber>, Error>,
    ) {
        match taken {
            Ok(Some(number)) if self.core.valid() == Some(session) => {
                info!(connection = %connection.0, lease = number.0, "a connection is taken");
                self.control.grant(&connection, number);
                self.held.insert(connection.clone(), number);
                self.taken_with.insert(connection.clone(), session);
                self.core.say(Event::Granted(connection, number));
            }
            Ok(None) if self.held.contains_key(&connection) => self.lose(&connection),
            Ok(_) => {}
            Err(error) => {
                warn!(connection = %connection.0, %error, "its lease is not taken yet");
            }
        }
    }

    /// Whether all that is held was taken with the session of now.
    fn is_own(&self) -> bool {
        let session = self.core.valid();
        let mut held = self.held.keys();
        held.all(|connection| self.taken_with.get(connection).copied() == session)
    }

    fn lose(&mut self, connection: &ConnectionId) {
        self.control.lost(connection);
        self.held.remove(connection);
        self.core.say(Event::Revoked(connection.clone()));
    }
}
