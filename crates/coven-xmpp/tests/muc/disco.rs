//! What a service and its rooms say of themselves.

use crate::common::{CRONE, HAG, ROOM, Sent, WICCA, World, domain};
use coven_core::Timestamp;
use coven_xmpp::ns;
use minidom::Element;

const SERVICE: &str = "chat.example";

fn info(w: &mut World, to: &str, from: &str, node: &str) -> Sent {
    let query = format!("<query xmlns='http://jabber.org/protocol/disco#info' {node}/>");
    w.iq_to(to, from, "get", &query).one().clone()
}

fn features(sent: &Sent) -> Vec<String> {
    let children = sent.payload().children().filter(|c| c.name() == "feature");
    children
        .map(|c| c.attr("var").unwrap().to_owned())
        .collect()
}

fn identity(sent: &Sent) -> Option<(&str, &str, &str)> {
    let mut all = sent.payload().children().filter(|c| c.name() == "identity");
    let first = all.next()?;
    assert!(all.next().is_none());
    Some((
        first.attr("category")?,
        first.attr("type")?,
        first.attr("name")?,
    ))
}

fn field(form: &Element, var: &str) -> Option<Vec<String>> {
    let field = form.children().find(|c| c.attr("var") == Some(var))?;
    Some(
        field
            .children()
            .filter(|c| c.name() == "value")
            .map(Element::text)
            .collect(),
    )
}

fn configure(w: &mut World, fields: &[(&str, &str)]) {
    let xml: String = fields
        .iter()
        .map(|(var, value)| {
            format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>")
        })
        .collect();
    let out = w.submit(CRONE, &xml);
    assert_eq!(out.last().unwrap().kind(), "result", "{out:?}");
}

#[test]
fn muc_disco_01_muc_disco_02_the_service() {
    let mut w = World::muc();
    let sent = info(&mut w, SERVICE, HAG, "");
    assert_eq!(identity(&sent), Some(("conference", "text", "The Witches")));
    let features = features(&sent);
    for needed in [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::MUC,
        ns::MUC_STABLE_ID,
        ns::MUC_UNIQUE,
        ns::PING,
        ns::VERSION,
        ns::TIME,
        ns::RSM,
        ns::OCCUPANT_ID,
    ] {
        assert!(features.iter().any(|f| f == needed), "{needed}");
    }
    for absent in [ns::COMMANDS, ns::VCARD_TEMP, ns::REGISTER, ns::MIX_CORE] {
        assert!(features.iter().all(|f| f != absent), "{absent}");
    }
}

#[test]
fn muc_disco_30_contacts_of_the_service() {
    let mut service = domain(SERVICE, true, false);
    service.contacts = vec![
        (
            "abuse-addresses",
            vec!["mailto:abuse@example.org".into(), "xmpp:a@b".into()],
        ),
        ("support-addresses", vec!["https://example.org/help".into()]),
    ];
    let mut w = World::of(vec![service]);
    let sent = info(&mut w, SERVICE, HAG, "");
    let form = sent.payload().get_child("x", ns::DATA_FORMS).unwrap();
    assert_eq!(field(form, "FORM_TYPE").unwrap(), [ns::SERVERINFO]);
    assert_eq!(
        field(form, "abuse-addresses").unwrap(),
        ["mailto:abuse@example.org", "xmpp:a@b"]
    );
    assert_eq!(field(form, "support-addresses").unwrap().len(), 1);
    let mut plain = World::muc();
    assert!(
        !info(&mut plain, SERVICE, HAG, "")
            .xml
            .contains("jabber:x:data")
    );
}

#[test]
fn muc_disco_03_muc_disco_04_muc_disco_29_the_list_of_rooms() {
    let mut w = World::muc().with_room();
    configure(&mut w, &[("roomname", "A Dark Cave")]);
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let out = w.iq_to(SERVICE, HAG, "get", items);
    let listed: Vec<_> = out.one().payload().children().cloned().collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].attr("jid"), listed[0].attr("name")),
        (Some(ROOM), Some("A Dark Cave"))
    );
    assert_eq!(listed[0].children().count(), 0);
    let locked = format!(
        "<presence from='{HAG}' to='heath@chat.example/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    );
    w.send(&locked);
    assert_eq!(
        w.iq_to(SERVICE, HAG, "get", items)
            .one()
            .payload()
            .children()
            .count(),
        1
    );
    configure(&mut w, &[("publicroom", "0")]);
    assert_eq!(
        w.iq_to(SERVICE, HAG, "get", items)
            .one()
            .payload()
            .children()
            .count(),
        0
    );
}

#[test]
fn muc_disco_04_muc_disco_05_muc_disco_06_pages_of_the_list() {
    let mut w = World::muc();
    for n in 0..5 {
        let room = format!("room{n}@chat.example");
        w.send(&format!(
            "<presence from='{CRONE}' to='{room}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ));
        let submit = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
        w.iq_to(&room, CRONE, "set", submit);
    }
    let query =
        |set: &str| format!("<query xmlns='http://jabber.org/protocol/disco#items'>{set}</query>");
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max></set>";
    let out = w.iq_to(SERVICE, HAG, "get", &query(set));
    let page = out.one().payload();
    assert_eq!(page.children().filter(|c| c.name() == "item").count(), 2);
    let rsm = page.get_child("set", ns::RSM).unwrap();
    let first = rsm.get_child("first", ns::RSM).unwrap();
    assert_eq!(
        (first.text().as_str(), first.attr("index")),
        ("room0", Some("0"))
    );
    assert_eq!(rsm.get_child("last", ns::RSM).unwrap().text(), "room1");
    assert_eq!(rsm.get_child("count", ns::RSM).unwrap().text(), "5");
    let count = "<set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>";
    let out = w.iq_to(SERVICE, HAG, "get", &query(count));
    let rsm = out
        .one()
        .payload()
        .get_child("set", ns::RSM)
        .unwrap()
        .clone();
    assert!(rsm.get_child("first", ns::RSM).is_none() && rsm.get_child("last", ns::RSM).is_none());
    assert_eq!(rsm.get_child("count", ns::RSM).unwrap().text(), "5");
    let index = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><index>2</index></set>";
    let out = w.iq_to(SERVICE, HAG, "get", &query(index));
    assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
    let odd = "<set xmlns='http://jabber.org/protocol/rsm'><max>many</max></set>";
    assert_eq!(
        w.iq_to(SERVICE, HAG, "get", &query(odd)).one().error(),
        ("modify", "bad-request")
    );
}

#[test]
fn muc_disco_04_i9_a_list_larger_than_a_stanza_is_cut_though_nobody_asked() {
    let mut w = World::muc();
    for n in 0..90 {
        let room = format!("{}{n}@chat.example", "r".repeat(250));
        w.send(&format!(
            "<presence from='{CRONE}' to='{room}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ));
        let submit = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
        w.iq_to(&room, CRONE, "set", submit);
    }
    w.max_stanza = 32 * 1024;
    let out = w.iq_to(
        SERVICE,
        HAG,
        "get",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    );
    let page = out.one().payload();
    let items = page.children().filter(|c| c.name() == "item").count();
    assert!(items > 5 && items < 90, "{items}");
    let rsm = page.get_child("set", ns::RSM).unwrap();
    assert_eq!(rsm.get_child("count", ns::RSM).unwrap().text(), "90");
    let before = "<query xmlns='http://jabber.org/protocol/disco#items'>\
        <set xmlns='http://jabber.org/protocol/rsm'><before/></set></query>";
    let out = w.iq_to(SERVICE, HAG, "get", before);
    let page = out.one().payload();
    let last = page
        .get_child("set", ns::RSM)
        .unwrap()
        .get_child("last", ns::RSM)
        .unwrap();
    let items: Vec<_> = page.children().filter(|c| c.name() == "item").collect();
    let jid = items.last().unwrap().attr("jid").unwrap();
    assert!(
        jid.starts_with(&last.text()),
        "what is read backwards loses its front"
    );
    let first = page
        .get_child("set", ns::RSM)
        .unwrap()
        .get_child("first", ns::RSM)
        .unwrap();
    assert_eq!(
        first.attr("index"),
        Some((90 - items.len()).to_string().as_str())
    );
}

#[test]
fn muc_disco_07_muc_disco_08_muc_disco_10_muc_mam_01_muc_ping_03_muc_occid_01_a_room() {
    let mut w = World::muc().with_room();
    let sent = info(&mut w, ROOM, WICCA, "");
    assert_eq!(identity(&sent), Some(("conference", "text", "coven")));
    configure(&mut w, &[("roomname", "A Dark Cave")]);
    let sent = info(&mut w, ROOM, WICCA, "");
    assert_eq!(identity(&sent), Some(("conference", "text", "A Dark Cave")));
    let owner = info(&mut w, ROOM, CRONE, "");
    assert_eq!(identity(&owner), identity(&sent), "MUC-DISCO-29");
    let all = features(&sent);
    for needed in [
        ns::MUC,
        ns::MUC_STABLE_ID,
        ns::MUC_SELF_PING,
        ns::MUC_ROOMINFO,
        ns::MUC_ROOMCONFIG,
        ns::OCCUPANT_ID,
        ns::SID,
        ns::MAM,
        "urn:xmpp:mam:2#extended",
        ns::DISCO_INFO,
    ] {
        assert!(all.iter().any(|f| f == needed), "{needed}");
    }
    let kinds = |w: &mut World| {
        let all = features(&info(w, ROOM, WICCA, ""));
        let mut kinds: Vec<_> = all.into_iter().filter(|f| f.starts_with("muc_")).collect();
        kinds.sort();
        kinds.join(" ")
    };
    assert_eq!(
        kinds(&mut w),
        "muc_open muc_public muc_semianonymous muc_temporary muc_unmoderated muc_unsecured"
    );
    configure(
        &mut w,
        &[
            ("publicroom", "0"),
            ("persistentroom", "1"),
            ("membersonly", "1"),
            ("moderatedroom", "1"),
            ("whois", "anyone"),
            ("roomsecret", "cauldron"),
        ],
    );
    assert_eq!(
        kinds(&mut w),
        "muc_hidden muc_membersonly muc_moderated muc_nonanonymous muc_passwordprotected muc_persistent"
    );
}

#[test]
fn muc_disco_09_a_room_tells_what_it_does_and_not_what_it_does_not() {
    let mut w = World::muc().with_room();
    let all = features(&info(&mut w, ROOM, WICCA, ""));
    assert!(all.iter().any(|f| f == ns::MUC_STABLE_ID));
    for absent in [ns::REGISTER, ns::MUC_REGISTER, ns::MUC_REQUEST] {
        assert!(all.iter().all(|f| f != absent), "{absent}");
    }
}

#[test]
fn muc_disco_11_rooms_that_are_not_there_or_locked() {
    let mut w = World::muc();
    assert_eq!(
        info(&mut w, ROOM, HAG, "").error(),
        ("cancel", "item-not-found")
    );
    w.join(CRONE, "firstwitch");
    assert_eq!(
        info(&mut w, ROOM, HAG, "").error(),
        ("cancel", "item-not-found")
    );
    assert_eq!(info(&mut w, ROOM, CRONE, "").kind(), "result");
}

#[test]
fn muc_disco_12_a_hidden_room_tells_those_who_know_it() {
    let mut w = World::muc().with_room();
    configure(&mut w, &[("publicroom", "0")]);
    assert_eq!(info(&mut w, ROOM, WICCA, "").kind(), "result");
}

#[test]
fn muc_disco_13_muc_disco_14_muc_disco_15_muc_disco_17_muc_disco_21_muc_disco_22_muc_disco_23_roominfo()
 {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.join("hag66@shakespeare.example/tower", "thirdwitch");
    configure(
        &mut w,
        &[
            ("roomdesc", "The place for all good witches!"),
            ("roomsecret", "cauldron"),
        ],
    );
    let sent = info(&mut w, ROOM, HAG, "");
    let form = sent.payload().get_child("x", ns::DATA_FORMS).unwrap();
    assert_eq!(form.attr("type"), Some("result"));
    assert_eq!(field(form, "FORM_TYPE").unwrap(), [ns::MUC_ROOMINFO]);
    assert_eq!(
        field(form, "muc#roominfo_description").unwrap(),
        ["The place for all good witches!"]
    );
    assert_eq!(field(form, "muc#roominfo_occupants").unwrap(), ["2"]);
    for same in [
        "muc#roominfo_subjectmod",
        "muc#roominfo_changesubject",
        "muc#roomconfig_changesubject",
    ] {
        assert_eq!(field(form, same).unwrap(), ["0"]);
    }
    assert_eq!(field(form, "muc#maxhistoryfetch").unwrap(), ["20"]);
    assert_eq!(field(form, "muc#roomconfig_allowpm").unwrap(), ["anyone"]);
    assert!(!sent.xml.contains("cauldron") && !sent.xml.contains("roomsecret"));
}

#[test]
fn muc_disco_16_the_subject_is_for_those_who_may_see_it() {
    let mut w = World::muc().with_room();
    w.send(&format!(
        "<message from='{CRONE}' to='{ROOM}' type='groupchat'><subject>Fire &amp; Burn</subject></message>"
    ));
    let subject = |w: &mut World, from: &str| {
        let sent = info(w, ROOM, from, "");
        let form = sent
            .payload()
            .get_child("x", ns::DATA_FORMS)
            .unwrap()
            .clone();
        field(&form, "muc#roominfo_subject")
    };
    assert_eq!(subject(&mut w, HAG).unwrap(), ["Fire & Burn"]);
    configure(&mut w, &[("publicroom", "0")]);
    assert_eq!(subject(&mut w, HAG), None);
    assert!(subject(&mut w, CRONE).is_some());
}

#[test]
fn muc_disco_24_occupants_are_private() {
    let mut w = World::muc().with_room();
    let out = w.iq(
        HAG,
        "get",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    );
    assert_eq!(out.one().payload().children().count(), 0);
    assert_eq!(out.one().kind(), "result");
}

#[test]
fn muc_disco_26_muc_disco_28_the_reserved_nick() {
    let mut w = World::muc().with_room();
    let sent = info(&mut w, ROOM, HAG, "node='x-roomuser-item'");
    assert_eq!(sent.payload().attr("node"), Some("x-roomuser-item"));
    assert_eq!(sent.payload().children().count(), 0);
    w.join(HAG, "thirdwitch");
    let sent = info(&mut w, ROOM, HAG, "node='x-roomuser-item'");
    assert_eq!(
        sent.payload().children().count(),
        0,
        "no reservation by being here"
    );
}

#[test]
fn muc_disco_27_nothing_is_filtered() {
    let mut w = World::muc().with_room();
    let sent = info(
        &mut w,
        ROOM,
        HAG,
        "node='http://jabber.org/protocol/muc#traffic'",
    );
    assert_eq!(sent.error(), ("cancel", "service-unavailable"));
}

#[test]
fn muc_disco_28_unknown_nodes() {
    let mut w = World::muc().with_room();
    for to in [ROOM, SERVICE] {
        for space in [ns::DISCO_INFO, ns::DISCO_ITEMS] {
            let query = format!("<query xmlns='{space}' node='urn:example:nothing'/>");
            let out = w.iq_to(to, HAG, "get", &query);
            assert_eq!(
                out.one().error(),
                ("cancel", "item-not-found"),
                "{to} {space}"
            );
        }
    }
}

#[test]
fn muc_disco_31_version_of_service_and_room() {
    let mut w = World::muc().with_room();
    for to in [SERVICE, ROOM] {
        let out = w.iq_to(to, HAG, "get", "<query xmlns='jabber:iq:version'/>");
        let query = out.one().payload();
        assert_eq!(
            query.get_child("name", ns::VERSION).unwrap().text(),
            "coven"
        );
        assert!(
            !query
                .get_child("version", ns::VERSION)
                .unwrap()
                .text()
                .is_empty()
        );
        assert!(query.get_child("os", ns::VERSION).is_none());
    }
}

#[test]
fn muc_disco_32_the_time() {
    let mut w = World::muc();
    w.now = Timestamp(w.now.0 + 789);
    let out = w.iq_to(SERVICE, HAG, "get", "<time xmlns='urn:xmpp:time'/>");
    let time = out.one().payload();
    assert_eq!(
        time.get_child("utc", ns::TIME).unwrap().text(),
        "2026-01-01T12:00:00.789Z"
    );
    assert_eq!(time.get_child("tzo", ns::TIME).unwrap().text(), "Z");
}

#[test]
fn muc_disco_33_ping_of_service_and_room() {
    let mut w = World::muc();
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    assert_eq!(w.iq_to(SERVICE, HAG, "get", ping).one().kind(), "result");
    assert_eq!(
        w.iq_to(ROOM, HAG, "get", ping).one().error(),
        ("cancel", "item-not-found")
    );
    let mut w = w.with_room();
    let out = w.iq_to(ROOM, HAG, "get", ping);
    assert_eq!(
        (out.one().kind(), out.one().tree.children().count()),
        ("result", 0)
    );
}

#[test]
fn muc_disco_20_muc_hist_08_the_history_that_can_really_be_fetched() {
    let mut only = domain("chat.example", true, false);
    only.service = std::sync::Arc::new(coven_core::Service {
        max_history: 5,
        ..coven_core::Service::default()
    });
    let mut w = World::of(vec![only]).with_room();
    let sent = info(&mut w, ROOM, HAG, "");
    let form = sent.payload().get_child("x", ns::DATA_FORMS).unwrap();
    assert_eq!(field(form, "muc#maxhistoryfetch").unwrap(), ["5"]);
}
