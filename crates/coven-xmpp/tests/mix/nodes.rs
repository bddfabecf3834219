//! Nodes: reading them, and what is refused (MIX-NODE).

use crate::channel::{MIX, Mix, PUBSUB, all, bare, event};
use crate::common::{CRONE, HAG, Sent, Stanzas, WICCA};
use coven_core::people::participation::Node;
use coven_core::{Affiliation, BareJid, Command};
use coven_xmpp::ns;
use minidom::Element;

fn pubsub(w: &mut Mix, from: &str, kind: &str, request: &str) -> Stanzas {
    w.asks(
        from,
        kind,
        &format!("<pubsub xmlns='{PUBSUB}'>{request}</pubsub>"),
    )
}

fn owner(w: &mut Mix, kind: &str, request: &str) -> Stanzas {
    let pubsub = format!("<pubsub xmlns='{}'>{request}</pubsub>", ns::PUBSUB_OWNER);
    w.asks(CRONE, kind, &pubsub)
}

/// Ids of the items read.
fn ids(out: &Stanzas) -> Vec<String> {
    let pubsub = out.one().payload_of("pubsub", PUBSUB);
    let items = pubsub.get_child("items", PUBSUB).unwrap();
    items
        .children()
        .map(|i| i.attr("id").unwrap().to_owned())
        .collect()
}

/// first, last, count of the `<set/>`.
fn page(out: &Stanzas) -> Option<[String; 3]> {
    let set = out
        .one()
        .payload_of("pubsub", PUBSUB)
        .get_child("set", ns::RSM)?;
    Some(["first", "last", "count"].map(|n| {
        set.get_child(n, ns::RSM)
            .map(Element::text)
            .unwrap_or_default()
    }))
}

fn rsm(content: &str) -> String {
    format!("<set xmlns='{}'>{content}</set>", ns::RSM)
}

/// A channel where five people take part, in this order.
fn five(mut w: Mix) -> (Mix, Vec<String>) {
    w = w.created();
    let ids = (0..5)
        .map(|i| {
            let jid = format!("p{i}@x.example");
            w.participates(&jid, &format!("nick{i}"));
            w.id(&jid)
        })
        .collect();
    (w, ids)
}

#[test]
fn mix_node_02_mix_err_02_messages_are_not_to_be_read() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let out = w.reads(HAG, Node::Messages.name(), "");
        assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
        let detail = format!(
            "<unsupported xmlns='{}' feature='persistent-items'/>",
            ns::PUBSUB_ERRORS
        );
        assert!(out.one().xml.contains(&detail));
        assert_eq!(out.one().payload().name(), "error");
    }
}

#[test]
fn mix_node_03_x_26_x_39_map_28_the_info_item() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        w.now = w.now.plus_ms(61_001);
        let out = w.configure(|s| {
            s.name = Some("A Dark Cave".into());
            s.description = Some("In the middle, a <boiling> cauldron".into());
        });
        let told = out.to(bare(HAG)).messages();
        let id = "2026-01-01T12:01:01.001Z";
        let info = Node::Info.name();
        assert_eq!(
            event(told.one()),
            (format!("items {info}"), vec![format!("+{id}")])
        );
        let fields = |stanza: &Sent| -> Vec<(String, String)> {
            let form = stanza.find("x", ns::DATA_FORMS).clone();
            assert_eq!(form.attr("type"), Some("result"));
            let fields = form.children().filter(|c| c.name() == "field");
            fields
                .map(|f| {
                    (
                        f.attr("var").unwrap().to_owned(),
                        f.children().next().unwrap().text(),
                    )
                })
                .collect()
        };
        let expected = [
            ("FORM_TYPE", MIX),
            ("Name", "A Dark Cave"),
            ("Description", "In the middle, a <boiling> cauldron"),
            ("JID Visibility", "jid-hidden"),
        ];
        let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
        assert_eq!(fields(told.one()), expected);
        let read = w.reads(WICCA, info, "");
        assert_eq!(ids(&read), [id]);
        assert_eq!(fields(read.one()), expected);
        // What others do is no change of it.
        let out = w.mix_says(HAG, "m1", "x");
        assert!(
            out.iter()
                .all(|s| s.child("event", ns::PUBSUB_EVENT).is_none())
        );
        assert_eq!(ids(&w.reads(HAG, info, "")), [id]);
    }
}

#[test]
// covers: MIX-NODE-08, MIX-NODE-17
fn mix_node_04_08_17_who_is_here_is_not_written() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let id = w.id(HAG);
        for node in [
            Node::Participants,
            Node::JidMap,
            Node::Presence,
            Node::Messages,
        ] {
            let node = node.name();
            for request in [
                format!("<publish node='{node}'><item id='{id}'/></publish>"),
                format!("<retract node='{node}'><item id='{id}'/></retract>"),
            ] {
                for from in [HAG, CRONE] {
                    let out = pubsub(&mut w, from, "set", &request);
                    assert_eq!(out.one().error(), ("auth", "forbidden"));
                }
            }
            let out = owner(&mut w, "set", &format!("<purge node='{node}'/>"));
            assert_eq!(out.one().error(), ("auth", "forbidden"));
            for request in [
                format!("<delete node='{node}'/>"),
                format!("<create node='{node}'/>"),
            ] {
                let out = owner(&mut w, "set", &request);
                assert_eq!(out.one().error(), ("cancel", "not-allowed"));
            }
        }
        let out = w.reads(HAG, Node::Presence.name(), "");
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        let out = pubsub(
            &mut w,
            CRONE,
            "set",
            "<create node='urn:xmpp:mix:nodes:mine'/>",
        );
        assert_eq!(out.one().error(), ("cancel", "not-allowed"));
        assert_eq!(ids(&w.reads(HAG, Node::Participants.name(), "")), [id]);
    }
}

#[test]
fn mix_node_09_selected_newest_and_by_pages() {
    for w in all() {
        let (mut w, people) = five(w);
        let participants = Node::Participants.name();
        let ask = |w: &mut Mix, items: &str, set: &str| {
            pubsub(w, "p0@x.example/y", "get", &format!("{items}{set}"))
        };
        let whole = format!("<items node='{participants}'/>");
        let out = ask(&mut w, &whole, "");
        assert_eq!((ids(&out), page(&out)), (people.clone(), None));
        let newest = format!("<items node='{participants}' max_items='2'/>");
        assert_eq!(ids(&ask(&mut w, &newest, "")), people[3..]);
        let (a, b) = (&people[1], &people[4]);
        let named = format!(
            "<items node='{participants}'><item id='{b}'/><item id='{a}'/><item id='x'/></items>"
        );
        assert_eq!(ids(&ask(&mut w, &named, "")), [a.clone(), b.clone()]);
        let out = ask(&mut w, &whole, &rsm("<max>2</max>"));
        assert_eq!(ids(&out), people[..2]);
        assert_eq!(page(&out).unwrap(), [&*people[0], &people[1], "5"]);
        let out = ask(
            &mut w,
            &whole,
            &rsm(&format!("<max>2</max><after>{}</after>", people[1])),
        );
        assert_eq!(ids(&out), people[2..4]);
        let out = ask(&mut w, &whole, &rsm("<max>2</max><before/>"));
        assert_eq!(ids(&out), people[3..]);
        let out = ask(
            &mut w,
            &whole,
            &rsm(&format!("<max>9</max><before>{}</before>", people[2])),
        );
        assert_eq!(ids(&out), people[..2]);
        let out = ask(&mut w, &whole, &rsm("<max>0</max>"));
        assert_eq!((ids(&out).len(), &*page(&out).unwrap()[2]), (0, "5"));
        let out = ask(&mut w, &whole, &rsm("<after>x</after>"));
        assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        for bad in ["<max>x</max>", "<index>1</index>"] {
            let out = ask(&mut w, &whole, &rsm(bad));
            assert_eq!(out.one().error(), ("modify", "bad-request"));
        }
    }
}

#[test]
fn mix_node_09_i9_a_list_too_long_for_a_stanza_is_a_page() {
    for mut w in all() {
        w = w.created();
        for i in 0..200 {
            let nick = format!("nick {i} {}", "x".repeat(200));
            w.participates_in(&format!("p{i}@x.example"), &[], &nick);
        }
        w.max_stanza = 48 * 1024;
        let participants = format!("<items node='{}'/>", Node::Participants.name());
        let first = pubsub(&mut w, "p0@x.example/y", "get", &participants);
        let mut seen = ids(&first);
        assert!(seen.len() < 200 && seen.len() > 50);
        assert_eq!(page(&first).unwrap()[2], "200");
        while seen.len() < 200 {
            let set = rsm(&format!("<after>{}</after>", seen.last().unwrap()));
            let out = pubsub(
                &mut w,
                "p0@x.example/y",
                "get",
                &format!("{participants}{set}"),
            );
            assert_eq!(page(&out).unwrap()[2], "200");
            let more = ids(&out);
            assert!(!more.is_empty());
            seen.extend(more);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 200);
        // Backwards it is the end of the list that fits.
        let set = rsm("<before/>");
        let out = pubsub(
            &mut w,
            "p0@x.example/y",
            "get",
            &format!("{participants}{set}"),
        );
        assert_eq!(ids(&out).last(), Some(&w.id("p199@x.example")));
        assert_eq!(page(&out).unwrap()[0], ids(&out)[0]);
    }
}

#[test]
// covers: MIX-NODE-11
fn mix_node_10_11_mix_err_02_who_reads_what() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let ban = Command::SetAffiliation(coven_core::command::Grant {
            jid: BareJid::from_normalised("macbeth@scotland.example"),
            affiliation: Affiliation::Outcast,
            nick: None,
            reason: None,
        });
        w.does(CRONE, ban);
        for from in [HAG, CRONE] {
            assert_eq!(
                w.reads(from, Node::Participants.name(), "").one().kind(),
                "result"
            );
        }
        let out = w.reads(WICCA, Node::Participants.name(), "");
        assert_eq!(out.one().error(), ("cancel", "not-allowed"));
        assert!(
            out.one()
                .xml
                .contains(&format!("<closed-node xmlns='{}'/>", ns::PUBSUB_ERRORS))
        );
        assert_eq!(w.reads(WICCA, Node::Info.name(), "").one().kind(), "result");
        for node in [Node::Info, Node::Participants] {
            let out = w.reads("macbeth@scotland.example/x", node.name(), "");
            assert_eq!(out.one().error(), ("auth", "forbidden"));
        }
        for node in [
            "urn:xmpp:mix:nodes:what",
            Node::Allowed.name(),
            "urn:xmpp:mix:nodes:information",
        ] {
            //
            let out = w.reads(HAG, node, "");
            assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        }
        let out = pubsub(&mut w, HAG, "get", "<items/>");
        assert_eq!(out.one().error(), ("modify", "bad-request"));
        assert!(out.one().xml.contains("<nodeid-required "));
    }
}

#[test]
fn mix_node_14_own_subscriptions_and_affiliations() {
    for mut w in all() {
        w = w.created();
        w.participates_in(HAG, &[Node::Messages, Node::Info], "thirdwitch");
        let list = |out: &Stanzas, what: &str| -> Vec<(String, String)> {
            let list = out
                .one()
                .payload_of("pubsub", PUBSUB)
                .children()
                .next()
                .unwrap();
            assert_eq!(list.name(), what);
            let word = if what == "affiliations" {
                "affiliation"
            } else {
                "subscription"
            };
            let of = |c: &Element, name: &'static str| c.attr(name).unwrap().to_owned();
            let mut all: Vec<_> = list
                .children()
                .map(|c| (of(c, "node"), of(c, word)))
                .collect();
            all.sort();
            all
        };
        let short = |all: Vec<(String, String)>| -> Vec<String> {
            all.iter()
                .map(|(n, w)| format!("{} {w}", n.rsplit(':').next().unwrap()))
                .collect()
        };
        let out = pubsub(&mut w, HAG, "get", "<subscriptions/>");
        assert_eq!(
            short(list(&out, "subscriptions")),
            ["info subscribed", "messages subscribed"]
        );
        let one = format!("<subscriptions node='{}'/>", Node::Info.name());
        let out = pubsub(&mut w, HAG, "get", &one);
        assert_eq!(short(list(&out, "subscriptions")), ["info subscribed"]);
        let out = pubsub(&mut w, HAG, "get", "<affiliations/>");
        let words = [
            "info member",
            "messages member",
            "participants member",
            "presence member",
        ];
        assert_eq!(short(list(&out, "affiliations")), words);
        let out = pubsub(&mut w, CRONE, "get", "<affiliations/>");
        assert!(
            list(&out, "affiliations")
                .iter()
                .all(|(_, word)| word == "owner")
        );
        let out = pubsub(&mut w, WICCA, "get", "<affiliations/>");
        assert_eq!(
            short(list(&out, "affiliations")),
            [
                "info member",
                "messages none",
                "participants none",
                "presence none"
            ]
        );
        let out = pubsub(&mut w, WICCA, "get", "<subscriptions/>");
        assert_eq!(list(&out, "subscriptions"), []);
    }
}

#[test]
// covers: MIX-NODE-23
fn mix_node_15_23_mix_err_02_what_is_not_offered_says_so() {
    for mut w in all() {
        w = w.created();
        let node = Node::Messages.name();
        for (kind, request, feature) in [
            (
                "set",
                format!("<affiliations node='{node}'/>"),
                "modify-affiliations",
            ),
            (
                "set",
                format!("<subscriptions node='{node}'/>"),
                "manage-subscriptions",
            ),
            ("get", format!("<configure node='{node}'/>"), "config-node"),
            ("set", format!("<configure node='{node}'/>"), "config-node"),
            ("get", "<default/>".to_owned(), "retrieve-default"),
        ] {
            let out = owner(&mut w, kind, &request);
            assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
            let detail = format!(
                "<unsupported xmlns='{}' feature='{feature}'/>",
                ns::PUBSUB_ERRORS
            );
            assert!(out.one().xml.contains(&detail), "{:?}", out.one());
        }
        let options = format!("<options node='{node}' jid='{}'/>", bare(CRONE));
        let out = pubsub(&mut w, CRONE, "get", &options);
        assert!(out.one().xml.contains("feature='subscription-options'"));
    }
}

#[test]
// covers: MIX-NODE-20, MIX-PAMC-08
fn mix_node_19_20_mix_pamc_01_08_x_46_notifications_are_not_kept_nor_copied() {
    for mut w in all() {
        w = w.created();
        w.participates(WICCA, "secondwitch");
        let out = w.participates(HAG, "thirdwitch");
        let told = out.messages();
        assert_eq!(
            told.tos(),
            [bare(WICCA), bare(HAG)],
            "one for each, and no old item"
        );
        for stanza in told.iter() {
            assert_eq!((stanza.from(), stanza.kind()), (w.channel, ""));
            assert!(stanza.child("no-store", ns::HINTS).is_some());
            assert!(stanza.child("no-copy", ns::HINTS).is_some());
            assert!(stanza.body().is_none());
        }
        let out = w.asks(
            HAG,
            "set",
            &format!(
                "<pubsub xmlns='{PUBSUB}'><subscribe node='{}' jid='{}'/></pubsub>",
                Node::Info.name(),
                bare(HAG)
            ),
        );
        assert_eq!(out.messages().len(), 0, "no last item");
        let before = w.coven().channel.roster().parts();
        let bounce = format!(
            "<message from='{}' to='{}' type='error'><error type='cancel'><service-unavailable \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
            bare(HAG),
            w.channel
        );
        assert!(w.send(&bounce).is_empty());
        assert_eq!(w.coven().channel.roster().parts(), before);
    }
}
