//! What a node takes up at its start: channels with output that is not acknowledged, and deadlines (design §5.7).
//!
//! Owns how many channels are loaded at a time, and that each of them is loaded in the end, however long the store is
//! busy: nobody else would ask for it.

use crate::actor::Message;
use crate::convert;
use crate::options::Error;
use crate::shared::Shared;
use coven_cluster::Channel;
use coven_core::{ChannelName, Timestamp};
use coven_store::{ChannelKey, ShardId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinSet;
use tracing::warn;

/// Channels that are loaded at a time, of all shards.
pub(crate) const AT_A_TIME: usize = 64;
/// When the store did not give a channel it is asked again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// The channels of a shard with output that is not acknowledged; their deadlines are set.
async fn unsent(shared: &Shared, shard: ShardId) -> Result<Vec<Channel>, Error> {
    let channel = |key: ChannelKey| {
        let (space, local) = (key.space, key.local);
        Channel::new(ChannelName { space, local }, shared.options.shards)
    };
    let (unsent, timers) = (shared.store.unsent(shard), shared.store.timers(shard));
    let unsent = unsent.await?.into_iter().map(|sent| channel(sent.key));
    for (at, key) in timers.await? {
        let at = Timestamp(convert::timestamp(at).0);
        shared.deadlines.set(&channel(key), Some(at));
    }
    Ok(unsent.collect())
}

/// Takes up what the last owner of a shard has left, however long the store is busy. Each shard for itself: one that cannot
/// be read holds up no other.
pub(crate) async fn take_up(shared: Arc<Shared>, shard: ShardId) {
    let mut pause = FIRST_PAUSE;
    while shared.shards.takes(coven_cluster::ShardId(shard.0)) {
        match unsent(&shared, shard).await {
            Ok(channels) => return load_all(shared, channels).await,
            Err(error) => {
                warn!(shard = shard.0, %error, "what was left by the last owner cannot be read yet");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
    }
}

/// Loads channels, which sends what is not acknowledged.
async fn load_all(shared: Arc<Shared>, channels: Vec<Channel>) {
    let mut loading = JoinSet::new();
    for channel in channels {
        let Ok(place) = Arc::clone(&shared.loads).acquire_owned().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        loading.spawn(async move { load(shared, channel, place).await });
        while loading.try_join_next().is_some() {}
    }
    while loading.join_next().await.is_some() {}
}

/// One that cannot be loaded yet gives its place to others meanwhile.
async fn load(shared: Arc<Shared>, channel: Channel, place: OwnedSemaphorePermit) {
    let mut place = Some(place);
    let mut pause = FIRST_PAUSE;
    while shared.shards.takes(channel.shard()) {
        let (done, loaded) = oneshot::channel();
        shared.table.tell(&shared, &channel, Message::Load(done));
        if matches!(loaded.await, Ok(true)) {
            return;
        }
        place = None;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
    }
    drop(place);
}
