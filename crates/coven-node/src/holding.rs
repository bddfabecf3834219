//! Which front-end holds which connection, as far as this node has been told (design §5.9). Pure: what was said comes in,
//! who is to get a space's output comes out.
//!
//! The highest lease wins, for each connection apart, and a lease below the highest ever heard of counts for nothing. Of two
//! that say the same one the newer link wins: it is the same process, come back.

use coven_cluster::{Held, LeaseNumber};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// The number of a link; a newer one's is higher.
pub(crate) type SeatNo = u64;

/// What all front-ends have said.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    said: BTreeMap<SeatNo, Vec<Held>>,
    /// The highest lease of each connection that was ever heard of.
    highest: BTreeMap<SmolStr, LeaseNumber>,
    /// What each member of a space has held since when.
    members: BTreeMap<SmolStr, BTreeMap<SeatNo, Member>>,
    /// The one holder of each connection.
    holders: BTreeMap<SmolStr, SeatNo>,
    /// Space and name of each connection that was heard of.
    connections: BTreeSet<(SmolStr, SmolStr)>,
    changes: u64,
}

/// A front-end that holds connections of a space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// Changes when it begins to hold one that it did not hold: it needs the rosters anew.
    pub(crate) since: u64,
    held: BTreeSet<(SmolStr, LeaseNumber)>,
}

impl Holding {
    /// A front-end says what it holds from now on. Tells whether anything has changed.
    pub(crate) fn says(&mut self, seat: SeatNo, held: Vec<Held>) -> bool {
        for it in &held {
            let highest = self.highest.entry(it.connection.clone()).or_default();
            *highest = it.lease.max(*highest);
        }
        self.said.insert(seat, held);
        self.renew()
    }

    /// A link has ended. Tells whether anything has changed.
    pub(crate) fn gone(&mut self, seat: SeatNo) -> bool {
        self.said.remove(&seat);
        self.renew()
    }

    /// Who holds connections of each space.
    pub(crate) const fn members(&self) -> &BTreeMap<SmolStr, BTreeMap<SeatNo, Member>> {
        &self.members
    }

    /// The connections of each space that were heard of.
    pub(crate) const fn connections(&self) -> &BTreeSet<(SmolStr, SmolStr)> {
        &self.connections
    }

    /// Who holds a connection.
    pub(crate) fn holder(&self, connection: &SmolStr) -> Option<SeatNo> {
        self.holders.get(connection).copied()
    }

    /// Whether a lease is the newest of its connection that was heard of.
    pub(crate) fn is_newest(&self, connection: &SmolStr, lease: LeaseNumber) -> bool {
        self.highest
            .get(connection)
            .is_none_or(|highest| lease >= *highest)
    }

    fn renew(&mut self) -> bool {
        let mut members: BTreeMap<SmolStr, BTreeMap<SeatNo, Member>> = BTreeMap::new();
        let mut holders = BTreeMap::new();
        for (seat, held) in self.newest() {
            holders.insert(held.connection.clone(), seat);
            let of_space = members.entry(held.space.clone()).or_default();
            let member = of_space.entry(seat).or_default();
            member.held.insert((held.connection.clone(), held.lease));
        }
        for (space, of_space) in &mut members {
            for (seat, member) in of_space {
                let before = self.members.get(space).and_then(|m| m.get(seat));
                match before {
                    Some(before) if member.held.is_subset(&before.held) => {
                        member.since = before.since;
                    }
                    _ => {
                        self.changes += 1;
                        member.since = self.changes;
                    }
                }
            }
        }
        let all = self.said.values().flatten();
        let names = all.map(|held| (held.space.clone(), held.connection.clone()));
        self.connections = names.collect();
        self.holders = holders;
        let changed = members != self.members;
        self.members = members;
        changed
    }

    /// Of each connection the one holder.
    fn newest(&self) -> Vec<(SeatNo, &Held)> {
        let mut newest: BTreeMap<&SmolStr, (SeatNo, &Held)> = BTreeMap::new();
        for (seat, held) in self
            .said
            .iter()
            .flat_map(|(seat, held)| held.iter().map(|it| (*seat, it)))
        {
            if self.is_newest(&held.connection, held.lease) {
                newest.insert(&held.connection, (seat, held));
            }
        }
        newest.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn held(connection: &str, lease: u64) -> Held {
        Held {
            connection: connection.into(),
            lease: LeaseNumber(lease),
            space: "s".into(),
        }
    }

    fn seats(holding: &Holding) -> Vec<(SeatNo, u64)> {
        let of_space = holding.members().get("s");
        of_space
            .into_iter()
            .flatten()
            .map(|(seat, member)| (*seat, member.since))
            .collect()
    }

    #[test]
    fn the_highest_lease_holds_a_connection_and_a_lower_one_never_again() {
        let mut holding = Holding::default();
        holding.says(1, vec![held("c1", 5)]);
        holding.says(2, vec![held("c1", 6)]);
        assert_eq!(seats(&holding).first().unwrap().0, 2);
        assert!(!holding.is_newest(&"c1".into(), LeaseNumber(5)));
        holding.gone(2);
        assert!(seats(&holding).is_empty(), "an old lease came back");
    }

    #[test]
    fn who_begins_to_hold_another_connection_needs_rosters_and_who_holds_one_less_does_not() {
        let mut holding = Holding::default();
        holding.says(1, vec![held("c1", 5)]);
        let first = seats(&holding);
        holding.says(1, vec![held("c1", 5), held("c2", 1)]);
        let second = seats(&holding);
        assert_ne!(first, second);
        holding.says(1, vec![held("c2", 1)]);
        assert_eq!(seats(&holding), second);
        holding.says(1, vec![held("c2", 2)]);
        assert_ne!(seats(&holding), second, "a lease renewed is a new one");
    }

    #[test]
    fn of_two_links_with_one_lease_the_newer_counts() {
        let mut holding = Holding::default();
        holding.says(1, vec![held("c1", 5)]);
        holding.says(2, vec![held("c1", 5)]);
        assert_eq!(seats(&holding).first().unwrap().0, 2);
    }
}
