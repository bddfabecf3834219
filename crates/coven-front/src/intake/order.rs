//! Whether the server mixes up what one sender says, since it spreads its stanzas over several streams (design §6).
//!
//! Nothing on this side can repair that: it is said once, and counted. Two things show it, and neither happens where the
//! server does as it should: a sender's stanzas come on one stream, then on another, and then on the first again, which has
//! been there all the time; and the answer to a barrier comes on another stream while that of the question is there. What
//! follows from a stream that came or went, or from nodes of a server that share one, shows nothing.
//!
//! [`Senders`] is pure: the time comes in. Bound: [`MOST`] senders.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;
use tracing::warn;

use crate::connection::{Connection, StreamNo};
use crate::metrics::Counter;

/// A sender who is heard on two streams within this time is heard on both at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Senders that are remembered: beyond it all are forgotten.
const MOST: usize = 16 * 1024;
/// So many answers on other streams are no accident.
const STRAYS: u32 = 3;

/// A stream of a connection.
type Stream = (usize, StreamNo);

/// Where senders were heard.
#[derive(Debug, Default)]
struct Senders(HashMap<u64, Seen, foldhash::fast::RandomState>);

#[derive(Debug)]
struct Seen {
    on: Stream,
    /// Where before that, and when for the last time.
    before: Option<(Stream, Instant)>,
    at: Instant,
}

impl Senders {
    /// A sender is heard. Tells whether that shows that the server spreads what it says.
    fn hear(&mut self, sender: u64, on: Stream, now: Instant) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&sender) {
            self.0.clear();
        }
        let fresh = Seen {
            on,
            before: None,
            at: now,
        };
        let seen = self.0.entry(sender).or_insert(fresh);
        let left = std::mem::replace(&mut seen.at, now);
        if seen.on == on {
            return false;
        }
        let back = seen.before.is_some_and(|(stream, at)| {
            stream == on && now.saturating_duration_since(at) < AT_ONCE
        });
        seen.before = Some((std::mem::replace(&mut seen.on, on), left));
        back
    }
}

/// What the way in knows of the order of what it hears.
#[derive(Debug, Default)]
pub(crate) struct Order {
    hasher: foldhash::fast::RandomState,
    senders: Mutex<Senders>,
    strays: AtomicU32,
    warned: AtomicBool,
}

impl Order {
    /// A stanza of this sender came; asked only where a domain has several connections here.
    pub(crate) fn hear(&self, sender: &str, via: &Connection, counter: &Counter) {
        // A bare address is a server's or a channel's, and may speak from anywhere.
        if !sender.contains('/') || via.is_shared() {
            return;
        }
        let sender = self.hasher.hash_one((sender, via.domain(), &via.group().0));
        let (on, now) = ((via.index(), via.stream()), Instant::now());
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if senders.hear(sender, on, now) {
            drop(senders);
            counter.add(1);
            self.warn(via);
        }
    }

    /// The answer to a barrier came on another stream than the question went, which is there.
    pub(crate) fn strayed(&self, asked: &Connection, counter: &Counter) {
        if asked.is_shared() || asked.upstream().slots.each.get() > 1 {
            return;
        }
        counter.add(1);
        if self.strays.fetch_add(1, Ordering::Relaxed) + 1 >= STRAYS {
            self.warn(asked);
        }
    }

    fn warn(&self, via: &Connection) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            let (upstream, domain) = (via.upstream().address(), via.domain());
            warn!(
                upstream,
                %domain,
                "the server spreads what one sender says over several streams, so its order is lost: \
                 ejabberd needs domain_balancing with type bare_source, others one stream for each of their nodes"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = std::time::Instant::now();
        Instant::from_std(now)
    }

    const A: Stream = (0, StreamNo::FIRST);
    const B: Stream = (1, StreamNo::FIRST);

    fn heard(streams: &[(Stream, u64)]) -> bool {
        let (mut senders, start) = (Senders::default(), now());
        let mut shown = false;
        for (on, seconds) in streams {
            shown |= senders.hear(7, *on, start + Duration::from_secs(*seconds));
        }
        shown
    }

    #[test]
    fn a_sender_on_two_streams_at_once_shows_that_order_is_lost() {
        assert!(heard(&[(A, 0), (B, 1), (A, 2)]));
        assert!(heard(&[(A, 0), (A, 0), (B, 0), (B, 0), (A, 0)]));
    }

    #[test]
    fn a_sender_who_moves_shows_nothing() {
        assert!(!heard(&[(A, 0), (A, 1), (B, 1), (B, 2)]), "another node");
        assert!(
            !heard(&[(A, 0), (B, 1), (B, 9), (A, 10)]),
            "and back, later"
        );
    }

    #[test]
    fn a_stream_that_came_back_shows_nothing() {
        let again = (0, StreamNo::FIRST.next().next());
        assert!(!heard(&[(A, 0), (B, 1), (again, 2)]));
    }

    #[test]
    fn senders_are_told_apart_and_bounded() {
        let (mut senders, now) = (Senders::default(), now());
        for sender in 0..3 * MOST as u64 {
            assert!(!senders.hear(sender, if sender % 2 == 0 { A } else { B }, now));
        }
        assert!(senders.0.len() <= MOST);
    }
}
