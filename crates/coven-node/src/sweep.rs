//! The sweep for ghosts (design §6, MUC-LEAVE-12): after a start and after each reconnect, every session is asked once
//! whether it is still there. Read from the store, channel by channel, without loading any into memory.
//!
//! Owns the pace, so that a server is not buried under probes, and that there is one sweep of a group at a time: a newer
//! one means that there is a new stream, and that the probes of the one before may be lost. What a bounce means is the
//! core's (`presence/ghost.rs`).

use crate::convert;
use crate::load;
use crate::shared::Shared;
use coven_cluster::Delivery;
use coven_core::{Group, Session};
use coven_store::{ChannelKey, Error as StoreError};
use hashbrown::HashMap;
use smol_str::SmolStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// Channels asked for at a time.
const PAGE: usize = 256;
/// After a stall, so much of what was missed is made up for at once.
const CATCH_UP: Duration = Duration::from_millis(100);
/// How often the store is asked for the same thing, and how long is waited before the second time; then twice as long.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The sweeps that are under way: one for each group.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(Mutex<HashMap<Group, AbortOnDropHandle<()>>>);

/// One sweep.
struct Sweep {
    shared: Arc<Shared>,
    group: Group,
    pace: Pace,
    probed: usize,
    /// Channels that could not be read.
    missed: usize,
}

/// So many probes per second.
#[derive(Debug)]
struct Pace {
    rate: u32,
    /// When the next probes may go.
    next: Instant,
}

impl Sweeps {
    /// Sweeps a group's sessions in a task of its own; one that is under way for the group ends.
    pub(crate) fn begin(&self, shared: &Arc<Shared>, group: Group) {
        let sweep = Sweep {
            shared: Arc::clone(shared),
            group: group.clone(),
            pace: Pace::new(shared.options.sweep_rate, Instant::now()),
            probed: 0,
            missed: 0,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(sweep.run()));
        self.tasks().insert(group, task);
    }

    /// Ends all of them.
    pub(crate) fn end(&self) {
        self.tasks().clear();
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<Group, AbortOnDropHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sweep {
    async fn run(mut self) {
        let began = Instant::now();
        let spaces: Vec<SmolStr> = self.shared.options.spaces.keys().cloned().collect();
        for space in spaces {
            self.space(&space).await;
        }
        let (group, took_ms) = (self.group.0.as_str(), began.elapsed().as_millis());
        let (probed, missed) = (self.probed, self.missed);
        if missed > 0 {
            warn!(group, probed, missed, took_ms, "sweep done, not everywhere");
        } else {
            info!(group, probed, took_ms, "sweep done");
        }
    }

    async fn space(&mut self, space: &SmolStr) {
        let mut after: Option<SmolStr> = None;
        loop {
            let ask = || self.shared.store.channels(space, after.as_ref(), PAGE);
            let page = match patiently(ask, StoreError::is_temporary).await {
                Ok(page) if !page.is_empty() => page,
                Ok(_) => return,
                Err(error) => {
                    warn!(%error, "the sweep was broken off");
                    self.missed += 1;
                    return;
                }
            };
            after = page.last().map(|key| key.local.clone());
            for key in page {
                self.probe(key).await;
            }
        }
    }

    async fn probe(&mut self, key: ChannelKey) {
        let channel = convert::channel(key, self.shared.options.shards);
        if !self.shared.shards.takes(channel.shard()) {
            return;
        }
        let ask = || load::load(&self.shared, &channel);
        let Ok(stored) = patiently(ask, load::Error::is_temporary).await else {
            self.missed += 1;
            return;
        };
        let meant = |session: &&Arc<Session>| session.group == self.group;
        let sessions = stored.state.roster().sessions().filter(meant);
        let probes = sessions.map(|session| stored.state.probe(session));
        let deliveries: Vec<_> = probes.map(Delivery::Probe).collect();
        let count = deliveries.len();
        if count == 0 {
            return;
        }
        self.probed += count;
        self.shared.say(Some(channel), deliveries).await;
        sleep_until(self.pace.after(count, Instant::now())).await;
    }
}

impl Pace {
    fn new(rate: u32, now: Instant) -> Self {
        Self {
            rate: rate.max(1),
            next: now,
        }
    }

    /// `count` probes have gone. Tells when the next may: what reading and waiting took is part of the pace.
    fn after(&mut self, count: usize, now: Instant) -> Instant {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let took = Duration::from_secs(1).saturating_mul(count) / self.rate;
        self.next = self.next.max(earliest) + took;
        self.next
    }
}

/// Asks again while the store cannot answer: for half a minute, then it is given up.
pub(crate) async fn patiently<T, E, A>(
    mut ask: impl FnMut() -> A,
    is_temporary: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    A: IntoFuture<Output = Result<T, E>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if is_temporary(&error) => sleep(pause).await,
            answer => return answer,
        }
        pause *= 2;
    }
    ask().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn muc_leave_12_the_pace_is_kept_whatever_reading_takes() {
        let began = Instant::now();
        let mut pace = Pace::new(1000, began);
        let mut now = began;
        for _ in 0..1000 {
            now = pace.after(20, now).max(now) + Duration::from_millis(5);
        }
        let took = now - began;
        assert!(took >= Duration::from_secs(20), "{took:?}");
        assert!(took < Duration::from_millis(20_100), "{took:?}");
    }

    #[tokio::test]
    async fn i9_a_stall_is_not_made_up_for_in_one_burst() {
        let began = Instant::now();
        let mut pace = Pace::new(1000, began);
        let later = began + Duration::from_secs(10);
        let mut burst = 0;
        while pace.after(20, later) <= later {
            burst += 20;
        }
        assert!(burst <= 100, "{burst}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_store_that_is_away_for_a_moment_is_asked_again() {
        let answers = |answers: [Result<u8, &'static str>; 2]| {
            let mut answers = answers.into_iter();
            move || std::future::ready(answers.next().unwrap())
        };
        let is_temporary = |error: &&str| *error == "away";
        let answer = patiently(answers([Err("away"), Ok(7)]), is_temporary).await;
        assert_eq!(answer, Ok(7));
        let answer = patiently(answers([Err("damaged"), Ok(7)]), is_temporary).await;
        assert_eq!(answer, Err("damaged"));
    }
}
