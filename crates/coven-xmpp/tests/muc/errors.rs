//! Requests that the service or a room cannot or will not serve.

use crate::common::{CRONE, HAG, ROOM, World, read};
use coven_xmpp::dispatch::Inbound;
use coven_xmpp::ns;

const SERVICE: &str = "chat.example";
const UNKNOWN: &str = "<frobnicate xmlns='urn:example'><a/></frobnicate>";

#[test]
fn muc_comp_05_every_request_is_answered_once_with_id_and_swapped_addresses() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    let payloads = [
        UNKNOWN,
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
        "<query xmlns='http://jabber.org/protocol/muc#admin'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<time xmlns='urn:xmpp:time'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
        "<vCard xmlns='vcard-temp'/>",
        "<prefs xmlns='urn:xmpp:mam:2'/>",
        "<metadata xmlns='urn:xmpp:mam:2'/>",
        "<query xmlns='urn:xmpp:mam:2'/>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>",
    ];
    for to in [SERVICE, "chat.example/x", ROOM, "heath@chat.example"] {
        for kind in ["get", "set"] {
            for payload in payloads {
                let out = w.iq_to(to, HAG, kind, payload);
                let answers = out.keep(|s| s.is_iq() && s.to() == HAG && s.from() == to);
                let answer = answers.one();
                assert_eq!(answer.id(), "iq1", "{to} {kind} {payload}");
                assert!(["result", "error"].contains(&answer.kind()));
            }
        }
    }
}

#[test]
fn muc_comp_05_muc_comp_08_answers_are_never_answered() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    for to in [
        SERVICE,
        ROOM,
        "heath@chat.example",
        "coven@chat.example/firstwitch",
        "coven@chat.example/x",
    ] {
        for kind in ["result", "error"] {
            let out = w.iq_to(to, HAG, kind, "<ping xmlns='urn:xmpp:ping'/>");
            assert!(out.is_empty(), "{to} {kind}: {out:?}");
        }
    }
    let own = w.dispatch(&format!(
        "<iq from='localhost' to='{SERVICE}' id='b7' type='result'/>"
    ));
    assert_eq!(
        own,
        Inbound::OwnIq {
            id: "b7".into(),
            error: false
        }
    );
    let own = w.dispatch(&format!(
        "<iq from='localhost' to='{SERVICE}' id='b7' type='error'/>"
    ));
    assert_eq!(
        own,
        Inbound::OwnIq {
            id: "b7".into(),
            error: true
        }
    );
}

#[test]
fn our_own_barrier_comes_back_and_nothing_else_of_ours_is_served() {
    let mut w = World::muc().with_room();
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let back = w.dispatch(&format!(
        "<iq from='{SERVICE}' to='{SERVICE}' id='b7' type='get'>{ping}</iq>"
    ));
    assert_eq!(
        back,
        Inbound::OwnIq {
            id: "b7".into(),
            error: false
        }
    );
    assert!(w.iq_to(ROOM, ROOM, "get", ping).is_empty());
    assert!(w.say(ROOM, "m1", "echo").is_empty());
    assert!(w.join("heath@chat.example/x", "heath").is_empty());
}

#[test]
fn muc_comp_07_unknown_requests_are_refused_and_not_passed_on() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    for to in [SERVICE, ROOM] {
        for kind in ["get", "set"] {
            let out = w.iq_to(to, HAG, kind, UNKNOWN);
            assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
            assert!(out.one().child("frobnicate", "urn:example").is_some());
        }
    }
}

#[test]
fn muc_comp_06_a_request_without_payload_is_a_bad_request() {
    for bad in [
        "<iq from='a@b/c' to='coven@chat.example' id='1' type='get'/>",
        "<iq from='a@b/c' to='coven@chat.example' id='1' type='bogus'><x xmlns='urn:x'/></iq>",
        "<iq from='a@b/c' to='coven@chat.example' id='1' type='set'><x xmlns='urn:x'/><x xmlns='urn:x'/></iq>",
    ] {
        let bytes = bytes::Bytes::copy_from_slice(bad.as_bytes());
        let scope = coven_xmpp::stanza::Scope::default();
        let limits = coven_xmpp::stream::Limits::default();
        let rejected = coven_xmpp::stanza::Stanza::read(&bytes, &scope, &limits).unwrap_err();
        let reply = rejected.reply(coven_xmpp::stanza::Echo::Nothing).unwrap();
        let sent = crate::common::Sent::read(&reply.to_bytes());
        assert_eq!(sent.error(), ("modify", "bad-request"));
    }
}

#[test]
fn muc_comp_04_addresses_that_break_the_rules_and_domains_of_others() {
    let mut w = World::muc();
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let out = w.iq_to("a\u{2028}b@chat.example", HAG, "get", ping);
    assert_eq!(out.one().error(), ("modify", "jid-malformed"));
    let group = coven_core::Group::default();
    let context = coven_xmpp::dispatch::Context {
        domains: &w.domains,
        group: &group,
        now: w.now,
        random: || [0; 32],
    };
    let stanza = read("<message from='a@b/c' to='x@elsewhere.example'/>");
    let inbound = coven_xmpp::dispatch::dispatch(&stanza, &context);
    assert!(
        matches!(inbound, Inbound::Dropped(_)),
        "an answer would close the stream"
    );
    let out = w.iq_to("CHAT.Example", HAG, "get", ping);
    assert_eq!(out.one().from(), SERVICE);
}

#[test]
fn muc_err_04_no_error_is_answered() {
    let mut w = World::muc().with_room();
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for kind in ["message", "presence", "iq"] {
        for to in [
            SERVICE,
            ROOM,
            "heath@chat.example",
            "coven@chat.example/x",
            "x#y@chat.example",
            "@chat.example",
        ] {
            let out = w.send(&format!(
                "<{kind} from='{HAG}' to='{to}' id='e' type='error'>{error}</{kind}>"
            ));
            assert!(out.is_empty(), "{kind} {to}: {out:?}");
        }
    }
}

#[test]
fn muc_err_01_muc_err_02_muc_err_03_the_form_of_an_error() {
    let mut w = World::muc().with_room();
    let out = w.iq(
        HAG,
        "get",
        "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
    );
    let error = out.one();
    assert_eq!((error.from(), error.to(), error.id()), (ROOM, HAG, "iq1"));
    assert_eq!(error.error(), ("auth", "forbidden"));
    assert_eq!(error.error_by(), Some(ROOM));
    assert!(error.child("query", ns::MUC_OWNER).is_some());
    assert!(error.is_iq());
}

#[test]
fn muc_err_10_a_nick_that_is_too_long_is_not_acceptable() {
    let mut w = World::muc().with_room();
    let out = w.join(HAG, &"x".repeat(300));
    assert_eq!(out.one().error(), ("modify", "not-acceptable"));
    let subject = "s".repeat(5000);
    let out = w.send(&format!(
        "<message from='{CRONE}' to='{ROOM}' type='groupchat'><subject>{subject}</subject></message>"
    ));
    assert_eq!(out.one().error(), ("modify", "policy-violation"));
}
