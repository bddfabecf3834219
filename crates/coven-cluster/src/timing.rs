//! How long things take: a histogram of plain atomics, for the numbers that operators see.
//!
//! Owns the bounds, which are the same everywhere, so that parts can be compared. Noting one time is a search in sixteen
//! numbers and two additions; nothing is locked, nothing is looked up by a name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds; the last bucket has none.
pub const BOUNDS_MICROS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 30_000_000,
];

/// The number of buckets.
pub const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Times, noted by many.
#[derive(Debug, Default)]
pub struct Timing {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// What was noted up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// How many were in each bucket; not summed up.
    pub buckets: [u64; BUCKETS],
    /// All of them together, in nanoseconds.
    pub nanos: u64,
}

impl Timing {
    /// Notes one time.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was noted up to now.
    #[must_use]
    pub fn times(&self) -> Times {
        Times {
            buckets: std::array::from_fn(|at| {
                let bucket = self.buckets.get(at);
                bucket.map_or(0, |bucket| bucket.load(Ordering::Relaxed))
            }),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

impl Times {
    /// How many were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_has_room_for_it() {
        let timing = Timing::default();
        for micros in [0, 250, 251, 30_000_000, 30_000_001] {
            timing.note(Duration::from_micros(micros));
        }
        let times = timing.times();
        assert_eq!(times.buckets[0], 2);
        assert_eq!(times.buckets[1], 1);
        assert_eq!(times.buckets[14], 1);
        assert_eq!(times.buckets[15], 1);
        assert_eq!(times.count(), 5);
        assert_eq!(times.nanos, (250 + 251 + 30_000_000 + 30_000_001) * 1000);
    }
}
