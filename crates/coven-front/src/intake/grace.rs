//! Bounces that say that a server cannot be reached: believed only when they still hold after a minute, so that one broken
//! connection between servers does not empty a domain (MUC-LEAVE-07).
//!
//! Owns the time since the first such bounce of a session, and the second look: after the grace the session is probed, and
//! the probe's bounce is the one that counts. Bound: [`SESSIONS`]; more are left alone until they bounce again. Pure.

use std::time::Duration;

use coven_core::{ChannelName, Condition, FullJid};
use hashbrown::HashMap;
use tokio::time::Instant;

/// Sessions that are watched.
const SESSIONS: usize = 10_000;
/// How long a server may be away.
const GRACE: Duration = Duration::from_secs(60);
/// How long the bounce of a probe is waited for.
const PROBE: Duration = Duration::from_secs(60);

/// Sessions whose server cannot be reached. `P`: what is needed to ask for a probe.
#[derive(Debug)]
pub(crate) struct Grace<P> {
    sessions: HashMap<(FullJid, ChannelName), Watched<P>, foldhash::fast::RandomState>,
}

#[derive(Debug)]
enum Watched<P> {
    /// Since the first bounce.
    Away(Instant, P),
    /// Since it was probed.
    Probed(Instant),
}

/// What follows from a bounce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Wait,
    /// It still holds.
    Confirmed,
}

impl<P> Default for Grace<P> {
    fn default() -> Self {
        Self {
            sessions: HashMap::default(),
        }
    }
}

impl<P> Grace<P> {
    /// Whether this condition has a grace.
    pub(crate) const fn has(condition: Condition) -> bool {
        matches!(
            condition,
            Condition::RemoteServerNotFound | Condition::RemoteServerTimeout
        )
    }

    /// A bounce with such a condition; `probed`: it is that of a probe. `probe` makes what is needed to ask for one.
    pub(crate) fn bounce(
        &mut self,
        session: (FullJid, ChannelName),
        probed: bool,
        now: Instant,
        probe: impl FnOnce() -> P,
    ) -> Verdict {
        match self.sessions.get(&session) {
            Some(Watched::Probed(_)) if probed => {
                self.sessions.remove(&session);
                return Verdict::Confirmed;
            }
            None if self.sessions.len() < SESSIONS => {
                self.sessions.insert(session, Watched::Away(now, probe()));
            }
            _ => {}
        }
        Verdict::Wait
    }

    /// Sessions whose grace is over: they are to be probed now. Those whose probes did not come back are forgotten.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<P> {
        let mut due = Vec::new();
        self.sessions.retain(|_, watched| {
            let over = |since: Instant, time| now.saturating_duration_since(since) >= time;
            match watched {
                Watched::Probed(since) => !over(*since, PROBE),
                Watched::Away(since, _) if !over(*since, GRACE) => true,
                Watched::Away(..) => {
                    if let Watched::Away(_, probe) =
                        std::mem::replace(watched, Watched::Probed(now))
                    {
                        due.push(probe);
                    }
                    true
                }
            }
        });
        due
    }

    /// Whether nobody is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn session(n: usize) -> (FullJid, ChannelName) {
        let channel = ChannelName {
            space: "chat.example".into(),
            local: "coven".into(),
        };
        let jid = FullJid::from_normalised(&format!("hag66@shakespeare.example/{n}"));
        (jid.unwrap(), channel)
    }

    #[tokio::test]
    async fn muc_leave_07_remote_server_errors_count_only_after_a_minute() {
        let (mut grace, now) = (Grace::default(), Instant::now());
        let bounce =
            |grace: &mut Grace<()>, probed, at| grace.bounce(session(0), probed, at, || ());
        assert_eq!(bounce(&mut grace, false, now), Verdict::Wait);
        assert_eq!(bounce(&mut grace, true, now + GRACE / 2), Verdict::Wait);
        assert_eq!(grace.due(now + GRACE / 2).len(), 0);
        let later = now + GRACE;
        assert_eq!(grace.due(later).len(), 1);
        assert_eq!(bounce(&mut grace, false, later), Verdict::Wait);
        assert_eq!(bounce(&mut grace, true, later), Verdict::Confirmed);
        assert!(grace.is_empty());
    }

    #[tokio::test]
    async fn muc_leave_07_a_server_that_came_back_loses_nobody() {
        let (mut grace, now) = (Grace::default(), Instant::now());
        grace.bounce(session(0), false, now, || ());
        grace.due(now + GRACE);
        assert!(grace.due(now + GRACE + PROBE).is_empty());
        assert!(grace.is_empty());
    }

    #[tokio::test]
    async fn i9_the_number_of_watched_sessions_is_bounded() {
        let (mut grace, now) = (Grace::default(), Instant::now());
        for n in 0..=SESSIONS {
            grace.bounce(session(n), false, now, || ());
        }
        assert_eq!(grace.due(now + GRACE).len(), SESSIONS);
    }
}
