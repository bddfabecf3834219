//! Presence of occupants, several sessions, nicks, leaving.

use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA, World, coven};
use coven_core::{Affiliation, BareJid, Command, Group, Origin, Role, Sender, StanzaKind, View};
use coven_xmpp::ns;

const HAG2: &str = "hag66@shakespeare.example/tower";

fn presence(w: &mut World, from: &str, nick: &str, children: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}/{nick}'>{children}</presence>"
    ))
}

fn leave(w: &mut World, from: &str, nick: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}/{nick}' type='unavailable'><status>gone where the goblins go</status></presence>"
    ))
}

fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.join(WICCA, "secondwitch");
    w
}

/// Acts of moderators and admins, whose stanzas belong to another part of the service.
fn act(w: &mut World, from: &str, command: &Command) -> Stanzas {
    let bare = BareJid::parse(from).unwrap();
    let sender = Sender {
        full: coven_core::FullJid::parse(from),
        bare,
        group: Group("main".into()),
    };
    let origin = Origin {
        kind: StanzaKind::Iq,
        from: from.into(),
        to: ROOM.into(),
        id: Some("act".into()),
        lang: None,
        view: View::Muc,
        group: Group("main".into()),
        payload: bytes::Bytes::new(),
    };
    w.command(&coven(), &sender, command, &origin)
}

fn affiliate(w: &mut World, jid: &str, affiliation: Affiliation) -> Stanzas {
    let command = Command::SetAffiliation {
        jid: BareJid::parse(jid).unwrap(),
        affiliation,
        reason: Some("Avaunt, you cullion!".into()),
    };
    act(w, CRONE, &command)
}

fn give_role(w: &mut World, nick: &str, role: Role) -> Stanzas {
    let command = Command::SetRole {
        nick: nick.into(),
        role,
        reason: Some("Avaunt, you cullion!".into()),
    };
    act(w, CRONE, &command)
}

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
fn muc_multi_01_muc_multi_06_muc_multi_07_muc_multi_08_a_second_session_is_one_occupant() {
    let mut w = witches();
    let out = w.join(HAG2, "thirdwitch");
    assert!(
        out.to(WICCA).is_empty() && out.to(HAG).is_empty(),
        "{out:?}"
    );
    assert_eq!(
        out.to(CRONE).one().item("jid"),
        Some(HAG2),
        "a moderator sees the address shown"
    );
    let burst = out.to(HAG2);
    assert_eq!(
        burst.froms(),
        [
            "coven@chat.example/firstwitch",
            "coven@chat.example/secondwitch",
            "coven@chat.example/thirdwitch",
            "coven@chat.example",
        ]
    );
    assert_eq!(burst[2].item("jid"), Some(HAG2));
    let out = presence(&mut w, HAG2, "thirdwitch", "<show>chat</show>");
    assert_eq!(out.to(CRONE).one().item("jid"), Some(HAG2), "the best one");
    let (one, two) = (out.to(HAG), out.to(HAG2));
    assert_eq!(
        (one.one().codes(), two.one().codes()),
        (vec![110], vec![110])
    );
    assert!(one.one().child("show", ns::CLIENT).is_none());
    assert_eq!(one.one().item("jid"), Some(HAG));
}

#[test]
fn muc_multi_05_map_08_map_21_the_best_session_is_shown() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = presence(&mut w, HAG2, "thirdwitch", "<show>away</show>");
    assert_eq!(
        out.to(CRONE).one().item("jid"),
        Some(HAG),
        "available beats away"
    );
    let out = presence(&mut w, HAG2, "thirdwitch", "<show>xa</show>");
    assert!(out.to(CRONE).is_empty(), "the other one is shown: {out:?}");
    assert_eq!(out.to(HAG2).one().codes(), [110]);
    let out = presence(&mut w, HAG, "thirdwitch", "<show>dnd</show>");
    assert_eq!(
        out.to(CRONE)
            .one()
            .child("show", ns::CLIENT)
            .unwrap()
            .text(),
        "dnd"
    );
}

#[test]
fn muc_multi_02_muc_multi_03_all_sessions_get_messages() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = w.say(HAG2, "m1", "hail");
    let mut tos = out.tos();
    tos.sort_unstable();
    assert_eq!(tos, [CRONE, HAG, HAG2, WICCA]);
    let out = w.send(&format!(
        "<message from='{CRONE}' to='{ROOM}/thirdwitch' type='chat'><body>psst</body></message>"
    ));
    assert_eq!(out.tos(), [HAG, HAG2]);
}

#[test]
fn muc_multi_04_muc_role_05_muc_status_14_a_kick_ends_all_sessions() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = give_role(&mut w, "thirdwitch", Role::None).presences();
    for own in [HAG, HAG2] {
        let seen = out.to(own);
        let seen = seen.one();
        assert_eq!((seen.kind(), seen.codes()), ("unavailable", vec![110, 307]));
        assert_eq!(
            (seen.item("role"), seen.item("affiliation")),
            (Some("none"), Some("none"))
        );
    }
    assert_eq!(out.to(WICCA).one().codes(), [307]);
    assert!(
        out.to(WICCA)
            .one()
            .xml
            .contains("<reason>Avaunt, you cullion!</reason>")
    );
}

#[test]
fn i8_muc_anon_04_a_moderator_that_is_kicked_no_longer_learns_who_did_it() {
    let mut w = witches();
    give_role(&mut w, "thirdwitch", Role::Moderator);
    let out = give_role(&mut w, "thirdwitch", Role::None).presences();
    assert!(!out.to(HAG).one().xml.contains("crone1"), "{out:?}");
    assert!(out.to(CRONE).one().xml.contains("jid='crone1"));
}

#[test]
fn muc_multi_09_one_of_several_sessions_leaves() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = leave(&mut w, HAG, "thirdwitch");
    let own = out.to(HAG);
    assert_eq!(
        (own.one().kind(), own.one().codes()),
        ("unavailable", vec![110])
    );
    assert!(out.to(WICCA).is_empty());
    assert_eq!(own.one().item("role"), Some("none"));
    assert!(
        out.iter().all(|s| s.to() == HAG || s.kind().is_empty()),
        "{out:?}"
    );
    let out = leave(&mut w, HAG2, "thirdwitch");
    assert_eq!(out.to(CRONE).one().kind(), "unavailable");
}

#[test]
fn muc_nick_01_muc_nick_02_muc_nick_03_muc_status_13_a_new_nick() {
    let mut w = witches();
    let id = w.join(HAG, "thirdwitch").to(HAG)[2]
        .occupant_id()
        .map(str::to_owned);
    let out = presence(&mut w, HAG, "oldhag", "<show>away</show>");
    for to in [CRONE, HAG, WICCA] {
        let seen = out.to(to);
        let own = to == HAG;
        let old = &seen[0];
        assert_eq!(
            (old.kind(), old.from()),
            ("unavailable", "coven@chat.example/thirdwitch")
        );
        assert_eq!(old.item("nick"), Some("oldhag"));
        assert_eq!(old.item("role"), Some("participant"));
        assert_eq!(old.item("affiliation"), Some("none"));
        assert_eq!(old.codes(), if own { vec![110, 303] } else { vec![303] });
        let new = &seen[1];
        assert_eq!((new.kind(), new.from()), ("", "coven@chat.example/oldhag"));
        assert_eq!(new.codes(), if own { vec![110] } else { vec![] });
        assert!(
            seen.iter()
                .all(|s| s.is_presence() && s.occupant_id() == id.as_deref())
        );
    }
}

#[test]
fn muc_nick_04_a_taken_nick_is_conflict_and_the_old_one_holds() {
    let mut w = witches();
    let out = presence(&mut w, HAG, "secondwitch", "");
    assert_eq!(out.one().error(), ("cancel", "conflict"));
    assert_eq!(out.one().from(), "coven@chat.example/secondwitch");
    let out = w.say(HAG, "m", "still");
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
}

#[test]
fn muc_nick_05_map_23_another_nick_of_a_further_session_gives_way() {
    let mut w = witches();
    let out = w.join(HAG2, "hecate").to(HAG2);
    let own = out.iter().find(|s| s.codes().contains(&110)).unwrap();
    assert_eq!(own.from(), "coven@chat.example/thirdwitch");
    assert_eq!(own.codes(), [110, 210]);
}

#[test]
fn muc_multi_10_map_10_map_78_a_new_nick_moves_all_sessions() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = presence(&mut w, HAG, "oldhag", "");
    for own in [HAG, HAG2] {
        let seen = out.to(own);
        assert_eq!(seen[0].codes(), [110, 303]);
        assert_eq!(
            (seen[1].codes(), seen[1].from()),
            (vec![110], "coven@chat.example/oldhag")
        );
        assert_eq!(seen[1].item("jid"), Some(own));
    }
    assert_eq!(
        out.to(CRONE).froms(),
        ["coven@chat.example/thirdwitch", "coven@chat.example/oldhag"]
    );
}

#[test]
fn muc_leave_01_muc_leave_02_muc_pres_02_first_oneself_then_the_others() {
    let mut w = witches();
    let out = leave(&mut w, HAG, "thirdwitch");
    assert_eq!(out[0].to(), HAG);
    assert_eq!((out[0].kind(), out[0].codes()), ("unavailable", vec![110]));
    assert_eq!(out.len(), 3);
    for seen in &*out {
        assert_eq!(seen.item("role"), Some("none"));
        assert_eq!(seen.item("affiliation"), Some("none"));
        let status = seen.child("status", ns::CLIENT).unwrap();
        assert_eq!(status.text(), "gone where the goblins go");
        assert!(seen.occupant_id().is_some());
    }
    assert!(out[1].codes().is_empty());
}

#[test]
fn muc_leave_03_muc_leave_11_strangers_and_their_errors_are_ignored() {
    let mut w = witches();
    assert!(leave(&mut w, "duncan@shakespeare.example/x", "thirdwitch").is_empty());
    let out = w.send(&format!(
        "<presence from='duncan@shakespeare.example/x' to='{ROOM}/thirdwitch' type='error'>\
         <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    ));
    assert!(out.is_empty());
}

#[test]
fn muc_leave_05_the_address_decides_not_the_nick() {
    let mut w = witches();
    let out = leave(&mut w, HAG, "somebody-else");
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
}

#[test]
fn muc_leave_07_muc_leave_08_muc_leave_10_muc_leave_12_muc_status_18_ghosts_are_probed_and_removed()
{
    let mut w = witches();
    for condition in [
        "gone",
        "service-unavailable",
        "recipient-unavailable",
        "item-not-found",
    ] {
        let error = format!(
            "<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        );
        let bounce = |id: &str| {
            format!(
                "<message from='{HAG}' to='{ROOM}/secondwitch' id='{id}' type='error'>{error}</message>"
            )
        };
        let out = w.send(&bounce("m1"));
        let probe = out.one();
        assert_eq!(
            (probe.to(), probe.from(), probe.kind()),
            (HAG, ROOM, "groupchat")
        );
        assert!(probe.body().is_none() && probe.x().is_some());
        let id = probe.id().to_owned();
        let out = w.send(&bounce(&id));
        assert_eq!(
            (out.to(HAG).one().codes(), out.to(HAG).one().kind()),
            (vec![110, 333], "unavailable")
        );
        assert_eq!(out.to(CRONE).one().codes(), [333], "{condition}");
        w.join(HAG, "thirdwitch");
        assert!(w.send(&bounce(&id)).is_empty(), "of an older session");
    }
}

#[test]
fn muc_multi_11_a_ghost_is_one_session_only() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let bounce = |id: &str| {
        format!(
            "<message from='{HAG}' to='{ROOM}' id='{id}' type='error'><error type='cancel'>\
             <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    let id = w.send(&bounce("x")).one().id().to_owned();
    let out = w.send(&bounce(&id));
    assert_eq!(out.to(HAG).one().codes(), [110, 333]);
    assert!(
        out.to(HAG2).is_empty() && out.to(WICCA).is_empty(),
        "{out:?}"
    );
    assert_eq!(w.say(HAG2, "m", "still here").to(WICCA).len(), 1);
}

#[test]
fn muc_leave_09_muc_err_04_other_errors_remove_nobody_and_are_not_answered() {
    let mut w = witches();
    for condition in [
        "not-acceptable",
        "forbidden",
        "policy-violation",
        "resource-constraint",
        "bogus",
    ] {
        for kind in ["message", "presence", "iq"] {
            for to in [
                ROOM.to_owned(),
                format!("{ROOM}/thirdwitch"),
                format!("{ROOM}/nobody"),
            ] {
                let out = w.send(&format!(
                    "<{kind} from='{HAG}' to='{to}' id='e' type='error'><error type='modify'>\
                     <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></{kind}>"
                ));
                assert!(out.is_empty(), "{kind} {condition} {to}: {out:?}");
            }
        }
    }
    assert_eq!(w.coven().channel.roster().sessions().len(), 3);
}

#[test]
fn muc_status_12_muc_aff_12_a_ban_is_told_to_all() {
    let mut w = witches();
    let out = affiliate(&mut w, HAG, Affiliation::Outcast).presences();
    let own = out.to(HAG);
    assert_eq!(
        (own.one().codes(), own.one().item("affiliation")),
        (vec![110, 301], Some("outcast"))
    );
    let seen = out.to(WICCA);
    assert_eq!(
        (seen.one().codes(), seen.one().item("role")),
        (vec![301], Some("none"))
    );
    assert_eq!(
        w.join(HAG, "thirdwitch").one().error(),
        ("auth", "forbidden")
    );
}

#[test]
fn muc_status_15_muc_status_16_muc_conf_11_members_only_rooms_lose_others() {
    let mut w = witches();
    affiliate(&mut w, WICCA, Affiliation::Member);
    let members = "<field var='muc#roomconfig_membersonly'><value>true</value></field>";
    let out = w.submit(CRONE, members);
    assert_eq!(out.to(HAG).presences().one().codes(), [110, 322]);
    assert_eq!(out.to(WICCA).presences().one().codes(), [322]);
    let out = affiliate(&mut w, WICCA, Affiliation::None);
    assert_eq!(out.to(WICCA).one().codes(), [110, 321]);
    assert_eq!(out.to(WICCA).one().item("affiliation"), Some("none"));
    assert_eq!(out.to(CRONE).presences().one().codes(), [321]);
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
