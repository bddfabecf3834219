//! Acknowledgements of front-ends: to the store, so that a restart repeats nothing (IL-28), and to the channels, so that
//! they can be written down and leave memory.
//!
//! What the store did not take is kept, and stored with what comes next or half a second later.

use crate::actor::Message;
use crate::convert;
use crate::fronts::SeatState;
use crate::shared::Shared;
use crate::table::{Mailbox, lock};
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

/// Passes a batch of acknowledgements on. Those of an earlier lease (IL-13), of another owner's epoch, or of a channel that
/// was destroyed count for nothing.
pub(crate) fn take(shared: &Arc<Shared>, seat: &SeatState, batch: Vec<Acknowledged>) {
    let mut shards: BTreeMap<ShardId, Latest> = BTreeMap::new();
    let mut told: BTreeMap<Channel, (Arc<Mailbox>, Sequence)> = BTreeMap::new();
    for receipt in batch {
        if !counts(shared, seat, &receipt) {
            continue;
        }
        let Some(mailbox) = shared.table.get(&receipt.channel) else {
            continue;
        };
        let view = shared.fronts.view(&receipt.channel.name().space);
        let mut acks = lock(&mailbox.acks);
        let before = acks.least(&view.connections);
        if !acks.take(&receipt) {
            continue;
        }
        let least = acks.least(&view.connections);
        let newly = (least.commit > before.commit).then_some(least.commit);
        drop(acks);
        let of_shard = shards.entry(receipt.channel.shard()).or_default();
        of_shard.take(&receipt, newly);
        told.insert(receipt.channel, (mailbox, least.sequence));
    }
    for (shard, latest) in shards {
        store(shared, shard, latest);
    }
    // Behind the acknowledgements: a snapshot that a channel now writes is asked for what they say.
    for (channel, (mailbox, sequence)) in told {
        shared.done(&channel, &mailbox.acks);
        mailbox.tell(Message::Acknowledged(sequence));
    }
}

/// The one front-end in this process holds everything without a lease, under whatever epoch.
fn counts(shared: &Shared, seat: &SeatState, receipt: &Acknowledged) -> bool {
    let shard = receipt.channel.shard();
    let epoch = shared.epoch(shard);
    let is_ours = receipt.epoch == epoch || receipt.epoch == shared.shards.said(shard);
    let fits = is_ours && shared.fronts.is_newest(&receipt.connection, receipt.lease);
    epoch.0 != 0 && (seat.is_local || fits)
}

/// Forgets the outcomes of a process that will not ask any more (design §5.6).
pub(crate) async fn forget_process(shared: &Shared, process: u128) {
    let owned = shared.shards.owned().into_iter();
    let asked = owned.map(|(shard, epoch)| {
        let (shard, epoch) = (convert::shard(shard), Epoch(epoch.0));
        let process = coven_store::ProcessId(process);
        shared.store.forget_process(shard, epoch, process)
    });
    for answer in asked.collect::<Vec<_>>() {
        if let Err(error) = answer.await {
            warn!(%error, "outcomes of a process that has ended are kept for longer");
        }
    }
    for mailbox in shared.table.all() {
        lock(&mailbox.acks).forget(process);
        mailbox.tell(Message::ForgetProcess(process));
    }
}

/// Stores what the store has not taken yet of a shard, and waits for it.
pub(crate) async fn flush(shared: &Shared, shard: ShardId) -> Result<(), Error> {
    let Some(latest) = shared.unstored.lock().remove(&shard) else {
        return Ok(());
    };
    let epoch = Epoch(shared.epoch(shard).0);
    let receipts = latest.receipts();
    shared
        .store
        .acknowledge(convert::shard(shard), epoch, receipts)
        .await
}

/// Stores once more what the store did not take.
pub(crate) fn again(shared: &Arc<Shared>) {
    let unstored = std::mem::take(&mut *shared.unstored.lock());
    let ours = unstored
        .into_iter()
        .filter(|(shard, _)| shared.shards.owns(*shard));
    for (shard, latest) in ours {
        store(shared, shard, latest);
    }
}

/// The store has lost what it had taken of a shard: what is known here is stored anew, or everything would be sent again when
/// the shard is taken up next.
pub(crate) fn lost(shared: &Shared, shard: ShardId) {
    let mut latest = Latest::default();
    for (channel, mailbox) in shared.table.of(|of| of == shard) {
        let view = shared.fronts.view(&channel.name().space);
        let acks = lock(&mailbox.acks);
        let key = convert::key(&channel);
        let least = acks.least(&view.connections).commit;
        latest.sent.insert(key.clone(), CommitNumber(least));
        for (connection, lease, at) in acks.all() {
            let connection = ConnectionId(connection.clone());
            let ack = Acknowledgement {
                key: key.clone(),
                connection: connection.clone(),
                lease,
                sequence: convert::sequence(at.sequence),
                commit: CommitNumber(at.commit),
            };
            latest.acks.insert((key.clone(), connection), ack);
        }
    }
    for (channel, last) in shared.kept.all(shard) {
        let key = convert::key(&channel);
        let sent = latest.sent.entry(key.clone()).or_insert(last.sent);
        *sent = last.sent.max(*sent);
        for ack in last.acks {
            let of = (key.clone(), ack.connection.clone());
            latest.acks.entry(of).or_insert_with(|| Acknowledgement {
                key: key.clone(),
                connection: ack.connection,
                lease: ack.lease,
                sequence: ack.sequence,
                commit: ack.commit,
            });
        }
    }
    shared.unstored.keep(shard, latest);
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
            Err(Error::Closed | Error::Fenced { .. }) => {}
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
    /// A shard is another's.
    pub(crate) fn forget(&self, shard: ShardId) {
        self.lock().remove(&shard);
    }

    fn keep(&self, shard: ShardId, latest: Latest) {
        self.lock().entry(shard).or_default().put_behind(latest);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, Latest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latest {
    /// `least`: what all connections have taken in, if that is news.
    fn take(&mut self, receipt: &Acknowledged, least: Option<u64>) {
        let key = convert::key(&receipt.channel);
        let connection = ConnectionId(receipt.connection.clone());
        let commit = CommitNumber(receipt.commit);
        if let Some(least) = least {
            self.sent.insert(key.clone(), CommitNumber(least));
        }
        let ack = Acknowledgement {
            key: key.clone(),
            connection: connection.clone(),
            lease: LeaseNumber(receipt.lease.0),
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
