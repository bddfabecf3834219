//! Acknowledgements of front-ends: to the store, so that a restart repeats nothing (IL-28), and to the channels, so that
//! they can be written down and leave memory.

use crate::actor::Message;
use crate::convert;
use crate::shared::Shared;
use coven_cluster::ShardId;
use coven_cluster::link::Acknowledged;
use coven_store::{
    Acknowledgement, CommitNumber, ConnectionId, Epoch, LeaseNumber, Receipts, Sent,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::warn;

/// Passes a batch of acknowledgements on.
pub(crate) fn take(shared: &Arc<Shared>, batch: Vec<Acknowledged>) {
    let mut shards: BTreeMap<ShardId, Receipts> = BTreeMap::new();
    for receipt in batch {
        if receipt.all
            && let Some(mailbox) = shared.table.get(&receipt.channel)
        {
            mailbox.tell(Message::Acknowledged(receipt.sequence));
        }
        add(shards.entry(receipt.channel.shard()).or_default(), &receipt);
    }
    for (shard, receipts) in shards {
        store(shared, shard, receipts);
    }
}

fn add(receipts: &mut Receipts, receipt: &Acknowledged) {
    let key = convert::key(&receipt.channel);
    let commit = CommitNumber(receipt.commit);
    if receipt.all {
        receipts.sent.push(Sent {
            key: key.clone(),
            commit,
        });
    }
    receipts.acks.push(Acknowledgement {
        key,
        connection: ConnectionId(receipt.connection.clone()),
        lease: LeaseNumber(0),
        sequence: convert::sequence(receipt.sequence),
        commit,
    });
}

fn store(shared: &Arc<Shared>, shard: ShardId, receipts: Receipts) {
    let epoch = Epoch(shared.epoch(shard).0);
    let stored = shared
        .store
        .acknowledge(convert::shard(shard), epoch, receipts);
    tokio::spawn(async move {
        if let Err(error) = stored.await {
            warn!(shard = shard.0, %error, "acknowledgements were not stored");
        }
    });
}
