//! What a node does by itself: deadlines, idle channels, snapshots that hold up the log, the directory, retention.

use crate::actor::Message;
use crate::convert;
use crate::receipts;
use crate::shared::{self, Shared};
use coven_cluster::{Channel, ShardId};
use coven_core::Timestamp;
use coven_store::{Epoch, Error, Retention};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How often old messages are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

/// Deadlines of channels, loaded or not.
#[derive(Debug, Default)]
struct Deadlines {
    at: HashMap<Channel, Timestamp>,
    order: BTreeSet<(Timestamp, Channel)>,
}

impl Deadlines {
    fn set(&mut self, channel: Channel, at: Option<Timestamp>) {
        if let Some(old) = self.at.remove(&channel) {
            self.order.remove(&(old, channel.clone()));
        }
        if let Some(at) = at {
            self.at.insert(channel.clone(), at);
            self.order.insert((at, channel));
        }
    }

    fn due(&mut self, now: Timestamp) -> Option<Channel> {
        let (at, channel) = self.order.first().filter(|(at, _)| *at <= now)?.clone();
        self.order.remove(&(at, channel.clone()));
        self.at.remove(&channel);
        Some(channel)
    }
}

impl Shared {
    /// Sets or clears a channel's deadline. A full queue is not waited for: the store has the deadline as well.
    pub(crate) fn set_timer(&self, channel: &Channel, at: Option<Timestamp>) {
        if self.timers.try_send((channel.clone(), at)).is_err() {
            warn!(%channel, "a deadline waits for the next start");
        }
    }
}

/// Fires deadlines until stopped.
pub(crate) async fn deadlines(
    shared: Arc<Shared>,
    mut changes: mpsc::Receiver<(Channel, Option<Timestamp>)>,
    stop: CancellationToken,
) {
    let mut deadlines = Deadlines::default();
    loop {
        while let Some(channel) = deadlines.due(shared::now()) {
            if shared.shards.takes(channel.shard()) {
                shared.table.tell(&shared, &channel, Message::Timer);
            }
        }
        let next = deadlines
            .order
            .first()
            .map_or(60_000, |(at, _)| at.0 - shared::now().0);
        let pause = Duration::from_millis(u64::try_from(next.clamp(1, 60_000)).unwrap_or(1));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            change = changes.recv() => match change {
                Some((channel, at)) => deadlines.set(channel, at),
                None => return,
            }
        }
    }
}

/// Looks after memory, log and directory until stopped.
pub(crate) async fn rounds(shared: Arc<Shared>, stop: CancellationToken) {
    let mut round = tokio::time::interval(Duration::from_millis(500));
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    let mut expiring = JoinSet::new();
    let idle_ms = u64::try_from(shared.options.idle_timeout.as_millis()).unwrap_or(u64::MAX);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = expire.tick() => expire_apart(&mut expiring, &shared),
            _ = round.tick() => {
                shared.directory.flush(&shared).await;
                for mailbox in shared.table.idle(idle_ms) {
                    mailbox.tell(Message::Idle(None));
                }
                receipts::again(&shared);
                want_snapshots(&shared);
                if shared.store.wants_room() {
                    expire_apart(&mut expiring, &shared);
                }
            }
        }
    }
}

fn want_snapshots(shared: &Arc<Shared>) {
    for (shard, key) in shared.store.wants_snapshot() {
        if !shared.shards.takes(ShardId(shard.0)) {
            continue;
        }
        let channel = convert::channel(key, shared.options.shards);
        shared.table.tell(shared, &channel, Message::Snapshot);
    }
}

/// Before which moment messages have to go for lack of room.
async fn for_room(shared: &Shared) -> Option<coven_store::Timestamp> {
    if !shared.store.wants_room() {
        return None;
    }
    let shards = (0..shared.options.shards).map(coven_store::ShardId);
    match shared.store.room_before(shards.collect()).await {
        Ok(Some(moment)) => {
            warn!(before = %moment, "there is no room in the store: the oldest archived messages go");
            Some(moment)
        }
        Ok(None) => None,
        Err(error) => {
            warn!(%error, "the archives could not be measured");
            None
        }
    }
}

/// One round at a time, beside the rest: a part of the store that does not answer holds up no acknowledgement.
fn expire_apart(expiring: &mut JoinSet<()>, shared: &Arc<Shared>) {
    while expiring.try_join_next().is_some() {}
    if expiring.is_empty() {
        let shared = Arc::clone(shared);
        expiring.spawn(async move { expire_all(&shared).await });
    }
}

async fn expire_all(shared: &Shared) {
    let age = shared
        .options
        .max_age
        .and_then(|age| i64::try_from(age.as_millis()).ok());
    let by_age = age.map(|age| convert::stamp(shared::now().plus_ms(-age)));
    let not_before = by_age.max(for_room(shared).await);
    let retention = Retention {
        not_before,
        max_count: shared.options.max_count,
    };
    if retention == Retention::default() {
        return;
    }
    let mut said = false;
    for (shard, epoch) in shared.shards.owned() {
        let (shard, epoch) = (convert::shard(shard), Epoch(epoch.0));
        let expired = shared.store.expire(shard, epoch, retention).await;
        let shard = shard.0;
        match expired {
            // Another node's by now.
            Ok(_) | Err(Error::Fenced { .. }) => {}
            Err(Error::Closed) => return,
            // The others are looked at all the same: what ails one shard would else make all archives grow for ever.
            Err(error) if said => debug!(shard, %error, "old messages were not removed"),
            Err(error) => {
                said = true;
                warn!(shard, %error, "old messages were not removed: tried again in an hour");
            }
        }
    }
}
