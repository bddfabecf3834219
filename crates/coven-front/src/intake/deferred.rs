//! Changes of presence above the rate: put off until the rate allows them, the last of each session and channel wins
//! (MUC-ERR-08). An error would make clients believe that they are no longer in the room.
//!
//! Bound: [`CHANGES`]; what is more is refused, but for leaving, in whose favour another change is forgotten. Pure.

use coven_core::{ChannelName, FullJid};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Changes that wait.
const CHANGES: usize = 10_000;

/// Of which session, in which channel.
pub(crate) type Place = (FullJid, ChannelName);

/// The last change of each session and channel. `C`: the change.
#[derive(Debug)]
pub(crate) struct Deferred<C> {
    changes: HashMap<Place, C, foldhash::fast::RandomState>,
}

impl<C> Default for Deferred<C> {
    fn default() -> Self {
        Self {
            changes: HashMap::default(),
        }
    }
}

impl<C> Deferred<C> {
    /// Puts off a change; one that waits already is forgotten.
    ///
    /// Errors: gives it back when too many wait.
    pub(crate) fn put(&mut self, place: Place, change: C) -> Result<(), C> {
        let is_full = self.changes.len() >= CHANGES;
        match self.changes.entry(place) {
            Entry::Occupied(mut waiting) => *waiting.get_mut() = change,
            Entry::Vacant(_) if is_full => return Err(change),
            Entry::Vacant(free) => {
                free.insert(change);
            }
        }
        Ok(())
    }

    /// Puts off a change that must not be lost: if too many wait, one that `yields` is forgotten for it. Tells whether it
    /// found a place.
    pub(crate) fn insist(&mut self, place: Place, change: C, yields: impl Fn(&C) -> bool) -> bool {
        let Err(change) = self.put(place.clone(), change) else {
            return true;
        };
        let lesser = self.changes.iter().find(|(_, waiting)| yields(waiting));
        let Some(lesser) = lesser.map(|(place, _)| place.clone()) else {
            return false;
        };
        self.changes.remove(&lesser);
        self.put(place, change).is_ok()
    }

    /// Puts off what is older than anything that waits, if there is room.
    pub(crate) fn offer(&mut self, place: Place, change: C) {
        if self.changes.len() < CHANGES {
            self.put_back(place, change);
        }
    }

    /// Puts off a change that was taken out, unless a newer one waits.
    pub(crate) fn put_back(&mut self, place: Place, change: C) {
        self.changes.entry(place).or_insert(change);
    }

    /// Something newer has come: what waits is forgotten.
    pub(crate) fn forget(&mut self, place: &Place) {
        if !self.changes.is_empty() {
            self.changes.remove(place);
        }
    }

    /// Takes out the changes that may be made now.
    pub(crate) fn due(&mut self, mut may: impl FnMut(&C) -> bool) -> Vec<C> {
        let due = self.changes.extract_if(|_, change| may(change));
        due.map(|(_, change)| change).collect()
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn place(n: usize) -> Place {
        let channel = ChannelName {
            space: "chat.example".into(),
            local: "coven".into(),
        };
        let jid = FullJid::from_normalised(&format!("hag66@shakespeare.example/{n}"));
        (jid.unwrap(), channel)
    }

    #[test]
    fn muc_err_08_the_last_presence_wins() {
        let mut deferred = Deferred::default();
        for change in ["away", "xa", "chat"] {
            deferred.put(place(0), change).unwrap();
        }
        assert!(deferred.due(|_| false).is_empty());
        assert_eq!(deferred.due(|_| true), ["chat"]);
        assert!(deferred.is_empty());
    }

    #[test]
    fn muc_err_08_leaving_forgets_what_waits() {
        let mut deferred = Deferred::default();
        deferred.put(place(0), "away").unwrap();
        deferred.forget(&place(0));
        assert!(deferred.due(|_| true).is_empty());
    }

    #[test]
    fn muc_leave_12_a_bounce_waits_only_where_nothing_newer_does() {
        let mut deferred = Deferred::default();
        deferred.put(place(0), "away").unwrap();
        deferred.offer(place(0), "bounce");
        deferred.offer(place(1), "bounce");
        deferred.forget(&place(1));
        deferred.offer(place(2), "bounce");
        let mut due = deferred.due(|_| true);
        due.sort_unstable();
        assert_eq!(
            due,
            ["away", "bounce"],
            "who has joined again is not removed"
        );
    }

    #[test]
    fn i9_the_number_of_waiting_changes_is_bounded() {
        let mut deferred = Deferred::default();
        for n in 0..CHANGES {
            deferred.put(place(n), n).unwrap();
        }
        assert_eq!(deferred.put(place(CHANGES), 0), Err(0));
        assert_eq!(deferred.put(place(0), 0), Ok(()));
        deferred.offer(place(CHANGES), 0);
        assert!(deferred.insist(place(CHANGES), 1, |change| *change == 7));
        assert!(!deferred.insist(place(CHANGES + 1), 1, |change| *change == 7));
        assert_eq!(deferred.due(|_| true).len(), CHANGES);
    }
}
