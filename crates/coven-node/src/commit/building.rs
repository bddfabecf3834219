//! A commit being put together: requests of one shard, channel by channel.

use super::{Part, Request};
use crate::convert;
use coven_cluster::{Channel, ShardId};
use coven_store::{ChannelCommit, TimerChange};
use hashbrown::HashMap;

/// Bytes of records after which a commit is closed.
const CLOSE_BYTES: usize = 256 * 1024;

/// A commit being put together.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) shard: ShardId,
    pub(super) channels: Vec<ChannelCommit>,
    index: HashMap<Channel, Found>,
    bytes: usize,
    pub(super) parts: Vec<Part>,
}

/// Where a channel stands in a commit.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Its changes.
    at: usize,
    /// The part by which it was changed last.
    last: usize,
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
        let at = self.changes(&request);
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
            ..Part::new(request, bytes)
        });
    }

    /// Where the changes of this request's channel are. If it says something, what was said of the channel before is not all
    /// of this commit: an acknowledgement of that is none of the commit (I3, I5).
    fn changes(&mut self, request: &Request) -> usize {
        let (next, last) = (self.channels.len(), self.parts.len());
        let entry = self.index.entry(request.channel.clone());
        let found = entry.or_insert(Found { at: next, last });
        if found.at == next {
            let key = convert::key(&request.channel);
            let expected = convert::sequence(request.expected);
            self.channels.push(ChannelCommit::new(key, expected));
        } else if !request.deliveries.is_empty() {
            let since = self.parts.iter_mut().skip(found.last);
            for part in since.filter(|part| part.channel == request.channel) {
                part.more_follows = true;
            }
            found.last = last;
        }
        found.at
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
