//! Presence of occupants: what is shown to whom.

use crate::common::{CRONE, HAG, ROOM, WICCA, World};
use crate::witches::{give_role, leave, presence, witches};
use coven_core::Role;
use coven_xmpp::ns;

#[test]
fn muc_pres_01_muc_pres_04_muc_occid_02_everybody_gets_the_newcomer() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    let out = w.join(WICCA, "secondwitch");
    for other in [CRONE, HAG] {
        let seen = out.to(other);
        let seen = seen.one();
        assert_eq!(seen.from(), "coven@chat.example/secondwitch");
        assert_eq!(seen.item("affiliation"), Some("none"));
        assert_eq!(seen.item("role"), Some("participant"));
        assert!(seen.occupant_id().is_some());
        assert!(seen.codes().is_empty());
    }
    assert!(
        out.presences()
            .iter()
            .all(|s| s.x().is_some() && s.occupant_id().is_some())
    );
}

#[test]
fn muc_pres_08_muc_status_05_an_update_goes_to_everyone_and_110_to_oneself() {
    let mut w = witches();
    let out = presence(
        &mut w,
        HAG,
        "thirdwitch",
        "<show>dnd</show><status>brewing</status>",
    );
    assert_eq!(out.len(), 3);
    for stanza in &*out {
        assert_eq!(stanza.from(), "coven@chat.example/thirdwitch");
        assert_eq!(stanza.child("show", ns::CLIENT).unwrap().text(), "dnd");
        assert_eq!(
            stanza.child("status", ns::CLIENT).unwrap().text(),
            "brewing"
        );
        let own = stanza.to() == HAG;
        assert_eq!(stanza.codes(), if own { vec![110] } else { vec![] });
    }
}

#[test]
fn muc_pres_09_muc_pres_10_muc_pres_11_muc_occid_03_payloads_pass_but_nothing_of_the_service() {
    let mut w = witches();
    let out = presence(
        &mut w,
        HAG,
        "thirdwitch",
        "<priority>5</priority><c xmlns='http://jabber.org/protocol/caps' node='n' ver='v' hash='h'/>\
         <x xmlns='vcard-temp:x:update'><photo>abc</photo></x>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator' affiliation='owner'/></x>\
         <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>\
         <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged2'/>\
         <hats xmlns='urn:xmpp:hats:0'/>\
         <delay xmlns='urn:xmpp:delay' from='coven@chat.example' stamp='2002-09-10T23:08:25Z'/>\
         <delay xmlns='urn:xmpp:delay' from='elsewhere.example' stamp='2002-09-10T23:08:25Z'/>",
    );
    let seen = out.to(CRONE);
    let seen = seen.one();
    assert!(seen.child("c", ns::CAPS).is_some());
    assert!(seen.child("x", ns::VCARD_UPDATE).is_some());
    assert!(seen.child("priority", ns::CLIENT).is_some());
    assert_eq!(seen.item("role"), Some("participant"));
    assert!(!seen.xml.contains("forged") && seen.occupant_id().is_some());
    assert!(seen.child("hats", ns::HATS).is_none());
    let delays: Vec<_> = seen
        .tree
        .children()
        .filter(|c| c.is("delay", ns::DELAY))
        .collect();
    assert_eq!(delays.len(), 1);
    assert_eq!(delays[0].attr("from"), Some("elsewhere.example"));
}

#[test]
fn muc_pres_12_presence_to_the_bare_room_is_of_its_session() {
    let mut w = witches();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}'><show>xa</show></presence>"
    ));
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
    let out = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}' type='unavailable'/>"
    ));
    assert_eq!(out.to(CRONE).one().kind(), "unavailable");
}

#[test]
fn muc_pres_14_muc_comp_10_muc_leave_04_other_types_change_nothing() {
    let mut w = witches();
    for kind in [
        "subscribe",
        "subscribed",
        "unsubscribe",
        "unsubscribed",
        "probe",
        "bogus",
    ] {
        for to in [
            ROOM.to_owned(),
            format!("{ROOM}/thirdwitch"),
            "chat.example".into(),
        ] {
            let out = w.send(&format!("<presence from='{HAG}' to='{to}' type='{kind}'/>"));
            assert!(out.is_empty(), "{kind} {to}: {out:?}");
        }
    }
    assert_eq!(w.coven().channel.roster().sessions().len(), 3);
}

#[test]
fn muc_pres_15_muc_pres_03_muc_anon_02_only_moderators_see_addresses() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    let out = w.join(WICCA, "secondwitch");
    assert_eq!(out.to(CRONE).one().item("jid"), Some(WICCA));
    assert_eq!(out.to(HAG).one().item("jid"), None);
    let burst = out.to(WICCA).presences();
    assert_eq!(burst[0].item("jid"), None);
    assert_eq!(burst[1].item("jid"), None);
    assert_eq!(burst[2].item("jid"), Some(WICCA), "its own");
    let again = w.join(CRONE, "firstwitch").to(CRONE).presences();
    assert_eq!(again[0].item("jid"), Some(HAG));
}

#[test]
fn muc_anon_01_muc_conf_13_muc_status_08_muc_status_09_rooms_may_become_open_and_close_again() {
    let mut w = witches();
    let whois = |value| format!("<field var='muc#roomconfig_whois'><value>{value}</value></field>");
    let out = w.submit(CRONE, &whois("anyone"));
    let seen = out.to(HAG);
    assert_eq!(seen[0].codes(), [172]);
    assert_eq!(seen[0].from(), ROOM);
    assert!(seen[0].body().is_none() && seen[0].x().unwrap().children().count() == 1);
    let jids: Vec<_> = seen
        .presences()
        .iter()
        .map(|s| s.item("jid").unwrap().to_owned())
        .collect();
    assert_eq!(jids, [CRONE, WICCA]);
    assert!(out.to(CRONE).presences().is_empty(), "knew them all");
    let out = w.submit(CRONE, &whois("moderators"));
    assert_eq!(out.to(HAG).one().codes(), [173]);
    let out = presence(&mut w, WICCA, "secondwitch", "<show>away</show>");
    assert_eq!(out.to(HAG).one().item("jid"), None);
}

#[test]
fn muc_pres_16_a_new_moderator_gets_the_others_with_their_addresses() {
    let mut w = witches();
    let out = give_role(&mut w, "thirdwitch", Role::Moderator);
    let seen = out.to(HAG).presences();
    assert_eq!(
        (seen[0].codes(), seen[0].item("role")),
        (vec![110], Some("moderator"))
    );
    let others: Vec<_> = seen
        .iter()
        .skip(1)
        .map(|s| s.item("jid").unwrap())
        .collect();
    assert_eq!(others, [CRONE, WICCA]);
}

#[test]
fn muc_pres_17_muc_pres_18_muc_anon_04_a_change_of_role_is_announced_once() {
    let mut w = witches();
    presence(&mut w, HAG, "thirdwitch", "<show>dnd</show>");
    let out = give_role(&mut w, "thirdwitch", Role::Visitor);
    let seen = out.to(WICCA);
    let seen = seen.one();
    assert_eq!(seen.item("role"), Some("visitor"));
    assert_eq!(seen.child("show", ns::CLIENT).unwrap().text(), "dnd");
    let item = seen.x().unwrap().get_child("item", ns::MUC_USER).unwrap();
    let actor = item.get_child("actor", ns::MUC_USER).unwrap();
    assert_eq!(
        (actor.attr("nick"), actor.attr("jid")),
        (Some("firstwitch"), None)
    );
    assert_eq!(
        item.get_child("reason", ns::MUC_USER).unwrap().text(),
        "Avaunt, you cullion!"
    );
    let moderator = out.to(CRONE);
    let moderator = moderator.presences();
    let item = moderator
        .one()
        .x()
        .unwrap()
        .get_child("item", ns::MUC_USER)
        .unwrap();
    let actor = item.get_child("actor", ns::MUC_USER).unwrap();
    assert_eq!(actor.attr("jid"), Some("crone1@shakespeare.example"));
    let late = w.join("duncan@shakespeare.example/x", "king");
    let late = late.to("duncan@shakespeare.example/x");
    let third = late
        .iter()
        .find(|s| s.from().ends_with("/thirdwitch"))
        .unwrap();
    assert_eq!(third.item("role"), Some("visitor"));
    assert!(!third.xml.contains("Avaunt"));
}

#[test]
fn muc_pres_05_muc_pres_06_muc_pres_07_roles_that_are_not_shown() {
    let mut w = World::muc()
        .with_service(|s| s.defaults.broadcast.visitors = false)
        .with_room();
    w.submit(
        CRONE,
        "<field var='muc#roomconfig_moderatedroom'><value>1</value></field>",
    );
    let out = w.join(HAG, "thirdwitch");
    assert!(out.to(CRONE).is_empty(), "a visitor");
    assert!(out.to(HAG).iter().any(|s| s.codes() == [110]));
    let burst = w.join(WICCA, "secondwitch").to(WICCA).presences();
    assert_eq!(
        burst.froms(),
        [
            "coven@chat.example/firstwitch",
            "coven@chat.example/secondwitch"
        ]
    );
    assert!(
        presence(&mut w, HAG, "thirdwitch", "<show>away</show>")
            .to(CRONE)
            .is_empty()
    );
    let out = give_role(&mut w, "thirdwitch", Role::Participant);
    assert_eq!(out.to(WICCA).one().item("role"), Some("participant"));
    let out = give_role(&mut w, "thirdwitch", Role::Visitor);
    let seen = out.to(WICCA);
    let seen = seen.one();
    assert_eq!(
        (seen.kind(), seen.item("role")),
        ("unavailable", Some("none"))
    );
    assert!(seen.codes().is_empty());
    assert_eq!(out.to(HAG).one().item("role"), Some("visitor"));
    assert!(leave(&mut w, HAG, "thirdwitch").to(WICCA).is_empty());
}

#[test]
fn muc_conf_12_moderation_turns_participants_into_visitors_and_back() {
    let mut w = witches();
    for (value, role) in [("1", "visitor"), ("0", "participant")] {
        let out = w.submit(
            CRONE,
            &format!("<field var='muc#roomconfig_moderatedroom'><value>{value}</value></field>"),
        );
        let seen = out.to(HAG);
        assert_eq!(seen[0].codes(), [104]);
        let roles: Vec<_> = seen
            .presences()
            .iter()
            .map(|s| s.item("role").unwrap().to_owned())
            .collect();
        assert_eq!(roles, [role, role]);
        let own = seen.presences();
        let own = own
            .iter()
            .find(|s| s.from().ends_with("/thirdwitch"))
            .unwrap();
        assert_eq!(own.codes(), [110]);
    }
}
