//! Small memories of the way in: bounded, and wrong only in the direction that costs nobody anything.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coven_cluster::Channel;
use coven_core::ChannelName;
use hashbrown::{HashSet, HashTable};

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

/// What was seen lately, by its hash. Bound: two generations of [`GENERATION`]; the older one is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    hasher: foldhash::quality::RandomState,
    generations: Mutex<[Set<u64>; 2]>,
}

/// Entries of one generation.
const GENERATION: usize = 64 * 1024;

/// The channels whose roster is here. Bounded by what nodes hold in memory.
///
/// Gives out what is known of a channel by its name: the shard is a SHA-256, which would be computed for each stanza.
#[derive(Debug, Default)]
pub(crate) struct Rosters {
    hasher: foldhash::fast::RandomState,
    channels: Mutex<HashTable<Channel>>,
}

impl Recent {
    /// Remembers `what`.
    pub(crate) fn insert(&self, what: &impl Hash) {
        let hash = self.hasher.hash_one(what);
        let mut generations = self.generations();
        let [young, old] = &mut *generations;
        if young.len() >= GENERATION {
            *old = std::mem::take(young);
        }
        young.insert(hash);
    }

    /// Whether `what` is remembered.
    pub(crate) fn contains(&self, what: &impl Hash) -> bool {
        let hash = self.hasher.hash_one(what);
        self.generations().iter().any(|set| set.contains(&hash))
    }

    /// Forgets `what`.
    pub(crate) fn remove(&self, what: &impl Hash) {
        let hash = self.hasher.hash_one(what);
        for set in &mut *self.generations() {
            set.remove(&hash);
        }
    }

    fn generations(&self) -> MutexGuard<'_, [Set<u64>; 2]> {
        let locked = self.generations.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rosters {
    pub(crate) fn insert(&self, channel: &Channel) {
        let hash = |channel: &Channel| self.hasher.hash_one(channel.name());
        let mut channels = self.channels();
        let entry = channels.entry(hash(channel), |other| other == channel, hash);
        entry.or_insert_with(|| channel.clone());
    }

    pub(crate) fn remove(&self, channel: &Channel) {
        let hash = self.hasher.hash_one(channel.name());
        if let Ok(entry) = self.channels().find_entry(hash, |other| other == channel) {
            entry.remove();
        }
    }

    pub(crate) fn contains(&self, channel: &ChannelName) -> bool {
        self.get(channel).is_some()
    }

    /// The channel of this name, if its roster is here.
    pub(crate) fn get(&self, name: &ChannelName) -> Option<Channel> {
        let hash = self.hasher.hash_one(name);
        self.channels()
            .find(hash, |channel| channel.name() == name)
            .cloned()
    }

    fn channels(&self) -> MutexGuard<'_, HashTable<Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_remembered_until_it_is_removed() {
        let recent = Recent::default();
        recent.insert(&("a", 1));
        assert!(recent.contains(&("a", 1)) && !recent.contains(&("a", 2)));
        recent.remove(&("a", 1));
        assert!(!recent.contains(&("a", 1)));
    }

    #[test]
    fn a_channel_is_known_by_its_name_while_its_roster_is_here() {
        let channel = |local: &str| {
            let name = ChannelName {
                space: "chat.example".into(),
                local: local.into(),
            };
            Channel::new(name, 1024)
        };
        let (rosters, coven) = (Rosters::default(), channel("coven"));
        rosters.insert(&coven);
        rosters.insert(&channel("coven"));
        assert_eq!(rosters.get(coven.name()), Some(coven.clone()));
        assert!(!rosters.contains(channel("heath").name()));
        rosters.remove(&channel("heath"));
        rosters.remove(&channel("coven"));
        assert!(!rosters.contains(coven.name()));
    }

    #[test]
    fn i9_what_is_remembered_is_bounded() {
        let recent = Recent::default();
        for n in 0..4 * GENERATION {
            recent.insert(&n);
        }
        let held: usize = recent.generations().iter().map(HashSet::len).sum();
        assert!(held <= 2 * GENERATION);
        assert!(recent.contains(&(4 * GENERATION - 1)) && !recent.contains(&0));
    }
}
