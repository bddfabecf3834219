//! Joining, leaving, subscriptions, nicks (MIX-JOIN, MIX-LEAVE, MIX-SUB, MIX-PART, MIX-NICK, MIX-PAMC).

use crate::channel::{
    ALL, MIX, Mix, PUBSUB, all, alone, bare, event, join, nodes, one, pair, shared, text,
};
use crate::common::{CRONE, HAG, Sent, Stanzas, WICCA};
use coven_core::people::participation::Node;
use coven_core::{Affiliation, BareJid, Command, Role};
use coven_xmpp::ns;

/// A second client of `HAG`.
const HAG2: &str = "hag66@shakespeare.example/phone";

/// The `<join/>` of the result, which has one child.
fn joined(out: &Stanzas) -> minidom::Element {
    let result = out.keep(|s| s.kind() == "result");
    let join = result.one().payload().clone();
    assert!(join.is("join", MIX));
    join
}

fn names(nodes: &[Node]) -> Vec<&'static str> {
    nodes.iter().map(|n| n.name()).collect()
}

/// What subscribers of participants are told, by who is told it.
fn told(out: &Stanzas, jid: &str) -> Vec<(String, Vec<String>)> {
    out.to(bare(jid)).messages().iter().map(event).collect()
}

fn added(items: &[&str]) -> Vec<(String, Vec<String>)> {
    let node = Node::Participants.name();
    vec![(
        format!("items {node}"),
        items.iter().map(|i| format!("+{i}")).collect(),
    )]
}

fn retracted(id: &str) -> Vec<(String, Vec<String>)> {
    vec![(
        format!("items {}", Node::Participants.name()),
        vec![format!("-{id}")],
    )]
}

#[test]
fn mix_join_01_03_04_05_mix_pamc_02_03_x_09_the_result_names_what_is_in_force() {
    for mut w in all() {
        w = w.created();
        let out = w.participates(HAG, "thirdwitch");
        let result = out.keep(Sent::is_iq);
        let (id, jid) = (w.id(HAG), w.encoded(HAG));
        assert_eq!((result.one().to(), result.one().id()), (bare(HAG), "iq1"));
        let join = joined(&out);
        assert_eq!(join.attr("id"), Some(&*id));
        assert_eq!(join.attr("jid"), Some(&*jid));
        let mut subscribed = nodes(&join, "subscribe");
        let mut asked = names(&ALL);
        subscribed.sort_unstable();
        asked.sort_unstable();
        assert_eq!(subscribed, asked);
        assert_eq!(text(&join, "nick").as_deref(), Some("thirdwitch"));
        // No node is subscribed to that was not asked for, and none has to be.
        let out = w.participates_in(WICCA, &[], "secondwitch");
        assert_eq!(nodes(&joined(&out), "subscribe"), [""; 0]);
        let out = w.participates_in(CRONE, &[Node::Info], "firstwitch");
        assert_eq!(nodes(&joined(&out), "subscribe"), names(&[Node::Info]));
    }
}

#[test]
fn mix_join_02_a_join_from_a_client_counts_for_the_account() {
    for mut w in all() {
        w = w.created();
        let out = w.asks(HAG, "set", &join(&[Node::Messages], "thirdwitch"));
        assert_eq!(out.keep(Sent::is_iq).one().to(), HAG);
        let out = w.participates(WICCA, "secondwitch");
        assert_eq!(out.keep(Sent::is_iq).one().to(), bare(WICCA));
        let said = w.mix_says(HAG2, "m1", "x");
        let mut copies: Vec<_> = said.tos();
        copies.sort_unstable();
        assert_eq!(copies, [bare(HAG), bare(WICCA)]);
    }
}

#[test]
fn mix_join_06_some_nodes_refused_is_a_join_to_the_others() {
    for mut w in all() {
        w = w.created();
        let out = w.participates_in(
            HAG,
            &[Node::JidMap, Node::Messages, Node::Config],
            "thirdwitch",
        );
        assert_eq!(nodes(&joined(&out), "subscribe"), names(&[Node::Messages]));
        let odd = "<subscribe node='urn:xmpp:mix:nodes:what'/><subscribe/>";
        let good = format!("<subscribe node='{}'/>", Node::Info.name());
        let join = format!("<join xmlns='{MIX}'>{odd}{good}<nick>x</nick></join>");
        let out = w.asks(bare(WICCA), "set", &join);
        assert_eq!(nodes(&joined(&out), "subscribe"), names(&[Node::Info]));
    }
}

#[test]
fn mix_join_07_x_11_mix_pamc_04_all_nodes_refused_is_no_join_and_names_them() {
    for mut w in all() {
        w = w.created();
        let asked = [
            "urn:xmpp:mix:nodes:what",
            Node::JidMap.name(),
            Node::Allowed.name(),
        ];
        let subscribe: String = asked
            .iter()
            .map(|n| format!("<subscribe node='{n}'/>"))
            .collect();
        let join = format!("<join xmlns='{MIX}'>{subscribe}<nick>x</nick></join>");
        let out = w.asks(bare(HAG), "set", &join);
        let error = out.one();
        assert_eq!(error.error(), ("cancel", "item-not-found"));
        let error = error.payload();
        let detail = error.children().find(|c| c.has_ns(MIX)).unwrap();
        assert_eq!(
            (detail.name(), nodes(detail, "subscribe")),
            ("join", asked.to_vec())
        );
        assert_eq!(w.coven().channel.roster().participants(), 0);
        // Where the channel is not there, the nodes are not the reason.
        let nowhere = format!("heath@{}", w.domain);
        let out = w.iq_to(&nowhere, bare(HAG), "set", &join);
        assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        assert!(out.one().payload().children().all(|c| !c.has_ns(MIX)));
    }
}

#[test]
fn mix_join_08_09_18_mix_part_01_notifications_then_the_result_then_presence() {
    for mut w in all() {
        w = w.visible();
        w.participates(WICCA, "secondwitch");
        w.presence(WICCA, "", "<show>away</show>");
        let out = w.participates(HAG, "thirdwitch");
        let item = format!("{} thirdwitch {}", w.id(HAG), bare(HAG));
        assert_eq!(told(&out, WICCA), added(&[&item]));
        assert_eq!(told(&out, HAG), added(&[&item]));
        let mine = out.to(bare(HAG));
        let kinds: Vec<_> = mine.iter().map(|s| s.tree.name()).collect();
        assert_eq!(kinds, ["message", "iq", "presence"]);
        assert_eq!(mine[2].from(), format!("{}/laptop", w.encoded(WICCA)));
        // covers: MIX-LEAVE-06 (nobody is told of what it does not subscribe to)
        let out = w.participates_in(CRONE, &[Node::Messages], "firstwitch");
        assert_eq!(told(&out, CRONE), []);
        assert!(out.to(bare(CRONE)).presences().is_empty());
    }
}

#[test]
fn mix_join_12_x_13_a_nick_is_needed_unless_the_channel_says_otherwise() {
    let mut w = alone().created();
    let out = w.participates(HAG, "");
    assert_eq!(out.one().error(), ("modify", "not-acceptable"));
    w.configure(|s| {
        let config = coven_core::Config {
            persistent: true,
            mandatory_nicks: false,
            ..coven_core::Config::default()
        };
        s.all = Some(Box::new(config));
    });
    let out = w.participates(HAG, "");
    assert_eq!(text(&joined(&out), "nick"), None);
    // covers: MIX-NICK-06
    let item = format!("{}  ", w.id(HAG));
    assert_eq!(told(&out, HAG), added(&[&item]));
}

#[test]
fn mix_join_13_map_22_a_nick_of_somebody_else_is_conflict() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        for nick in ["thirdwitch", " ThirdWitch "] {
            let out = w.participates(WICCA, nick);
            assert_eq!(out.one().error(), ("cancel", "conflict"));
            assert_eq!(out.one().tree.children().count(), 1);
        }
        assert_eq!(w.coven().channel.roster().participants(), 1);
        w.participates(WICCA, "secondwitch");
        let out = w.sets_nick(WICCA, "ThirdWitch");
        assert_eq!(out.one().error(), ("cancel", "conflict"));
    }
    for mut w in shared() {
        w = w.created();
        w.join(HAG, "thirdwitch");
        let out = w.participates(WICCA, "thirdwitch");
        assert_eq!(out.one().error(), ("cancel", "conflict"));
        w.participates(WICCA, "secondwitch");
        let out = w.join(CRONE, "secondwitch");
        assert_eq!(out.one().error(), ("cancel", "conflict"));
    }
}

#[test]
fn mix_join_14_mix_part_06_07_a_second_join_adds_nodes_and_renames() {
    for mut w in all() {
        w = w.created();
        w.participates_in(HAG, &[Node::Participants], "thirdwitch");
        let id = w.id(HAG);
        let out = w.participates_in(HAG, &[Node::Messages], "");
        assert_eq!(joined(&out).attr("id"), Some(&*id));
        assert_eq!(text(&joined(&out), "nick").as_deref(), Some("thirdwitch"));
        assert_eq!(out.messages().len(), 0, "nobody new: {out:?}");
        let out = w.participates_in(HAG, &[], "hecate");
        assert_eq!(told(&out, HAG), added(&[&format!("{id} hecate ")]));
        let said = w.mix_says(HAG, "m1", "x");
        assert_eq!(said.one().to(), bare(HAG), "subscribed by the second join");
        w.leaves(HAG);
        let out = w.participates(HAG, "thirdwitch");
        assert_eq!(
            joined(&out).attr("id"),
            Some(&*id),
            "the same after rejoining"
        );
    }
}

#[test]
fn mix_join_19_an_unknown_channel_is_not_found() {
    for mut w in all() {
        let out = w.participates(HAG, "thirdwitch");
        assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    }
}

#[test]
fn mix_pamc_04_errors_have_nothing_but_the_error() {
    for mut w in all() {
        let join = join(&ALL, "");
        let refused = [
            w.participates(HAG, "thirdwitch"),
            {
                w = w.created();
                w.asks(bare(HAG), "get", &join)
            },
            w.asks(bare(HAG), "set", &join),
            {
                let domain = w.domain;
                w.iq_to(domain, bare(HAG), "set", &join)
            },
            w.asks(bare(HAG), "get", &format!("<leave xmlns='{MIX}'/>")),
            w.asks(bare(HAG), "set", &format!("<what xmlns='{MIX}'/>")),
        ];
        for out in &refused {
            assert_eq!(out.one().kind(), "error");
            assert_eq!(out.one().payload().name(), "error");
        }
    }
    let mut w = pair().created();
    let out = w.iq("hag66@shakespeare.example", "set", &join(&ALL, "x"));
    assert_eq!(out.one().error(), ("modify", "redirect"));
    assert_eq!(out.one().payload().name(), "error");
}

#[test]
fn mix_leave_01_02_04_mix_pamc_02_03_a_leave_ends_all_subscriptions() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        w.participates(WICCA, "secondwitch");
        let id = w.id(HAG);
        let out = w.leaves(HAG);
        let result = out.keep(Sent::is_iq);
        assert_eq!((result.one().to(), result.one().id()), (bare(HAG), "iq1"));
        assert!(result.one().payload().is("leave", MIX));
        assert_eq!(told(&out, WICCA), retracted(&id));
        assert_eq!(told(&out, HAG), []);
        assert!(w.mix_says(WICCA, "m1", "x").to(bare(HAG)).is_empty());
        let out = w.participates(CRONE, "thirdwitch");
        assert_ne!(joined(&out).attr("id"), Some(&*id), "the id stays his");
        assert!(out.to(bare(HAG)).is_empty());
    }
}

#[test]
fn mix_leave_03_subscribers_see_every_client_of_the_leaver_go() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        w.participates(WICCA, "secondwitch");
        for client in [HAG, HAG2] {
            w.presence(client, "", "");
        }
        let known: Vec<_> = {
            let out = w.presence(bare(WICCA), "", "");
            out.iter().map(|s| s.from().to_owned()).collect()
        };
        assert_eq!(known.len(), 2);
        let gone = w.leaves(HAG).to(bare(WICCA)).presences();
        assert_eq!(gone.froms(), known);
        for stanza in gone.iter() {
            assert_eq!(stanza.kind(), "unavailable");
            assert!(stanza.child("mix", ns::MIX_PRESENCE).is_some());
        }
    }
}

#[test]
fn mix_leave_05_mix_pamc_05_leaving_always_succeeds() {
    for mut w in all() {
        for known in [false, true] {
            if known {
                w = w.created();
                w.participates(HAG, "thirdwitch");
                w.leaves(HAG);
            }
            let channel = w.channel;
            let out = w.send(&format!(
                "<iq from='hag66@shakespeare.example' to='{channel}' id='rand-7' type='set'>\
                 <leave xmlns='{MIX}'/></iq>"
            ));
            assert_eq!((out.one().kind(), out.one().id()), ("result", "rand-7"));
            assert!(out.one().payload().is("leave", MIX));
        }
    }
}

#[test]
fn mix_leave_06_who_is_removed_by_others_is_told() {
    for (affiliation, nodes) in [
        (true, &ALL[..]),
        (true, &[Node::Messages][..]),
        (false, &ALL[..]),
    ] {
        for mut w in all() {
            w = w.created();
            w.participates_in(HAG, nodes, "thirdwitch");
            w.participates(WICCA, "secondwitch");
            w.presence(HAG, "", "");
            let id = w.id(HAG);
            let out = if affiliation {
                w.does(
                    CRONE,
                    Command::SetAffiliation {
                        jid: BareJid::from_normalised(bare(HAG)),
                        affiliation: Affiliation::Outcast,
                        reason: None,
                    },
                )
            } else {
                w.participates(CRONE, "firstwitch");
                w.does(
                    CRONE,
                    Command::SetRole {
                        nick: "thirdwitch".into(),
                        role: Role::None,
                        reason: None,
                    },
                )
            };
            assert_eq!(told(&out, HAG), retracted(&id));
            assert_eq!(told(&out, WICCA), retracted(&id));
            let gone = out.to(bare(WICCA)).presences();
            assert_eq!(gone.one().kind(), "unavailable");
        }
    }
}

#[test]
fn mix_sub_01_02_03_subscriptions_change_for_the_account_and_are_echoed() {
    for mut w in all() {
        w = w.created();
        w.participates(WICCA, "secondwitch");
        w.presence(WICCA, "", "");
        w.participates_in(HAG, &[Node::Messages], "thirdwitch");
        let update = format!(
            "<update-subscription xmlns='{MIX}'><subscribe node='{}'/><subscribe node='{}'/>\
             <subscribe node='urn:what'/><unsubscribe node='{}'/><unsubscribe node='{}'/></update-subscription>",
            Node::Presence.name(),
            Node::Config.name(),
            Node::Messages.name(),
            Node::Info.name()
        );
        let out = w.asks(HAG, "set", &update);
        let result = out.keep(Sent::is_iq).one().clone();
        assert_eq!(result.to(), HAG);
        let echo = result.payload();
        assert!(echo.is("update-subscription", MIX));
        assert_eq!(echo.attr("jid"), Some(bare(HAG)));
        assert_eq!(nodes(echo, "subscribe"), [Node::Presence.name()]);
        assert_eq!(nodes(echo, "unsubscribe"), [Node::Messages.name()]);
        let dump = out.presences();
        assert_eq!(dump.one().to(), bare(HAG));
        assert!(w.mix_says(HAG2, "m1", "x").to(bare(HAG)).is_empty());
    }
}

#[test]
fn mix_sub_04_a_stranger_subscribes_to_nothing() {
    for mut w in all() {
        w = w.created();
        let update = format!(
            "<update-subscription xmlns='{MIX}'><subscribe node='{}'/></update-subscription>",
            Node::Participants.name()
        );
        let out = w.asks(HAG, "set", &update);
        assert_eq!(out.one().error(), ("cancel", "not-allowed"));
        assert_eq!(w.coven().channel.roster().occupants(), 0);
    }
}

#[test]
fn mix_node_12_13_subscriptions_by_pubsub_are_the_same() {
    for mut w in all() {
        w = w.created();
        w.participates_in(HAG, &[], "thirdwitch");
        let ask = |w: &mut Mix, from: &str, what: &str, node: &str, jid: &str| {
            let request =
                format!("<pubsub xmlns='{PUBSUB}'><{what} node='{node}' jid='{jid}'/></pubsub>");
            w.asks(from, "set", &request)
        };
        let messages = Node::Messages.name();
        let out = ask(&mut w, HAG, "subscribe", messages, bare(HAG));
        let subscription = out.one().payload().children().next().unwrap().clone();
        assert_eq!(subscription.attr("subscription"), Some("subscribed"));
        assert_eq!(subscription.attr("node"), Some(messages));
        assert_eq!(subscription.attr("jid"), Some(bare(HAG)));
        assert_eq!(w.mix_says(HAG, "m1", "x").one().to(), bare(HAG));
        for jid in [HAG, bare(WICCA), ""] {
            let out = ask(&mut w, HAG, "subscribe", messages, jid);
            assert_eq!(out.one().error(), ("modify", "bad-request"));
            // covers: MIX-ERR-02
            assert!(
                out.one()
                    .xml
                    .contains(&format!("<invalid-jid xmlns='{}'/>", ns::PUBSUB_ERRORS))
            );
        }
        let out = ask(&mut w, HAG, "unsubscribe", messages, bare(HAG));
        assert_eq!(
            (out.one().kind(), out.one().tree.children().count()),
            ("result", 0)
        );
        assert!(w.mix_says(HAG, "m2", "x").is_empty());
        for from in [HAG, WICCA] {
            let out = ask(&mut w, from, "unsubscribe", messages, bare(from));
            assert_eq!(out.one().error(), ("cancel", "unexpected-request"));
            assert!(out.one().xml.contains("<not-subscribed "));
        }
        for node in ["urn:what", Node::JidMap.name()] {
            let out = ask(&mut w, HAG, "subscribe", node, bare(HAG));
            assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        }
    }
}

#[test]
fn mix_part_02_03_04_05_ids_are_safe_in_addresses_and_differ_by_channel() {
    let mut w = one().visible();
    w.participates(HAG, "thirdwitch");
    let out = w.participates(WICCA, "secondwitch");
    let id = w.id(HAG);
    assert!(
        id.len() <= 64
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    );
    assert_ne!(id, w.id(WICCA));
    // The real bare JID, never an encoded one.
    let item = format!("{} secondwitch {}", w.id(WICCA), bare(WICCA));
    assert_eq!(told(&out, HAG), added(&[&item]));
    w.create(CRONE, "heath");
    let out = w.iq_to("heath@chat.example", bare(HAG), "set", &join(&ALL, "x"));
    assert_ne!(joined(&out).attr("id"), Some(&*id));
}

#[test]
fn mix_part_08_mix_nick_01_08_a_new_nick_is_one_event_and_presence_again() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        w.participates(WICCA, "secondwitch");
        w.presence(HAG, "", "<show>dnd</show>");
        w.presence(HAG2, "", "");
        let out = w.sets_nick(HAG, "  Hecate ");
        let result = out.keep(Sent::is_iq);
        assert_eq!(result.one().to(), HAG);
        let nick = result.one().payload();
        assert!(nick.is("setnick", MIX));
        assert_eq!(
            text(nick, "nick").as_deref(),
            Some("Hecate"),
            "as it is enforced"
        );
        let item = format!("{} Hecate ", w.id(HAG));
        assert_eq!(told(&out, WICCA), added(&[&item]));
        let again = out.to(bare(WICCA)).presences();
        assert_eq!(again.len(), 2);
        for stanza in again.iter() {
            let mix = stanza.child("mix", ns::MIX_PRESENCE).unwrap();
            let nick = mix.children().find(|c| c.name() == "nick").unwrap();
            assert_eq!((nick.text().as_str(), stanza.kind()), ("Hecate", ""));
        }
    }
}

#[test]
fn mix_part_09_who_is_offline_stays_listed() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        w.presence(HAG, "", "");
        let out = w.presence(HAG, "unavailable", "");
        assert_eq!(out.messages().len(), 0, "{out:?}");
        let items = w.reads(HAG, Node::Participants.name(), "");
        assert!(items.one().xml.contains(&w.id(HAG)));
    }
}

#[test]
fn mix_nick_02_03_04_05_what_may_be_a_nick() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let long = "x".repeat(1024);
        for bad in ["", "   ", "\u{202e}x", &long] {
            let out = w.sets_nick(HAG, bad);
            assert_eq!(out.one().error(), ("modify", "not-acceptable"), "{bad:?}");
        }
        let out = w.asks(HAG, "set", &format!("<setnick xmlns='{MIX}'/>"));
        assert_eq!(out.one().error(), ("modify", "not-acceptable"));
        let out = w.sets_nick(HAG, "THIRDWITCH");
        let result = out.keep(Sent::is_iq).one().clone();
        assert_eq!(
            text(result.payload(), "nick").as_deref(),
            Some("THIRDWITCH")
        );
    }
}

#[test]
fn mix_nick_07_only_participants_have_a_nick_to_set() {
    for mut w in all() {
        w = w.created();
        let out = w.sets_nick(HAG, "thirdwitch");
        assert_eq!(out.one().error(), ("auth", "forbidden"));
    }
}

#[test]
fn mix_err_01_x_01_x_02_every_request_of_mix_gets_one_answer() {
    let mut w = one().created();
    let requests = [
        format!("<join xmlns='{MIX}'/>"),
        format!("<create xmlns='{MIX}' channel='x'/>"),
        format!("<what xmlns='{MIX}'/>"),
        "<join xmlns='urn:xmpp:mix:core:0'><nick>x</nick></join>".to_owned(),
        "<join xmlns='urn:xmpp:mix:anon:0'/>".to_owned(),
        "<join xmlns='urn:xmpp:mix:misc:0'/>".to_owned(),
        "<user-preference xmlns='urn:xmpp:mix:anon:0'/>".to_owned(),
        format!("<pubsub xmlns='{PUBSUB}'/>"),
        format!("<pubsub xmlns='{PUBSUB}'><what/></pubsub>"),
    ];
    for request in &requests {
        for kind in ["get", "set"] {
            let to = [
                w.channel.to_owned(),
                w.domain.to_owned(),
                format!("x#{}", w.channel),
            ];
            for to in to {
                let out = w.iq_to(&to, HAG, kind, request);
                let mine = out.keep(|s| s.is_iq() && s.to() == HAG);
                assert_eq!((mine.one().id(), mine.len()), ("iq1", 1), "{request} {to}");
            }
        }
        // An IQ of another type is never answered.
        for kind in ["result", "error"] {
            assert!(w.asks(HAG, kind, request).is_empty());
        }
    }
    let out = w.asks(HAG, "set", "<join xmlns='urn:xmpp:mix:core:0'/>");
    assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
    for namespace in ["anon", "misc"] {
        let out = w.asks(
            HAG,
            "set",
            &format!("<join xmlns='urn:xmpp:mix:{namespace}:0'/>"),
        );
        assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
    }
}
