//! When a channel is written down: once what the snapshot covers is acknowledged, or no longer waited for (design §5.8).
//!
//! A channel is written down before it leaves memory, when the store asks for it, and after every few thousand
//! acknowledged events. A connection that is away holds this up for a while only: then the channel is written down
//! without it, and what it has not taken in is gone from the journal.

use crate::actor::{Room, Soundness};
use crate::convert;
use crate::shared;
use crate::table::lock;
use coven_core::{Sequence, Timestamp};
use coven_store::{CommitNumber, ConnectionId, Epoch, Loaded, Receipts, Sent, Snapshot};
use tracing::{debug, warn};

impl Room {
    /// All connections have taken in the events up to here.
    pub(crate) async fn acknowledged(&mut self, sequence: Sequence) {
        if sequence > self.acknowledged {
            self.acknowledged = sequence;
            self.owed_since = None;
        }
        let due = self.snapshot_at.0 + self.shared.options.snapshot_every;
        if self.snapshot.is_none() && self.acknowledged.0 >= due {
            self.snapshot = self.encode_snapshot();
        }
        self.waive_if_overdue().await;
        let ready = |s: &Snapshot| self.waived || s.sequence.0 <= self.acknowledged.0;
        if self.snapshot.as_ref().is_some_and(ready) {
            self.write_snapshot().await;
        }
    }

    /// Writes a snapshot as soon as what it covers is acknowledged.
    pub(crate) async fn plan_snapshot(&mut self) {
        if self.snapshot.is_none() {
            self.snapshot = self.encode_snapshot();
        }
        self.acknowledged(Sequence(0)).await;
    }

    /// Writes a snapshot now. Tells whether there is nothing more to write.
    pub(crate) async fn write_down(&mut self) -> bool {
        self.snapshot = self.encode_snapshot();
        self.write_snapshot().await
    }

    /// Before the shard is given up: the next owner loads less.
    pub(crate) async fn write_down_if_acknowledged(&mut self) {
        if matches!(self.condition, Soundness::Sound(_))
            && !self.owes()
            && self.head() > self.snapshot_at
        {
            self.write_down().await;
        }
    }

    /// Stops waiting for connections that have been away for too long, or would have to take in too much.
    pub(crate) async fn waive_if_overdue(&mut self) {
        let Soundness::Sound(state) = &self.condition else {
            return;
        };
        let owed = state.roster().at().0.saturating_sub(self.acknowledged.0);
        if owed == 0 {
            self.owed_since = None;
        } else if self.is_overdue(owed, shared::now()) {
            self.waive().await;
        }
    }

    fn is_overdue(&mut self, owed: u64, now: Timestamp) -> bool {
        let options = &self.shared.options;
        let since = *self.owed_since.get_or_insert(now);
        let most = i64::try_from(options.owed_for.as_millis()).unwrap_or(i64::MAX);
        let too_much = owed > options.owed_events && !self.waived;
        too_much || now.0.saturating_sub(since.0) > most
    }

    async fn waive(&mut self) {
        self.owed_since = Some(shared::now());
        // Nothing of this channel is on its way after it, and nothing comes before the snapshot.
        self.settle().await;
        let shard = convert::shard(self.channel.shard());
        let key = convert::key(&self.channel);
        let Ok(Some(loaded)) = self.shared.store.load(shard, &key).await else {
            return;
        };
        let receipts = self.without_those_behind(&loaded);
        warn!(
            channel = %self.channel,
            acknowledged = self.acknowledged.0,
            head = loaded.head.0,
            connections = receipts.gone.len(),
            "connections have been away for too long: what they have not taken in is not kept for them any more"
        );
        let epoch = Epoch(self.shared.epoch(self.channel.shard()).0);
        let gone: Vec<_> = receipts.gone.iter().map(|(_, c)| c.0.clone()).collect();
        let done = self.shared.store.acknowledge(shard, epoch, receipts).await;
        if done.is_ok() {
            lock(&self.acks).waive(&gone, self.head());
            self.shared.done(&self.channel, &self.acks);
            self.snapshot = self.encode_snapshot();
            self.waived = self.snapshot.is_some();
        }
    }

    /// Takes out who is as far behind as the last; if that is everybody, nobody is owed anything.
    fn without_those_behind(&self, loaded: &Loaded) -> Receipts {
        let key = convert::key(&self.channel);
        let behind = loaded.acks.iter();
        let behind = behind.filter(|ack| ack.sequence.0 <= self.acknowledged.0);
        let gone: Vec<(_, ConnectionId)> = behind
            .map(|ack| (key.clone(), ack.connection.clone()))
            .collect();
        let nobody = gone.len() == loaded.acks.len();
        let mark: Option<CommitNumber> = loaded.unsent.filter(|_| nobody);
        Receipts {
            sent: mark
                .map(|commit| Sent { key, commit })
                .into_iter()
                .collect(),
            gone,
            ..Receipts::default()
        }
    }

    fn encode_snapshot(&self) -> Option<Snapshot> {
        let Soundness::Sound(state) = &self.condition else {
            return None;
        };
        let roster = state.roster();
        let sequence = convert::sequence(roster.at());
        let state = coven_proto::encode_snapshot(roster, state.key(), state.lock());
        Some(Snapshot { sequence, state })
    }

    async fn write_snapshot(&mut self) -> bool {
        let Some(snapshot) = self.snapshot.take() else {
            return true;
        };
        let shard = convert::shard(self.channel.shard());
        let epoch = Epoch(self.shared.epoch(self.channel.shard()).0);
        let key = convert::key(&self.channel);
        let store = &self.shared.store;
        let written = store.snapshot(shard, epoch, key, snapshot.clone()).await;
        self.snapshot_at = Sequence(snapshot.sequence.0);
        match &written {
            Ok(()) if std::mem::take(&mut self.waived) => {
                self.acknowledged = self.acknowledged.max(self.snapshot_at);
                self.owed_since = None;
            }
            Ok(()) => {}
            // Those that are not away will have it in a moment.
            Err(_) if self.waived => self.snapshot = Some(snapshot),
            // The store says by itself when it takes nothing.
            Err(error) if error.is_temporary() => {
                debug!(channel = %self.channel, %error, "no snapshot yet");
            }
            Err(error) => warn!(channel = %self.channel, %error, "no snapshot"),
        }
        written.is_ok()
    }
}
