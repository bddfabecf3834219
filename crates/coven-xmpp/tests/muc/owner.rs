//! The owner's form, and the end of a room.

use crate::common::{CRONE, HAG, ROOM, Stanzas, World};
use coven_core::people::visibility::Visibility;
use coven_xmpp::ns;
use minidom::Element;

const GET: &str = "<query xmlns='http://jabber.org/protocol/muc#owner'/>";

fn set(w: &mut World, from: &str, inner: &str) -> Stanzas {
    let query = format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{inner}</query>");
    w.iq(from, "set", &query)
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>")
}

fn form(w: &mut World) -> Element {
    let out = w.iq(CRONE, "get", GET);
    out.one()
        .payload()
        .get_child("x", ns::DATA_FORMS)
        .unwrap()
        .clone()
}

fn value(form: &Element, var: &str) -> String {
    let field = form
        .children()
        .find(|c| c.attr("var") == Some(var))
        .unwrap();
    field.get_child("value", ns::DATA_FORMS).unwrap().text()
}

fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w
}

#[test]
fn muc_create_04_an_instant_room() {
    let mut w = World::muc();
    w.join(CRONE, "firstwitch");
    let out = w.submit(CRONE, "");
    let result = out.one();
    assert_eq!(
        (result.kind(), result.id(), result.from()),
        ("result", "config", ROOM)
    );
    assert_eq!(result.tree.children().count(), 0);
    assert!(w.coven().channel.lock().is_none());
    let again = w.submit(CRONE, "");
    assert_eq!(again.one().kind(), "result");
}

#[test]
fn muc_create_05_muc_create_06_muc_conf_04_a_reserved_room() {
    let mut w = World::muc();
    w.join(CRONE, "firstwitch");
    assert_eq!(form(&mut w).attr("type"), Some("form"));
    let bad = format!(
        "{}{}",
        field("roomname", "Cave"),
        field("publicroom", "perhaps")
    );
    assert_eq!(
        w.submit(CRONE, &bad).one().error(),
        ("modify", "not-acceptable")
    );
    assert!(w.coven().channel.lock().is_some());
    assert_eq!(
        w.coven().channel.roster().config().name,
        "",
        "nothing of it is applied"
    );
    let good = format!(
        "{}{}",
        field("roomname", "Cave"),
        field("publicroom", "false")
    );
    let out = w.submit(CRONE, &good);
    assert_eq!(out.last().unwrap().kind(), "result");
    assert!(w.coven().channel.lock().is_none());
    let config = w.coven().channel.roster().config().clone();
    assert_eq!((config.name.as_str(), config.public), ("Cave", false));
}

#[test]
fn muc_create_07_muc_create_08_a_room_that_was_never_configured_ends() {
    let mut w = World::muc();
    w.join(CRONE, "firstwitch");
    let out = set(&mut w, CRONE, "<x xmlns='jabber:x:data' type='cancel'/>");
    let end = out.presences();
    let end = end.one();
    assert_eq!((end.kind(), end.to()), ("unavailable", CRONE));
    assert!(
        end.x()
            .unwrap()
            .get_child("destroy", ns::MUC_USER)
            .is_some()
    );
    assert!(!w.coven().channel.roster().exists());
    w.join(CRONE, "firstwitch");
    w.send(&format!(
        "<presence from='{CRONE}' to='{ROOM}/firstwitch' type='unavailable'/>"
    ));
    assert!(!w.coven().channel.roster().exists());
}

#[test]
fn muc_conf_01_muc_cfg_01_muc_cfg_02_muc_cfg_09_muc_cfg_25_the_form_as_it_stands() {
    let mut w = witches();
    let all = [
        field("roomname", "A Dark Cave"),
        field("roomdesc", "Witches &amp; more"),
        field("persistentroom", "1"),
        field("moderatedroom", "true"),
        field("roomsecret", "cauldron"),
        field("whois", "anyone"),
    ];
    w.submit(CRONE, &all.concat());
    let form = form(&mut w);
    assert_eq!(value(&form, "FORM_TYPE"), ns::MUC_ROOMCONFIG);
    for (var, expected) in [
        ("roomname", "A Dark Cave"),
        ("roomdesc", "Witches & more"),
        ("publicroom", "1"),
        ("persistentroom", "1"),
        ("membersonly", "0"),
        ("moderatedroom", "1"),
        ("passwordprotectedroom", "1"),
        ("roomsecret", "cauldron"),
        ("whois", "anyone"),
    ] {
        assert_eq!(
            value(&form, &format!("muc#roomconfig_{var}")),
            expected,
            "{var}"
        );
    }
    for field in form.children().filter(|c| c.name() == "field") {
        assert!(field.attr("type").is_some(), "{field:?}");
        let hidden = field.attr("type") == Some("hidden");
        assert!(hidden || field.attr("label").is_some(), "{field:?}");
        let options = field.children().filter(|c| c.name() == "option").count();
        assert_eq!(
            options > 0,
            field.attr("type") == Some("list-single"),
            "{field:?}"
        );
    }
    let absent = "crone1@shakespeare.example/elsewhere";
    assert_eq!(
        w.iq(absent, "get", GET).one().kind(),
        "result",
        "not joined"
    );
}

#[test]
fn muc_conf_02_only_owners() {
    let mut w = witches();
    assert_eq!(w.iq(HAG, "get", GET).one().error(), ("auth", "forbidden"));
    assert_eq!(
        w.submit(HAG, &field("roomname", "Mine")).one().error(),
        ("auth", "forbidden")
    );
    let mut none = World::muc();
    assert_eq!(
        none.iq(HAG, "get", GET).one().error(),
        ("cancel", "item-not-found")
    );
}

#[test]
fn muc_conf_03_only_what_is_there_changes() {
    let mut w = witches();
    w.submit(CRONE, &field("roomname", "Cave"));
    let unknown = "<field var='muc#roomconfig_unheard_of'><value>1</value></field>";
    let form_type = |t| format!("<field var='FORM_TYPE' type='hidden'><value>{t}</value></field>");
    let fields = format!(
        "{}{unknown}{}",
        form_type(ns::MUC_ROOMCONFIG),
        field("moderatedroom", "1")
    );
    assert_eq!(w.submit(CRONE, &fields).last().unwrap().kind(), "result");
    let config = w.coven().channel.roster().config().clone();
    assert!(config.moderated && config.name == "Cave");
    let other = format!("{}{}", form_type("urn:example"), field("roomname", "Other"));
    assert_eq!(
        w.submit(CRONE, &other).one().error(),
        ("modify", "bad-request")
    );
    assert_eq!(w.coven().channel.roster().config().name, "Cave");
}

#[test]
fn muc_conf_05_a_cancelled_form_changes_nothing() {
    let mut w = witches();
    let out = set(&mut w, CRONE, "<x xmlns='jabber:x:data' type='cancel'/>");
    assert_eq!(out.one().kind(), "result");
    assert!(w.coven().channel.roster().exists());
}

#[test]
fn muc_conf_06_other_sets_are_bad_requests() {
    let mut w = witches();
    for inner in [
        "",
        "<x xmlns='jabber:x:data' type='form'/>",
        "<x xmlns='jabber:x:data' type='result'/>",
        "<x xmlns='jabber:x:data'/>",
        "<x xmlns='urn:example' type='submit'/>",
    ] {
        assert_eq!(
            set(&mut w, CRONE, inner).one().error(),
            ("modify", "bad-request"),
            "{inner}"
        );
    }
}

#[test]
fn muc_conf_10_muc_status_04_muc_occid_06_map_71_a_change_is_told_once() {
    let mut w = witches();
    let out = w.submit(CRONE, &field("roomname", "Cave"));
    for to in [CRONE, HAG] {
        let notice = out.to(to).messages();
        let notice = notice.one();
        assert_eq!((notice.from(), notice.kind()), (ROOM, "groupchat"));
        assert_eq!(notice.codes(), [104]);
        let children: Vec<_> = notice.x().unwrap().children().map(Element::name).collect();
        assert_eq!(children, ["status"]);
        assert!(notice.body().is_none() && notice.occupant_id().is_none());
    }
    let same = w.submit(CRONE, &field("roomname", "Cave"));
    assert!(same.messages().is_empty(), "{same:?}");
    let both = format!("{}{}", field("roomname", "Den"), field("whois", "anyone"));
    let out = w.submit(CRONE, &both);
    assert_eq!(out.to(HAG).messages().one().codes(), [104, 172]);
}

#[test]
fn muc_conf_10_muc_status_06_muc_status_07_logging() {
    let mut w = witches();
    let mut config = (**w.coven().channel.roster().config()).clone();
    for (logging, code) in [(true, 170), (false, 171)] {
        config.logging = logging;
        let settings = coven_core::command::Settings {
            all: Some(Box::new(config.clone())),
            ..Default::default()
        };
        let sender = coven_core::Sender {
            bare: coven_core::BareJid::parse(CRONE).unwrap(),
            full: coven_core::FullJid::parse(CRONE),
            group: coven_core::Group::default(),
        };
        let origin = coven_core::Origin {
            kind: coven_core::StanzaKind::Iq,
            from: CRONE.into(),
            to: ROOM.into(),
            id: Some("1".into()),
            lang: None,
            view: coven_core::View::Muc,
            group: coven_core::Group::default(),
            payload: bytes::Bytes::new(),
        };
        let command = coven_core::Command::Configure(Box::new(settings));
        let out = w.command(&crate::common::coven(), &sender, &command, &origin);
        assert_eq!(out.to(HAG).one().codes(), [code]);
    }
}

#[test]
fn muc_cfg_04_muc_cfg_05_muc_cfg_06_muc_cfg_07_flags() {
    let mut w = witches();
    for (var, read) in [
        (
            "persistentroom",
            (|c| c.persistent) as fn(&coven_core::Config) -> bool,
        ),
        ("publicroom", |c| c.public),
        ("membersonly", |c| c.members_only),
        ("moderatedroom", |c| c.moderated),
    ] {
        for (text, is) in [("1", true), ("false", false), ("true", true), ("0", false)] {
            w.submit(CRONE, &field(var, text));
            assert_eq!(
                read(w.coven().channel.roster().config()),
                is,
                "{var} {text}"
            );
        }
    }
}

#[test]
fn muc_cfg_08_protection_by_a_password() {
    let mut w = witches();
    let password = |w: &mut World| w.coven().channel.roster().config().password.clone();
    let on = field("passwordprotectedroom", "1");
    assert_eq!(
        w.submit(CRONE, &on).one().error(),
        ("modify", "not-acceptable")
    );
    let empty = format!("{on}{}", field("roomsecret", ""));
    assert_eq!(
        w.submit(CRONE, &empty).one().error(),
        ("modify", "not-acceptable")
    );
    w.submit(CRONE, &field("roomsecret", "cauldron"));
    assert_eq!(
        password(&mut w).as_deref(),
        Some("cauldron"),
        "without the boolean"
    );
    w.submit(CRONE, &field("roomsecret", ""));
    assert_eq!(password(&mut w), None);
    w.submit(CRONE, &format!("{on}{}", field("roomsecret", "burn")));
    assert_eq!(password(&mut w).as_deref(), Some("burn"));
    w.submit(CRONE, &field("passwordprotectedroom", "0"));
    assert_eq!(password(&mut w), None);
}

#[test]
fn muc_cfg_09_muc_anon_06_who_sees_addresses() {
    let mut w = witches();
    for bad in ["none", "everybody", ""] {
        assert_eq!(
            w.submit(CRONE, &field("whois", bad)).one().error(),
            ("modify", "not-acceptable")
        );
    }
    w.submit(CRONE, &field("whois", "anyone"));
    assert_eq!(
        w.coven().channel.roster().config().visibility,
        Visibility::Visible
    );
    w.submit(CRONE, &field("whois", "moderators"));
    assert_eq!(
        w.coven().channel.roster().config().visibility,
        Visibility::Hidden
    );
}

#[test]
fn muc_dest_01_muc_dest_03_muc_dest_04_muc_dest_05_the_end_of_a_room() {
    let mut w = witches();
    w.join("hag66@shakespeare.example/tower", "thirdwitch");
    w.say(HAG, "m1", "Thrice.");
    let out = set(
        &mut w,
        CRONE,
        "<destroy jid='heath@chat.example'><password>x</password><reason>Macbeth doth come.</reason></destroy>",
    );
    let ends = out.presences();
    assert_eq!(ends.len(), 3);
    for end in &*ends {
        assert_eq!(end.kind(), "unavailable");
        assert_eq!(
            (end.item("affiliation"), end.item("role")),
            (Some("none"), Some("none"))
        );
        let nick = if end.to() == CRONE {
            "firstwitch"
        } else {
            "thirdwitch"
        };
        assert_eq!(
            end.from(),
            format!("{ROOM}/{nick}"),
            "from its own occupant JID"
        );
        let destroy = end.x().unwrap().get_child("destroy", ns::MUC_USER).unwrap();
        assert_eq!(destroy.attr("jid"), Some("heath@chat.example"));
        assert_eq!(
            destroy.get_child("reason", ns::MUC_USER).unwrap().text(),
            "Macbeth doth come."
        );
        assert_eq!(
            destroy.get_child("password", ns::MUC_USER).unwrap().text(),
            "x"
        );
    }
    let result = out.last().unwrap();
    assert_eq!(
        (result.kind(), result.to(), result.tree.children().count()),
        ("result", CRONE, 0)
    );
    let again = w.join(HAG, "thirdwitch").to(HAG);
    assert_eq!(again[0].codes(), [110, 201], "created anew by anyone");
    assert!(again.iter().all(|s| s.body().is_none()));
}

#[test]
fn muc_dest_02_muc_dest_07_who_may_not_and_where_to() {
    let mut w = witches();
    let out = set(&mut w, HAG, "<destroy><reason>x</reason></destroy>");
    assert_eq!(out.one().error(), ("auth", "forbidden"));
    let query = out.one().child("query", ns::MUC_OWNER).unwrap();
    assert!(
        query.get_child("destroy", ns::MUC_OWNER).is_some(),
        "echoed"
    );
    let out = set(&mut w, CRONE, "<destroy jid='a@@b'/>");
    assert_eq!(out.one().error(), ("modify", "jid-malformed"));
    assert!(w.coven().channel.roster().exists());
}
