//! How long a worker may wait for one connection while other servers wait for the worker.
//!
//! Bound: [`AT_ONCE`] in a row, and one part in [`SHARE`] of the time in the long run. So a server that takes its time
//! costs the others that much at most. Pure: the time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// In a row, after a time without waiting.
const AT_ONCE: Duration = Duration::from_secs(1);
/// One part of so many, in the long run.
const SHARE: u32 = 8;

/// What a worker has waited for one connection of late.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// That much, as of `at`; it is forgotten by and by.
    spent: Duration,
    at: Option<Instant>,
}

impl Hold {
    /// How long it may be waited for now.
    pub(crate) fn left(&mut self, now: Instant) -> Duration {
        let since = self.at.replace(now).unwrap_or(now);
        let forgotten = now.saturating_duration_since(since) / SHARE;
        self.spent = self.spent.saturating_sub(forgotten);
        AT_ONCE.saturating_sub(self.spent)
    }

    /// So long was waited.
    pub(crate) const fn held(&mut self, time: Duration) {
        self.spent = self.spent.saturating_add(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i9_the_wait_for_one_server_is_bounded_at_once_and_in_the_long_run() {
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let start = Instant::from_std(std::time::Instant::now());
        let (mut hold, mut now, mut waited) = (Hold::default(), start, Duration::ZERO);
        assert_eq!(hold.left(now), AT_ONCE);
        for _ in 0..1000 {
            let time = hold.left(now).min(Duration::from_millis(300));
            hold.held(time);
            waited += time;
            now += time.max(Duration::from_millis(10));
        }
        assert!(
            waited <= AT_ONCE + (now - start) / (SHARE - 1),
            "{waited:?}"
        );
        assert_eq!(hold.left(now + AT_ONCE * SHARE * 2), AT_ONCE);
    }
}
