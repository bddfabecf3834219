//! Time by which sessions end: it goes on while a machine sleeps (design §5.1).
//!
//! Everything that decides is given moments; a [`Clock`] is read by shells only. `Instant` stands still while a machine is
//! suspended, and so would believe a session that ended long ago.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A moment, counted from an origin that is the same for one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long ago `earlier` was; zero if it was not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// Reads the time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Moment;
}

/// `CLOCK_BOOTTIME`: goes on while the machine is suspended.
#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Moment {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
        Moment(Duration::new(seconds, nanoseconds))
    }
}

/// Tokio's clock, which tests and simulations steer.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock(Instant);

impl TokioClock {
    /// Counts from now on.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment(self.0.elapsed())
    }
}

/// Says whether a process may still speak for what it holds: its session's deadline has not passed (design §5.1, §5.9).
///
/// An agent moves the deadline; whoever writes or answers looks before each time, so that a process that was stopped and
/// goes on does not need its agent to run first. Closed at first. Clones are the same fence.
#[derive(Debug, Clone)]
pub struct Fence {
    clock: Arc<dyn Clock>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The deadline, in ns of the clock.
    until: AtomicU64,
    /// How often it was closed.
    closed: AtomicU64,
}

impl Fence {
    /// A closed fence.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// One that is never closed: for a process without a session.
    #[must_use]
    pub fn open() -> Self {
        let fence = Self::new(Arc::new(BootClock));
        fence.state.until.store(u64::MAX, Ordering::Release);
        fence
    }

    /// Lets through until `deadline`. What was received before a [`close`](Self::close) stays shut out, see
    /// [`pass`](Self::pass).
    pub fn set(&self, deadline: Moment) {
        let until = u64::try_from(deadline.0.as_nanos()).unwrap_or(u64::MAX);
        self.state.until.store(until, Ordering::Release);
    }

    /// Lets nothing through: the session is over.
    pub fn close(&self) {
        self.state.until.store(0, Ordering::Release);
        self.state.closed.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether it lets through now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state.until.load(Ordering::Acquire) {
            u64::MAX => true,
            until => self.clock.now().0.as_nanos() < u128::from(until),
        }
    }

    /// Whether the deadline that it was open until has passed without anybody closing it: the process was stopped, or late.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.state.until.load(Ordering::Acquire) != 0 && !self.is_open()
    }

    /// The number of the session that it lets through now. What was received under one number may be written under the
    /// same only: a process that was stopped for long has another session before it knows it (IL-23).
    #[must_use]
    pub fn pass(&self) -> Option<u64> {
        self.is_open().then(|| self.number())
    }

    /// The number under which it lets through when it opens next, unless it is closed again before.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.state.closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fence_closes_by_itself() {
        let clock = Arc::new(TokioClock::new());
        let fence = Fence::new(Arc::clone(&clock) as Arc<dyn Clock>);
        assert!(!fence.is_open());
        fence.set(clock.now() + Duration::from_secs(6));
        assert!(fence.clone().is_open());
        assert!(!fence.has_passed());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(!fence.is_open() && fence.has_passed());
        fence.close();
        assert!(!fence.has_passed(), "that is known");
        assert!(Fence::open().is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn il_23_another_session_is_another_number() {
        let clock = Arc::new(TokioClock::new());
        let fence = Fence::new(Arc::clone(&clock) as Arc<dyn Clock>);
        fence.set(clock.now() + Duration::from_secs(6));
        let received = fence.pass();
        fence.set(clock.now() + Duration::from_secs(8));
        assert_eq!(fence.pass(), received, "the same session, renewed");
        fence.close();
        assert_eq!(fence.pass(), None);
        fence.set(clock.now() + Duration::from_secs(6));
        assert_ne!(fence.pass(), received);
    }

    #[test]
    fn the_boot_clock_goes_on() {
        let before = BootClock.now();
        assert!(before > Moment::default() && BootClock.now() >= before);
    }
}
