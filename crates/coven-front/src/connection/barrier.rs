//! Ping barriers: when one is due, which are answered, which stream is dead (design §6).
//!
//! A server handles one stream in order, so the answer to an IQ shows that it has taken in all that was written before.
//! Owns the pace and the ids. Pure but for the ids' random part, which is drawn elsewhere. It does not write pings
//! (`writer.rs`) nor read their answers (`reader.rs`).

use std::time::Duration;

use smol_str::{SmolStr, format_smolstr};
use tokio::time::Instant;

/// Output that waits for an acknowledgement does so no longer than this before a ping is sent ...
const PACE: Duration = Duration::from_millis(100);
/// ... or no longer than this, if it is much.
const FAST_PACE: Duration = Duration::from_millis(25);
/// What is much.
const MUCH_BYTES: usize = 64 * 1024;
/// Output that no answered barrier covers: beyond it nothing is written. A crash repeats no more than this, and a slow
/// server is not buried: what it owes an answer for it can take in before its silence is held against it.
const WINDOW_BYTES: usize = 1024 * 1024;
/// Without any sign of life for this long, a server that owes an answer is dead.
const SILENCE: Duration = Duration::from_secs(10);
/// Whatever else it says, a server that owes an answer for this long is of no use.
const PATIENCE: Duration = Duration::from_secs(30);
/// A stream on which nothing was written for this long gets something, so that it stays open and is known to be.
const IDLE: Duration = Duration::from_secs(60);

/// The number of a barrier: counts per front-end process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BarrierNo(pub(crate) u64);

/// The pace of one stream's barriers.
#[derive(Debug)]
pub(crate) struct Pace {
    with_pings: bool,
    /// Since when there is output that no barrier covers, and how much.
    open: Option<(Instant, usize)>,
    /// How much the ping that is not answered yet covers.
    asked_for: usize,
    /// When the ping that is not answered yet was written.
    asked: Option<Instant>,
    last_ping: Instant,
    last_write: Instant,
}

/// What is to be written next besides stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A ping.
    Ping,
    /// White space.
    Space,
    /// Nothing before this time.
    Nothing(Instant),
    /// The server is dead.
    Dead,
}

impl Pace {
    /// The pace of a new stream; `with_pings`: barriers are on.
    pub(crate) const fn new(now: Instant, with_pings: bool) -> Self {
        Self {
            with_pings,
            open: None,
            asked_for: 0,
            asked: None,
            last_ping: now,
            last_write: now,
        }
    }

    /// Stanzas were written.
    pub(crate) fn wrote(&mut self, bytes: usize, now: Instant) {
        let (since, before) = self.open.unwrap_or((now, 0));
        self.open = Some((since, before + bytes));
        self.last_write = now;
    }

    /// A ping is being written: it covers all that was written before.
    pub(crate) const fn pinged(&mut self, now: Instant) {
        self.asked = Some(now);
        self.asked_for = match self.open {
            Some((_, bytes)) => bytes,
            None => 0,
        };
        self.open = None;
        self.last_ping = now;
        self.last_write = now;
    }

    /// White space was written.
    pub(crate) const fn spaced(&mut self, now: Instant) {
        self.last_write = now;
    }

    /// The ping is answered.
    pub(crate) const fn answered(&mut self) {
        self.asked = None;
        self.asked_for = 0;
    }

    /// Whether more stanzas may be written. Where barriers are off, the system's own buffers are the bound.
    pub(crate) fn is_open(&self) -> bool {
        let open = self.open.map_or(0, |(_, bytes)| bytes);
        !self.with_pings || open + self.asked_for < WINDOW_BYTES
    }

    /// Whether the server has answered for all that was written. Where barriers are off, it never has to.
    pub(crate) const fn is_covered(&self) -> bool {
        !self.with_pings || (self.open.is_none() && self.asked.is_none())
    }

    /// What is due. `heard`: when something last came from the server, or it last took something. `wanted`: a barrier
    /// is to follow at once.
    pub(crate) fn due(&self, now: Instant, heard: Instant, wanted: bool) -> Due {
        if !self.with_pings {
            return due_at(self.last_write + IDLE, now, Due::Space);
        }
        if let Some(asked) = self.asked {
            let silence = heard.max(asked) + SILENCE;
            return due_at(silence.min(asked + PATIENCE), now, Due::Dead);
        }
        if wanted {
            return Due::Ping;
        }
        due_at(self.next_ping(), now, Due::Ping)
    }

    fn next_ping(&self) -> Instant {
        match self.open {
            None => self.last_write + IDLE,
            Some((since, bytes)) if bytes >= WINDOW_BYTES / 2 => since,
            Some((_, bytes)) if bytes >= MUCH_BYTES => self.last_ping + FAST_PACE,
            Some((since, _)) => since + PACE,
        }
    }
}

fn due_at(at: Instant, now: Instant, due: Due) -> Due {
    if now >= at { due } else { Due::Nothing(at) }
}

/// The ids of barriers of this process: nobody else can know them. They name the process, so that another front-end knows
/// whose an answer is (design §6).
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    session: u128,
    prefix: SmolStr,
}

/// What an id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This process asked, on this connection.
    Ours(usize, BarrierNo),
    /// Another front-end did.
    Of(u128),
}

/// What all ids begin with.
const PREFIX: &str = "coven-barrier-";

impl Ids {
    /// Ids with this random part.
    pub(crate) fn new(session: u128) -> Self {
        Self {
            session,
            prefix: format_smolstr!("{PREFIX}{session:032x}-"),
        }
    }

    /// The id of a barrier on a connection.
    pub(crate) fn write(&self, connection: usize, no: BarrierNo) -> SmolStr {
        format_smolstr!("{}{connection}-{}", self.prefix, no.0)
    }

    /// Whose barrier this is, if it is the id of one.
    pub(crate) fn read(&self, id: &str) -> Option<Whose> {
        let (session, rest) = id.strip_prefix(PREFIX)?.split_once('-')?;
        let session = u128::from_str_radix(session, 16).ok()?;
        if session != self.session {
            return Some(Whose::Of(session));
        }
        let (connection, no) = rest.split_once('-')?;
        Some(Whose::Ours(
            connection.parse().ok()?,
            BarrierNo(no.parse().ok()?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> (Pace, Instant) {
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = Instant::from_std(std::time::Instant::now());
        (Pace::new(now, true), now)
    }

    #[test]
    fn a_barrier_follows_output_within_the_pace() {
        let (mut pace, now) = start();
        assert_eq!(pace.due(now, now, false), Due::Nothing(now + IDLE));
        pace.wrote(100, now);
        assert_eq!(pace.due(now, now, false), Due::Nothing(now + PACE));
        assert_eq!(pace.due(now + PACE, now, false), Due::Ping);
    }

    #[test]
    fn much_output_gets_its_barrier_sooner() {
        let (mut pace, now) = start();
        pace.wrote(MUCH_BYTES, now);
        assert_eq!(pace.due(now, now, false), Due::Nothing(now + FAST_PACE));
        assert_eq!(pace.due(now + FAST_PACE, now, false), Due::Ping);
    }

    #[test]
    fn i9_output_waits_for_a_server_that_has_not_taken_in_the_last() {
        let (mut pace, now) = start();
        pace.wrote(WINDOW_BYTES / 2, now);
        assert_eq!(
            pace.due(now, now, false),
            Due::Ping,
            "half a window is covered at once"
        );
        pace.pinged(now);
        pace.wrote(WINDOW_BYTES / 2, now);
        assert!(!pace.is_open());
        pace.answered();
        assert!(pace.is_open());
    }

    #[test]
    fn one_barrier_at_a_time() {
        let (mut pace, now) = start();
        pace.wrote(MUCH_BYTES, now);
        pace.pinged(now);
        pace.wrote(MUCH_BYTES, now);
        let due = pace.due(now + FAST_PACE, now, true);
        assert!(matches!(due, Due::Nothing(_)));
        pace.answered();
        assert_eq!(pace.due(now, now, true), Due::Ping);
    }

    #[test]
    fn all_is_covered_when_the_last_ping_is_answered() {
        let (mut pace, now) = start();
        assert!(pace.is_covered());
        pace.wrote(100, now);
        assert!(!pace.is_covered());
        pace.pinged(now);
        assert!(!pace.is_covered());
        pace.wrote(100, now);
        pace.answered();
        assert!(!pace.is_covered(), "what was written behind it");
        let mut without = Pace::new(now, false);
        without.wrote(100, now);
        assert!(without.is_covered());
    }

    #[test]
    fn i9_a_silent_server_that_owes_an_answer_is_dead() {
        let (mut pace, now) = start();
        pace.pinged(now);
        assert_eq!(pace.due(now, now, false), Due::Nothing(now + SILENCE));
        assert_eq!(pace.due(now + SILENCE, now, false), Due::Dead);
    }

    #[test]
    fn i9_a_busy_server_gets_more_time_but_not_for_ever() {
        let (mut pace, now) = start();
        pace.pinged(now);
        let (heard, later) = (now + SILENCE, now + PATIENCE);
        assert!(matches!(pace.due(heard, heard, false), Due::Nothing(_)));
        assert_eq!(pace.due(later, later, false), Due::Dead);
    }

    #[test]
    fn a_quiet_stream_is_kept_alive() {
        let (pace, now) = start();
        assert_eq!(pace.due(now + IDLE, now, false), Due::Ping);
        let mut without = Pace::new(now, false);
        assert_eq!(without.due(now + IDLE, now, false), Due::Space);
        without.spaced(now + IDLE);
        assert!(matches!(
            without.due(now + IDLE, now, false),
            Due::Nothing(_)
        ));
    }

    #[test]
    fn ids_of_other_processes_are_not_ours() {
        let (ids, other) = (Ids::new(7), Ids::new(8));
        let id = ids.write(3, BarrierNo(12));
        assert_eq!(ids.read(&id), Some(Whose::Ours(3, BarrierNo(12))));
        assert_eq!(other.read(&id), Some(Whose::Of(7)));
        assert_eq!(ids.read("coven-barrier-"), None);
        assert_eq!(ids.read("coven-probe-7"), None);
    }
}
