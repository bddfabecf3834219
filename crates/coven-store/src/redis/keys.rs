//! Where things lie in Redis.
//!
//! Keys carry the number of the shard as their hash tag, never user text: hostile names cannot steer placement (design
//! §5.3). Names of channels are fields and members, or stand behind the tag.

use redis::ToRedisArgs;
use smol_str::SmolStr;

use crate::{ChannelKey, Entry, Place, Sequence, ShardId};

/// The keys of one shard.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    base: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, shard: ShardId) -> Self {
        Self {
            base: format!("{prefix}{{s{:04}}}:", shard.0),
        }
    }

    /// Hash: `epoch`, `owner` (session in hex, empty for none), `commit`.
    pub(super) fn owner(&self) -> String {
        self.of("owner")
    }

    /// Hash: channel -> its record (`record`).
    pub(super) fn channels(&self) -> String {
        self.of("channels")
    }

    /// Hash: channel -> its snapshot, behind its sequence and a colon.
    pub(super) fn snapshots(&self) -> String {
        self.of("snapshots")
    }

    /// Hash: channel -> number of the commit that made its newest unacknowledged output.
    pub(super) fn unsent(&self) -> String {
        self.of("unsent")
    }

    /// Sorted set: channel by deadline in ms.
    pub(super) fn timers(&self) -> String {
        self.of("timers")
    }

    /// Sorted set, by name: channels that exist.
    pub(super) fn alive(&self) -> String {
        self.of("alive")
    }

    /// Hash: channel -> its listing in the directory.
    pub(super) fn listings(&self) -> String {
        self.of("listings")
    }

    /// Sorted set, by name: channels with a listing; those that are shown to everybody, or all of them.
    pub(super) fn directory(&self, unlisted: bool) -> String {
        self.of(if unlisted { "all" } else { "listed" })
    }

    /// Stream by place: what the archive keeps.
    pub(super) fn archive(&self, key: &ChannelKey) -> String {
        self.of_channel("a", key)
    }

    /// Stream by place: events that the archive does not keep.
    pub(super) fn journal(&self, key: &ChannelKey) -> String {
        self.of_channel("j", key)
    }

    /// Hash: sequence -> what has become of an archived message.
    pub(super) fn rewrites(&self, key: &ChannelKey) -> String {
        self.of_channel("r", key)
    }

    fn of(&self, what: &str) -> String {
        format!("{}{what}", self.base)
    }

    fn of_channel(&self, what: &str, key: &ChannelKey) -> String {
        format!("{}{what}:{}\0{}", self.base, key.space, key.local)
    }
}

/// The name of a channel as a field or member: the space, NUL, the localpart.
pub(super) fn name(key: &ChannelKey) -> String {
    format!("{}\0{}", key.space, key.local)
}

/// The channel that a field or member names; `None` for what nobody of us has written.
pub(super) fn channel(name: &[u8]) -> Option<ChannelKey> {
    let (space, local) = std::str::from_utf8(name).ok()?.split_once('\0')?;
    Some(ChannelKey::new(SmolStr::new(space), SmolStr::new(local)))
}

/// The id of a stream's entry: a place, as Redis writes it.
pub(super) fn id(place: Place) -> String {
    format!("{}-{}", place.stamp, place.sequence)
}

/// The place right after `place`: nothing lies between them.
pub(super) const fn next(place: Place) -> Place {
    Place {
        stamp: place.stamp,
        sequence: Sequence(place.sequence.0.saturating_add(1)),
    }
}

/// One command of a script's argument list: so many words, then the words. The first key is given as its number.
#[derive(Debug, Default)]
pub(super) struct Commands {
    keys: Vec<String>,
    words: Vec<Vec<u8>>,
}

impl Commands {
    /// Adds `command key words...`.
    pub(super) fn push(&mut self, command: &str, key: String, words: &[&[u8]]) {
        let number = self.number(key);
        self.words.push((words.len() + 2).to_string().into_bytes());
        self.words.push(command.as_bytes().to_vec());
        self.words.push(number.to_string().into_bytes());
        self.words.extend(words.iter().map(|word| word.to_vec()));
    }

    /// Adds an entry to a stream.
    pub(super) fn append(&mut self, key: String, entry: &Entry, body: &[u8]) {
        self.push("XADD", key, &[id(entry.place()).as_bytes(), b"e", body]);
    }

    /// The keys that are named, in the order of their numbers (from 2: the first is the owner's).
    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(super) fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    fn number(&mut self, key: String) -> usize {
        let at = self.keys.iter().rposition(|known| *known == key);
        let at = at.unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        at + 2
    }
}

/// A number as Redis takes it.
pub(super) fn number(value: u64) -> Vec<u8> {
    value.to_redis_args().concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::Timestamp;

    #[test]
    fn a_name_that_looks_like_a_tag_changes_nothing() {
        let keys = Keys::new("coven", ShardId(42));
        let key = ChannelKey::new("chat.example", "{s0001}:owner");
        assert_eq!(
            keys.archive(&key),
            "coven{s0042}:a:chat.example\0{s0001}:owner"
        );
        assert_eq!(channel(name(&key).as_bytes()), Some(key));
    }

    #[test]
    fn places_are_ids() {
        let there = Place {
            stamp: Timestamp(1_700_000_000_123),
            sequence: Sequence(7),
        };
        assert_eq!(id(there), "1700000000123-7");
    }
}
