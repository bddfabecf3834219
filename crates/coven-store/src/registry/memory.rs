//! The registry in memory: the model that the one in Redis is measured against, and the registry of simulations.
//!
//! Time is tokio's, so that whoever steers that steers this. Every call is done before it comes back. Faults of the real
//! one can be brought about: a client that is cut off, a fail-over, an emptied store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::{SmolStr, format_smolstr};
use tokio::time::Instant;

use super::{Lease, Member, Registry, Request, Requests, Seen, Sight, TakeLease};
use crate::{ConnectionId, Error, LeaseNumber, Pending, ProcessId, SessionId, StoreId, Timestamp};

/// A registry in memory, as one process sees it. [`client`](Self::client) is the same one as another process sees it.
#[derive(Debug)]
pub struct MemoryRegistry {
    content: Arc<Mutex<Content>>,
    connection: Mutex<Connection>,
}

/// What all see.
#[derive(Debug)]
struct Content {
    began: Instant,
    identity: Option<StoreId>,
    format: u32,
    /// Counts primaries.
    server: u64,
    sessions: BTreeMap<SessionId, (Member, Instant)>,
    leases: BTreeMap<ConnectionId, Lease>,
    requests: Requests,
}

/// One client's way to it.
#[derive(Debug)]
struct Connection {
    cut: bool,
    /// The server that it was connected to last, and since when.
    to: Option<(u64, Instant)>,
}

impl MemoryRegistry {
    /// An empty registry, of the store with this identity.
    #[must_use]
    pub fn new(identity: StoreId) -> Self {
        Self::over(Arc::new(Mutex::new(Content {
            began: Instant::now(),
            identity: Some(identity),
            format: 1,
            server: 1,
            sessions: BTreeMap::new(),
            leases: BTreeMap::new(),
            requests: Requests::default(),
        })))
    }

    /// The same registry, over a connection of its own.
    #[must_use]
    pub fn client(&self) -> Self {
        Self::over(Arc::clone(&self.content))
    }

    /// Cuts this client off: whatever it asks for fails, and is not done.
    pub fn cut(&self) {
        *lock(&self.connection) = Connection {
            cut: true,
            to: None,
        };
    }

    /// Ends a [`cut`](Self::cut).
    pub fn heal(&self) {
        lock(&self.connection).cut = false;
    }

    /// Another server takes over, without sessions: none was kept alive long enough (design §5.1).
    pub fn fail_over(&self) {
        let mut content = lock(&self.content);
        content.server += 1;
        content.sessions.clear();
    }

    /// A lease is as it was before: the server that took over had not got the newest change.
    pub fn set_back(&self, lease: Lease) {
        let mut content = lock(&self.content);
        content.leases.insert(lease.connection.clone(), lease);
    }

    /// The store is emptied, and another one, or none, is there in its place (design §5.15).
    pub fn replace(&self, identity: Option<StoreId>) {
        let mut content = lock(&self.content);
        content.server += 1;
        content.identity = identity;
        content.format = 1;
        content.sessions.clear();
        content.leases.clear();
        content.requests = Requests::default();
    }

    fn over(content: Arc<Mutex<Content>>) -> Self {
        Self {
            content,
            connection: Mutex::new(Connection {
                cut: false,
                to: None,
            }),
        }
    }

    /// Does something, unless this client is cut off.
    fn with<T>(&self, act: impl FnOnce(&mut Content) -> T) -> Pending<T> {
        match self.unbroken() {
            None => Pending::ready(Err(Error::Io("the registry cannot be reached".to_owned()))),
            Some(_) => {
                let mut content = lock(&self.content);
                content.expire();
                Pending::ready(Ok(act(&mut content)))
            }
        }
    }

    /// How long this client has been connected to the server of now.
    fn unbroken(&self) -> Option<Duration> {
        let server = lock(&self.content).server;
        let mut connection = lock(&self.connection);
        if connection.cut {
            return None;
        }
        let now = Instant::now();
        let since = match connection.to {
            Some((to, since)) if to == server => since,
            _ => now,
        };
        connection.to = Some((server, since));
        Some(now.saturating_duration_since(since))
    }
}

impl Content {
    fn expire(&mut self) {
        let now = Instant::now();
        self.sessions.retain(|_, (_, until)| *until > now);
    }

    fn now(&self) -> Timestamp {
        let since = self.began.elapsed().as_millis();
        Timestamp(u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1))
    }

    fn renew(&mut self, session: SessionId, ttl: Duration) -> bool {
        let found = self.sessions.get_mut(&session);
        found
            .map(|(_, until)| *until = Instant::now() + ttl)
            .is_some()
    }

    fn sight(&self, unbroken: Duration, renewed: Option<bool>) -> Sight {
        let now = Instant::now();
        let seen = |(session, (member, until)): (&SessionId, &(Member, Instant))| Seen {
            session: *session,
            member: member.clone(),
            remaining: until.saturating_duration_since(now),
        };
        let mut sessions: Vec<Seen> = self.sessions.iter().map(seen).collect();
        sessions.sort_by_key(|seen| (seen.member.process, seen.session));
        Sight {
            store: self.identity,
            format: self.format,
            server: server_name(self.server),
            unbroken,
            now: self.now(),
            renewed,
            sessions,
            leases: self.leases.values().cloned().collect(),
            requests: self.requests.clone(),
        }
    }

    fn take(&mut self, take: TakeLease) -> Result<LeaseNumber, Box<Lease>> {
        let stored = self.leases.get(&take.connection);
        if let Some(lease) = stored
            && let Some(holder) = lease.holder
            && holder != take.session
            && Some(holder) != take.judged_dead
        {
            return Err(Box::new(lease.clone()));
        }
        let stored = stored.map_or(0, |lease| lease.number.0);
        let number = LeaseNumber((stored + 1).max(take.known.0 + 1).max(self.now().0));
        let lease = Lease {
            connection: take.connection.clone(),
            way: take.way,
            holder: Some(take.session),
            number,
            asked_by: None,
        };
        self.leases.insert(take.connection, lease);
        Ok(number)
    }

    /// The lease of a connection, if it has this number and is held.
    fn held(&mut self, connection: &ConnectionId, number: LeaseNumber) -> Option<&mut Lease> {
        let lease = self.leases.get_mut(connection)?;
        (lease.number == number && lease.holder.is_some()).then_some(lease)
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Drain(process) => {
                self.requests.draining.insert(process);
            }
            Request::Undrain(process) => {
                self.requests.draining.remove(&process);
            }
            Request::Move(shard, Some(to)) => {
                self.requests.moved.insert(shard, to);
            }
            Request::Move(shard, None) => {
                self.requests.moved.remove(&shard);
            }
            Request::Quarantine(key) => {
                self.requests.quarantined.insert(key);
            }
            Request::Lift(key) => {
                self.requests.quarantined.remove(&key);
            }
        }
    }
}

impl Registry for MemoryRegistry {
    fn open(&self, session: SessionId, member: Member, ttl: Duration) -> Pending<()> {
        self.with(|content| {
            let until = Instant::now() + ttl;
            content.sessions.insert(session, (member, until));
        })
    }

    fn tell(&self, session: SessionId, member: Member) -> Pending<bool> {
        self.with(|content| {
            let found = content.sessions.get_mut(&session);
            found.map(|(told, _)| *told = member).is_some()
        })
    }

    fn close(&self, session: SessionId) -> Pending<()> {
        self.with(|content| {
            if let Some((member, _)) = content.sessions.remove(&session) {
                content.requests.forget(member.process);
            }
        })
    }

    fn poll(&self, renew: Option<(SessionId, Duration)>) -> Pending<Sight> {
        let unbroken = self.unbroken().unwrap_or_default();
        self.with(|content| {
            let renewed = renew.map(|(session, ttl)| content.renew(session, ttl));
            content.sight(unbroken, renewed)
        })
    }

    fn take(&self, take: TakeLease) -> Pending<Result<LeaseNumber, Box<Lease>>> {
        self.with(|content| content.take(take))
    }

    fn release(&self, connection: &ConnectionId, number: LeaseNumber) -> Pending<()> {
        self.with(|content| {
            if let Some(lease) = content.held(connection, number) {
                lease.holder = None;
                lease.asked_by = None;
            }
        })
    }

    fn ask_to_give_up(
        &self,
        connection: &ConnectionId,
        number: LeaseNumber,
        by: ProcessId,
    ) -> Pending<()> {
        self.with(|content| {
            if let Some(lease) = content.held(connection, number) {
                lease.asked_by.get_or_insert(by);
            }
        })
    }

    fn request(&self, request: Request) -> Pending<()> {
        self.with(|content| content.request(request))
    }

    fn finalize(&self, store: StoreId, format: u32) -> Pending<bool> {
        self.with(|content| {
            let is_there = content.identity == Some(store);
            if is_there {
                content.format = content.format.max(format);
            }
            is_there
        })
    }
}

fn server_name(server: u64) -> SmolStr {
    format_smolstr!("memory-{server}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
