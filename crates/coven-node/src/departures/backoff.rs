//! When what waits in a channel is tried again: after a pause that doubles, and less often than asked where much of it waits.
//!
//! Pure: the time comes in. What waits, and how much of it is much, is its owner's ([`super::Departures`]).

use crate::actor::RETRY_MS;
use coven_core::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// The pause between two trials doubles up to this.
const MOST_PAUSE_MS: i64 = 8 * RETRY_MS;
/// Trials of much are at least so far apart, whatever is asked of the channel meanwhile: a store that refuses would have it
/// all decided in vain each time.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// The pauses between trials.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause_ms: i64,
    /// When it is tried again by itself.
    due: Option<Timestamp>,
    tried: Option<Instant>,
}

impl Backoff {
    /// It is tried again after a while, each time a longer one.
    pub(super) fn later(&mut self, now: Timestamp) -> Timestamp {
        self.pause_ms = (self.pause_ms * 2).clamp(RETRY_MS, MOST_PAUSE_MS);
        *self.due.insert(now.plus_ms(self.pause_ms))
    }

    /// When it is tried again by itself. A moment that has passed was for nothing: a store that refuses is not asked without
    /// a pause.
    pub(super) fn due(&mut self, now: Timestamp) -> Timestamp {
        let due = self.due.filter(|due| *due > now);
        due.unwrap_or_else(|| self.later(now))
    }

    /// A trial begins, of much or of little. `false`: much was tried just now, and is not tried yet.
    pub(super) fn begin(&mut self, is_much: bool, now: Instant) -> bool {
        let is_recent = self.tried.is_some_and(|at| now - at < LEAST_PAUSE);
        if is_recent && is_much {
            return false;
        }
        self.tried = Some(now);
        self.due = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_000_000);

    #[test]
    fn i9_the_pause_doubles_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let mut now = NOON;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let due = backoff.due(now);
            pauses.push(due.0 - now.0);
            now = due;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 8, 8].map(|times| times * RETRY_MS));
    }

    #[test]
    fn a_moment_that_is_still_to_come_stays() {
        let mut backoff = Backoff::default();
        let due = backoff.due(NOON);
        assert_eq!(backoff.due(NOON.plus_ms(RETRY_MS - 1)), due);
    }

    #[test]
    fn i9_much_is_not_tried_twice_at_once() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        assert!(backoff.begin(true, now));
        assert!(!backoff.begin(true, now + LEAST_PAUSE / 2));
        assert!(backoff.begin(false, now + LEAST_PAUSE / 2), "little is");
        assert!(backoff.begin(true, now + LEAST_PAUSE * 2));
    }

    #[test]
    fn what_is_tried_has_no_moment_until_it_waits_again() {
        let mut backoff = Backoff::default();
        let first = backoff.due(NOON);
        assert!(backoff.begin(false, Instant::now()));
        assert_ne!(backoff.due(NOON), first);
    }
}
