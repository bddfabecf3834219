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

/// Channels that are loaded at a time.
const AT_A_TIME: usize = 64;
/// When the store did not give a channel it is asked again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// The channels with output that is not acknowledged; deadlines are set.
pub(crate) async fn unsent(shared: &Shared) -> Result<Vec<Channel>, Error> {
    let channel = |key: ChannelKey| {
        let (space, local) = (key.space, key.local);
        Channel::new(ChannelName { space, local }, shared.options.shards)
    };
    let shards = (0..shared.options.shards).map(ShardId);
    let asked = shards.map(|s| (shared.store.unsent(s), shared.store.timers(s)));
    let mut channels = Vec::new();
    for (unsent, timers) in asked.collect::<Vec<_>>() {
        channels.extend(unsent.await?.into_iter().map(|sent| channel(sent.key)));
        for (at, key) in timers.await? {
            let at = Timestamp(convert::timestamp(at).0);
            let _full = shared.timers.send((channel(key), Some(at))).await;
        }
    }
    Ok(channels)
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
    loop {
        let (done, loaded) = oneshot::channel();
        shared.table.tell(&shared, &channel, Message::Load(done));
        if matches!(loaded.await, Ok(true)) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
    }
}
