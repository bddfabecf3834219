//! In how many rooms people are, as far as this front-end has seen them join (MUC-ERR-09): all sessions of a bare JID
//! together, those who take part by MIX alone not counted.
//!
//! What it has not seen, since it happened before the front-end began, is not counted; wrong only in the direction that
//! costs nobody anything. Bound: [`TABLE`] people per table, each in as many rooms as it may be; a full table begins anew.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use coven_core::ChannelName;
use hashbrown::HashMap;

const TABLES: usize = 16;
/// People per table.
const TABLE: usize = 8192;

/// Of each person, by the hash of its bare JID, the rooms, by the hash of their names.
type Table = HashMap<u64, Vec<u64>, foldhash::fast::RandomState>;

/// Who is in which rooms.
#[derive(Debug)]
pub(crate) struct Visits {
    most: usize,
    tables: [Mutex<Table>; TABLES],
    hasher: foldhash::quality::RandomState,
}

impl Visits {
    /// Counts up to so many rooms of each person.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: most as usize,
            tables: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    /// Whether somebody may join a room: it is in it already, or in fewer than it may be.
    pub(crate) fn may_join(&self, bare: &str, room: &ChannelName) -> bool {
        let (person, room) = self.hashes(bare, room);
        let table = self.table(person);
        let rooms = table.get(&person);
        rooms.is_none_or(|rooms| rooms.len() < self.most || rooms.contains(&room))
    }

    /// Somebody has joined.
    pub(crate) fn joined(&self, bare: &str, room: &ChannelName) {
        let (person, room) = self.hashes(bare, room);
        let mut table = self.table(person);
        if table.len() >= TABLE && !table.contains_key(&person) {
            table.clear();
        }
        let rooms = table.entry(person).or_default();
        if rooms.len() < self.most && !rooms.contains(&room) {
            rooms.push(room);
        }
    }

    /// Somebody's last session in a room has ended.
    pub(crate) fn left(&self, bare: &str, room: &ChannelName) {
        let (person, room) = self.hashes(bare, room);
        let mut table = self.table(person);
        let Some(rooms) = table.get_mut(&person) else {
            return;
        };
        rooms.retain(|other| *other != room);
        if rooms.is_empty() {
            table.remove(&person);
        }
    }

    fn hashes(&self, bare: &str, room: &ChannelName) -> (u64, u64) {
        (self.hasher.hash_one(bare), self.hasher.hash_one(room))
    }

    fn table(&self, person: u64) -> MutexGuard<'_, Table> {
        let [first, ..] = person.to_le_bytes();
        let table = self.tables.get(usize::from(first) % TABLES);
        let table = table.unwrap_or(&self.tables[0]);
        table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(local: &str) -> ChannelName {
        ChannelName {
            space: "chat.example".into(),
            local: local.into(),
        }
    }

    #[test]
    fn muc_err_09_as_many_rooms_as_allowed_and_those_one_is_in() {
        let visits = Visits::new(2);
        let (hag, other) = ("hag66@shakespeare.example", "crone1@shakespeare.example");
        for name in ["one", "two", "two"] {
            assert!(visits.may_join(hag, &room(name)));
            visits.joined(hag, &room(name));
        }
        assert!(!visits.may_join(hag, &room("three")));
        assert!(visits.may_join(hag, &room("two")) && visits.may_join(other, &room("three")));
        visits.left(hag, &room("four"));
        assert!(!visits.may_join(hag, &room("three")));
        visits.left(hag, &room("one"));
        assert!(visits.may_join(hag, &room("three")));
    }

    #[test]
    fn i9_people_and_their_rooms_are_bounded() {
        let visits = Visits::new(3);
        for n in 0..2 * TABLES * TABLE {
            visits.joined(&n.to_string(), &room("coven"));
        }
        (0..9).for_each(|n| visits.joined("hag", &room(&n.to_string())));
        let held = visits
            .tables
            .iter()
            .map(|t| t.lock().map_or(0, |t| t.len()));
        assert!(held.sum::<usize>() <= TABLES * TABLE);
        let (hag, _) = visits.hashes("hag", &room("coven"));
        assert_eq!(visits.table(hag).get(&hag).map(Vec::len), Some(3));
    }
}
