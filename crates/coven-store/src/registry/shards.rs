//! A set of shards, small enough to be told all the time.

use crate::ShardId;

/// A set of shards: one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShardSet(Vec<u64>);

impl ShardSet {
    /// Adds a shard.
    pub fn insert(&mut self, shard: ShardId) {
        let (word, bit) = place(shard);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// Whether a shard is in it.
    #[must_use]
    pub fn contains(&self, shard: ShardId) -> bool {
        let (word, bit) = place(shard);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The shards, in order.
    pub fn iter(&self) -> impl Iterator<Item = ShardId> + '_ {
        (0..=u16::MAX)
            .take(self.0.len() * 64)
            .map(ShardId)
            .filter(|shard| self.contains(*shard))
    }

    /// As hexadecimal digits, 16 for each 64 shards.
    pub(super) fn to_hex(&self) -> String {
        self.0.iter().map(|word| format!("{word:016x}")).collect()
    }

    /// What [`to_hex`](Self::to_hex) wrote; `None` for anything else.
    pub(super) fn from_hex(hex: &str) -> Option<Self> {
        let words = hex.as_bytes().chunks(16).map(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u64::from_str_radix(digits, 16).ok()
        });
        words.collect::<Option<Vec<_>>>().map(Self)
    }
}

impl FromIterator<ShardId> for ShardSet {
    fn from_iter<T: IntoIterator<Item = ShardId>>(shards: T) -> Self {
        let mut set = Self::default();
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}

const fn place(shard: ShardId) -> (usize, u64) {
    (shard.0 as usize / 64, 1 << (shard.0 % 64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_set_is_what_was_put_in() {
        let shards = [0, 63, 64, 1023].map(ShardId);
        let set: ShardSet = shards.into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), shards);
        assert_eq!(set.len(), 4);
        assert!(!set.contains(ShardId(1)) && !set.contains(ShardId(u16::MAX)));
        assert_eq!(ShardSet::from_hex(&set.to_hex()).unwrap(), set);
        assert!(ShardSet::from_hex("x").is_none());
    }
}
