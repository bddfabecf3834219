//! What a front-end counts.
//!
//! Owns the counters and their snapshot. Names for the outside world are given where they are exported.

/// Counters since the start, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {}
