//! A commit being put together: requests of one shard, channel by channel.

use super::{Part, Request};
use crate::convert;
use coven_cluster::{Channel, Delivery, ShardId};
use coven_store::{ChannelCommit, TimerChange};
use hashbrown::HashMap;
use smol_str::SmolStr;

/// Bytes of records after which a commit is closed.
const CLOSE_BYTES: usize = 256 * 1024;

/// A commit being put together.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) shard: ShardId,
    pub(super) channels: Vec<ChannelCommit>,
    index: HashMap<Channel, usize>,
    bytes: usize,
    pub(super) parts: Vec<Part>,
}

impl Building {
    pub(super) fn new(shard: ShardId) -> Self {
        Self {
            shard,
            channels: Vec::new(),
            index: HashMap::new(),
            bytes: 0,
            parts: Vec::new(),
        }
    }

    /// Whether `bytes` more belong into another commit.
    pub(super) const fn is_full(&self, bytes: usize) -> bool {
        self.bytes + bytes > CLOSE_BYTES && !self.channels.is_empty()
    }

    pub(super) fn add(&mut self, mut request: Request, bytes: usize) {
        self.bytes += bytes;
        let next = self.channels.len();
        let at = *self.index.entry(request.channel.clone()).or_insert(next);
        if at == next {
            let key = convert::key(&request.channel);
            let expected = convert::sequence(request.expected);
            self.channels.push(ChannelCommit::new(key, expected));
        }
        let addressee = request.outcomes.iter().find_map(|it| it.addressee.as_ref());
        let addressee = addressee.map(|it| it.0.clone());
        let addressee = addressee.or_else(|| request.deliveries.iter().find_map(told));
        if let Some(commit) = self.channels.get_mut(at) {
            commit.unsent |= !request.deliveries.is_empty();
            commit.entries.append(&mut request.entries);
            commit.outcomes.append(&mut request.outcomes);
            if request.timer != TimerChange::Keep {
                commit.timer = request.timer;
            }
        }
        self.parts.push(Part {
            writes: true,
            addressee,
            ..Part::new(request, bytes)
        });
    }
}

/// The group of who is answered by this. Until the answer is taken in, its operation is not done: a word of that could
/// overtake it.
fn told(delivery: &Delivery) -> Option<SmolStr> {
    match delivery {
        Delivery::Answer { origin, .. } | Delivery::NotJoined { origin } => {
            Some(origin.group.0.clone())
        }
        _ => None,
    }
}

/// Moves what is added to next to the end, where it is found.
pub(super) trait ToEnd {
    fn push_to_end(&mut self, at: usize);
}

impl ToEnd for Vec<Building> {
    fn push_to_end(&mut self, at: usize) {
        let last = self.len().saturating_sub(1);
        self.swap(at, last);
    }
}
