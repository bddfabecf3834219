//! Messages to the room.

use crate::common::{CRONE, HAG, ROOM, WICCA, World};
use coven_xmpp::ns;

fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.join(WICCA, "secondwitch");
    w
}

fn groupchat(from: &str, attributes: &str, children: &str) -> String {
    format!("<message from='{from}' to='{ROOM}' type='groupchat' {attributes}>{children}</message>")
}

#[test]
fn muc_msg_01_muc_msg_02_muc_occid_02_a_message_goes_to_every_session() {
    let mut w = witches();
    let out = w.say(HAG, "hello-1", "Harpier cries: 'tis time, 'tis time.");
    assert_eq!(out.tos(), [CRONE, HAG, WICCA]);
    for copy in &*out {
        assert_eq!(
            (copy.from(), copy.kind()),
            ("coven@chat.example/thirdwitch", "groupchat")
        );
        assert_eq!(copy.id(), "hello-1");
        assert_eq!(
            copy.body().as_deref(),
            Some("Harpier cries: 'tis time, 'tis time.")
        );
        assert!(copy.occupant_id().is_some());
        assert_eq!(copy.occupant_id(), out[0].occupant_id());
    }
}

#[test]
fn muc_msg_03_a_message_without_id_gets_one_for_all_copies() {
    let mut w = witches();
    let out = w.send(&groupchat(HAG, "", "<body>x</body>"));
    assert!(!out[0].id().is_empty());
    assert!(out.iter().all(|copy| copy.id() == out[0].id()));
}

#[test]
fn muc_msg_04_muc_mam_05_payloads_pass_unchanged_and_in_order() {
    let mut w = witches();
    let payload = "<body>one</body><body xml:lang='de'>eins</body><thread>t1</thread>\
        <origin-id xmlns='urn:xmpp:sid:0' id='o1'/>\
        <stanza-id xmlns='urn:xmpp:sid:0' id='s1' by='elsewhere.example'/>\
        <active xmlns='http://jabber.org/protocol/chatstates'/>\
        <markable xmlns='urn:xmpp:chat-markers:0'/><request xmlns='urn:xmpp:receipts'/>\
        <reply xmlns='urn:xmpp:reply:0' to='coven@chat.example/firstwitch' id='r1'/>\
        <encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>q==</payload></encrypted>\
        <x xmlns='jabber:x:conference' jid='heath@chat.example'/>\
        <store xmlns='urn:xmpp:hints'/>";
    let out = w.send(&groupchat(HAG, "id='m1'", payload));
    let plain: String = payload.split("        ").collect();
    assert!(out[0].xml.contains(&plain), "{:?}", out[0]);
}

#[test]
fn muc_msg_05_muc_msg_06_muc_occid_03_muc_mam_05_what_only_the_room_says_is_removed() {
    let mut w = witches();
    let forged = [
        "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>",
        "<x xmlns='http://jabber.org/protocol/muc'/>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='coven@chat.example'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='COVEN@chat.example'/>",
        "<delay xmlns='urn:xmpp:delay' from='coven@chat.example' stamp='2002-09-10T23:08:25Z'/>",
        "<delay xmlns='urn:xmpp:delay' from='chat.example' stamp='2002-09-10T23:08:25Z'/>",
        "<moderated xmlns='urn:xmpp:message-moderate:1' by='forged'/>",
        "<result xmlns='urn:xmpp:mam:2' id='forged'/>",
        "<mentions xmlns='urn:xmpp:mmn:0'/>",
        "<hats xmlns='urn:xmpp:hats:0'/>",
        "<mav xmlns='urn:xmpp:muc:affiliations:1'/>",
    ];
    for element in forged {
        let out = w.send(&groupchat(
            HAG,
            "id='m1'",
            &format!("{element}<body>x</body>"),
        ));
        let copy = &out[0];
        assert!(
            !copy.xml.contains("forged") && !copy.xml.contains("2002"),
            "{copy:?}"
        );
        let names: Vec<_> = copy.tree.children().map(minidom::Element::name).collect();
        assert_eq!(names, ["body", "stanza-id", "occupant-id"], "{element}");
    }
}

#[test]
fn muc_msg_15_a_delay_of_others_stays_and_live_copies_get_none() {
    let mut w = witches();
    let delay = "<delay xmlns='urn:xmpp:delay' from='crone1@shakespeare.example' stamp='2002-09-10T23:08:25Z'/>";
    let out = w.send(&groupchat(CRONE, "", &format!("<body>x</body>{delay}")));
    let delays = out[0]
        .tree
        .children()
        .filter(|c| c.is("delay", ns::DELAY))
        .count();
    assert_eq!(delays, 1);
    assert!(
        !out.to(WICCA).one().xml.contains("crone1"),
        "no real address"
    );
    let presence = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}/thirdwitch'>{}</presence>",
        delay.replace("crone1", "hag66")
    ));
    assert!(presence.to(WICCA).one().child("delay", ns::DELAY).is_some());
    assert!(!presence.to(WICCA).one().xml.contains("hag66"));
    let out = w.say(CRONE, "m2", "live");
    assert!(out[0].child("delay", ns::DELAY).is_none());
}

#[test]
fn muc_msg_07_muc_err_03_a_visitor_is_refused_with_what_it_said() {
    let mut w = World::muc().with_room();
    w.submit(
        CRONE,
        "<field var='muc#roomconfig_moderatedroom'><value>1</value></field>",
    );
    w.join(HAG, "thirdwitch");
    let out = w.say(HAG, "m1", "I have no voice");
    let refusal = out.one();
    assert_eq!(refusal.error(), ("auth", "forbidden"));
    assert_eq!(
        (refusal.from(), refusal.to(), refusal.id()),
        (ROOM, HAG, "m1")
    );
    assert_eq!(refusal.error_by(), Some(ROOM));
    assert_eq!(refusal.body().as_deref(), Some("I have no voice"));
}

#[test]
fn muc_msg_08_a_stranger_is_refused() {
    let mut w = World::muc().with_room();
    let out = w.say(HAG, "m1", "let me in");
    assert_eq!(out.one().error(), ("cancel", "not-acceptable"));
}

#[test]
fn muc_msg_10_muc_comp_09_a_room_that_is_not_there() {
    let mut w = World::muc();
    let out = w.say(HAG, "m1", "hello?");
    assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    assert_eq!(
        w.iq(HAG, "get", ping).one().error(),
        ("cancel", "item-not-found")
    );
}

#[test]
fn muc_msg_11_muc_comp_10_other_messages_to_the_room_are_bad_requests() {
    let mut w = witches();
    for kind in ["chat", "normal", "bogus"] {
        let out = w.send(&format!(
            "<message from='{HAG}' to='{ROOM}' type='{kind}'><body>x</body></message>"
        ));
        assert_eq!(out.one().error(), ("modify", "bad-request"), "{kind}");
    }
    let out = w.send(&format!(
        "<message from='{HAG}' to='{ROOM}' type='headline'><body>x</body></message>"
    ));
    assert!(out.is_empty());
}

#[test]
fn muc_msg_12_a_groupchat_message_is_no_invitation() {
    let mut w = witches();
    let invite = "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@shakespeare.example'/></x>";
    let out = w.send(&groupchat(HAG, "", &format!("<body>come</body>{invite}")));
    assert_eq!(out.tos(), [CRONE, HAG, WICCA]);
    assert!(out.iter().all(|s| !s.xml.contains("invite")));
}

#[test]
fn muc_msg_13_muc_mam_03_messages_without_body_go_round_without_archive_id() {
    let mut w = witches();
    let out = w.send(&groupchat(
        HAG,
        "",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    ));
    assert_eq!(out.len(), 3);
    assert!(
        out.iter()
            .all(|s| s.stanza_id().is_none() && s.occupant_id().is_some())
    );
    assert!(w.coven().archive.is_empty());
    let out = w.send(&groupchat(
        HAG,
        "",
        "<body>x</body><no-store xmlns='urn:xmpp:hints'/>",
    ));
    assert!(out[0].stanza_id().is_none());
}

#[test]
fn muc_msg_18_carbons_are_neither_made_nor_followed() {
    let mut w = witches();
    let private = "<body>x</body><private xmlns='urn:xmpp:carbons:2'/>";
    let sent = "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded></sent>";
    let out = w.send(&groupchat(HAG, "", &format!("{private}{sent}")));
    assert!(out.iter().all(|s| s.child("sent", ns::CARBONS).is_none()));
    assert_eq!(out.len(), 3);
}

#[test]
fn s_25_muc_msg_04_what_a_client_forwards_reaches_everybody() {
    let mut w = witches();
    let forwarded = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='a@b'>\
         <body>inner</body></message></forwarded>";
    let out = w.send(&groupchat(HAG, "id='m1'", forwarded));
    assert_eq!(out.len(), 3);
    assert!(out.iter().all(|s| s.xml.contains(forwarded)), "{out:?}");
}

#[test]
fn muc_msg_06_a_message_of_which_nothing_is_left_is_refused() {
    let mut w = witches();
    let result = "<result xmlns='urn:xmpp:mam:2' id='1'/>";
    let out = w.send(&groupchat(HAG, "id='m1'", result));
    assert_eq!(out.to(HAG).one().error(), ("modify", "bad-request"));
    assert_eq!(out.len(), 1);
}

#[test]
fn muc_mam_02_muc_mam_06_one_archive_id_for_live_history_and_archive() {
    let mut w = witches();
    let out = w.say(HAG, "m1", "Thrice.");
    let id = out[0].stanza_id().unwrap().to_owned();
    let by = out[0].child("stanza-id", ns::SID).unwrap().attr("by");
    assert_eq!(by, Some(ROOM));
    assert!(out.iter().all(|s| s.stanza_id() == Some(&id)));
    let burst = w.join("duncan@shakespeare.example/x", "king");
    let old = burst.iter().find(|s| s.body().is_some()).unwrap();
    assert_eq!(old.stanza_id(), Some(id.as_str()));
    let found = w.iq(HAG, "set", "<query xmlns='urn:xmpp:mam:2'/>");
    assert_eq!(
        found[0].child("result", ns::MAM).unwrap().attr("id"),
        Some(id.as_str())
    );
    assert_eq!(w.coven().archive.len(), 1);
}

#[test]
fn muc_comp_13_the_language_of_a_stanza_is_kept() {
    let mut w = witches();
    let out = w.send(&groupchat(HAG, "xml:lang='gd'", "<body>Fàilte</body>"));
    assert!(out.iter().all(|s| s.xml.contains("xml:lang='gd'")));
    let old = w.join("duncan@shakespeare.example/x", "king");
    let old = old.iter().find(|s| s.body().is_some()).unwrap();
    assert!(old.xml.contains("xml:lang='gd'"));
}

#[test]
fn muc_comp_13_the_language_of_a_presence_stays_with_its_text() {
    let mut w = witches();
    let presence = |kind: &str, status: &str| {
        format!(
            "<presence from='{HAG}' to='{ROOM}/thirdwitch' xml:lang='gd' {kind}>{status}<show>away</show></presence>"
        )
    };
    for (kind, status, kept) in [
        (
            "",
            "<status>air falbh</status>",
            "<status xml:lang='gd'>air falbh</status>",
        ),
        (
            "",
            "<status xml:lang='en'>away</status>",
            "<status xml:lang='en'>away</status>",
        ),
        ("", "<status/>", "<status xml:lang='gd'/>"),
        (
            "type='unavailable'",
            "<status>slàn</status>",
            "<status xml:lang='gd'>slàn</status>",
        ),
    ] {
        let out = w.send(&presence(kind, status));
        assert!(out.to(CRONE).one().xml.contains(kept), "{out:?}");
    }
}

#[test]
fn muc_comp_14_what_was_of_the_component_stream_is_requalified() {
    let mut w = witches();
    let xml = format!(
        "<c:message xmlns:c='jabber:component:accept' from='{HAG}' to='{ROOM}' type='groupchat'>\
         <c:body>x</c:body><c:thread>t</c:thread></c:message>"
    );
    let out = w.send(&xml);
    assert!(
        out[0].xml.contains("<body>x</body><thread>t</thread>"),
        "{:?}",
        out[0]
    );
    assert!(!out[0].xml.contains("component"));
    let forwarded = format!(
        "<message from='{HAG}' to='{ROOM}/secondwitch' type='chat' xmlns='jabber:component:accept'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:component:accept' from='a@b'>\
         <body>inner</body></message></forwarded></message>"
    );
    let out = w.send(&forwarded);
    assert!(
        out[0]
            .xml
            .contains("<message xmlns='jabber:client' from='a@b'>"),
        "{:?}",
        out[0]
    );
}

#[test]
fn muc_err_06_what_is_too_large_is_answered_by_an_error() {
    let body = "x".repeat(300_000);
    let xml = groupchat(HAG, "id='big'", &format!("<body>{body}</body>"));
    let bytes = bytes::Bytes::from(xml);
    let scope = coven_xmpp::stanza::Scope::default();
    let limits = coven_xmpp::stream::Limits::default();
    let rejected = coven_xmpp::stanza::Stanza::read(&bytes, &scope, &limits).unwrap_err();
    let reply = rejected.reply(coven_xmpp::stanza::Echo::Nothing).unwrap();
    let sent = crate::common::Sent::read(&reply.to_bytes());
    assert_eq!(sent.error(), ("modify", "policy-violation"));
}

#[test]
fn map_26_a_correction_names_the_message_as_its_reader_knows_it() {
    let mut w = witches();
    let first = w.say(HAG, "own&apos;1", "Thrise");
    let replace = |id: &str| {
        let body = "<body>Thrice</body><replace xmlns='urn:xmpp:message-correct:0' id='";
        groupchat(
            HAG,
            "id='own-2'",
            &format!("{body}{id}'/><active xmlns='urn:example'/>"),
        )
    };
    let named = |out: &crate::common::Stanzas| {
        let replace = out[0].child("replace", ns::CORRECT).unwrap();
        replace.attr("id").unwrap().to_owned()
    };
    let by_own_id = w.send(&replace("own&apos;1"));
    assert_eq!(named(&by_own_id), "own'1");
    let by_archive_id = w.send(&replace(first[0].stanza_id().unwrap()));
    assert_eq!(
        named(&by_archive_id),
        "own'1",
        "to MUC always the sender's own id"
    );
    assert!(by_archive_id[0].child("active", "urn:example").is_some());
    let unknown = w.send(&replace("never-was"));
    assert_eq!(named(&unknown), "never-was");
}

/// As large as may be, corrected under an id that grows to six times its length: what nobody would get is refused.
#[test]
fn i9_an_id_that_outgrows_the_bound_is_refused() {
    let mut w = witches();
    for (bytes, is_heard) in [(85, true), (86, false), (1024, false)] {
        let id = "'".repeat(bytes);
        let xml = format!(
            "<message from=\"{CRONE}\" to=\"{ROOM}\" type=\"groupchat\" id=\"{id}\"><body>x</body></message>"
        );
        let out = w.send(&xml);
        if is_heard {
            assert_eq!(out.to(WICCA).one().id(), id);
        } else {
            assert_eq!(out.one().error(), ("modify", "policy-violation"));
        }
    }
}
