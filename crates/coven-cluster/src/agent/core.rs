//! What both agents do: poll, keep the session, look whose store it is, and say how things are.

use std::sync::Arc;
use std::time::Duration;

use coven_store::registry::Sight;
use coven_store::{Error, SessionId};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{Command, Event, Health, Options, Outlet};
use crate::session::{Change, Session, Suspended};

/// How long an answer of the registry may take: then it counts as not answering.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// The pause between polls while something is under way.
pub(super) const HURRY: Duration = Duration::from_millis(50);
/// A session that ends so soon unless it is renewed is looked at more often: others wait for what its process has.
pub(super) const OVERDUE: Duration = Duration::from_secs(1);

/// The part that both agents have.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: Options,
    pub(super) session: Session,
    pub(super) sight: Option<Arc<Sight>>,
    pub(super) health: Health,
    outlet: Outlet,
    /// The session that the fence is open for.
    fenced: Option<SessionId>,
    /// Somebody here has asked for a drain.
    told_to_drain: bool,
    /// There was no store when one was accepted: the next one that is there is meant.
    accepts_next: bool,
    stop: Option<Instant>,
}

/// What a command means for the agent itself.
pub(super) enum Asked {
    /// Nothing more.
    Done,
    /// A server has closed a stream.
    Kicked(coven_store::ConnectionId),
}

impl Core {
    pub(super) fn new(options: Options, outlet: Outlet) -> Self {
        Self {
            session: Session::new(options.timing),
            options,
            sight: None,
            health: Health::default(),
            outlet,
            fenced: None,
            told_to_drain: false,
            accepts_next: false,
            stop: None,
        }
    }

    /// Asks the registry once; says what has become of the session. Nothing is known where the registry does not answer.
    pub(super) async fn poll(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let asked = self.options.clock.now();
        changes.extend(self.session.tick(asked));
        let renew = self.session.to_renew(asked);
        let renew = renew.map(|session| (session, self.options.timing.ttl));
        let answer = self.options.registry.poll(renew);
        let answer = self.while_valid(answer, &mut changes).await;
        let now = self.options.clock.now();
        match answer {
            Ok(sight) => {
                self.reached(None);
                changes.extend(self.compare_store(&sight));
                changes.extend(self.session.seen(&sight, asked, now));
                self.sight = Some(Arc::new(sight));
                changes.extend(self.open().await);
            }
            Err(error) => self.reached(Some(error)),
        }
        changes.extend(self.session.tick(self.options.clock.now()));
        self.shut_fence();
        changes
    }

    /// Waits for an answer; the session may end meanwhile.
    async fn while_valid<T>(
        &mut self,
        answer: impl Future<Output = Result<T, Error>>,
        changes: &mut Vec<Change>,
    ) -> Result<T, Error> {
        let late = tokio::time::sleep(PATIENCE);
        tokio::pin!(answer, late);
        loop {
            let now = self.options.clock.now();
            let left = self.session.deadline().map(|deadline| deadline.since(now));
            let ends = tokio::time::sleep(left.unwrap_or(PATIENCE));
            tokio::select! {
                answer = &mut answer => return answer,
                () = &mut late => return Err(Error::Io("the registry takes too long".to_owned())),
                () = ends, if left.is_some() => {
                    changes.extend(self.session.tick(self.options.clock.now()));
                    if !changes.is_empty() {
                        return Err(Error::Io("the registry takes too long".to_owned()));
                    }
                }
            }
        }
    }

    /// Opens a session if there should be one.
    async fn open(&mut self) -> Option<Change> {
        if !self.session.is_wanted() || self.stop.is_some() {
            return None;
        }
        let (session, asked) = ((self.options.fresh)(), self.options.clock.now());
        let (member, ttl) = (self.options.member.clone(), self.options.timing.ttl);
        let answer = self.options.registry.open(session, member, ttl);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(())) => {
                let now = self.options.clock.now();
                self.session.opened(session, asked, now)
            }
            Ok(Err(error)) => {
                self.reached(Some(error));
                None
            }
            Err(_) => None,
        }
    }

    /// Whose store it is (design §5.15).
    fn compare_store(&mut self, sight: &Sight) -> Option<Change> {
        let was_replaced = self.session.suspended() == Some(Suspended::Replaced);
        if let (true, Some(found)) = (self.accepts_next, sight.store) {
            self.options.store = found;
        }
        if self.is_outdated(sight) {
            return self.session.replaced();
        }
        if sight.store == Some(self.options.store) {
            self.accepts_next = false;
            self.session.accepted();
            return None;
        }
        if !was_replaced {
            let (known, found) = (self.options.store, sight.store);
            error!(
                event = "store-replaced", known = %format!("{:032x}", known.0),
                found = %found.map_or_else(|| "none".to_owned(), |id| format!("{:032x}", id.0)),
                "another store is there: nothing is done with it until `coven admin accept-store`"
            );
            self.say(Event::StoreReplaced(found));
        }
        self.session.replaced()
    }

    /// Whether a format is finalized that this process does not read (I7): then it does nothing any more.
    fn is_outdated(&mut self, sight: &Sight) -> bool {
        let (finalized, known) = (sight.format, self.options.member.formats);
        let is_outdated = sight.store == Some(self.options.store) && finalized > known;
        if is_outdated && self.health.outdated.is_none() {
            let why = coven_store::registry::beyond(finalized, known);
            error!("the store cannot be used: {why}");
        }
        self.health.outdated = is_outdated.then_some(finalized);
        is_outdated
    }

    fn reached(&mut self, error: Option<Error>) {
        let was = self.health.unreachable.is_none();
        match (&error, was) {
            (Some(error), true) => {
                warn!(event = "store-down", %error, "the registry does not answer");
                self.say(Event::StoreDown);
            }
            (None, false) => {
                info!(event = "store-up", "the registry answers again");
                self.say(Event::StoreUp);
            }
            _ => {}
        }
        self.health.unreachable = error.map(|error| error.to_string());
    }

    /// Closes the fence when the session that it was open for is over.
    fn shut_fence(&mut self) {
        if self.fenced.is_some() && self.fenced != self.valid() {
            self.fenced = None;
            self.options.fence.close();
        }
    }

    /// Opens the fence as long as the session lasts, once all that this process holds is its own under this session: what
    /// it held under the last one may be somebody else's by now.
    pub(super) fn open_fence(&mut self, is_own: bool) {
        if let (true, Some(session), Some(deadline)) =
            (is_own, self.valid(), self.session.deadline())
        {
            self.fenced = Some(session);
            self.options.fence.set(deadline);
        }
    }

    /// The session, if it is valid now.
    pub(super) fn valid(&self) -> Option<SessionId> {
        self.session.valid(self.options.clock.now())
    }

    /// Says what this process is now, if that has changed.
    pub(super) async fn tell(&mut self, change: impl FnOnce(&mut coven_store::registry::Member)) {
        let draining = self.is_draining();
        let before = self.options.member.clone();
        self.options.member.draining = draining;
        change(&mut self.options.member);
        let Some(session) = self.valid().filter(|_| self.options.member != before) else {
            return;
        };
        let told = self
            .options
            .registry
            .tell(session, self.options.member.clone());
        if !matches!(tokio::time::timeout(PATIENCE, told).await, Ok(Ok(_))) {
            // Said again with the next poll.
            self.options.member = before;
        }
    }

    /// When the next poll is due.
    pub(super) fn due(&self, hurry: bool) -> Instant {
        let pause = match hurry {
            true => HURRY.min(self.options.timing.poll),
            false => self.options.timing.poll,
        };
        Instant::now() + pause
    }

    /// Waits until then, or until something is asked for.
    pub(super) async fn pause_until(&mut self, due: Instant) -> Asked {
        tokio::select! {
            () = tokio::time::sleep_until(due) => Asked::Done,
            command = self.outlet.asked.recv() => self.command(command),
        }
    }

    fn command(&mut self, command: Option<Command>) -> Asked {
        match command {
            Some(Command::Drain) => self.told_to_drain = true,
            Some(Command::Stop(patience)) => {
                self.told_to_drain = true;
                self.stop = Some(Instant::now() + patience);
            }
            Some(Command::AcceptStore) => self.accept_store(),
            Some(Command::Kicked(connection)) => return Asked::Kicked(connection),
            // Nobody is left to ask for anything: the process ends.
            None => {
                self.told_to_drain = true;
                self.stop = Some(Instant::now());
            }
        }
        Asked::Done
    }

    fn accept_store(&mut self) {
        match self.sight.as_ref().and_then(|sight| sight.store) {
            Some(found) => {
                self.options.store = found;
                self.session.accepted();
            }
            None => self.accepts_next = true,
        }
    }

    /// Whether this process gives up what it has.
    pub(super) fn is_draining(&self) -> bool {
        let me = self.options.member.process;
        let asked = |sight: &Arc<Sight>| sight.requests.draining.contains(&me);
        self.told_to_drain || self.sight.as_ref().is_some_and(asked)
    }

    /// Whether the agent is to end now: it is told to, and has nothing left or no time.
    pub(super) fn is_over(&self, has_something: bool) -> bool {
        let is_late = |until: Instant| Instant::now() >= until;
        self.stop
            .is_some_and(|until| !has_something || is_late(until))
    }

    /// Ends the session.
    pub(super) async fn end(&mut self) {
        self.options.fence.close();
        if let Some(session) = self.session.end() {
            let closed = self.options.registry.close(session);
            let _unanswered = tokio::time::timeout(PATIENCE, closed).await;
        }
        self.publish(false, Vec::new());
    }

    /// Lets everybody know how things are.
    pub(super) fn publish(&mut self, has_something: bool, unlinked: Vec<crate::ProcessId>) {
        let draining = self.is_draining();
        let drained = draining && !has_something;
        // Where the process ends with it, that is logged by who ends it.
        let is_alone = self.stop.is_none();
        if draining && !self.health.draining {
            if is_alone {
                info!(event = "draining", "this process gives up what it has");
            }
            self.say(Event::Draining);
        }
        if drained && !self.health.drained {
            if is_alone {
                info!(event = "drained", "this process has given up what it had");
            }
            self.say(Event::Drained);
        }
        self.health.session = self.valid();
        self.health.suspended = self.session.suspended();
        self.health.sight = self.sight.clone();
        (self.health.draining, self.health.drained) = (draining, drained);
        self.health.unlinked = unlinked;
        self.outlet.health.send_replace(self.health.clone());
    }

    /// Logs a change of the session.
    pub(super) fn report(&self, change: Change) {
        match change {
            Change::Resumed(session) => {
                info!(event = "resumed", session = %format!("{:032x}", session.0), "a session is open");
                self.say(Event::Resumed(session));
            }
            Change::Suspended(why) => {
                warn!(event = "suspended", ?why, "the session is over");
                self.say(Event::Suspended(why));
            }
        }
    }

    pub(super) fn say(&self, event: Event) {
        let _nobody_listens = self.outlet.events.send(event);
    }
}
