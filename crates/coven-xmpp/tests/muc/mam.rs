//! The archive in MUC form.

use crate::common::{CRONE, HAG, NOON, ROOM, Sent, Stanzas, WICCA, World};
use coven_core::Timestamp;
use coven_xmpp::ns;
use minidom::Element;

/// Five messages, one a minute.
fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    for minute in 0..5 {
        w.now = Timestamp(NOON + minute * 60_000);
        let from = if minute % 2 == 0 { HAG } else { CRONE };
        w.say(from, &format!("own{minute}"), &format!("m{minute}"));
    }
    w
}

fn query(w: &mut World, from: &str, inner: &str) -> Stanzas {
    let query = format!("<query xmlns='urn:xmpp:mam:2' queryid='q1'>{inner}</query>");
    w.iq(from, "set", &query)
}

fn form(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>urn:xmpp:mam:2</value></field>{fields}</x>"
    )
}

fn rsm(inner: &str) -> String {
    format!("<set xmlns='http://jabber.org/protocol/rsm'>{inner}</set>")
}

fn forwarded(sent: &Sent) -> &Element {
    let result = sent.child("result", ns::MAM).unwrap();
    let forwarded = result.get_child("forwarded", ns::FORWARD).unwrap();
    forwarded.get_child("message", ns::CLIENT).unwrap()
}

fn bodies(out: &Stanzas) -> String {
    let results = out.iter().filter(|s| s.child("result", ns::MAM).is_some());
    let bodies = results.map(|s| forwarded(s).get_child("body", ns::CLIENT).unwrap().text());
    bodies.collect::<Vec<_>>().join(" ")
}

fn ids(out: &Stanzas) -> Vec<String> {
    let results = out.iter().filter_map(|s| s.child("result", ns::MAM));
    results.map(|r| r.attr("id").unwrap().to_owned()).collect()
}

fn fin(out: &Stanzas) -> Element {
    let last = out.last().unwrap();
    assert_eq!((last.kind(), last.id()), ("result", "iq1"), "{last:?}");
    last.child("fin", ns::MAM).unwrap().clone()
}

#[test]
fn muc_mam_08_muc_mam_09_muc_mam_10_muc_mam_21_muc_occid_02_results_then_the_end() {
    let mut w = witches();
    let out = query(&mut w, HAG, "");
    assert_eq!(out.len(), 6);
    let first = &out[0];
    assert_eq!((first.from(), first.to(), first.kind()), (ROOM, HAG, ""));
    let result = first.child("result", ns::MAM).unwrap();
    assert_eq!(result.attr("queryid"), Some("q1"));
    let forwarded_ = result.get_child("forwarded", ns::FORWARD).unwrap();
    let delay = forwarded_.get_child("delay", ns::DELAY).unwrap();
    assert_eq!(delay.attr("stamp"), Some("2026-01-01T12:00:00.000Z"));
    let message = forwarded(first);
    assert_eq!(message.attr("from"), Some("coven@chat.example/thirdwitch"));
    assert_eq!(
        (message.attr("to"), message.attr("type")),
        (None, Some("groupchat"))
    );
    assert_eq!(message.attr("id"), Some("own0"));
    let live = w.say(HAG, "own9", "m9");
    let id = message
        .get_child("occupant-id", ns::OCCUPANT_ID)
        .unwrap()
        .attr("id");
    assert_eq!(id, live[0].occupant_id());
    assert_eq!(bodies(&out), "m0 m1 m2 m3 m4");
    let fin = fin(&out);
    assert_eq!(fin.attr("complete"), Some("true"));
    let set = fin.get_child("set", ns::RSM).unwrap();
    let ids = ids(&out);
    assert_eq!(set.get_child("first", ns::RSM).unwrap().text(), ids[0]);
    assert_eq!(set.get_child("last", ns::RSM).unwrap().text(), ids[4]);
}

#[test]
fn muc_mam_11_the_form_and_its_fields() {
    let mut w = witches();
    let out = w.iq(HAG, "get", "<query xmlns='urn:xmpp:mam:2'/>");
    let x = out
        .one()
        .payload()
        .get_child("x", ns::DATA_FORMS)
        .unwrap()
        .clone();
    let vars: Vec<_> = x
        .children()
        .filter_map(|f| Some((f.attr("var")?, f.attr("type")?)))
        .collect();
    assert_eq!(
        vars,
        [
            ("FORM_TYPE", "hidden"),
            ("with", "jid-single"),
            ("start", "text-single"),
            ("end", "text-single"),
            ("before-id", "text-single"),
            ("after-id", "text-single"),
            ("ids", "list-multi"),
        ]
    );
    let ids = x.children().last().unwrap();
    let validate = ids.get_child("validate", ns::FORM_VALIDATION).unwrap();
    assert!(validate.get_child("open", ns::FORM_VALIDATION).is_some());
    assert!(!out.one().xml.contains("required"));
    let all = query(&mut w, HAG, "");
    let id = ids_of(&all);
    for (fields, got) in [
        (vec![("start", "2026-01-01T12:01:00Z")], "m1 m2 m3 m4"),
        (vec![("end", "2026-01-01T12:01:00Z")], "m0 m1"),
        (
            vec![
                ("start", "2026-01-01T12:01:00Z"),
                ("end", "2026-01-01T12:03:00Z"),
            ],
            "m1 m2 m3",
        ),
        (vec![("with", "coven@chat.example/firstwitch")], "m1 m3"),
        (vec![("with", "coven@chat.example")], "m0 m1 m2 m3 m4"),
        (vec![("after-id", &id[1])], "m2 m3 m4"),
        (vec![("before-id", &id[1])], "m0"),
        (vec![("ids", &id[3])], "m3"),
        (vec![("start", "2030-01-01T00:00:00Z")], ""),
    ] {
        let out = query(&mut w, HAG, &form(&fields));
        assert_eq!(bodies(&out), got, "{fields:?}");
        assert_eq!(fin(&out).attr("complete"), Some("true"));
    }
}

fn ids_of(out: &Stanzas) -> Vec<String> {
    ids(out)
}

#[test]
fn muc_mam_12_forms_that_are_none() {
    let mut w = witches();
    let other = form(&[]).replace("urn:xmpp:mam:2<", "urn:example<");
    for (inner, error) in [
        (
            form(&[("colour", "green")]),
            ("cancel", "feature-not-implemented"),
        ),
        (other, ("modify", "bad-request")),
        (
            "<x xmlns='jabber:x:data' type='submit'/>".into(),
            ("modify", "bad-request"),
        ),
        (
            form(&[]).replace("submit", "form"),
            ("modify", "bad-request"),
        ),
        (form(&[("start", "yesterday")]), ("modify", "bad-request")),
        (
            form(&[("end", "2026-13-01T00:00:00Z")]),
            ("modify", "bad-request"),
        ),
        (form(&[("with", "a@@b")]), ("modify", "bad-request")),
        (rsm("<max>few</max>"), ("modify", "bad-request")),
        (
            rsm("<index>3</index>"),
            ("cancel", "feature-not-implemented"),
        ),
    ] {
        let out = query(&mut w, HAG, &inner);
        assert_eq!(out.one().error(), error, "{inner}");
    }
}

#[test]
fn muc_mam_13_ids_that_nobody_gave() {
    let mut w = witches();
    let unknown = coven_core::ArchiveId([5; 16]).to_string();
    for id in ["nonsense", unknown.as_str()] {
        for inner in [
            form(&[("before-id", id)]),
            form(&[("after-id", id)]),
            form(&[("ids", id)]),
            rsm(&format!("<after>{id}</after>")),
            rsm(&format!("<before>{id}</before>")),
        ] {
            let out = query(&mut w, HAG, &inner);
            assert_eq!(out.one().error(), ("cancel", "item-not-found"), "{inner}");
        }
    }
}

#[test]
fn muc_mam_14_pages() {
    let mut w = witches();
    let id = ids(&query(&mut w, HAG, ""));
    for (inner, got, complete) in [
        ("<max>2</max>".to_owned(), "m0 m1", false),
        (
            format!("<max>2</max><after>{}</after>", id[1]),
            "m2 m3",
            false,
        ),
        (
            format!("<max>2</max><after>{}</after>", id[2]),
            "m3 m4",
            true,
        ),
        ("<max>2</max><before/>".to_owned(), "m3 m4", false),
        (
            format!("<max>2</max><before>{}</before>", id[3]),
            "m1 m2",
            false,
        ),
        (
            format!("<max>2</max><before>{}</before>", id[2]),
            "m0 m1",
            true,
        ),
        ("<max>0</max>".to_owned(), "", false),
    ] {
        let out = query(&mut w, HAG, &rsm(&inner));
        assert_eq!(bodies(&out), got, "{inner}");
        let fin = fin(&out);
        assert_eq!(fin.attr("complete"), complete.then_some("true"), "{inner}");
        let set = fin.get_child("set", ns::RSM).unwrap();
        assert_eq!(set.get_child("first", ns::RSM).is_some(), !got.is_empty());
    }
    w.page = 3;
    let out = query(&mut w, HAG, "");
    assert_eq!(
        bodies(&out),
        "m0 m1 m2",
        "a limit of the service, without a set"
    );
    assert_eq!(fin(&out).attr("complete"), None);
}

#[test]
fn muc_mam_15_a_flipped_page_is_only_sent_the_other_way_round() {
    let mut w = witches();
    let inner = format!("{}<flip-page/>", rsm("<max>2</max><before/>"));
    let out = query(&mut w, HAG, &inner);
    assert_eq!(bodies(&out), "m4 m3");
    let set = fin(&out).get_child("set", ns::RSM).unwrap().clone();
    let ids = ids(&out);
    assert_eq!(set.get_child("first", ns::RSM).unwrap().text(), ids[1]);
    assert_eq!(set.get_child("last", ns::RSM).unwrap().text(), ids[0]);
}

#[test]
fn muc_mam_16_the_ends_of_the_archive() {
    let mut w = World::muc().with_room();
    let metadata = "<metadata xmlns='urn:xmpp:mam:2'/>";
    let out = w.iq(HAG, "get", metadata);
    assert_eq!(out.one().payload().children().count(), 0);
    let mut w = witches();
    let all = ids(&query(&mut w, HAG, ""));
    let out = w.iq(HAG, "get", metadata);
    let ends: Vec<_> = out.one().payload().children().cloned().collect();
    assert_eq!(
        (ends[0].name(), ends[0].attr("id")),
        ("start", Some(all[0].as_str()))
    );
    assert_eq!(
        (ends[1].name(), ends[1].attr("id")),
        ("end", Some(all[4].as_str()))
    );
    assert_eq!(ends[1].attr("timestamp"), Some("2026-01-01T12:04:00.000Z"));
    w.submit(
        CRONE,
        "<field var='muc#roomconfig_membersonly'><value>1</value></field>",
    );
    assert_eq!(
        w.iq(WICCA, "get", metadata).one().error(),
        ("auth", "forbidden")
    );
}

#[test]
fn muc_mam_17_who_may_read() {
    let mut w = witches();
    assert_eq!(
        bodies(&query(&mut w, WICCA, "")),
        "m0 m1 m2 m3 m4",
        "an open room"
    );
    w.submit(
        CRONE,
        "<field var='muc#roomconfig_membersonly'><value>1</value></field>",
    );
    assert_eq!(
        query(&mut w, WICCA, "").one().error(),
        ("auth", "forbidden")
    );
}

#[test]
fn muc_mam_19_muc_mam_20_muc_anon_02_addresses_only_for_those_entitled() {
    let mut w = witches();
    let out = query(&mut w, HAG, "");
    assert!(out.iter().all(|s| !s.xml.contains("crone1")), "{out:?}");
    let out = query(&mut w, CRONE, "");
    let x = forwarded(&out[0]).get_child("x", ns::MUC_USER).unwrap();
    let item = x.get_child("item", ns::MUC_USER).unwrap();
    assert_eq!(item.attr("jid"), Some("hag66@shakespeare.example"));
    let with = form(&[("with", "crone1@shakespeare.example")]);
    let out = query(&mut w, HAG, &with);
    assert!(bodies(&out).is_empty() || out.one().kind() == "error");
    assert_eq!(bodies(&query(&mut w, CRONE, &with)), "m1 m3");
    w.submit(
        CRONE,
        "<field var='muc#roomconfig_whois'><value>anyone</value></field>",
    );
    let out = query(&mut w, HAG, "");
    assert!(
        out.iter().all(|s| !s.xml.contains("crone1")),
        "said while it was hidden"
    );
    w.say(CRONE, "own6", "m6");
    let out = query(&mut w, HAG, "");
    let shown = out.iter().filter(|s| s.xml.contains("crone1")).count();
    assert_eq!(shown, 1);
}

#[test]
fn muc_anon_03_an_owner_sees_addresses_without_being_there() {
    let mut w = witches();
    let out = query(&mut w, "crone1@shakespeare.example/elsewhere", "");
    assert!(out[0].xml.contains("jid='hag66@shakespeare.example'"));
}

#[test]
fn muc_mam_24_preferences_are_not_for_rooms() {
    let mut w = witches();
    for kind in ["get", "set"] {
        let out = w.iq(
            HAG,
            kind,
            "<prefs xmlns='urn:xmpp:mam:2' default='always'/>",
        );
        assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
    }
}
