//! Deadlines of channels, loaded or not: when the core of each has something to do by itself, or what waits in it is tried
//! again.
//!
//! Owns when a channel is told that its time has come. It keeps one deadline for each channel, the latest that was set, and
//! whoever sets one does it at once: so none is dropped for lack of room, and no actor waits (I9). What is done then is the
//! actor's ([`crate::turn`], [`crate::departures`]). Nothing here lasts: the store has what the core asks for, and whoever owns
//! the shard next reads it there ([`crate::start`]).

use crate::actor::Message;
use crate::shared::{self, Shared};
use coven_cluster::Channel;
use coven_core::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The clock of the day may be set: it is looked at again after this.
const MOST_PAUSE_MS: i64 = 60_000;

/// The deadlines of all channels of a node.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    line: Mutex<Line>,
    /// The first of them has become an earlier one.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Line {
    at: HashMap<Channel, Timestamp>,
    order: BTreeSet<(Timestamp, Channel)>,
}

impl Line {
    /// Tells whether it is the first now.
    fn set(&mut self, channel: &Channel, at: Option<Timestamp>) -> bool {
        if let Some(old) = self.at.remove(channel) {
            self.order.remove(&(old, channel.clone()));
        }
        let Some(at) = at else {
            return false;
        };
        self.at.insert(channel.clone(), at);
        self.order.insert((at, channel.clone()));
        self.order
            .first()
            .is_some_and(|(_, first)| first == channel)
    }

    /// Takes out the first, if it has passed.
    fn take(&mut self, now: Timestamp) -> Option<Channel> {
        let (at, channel) = self.order.first().filter(|(at, _)| *at <= now)?.clone();
        self.order.remove(&(at, channel.clone()));
        self.at.remove(&channel);
        Some(channel)
    }

    /// How long to wait for the first.
    fn pause(&self, now: Timestamp) -> Duration {
        let first = self.order.first();
        let pause = first.map_or(MOST_PAUSE_MS, |(at, _)| at.0.saturating_sub(now.0));
        Duration::from_millis(u64::try_from(pause.clamp(1, MOST_PAUSE_MS)).unwrap_or(1))
    }
}

impl Deadlines {
    /// Sets or clears a channel's deadline.
    pub(crate) fn set(&self, channel: &Channel, at: Option<Timestamp>) {
        if self.line().set(channel, at) {
            self.sooner.notify_one();
        }
    }

    /// Waits for a deadline to pass, and takes it out: whose it was.
    async fn passed(&self) -> Channel {
        loop {
            let now = shared::now();
            if let Some(channel) = self.line().take(now) {
                return channel;
            }
            let pause = self.line().pause(now);
            let _sooner = tokio::time::timeout(pause, self.sooner.notified()).await;
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells channels whose time has come, until stopped.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let channel = tokio::select! {
            () = stop.cancelled() => return,
            channel = shared.deadlines.passed() => channel,
        };
        if shared.shards.takes(channel.shard()) {
            shared.table.tell(&shared, &channel, Message::Timer);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use coven_core::ChannelName;

    fn channel(n: usize) -> Channel {
        let (space, local) = ("chat.example".into(), format!("r{n}").into());
        Channel::new(ChannelName { space, local }, 4)
    }

    async fn passed(deadlines: &Deadlines) -> Channel {
        let patience = Duration::from_secs(30);
        let passed = tokio::time::timeout(patience, deadlines.passed()).await;
        passed.unwrap()
    }

    /// As after a store was full: every channel of a node has something that waits, and nobody has looked at one yet.
    #[tokio::test]
    async fn i9_however_many_deadlines_are_set_at_once_none_is_lost() {
        const MANY: usize = 20_000;
        let deadlines = Deadlines::default();
        let now = shared::now();
        for n in 0..MANY {
            deadlines.set(&channel(n), Some(now));
        }
        let mut told = std::collections::HashSet::new();
        while told.len() < MANY {
            assert!(told.insert(passed(&deadlines).await), "told twice");
        }
    }

    #[test]
    fn i9_a_channel_has_one_deadline() {
        let deadlines = Deadlines::default();
        for at in [3000, 1000, 2000] {
            deadlines.set(&channel(1), Some(Timestamp(at)));
        }
        assert_eq!(deadlines.line().take(Timestamp(1999)), None);
        assert_eq!(deadlines.line().take(Timestamp(2000)), Some(channel(1)));
        assert_eq!(deadlines.line().take(Timestamp(9000)), None);
    }

    #[test]
    fn a_deadline_that_is_cleared_does_not_pass() {
        let deadlines = Deadlines::default();
        deadlines.set(&channel(1), Some(Timestamp(1000)));
        deadlines.set(&channel(1), None);
        assert_eq!(deadlines.line().take(Timestamp(9000)), None);
        assert!(deadlines.line().at.is_empty());
    }

    /// Else it would be kept when the later one is.
    #[tokio::test]
    async fn a_deadline_that_is_sooner_than_the_one_waited_for_is_kept_in_time() {
        let deadlines = Arc::new(Deadlines::default());
        let far = shared::now().plus_ms(3_600_000);
        deadlines.set(&channel(1), Some(far));
        let waiting = Arc::clone(&deadlines);
        let waiting = tokio::spawn(async move { passed(&waiting).await });
        tokio::task::yield_now().await;
        deadlines.set(&channel(2), Some(shared::now()));
        assert_eq!(waiting.await.unwrap(), channel(2));
    }
}
