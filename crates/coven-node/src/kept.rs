//! What was acknowledged of channels that have left memory, for as long as a store that falls back gets their commits again
//! (design §5.11): the store has lost the acknowledgements as well, and without them everything would be sent once more
//! to streams that have it (I3).
//!
//! Owns no commit: those are in `commit/tail.rs`. Channels in memory know by themselves what was acknowledged; what is here is
//! theirs again when they are loaded. Bounds (I9): [`KEPT_FOR`], and [`CHANNELS`], beyond it the oldest are forgotten.

use crate::acks::Acks;
use crate::load::Stored;
use coven_cluster::{Channel, ShardId};
use coven_core::Sequence;
use coven_store::{Ack, CommitNumber};
use smol_str::SmolStr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// As long as commits are.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Channels of which something is kept.
const CHANNELS: usize = 65_536;

/// Of channels that are not in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    of: BTreeMap<Channel, Last>,
    /// The oldest first; those that are there no more, or anew, as well.
    order: VecDeque<(Instant, Channel)>,
}

/// What was acknowledged when a channel left.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    since: Instant,
    /// Where the channel was.
    head: Sequence,
    pub(crate) acks: Vec<Ack>,
    /// All output of commits up to here is taken in.
    pub(crate) sent: CommitNumber,
}

impl Last {
    /// Of a channel at `head`.
    pub(crate) fn of(acks: &Acks, connections: &[SmolStr], head: Sequence) -> Self {
        let all = acks.all().map(|(connection, lease, at)| Ack {
            connection: coven_store::ConnectionId(connection.clone()),
            lease,
            sequence: crate::convert::sequence(at.sequence),
            commit: CommitNumber(at.commit),
        });
        Self {
            since: Instant::now(),
            head,
            acks: all.collect(),
            sent: CommitNumber(acks.least(connections).commit),
        }
    }

    /// Makes good for what the store has lost of it.
    fn mend(&self, stored: &mut Stored) {
        for ack in &self.acks {
            let same = |it: &&mut Ack| it.connection == ack.connection;
            match stored.acks.iter_mut().find(same) {
                Some(it) => {
                    it.lease = it.lease.max(ack.lease);
                    it.sequence = it.sequence.max(ack.sequence);
                    it.commit = it.commit.max(ack.commit);
                }
                None => stored.acks.push(ack.clone()),
            }
        }
        let cursor = |ack: &Ack| (ack.connection.0.clone(), Sequence(ack.sequence.0));
        stored.acknowledged = stored.acks.iter().map(cursor).collect();
        stored.unsent = stored.unsent.filter(|mark| *mark > self.sent.0);
    }
}

impl Kept {
    /// A channel leaves memory.
    pub(crate) fn put(&self, channel: &Channel, last: Last) {
        let mut inner = self.lock();
        inner.order.push_back((last.since, channel.clone()));
        inner.of.insert(channel.clone(), last);
        inner.expire(Instant::now());
    }

    /// A channel leaves memory that is none any more.
    pub(crate) fn forget(&self, channel: &Channel) {
        self.lock().of.remove(channel);
    }

    /// A channel was loaded: what is kept of it is made part of that. It stays only where the store has fallen back behind it.
    pub(crate) fn mend(&self, channel: &Channel, stored: &mut Stored) {
        let mut inner = self.lock();
        let Some(last) = inner.of.get(channel) else {
            return;
        };
        last.mend(stored);
        if stored.state.roster().at() >= last.head {
            inner.of.remove(channel);
        }
    }

    /// Of a shard.
    pub(crate) fn all(&self, shard: ShardId) -> Vec<(Channel, Last)> {
        let inner = self.lock();
        let of_shard = inner.of.iter().filter(|(of, _)| of.shard() == shard);
        of_shard
            .map(|(channel, last)| (channel.clone(), last.clone()))
            .collect()
    }

    /// A shard is another's.
    pub(crate) fn lose(&self, shard: ShardId) {
        self.lock().of.retain(|channel, _| channel.shard() != shard);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn expire(&mut self, now: Instant) {
        let is_old = |(since, _): &(Instant, Channel)| now.duration_since(*since) > KEPT_FOR;
        while self.order.len() > CHANNELS || self.order.front().is_some_and(is_old) {
            let Some((since, channel)) = self.order.pop_front() else {
                return;
            };
            if self.of.get(&channel).is_some_and(|it| it.since == since) {
                self.of.remove(&channel);
            }
        }
    }
}
