//! Leaving, and subscriptions that change (MIX-LEAVE, MIX-SUB, MIX-NODE-12, 13).

use crate::channel::{ALL, HAG2, MIX, Mix, PUBSUB, all, bare, joined, nodes, retracted, told};
use crate::common::{CRONE, HAG, Sent, WICCA};
use coven_core::people::participation::Node;
use coven_core::{Affiliation, BareJid, Command, Role};
use coven_xmpp::ns;

#[test]
// covers: MIX-LEAVE-02, MIX-LEAVE-04, MIX-PAMC-03
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
                    Command::SetAffiliation(coven_core::command::Grant {
                        jid: BareJid::from_normalised(bare(HAG)),
                        affiliation: Affiliation::Outcast,
                        nick: None,
                        reason: None,
                    }),
                )
            } else {
                w.participates(CRONE, "firstwitch");
                w.does(
                    CRONE,
                    Command::SetRole(coven_core::command::RoleChange {
                        nick: "thirdwitch".into(),
                        role: Role::None,
                        reason: None,
                    }),
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
// covers: MIX-SUB-02, MIX-SUB-03
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

/// As long as the messages node is for participants: policies are MIX-CFG-09's.
#[test]
fn mix_msg_20_who_takes_no_part_has_no_subscription_gets_nothing_and_cannot_send() {
    for mut w in all() {
        w = w.created();
        w.participates(WICCA, "secondwitch");
        let messages = Node::Messages.name();
        let shut_out = |w: &mut Mix, when: &str| {
            let update = format!(
                "<update-subscription xmlns='{MIX}'><subscribe node='{messages}'/></update-subscription>"
            );
            let out = w.asks(HAG, "set", &update);
            assert_eq!(out.one().error(), ("cancel", "not-allowed"), "{when}");
            let pubsub = format!(
                "<pubsub xmlns='{PUBSUB}'><subscribe node='{messages}' jid='{}'/></pubsub>",
                bare(HAG)
            );
            let out = w.asks(HAG, "set", &pubsub);
            assert_eq!(out.one().kind(), "error", "{when}");
            assert_eq!(
                w.mix_says(WICCA, "m1", "x").one().to(),
                bare(WICCA),
                "{when}"
            );
            let out = w.mix_says(HAG, "m2", "x");
            assert_eq!((out.one().to(), out.one().kind()), (HAG, "error"), "{when}");
        };
        shut_out(&mut w, "before");
        w.participates_in(HAG, &[Node::Messages], "thirdwitch");
        assert_eq!(w.mix_says(HAG, "m3", "x").len(), 2);
        w.leaves(HAG);
        shut_out(&mut w, "after");
    }
}

#[test]
// covers: MIX-NODE-13
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
