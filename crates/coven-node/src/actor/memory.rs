//! A channel comes into memory: loaded, taken up with its shard, begun anew after a refused commit, put into quarantine and
//! brought out of it.
//!
//! Owns nothing: the state is [`Room`]'s. How it is read is in [`crate::load`], how it leaves memory in `actor.rs`.

use super::{RETRY_MS, Room, Soundness};
use crate::audience::Owed;
use crate::directory;
use crate::load::{self, Stored};
use crate::operations::Outcomes;
use crate::quota;
use crate::table::lock;
use tokio::sync::oneshot;
use tracing::{error, warn};

impl Room {
    /// Loads the channel; what was not acknowledged when the last process ended is sent again.
    pub(crate) async fn load(&mut self) {
        if self.shared.quarantine.is_asked(&self.channel) {
            self.condition = Soundness::Quarantined;
            return;
        }
        match load::load(&self.shared, &self.channel).await {
            Ok(stored) => self.take(stored).await,
            Err(error) if error.is_temporary() => {
                warn!(channel = %self.channel, %error, "the channel could not be loaded yet");
            }
            // Whoever reads it will have the shard soon; this node asks again with each operation until then.
            Err(error) if error.is_newer() && self.shared.is_cluster => {
                warn!(channel = %self.channel, %error, "the channel cannot be loaded here");
                self.shared.formats.met_newer(self.channel.shard());
            }
            Err(error) => {
                error!(event = "quarantined", channel = %self.channel, %error, "the channel cannot be loaded");
                self.quarantine();
            }
        }
    }

    async fn take(&mut self, mut stored: Stored) {
        self.note_epoch();
        self.shared.kept.mend(&self.channel, &mut stored);
        self.shared.health.loaded();
        self.outcomes = Outcomes::load(&stored.outcomes);
        self.timer = stored.state.next_timer();
        if self.timer.is_some() {
            self.shared.deadlines.set(&self.channel, self.timer);
        }
        let unsent = stored.unsent.is_some();
        let head = stored.state.roster().at();
        self.snapshot_at = stored.base.at();
        self.acknowledged = if unsent { stored.base.at() } else { head };
        self.load_acks(&stored);
        if unsent {
            // Whoever made this output may have died before the directory was written.
            let listing = directory::listing(&stored.state);
            self.shared.directory.note(&self.channel, listing);
            quota::note(&self.shared, &self.channel, quota::owners(&stored.state));
        }
        let Stored {
            state,
            base,
            journal,
            acknowledged,
            outcomes,
            ..
        } = stored;
        self.condition = Soundness::Sound(Box::new(state));
        if unsent {
            let to = self.audience.meet_all(&self.view());
            let owed = Owed {
                base,
                journal,
                acknowledged,
                outcomes,
            };
            self.send_again(owed, to).await;
        }
    }

    fn load_acks(&self, stored: &Stored) {
        let (base, head) = (stored.base.at(), stored.state.roster().at());
        let commit = self.shared.shards.commit(self.channel.shard());
        let (acks, outcomes) = (&stored.acks, &stored.outcomes);
        lock(&self.acks).load(acks, outcomes, (base, head), stored.unsent, commit);
    }

    /// Loads the channel, if that is not done. Whoever asks does so again when the store does not give it yet.
    pub(super) async fn taken_up(&mut self, done: oneshot::Sender<bool>) {
        if matches!(self.condition, Soundness::Unloaded) {
            self.load().await;
        }
        let _nobody_waits = done.send(!matches!(self.condition, Soundness::Unloaded));
    }

    /// What was decided on top of a refused commit is void: begins anew from what the store has.
    pub(super) async fn reset(&mut self, generation: u32, base_lost: bool) {
        if generation > self.generation {
            self.generation = generation;
            if matches!(self.condition, Soundness::Quarantined) {
                return;
            }
            self.departs_again();
            if base_lost {
                self.audience.forget();
            }
            self.condition = Soundness::Unloaded;
            self.snapshot = None;
            self.waived = false;
            if let Ok(stored) = load::load(&self.shared, &self.channel).await {
                self.outcomes = Outcomes::load(&stored.outcomes);
                self.timer = stored.state.next_timer();
                self.arm_anew();
                self.condition = Soundness::Sound(Box::new(stored.state));
            }
        }
        // Once for all that was dropped with this state.
        if base_lost && std::mem::replace(&mut self.base_owed, generation) < generation {
            self.resend_all().await;
        }
    }

    /// A deadline that has passed for nothing passes again, though not at once: the store may be full.
    fn arm_anew(&self) {
        if let Some(at) = self.timer {
            let soon = crate::shared::now().plus_ms(RETRY_MS);
            self.shared.deadlines.set(&self.channel, Some(at.max(soon)));
        }
    }

    /// Goes into quarantine because an operator wants it, or comes out of it: what is decided is made durable before, and is
    /// loaded anew afterwards.
    pub(super) async fn obey(&mut self) {
        let is_asked = self.shared.quarantine.is_asked(&self.channel);
        match self.condition {
            Soundness::Sound(_) if is_asked => {
                self.settle().await;
                error!(event = "quarantined", channel = %self.channel, "an operator has asked for it");
                self.condition = Soundness::Quarantined;
            }
            Soundness::Quarantined if !is_asked => {
                self.panics = 0;
                self.snapshot = None;
                self.waived = false;
                self.condition = Soundness::Unloaded;
                self.load().await;
            }
            _ => {}
        }
    }

    pub(crate) fn quarantine(&mut self) {
        self.shared.health.quarantined();
        self.shared.quarantine.found(&self.channel);
        self.departures = None;
        self.condition = Soundness::Quarantined;
    }
}
