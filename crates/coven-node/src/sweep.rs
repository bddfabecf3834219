//! The sweep for ghosts (design §6, MUC-LEAVE-12): after a start and after each reconnect, every session is asked once
//! whether it is still there. Read from the store, channel by channel, without loading any into memory.

use crate::load;
use crate::shared::Shared;
use coven_cluster::{Channel, Delivery, Output};
use coven_core::{ChannelName, Group, Session};
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Channels asked for at a time.
const PAGE: usize = 256;

/// Sweeps a group's sessions in a task of its own.
pub(crate) fn spawn(shared: &Arc<Shared>, group: Group) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let spaces: Vec<SmolStr> = shared.options.spaces.keys().cloned().collect();
        let mut probed = 0;
        for space in spaces {
            probed += sweep(&shared, &space, &group).await;
        }
        info!(group = %group.0, probed, "sweep done");
    });
}

async fn sweep(shared: &Shared, space: &SmolStr, group: &Group) -> usize {
    let mut after: Option<SmolStr> = None;
    let mut probed = 0;
    loop {
        let page = match shared.store.channels(space, after.as_ref(), PAGE).await {
            Ok(page) if !page.is_empty() => page,
            Ok(_) => return probed,
            Err(error) => {
                warn!(%error, "the sweep was broken off");
                return probed;
            }
        };
        after = page.last().map(|key| key.local.clone());
        for key in page {
            let name = ChannelName {
                space: key.space,
                local: key.local,
            };
            probed += probe(shared, Channel::new(name, shared.options.shards), group).await;
        }
    }
}

async fn probe(shared: &Shared, channel: Channel, group: &Group) -> usize {
    let Ok(stored) = load::load(shared, &channel).await else {
        return 0;
    };
    let meant = |session: &&Arc<Session>| session.group == *group;
    let deliveries: Vec<_> = stored
        .state
        .roster()
        .sessions()
        .filter(meant)
        .cloned()
        .map(Delivery::Probe)
        .collect();
    let count = deliveries.len();
    if count > 0 {
        let rate = shared.options.sweep_rate.max(1);
        let pause = u64::try_from(count)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000_000);
        shared
            .front
            .send(Output {
                channel: Some(channel),
                commit: 0,
                deliveries,
            })
            .await;
        tokio::time::sleep(Duration::from_micros(pause / u64::from(rate))).await;
    }
    count
}
