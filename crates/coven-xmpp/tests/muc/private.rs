//! Between occupants: private messages, IQs, pings.

use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA, World};
use coven_core::{Condition, ErrorType, Refusal};
use coven_xmpp::ns;

const DUNCAN: &str = "duncan@shakespeare.example/x";
const HAG2: &str = "hag66@shakespeare.example/tower";
const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.join(WICCA, "secondwitch");
    w
}

fn private(w: &mut World, from: &str, nick: &str, kind: &str, children: &str) -> Stanzas {
    w.send(&format!(
        "<message from='{from}' to='{ROOM}/{nick}' id='pm1' {kind}>{children}</message>"
    ))
}

fn iq(w: &mut World, from: &str, nick: &str, kind: &str, payload: &str) -> Stanzas {
    w.iq_to(&format!("{ROOM}/{nick}"), from, kind, payload)
}

#[test]
fn muc_pm_01_muc_pm_02_muc_pm_06_muc_pm_08_a_private_message() {
    let mut w = witches();
    for (attribute, kind) in [
        ("type='chat'", "chat"),
        ("type='normal'", ""),
        ("", ""),
        ("type='odd'", ""),
    ] {
        let out = private(
            &mut w,
            HAG,
            "secondwitch",
            attribute,
            "<body>I'll give thee a wind.</body>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>\
             <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>",
        );
        let copy = out.one();
        assert_eq!(
            (copy.to(), copy.from()),
            (WICCA, "coven@chat.example/thirdwitch")
        );
        assert_eq!((copy.id(), copy.kind()), ("pm1", kind));
        assert_eq!(copy.body().as_deref(), Some("I'll give thee a wind."));
        assert_eq!(copy.x().unwrap().children().count(), 0);
        assert!(copy.stanza_id().is_none());
        assert!(copy.occupant_id().is_some_and(|id| id != "forged"));
    }
    assert!(w.coven().archive.is_empty());
    let burst = w.join(DUNCAN, "king");
    assert!(burst.iter().all(|s| s.body().is_none()));
}

#[test]
fn muc_pm_03_groupchat_to_an_occupant_is_a_bad_request() {
    let mut w = witches();
    let out = private(
        &mut w,
        HAG,
        "secondwitch",
        "type='groupchat'",
        "<body>x</body>",
    );
    assert_eq!(out.one().error(), ("modify", "bad-request"));
    assert_eq!(out.one().to(), HAG);
}

#[test]
fn muc_pm_04_who_is_not_there() {
    let mut w = witches();
    let out = private(&mut w, HAG, "nobody", "type='chat'", "<body>x</body>");
    assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    for nick in ["secondwitch", "nobody"] {
        let out = private(&mut w, DUNCAN, nick, "type='chat'", "<body>x</body>");
        assert_eq!(
            out.one().error(),
            ("cancel", "not-acceptable"),
            "the sender is checked first"
        );
    }
}

#[test]
fn muc_pm_05_who_may_send_is_configured_and_oneself_always_may() {
    let none = coven_core::settings::config::PrivateMessages::None;
    let mut w = World::muc()
        .with_service(|s| s.defaults.private_messages = none)
        .with_room();
    w.join(HAG, "thirdwitch");
    w.join(HAG2, "thirdwitch");
    let out = private(&mut w, HAG, "firstwitch", "type='chat'", "<body>x</body>");
    assert_eq!(out.one().error(), ("auth", "forbidden"));
    let out = private(&mut w, HAG, "thirdwitch", "type='chat'", "<body>x</body>");
    assert!(out.iter().any(|s| s.to() == HAG2 && s.kind() == "chat"));
}

/// Who may not send private messages says nothing by errors either.
#[test]
fn muc_pm_05_muc_pm_07_an_error_is_no_way_to_talk() {
    let none = coven_core::settings::config::PrivateMessages::None;
    let mut w = World::muc()
        .with_service(|s| s.defaults.private_messages = none)
        .with_room();
    w.join(HAG, "thirdwitch");
    let error = "<error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>psst</text><psst xmlns='x'>psst</psst></error>";
    let forged = format!("<body>psst</body>{error}");
    let out = private(&mut w, HAG, "firstwitch", "type='error'", &forged);
    assert!(out.is_empty(), "the bounce of no private message: {out:?}");
    let bounce = format!("<x xmlns='http://jabber.org/protocol/muc#user'/>{forged}");
    let out = private(&mut w, HAG, "firstwitch", "type='error'", &bounce);
    assert_eq!(out.one().error(), ("modify", "not-acceptable"));
    assert!(!out.one().xml.contains("psst"), "{out:?}");
}

#[test]
fn muc_pm_07_muc_anon_05_muc_anon_02_an_error_goes_back_without_the_real_address() {
    let mut w = witches();
    let error = "<body>x</body><x xmlns='http://jabber.org/protocol/muc#user'/>\
        <error type='modify' by='wiccarocks@shakespeare.example'>\
        <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>WiccaRocks@shakespeare.example hears nothing</text>\
        </error>";
    let out = private(&mut w, WICCA, "thirdwitch", "type='error'", error);
    let back = out.one();
    assert_eq!(
        (back.to(), back.from(), back.id()),
        (HAG, "coven@chat.example/secondwitch", "pm1")
    );
    assert_eq!(back.error(), ("modify", "not-acceptable"));
    assert!(!back.xml.to_lowercase().contains("wiccarocks"), "{back:?}");
    let gone = error.replace("not-acceptable", "recipient-unavailable");
    let out = private(&mut w, WICCA, "thirdwitch", "type='error'", &gone);
    assert_eq!(out.one().to(), WICCA, "a ghost is probed");
    let out = private(&mut w, WICCA, "nobody", "type='error'", error);
    assert!(out.is_empty());
}

#[test]
fn muc_iq_01_muc_iq_02_muc_anon_02_an_iq_finds_its_way_and_back() {
    let mut w = witches();
    let version = "<query xmlns='jabber:iq:version'/>";
    let out = iq(&mut w, HAG, "secondwitch", "get", version);
    let asked = out.one();
    assert_eq!(
        (asked.to(), asked.from(), asked.kind()),
        (WICCA, "coven@chat.example/thirdwitch", "get")
    );
    assert_ne!(asked.id(), "iq1");
    assert!(!asked.xml.contains("hag66"));
    let answer = |id: &str, from: &str| {
        format!(
            "<iq from='{from}' to='{ROOM}/thirdwitch' id='{id}' type='result'>\
             <query xmlns='jabber:iq:version'><name>broom</name></query></iq>"
        )
    };
    let id = asked.id().to_owned();
    assert!(w.send(&answer(&id, CRONE)).is_empty(), "somebody else");
    assert!(
        w.send(&answer("iq1", WICCA)).is_empty(),
        "an id that was never given"
    );
    let out = w.send(&answer(&id, WICCA));
    let back = out.one();
    assert_eq!(
        (back.to(), back.from(), back.kind()),
        (HAG, "coven@chat.example/secondwitch", "result")
    );
    assert_eq!(back.id(), "iq1");
    assert!(back.xml.contains("broom") && !back.xml.contains("wiccarocks"));
}

#[test]
fn muc_iq_02_muc_anon_02_errors_come_back_without_addresses() {
    let mut w = witches();
    let asked = iq(
        &mut w,
        HAG,
        "secondwitch",
        "set",
        "<query xmlns='urn:example'/>",
    );
    let id = asked.one().id();
    let out = w.send(&format!(
        "<iq from='{WICCA}' to='{ROOM}/thirdwitch' id='{id}' type='error'>\
         <error type='cancel' by='{WICCA}'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <detail xmlns='urn:example' jid='wiccarocks@shakespeare.example'/></error></iq>"
    ));
    let back = out.one();
    assert_eq!((back.to(), back.id()), (HAG, "iq1"));
    assert_eq!(back.error(), ("cancel", "service-unavailable"));
    assert!(!back.xml.contains("wiccarocks"), "{back:?}");
}

#[test]
fn muc_iq_02_muc_comp_05_an_id_that_would_not_come_back_is_refused() {
    let mut w = witches();
    let asked = |w: &mut World, length: usize| {
        let id = "i".repeat(length);
        w.send(&format!(
            "<iq from='{HAG}' to='{ROOM}/secondwitch' id='{id}' type='get'><x xmlns='urn:x'/></iq>"
        ))
    };
    assert_eq!(
        asked(&mut w, 513).one().error(),
        ("modify", "policy-violation")
    );
    let id = asked(&mut w, 512).one().id().to_owned();
    let out = w.send(&format!(
        "<iq from='{WICCA}' to='{ROOM}/thirdwitch' id='{id}' type='result'/>"
    ));
    assert_eq!(out.one().id().len(), 512);
}

#[test]
fn muc_iq_03_vcards_and_pubsub_are_asked_of_the_account() {
    let mut w = witches();
    for payload in [
        "<vCard xmlns='vcard-temp'/>",
        "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/></pubsub>",
    ] {
        let out = iq(&mut w, HAG, "secondwitch", "get", payload);
        assert_eq!(
            out.one().to(),
            "wiccarocks@shakespeare.example",
            "{payload}"
        );
        let id = out.one().id();
        let out = w.send(&format!(
            "<iq from='wiccarocks@shakespeare.example' to='{ROOM}/thirdwitch' id='{id}' type='result'/>"
        ));
        assert_eq!((out.one().to(), out.one().id()), (HAG, "iq1"));
    }
}

#[test]
fn muc_iq_04_muc_disco_25_strangers_and_absent_nicks() {
    let mut w = witches();
    let version = "<query xmlns='jabber:iq:version'/>";
    assert_eq!(
        iq(&mut w, DUNCAN, "secondwitch", "get", version)
            .one()
            .error(),
        ("cancel", "not-acceptable")
    );
    assert_eq!(
        iq(&mut w, HAG, "nobody", "get", version).one().error(),
        ("cancel", "item-not-found")
    );
    for space in [ns::DISCO_INFO, ns::DISCO_ITEMS] {
        let disco = format!("<query xmlns='{space}'/>");
        let out = iq(&mut w, DUNCAN, "secondwitch", "get", &disco);
        assert_eq!(out.one().error(), ("modify", "bad-request"));
        let out = iq(&mut w, HAG, "secondwitch", "get", &disco);
        assert_eq!(out.one().to(), WICCA, "passed on");
    }
}

#[test]
fn muc_ping_01_muc_disco_33_the_room_answers_self_pings_itself() {
    let mut w = witches();
    let out = iq(&mut w, HAG, "thirdwitch", "get", PING);
    let pong = out.one();
    assert_eq!(
        (pong.to(), pong.from()),
        (HAG, "coven@chat.example/thirdwitch")
    );
    assert_eq!((pong.kind(), pong.id()), ("result", "iq1"));
    assert_eq!(pong.tree.children().count(), 0);
    let out = w.iq(DUNCAN, "get", PING);
    assert_eq!((out.one().kind(), out.one().from()), ("result", ROOM));
}

#[test]
fn muc_ping_02_muc_err_02_a_session_that_is_not_joined() {
    let mut w = witches();
    for from in [DUNCAN, HAG2] {
        let out = iq(&mut w, from, "thirdwitch", "get", PING);
        assert_eq!(out.one().error(), ("cancel", "not-acceptable"), "{from}");
        assert_eq!(out.one().error_by(), Some(ROOM));
    }
}

#[test]
fn muc_ping_05_a_self_ping_that_cannot_be_answered_now_decides_nothing() {
    let mut w = witches();
    let away = || Refusal::new(Condition::ResourceConstraint, ErrorType::Wait);
    let ping = format!("<iq from='{HAG}' to='{ROOM}/thirdwitch' id='p' type='get'>{PING}</iq>");
    let out = w.refused(&ping, away());
    assert_eq!(out.one().error(), ("wait", "remote-server-timeout"));
    let said = format!(
        "<message from='{HAG}' to='{ROOM}' id='m' type='groupchat'><body>x</body></message>"
    );
    let out = w.refused(&said, away());
    assert_eq!(out.one().error(), ("wait", "resource-constraint"));
}

#[test]
fn muc_ping_04_pings_of_others_are_passed_on_and_leak_no_nicks() {
    let mut w = witches();
    let out = iq(&mut w, HAG, "secondwitch", "get", PING);
    assert_eq!(
        (out.one().to(), out.one().from()),
        (WICCA, "coven@chat.example/thirdwitch")
    );
    let id = out.one().id();
    let out = w.send(&format!(
        "<iq from='{WICCA}' to='{ROOM}/thirdwitch' id='{id}' type='result'/>"
    ));
    assert_eq!(
        (out.one().to(), out.one().id(), out.one().kind()),
        (HAG, "iq1", "result")
    );
    assert_eq!(
        iq(&mut w, HAG, "nobody", "get", PING).one().error(),
        ("cancel", "item-not-found")
    );
    for nick in ["nobody", "secondwitch"] {
        let out = iq(&mut w, DUNCAN, nick, "get", PING);
        assert_eq!(out.one().error(), ("cancel", "not-acceptable"));
    }
}
