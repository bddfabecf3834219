//! The service, and channels coming and going (MIX-SVC, MIX-CRE, MIX-DES).

use crate::channel::{MIX, Mix, PUBSUB, all, alone, bare, event, one, pair, shared, text};
use crate::common::{CRONE, HAG, Sent, WICCA};
use coven_core::people::participation::Node;
use coven_core::settings::service::Creation;
use coven_core::{Affiliation, BareJid, Command};
use coven_xmpp::ns;
use minidom::Element;

const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

fn features(stanza: &Sent) -> Vec<String> {
    let query = stanza.child("query", ns::DISCO_INFO).unwrap();
    let vars = query.children().filter(|c| c.name() == "feature");
    vars.map(|c| c.attr("var").unwrap().to_owned()).collect()
}

fn has(stanza: &Sent, feature: &str) -> bool {
    features(stanza).iter().any(|f| f == feature)
}

fn identities(stanza: &Sent) -> Vec<(String, String, String)> {
    let query = stanza.child("query", ns::DISCO_INFO).unwrap();
    let all = query.children().filter(|c| c.name() == "identity");
    let of = |c: &Element, name: &'static str| c.attr(name).unwrap_or_default().to_owned();
    all.map(|c| (of(c, "category"), of(c, "type"), of(c, "name")))
        .collect()
}

fn service(w: &mut Mix, from: &str, payload: &str) -> Sent {
    let domain = w.domain;
    w.iq_to(domain, from, "get", payload).one().clone()
}

/// jid and name of each item.
fn items(stanza: &Sent) -> Vec<(String, String)> {
    assert_eq!(stanza.kind(), "result", "{stanza:?}");
    let query = stanza.child("query", ns::DISCO_ITEMS).unwrap();
    let items = query.children().filter(|c| c.name() == "item");
    let of = |c: &Element, name: &'static str| c.attr(name).unwrap_or_default().to_owned();
    items.map(|c| (of(c, "jid"), of(c, "name"))).collect()
}

#[test]
// covers: MIX-SVC-02, MIX-SVC-03, MIX-SVC-05, MIX-SVC-06
fn mix_svc_01_02_03_05_06_what_the_service_is() {
    for mut w in all() {
        let info = service(&mut w, HAG, INFO);
        let mix = ("conference".into(), "mix".into(), "The Witches".into());
        assert!(identities(&info).contains(&mix), "{info:?}");
        for feature in [
            "urn:xmpp:mix:core:1",
            "urn:xmpp:mix:core:1#searchable",
            ns::DISCO_INFO,
            ns::DISCO_ITEMS,
        ] {
            assert!(has(&info, feature), "{feature}");
        }
        assert!(!has(&info, ns::MAM));
        assert!(features(&info).iter().all(|f| !f.starts_with(PUBSUB)));
        assert!(
            identities(&info)
                .iter()
                .all(|(category, ..)| category != "pubsub")
        );
        // Searchable: the listing is answered to the same requester.
        assert_eq!(service(&mut w, HAG, ITEMS).kind(), "result");
    }
}

#[test]
fn mix_svc_04_mix_cre_06_create_is_offered_to_whom_it_is_granted() {
    let crone = BareJid::from_normalised(bare(CRONE));
    let policy = coven_core::Service {
        creation: Creation::Listed(vec![crone]),
        muc: false,
        ..coven_core::Service::default()
    };
    let mut only = crate::common::domain("mix.example", false, true);
    only.service = std::sync::Arc::new(policy);
    let mut w = Mix {
        world: crate::common::World::of(vec![only]),
        ..alone()
    };
    let offered = "urn:xmpp:mix:core:1#create-channel";
    assert!(has(&service(&mut w, CRONE, INFO), offered));
    assert!(!has(&service(&mut w, HAG, INFO), offered));
    for name in ["channel='coven'", ""] {
        let domain = w.domain;
        let create = format!("<create xmlns='{MIX}' {name}/>");
        let out = w.iq_to(domain, HAG, "set", &create);
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        let out = w.iq_to(domain, CRONE, "set", &create);
        assert_eq!(out.one().kind(), "result");
    }
}

#[test]
fn mix_svc_08_channels_are_listed_with_address_and_name() {
    for mut w in all() {
        w.create(CRONE, "heath");
        w = w.created();
        w.configure(|s| s.name = Some("A Dark Cave".into()));
        let listed = items(&service(&mut w, HAG, ITEMS));
        let domain = w.domain;
        let expected = [
            (format!("coven@{domain}"), "A Dark Cave".to_owned()),
            (format!("heath@{domain}"), String::new()),
        ];
        assert_eq!(listed, expected);
    }
}

#[test]
fn mix_svc_08_mix_cre_03_ad_hoc_channels_and_unlisted_ones_are_left_out() {
    for mut w in all() {
        let domain = w.domain;
        w.iq_to(domain, CRONE, "set", &format!("<create xmlns='{MIX}'/>"));
        assert_eq!(items(&service(&mut w, HAG, ITEMS)), []);
        w = w.created();
        w.configure(|s| s.public = Some(false));
        assert_eq!(items(&service(&mut w, HAG, ITEMS)), []);
    }
}

#[test]
fn mix_svc_09_listing_by_pages() {
    for mut w in all() {
        for name in ["a", "b", "c"] {
            w.create(CRONE, name);
        }
        assert!(has(&service(&mut w, HAG, INFO), ns::RSM));
        let set = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max></set>";
        let query = format!("<query xmlns='{}'>{set}</query>", ns::DISCO_ITEMS);
        let page = service(&mut w, HAG, &query);
        assert_eq!(items(&page).len(), 2);
        let query = page.child("query", ns::DISCO_ITEMS).unwrap();
        let set = query.get_child("set", ns::RSM).unwrap();
        let of = |name| set.get_child(name, ns::RSM).unwrap().text();
        assert_eq!(
            (of("first"), of("last"), of("count")),
            ("a".into(), "b".into(), "3".into())
        );
    }
}

#[test]
fn mix_svc_10_an_unknown_node_of_the_service_is_not_found() {
    for mut w in all() {
        for space in [ns::DISCO_INFO, ns::DISCO_ITEMS] {
            let query = format!("<query xmlns='{space}' node='x'/>");
            let out = service(&mut w, HAG, &query);
            assert_eq!(out.error(), ("cancel", "item-not-found"));
        }
    }
}

#[test]
fn mix_svc_11_mix_join_19_a_localpart_is_a_channel_or_nothing() {
    for mut w in [alone(), pair()] {
        for payload in [
            INFO,
            "<join xmlns='urn:xmpp:mix:core:1'/>",
            "<vCard xmlns='vcard-temp'/>",
        ] {
            let kind = if payload.contains("join") {
                "set"
            } else {
                "get"
            };
            let (name, condition) = match payload {
                payload if payload.contains("vCard") => ("cancel", "service-unavailable"),
                _ => ("cancel", "item-not-found"),
            };
            let out = w.iq_to("nobody@mix.example", HAG, kind, payload);
            assert_eq!(out.one().error(), (name, condition));
        }
    }
}

#[test]
fn mix_node_22_mix_join_19_what_belongs_to_channels_is_refused_by_the_service() {
    for mut w in all() {
        let domain = w.domain;
        let items = format!(
            "<pubsub xmlns='{PUBSUB}'><items node='{}'/></pubsub>",
            Node::Info.name()
        );
        let out = w.iq_to(domain, HAG, "get", &items);
        assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
        let out = w.iq_to(domain, HAG, "set", &format!("<join xmlns='{MIX}'/>"));
        assert_eq!(out.one().error(), ("modify", "bad-request"));
    }
}

#[test]
// covers: MIX-CRE-02, MIX-CRE-04, MIX-CRE-08
fn mix_cre_01_02_04_08_a_channel_is_there_at_once_and_its_creator_takes_no_part() {
    for mut w in all() {
        let out = w.create(CRONE, "coven");
        let create = out.one().payload();
        assert!(create.is("create", MIX) && create.attr("channel") == Some("coven"));
        assert_eq!((out.one().to(), out.one().from()), (CRONE, w.domain));
        let info = w.reads(HAG, Node::Info.name(), "");
        assert_eq!(info.one().kind(), "result");
        let people = w.reads(CRONE, Node::Participants.name(), "");
        let items = people.one().payload().children().next().unwrap().clone();
        assert_eq!(items.children().count(), 0);
        let own = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><affiliations/></pubsub>";
        let own = w.asks(CRONE, "get", own);
        assert!(own.one().xml.contains("affiliation='owner'"));
        for from in [CRONE, HAG] {
            let again = w.create(from, "coven");
            assert_eq!(again.one().error(), ("cancel", "conflict"));
        }
    }
}

#[test]
fn mix_cre_03_an_ad_hoc_channel_has_a_made_up_name_and_is_for_those_let_in() {
    for mut w in all() {
        let domain = w.domain;
        let out = w.iq_to(domain, CRONE, "set", &format!("<create xmlns='{MIX}'/>"));
        let name = out.one().payload().attr("channel").unwrap().to_owned();
        assert!(name.len() >= 26 && name.bytes().all(|b| b.is_ascii_alphanumeric()));
        let channel = format!("{name}@{domain}");
        let info = "<query xmlns='http://jabber.org/protocol/disco#info' node='mix'/>";
        let mine = w.iq_to(&channel, CRONE, "get", info);
        assert_eq!(mine.one().kind(), "result");
        let join = format!("<join xmlns='{MIX}'><nick>x</nick></join>");
        let theirs = w.iq_to(&channel, HAG, "get", info);
        assert_eq!(theirs.one().error(), ("cancel", "item-not-found"));
        let joined = w.iq_to(&channel, bare(CRONE), "set", &join);
        assert_eq!(joined.one().kind(), "result");
    }
}

#[test]
fn mix_cre_05_mix_anon_07_names_that_no_channel_can_have() {
    for mut w in all() {
        let long = "x".repeat(257);
        for name in ["a#b", "", "UPPER", "a@b", "a/b", " a", "a b", &long] {
            let out = w.create(CRONE, name);
            assert_eq!(out.one().error(), ("modify", "not-acceptable"), "{name}");
        }
    }
}

#[test]
fn mix_cre_07_a_form_in_create_changes_nothing() {
    let mut w = alone();
    let form =
        "<x xmlns='jabber:x:data' type='submit'><field var='Name'><value>y</value></field></x>";
    let create = format!("<create xmlns='{MIX}' channel='coven'>{form}</create>");
    let out = w.iq_to("mix.example", CRONE, "set", &create);
    assert_eq!(out.one().kind(), "result");
    assert_eq!(w.coven().channel.roster().config().name, "");
}

#[test]
fn mix_cre_04_map_40_a_locked_room_is_no_channel_and_its_name_is_taken() {
    for mut w in shared() {
        w.join(CRONE, "firstwitch");
        let out = w.participates(HAG, "thirdwitch");
        assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        assert_eq!(items(&service(&mut w, HAG, ITEMS)), []);
        let out = w.create(HAG, "coven");
        assert_eq!(out.one().error(), ("cancel", "conflict"));
        w.submit(CRONE, "");
        let out = w.participates(HAG, "thirdwitch");
        assert!(out.iter().all(|s| s.kind() != "error"));
    }
}

#[test]
// covers: MIX-DES-02, MIX-DES-03
fn mix_des_01_02_03_who_destroys_and_by_which_address() {
    for mut w in all() {
        w = w.created();
        let (domain, channel) = (w.domain, w.channel);
        let named = format!("<destroy xmlns='{MIX}' channel='coven'/>");
        let unnamed = format!("<destroy xmlns='{MIX}'/>");
        let out = w.iq_to(domain, HAG, "set", &named);
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        let out = w.iq_to(domain, CRONE, "set", &unnamed);
        assert_eq!(out.one().error(), ("modify", "bad-request"));
        let other = format!("<destroy xmlns='{MIX}' channel='heath'/>");
        let out = w.iq_to(domain, CRONE, "set", &other);
        assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        let out = w.iq_to(channel, CRONE, "set", &other);
        assert_eq!(out.one().error(), ("modify", "bad-request"));
        for (to, payload) in [(domain, &named), (channel, &named), (channel, &unnamed)] {
            let out = w.iq_to(to, CRONE, "set", payload);
            assert_eq!((out.one().kind(), out.one().from()), ("result", to));
            assert_eq!(out.one().tree.children().count(), 0);
            assert!(!w.coven().channel.roster().exists());
            w.create(CRONE, "coven");
        }
    }
}

#[test]
fn mix_des_04_subscribers_of_each_node_and_of_presence_are_told() {
    for mut w in all() {
        w = w.visible();
        w.participates(HAG, "thirdwitch");
        w.participates_in(WICCA, &[Node::Messages], "secondwitch");
        w.presence(HAG, "", "");
        let from = format!("{}/pda", w.encoded(HAG));
        let domain = w.domain;
        let out = w.iq_to(
            domain,
            CRONE,
            "set",
            &format!("<destroy xmlns='{MIX}' channel='coven'/>"),
        );
        let deleted = |to: &str| -> Vec<String> {
            let told = out.to(bare(to)).messages();
            told.iter().map(|s| event(s).0).collect()
        };
        assert_eq!(deleted(WICCA), ["delete urn:xmpp:mix:nodes:messages"]);
        let mut nodes = deleted(HAG);
        nodes.sort();
        let expected = ["info", "messages", "participants", "presence"];
        assert_eq!(
            nodes,
            expected.map(|n| format!("delete urn:xmpp:mix:nodes:{n}"))
        );
        let gone = out.presences();
        assert_eq!(
            (gone.one().to(), gone.one().kind()),
            (bare(HAG), "unavailable")
        );
        assert_eq!(gone.one().from(), from, "from where it was available");
    }
}

#[test]
fn mix_des_06_map_41_afterwards_it_is_gone_and_ids_are_fresh() {
    for mut w in all() {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let old = w.id(HAG);
        let there = format!("heath@{}", w.domain);
        let out = w.does(
            CRONE,
            Command::Destroy(coven_core::command::End {
                alternate: Some(there.as_str().into()),
                reason: None,
                password: None,
            }),
        );
        let told = out.to(bare(HAG)).messages();
        for stanza in told.iter() {
            let event = stanza.child("event", ns::PUBSUB_EVENT).unwrap();
            let delete = event.children().next().unwrap();
            let redirect = delete.children().next().unwrap();
            assert_eq!(redirect.attr("uri"), Some(&*format!("xmpp:{there}?join")));
        }
        assert_eq!(told.len(), 4);
        let out = w.participates(WICCA, "secondwitch");
        assert_eq!(out.one().error(), ("cancel", "gone"));
        assert!(
            out.one()
                .xml
                .contains(&format!(">xmpp:{there}?join</gone>"))
        );
        w.create(CRONE, "coven");
        w.participates(HAG, "thirdwitch");
        assert_ne!(w.id(HAG), old);
        let archive = w.asks(
            HAG,
            "set",
            "<query xmlns='urn:xmpp:mam:2' node='urn:xmpp:mix:nodes:messages'/>",
        );
        assert_eq!(archive.messages().len(), 0);
    }
}

#[test]
fn map_41_map_81_in_a_pair_the_alternative_has_the_domain_of_the_reader() {
    let mut w = pair().created();
    w.join(WICCA, "secondwitch");
    w.participates(HAG, "thirdwitch");
    let destroy = "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='heath@chat.example'/></query>";
    let out = w.iq(CRONE, "set", destroy);
    let muc = out.to(WICCA).presences();
    assert!(muc.one().xml.contains("jid='heath@chat.example'"));
    let mix = out.to(bare(HAG)).messages();
    assert!(
        mix.iter()
            .all(|s| s.xml.contains("xmpp:heath@mix.example?join"))
    );
    let refused = w.participates(HAG, "thirdwitch");
    assert!(refused.one().xml.contains("xmpp:heath@mix.example?join"));
}

#[test]
fn map_85_one_namespace_of_names() {
    let mut w = pair().created();
    let taken = w.join(HAG, "thirdwitch");
    assert!(
        taken
            .iter()
            .all(|s| s.kind() != "error" && !s.codes().contains(&201))
    );
    w.send(&format!(
        "<presence from='{HAG}' to='heath@chat.example/x'><x xmlns='{}'/></presence>",
        ns::MUC
    ));
    let out = w.create(CRONE, "heath");
    assert_eq!(out.one().error(), ("cancel", "conflict"));
}

#[test]
fn map_42_a_temporary_room_stays_once_somebody_takes_part_by_mix() {
    for mut w in shared() {
        w.join(CRONE, "firstwitch");
        w.submit(CRONE, "");
        let out = w.participates(HAG, "thirdwitch");
        let notice = out.to(CRONE).messages();
        assert_eq!(notice.one().codes(), [104]);
        let temporary = "<field var='muc#roomconfig_persistentroom'><value>0</value></field>";
        let out = w.submit(CRONE, temporary);
        assert_eq!(out.one().error(), ("modify", "not-acceptable"));
        w.send(&format!(
            "<presence from='{CRONE}' to='coven@chat.example/firstwitch' type='unavailable'/>"
        ));
        w.leaves(HAG);
        assert!(w.coven().channel.roster().exists());
    }
}

#[test]
fn mix_join_10_x_12_the_banned_and_those_not_let_in() {
    for (mut w, condition) in [
        (alone(), ("cancel", "not-allowed")),
        (pair(), ("cancel", "not-allowed")),
        (one(), ("auth", "registration-required")),
    ] {
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
        w.configure(|s| s.members_only = Some(true));
        assert_eq!(w.participates(HAG, "thirdwitch").one().error(), condition);
        let out = w.participates(WICCA, "secondwitch");
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        // covers: MIX-JOIN-11
        let out = w.participates(CRONE, "firstwitch");
        let joined = out.keep(Sent::is_iq).one().payload().clone();
        assert_eq!(text(&joined, "nick").as_deref(), Some("firstwitch"));
    }
}
