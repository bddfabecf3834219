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
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::warn;

/// Channels that are loaded at a time.
const AT_A_TIME: usize = 64;
/// When the store did not give a channel it is asked again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// The channels of these shards with output that is not acknowledged; their deadlines are set.
pub(crate) async fn unsent(shared: &Shared, shards: &[ShardId]) -> Result<Vec<Channel>, Error> {
    let channel = |key: ChannelKey| {
        let (space, local) = (key.space, key.local);
        Channel::new(ChannelName { space, local }, shared.options.shards)
    };
    let ask = |shard: &ShardId| (shared.store.unsent(*shard), shared.store.timers(*shard));
    let asked: Vec<_> = shards.iter().map(ask).collect();
    let mut channels = Vec::new();
    for (unsent, timers) in asked {
        channels.extend(unsent.await?.into_iter().map(|sent| channel(sent.key)));
        for (at, key) in timers.await? {
            let at = Timestamp(convert::timestamp(at).0);
            let _full = shared.timers.send((channel(key), Some(at))).await;
        }
    }
    Ok(channels)
}

/// Takes up what the last owner of these shards has left, however long the store is busy.
pub(crate) async fn take_up(shared: Arc<Shared>, shards: Vec<ShardId>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match unsent(&shared, &shards).await {
            Ok(channels) => return load_all(shared, channels).await,
            Err(error) => warn!(%error, "what was left by the last owner cannot be read yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
    }
}

/// Loads channels, which sends what is not acknowledged.
pub(crate) async fn load_all(shared: Arc<Shared>, channels: Vec<Channel>) {
    let mut loading = JoinSet::new();
    for channel in channels {
        if loading.len() >= AT_A_TIME {
            let _one = loading.join_next().await;
        }
        loading.spawn(load(Arc::clone(&shared), channel));
    }
    while loading.join_next().await.is_some() {}
}

async fn load(shared: Arc<Shared>, channel: Channel) {
    let mut pause = FIRST_PAUSE;
    while shared.shards.takes(channel.shard()) {
        let (done, loaded) = oneshot::channel();
        shared.table.tell(&shared, &channel, Message::Load(done));
        if matches!(loaded.await, Ok(true)) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
    }
}
