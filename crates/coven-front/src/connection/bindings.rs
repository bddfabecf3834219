//! Which connection is bound to which address of a server (`server_nodes.rs`). Pure: what names resolve to, what others have,
//! and the time come in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use coven_cluster::ProcessId;
use coven_cluster::rendezvous::{Candidate, Thing, score};
use smol_str::SmolStr;
use tokio::time::Instant;

/// How long a connection waits for an address of its own before it shares one.
const ALONE: Duration = Duration::from_secs(5);
/// More addresses than this are not looked at.
const MOST_ADDRESSES: usize = 256;

/// Where a connection is to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) address: IpAddr,
    /// There are as many connections as there may be already: it is left for a free one.
    pub(crate) is_shared: bool,
}

/// Who is bound to which address.
#[derive(Debug)]
pub(crate) struct Bindings {
    /// Connections that one address may have.
    each: usize,
    addresses: BTreeSet<IpAddr>,
    bound: BTreeMap<SmolStr, Bound>,
    /// Of other front-ends, by their leases.
    others: BTreeMap<SmolStr, IpAddr>,
    /// Since when connections have found no address that is free.
    waits: BTreeMap<SmolStr, Instant>,
}

impl Bindings {
    pub(crate) const fn new(each: usize) -> Self {
        Self {
            each,
            addresses: BTreeSet::new(),
            bound: BTreeMap::new(),
            others: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    /// What the name resolves to now.
    pub(crate) fn resolved(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.addresses = addresses.into_iter().take(MOST_ADDRESSES).collect();
    }

    /// What other front-ends' connections are bound to.
    pub(crate) fn others(&mut self, others: BTreeMap<SmolStr, IpAddr>) {
        self.others = others;
    }

    /// Binds a connection for its next stream; none while there is no address for it.
    pub(crate) fn bind(&mut self, connection: &SmolStr, now: Instant) -> Option<Bound> {
        let kept = self
            .bound
            .get(connection)
            .filter(|b| self.is_its_own(connection, b));
        let own = kept
            .map(|bound| bound.address)
            .or_else(|| self.free(connection));
        let bound = match own {
            Some(address) => {
                self.waits.remove(connection);
                Bound {
                    address,
                    is_shared: false,
                }
            }
            None => self.share(connection, now)?,
        };
        self.bound.insert(connection.clone(), bound);
        Some(bound)
    }

    /// A connection is not held any more.
    pub(crate) fn release(&mut self, connection: &SmolStr) {
        self.bound.remove(connection);
        self.waits.remove(connection);
    }

    /// What a connection is bound to.
    pub(crate) fn of(&self, connection: &SmolStr) -> Option<Bound> {
        self.bound.get(connection).copied()
    }

    /// Whether a connection that has a stream is to leave its address for another.
    pub(crate) fn moves(&self, connection: &SmolStr) -> bool {
        let bound = self.bound.get(connection);
        let stays = bound
            .is_none_or(|b| !self.addresses.contains(&b.address) || self.is_its_own(connection, b));
        !stays && self.free(connection).is_some()
    }

    /// Earlier connections come first; a later one gives way.
    fn is_its_own(&self, connection: &SmolStr, bound: &Bound) -> bool {
        let others = self
            .others
            .iter()
            .filter(|(name, at)| *name < connection && **at == bound.address);
        !bound.is_shared
            && self.addresses.contains(&bound.address)
            && self.mine(connection, bound.address) + others.count() < self.each
    }

    /// The address that has room, first choice first.
    fn free(&self, connection: &SmolStr) -> Option<IpAddr> {
        let has_room = |at: &&IpAddr| self.taken(connection, **at) < self.each;
        self.addresses
            .iter()
            .filter(has_room)
            .max_by_key(|at| rank(connection, **at))
            .copied()
    }

    fn share(&mut self, connection: &SmolStr, now: Instant) -> Option<Bound> {
        let since = *self.waits.entry(connection.clone()).or_insert(now);
        if now.saturating_duration_since(since) < ALONE {
            return None;
        }
        let load = |at: &&IpAddr| {
            (
                self.taken(connection, **at),
                std::cmp::Reverse(rank(connection, **at)),
            )
        };
        let address = *self.addresses.iter().min_by_key(load)?;
        Some(Bound {
            address,
            is_shared: true,
        })
    }

    /// Connections but this one that have an address.
    fn taken(&self, connection: &SmolStr, address: IpAddr) -> usize {
        let others = self.others.values().filter(|at| **at == address);
        self.mine(connection, address) + others.count()
    }

    fn mine(&self, connection: &SmolStr, address: IpAddr) -> usize {
        let mine = self.bound.iter().filter(|(name, _)| *name != connection);
        mine.filter(|(_, bound)| bound.address == address && !bound.is_shared)
            .count()
    }
}

/// The same at all front-ends, so that they mostly choose differently for different connections.
fn rank(connection: &str, address: IpAddr) -> u64 {
    let candidate = Candidate {
        process: ProcessId(match address {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => v6.to_bits(),
        }),
        weight: 1,
    };
    score(Thing::name(connection), candidate).map_or(0, |(score, _)| score)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = std::time::Instant::now();
        Instant::from_std(now)
    }

    fn names() -> [SmolStr; 3] {
        ["a/h:1/d", "a/h:1#1/d", "a/h:1#2/d"].map(SmolStr::new)
    }

    fn addresses(bindings: &mut Bindings, now: Instant) -> Vec<Option<IpAddr>> {
        let names = names();
        names
            .iter()
            .map(|name| bindings.bind(name, now).map(|b| b.address))
            .collect()
    }

    fn of_three() -> (Bindings, Instant) {
        let (mut bindings, now) = (Bindings::new(1), now());
        bindings.resolved([1, 2, 3].map(at));
        (bindings, now)
    }

    #[test]
    fn each_node_of_a_server_has_one_connection_and_keeps_it() {
        let (mut bindings, now) = of_three();
        let first = addresses(&mut bindings, now);
        let all: BTreeSet<_> = first.iter().flatten().copied().collect();
        assert_eq!(all, [1, 2, 3].map(at).into());
        assert_eq!(addresses(&mut bindings, now), first);
        bindings.resolved([1, 2, 3, 4].map(at));
        assert_eq!(
            addresses(&mut bindings, now),
            first,
            "another node moves nobody"
        );
    }

    #[test]
    fn only_the_connection_whose_node_goes_is_bound_anew() {
        let (mut bindings, now) = of_three();
        let [first, second, third] = names();
        let before = addresses(&mut bindings, now);
        let gone = bindings.of(&second).unwrap().address;
        let left: Vec<_> = [1, 2, 3]
            .map(at)
            .into_iter()
            .filter(|it| *it != gone)
            .collect();
        bindings.resolved(left.clone());
        assert!(!bindings.moves(&second), "a stream that is there goes on");
        assert_eq!(
            bindings.bind(&second, now),
            None,
            "it waits for an address of its own"
        );
        let shared = bindings.bind(&second, now + ALONE).unwrap();
        assert!(shared.is_shared && left.contains(&shared.address));
        for other in [&first, &third] {
            assert!(!bindings.moves(other));
        }
        bindings.resolved(left.iter().copied().chain([at(9)]));
        assert!(bindings.moves(&second) && !bindings.moves(&first) && !bindings.moves(&third));
        let bound = bindings.bind(&second, now + ALONE).unwrap();
        assert_eq!((bound.address, bound.is_shared), (at(9), false));
        let after = addresses(&mut bindings, now + ALONE);
        assert_eq!(
            (after.first(), after.last()),
            (before.first(), before.last())
        );
    }

    #[test]
    fn of_two_front_ends_with_one_address_the_later_connection_gives_way() {
        let (mut one, now) = of_three();
        let (mut two, _) = of_three();
        // By name, not by slot.
        let [second, first, _] = names();
        let taken = one.bind(&first, now).unwrap().address;
        // What the other has seen is old: it chooses the same.
        two.bound.insert(
            second.clone(),
            Bound {
                address: taken,
                is_shared: false,
            },
        );
        one.others([(second.clone(), taken)].into());
        two.others([(first.clone(), taken)].into());
        assert!(!one.moves(&first) && two.moves(&second));
        assert_eq!(one.bind(&first, now).unwrap().address, taken);
        assert_ne!(two.bind(&second, now).unwrap().address, taken);
    }

    #[test]
    fn balanced_has_several_connections_for_each_node() {
        let (mut bindings, now) = (Bindings::new(2), now());
        bindings.resolved([1, 2].map(at));
        let all = addresses(&mut bindings, now);
        let on_first = all.iter().filter(|it| **it == Some(at(1))).count();
        assert!(
            (1..=2).contains(&on_first) && all.iter().all(Option::is_some),
            "{all:?}"
        );
    }
}
