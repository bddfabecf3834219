//! What a channel says of itself (MIX-DSC), and which view discovery belongs to (MAP-01).

use crate::channel::{ALL, MIX, PUBSUB, all, alone, bare, joined, names, nodes, one, pair};
use crate::common::{CRONE, HAG, Sent, WICCA};
use coven_core::people::participation::Node;
use coven_core::{Affiliation, BareJid, Command};
use coven_xmpp::ns;
use minidom::Element;

const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const INFO_MIX: &str = "<query xmlns='http://jabber.org/protocol/disco#info' node='mix'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
const ITEMS_MIX: &str = "<query xmlns='http://jabber.org/protocol/disco#items' node='mix'/>";

fn features(stanza: &Sent) -> Vec<&str> {
    let query = stanza.child("query", ns::DISCO_INFO).unwrap();
    let all = query.children().filter(|c| c.name() == "feature");
    all.map(|c| c.attr("var").unwrap()).collect()
}

fn identities(stanza: &Sent) -> Vec<[&str; 3]> {
    let query = stanza.child("query", ns::DISCO_INFO).unwrap();
    let all = query.children().filter(|c| c.name() == "identity");
    all.map(|c| [c.attr("category"), c.attr("type"), c.attr("name")].map(Option::unwrap_or_default))
        .collect()
}

fn item_list(stanza: &Sent) -> Vec<[Option<&str>; 3]> {
    let query = stanza.child("query", ns::DISCO_ITEMS).unwrap();
    let all = query.children().filter(|c| c.name() == "item");
    all.map(|c| [c.attr("jid"), c.attr("node"), c.attr("name")])
        .collect()
}

fn items_of_node(node: &str) -> String {
    format!("<query xmlns='{}' node='{node}'/>", ns::DISCO_ITEMS)
}

#[test]
// covers: MIX-DSC-02, MIX-DSC-03, MIX-DSC-05
fn mix_dsc_01_02_03_05_x_05_x_07_mix_info_05_a_channel_is_a_conference_of_mix() {
    for mut w in all() {
        w = w.created();
        w.configure(|s| s.name = Some("A Dark Cave".into()));
        let out = w.asks(HAG, "get", INFO_MIX);
        let info = out.one();
        let query = info.child("query", ns::DISCO_INFO).unwrap();
        assert_eq!(query.attr("node"), Some("mix"));
        assert_eq!(identities(info), [["conference", "mix", "A Dark Cave"]]);
        for feature in [MIX, ns::MAM, ns::MAM_EXTENDED, ns::SID, ns::DISCO_INFO] {
            assert!(features(info).contains(&feature), "{feature}");
        }
        assert!(!features(info).contains(&ns::MUC));
        // covers: MAP-44 (the list of a service names it the same way)
        let domain = w.domain;
        let listed = w.iq_to(domain, HAG, "get", ITEMS);
        assert_eq!(item_list(listed.one())[0][2], Some("A Dark Cave"));
    }
    for mut w in [alone(), pair()] {
        w = w.created();
        let out = w.asks(HAG, "get", INFO);
        let query = out.one().child("query", ns::DISCO_INFO).unwrap();
        assert_eq!(query.attr("node"), None);
        assert_eq!(identities(out.one()).len(), 1);
        assert!(!features(out.one()).contains(&ns::MUC));
    }
}

#[test]
fn map_01_map_80_mix_muc_04_x_08_one_domain_says_both_once() {
    let mut w = one().created();
    let out = w.asks(HAG, "get", INFO);
    let mut kinds: Vec<_> = identities(out.one()).iter().map(|i| i[1]).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["mix", "text"]);
    let mut all = features(out.one());
    assert!(all.contains(&MIX) && all.contains(&ns::MUC));
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn mix_dsc_04_what_is_said_of_pubsub_is_so() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let out = w.asks(HAG, "get", INFO_MIX);
        let feature = |name: &str| format!("{PUBSUB}#{name}");
        let offered: Vec<String> = features(out.one())
            .into_iter()
            .filter(|f| f.starts_with(PUBSUB))
            .map(str::to_owned)
            .collect();
        let messages = Node::Messages.name();
        let own = bare(HAG);
        let tries = [
            (
                "retrieve-items",
                "get",
                format!("<items node='{}'/>", Node::Info.name()),
            ),
            (
                "subscribe",
                "set",
                format!("<subscribe node='{messages}' jid='{own}'/>"),
            ),
            (
                "retrieve-subscriptions",
                "get",
                "<subscriptions/>".to_owned(),
            ),
            ("retrieve-affiliations", "get", "<affiliations/>".to_owned()),
            (
                "publish",
                "set",
                format!("<publish node='{}'><item/></publish>", Node::Info.name()),
            ),
            (
                "create-nodes",
                "set",
                format!("<create node='{}'/>", Node::Allowed.name()),
            ),
            (
                "delete-nodes",
                "set",
                format!("<delete node='{}'/>", Node::Allowed.name()),
            ),
            (
                "purge-nodes",
                "set",
                format!("<purge node='{}'/>", Node::Allowed.name()),
            ),
            (
                "retract-items",
                "set",
                format!(
                    "<retract node='{}'><item id='x'/></retract>",
                    Node::Allowed.name()
                ),
            ),
        ];
        for (name, kind, request) in tries {
            let out = w.asks(
                HAG,
                kind,
                &format!("<pubsub xmlns='{PUBSUB}'>{request}</pubsub>"),
            );
            let done = out.keep(Sent::is_iq).one().kind() == "result";
            assert_eq!(done, offered.contains(&feature(name)), "{name}");
        }
    }
}

#[test]
fn mix_dsc_06_mix_err_03_who_learns_that_a_channel_is_there() {
    for mut w in all() {
        let nowhere = w.asks(HAG, "get", INFO_MIX);
        assert_eq!(nowhere.one().error(), ("cancel", "item-not-found"));
        w = w.created();
        w.does(
            CRONE,
            Command::SetAffiliation(coven_core::command::Grant {
                jid: BareJid::from_normalised(bare(WICCA)),
                affiliation: Affiliation::Outcast,
                nick: None,
                reason: None,
            }),
        );
        for query in [INFO_MIX, ITEMS_MIX] {
            assert_eq!(w.asks(HAG, "get", query).one().kind(), "result");
            assert_eq!(
                w.asks(WICCA, "get", query).one().error(),
                ("auth", "forbidden")
            );
        }
        w.configure(|s| s.members_only = Some(true));
        assert_eq!(
            w.asks(HAG, "get", INFO_MIX).one().error(),
            ("auth", "forbidden")
        );
        w.configure(|s| s.public = Some(false));
        let own = format!("<pubsub xmlns='{PUBSUB}'><subscriptions/></pubsub>");
        let read = format!(
            "<pubsub xmlns='{PUBSUB}'><items node='{}'/></pubsub>",
            Node::Info.name()
        );
        for query in [INFO_MIX, ITEMS_MIX, &own, &read] {
            for from in [HAG, WICCA] {
                let mut hidden = w.asks(from, "get", query).one().clone();
                assert_eq!(hidden.error(), ("cancel", "item-not-found"));
                // The same to the last byte as of a channel that is not there.
                let nowhere = format!("heath@{}", w.domain);
                let other = w.iq_to(&nowhere, from, "get", query).one().clone();
                hidden.xml = hidden.xml.replace("coven@", "heath@");
                assert_eq!(hidden.xml, other.xml);
            }
        }
    }
}

#[test]
fn mix_dsc_07_the_nodes_that_one_may_subscribe_to() {
    for mut w in all() {
        w = w.created();
        let out = w.asks(HAG, "get", ITEMS_MIX);
        let query = out.one().child("query", ns::DISCO_ITEMS).unwrap();
        assert_eq!(query.attr("node"), Some("mix"));
        let mut listed: Vec<_> = item_list(out.one());
        listed.sort_unstable();
        let mut expected = names(&ALL);
        expected.sort_unstable();
        let expected: Vec<_> = expected
            .iter()
            .map(|n| [Some(w.channel), Some(*n), None])
            .collect();
        assert_eq!(listed, expected);
        // covers: MIX-NODE-01
        let out = w.participates(HAG, "thirdwitch");
        assert_eq!(nodes(&joined(&out), "subscribe").len(), expected.len());
    }
}

#[test]
fn mix_dsc_08_x_06_map_01_items_without_node_are_of_muc_or_of_nothing() {
    for mut w in [alone(), pair()] {
        w = w.created();
        let out = w.asks(HAG, "get", ITEMS);
        assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
    }
    let mut w = one().created();
    let out = w.asks(HAG, "get", ITEMS);
    assert_eq!(
        (out.one().kind(), item_list(out.one()).len()),
        ("result", 0)
    );
}

#[test]
fn mix_dsc_09_items_of_a_node_by_id() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let id = w.id(HAG);
        let out = w.asks(HAG, "get", &items_of_node(Node::Participants.name()));
        assert_eq!(item_list(out.one()), [[Some(w.channel), None, Some(&*id)]]);
        let out = w.asks(HAG, "get", &items_of_node(Node::Info.name()));
        assert_eq!(item_list(out.one())[0][2], Some("2026-01-01T12:00:00.000Z"));
        for node in [Node::Messages, Node::Presence] {
            let out = w.asks(HAG, "get", &items_of_node(node.name()));
            assert_eq!(
                (out.one().kind(), item_list(out.one()).len()),
                ("result", 0)
            );
        }
        let out = w.asks(WICCA, "get", &items_of_node(Node::Participants.name()));
        assert_eq!(out.one().error(), ("cancel", "not-allowed"));
        for node in ["urn:xmpp:mix:nodes:jidmap", "urn:what"] {
            let out = w.asks(HAG, "get", &items_of_node(node));
            assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        }
    }
}

#[test]
fn mix_dsc_10_mix_anon_06_a_participant_is_an_account_of_an_existing_channel() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        w.participates(WICCA, "secondwitch");
        let encoded = w.encoded(HAG);
        let out = w.iq_to(&encoded, WICCA, "get", INFO);
        assert_eq!(out.one().from(), encoded);
        assert_eq!(identities(out.one()), [["account", "registered", ""]]);
        let domain = w.domain;
        let id = w.id(HAG);
        for (to, condition) in [
            (format!("{id}#heath@{domain}"), ("cancel", "item-not-found")),
            (
                format!("{id}#x#coven@{domain}"),
                ("cancel", "item-not-found"),
            ),
            (format!("abc#coven@{domain}"), ("cancel", "item-not-found")),
            (
                format!("{}#coven@{domain}", "a".repeat(32)),
                ("cancel", "item-not-found"),
            ),
        ] {
            let out = w.iq_to(&to, WICCA, "get", INFO);
            assert_eq!(out.one().error(), condition, "{to}");
        }
        let out = w.iq_to(&encoded, "stranger@x.example/y", "get", INFO);
        assert_eq!(out.one().error(), ("auth", "forbidden"));
    }
}

#[test]
fn mix_err_04_discovery_is_asked_for_by_get() {
    for mut w in all() {
        w = w.created();
        for query in [INFO_MIX, ITEMS_MIX] {
            let out = w.asks(HAG, "set", query);
            assert_eq!(out.one().error(), ("modify", "bad-request"));
        }
    }
}

#[test]
fn mix_dsc_01_a_channel_without_a_name_is_called_by_its_localpart() {
    for mut w in all() {
        w = w.created();
        let out = w.asks(HAG, "get", INFO_MIX);
        assert_eq!(identities(out.one()), [["conference", "mix", "coven"]]);
    }
}

/// `FORM_TYPE` and value of each form that points to another domain.
fn mirrors(stanza: &Sent) -> Vec<[String; 2]> {
    let query = stanza.child("query", ns::DISCO_INFO).unwrap();
    let forms = query.children().filter(|c| c.is("x", ns::DATA_FORMS));
    let value = |form: &Element, var: &str| {
        let field = form.children().find(|f| f.attr("var") == Some(var))?;
        Some(field.children().next()?.text())
    };
    let mirror = |form: &Element| {
        let of = |var| Some([value(form, "FORM_TYPE")?, value(form, var)?]);
        of("muc-mirror").or_else(|| of("mix-mirror"))
    };
    forms.filter_map(mirror).collect()
}

#[test]
// covers: MIX-MUC-07
fn mix_muc_06_07_muc_mix_04_map_80_each_of_a_pair_points_to_the_other() {
    let mut w = pair().created();
    let (muc, mix) = (
        ["urn:xmpp:mix:muc:0#muc-mirror", "chat.example"],
        ["urn:xmpp:mix:muc:0#mix-mirror", "mix.example"],
    );
    for (to, mirror, lacks) in [
        ("mix.example", muc, ns::MUC),
        ("coven@mix.example", muc, ns::MUC),
        ("chat.example", mix, MIX),
        ("coven@chat.example", mix, MIX),
    ] {
        let out = w.iq_to(to, HAG, "get", INFO);
        assert_eq!(mirrors(out.one()), [mirror], "{to}");
        assert!(!features(out.one()).contains(&lacks), "{to}");
    }
    for mut w in [alone(), one()] {
        w = w.created();
        let domain = w.domain;
        for out in [w.asks(HAG, "get", INFO), w.iq_to(domain, HAG, "get", INFO)] {
            assert!(mirrors(out.one()).is_empty());
        }
    }
}
