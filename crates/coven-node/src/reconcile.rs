//! The directory compared with the channels that there are, once after each start (design §8a).
//!
//! It is written beside the commits, so a process that dies in between leaves a channel out, or one in that is gone. Only
//! these are looked at: names are read by page, and a channel is loaded where the two differ, a few each second.

use crate::shared::Shared;
use crate::{convert, directory, load, quota};
use coven_cluster::Channel;
use coven_core::ChannelName;
use coven_store::{DirectoryQuery, Error};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Names read at a time.
const PAGE: usize = 256;
/// Between two reads.
const PAUSE: Duration = Duration::from_millis(20);

/// Compares whenever shards were taken: what was derived from them may not have been written by their last owner.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        shared.taken.notified().await;
        compare(&shared).await;
    }
}

/// Compares, space by space. What cannot be read is left to the next time.
async fn compare(shared: &Shared) {
    for space in shared.options.spaces.keys() {
        if let Err(error) = reconcile(shared, space).await {
            warn!(%space, %error, "the directory was not compared");
        }
    }
}

async fn reconcile(shared: &Shared, space: &SmolStr) -> Result<(), Error> {
    let mut listed = listed(shared, space).await?;
    let mut after: Option<SmolStr> = None;
    loop {
        let page = shared.store.channels(space, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.local.clone());
        for key in page {
            if !listed.remove(&key.local) {
                renew(shared, space, key.local).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    for local in listed {
        renew(shared, space, local).await;
    }
    Ok(())
}

async fn listed(shared: &Shared, space: &SmolStr) -> Result<BTreeSet<SmolStr>, Error> {
    let mut listed = BTreeSet::new();
    let mut after: Option<SmolStr> = None;
    loop {
        let query = DirectoryQuery {
            after: after.take(),
            unlisted: true,
            max: PAGE,
            ..DirectoryQuery::default()
        };
        // A channel that went meanwhile: the others are taken for missing, and found to be right.
        let Ok(page) = shared.store.directory(space, query).await? else {
            return Ok(listed);
        };
        after = page.channels.last().map(|(local, _)| local.clone());
        listed.extend(page.channels.into_iter().map(|(local, _)| local));
        if after.is_none() || page.complete {
            return Ok(listed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says what there is, unless the channel is in memory: then it says so itself.
async fn renew(shared: &Shared, space: &SmolStr, local: SmolStr) {
    let name = ChannelName {
        space: space.clone(),
        local,
    };
    let channel = Channel::new(name, shared.options.shards);
    if !shared.shards.takes(channel.shard()) {
        return;
    }
    tokio::time::sleep(PAUSE).await;
    if shared.table.get(&channel).is_some() {
        return;
    }
    let shard = convert::shard(channel.shard());
    let exists = shared.store.exists(shard, &convert::key(&channel)).await;
    let (listing, owners) = match exists {
        Ok(false) => (None, Vec::new()),
        Ok(true) => match load::load(shared, &channel).await {
            Ok(stored) => (
                directory::listing(&stored.state),
                quota::owners(&stored.state).collect(),
            ),
            Err(_) => return,
        },
        Err(_) => return,
    };
    if shared.table.get(&channel).is_none() {
        shared.directory.note(&channel, listing);
        quota::note(shared, &channel, owners);
    }
}
