//! How long to wait before the next attempt (MUC-COMP-02): twice as long each time, with jitter, within bounds.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// The pace of attempts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// An attempt led to a stream that lasted.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait now. `random` spreads those who failed at the same time over half of it.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let full = SHORTEST.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        let full = full.clamp(SHORTEST * 2, LONGEST);
        full / 2 + full.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muc_comp_02_attempts_have_a_pace_and_a_bound() {
        for random in [0, u32::MAX / 2, u32::MAX] {
            let mut backoff = Backoff::default();
            let waits: Vec<_> = (0..40).map(|_| backoff.next(random)).collect();
            assert!(waits.iter().all(|wait| (SHORTEST..=LONGEST).contains(wait)));
            assert!(waits.is_sorted());
            assert!(waits.last() >= Some(&(LONGEST / 2)));
            backoff.reset();
            assert_eq!(waits.first(), Some(&backoff.next(random)));
        }
    }
}
