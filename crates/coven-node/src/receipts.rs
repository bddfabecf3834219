//! Acknowledgements of front-ends: to the store, so that a restart repeats nothing (IL-28), and to the channels, so that
//! they can be written down and leave memory.
//!
//! What the store did not take is kept, and stored with what comes next or half a second later.

use crate::actor::Message;
use crate::convert;
use crate::shared::Shared;
use coven_cluster::link::Acknowledged;
use coven_cluster::{Channel, ShardId};
use coven_core::Sequence;
use coven_store::{
    Acknowledgement, ChannelKey, CommitNumber, ConnectionId, Epoch, Error, LeaseNumber, Receipts,
    Sent,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{info, warn};

/// Acknowledgements that the store did not take: of each channel and connection the latest, so their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Unstored(Mutex<BTreeMap<ShardId, Latest>>);

/// The latest acknowledgements of a shard.
#[derive(Debug, Default)]
struct Latest {
    acks: BTreeMap<(ChannelKey, ConnectionId), Acknowledgement>,
    sent: BTreeMap<ChannelKey, CommitNumber>,
}

/// Passes a batch of acknowledgements on.
pub(crate) fn take(shared: &Arc<Shared>, batch: Vec<Acknowledged>) {
    let mut shards: BTreeMap<ShardId, Latest> = BTreeMap::new();
    let mut least: BTreeMap<Channel, Sequence> = BTreeMap::new();
    for receipt in batch {
        let of_shard = shards.entry(receipt.channel.shard()).or_default();
        of_shard.take(&receipt);
        least.insert(receipt.channel, receipt.least);
    }
    for (shard, latest) in shards {
        store(shared, shard, latest);
    }
    // Behind the acknowledgements: a snapshot that a channel now writes is asked for what they say.
    for (channel, sequence) in least {
        if let Some(mailbox) = shared.table.get(&channel) {
            mailbox.tell(Message::Acknowledged(sequence));
        }
    }
}

/// Stores once more what the store did not take.
pub(crate) fn again(shared: &Arc<Shared>) {
    let unstored = std::mem::take(&mut *shared.unstored.lock());
    for (shard, latest) in unstored {
        store(shared, shard, latest);
    }
}

fn store(shared: &Arc<Shared>, shard: ShardId, mut latest: Latest) {
    if let Some(earlier) = shared.unstored.lock().remove(&shard) {
        latest.put_behind(earlier);
    }
    let epoch = Epoch(shared.epoch(shard).0);
    let stored = shared
        .store
        .acknowledge(convert::shard(shard), epoch, latest.receipts());
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        match stored.await {
            Ok(()) => {
                if shared.health.receipts(true) {
                    info!("the store takes acknowledgements again");
                }
            }
            Err(Error::Closed) => {}
            Err(error) => {
                if shared.health.receipts(false) {
                    warn!(shard = shard.0, %error, "acknowledgements wait for the store");
                }
                shared.unstored.keep(shard, latest);
            }
        }
    });
}

impl Unstored {
    fn keep(&self, shard: ShardId, latest: Latest) {
        self.lock().entry(shard).or_default().put_behind(latest);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, Latest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latest {
    fn take(&mut self, receipt: &Acknowledged) {
        let key = convert::key(&receipt.channel);
        let connection = ConnectionId(receipt.connection.clone());
        let commit = CommitNumber(receipt.commit);
        if receipt.all {
            self.sent.insert(key.clone(), commit);
        }
        let ack = Acknowledgement {
            key: key.clone(),
            connection: connection.clone(),
            lease: LeaseNumber(0),
            sequence: convert::sequence(receipt.sequence),
            commit,
        };
        self.acks.insert((key, connection), ack);
    }

    /// Adds what was acknowledged earlier and is not outdated.
    fn put_behind(&mut self, earlier: Self) {
        for (of, ack) in earlier.acks {
            self.acks.entry(of).or_insert(ack);
        }
        for (key, commit) in earlier.sent {
            let newest = self.sent.entry(key).or_insert(commit);
            *newest = commit.max(*newest);
        }
    }

    fn receipts(&self) -> Receipts {
        let sent = self.sent.iter();
        Receipts {
            acks: self.acks.values().cloned().collect(),
            sent: sent
                .map(|(key, commit)| Sent {
                    key: key.clone(),
                    commit: *commit,
                })
                .collect(),
            ..Receipts::default()
        }
    }
}
