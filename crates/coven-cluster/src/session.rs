//! The session of this process with the store: opened, renewed, lost, and opened anew (design §5.1).
//!
//! A state machine. It counts a session's end from before the request was sent, so that it knows of the end no later than
//! the store does; past it the process is suspended. A changed primary ends a session too: what the old one granted may be
//! lost (IL-30). Suspended, it takes a new session as soon as the store answers.

use std::time::Duration;

use coven_store::SessionId;
use coven_store::registry::Sight;
use smol_str::SmolStr;

use crate::clock::Moment;

/// How sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a session lasts unless it is renewed.
    pub ttl: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How often everybody is looked at.
    pub poll: Duration,
}

impl Timing {
    /// How long a process itself counts on its session: a little shorter, since its clock may run slower than the store's
    /// (up to 1 %).
    #[must_use]
    pub fn counted(&self) -> Duration {
        self.ttl - self.ttl / 100
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(6),
            renew: Duration::from_secs(2),
            poll: Duration::from_millis(300),
        }
    }
}

/// Why there is no valid session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspended {
    /// The process has just started.
    Starting,
    /// The store did not answer for as long as the session lasts.
    Silence,
    /// The store does not have the session any more.
    Gone,
    /// Another server answers than the one that granted the session.
    Moved,
    /// The store is not the one that this process knew (design §5.15).
    Replaced,
    /// The process is about to end.
    Ended,
}

/// What a session's change of state means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It speaks for what it holds again, under this session, once it has claimed that.
    Resumed(SessionId),
    /// It speaks for nothing any more.
    Suspended(Suspended),
}

/// The session of this process.
#[derive(Debug)]
pub struct Session {
    timing: Timing,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Valid(Valid),
    Suspended(Suspended),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Valid {
    session: SessionId,
    deadline: Moment,
    renewed: Moment,
    /// The server that it was first seen on.
    server: Option<SmolStr>,
}

impl Session {
    /// None yet.
    #[must_use]
    pub const fn new(timing: Timing) -> Self {
        Self {
            timing,
            state: State::Suspended(Suspended::Starting),
        }
    }

    /// The session, if it is valid now.
    #[must_use]
    pub fn valid(&self, now: Moment) -> Option<SessionId> {
        match &self.state {
            State::Valid(valid) if now < valid.deadline => Some(valid.session),
            _ => None,
        }
    }

    /// When it ends unless it is renewed.
    #[must_use]
    pub const fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Valid(valid) => Some(valid.deadline),
            State::Suspended(_) => None,
        }
    }

    /// Why there is none.
    #[must_use]
    pub const fn suspended(&self) -> Option<Suspended> {
        match &self.state {
            State::Valid(_) => None,
            State::Suspended(why) => Some(*why),
        }
    }

    /// The session to renew with the next poll, if it is time.
    #[must_use]
    pub fn to_renew(&self, now: Moment) -> Option<SessionId> {
        match &self.state {
            State::Valid(valid) if now.since(valid.renewed) >= self.timing.renew => self.valid(now),
            _ => None,
        }
    }

    /// Whether to open a session: there is none, and `sight` shows the right store.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        matches!(&self.state, State::Suspended(why) if !matches!(why, Suspended::Ended | Suspended::Replaced))
    }

    /// A session was opened by a request that was sent at `asked`.
    pub fn opened(&mut self, session: SessionId, asked: Moment, now: Moment) -> Option<Change> {
        let deadline = asked + self.timing.counted();
        if !self.is_wanted() || now >= deadline {
            return None;
        }
        self.state = State::Valid(Valid {
            session,
            deadline,
            renewed: asked,
            server: None,
        });
        Some(Change::Resumed(session))
    }

    /// A poll that was sent at `asked` shows this.
    pub fn seen(&mut self, sight: &Sight, asked: Moment, now: Moment) -> Option<Change> {
        let State::Valid(valid) = &mut self.state else {
            return None;
        };
        let server = valid.server.get_or_insert_with(|| sight.server.clone());
        if *server != sight.server {
            return self.suspend(Suspended::Moved);
        }
        // A poll that was sent before the session was opened cannot show it.
        if asked >= valid.renewed && !sight.has(valid.session) {
            return self.suspend(Suspended::Gone);
        }
        if sight.renewed == Some(true) {
            valid.renewed = asked;
            valid.deadline = valid.deadline.max(asked + self.timing.counted());
        }
        self.tick(now)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) -> Option<Change> {
        match &self.state {
            State::Valid(valid) if now >= valid.deadline => self.suspend(Suspended::Silence),
            _ => None,
        }
    }

    /// The store is another one.
    pub fn replaced(&mut self) -> Option<Change> {
        self.suspend(Suspended::Replaced)
    }

    /// The store that is there now is the right one.
    pub fn accepted(&mut self) {
        if self.state == State::Suspended(Suspended::Replaced) {
            self.state = State::Suspended(Suspended::Gone);
        }
    }

    /// The process ends: no session any more. Answers the one to be closed.
    pub fn end(&mut self) -> Option<SessionId> {
        let ended = State::Suspended(Suspended::Ended);
        match std::mem::replace(&mut self.state, ended) {
            State::Valid(valid) => Some(valid.session),
            State::Suspended(_) => None,
        }
    }

    fn suspend(&mut self, why: Suspended) -> Option<Change> {
        let before = std::mem::replace(&mut self.state, State::Suspended(why));
        matches!(before, State::Valid(_)).then_some(Change::Suspended(why))
    }
}
