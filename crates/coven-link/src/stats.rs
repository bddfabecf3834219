//! Counters of links, for metrics and tests.

use crate::Broken;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what links of this process do. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    up: AtomicU64,
    opened: AtomicU64,
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    encoded: AtomicU64,
    encoded_before: AtomicU64,
    broken: Mutex<BTreeMap<&'static str, u64>>,
}

/// What was counted up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Links that are up.
    pub up: u64,
    /// Links that came up.
    pub opened: u64,
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that went out.
    pub frames_out: u64,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// Messages that were encoded.
    pub encoded: u64,
    /// Messages whose bytes were there from another link already.
    pub encoded_before: u64,
    /// Links and attempts that ended, by reason.
    pub broken: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// What was counted up to now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let c = &*self.0;
        Snapshot {
            up: c.up.load(Relaxed),
            opened: c.opened.load(Relaxed),
            frames_in: c.frames_in.load(Relaxed),
            frames_out: c.frames_out.load(Relaxed),
            bytes_in: c.bytes_in.load(Relaxed),
            bytes_out: c.bytes_out.load(Relaxed),
            encoded: c.encoded.load(Relaxed),
            encoded_before: c.encoded_before.load(Relaxed),
            broken: c
                .broken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    pub(crate) fn opened(&self) {
        self.0.opened.fetch_add(1, Relaxed);
        self.0.up.fetch_add(1, Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.0.up.fetch_sub(1, Relaxed);
    }

    pub(crate) fn came_in(&self, bytes: usize) {
        self.0.frames_in.fetch_add(1, Relaxed);
        self.0.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn went_out(&self, bytes: usize) {
        self.0.frames_out.fetch_add(1, Relaxed);
        self.0.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn encoded(&self, before: bool) {
        let counter = match before {
            true => &self.0.encoded_before,
            false => &self.0.encoded,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn broken(&self, why: &Broken) {
        let mut broken = self.0.broken.lock().unwrap_or_else(PoisonError::into_inner);
        *broken.entry(why.name()).or_default() += 1;
    }
}

impl Broken {
    /// The reason as a label of metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Untrusted(_) => "untrusted",
            Self::Refused(_) => "refused",
            Self::OtherProcess => "other-process",
            Self::Malformed(_) => "malformed",
            Self::TooLarge(_) => "too-large",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Paused => "paused",
            Self::Replaced => "replaced",
            Self::Lost(_) => "lost",
            Self::Closed => "closed",
        }
    }
}
