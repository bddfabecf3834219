//! A map by numbers that are given out in ascending order and never again: people and sessions.
//!
//! A sorted vector, so that going over it is as fast as memory allows and a small room costs little. Entries that are
//! taken out leave a gap; when half of it is gaps it is closed up. Looking up is one look as long as nothing was closed up,
//! else a binary search; adding the next number and taking one out cost the same on average.

use crate::ids::{PersonNo, SessionNo};

/// A number that is given out in ascending order.
pub(super) trait Number: Copy + Ord {
    /// How far it is behind an earlier one.
    fn behind(self, first: Self) -> usize;
}

impl Number for PersonNo {
    fn behind(self, first: Self) -> usize {
        self.0.saturating_sub(first.0) as usize
    }
}

impl Number for SessionNo {
    fn behind(self, first: Self) -> usize {
        self.0.saturating_sub(first.0) as usize
    }
}

/// Values by number, in ascending order.
#[derive(Debug, Clone)]
pub(super) struct Numbered<N, V> {
    entries: Vec<(N, Option<V>)>,
    len: usize,
}

impl<N, V> Default for Numbered<N, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            len: 0,
        }
    }
}

impl<N: Number, V> Numbered<N, V> {
    /// Puts a value in place of what was there.
    pub(super) fn insert(&mut self, no: N, value: V) {
        match self.place(no) {
            Ok(at) => {
                if let Some((_, slot)) = self.entries.get_mut(at) {
                    self.len += usize::from(slot.is_none());
                    *slot = Some(value);
                }
            }
            Err(at) => {
                self.entries.insert(at, (no, Some(value)));
                self.len += 1;
            }
        }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, no: N) -> Option<V> {
        let at = self.place(no).ok()?;
        let value = self.entries.get_mut(at)?.1.take()?;
        self.len -= 1;
        if self.len * 2 <= self.entries.len() {
            self.entries.retain(|(_, value)| value.is_some());
            self.entries.shrink_to(self.len * 2);
        }
        Some(value)
    }

    /// The value of a number.
    pub(super) fn get(&self, no: N) -> Option<&V> {
        let at = self.place(no).ok()?;
        self.entries.get(at)?.1.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, no: N) -> Option<&mut V> {
        let at = self.place(no).ok()?;
        self.entries.get_mut(at)?.1.as_mut()
    }

    /// The values in the order of their numbers.
    pub(super) fn values(&self) -> Values<'_, N, V> {
        Values {
            entries: self.entries.iter(),
            left: self.len,
        }
    }

    /// An entry stands no farther behind the first one than its number does.
    fn place(&self, no: N) -> Result<usize, usize> {
        let (Some((first, _)), Some((last, _))) = (self.entries.first(), self.entries.last())
        else {
            return Err(0);
        };
        if *last < no {
            return Err(self.entries.len());
        }
        let most = no.behind(*first);
        match self.entries.get(most) {
            Some((at, _)) if *at == no => Ok(most),
            _ => self.entries.binary_search_by_key(&no, |(no, _)| *no),
        }
    }
}

/// See [`Numbered::values`].
pub(super) struct Values<'a, N, V> {
    entries: std::slice::Iter<'a, (N, Option<V>)>,
    left: usize,
}

impl<'a, N, V> Iterator for Values<'a, N, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        let value = self.entries.find_map(|(_, value)| value.as_ref())?;
        self.left -= 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<N, V> ExactSizeIterator for Values<'_, N, V> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Number for u32 {
        fn behind(self, first: Self) -> usize {
            self.saturating_sub(first) as usize
        }
    }

    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_sorted_map(steps in prop::collection::vec((any::<bool>(), 0..30u32), 0..200)) {
            let (mut map, mut model) = (Numbered::default(), BTreeMap::new());
            for (i, (put, no)) in steps.into_iter().enumerate() {
                if put {
                    map.insert(no, i);
                    model.insert(no, i);
                } else {
                    prop_assert_eq!(map.remove(no), model.remove(&no));
                }
                prop_assert_eq!(map.values().len(), model.len());
                prop_assert!(map.values().eq(model.values()));
                prop_assert_eq!(map.get(no), model.get(&no));
                prop_assert!(map.entries.len() <= 2 * model.len() + 1);
            }
        }
    }
}
