//! Which front-end an answer is for: the one that holds the connection responsible for the address (design §3.6).
//!
//! Events go to all front-ends of a space, each renders its share. An answer to a read is one stanza for one address, and may
//! be a page of the archive: only who writes it gets it, where that can be told. Where it cannot, all get it, as with events:
//! an address of an unknown group, a connection that nobody holds, front-ends that know of other connections than this node.

use coven_cluster::routes::{LastWay, Place, Routes, parts};
use coven_cluster::{Delivery, Output};
use coven_core::{Group, Origin};
use smol_str::SmolStr;

/// The connections of a space, as configured.
#[derive(Debug, Default)]
pub(crate) struct Responsible {
    names: Vec<SmolStr>,
    routes: Routes,
}

impl Responsible {
    pub(crate) fn new(names: &[SmolStr]) -> Self {
        let mut all: Vec<(usize, &SmolStr, (Group, SmolStr))> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            all.extend(parts(name).map(|parts| (index, name, parts)));
        }
        let places = all.iter().map(|(index, name, (group, domain))| Place {
            index: *index,
            name,
            group,
            domain,
            hosts: &[],
        });
        Self {
            routes: Routes::new(places),
            names: names.to_vec(),
        }
    }

    /// Whether it is one of these.
    pub(crate) fn knows(&self, connection: &SmolStr) -> bool {
        self.names.contains(connection)
    }

    /// The connection by which this is answered.
    pub(crate) fn connection(&self, origin: &Origin) -> Option<&SmolStr> {
        let bare = |address: &str| address.split('/').next().map(str::to_owned);
        let (to, from) = (bare(&origin.to)?, bare(&origin.from)?);
        let domain = to.rsplit('@').next()?;
        let found = self
            .routes
            .find_of(&origin.group, domain, &from, &mut LastWay::default());
        self.names.get(found?)
    }
}

/// Whom an output answers, if it is nothing but an answer.
pub(crate) fn asked(output: &Output) -> Option<&Origin> {
    match output.deliveries.as_slice() {
        [Delivery::Answer { origin, .. }] => Some(origin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coven_core::{StanzaKind, View};

    fn origin(group: &str, from: &str) -> Origin {
        Origin {
            kind: StanzaKind::Iq,
            from: from.into(),
            to: "coven@chat.example".into(),
            id: None,
            lang: None,
            view: View::Muc,
            group: Group(group.into()),
            payload: bytes::Bytes::new(),
        }
    }

    #[test]
    fn an_answer_has_one_connection_where_the_group_is_known() {
        let names = [
            "a/h:1/chat.example",
            "a/h:1#1/chat.example",
            "b/h:2/chat.example",
            "odd",
        ];
        let all = Responsible::new(&names.map(SmolStr::new));
        let of =
            |group: &str, from: &str| all.connection(&origin(group, from)).map(SmolStr::as_str);
        assert_eq!(of("b", "x@b.example/pda"), Some("b/h:2/chat.example"));
        assert_eq!(of("gone", "x@b.example/pda"), None);
        let ways: std::collections::BTreeSet<_> = (0..50)
            .map(|n| of("a", &format!("u{n}@a.example/pda")))
            .collect();
        assert_eq!(ways.len(), 2);
        assert_eq!(of("a", "u1@a.example/pda"), of("a", "u1@a.example/phone"));
        assert!(all.knows(&"odd".into()) && !all.knows(&"even".into()));
    }
}
