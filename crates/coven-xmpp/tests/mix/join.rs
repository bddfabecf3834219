//! Joining, leaving, subscriptions, nicks (MIX-JOIN, MIX-LEAVE, MIX-SUB, MIX-PART, MIX-NICK, MIX-PAMC).

use crate::channel::{
    ALL, HAG2, MIX, PUBSUB, added, all, alone, bare, join, joined, names, nodes, one, pair, shared,
    text, told,
};
use crate::common::{CRONE, HAG, Sent, WICCA};
use coven_core::people::participation::Node;

#[test]
// covers: MIX-JOIN-03, MIX-JOIN-04, MIX-JOIN-05, MIX-PAMC-03
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
fn mix_join_02_subscribe_within_subscribe_is_read_as_slixmpp_writes_it() {
    let mut w = alone().created();
    let nested = "<subscribe><subscribe node='urn:xmpp:mix:nodes:info'/><subscribe node='urn:what'/></subscribe>";
    let join = format!("<join xmlns='{MIX}'><nick>x</nick>{nested}<subscribe/></join>");
    let out = w.asks(HAG, "set", &join);
    assert_eq!(nodes(&joined(&out), "subscribe"), names(&[Node::Info]));
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
// covers: MIX-JOIN-09, MIX-JOIN-18
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
// covers: MIX-PART-07
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
