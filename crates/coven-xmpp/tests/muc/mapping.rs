//! What comes from the MIX side, as MUC sees it; which stanza belongs to which view.

use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA, World};
use coven_core::{Command, Query, View};
use coven_xmpp::dispatch::{Inbound, Request};
use coven_xmpp::ns;

/// A person that takes part by MIX.
const HECATE: &str = "hecate@shakespeare.example";
/// A client of hers.
const CAVE: &str = "hecate@shakespeare.example/cave";
const ALL: [&str; 4] = ["messages", "participants", "info", "presence"];

fn mix_join(w: &mut World, to: &str, from: &str, nick: &str, nodes: &[&str]) -> Stanzas {
    let nodes: String = nodes
        .iter()
        .map(|node| format!("<subscribe node='urn:xmpp:mix:nodes:{node}'/>"))
        .collect();
    let join = format!("<join xmlns='urn:xmpp:mix:core:1'>{nodes}<nick>{nick}</nick></join>");
    w.iq_to(to, from, "set", &join)
}

fn mix_leave(w: &mut World, from: &str) -> Stanzas {
    w.iq(from, "set", "<leave xmlns='urn:xmpp:mix:core:1'/>")
}

fn presence(w: &mut World, from: &str, attributes: &str, children: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}' {attributes}>{children}</presence>"
    ))
}

/// A room of both views with an owner and a MUC occupant.
fn witches() -> World {
    let mut w = World::both().with_room();
    w.join(HAG, "thirdwitch");
    w
}

/// The same, and Hecate takes part by MIX.
fn with_hecate() -> World {
    let mut w = witches();
    mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    w
}

fn show(stanza: &crate::common::Sent) -> Option<String> {
    stanza.child("show", ns::CLIENT).map(minidom::Element::text)
}

#[test]
fn map_01_muc_mix_02_the_node_names_the_view() {
    let w = witches();
    let asked = |payload: &str| {
        let xml = format!("<iq from='{HAG}' to='{ROOM}' id='1' type='get'>{payload}</iq>");
        match w.dispatch(&xml) {
            Inbound::Channel {
                request: Request::Query(query),
                ..
            } => query,
            other => panic!("{other:?}"),
        }
    };
    for (space, node, query) in [
        (ns::DISCO_INFO, "", Query::Info { view: View::Muc }),
        (
            ns::DISCO_INFO,
            "node='mix'",
            Query::Info { view: View::Mix },
        ),
        (ns::DISCO_ITEMS, "", Query::Items { view: View::Muc }),
        (
            ns::DISCO_ITEMS,
            "node='mix'",
            Query::Items { view: View::Mix },
        ),
    ] {
        assert_eq!(asked(&format!("<query xmlns='{space}' {node}/>")), query);
    }
}

#[test]
fn map_02_presence_goes_by_the_form_of_the_address() {
    let w = witches();
    let command = |xml: String| match w.dispatch(&xml) {
        Inbound::Channel {
            request: Request::Command(command),
            origin,
            ..
        } => (command, origin.view),
        other => panic!("{other:?}"),
    };
    let (join, view) = command(format!(
        "<presence from='{HAG}' to='{ROOM}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert!(matches!(join, Command::Join(_)) && view == View::Muc);
    let (update, _) = command(format!("<presence from='{HAG}' to='{ROOM}/x'/>"));
    assert!(matches!(update, Command::Update { nick: Some(_), .. }));
    let (leave, _) = command(format!(
        "<presence from='{HAG}' to='{ROOM}/x' type='unavailable'/>"
    ));
    assert!(matches!(leave, Command::Leave { .. }));
    let (online, view) = command(format!("<presence from='{HAG}' to='{ROOM}'/>"));
    assert!(matches!(online, Command::Online { .. }) && view == View::Mix);
}

#[test]
fn map_02_muc_pres_12_bare_presence_never_touches_a_participants_muc_session() {
    let mut w = witches();
    let out = presence(&mut w, HAG, "", "<show>away</show>");
    assert_eq!(
        out.to(CRONE).one().from(),
        "coven@chat.example/thirdwitch",
        "no participant"
    );
    mix_join(
        &mut w,
        ROOM,
        "hag66@shakespeare.example",
        "thirdwitch",
        &ALL,
    );
    presence(&mut w, HAG, "type='unavailable'", "");
    let muc = w
        .coven()
        .channel
        .roster()
        .sessions()
        .filter(|s| s.view == View::Muc);
    assert!(muc.map(|s| s.jid.as_str().to_owned()).any(|jid| jid == HAG));
}

#[test]
fn map_03_groupchat_belongs_to_the_view_of_its_sender() {
    let mut w = with_hecate();
    let from = |out: &Stanzas| out.to(CRONE).one().from().to_owned();
    assert_eq!(
        from(&w.say(HAG, "m1", "x")),
        "coven@chat.example/thirdwitch"
    );
    assert_eq!(from(&w.say(CAVE, "m2", "x")), "coven@chat.example/hecate");
    let out = w.say(WICCA, "m3", "x");
    assert_eq!(out.one().error(), ("cancel", "not-acceptable"));
}

#[test]
fn map_04_names_with_a_hash_are_no_rooms() {
    let mut w = World::muc();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='a#coven@chat.example/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert_eq!(out.one().error().1, "not-acceptable");
    let mut w = World::both();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='a#coven@chat.example/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert!(out.presences().iter().all(|s| s.kind() == "error"));
}

#[test]
fn map_05_iqs_go_by_namespace() {
    let mut w = witches();
    let owner = "<query xmlns='http://jabber.org/protocol/muc#owner'/>";
    assert!(
        w.iq(CRONE, "get", owner)
            .one()
            .payload()
            .is("query", ns::MUC_OWNER)
    );
    let out = mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    let result = out.iter().find(|s| s.is_iq()).unwrap();
    assert!(result.payload().is("join", ns::MIX_CORE), "{result:?}");
    let relayed = w.iq_to(
        "coven@chat.example/thirdwitch",
        CRONE,
        "get",
        "<query xmlns='jabber:iq:version'/>",
    );
    assert_eq!(relayed.one().to(), HAG);
}

#[test]
fn map_06_map_84_whose_form_an_archive_query_gets() {
    let w = witches();
    let view = |to: &str, w: &World, node: &str| {
        let xml = format!(
            "<iq from='{HAG}' to='{to}' id='1' type='set'><query xmlns='urn:xmpp:mam:2' {node}/></iq>"
        );
        match w.dispatch(&xml) {
            Inbound::Channel {
                request: Request::Query(Query::Archive(query)),
                ..
            } => query.view,
            other => panic!("{other:?}"),
        }
    };
    let node = "node='urn:xmpp:mix:nodes:messages'";
    assert_eq!(view(ROOM, &w, node), Some(View::Mix));
    assert_eq!(view(ROOM, &w, ""), None, "the core decides by session");
    let pair = World::pair();
    assert_eq!(view(ROOM, &pair, ""), Some(View::Muc));
    assert_eq!(view("coven@mix.example", &pair, ""), Some(View::Mix));
    let mut w = with_hecate();
    w.say(HAG, "m1", "x");
    let query = "<query xmlns='urn:xmpp:mam:2'/>";
    let out = w.iq(HAG, "set", query);
    assert!(out[0].xml.contains("from='coven@chat.example/thirdwitch'"));
    let out = w.iq(CAVE, "set", query);
    assert!(
        out[0].xml.contains("<mix xmlns='urn:xmpp:mix:core:1'>"),
        "{out:?}"
    );
    let out = w.iq(WICCA, "set", query);
    assert!(
        out[0].xml.contains("from='coven@chat.example/thirdwitch'"),
        "an open room's archive"
    );
}

#[test]
fn map_07_the_same_answer_for_both() {
    let mut w = with_hecate();
    for payload in [
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='jabber:iq:version'/>",
    ] {
        let (muc, mix) = (w.iq(HAG, "get", payload), w.iq(CAVE, "get", payload));
        let inner = |out: &Stanzas| out.one().tree.children().cloned().collect::<Vec<_>>();
        assert_eq!(inner(&muc), inner(&mix));
        assert_eq!(muc.one().kind(), "result");
    }
}

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
fn map_26_map_27_map_09_a_message_from_mix_is_one_of_the_occupant() {
    let mut w = with_hecate();
    let out = w.say(CAVE, "own-1", "Beldams!");
    let seen = out.to(HAG);
    let seen = seen.one();
    assert_eq!(
        (seen.from(), seen.kind(), seen.id()),
        ("coven@chat.example/hecate", "groupchat", "own-1")
    );
    assert!(seen.occupant_id().is_some() && seen.child("mix", ns::MIX_CORE).is_none());
    assert_eq!(out.to(CRONE).one().stanza_id(), seen.stanza_id());
    let mix = out.to(HECATE);
    assert_eq!(
        Some(mix.one().id()),
        seen.stanza_id(),
        "the archive id to MIX"
    );
}

#[test]
fn map_28_a_subject_set_by_mix() {
    let mut w = with_hecate();
    let subject = |from: &str| {
        format!(
            "<message from='{from}' to='{ROOM}' type='groupchat'><subject>Fire!</subject></message>"
        )
    };
    assert_eq!(w.send(&subject(CAVE)).one().error(), ("auth", "forbidden"));
    mix_join(
        &mut w,
        ROOM,
        "crone1@shakespeare.example",
        "firstwitch",
        &ALL,
    );
    w.send(&subject("crone1@shakespeare.example/elsewhere"));
    let last = w.join(WICCA, "secondwitch").to(WICCA);
    let last = last.last().unwrap();
    assert_eq!(last.child("subject", ns::CLIENT).unwrap().text(), "Fire!");
    assert_eq!(last.from(), "coven@chat.example/firstwitch");
}

#[test]
fn map_29_history_and_archive_are_one() {
    let mut w = with_hecate();
    let said = w.say(CAVE, "own-1", "Beldams!").to(HAG);
    let id = said.one().stanza_id().unwrap();
    let burst = w.join(WICCA, "secondwitch").to(WICCA);
    let old = burst.iter().find(|s| s.body().is_some()).unwrap();
    assert_eq!(
        (old.from(), old.id(), old.stanza_id()),
        ("coven@chat.example/hecate", "own-1", Some(id))
    );
    assert!(!old.xml.contains(HECATE));
    let archive = w.iq(HAG, "set", "<query xmlns='urn:xmpp:mam:2'/>");
    assert_eq!(
        archive[0].child("result", ns::MAM).unwrap().attr("id"),
        Some(id)
    );
}

#[test]
fn map_40_a_locked_room_is_not_there_for_mix() {
    let mut w = World::both();
    w.join(CRONE, "firstwitch");
    let out = mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    let create = "<create xmlns='urn:xmpp:mix:core:1' channel='coven'/>";
    let out = w.iq_to("chat.example", HECATE, "set", create);
    assert_eq!(out.one().error(), ("cancel", "conflict"));
}

#[test]
fn map_40_map_42_a_channel_made_by_mix_is_an_open_room_that_stays() {
    let mut w = World::both();
    let create = "<create xmlns='urn:xmpp:mix:core:1' channel='coven'/>";
    assert_eq!(
        w.iq_to("chat.example", HECATE, "set", create).one().kind(),
        "result"
    );
    let own = w.join(HAG, "thirdwitch").to(HAG).presences();
    assert_eq!(own.one().codes(), [110], "not created by this join");
    w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}/thirdwitch' type='unavailable'/>"
    ));
    assert!(w.coven().channel.roster().exists());
}

#[test]
fn map_42_participants_keep_a_room_and_make_it_persistent() {
    let mut w = witches();
    let out = mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    let notice = out.to(HAG).messages();
    assert_eq!(notice.one().codes(), [104]);
    for (from, nick) in [(HAG, "thirdwitch"), (CRONE, "firstwitch")] {
        w.send(&format!(
            "<presence from='{from}' to='{ROOM}/{nick}' type='unavailable'/>"
        ));
    }
    assert!(w.coven().channel.roster().exists());
    let temporary = "<field var='muc#roomconfig_persistentroom'><value>0</value></field>";
    let out = w.submit(CRONE, temporary);
    assert_eq!(out.one().error(), ("modify", "not-acceptable"));
}

#[test]
fn map_41_map_81_destroying_ends_both_views_and_names_addresses_of_each() {
    let mut w = World::pair().with_room();
    w.join(HAG, "thirdwitch");
    let destroy = "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='heath@mix.example'/></query>";
    let out = w.iq(CRONE, "set", destroy);
    let end = out.to(HAG);
    let destroy = end
        .one()
        .x()
        .unwrap()
        .get_child("destroy", ns::MUC_USER)
        .unwrap();
    assert_eq!(destroy.attr("jid"), Some("heath@chat.example"));
    assert!(!w.coven().channel.roster().exists());
}

#[test]
fn map_81_map_27_in_a_pair_each_view_has_its_own_addresses() {
    let mut w = World::pair().with_room();
    w.join(HAG, "thirdwitch");
    mix_join(&mut w, "coven@mix.example", HECATE, "hecate", &ALL);
    let out = w.say(HAG, "m1", "x");
    let muc = out.to(CRONE);
    assert_eq!(
        muc.one().child("stanza-id", ns::SID).unwrap().attr("by"),
        Some(ROOM)
    );
    assert!(!muc.one().xml.contains("mix.example"));
    let mix = out.to(HECATE);
    assert!(mix.one().from().starts_with("coven@mix.example/"));
    assert!(!mix.one().xml.contains("chat.example"), "{mix:?}");
    let from_mix = w.send(&format!(
        "<message from='{CAVE}' to='coven@mix.example' type='groupchat'><body>y</body></message>"
    ));
    assert_eq!(from_mix.to(HAG).one().from(), "coven@chat.example/hecate");
}

#[test]
fn map_83_stanzas_of_one_view_at_the_domain_of_the_other() {
    let mut w = World::pair().with_room();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='coven@mix.example/thirdwitch'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert_eq!(out.one().error(), ("cancel", "gone"));
    assert!(
        out.one()
            .xml
            .contains(">xmpp:coven@chat.example?join</gone>"),
        "{out:?}"
    );
    let out = mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    assert_eq!(out.one().error(), ("modify", "redirect"));
    assert!(
        out.one()
            .xml
            .contains(">xmpp:coven@mix.example?join</redirect>"),
        "{out:?}"
    );
    for payload in [
        "<leave xmlns='urn:xmpp:mix:core:1'/>",
        "<setnick xmlns='urn:xmpp:mix:core:1'><nick>x</nick></setnick>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:mix:nodes:info'/></pubsub>",
    ] {
        let out = w.iq(HECATE, "set", payload);
        assert_eq!(
            out.one().error(),
            ("cancel", "service-unavailable"),
            "{payload}"
        );
    }
    let owner = "<query xmlns='http://jabber.org/protocol/muc#owner'/>";
    let out = w.iq_to("coven@mix.example", CRONE, "get", owner);
    assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
    let out = w.send(&format!(
        "<presence from='{HAG}' to='coven@mix.example/x'/>"
    ));
    assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
    let out = w.send(&format!(
        "<message from='{HAG}' to='coven@mix.example/x' type='chat'><body>x</body></message>"
    ));
    assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
}

#[test]
fn map_85_a_name_is_taken_in_both_domains() {
    let mut w = World::pair().with_room();
    let create = "<create xmlns='urn:xmpp:mix:core:1' channel='coven'/>";
    let out = w.iq_to("mix.example", HECATE, "set", create);
    assert_eq!(out.one().error(), ("cancel", "conflict"));
    let create = "<create xmlns='urn:xmpp:mix:core:1' channel='heath'/>";
    w.iq_to("mix.example", HECATE, "set", create);
    let out = w.send(&format!(
        "<presence from='{HAG}' to='heath@chat.example/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert!(
        out.to(HAG)
            .presences()
            .iter()
            .all(|s| !s.codes().contains(&201))
    );
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
