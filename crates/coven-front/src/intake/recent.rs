//! Small memories of the way in: bounded, and wrong only in the direction that costs nobody anything.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coven_core::ChannelName;
use hashbrown::HashSet;

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
#[derive(Debug, Default)]
pub(crate) struct Rosters(Mutex<Set<ChannelName>>);

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
    pub(crate) fn insert(&self, channel: &ChannelName) {
        self.set().insert(channel.clone());
    }

    pub(crate) fn remove(&self, channel: &ChannelName) {
        self.set().remove(channel);
    }

    pub(crate) fn contains(&self, channel: &ChannelName) -> bool {
        self.set().contains(channel)
    }

    fn set(&self) -> MutexGuard<'_, Set<ChannelName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
