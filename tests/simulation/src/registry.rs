//! The registry as a process sees it over a [`Line`]; what calls mean is said by [`coven_store::registry::MemoryRegistry`].
//!
//! Owns the clock that the model lives by: one runtime, stepped with the world, in which calls are done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coven_store::registry::{
    Lease, Member, MemoryRegistry, Registry, Request, Role, Sight, TakeLease,
};
use coven_store::{ConnectionId, LeaseNumber, Pending, ProcessId, SessionId, StoreId};

use crate::host::Host;
use crate::line::Line;
use crate::rng::Rng;
use crate::rule::Rule;

/// Where processes meet: outlives them.
#[derive(Debug)]
pub struct Meeting {
    clock: Host,
    model: MemoryRegistry,
}

impl Meeting {
    /// An empty one, of this store.
    #[must_use]
    pub fn new(store: StoreId) -> Self {
        let clock = Host::start(0, async {});
        let model = {
            let _inside = clock.enter();
            MemoryRegistry::new(store)
        };
        Self { clock, model }
    }

    /// Time goes on.
    pub fn step(&mut self, now: u64) {
        self.clock.step(now);
    }

    /// Another server takes over, without sessions.
    pub fn fail_over(&self) {
        let _inside = self.clock.enter();
        self.model.fail_over();
    }

    /// An operator asks for something.
    pub fn request(&self, request: Request) {
        let _inside = self.clock.enter();
        let _done = self.model.request(request);
    }
}

/// A session that has not been renewed for so long is late: it is renewed every 2 s of its 6 s.
const LATE: Duration = Duration::from_millis(3_400);

/// A connection of one process.
#[derive(Debug, Clone)]
pub struct SimRegistry {
    /// The way to it.
    pub line: Line<Meeting>,
    client: Arc<MemoryRegistry>,
    own: Arc<Mutex<Option<SessionId>>>,
    without: Option<Rule>,
}

impl SimRegistry {
    /// A connection.
    #[must_use]
    pub fn new(rng: Rng, meeting: &Meeting, without: Option<Rule>) -> Self {
        Self {
            line: Line::new(rng),
            client: Arc::new(meeting.model.client()),
            own: Arc::default(),
            without,
        }
    }

    /// The connection breaks, and is made again until then.
    pub fn away(&self, until: u64) {
        self.client.cut();
        self.client.heal();
        self.line.away(until);
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&MemoryRegistry) -> Pending<T> + Send + 'static,
    ) -> Pending<T> {
        let client = Arc::clone(&self.client);
        self.line.call(move |meeting| {
            let _inside = meeting.clock.enter();
            call(&client).wait()
        })
    }

    /// Without the wait for the end of a session, a front-end is dead for the others when it is late.
    fn impatient(&self, sight: &mut Sight) {
        let own = *self.own.lock().unwrap_or_else(PoisonError::into_inner);
        sight.sessions.retain(|seen| {
            seen.member.role == Role::Node || Some(seen.session) == own || seen.remaining > LATE
        });
    }
}

impl Registry for SimRegistry {
    fn open(&self, session: SessionId, member: Member, ttl: Duration) -> Pending<()> {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        self.call(move |model| model.open(session, member, ttl))
    }

    fn tell(&self, session: SessionId, member: Member) -> Pending<bool> {
        self.call(move |model| model.tell(session, member))
    }

    fn close(&self, session: SessionId) -> Pending<()> {
        self.call(move |model| model.close(session))
    }

    fn poll(&self, renew: Option<(SessionId, Duration)>) -> Pending<Sight> {
        let (own, is_impatient) = (self.clone(), self.without == Some(Rule::Wait));
        self.call(move |model| match model.poll(renew).wait() {
            Ok(mut sight) if is_impatient => {
                own.impatient(&mut sight);
                Pending::ready(Ok(sight))
            }
            answer => Pending::ready(answer),
        })
    }

    fn take(&self, take: TakeLease) -> Pending<Result<LeaseNumber, Box<Lease>>> {
        self.call(move |model| model.take(take))
    }

    fn release(&self, connection: &ConnectionId, number: LeaseNumber) -> Pending<()> {
        let connection = connection.clone();
        self.call(move |model| model.release(&connection, number))
    }

    fn ask_to_give_up(
        &self,
        connection: &ConnectionId,
        number: LeaseNumber,
        by: ProcessId,
    ) -> Pending<()> {
        let connection = connection.clone();
        self.call(move |model| model.ask_to_give_up(&connection, number, by))
    }

    fn request(&self, request: Request) -> Pending<()> {
        self.call(move |model| model.request(request))
    }

    fn finalize(&self, store: StoreId, format: u32) -> Pending<bool> {
        self.call(move |model| model.finalize(store, format))
    }
}
