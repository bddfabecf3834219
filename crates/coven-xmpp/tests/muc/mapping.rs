//! Which stanza belongs to which view; what is said in one, as the other hears it.

use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA, World};
use crate::hecate::{ALL, CAVE, HECATE, mix_join, presence, witches, with_hecate};
use coven_core::{Command, Query, View};
use coven_xmpp::dispatch::{Inbound, Request};
use coven_xmpp::ns;

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
