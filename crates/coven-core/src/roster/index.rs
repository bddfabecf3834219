//! Numbers found by a text that the numbered record holds itself: bare and full JIDs, nicks.
//!
//! Holds eight bytes an entry, and no text: whoever asks says whether a number's record has the text. Of several records
//! with one text one is found.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Numbers by text.
#[derive(Debug, Clone)]
pub(super) struct Index<N> {
    entries: HashTable<(u32, N)>,
    hasher: RandomState,
}

impl<N> Default for Index<N> {
    fn default() -> Self {
        Self {
            entries: HashTable::new(),
            hasher: RandomState::default(),
        }
    }
}

impl<N: Copy + Eq> Index<N> {
    /// The number whose record has `text`: `has` tells whether a number's does.
    pub(super) fn find(&self, text: &str, has: impl Fn(N) -> bool) -> Option<N> {
        let hash = self.hash(text);
        let found = self
            .entries
            .find(spread(hash), |(of, no)| *of == hash && has(*no));
        found.map(|(_, no)| *no)
    }

    /// Puts a number in, once.
    pub(super) fn insert(&mut self, text: &str, no: N) {
        let hash = self.hash(text);
        let same = |entry: &(u32, N)| *entry == (hash, no);
        let entry = self
            .entries
            .entry(spread(hash), same, |(of, _)| spread(*of));
        entry.or_insert((hash, no));
    }

    /// Takes a number out that was put in with `text`.
    pub(super) fn remove(&mut self, text: &str, no: N) {
        let hash = self.hash(text);
        let same = |entry: &(u32, N)| *entry == (hash, no);
        if let Ok(entry) = self.entries.find_entry(spread(hash), same) {
            entry.remove();
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "half of a hash is a hash of half the size"
    )]
    fn hash(&self, text: &str) -> u32 {
        self.hasher.hash_one(text) as u32
    }
}

/// The table looks at the upper bits, too.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..40_usize), 0..200)) {
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            for (put, no) in steps {
                if put {
                    index.insert(&no.to_string(), no);
                    model.insert(no);
                } else {
                    index.remove(&no.to_string(), no);
                    model.remove(&no);
                }
                for no in 0..40 {
                    let found = index.find(&no.to_string(), |other| other == no);
                    prop_assert_eq!(found, model.get(&no).copied());
                }
                prop_assert_eq!(index.entries.len(), model.len());
            }
        }

        #[test]
        fn what_has_the_text_no_longer_is_not_found(no in any::<u32>()) {
            let mut index = Index::default();
            index.insert("hag66", no);
            prop_assert_eq!(index.find("hag66", |_| false), None);
            index.remove("hag66", no);
            prop_assert!(index.entries.is_empty());
        }
    }
}
