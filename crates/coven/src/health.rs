//! Whether this process is alive and ready, as probes ask for it.
//!
//! Alive means that it is not stuck: its heart has beaten within [`STUCK`]. A store or an upstream that is away never
//! makes it dead, or an outage of theirs would restart every process. Ready means that each [`Part`] is up and that the
//! process is not draining.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// A process whose heart has not beaten for this long is stuck.
pub const STUCK: Duration = Duration::from_secs(10);

/// How often the heart should beat.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// What all parts of the process say about themselves. Clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    last_beat: Instant,
    phase: Phase,
    /// Why each part is not up; `None` when it is.
    parts: BTreeMap<String, Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Draining,
}

/// The answer to a question for readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether work may be sent here.
    pub ready: bool,
    /// Why not, one line each.
    pub reasons: Vec<String>,
}

impl Health {
    /// A process that is starting, at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let state = State {
            last_beat: now,
            phase: Phase::Starting,
            parts: BTreeMap::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Adds a part, which is not up yet. The same name is the same part.
    #[must_use]
    pub fn part(&self, name: impl Into<String>) -> Part {
        let part = Part {
            health: self.clone(),
            name: name.into(),
        };
        part.down("starting");
        part
    }

    /// All parts have been added; ready when they are up.
    pub fn started(&self) {
        self.state().phase = Phase::Serving;
    }

    /// From now on the process is not ready: it takes no new work and ends soon.
    pub fn drain(&self) {
        self.state().phase = Phase::Draining;
    }

    /// The process goes on.
    pub fn beat(&self, now: Instant) {
        self.state().last_beat = now;
    }

    /// For how long the process has been stuck, if it is.
    #[must_use]
    pub fn stuck(&self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.state().last_beat);
        (silence >= STUCK).then_some(silence)
    }

    /// Whether the process is ready, and why not.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let state = self.state();
        let phase = match state.phase {
            Phase::Starting => Some("starting".to_owned()),
            Phase::Serving => None,
            Phase::Draining => Some("draining".to_owned()),
        };
        let down = state
            .parts
            .iter()
            .filter_map(|(name, why)| Some(format!("{name}: {}", why.as_ref()?)));
        let reasons: Vec<String> = phase.into_iter().chain(down).collect();
        Readiness {
            ready: reasons.is_empty(),
            reasons,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that must be up for the process to be ready: the store, or an upstream.
#[derive(Clone, Debug)]
pub struct Part {
    health: Health,
    name: String,
}

impl Part {
    /// It works.
    pub fn up(&self) {
        self.set(None);
    }

    /// It does not work; `why` is one short line without secrets.
    pub fn down(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        self.health.state().parts.insert(self.name.clone(), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(health: &Health) -> Vec<String> {
        health.readiness().reasons
    }

    #[test]
    fn a_process_is_ready_when_all_parts_are_up() {
        let health = Health::new(Instant::now());
        let (store, upstream) = (health.part("store"), health.part("upstream a"));
        health.started();
        assert_eq!(
            reasons(&health),
            ["store: starting", "upstream a: starting"]
        );
        store.up();
        assert!(!health.readiness().ready);
        upstream.up();
        assert_eq!(
            health.readiness(),
            Readiness {
                ready: true,
                reasons: Vec::new()
            }
        );
        upstream.down("connection refused");
        assert_eq!(reasons(&health), ["upstream a: connection refused"]);
    }

    #[test]
    fn a_starting_process_is_not_ready() {
        let health = Health::new(Instant::now());
        assert_eq!(reasons(&health), ["starting"]);
    }

    #[test]
    fn a_draining_process_is_not_ready() {
        let health = Health::new(Instant::now());
        health.part("store").up();
        health.drain();
        assert_eq!(reasons(&health), ["draining"]);
    }

    #[test]
    fn only_a_silent_heart_is_stuck() {
        let start = Instant::now();
        let health = Health::new(start);
        health.part("store").down("away");
        assert_eq!(health.stuck(start + STUCK / 2), None);
        assert_eq!(health.stuck(start + STUCK), Some(STUCK));
        health.beat(start + STUCK);
        assert_eq!(health.stuck(start + STUCK + HEARTBEAT), None);
    }
}
