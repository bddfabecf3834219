//! What a node does by itself: idle channels, snapshots that hold up the log, the directory, retention. Deadlines are in
//! [`crate::deadlines`].

use crate::actor::Message;
use crate::convert;
use crate::receipts;
use crate::shared::{self, Shared};
use coven_cluster::ShardId;
use coven_store::{Epoch, Error, Retention};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How often old messages are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

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
