//! Which connection output leaves by (design §3.6): the same answer at every front-end and node.
//!
//! Everything for an address goes by one connection: of the group that reaches it, for the domain that the stanza comes
//! from; where several connections of a group have that domain, by rendezvous hash of the bare JID over all of them, held
//! or not. So streams may come and go without moving anybody else: who is responsible is a matter of configuration, and who
//! holds a connection one of leases.

use std::collections::BTreeMap;

use coven_core::Group;
use smol_str::{SmolStr, format_smolstr};

/// A connection, as far as routes are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What [`Routes::find`] calls it.
    pub index: usize,
    /// Its name ([`name`]).
    pub name: &'a str,
    /// Upstreams that reach the same users.
    pub group: &'a Group,
    /// The domain that is attached.
    pub domain: &'a SmolStr,
    /// Domains of the group's users.
    pub hosts: &'a [SmolStr],
}

/// The name of a connection: the same in all processes and after each start. Acknowledgements and leases are kept by it, and
/// recipients are spread by it, so it never changes from version to version. `slot`: of those that an upstream has for one
/// domain, from 0; the first has the name that an only one has.
#[must_use]
pub fn name(group: &Group, address: &str, slot: u16, domain: &str) -> SmolStr {
    match slot {
        0 => format_smolstr!("{}/{address}/{domain}", group.0),
        _ => format_smolstr!("{}/{address}#{slot}/{domain}", group.0),
    }
}

/// Group and domain of a connection, by its name.
#[must_use]
pub fn parts(name: &str) -> Option<(Group, SmolStr)> {
    let (group, rest) = name.split_once('/')?;
    let (_, domain) = rest.rsplit_once('/')?;
    Some((Group(group.into()), domain.into()))
}

/// The connections, by what they are for.
#[derive(Debug, Default)]
pub struct Routes {
    ways: Vec<Way>,
    /// Groups by the domains of their users.
    hosts: BTreeMap<SmolStr, Group>,
}

/// The connections of one group for one domain.
#[derive(Debug)]
struct Way {
    group: Group,
    domain: SmolStr,
    connections: Vec<Choice>,
}

#[derive(Debug)]
struct Choice {
    index: usize,
    seed: u64,
}

/// The way that was taken last: nearly always the one that is taken next.
#[derive(Debug, Clone, Copy, Default)]
pub struct LastWay(usize);

impl Routes {
    /// The routes over these connections.
    #[must_use]
    pub fn new<'a>(connections: impl IntoIterator<Item = Place<'a>>) -> Self {
        let mut routes = Self::default();
        for connection in connections {
            routes.add(connection);
        }
        routes
    }

    fn add(&mut self, place: Place<'_>) {
        let (group, domain) = (place.group, place.domain);
        for host in place.hosts {
            self.hosts
                .entry(host.clone())
                .or_insert_with(|| group.clone());
        }
        let choice = Choice {
            index: place.index,
            seed: hash(FNV_OFFSET, place.name.as_bytes()),
        };
        let way = self.ways.iter_mut().find(|way| way.leads(group, domain));
        match way {
            Some(way) => way.connections.push(choice),
            None => self.ways.push(Way {
                group: group.clone(),
                domain: domain.clone(),
                connections: vec![choice],
            }),
        }
    }

    /// The connection by which a stanza from `domain` reaches `bare`, which belongs to `group`.
    ///
    /// A group that has no such connection (it was renamed, or the address has no session) is replaced by the one whose
    /// `hosts` name the address' domain, else by any.
    pub fn find(
        &self,
        group: &Group,
        domain: &str,
        bare: &str,
        last: &mut LastWay,
    ) -> Option<usize> {
        let same = self.ways.get(last.0).filter(|way| way.leads(group, domain));
        if let Some(way) = same {
            return way.choose(bare);
        }
        last.0 = self
            .position(group, domain)
            .or_else(|| self.position(self.hosts.get(host_of(bare))?, domain))
            .or_else(|| self.ways.iter().position(|way| way.domain == domain))?;
        self.ways.get(last.0)?.choose(bare)
    }

    /// As [`Self::find`], for a group that has connections for this domain.
    pub fn find_of(
        &self,
        group: &Group,
        domain: &str,
        bare: &str,
        last: &mut LastWay,
    ) -> Option<usize> {
        last.0 = self.position(group, domain)?;
        self.ways.get(last.0)?.choose(bare)
    }

    /// Whether an address belongs to a server of this group.
    #[must_use]
    pub fn is_user_of(&self, group: &Group, bare: &str) -> bool {
        self.hosts.get(host_of(bare)) == Some(group)
    }

    fn position(&self, group: &Group, domain: &str) -> Option<usize> {
        self.ways.iter().position(|way| way.leads(group, domain))
    }
}

impl Way {
    fn leads(&self, group: &Group, domain: &str) -> bool {
        self.domain == domain && self.group == *group
    }

    /// Rendezvous hash: another connection more or less moves only those who are on it.
    fn choose(&self, bare: &str) -> Option<usize> {
        if let [only] = self.connections.as_slice() {
            return Some(only.index);
        }
        let best = |choice: &&Choice| mix(hash(choice.seed, bare.as_bytes()));
        self.connections
            .iter()
            .max_by_key(best)
            .map(|choice| choice.index)
    }
}

fn host_of(bare: &str) -> &str {
    bare.split_once('@').map_or(bare, |(_, host)| host)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a: the same in every version, since cursors are kept by connection.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    bytes.iter().fold(seed, step)
}

/// Spreads what differs only in the low bits (the finaliser of MurmurHash3).
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    struct Made {
        name: SmolStr,
        group: Group,
        domain: SmolStr,
        hosts: [SmolStr; 1],
    }

    fn made(group: &str, port: u16, slot: u16, host: &str) -> Made {
        let group = Group(group.into());
        Made {
            name: name(&group, &format!("localhost:{port}"), slot, "chat.example"),
            group,
            domain: "chat.example".into(),
            hosts: [host.into()],
        }
    }

    fn routes(all: &[Made]) -> Routes {
        let all = all.iter().enumerate();
        let all: Vec<_> = all
            .map(|(index, made)| (index, made.name.clone(), made))
            .collect();
        Routes::new(all.iter().map(|(index, name, made)| Place {
            index: *index,
            name,
            group: &made.group,
            domain: &made.domain,
            hosts: &made.hosts,
        }))
    }

    fn find(routes: &Routes, group: &str, bare: &str) -> Option<usize> {
        let group = Group(group.into());
        routes.find(&group, "chat.example", bare, &mut LastWay::default())
    }

    #[test]
    fn an_address_goes_by_its_group_else_by_its_host() {
        let all = [made("a", 1, 0, "a.example"), made("b", 2, 0, "b.example")];
        let routes = routes(&all);
        assert_eq!(find(&routes, "a", "x@b.example"), Some(0));
        assert_eq!(find(&routes, "b", "x@b.example"), Some(1));
        assert_eq!(find(&routes, "gone", "x@b.example"), Some(1));
        assert_eq!(find(&routes, "gone", "x@c.example"), Some(0));
        let (group, mut last) = (Group("a".into()), LastWay::default());
        assert_eq!(
            routes.find(&group, "other.example", "x@a.example", &mut last),
            None
        );
        assert!(
            routes.is_user_of(&group, "x@a.example") && !routes.is_user_of(&group, "x@b.example")
        );
    }

    /// Cursors are kept by connection: a recipient must not move because of a new version.
    #[test]
    fn who_goes_where_never_changes() {
        let routes = routes(&[0, 1, 2].map(|n| made("a", 5347 + n, 0, "a.example")));
        let homes: Vec<_> = (0..12)
            .map(|n| find(&routes, "a", &format!("u{n}@a.example")).unwrap())
            .collect();
        assert_eq!(homes, HOMES);
    }

    #[test]
    fn a_connection_less_moves_only_those_who_were_on_it() {
        let all = [0, 1, 2].map(|n| made("a", 5347 + n, 0, "a.example"));
        let (three, two) = (routes(&all), routes(&all[..2]));
        let mut moved = 0;
        for n in 0..300 {
            let bare = format!("u{n}@a.example");
            let (before, after) = (find(&three, "a", &bare), find(&two, "a", &bare));
            moved += u32::from(before != after);
            assert!(before == after || before == Some(2), "{bare}");
        }
        assert!((60..140).contains(&moved), "{moved} of 300");
    }

    #[test]
    fn several_connections_of_one_server_share_its_users() {
        assert_eq!(made("a", 1, 0, "h").name, "a/localhost:1/chat.example");
        assert_eq!(made("a", 1, 2, "h").name, "a/localhost:1#2/chat.example");
        let routes = routes(&[0, 1].map(|slot| made("a", 1, slot, "a.example")));
        let homes = (0..100).map(|n| find(&routes, "a", &format!("u{n}@a.example")).unwrap());
        let second = homes.filter(|home| *home == 1).count();
        assert!((30..70).contains(&second), "{second} of 100");
    }

    const HOMES: [usize; 12] = [0, 1, 1, 1, 2, 0, 0, 2, 1, 1, 0, 2];
}
