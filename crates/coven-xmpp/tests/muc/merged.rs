//! People of both views as occupants: participants, sessions, nicks.

use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA, World};
use crate::hecate::{ALL, CAVE, HECATE, mix_join, mix_leave, presence, show, witches, with_hecate};
use coven_xmpp::ns;

#[test]
fn map_11_map_72_map_09_a_participant_without_client_is_an_occupant() {
    let mut w = witches();
    let out = mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    let seen = out.to(HAG).presences();
    let seen = seen.one();
    assert_eq!(
        (seen.from(), seen.kind()),
        ("coven@chat.example/hecate", "")
    );
    assert_eq!(show(seen).as_deref(), Some("xa"));
    assert_eq!(
        (seen.item("affiliation"), seen.item("role")),
        (Some("none"), Some("participant"))
    );
    assert_eq!(seen.item("jid"), None);
    assert_eq!(
        out.to(CRONE).presences().one().item("jid"),
        Some(HECATE),
        "bare while no client is online"
    );
    let result = out.iter().find(|s| s.is_iq()).unwrap();
    assert_eq!(
        result.payload().attr("id"),
        seen.occupant_id(),
        "one stable id"
    );
    let burst = w.join(WICCA, "secondwitch").to(WICCA).presences();
    assert!(
        burst
            .iter()
            .any(|s| s.from() == "coven@chat.example/hecate")
    );
}

#[test]
fn map_11_map_52_who_shares_no_presence_is_plainly_available() {
    let mut w = witches();
    let out = mix_join(&mut w, ROOM, HECATE, "hecate", &["messages"]);
    let seen = out.to(HAG).presences();
    assert_eq!((seen.one().kind(), show(seen.one())), ("", None));
}

#[test]
fn map_73_map_79_clients_of_a_participant_come_and_go() {
    let mut w = with_hecate();
    let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='h' node='n' ver='v'/>";
    let mix = "<mix xmlns='urn:xmpp:mix:presence:0'><jid>x@y</jid></mix>";
    let out = presence(&mut w, CAVE, "", &format!("<show>dnd</show>{caps}{mix}"));
    let seen = out.to(HAG);
    let seen = seen.one();
    assert_eq!(show(seen).as_deref(), Some("dnd"));
    assert!(seen.child("c", ns::CAPS).is_some() && seen.child("mix", ns::MIX_PRESENCE).is_none());
    assert_eq!(out.to(CRONE).one().item("jid"), Some(CAVE));
    let out = presence(&mut w, CAVE, "type='unavailable'", "");
    assert_eq!(
        (out.to(HAG).one().kind(), show(out.to(HAG).one()).as_deref()),
        ("", Some("xa"))
    );
}

#[test]
fn map_74_map_46_leaving_by_mix_ends_the_occupant_unless_a_session_remains() {
    let mut w = with_hecate();
    w.join(CAVE, "hecate");
    let out = mix_leave(&mut w, HECATE);
    assert!(
        out.to(HAG).iter().all(|s| s.kind() != "unavailable"),
        "{out:?}"
    );
    let mut w = with_hecate();
    let out = mix_leave(&mut w, HECATE);
    let seen = out.to(HAG);
    let seen = seen.one();
    assert_eq!(
        (seen.kind(), seen.from()),
        ("unavailable", "coven@chat.example/hecate")
    );
    assert_eq!((seen.item("role"), seen.codes()), (Some("none"), vec![]));
}

#[test]
fn map_77_map_46_the_last_session_of_a_participant_leaves_it_absent() {
    let mut w = with_hecate();
    w.join(CAVE, "hecate");
    let out = w.send(&format!(
        "<presence from='{CAVE}' to='{ROOM}/hecate' type='unavailable'/>"
    ));
    assert_eq!(out.to(CAVE).one().codes(), [110]);
    let seen = out.to(HAG);
    assert_eq!(
        (seen.one().kind(), show(seen.one()).as_deref()),
        ("", Some("xa"))
    );
}

#[test]
fn map_13_map_08_map_23_one_person_by_both_protocols_is_one_occupant() {
    let mut w = with_hecate();
    let out = w.join("hecate@shakespeare.example/tower", "queen");
    let own = out.to("hecate@shakespeare.example/tower").presences();
    let own = own.iter().find(|s| s.codes().contains(&110)).unwrap();
    assert_eq!(
        (own.from(), own.codes()),
        ("coven@chat.example/hecate", vec![110, 210])
    );
    let seen = out.to(HAG).presences();
    assert_eq!(seen.froms(), ["coven@chat.example/hecate"]);
    assert_eq!(
        (seen.one().kind(), show(seen.one())),
        ("", None),
        "no longer absent"
    );
    presence(&mut w, CAVE, "", "<show>chat</show>");
    let burst = w.join(WICCA, "secondwitch").to(WICCA).presences();
    let hers: Vec<_> = burst
        .iter()
        .filter(|s| s.from().ends_with("/hecate"))
        .collect();
    assert_eq!(hers.len(), 1);
    assert_eq!(
        show(hers[0]).as_deref(),
        Some("chat"),
        "the best of all clients"
    );
}

#[test]
fn map_75_map_76_sessions_of_a_muc_occupant_are_merged() {
    let mut w = with_hecate();
    let out = w.join(WICCA, "secondwitch");
    assert_eq!(
        out.to(HAG).presences().one().from(),
        "coven@chat.example/secondwitch"
    );
    let second = "wiccarocks@shakespeare.example/phone";
    let out = w.send(&format!(
        "<presence from='{second}' to='{ROOM}/secondwitch'><show>xa</show>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert!(out.to(HAG).is_empty(), "{out:?}");
}

#[test]
fn map_22_a_nick_is_taken_in_both_views() {
    let mut w = with_hecate();
    assert_eq!(
        w.join(WICCA, "Hecate").one().error(),
        ("cancel", "conflict")
    );
    let out = mix_join(
        &mut w,
        ROOM,
        "duncan@shakespeare.example",
        "thirdwitch",
        &ALL,
    );
    assert_eq!(out.one().error(), ("cancel", "conflict"));
}

#[test]
fn map_78_map_10_map_23_a_new_nick_from_either_side() {
    let mut w = with_hecate();
    let out = w.iq(
        HECATE,
        "set",
        "<setnick xmlns='urn:xmpp:mix:core:1'><nick>queen</nick></setnick>",
    );
    let seen = out.to(HAG).presences();
    assert_eq!(
        seen.froms(),
        ["coven@chat.example/hecate", "coven@chat.example/queen"]
    );
    assert_eq!(
        (seen[0].codes(), seen[0].item("nick")),
        (vec![303], Some("queen"))
    );
    w.join(CAVE, "queen");
    let out = w.send(&format!("<presence from='{CAVE}' to='{ROOM}/goddess'/>"));
    assert_eq!(
        out.to(HAG).presences()[1].from(),
        "coven@chat.example/goddess"
    );
    let person = w
        .coven()
        .channel
        .roster()
        .person_of(&coven_core::BareJid::parse(HECATE).unwrap());
    assert_eq!(person.unwrap().nick.as_ref().unwrap().as_str(), "goddess");
}

#[test]
fn map_24_a_participant_without_nick_has_an_address() {
    let mut w = World::both()
        .with_service(|s| s.defaults.mandatory_nicks = false)
        .with_room();
    w.join(HAG, "thirdwitch");
    let out = w.iq(
        HECATE,
        "set",
        "<join xmlns='urn:xmpp:mix:core:1'><subscribe node='urn:xmpp:mix:nodes:messages'/></join>",
    );
    let seen = out.to(HAG).presences();
    assert!(
        seen.one().from().starts_with("coven@chat.example/user-"),
        "{seen:?}"
    );
    let said = w.say(CAVE, "m1", "x");
    assert_eq!(said.to(HAG).one().from(), seen.one().from());
}

#[test]
fn i6_a_renderer_that_begins_anew_shows_the_same() {
    let mut w = with_hecate();
    w.say(HAG, "m1", "x");
    let before = w.join(WICCA, "secondwitch").to(WICCA);
    w.send(&format!(
        "<presence from='{WICCA}' to='{ROOM}/secondwitch' type='unavailable'/>"
    ));
    let names = w.domains.names(&crate::common::coven());
    w.coven().renderer = coven_xmpp::render::Renderer::new(&names);
    let after = w.join(WICCA, "secondwitch").to(WICCA);
    let xml = |out: &Stanzas| out.iter().map(|s| s.xml.clone()).collect::<Vec<_>>();
    assert_eq!(xml(&before), xml(&after));
}
