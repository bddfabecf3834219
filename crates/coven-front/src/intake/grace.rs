//! Bounces that say that a server cannot be reached: believed only when they still hold after a minute, so that one broken
//! connection between servers does not empty a domain (MUC-LEAVE-07).
//!
//! Owns the time since the first such bounce of a session, and the second look: after the grace the session is probed, and
//! the probe's bounce is the one that counts. Bounds: [`SESSIONS`] and [`BYTES`], more are left alone until they bounce again; and
//! whoever asks says how many probes may go at a time, since a whole server's users have their grace at once. Pure.

use std::time::Duration;

use coven_core::{ChannelName, Condition, FullJid};
use hashbrown::HashMap;
use tokio::time::Instant;

use super::deferred::Weigh;

/// Sessions that are watched.
const SESSIONS: usize = 10_000;
/// About what their probes weigh.
const BYTES: usize = 32 * 1024 * 1024;
/// How long a server may be away.
const GRACE: Duration = Duration::from_secs(60);
/// How long the bounce of a probe is waited for.
const PROBE: Duration = Duration::from_secs(60);

/// Sessions whose server cannot be reached. `P`: what is needed to ask for a probe.
#[derive(Debug)]
pub(crate) struct Grace<P> {
    sessions: HashMap<(FullJid, ChannelName), Watched<P>, foldhash::fast::RandomState>,
    bytes: usize,
}

#[derive(Debug)]
enum Watched<P> {
    /// Since the first bounce.
    Away(Instant, P),
    /// Its grace is over, but there was no room for its probe.
    Late(P),
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
            bytes: 0,
        }
    }
}

/// Whether this condition has a grace.
pub(crate) const fn has_grace(condition: Condition) -> bool {
    matches!(
        condition,
        Condition::RemoteServerNotFound | Condition::RemoteServerTimeout
    )
}

impl<P: Weigh> Grace<P> {
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
            None if self.sessions.len() < SESSIONS && self.bytes < BYTES => {
                let probe = probe();
                self.bytes += probe.weight();
                self.sessions.insert(session, Watched::Away(now, probe));
            }
            _ => {}
        }
        Verdict::Wait
    }

    /// Sessions whose grace is over, at most `max`: they are to be probed now. Those whose probes did not come back are
    /// forgotten.
    pub(crate) fn due(&mut self, now: Instant, max: usize) -> Vec<P> {
        let mut due = Vec::new();
        self.sessions.retain(|_, watched| {
            if due.len() < max && watched.is_due(now) {
                due.extend(watched.probe(now));
            }
            !watched.is_forgotten(now)
        });
        let bytes: usize = due.iter().map(Weigh::weight).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        due
    }

    /// There was no room for a probe: it is due again.
    pub(crate) fn missed(&mut self, session: &(FullJid, ChannelName), probe: P) {
        if let Some(watched) = self.sessions.get_mut(session) {
            self.bytes += probe.weight();
            *watched = Watched::Late(probe);
        }
    }

    /// Whether nobody is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl<P> Watched<P> {
    fn is_due(&self, now: Instant) -> bool {
        match self {
            Self::Away(since, _) => now.saturating_duration_since(*since) >= GRACE,
            Self::Late(_) => true,
            Self::Probed(_) => false,
        }
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        matches!(self, Self::Probed(since) if now.saturating_duration_since(*since) >= PROBE)
    }

    /// From now on it is probed.
    fn probe(&mut self, now: Instant) -> Option<P> {
        match std::mem::replace(self, Self::Probed(now)) {
            Self::Away(_, probe) | Self::Late(probe) => Some(probe),
            Self::Probed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    impl Weigh for () {
        fn weight(&self) -> usize {
            0
        }
    }

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
        assert_eq!(grace.due(now + GRACE / 2, 9).len(), 0);
        let later = now + GRACE;
        assert_eq!(grace.due(later, 9).len(), 1);
        assert_eq!(bounce(&mut grace, false, later), Verdict::Wait);
        assert_eq!(bounce(&mut grace, true, later), Verdict::Confirmed);
        assert!(grace.is_empty());
    }

    #[tokio::test]
    async fn muc_leave_07_a_server_that_came_back_loses_nobody() {
        let (mut grace, now) = (Grace::default(), Instant::now());
        grace.bounce(session(0), false, now, || ());
        grace.due(now + GRACE, 9);
        assert!(grace.due(now + GRACE + PROBE, 9).is_empty());
        assert!(grace.is_empty());
    }

    #[tokio::test]
    async fn i9_the_number_of_watched_sessions_is_bounded() {
        let (mut grace, now) = (Grace::default(), Instant::now());
        for n in 0..=SESSIONS {
            grace.bounce(session(n), false, now, || ());
        }
        assert_eq!(grace.due(now + GRACE, usize::MAX).len(), SESSIONS);
    }

    /// A server's users are all away at once: their probes go a few at a time, and none is lost where there is no room.
    #[tokio::test]
    async fn i9_muc_leave_07_probes_go_at_a_pace_and_none_is_lost() {
        let (mut grace, now) = (Grace::default(), Instant::now());
        for n in 0..250 {
            grace.bounce(session(n), false, now, || n);
        }
        let mut probed = Vec::new();
        let mut later = now + GRACE;
        for turn in 0..5 {
            let due = grace.due(later, 100);
            assert!(due.len() <= 100);
            for n in due {
                if turn == 0 {
                    grace.missed(&session(n), n);
                } else {
                    probed.push(n);
                }
            }
            later += Duration::from_millis(100);
        }
        probed.sort_unstable();
        assert!(probed.into_iter().eq(0..250));
        assert_eq!(
            grace.bounce(session(7), true, later, || 7),
            Verdict::Confirmed
        );
    }
}
