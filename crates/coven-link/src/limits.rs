//! Bounds and times of a link.

use std::time::Duration;

/// Bounds and times of a link (design §5.9, I9). Those of two processes need not be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How often a side says that it lives, if it says nothing else.
    pub keepalive: Duration,
    /// A link is over when its peer has said nothing for so long: 3 s at a front-end, 6 s at a node.
    pub silence: Duration,
    /// A peer that takes nothing for so long while something waits is cut off.
    pub stall: Duration,
    /// From the first packet until the hello of the peer.
    pub connect: Duration,
    /// Messages that wait to be sent.
    pub queue_messages: usize,
    /// Bytes that wait to be sent; a single larger message waits for an empty queue.
    pub queue_bytes: u32,
    /// The largest message that is taken: rosters of huge rooms are what is large.
    pub max_message: usize,
    /// Links that a node has at a time.
    pub max_links: usize,
    /// The first wait before a new attempt; doubles up to `max_backoff`, half of it random.
    pub min_backoff: Duration,
    /// See `min_backoff`.
    pub max_backoff: Duration,
}

impl Limits {
    /// Those of a front-end.
    #[must_use]
    pub const fn front() -> Self {
        Self {
            keepalive: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            stall: Duration::from_secs(6),
            connect: Duration::from_secs(3),
            queue_messages: 8 * 1024,
            queue_bytes: 4 * 1024 * 1024,
            max_message: 256 * 1024 * 1024,
            max_links: 1024,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
        }
    }

    /// Those of a node: more may wait for a front-end, and what front-ends say is small.
    #[must_use]
    pub const fn node() -> Self {
        Self {
            silence: Duration::from_secs(6),
            queue_bytes: 16 * 1024 * 1024,
            max_message: 4 * 1024 * 1024,
            ..Self::front()
        }
    }
}
