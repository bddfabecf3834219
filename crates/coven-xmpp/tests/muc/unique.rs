//! Names that the service makes up for who is about to create a room (XEP-0307).

use crate::common::{CRONE, HAG, Sent, World, domain};
use coven_core::settings::service::Creation;
use coven_core::{BareJid, Service};
use coven_xmpp::ns;
use std::sync::Arc;

const SERVICE: &str = "chat.example";

fn unique(w: &mut World, from: &str) -> Sent {
    let payload = "<unique xmlns='http://jabber.org/protocol/muc#unique'/>";
    w.iq_to(SERVICE, from, "get", payload).one().clone()
}

#[test]
fn muc_create_12_a_name_that_nobody_had_and_no_room() {
    let mut w = World::both();
    let names: Vec<String> = (0..3)
        .map(|_| unique(&mut w, HAG).payload().text())
        .collect();
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    let room = format!("{}@{SERVICE}", names[0]);
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let out = w.iq_to(&room, HAG, "get", info);
    assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
    let join = format!("<presence from='{HAG}' to='{room}/thirdwitch'>{x}</presence>");
    let out = w.send(&join);
    let own = out.iter().find(|s| s.is_presence()).unwrap();
    assert_eq!(own.from(), format!("{room}/thirdwitch"));
    assert!(own.codes().contains(&201), "{own:?}");
}

#[test]
fn muc_create_12_the_feature_is_told_where_muc_is_spoken() {
    let mut w = World::pair();
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    for (service, speaks) in [(SERVICE, true), ("mix.example", false)] {
        let out = w.iq_to(service, HAG, "get", info);
        assert_eq!(out.one().xml.contains(ns::MUC_UNIQUE), speaks, "{service}");
        let payload = format!("<unique xmlns='{}'/>", ns::MUC_UNIQUE);
        let out = w.iq_to(service, HAG, "get", &payload);
        assert_eq!(out.one().kind() == "result", speaks, "{service}");
    }
}

#[test]
fn muc_create_12_who_may_not_create_gets_none() {
    let crone = BareJid::parse(CRONE).unwrap();
    let mut only = domain(SERVICE, true, false);
    only.service = Arc::new(Service {
        creation: Creation::Listed(vec![crone]),
        ..Service::default()
    });
    let mut w = World::of(vec![only]);
    assert_eq!(unique(&mut w, HAG).error(), ("cancel", "not-allowed"));
    assert_eq!(unique(&mut w, CRONE).kind(), "result");
}
