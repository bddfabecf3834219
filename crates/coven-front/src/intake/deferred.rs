//! Changes of presence above the rate: put off until the rate allows them, the last of each session and channel wins
//! (MUC-ERR-08). An error would make clients believe that they are no longer in the room.
//!
//! Bounds: [`CHANGES`] and [`BYTES`]; what is more is refused, but for leaving, in whose favour another change is forgotten. Pure.

use coven_cluster::Operation;
use coven_core::{ChannelName, FullJid};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Changes that wait.
const CHANGES: usize = 10_000;
/// About what they weigh.
const BYTES: usize = 32 * 1024 * 1024;

/// Something that takes up memory while it waits.
pub(crate) trait Weigh {
    /// About how many bytes.
    fn weight(&self) -> usize;
}

impl Weigh for Box<Operation> {
    fn weight(&self) -> usize {
        coven_cluster::operations::weight(self)
    }
}

/// Of which session, in which channel.
pub(crate) type Place = (FullJid, ChannelName);

/// The last change of each session and channel. `C`: the change.
#[derive(Debug)]
pub(crate) struct Deferred<C> {
    changes: HashMap<Place, C, foldhash::fast::RandomState>,
    bytes: usize,
}

impl<C> Default for Deferred<C> {
    fn default() -> Self {
        Self {
            changes: HashMap::default(),
            bytes: 0,
        }
    }
}

impl<C: Weigh> Deferred<C> {
    /// Puts off a change; one that waits already is forgotten.
    ///
    /// Errors: gives it back when too many wait.
    pub(crate) fn put(&mut self, place: Place, change: C) -> Result<(), C> {
        if !self.has_room(&place, &change) {
            return Err(change);
        }
        self.bytes += change.weight();
        if let Some(before) = self.changes.insert(place, change) {
            self.bytes = self.bytes.saturating_sub(before.weight());
        }
        Ok(())
    }

    fn has_room(&self, place: &Place, change: &C) -> bool {
        let before = self.changes.get(place);
        let bytes = self.bytes + change.weight();
        let bytes = bytes.saturating_sub(before.map_or(0, Weigh::weight));
        (before.is_some() || self.changes.len() < CHANGES) && bytes <= BYTES
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
        self.forget(&lesser);
        self.put(place, change).is_ok()
    }

    /// Puts off what is older than anything that waits, if there is room.
    pub(crate) fn offer(&mut self, place: Place, change: C) {
        if self.has_room(&place, &change) {
            self.put_back(place, change);
        }
    }

    /// Puts off a change that was taken out, unless a newer one waits.
    pub(crate) fn put_back(&mut self, place: Place, change: C) {
        if let Entry::Vacant(free) = self.changes.entry(place) {
            self.bytes += change.weight();
            free.insert(change);
        }
    }

    /// Something newer has come: what waits is forgotten.
    pub(crate) fn forget(&mut self, place: &Place) {
        if let Some(change) = self.changes.remove(place) {
            self.bytes = self.bytes.saturating_sub(change.weight());
        }
    }

    /// Takes out the changes that may be made now.
    pub(crate) fn due(&mut self, mut may: impl FnMut(&C) -> bool) -> Vec<C> {
        let due = self.changes.extract_if(|_, change| may(change));
        let due: Vec<C> = due.map(|(_, change)| change).collect();
        let bytes: usize = due.iter().map(Weigh::weight).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        due
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

    impl Weigh for &str {
        fn weight(&self) -> usize {
            1
        }
    }

    /// A number beyond the most that may wait weighs so many mebibytes.
    impl Weigh for usize {
        fn weight(&self) -> usize {
            self.saturating_sub(CHANGES) * 1024 * 1024
        }
    }

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

    #[test]
    fn i9_what_waiting_changes_weigh_is_bounded() {
        let mut deferred = Deferred::default();
        let heavy = CHANGES + 20;
        deferred.put(place(0), heavy).unwrap();
        assert_eq!(deferred.put(place(1), heavy), Err(heavy));
        assert_eq!(deferred.put(place(0), heavy), Ok(()), "in its own place");
        assert!(deferred.insist(place(1), heavy, |_| true));
        assert_eq!(deferred.due(|_| true), [heavy]);
        assert_eq!(deferred.put(place(0), heavy), Ok(()));
        deferred.forget(&place(0));
        assert_eq!(deferred.bytes, 0);
    }
}
