//! The end for good: every session of every channel ends, durably, and its user is told (MUC-LEAVE-13, I6).
//!
//! Owns that no session begins while that goes on ([`Ending`]), which channels are looked at, and how long a store that
//! refuses is waited for. What ends is the core's (`life/shutdown.rs`); what leaves waits for its commit as everything does
//! (I2). Not for the end of a process: [`crate::Service::shutdown`] ends nobody's session.

use crate::actor::{Message, Room, Soundness};
use crate::convert;
use crate::load;
use crate::shared::{self, Shared};
use crate::sweep;
use coven_cluster::{Channel, Operation};
use coven_core::{Condition, Refusal};
use coven_store::Error as StoreError;
use smol_str::SmolStr;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// Channels that are looked at at a time.
const AT_A_TIME: usize = 64;
/// Sessions of a channel that end by one decision.
const MOST_SESSIONS: usize = 1000;
/// Channels that the store is asked for at a time.
const PAGE: usize = 256;
/// A channel that could not be ended is tried again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);
/// When no channel at all could be ended for so long, those that are left are given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the service ends for good.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicBool);

impl Ending {
    fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Why a command is not decided any more; only what ends sessions is.
    pub(crate) fn refuses(&self, operation: &Operation) -> Option<Refusal> {
        let is_on = self.0.load(Ordering::Acquire);
        let refusal = Refusal::usual(Condition::ServiceUnavailable);
        (is_on && !operation.is_departure()).then(|| refusal.text("the service is being shut down"))
    }
}

/// What has become of a channel's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All have ended, and that is durable.
    All,
    /// It may succeed later.
    NotYet,
    /// The channel is in quarantine.
    Never,
}

/// Ends all sessions of all channels. Answers in how many channels that could not be done.
pub(crate) async fn end_all(shared: &Arc<Shared>) -> usize {
    shared.ending.begin();
    let mut round = Round::new(shared);
    // What was decided before is in the store, or its channel is in memory: so these first.
    let in_memory: HashSet<Channel> = shared
        .table
        .of(|_| true)
        .into_iter()
        .map(|it| it.0)
        .collect();
    for channel in &in_memory {
        round.end(channel.clone()).await;
    }
    for space in shared.options.spaces.keys() {
        round.space(space, &in_memory).await;
    }
    round.finish().await
}

/// All channels, a few at a time.
struct Round {
    shared: Arc<Shared>,
    trials: JoinSet<bool>,
    missed: usize,
    /// When a channel was ended last.
    progress: Arc<Mutex<Instant>>,
}

impl Round {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            trials: JoinSet::new(),
            missed: 0,
            progress: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Those of a space that are not in memory.
    async fn space(&mut self, space: &SmolStr, in_memory: &HashSet<Channel>) {
        let mut after: Option<SmolStr> = None;
        loop {
            let shared = Arc::clone(&self.shared);
            let ask = || shared.store.channels(space, after.as_ref(), PAGE);
            let page = match sweep::patiently(ask, StoreError::is_temporary).await {
                Ok(page) => page,
                Err(error) => {
                    warn!(%space, %error, "not all channels of a space are known");
                    self.missed += 1;
                    return;
                }
            };
            let Some(last) = page.last() else { return };
            after = Some(last.local.clone());
            for key in page {
                let channel = convert::channel(key, shared.options.shards);
                if !in_memory.contains(&channel) {
                    self.end(channel).await;
                }
            }
        }
    }

    async fn end(&mut self, channel: Channel) {
        if self.trials.len() >= AT_A_TIME {
            self.next().await;
        }
        let trial = Trial {
            shared: Arc::clone(&self.shared),
            channel,
            progress: Arc::clone(&self.progress),
        };
        self.trials.spawn(trial.run());
    }

    async fn next(&mut self) {
        let done = self.trials.join_next().await;
        let is_missed = done.is_some_and(|done| !matches!(done, Ok(true)));
        self.missed += usize::from(is_missed);
    }

    async fn finish(mut self) -> usize {
        while !self.trials.is_empty() {
            self.next().await;
        }
        self.missed
    }
}

/// One channel, until its sessions have ended or nothing goes on any more.
struct Trial {
    shared: Arc<Shared>,
    channel: Channel,
    progress: Arc<Mutex<Instant>>,
}

impl Trial {
    async fn run(self) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.once().await {
                Ended::All => {
                    *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    return true;
                }
                Ended::NotYet if !self.is_in_vain() => sleep(pause).await,
                Ended::NotYet | Ended::Never => {
                    warn!(channel = %self.channel, "the sessions of a channel could not be ended");
                    return false;
                }
            }
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    fn is_in_vain(&self) -> bool {
        let last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() > PATIENCE
    }

    /// One that is not in memory is loaded only for sessions that it has.
    async fn once(&self) -> Ended {
        if self.shared.table.get(&self.channel).is_none() {
            match load::load(&self.shared, &self.channel).await {
                Ok(stored) if stored.state.roster().sessions().len() == 0 => return Ended::All,
                Ok(_) => {}
                Err(error) if error.is_temporary() => return Ended::NotYet,
                // Its actor puts it into quarantine, and says so.
                Err(_) => {}
            }
        }
        let (done, ended) = oneshot::channel();
        let message = Message::EndSessions(done);
        self.shared.table.tell(&self.shared, &self.channel, message);
        ended.await.unwrap_or(Ended::NotYet)
    }
}

impl Room {
    /// Ends all sessions of the channel; ends itself when that is durable, or cannot be done now.
    pub(crate) async fn end_sessions(&mut self) -> Ended {
        if matches!(self.condition, Soundness::Unloaded) {
            Box::pin(self.load()).await;
        }
        while self.sessions() > 0 {
            if !self.may_decide().await || self.is_void() || !self.meet().await {
                return Ended::NotYet;
            }
            let before = self.sessions();
            self.end_some().await;
            if self.sessions() >= before {
                return Ended::NotYet;
            }
        }
        match self.condition {
            Soundness::Quarantined => Ended::Never,
            Soundness::Unloaded => Ended::NotYet,
            // What was decided is void if its commit is refused: the channel then begins anew, and is asked again.
            Soundness::Sound(_) => match self.settle().await {
                true => Ended::All,
                false => Ended::NotYet,
            },
        }
    }

    fn sessions(&self) -> usize {
        match &self.condition {
            Soundness::Sound(state) => state.roster().sessions().len(),
            Soundness::Unloaded | Soundness::Quarantined => 0,
        }
    }

    async fn end_some(&mut self) {
        let Soundness::Sound(state) = &self.condition else {
            return;
        };
        match catch_unwind(AssertUnwindSafe(|| state.shut_down(MOST_SESSIONS))) {
            Ok(decision) => self.carry_out(decision, shared::now(), None).await,
            Err(_) => {
                self.panicked();
            }
        }
    }
}
