//! Presence of clients, to the accounts of those who subscribe to it (MIX-PRES), hidden resources (MIX-ANON-08).

use crate::channel::{ALL, HAG2, Mix, added, all, alone, bare, join, one, pair, told};
use crate::common::{CRONE, HAG, Sent, WICCA};
use coven_core::people::participation::Node;
use coven_core::people::visibility::Visibility;
use coven_xmpp::ns;
use minidom::Element;

/// What a presence says of its client: from, type, nick, jid, show.
fn seen(stanza: &Sent) -> [String; 5] {
    assert!(stanza.is_presence(), "{stanza:?}");
    let mix = stanza.payload_of("mix", ns::MIX_PRESENCE);
    let of = |name: &str| mix.children().find(|c| c.name() == name).map(Element::text);
    [
        stanza.from().to_owned(),
        stanza.kind().to_owned(),
        of("nick").unwrap_or_default(),
        of("jid").unwrap_or_default(),
        stanza
            .child("show", ns::CLIENT)
            .map(Element::text)
            .unwrap_or_default(),
    ]
}

/// Two participants, of whom the first shares nothing yet.
fn two(mut w: Mix) -> Mix {
    w.participates(HAG, "thirdwitch");
    w.participates(WICCA, "secondwitch");
    w
}

#[test]
// covers: MIX-PRES-02, MIX-PRES-03, MIX-PRES-04
fn mix_pres_01_02_03_04_x_18_x_43_a_clients_presence_goes_to_accounts_that_subscribe() {
    for w in all() {
        let mut w = two(w.visible());
        w.participates_in(CRONE, &[Node::Participants], "firstwitch");
        let payload = "<show>away</show><status>at the fire</status><priority>5</priority>\
            <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>\
            <x xmlns='vcard-temp:x:update'><photo>ab</photo></x><idle xmlns='urn:xmpp:idle:1' since='2026-01-01T00:00:00Z'/>";
        let out = w.presence(HAG, "", payload);
        let encoded = format!("{}/pda", w.encoded(HAG));
        let mut to = out.tos();
        to.sort_unstable();
        assert_eq!(to, [bare(HAG), bare(WICCA)]);
        for stanza in out.iter() {
            let expected = [&*encoded, "", "thirdwitch", HAG, "away"];
            assert_eq!(seen(stanza), expected.map(str::to_owned));
            assert!(stanza.child("event", ns::PUBSUB_EVENT).is_none());
            assert!(stanza.child("priority", ns::CLIENT).is_none());
            // covers: MAP-79
            for (name, space) in [
                ("c", ns::CAPS),
                ("x", ns::VCARD_UPDATE),
                ("idle", "urn:xmpp:idle:1"),
            ] {
                assert!(stanza.child(name, space).is_some(), "{name}");
            }
        }
        let again = w.presence(HAG, "", "<show>dnd</show>");
        assert_eq!(seen(&again[0])[4], "dnd", "replaced, not added");
        let out = w.presence(bare(WICCA), "", "");
        assert_eq!(out.len(), 1);
        assert!(
            w.presence(HAG, "", "<show>dnd</show>").is_empty(),
            "nothing new"
        );
    }
}

#[test]
// covers: MIX-PRES-04
fn mix_pres_03_04_mix_anon_08_map_51_hidden_clients_have_generated_resources() {
    for w in all() {
        let mut w = two(w.created());
        let delay = "<delay xmlns='urn:xmpp:delay' from='hag66@shakespeare.example/pda' stamp='2026-01-01T00:00:00Z'/>";
        let out = w.presence(HAG, "", &format!("<status>x</status>{delay}"));
        let encoded = w.encoded(HAG);
        let shown = seen(&out[0]);
        let resource = shown[0]
            .strip_prefix(&format!("{encoded}/"))
            .unwrap()
            .to_owned();
        assert!(resource != "pda" && resource.len() >= 16);
        assert_eq!(shown[2..4], ["thirdwitch", ""]);
        // covers: MIX-ANON-09
        assert!(out.iter().all(|s| !s.xml.contains("pda") && s.to() != HAG));
        let told = out.to(bare(WICCA));
        assert!(!told.one().xml.contains("hag66"));
        assert!(told.one().child("status", ns::CLIENT).is_some());
        // The same as long as the client is there, another one for another client.
        let out = w.presence(HAG, "", "<show>away</show>");
        assert_eq!(seen(&out[0])[0], shown[0]);
        let out = w.presence(HAG2, "", "");
        assert_ne!(seen(&out[0])[0], shown[0]);
        let gone = w.presence(HAG, "unavailable", "");
        assert_eq!(
            seen(&gone[0])[..2],
            [shown[0].clone(), "unavailable".to_owned()]
        );
        // Not to be computed from what others know of it: another channel, other resources and ids.
        w.create(CRONE, "heath");
        let heath = format!("heath@{}", w.domain);
        w.iq_to(&heath, bare(HAG), "set", &join(&ALL, "thirdwitch"));
        let out = w.send(&format!("<presence from='{HAG}' to='{heath}'/>"));
        assert!(!out.one().from().ends_with(&resource));
    }
}

#[test]
fn mix_pres_05_x_17_map_73_going_offline_is_no_leave() {
    for w in all() {
        let mut w = two(w.visible());
        w.presence(HAG, "", "");
        let out = w.presence(HAG, "unavailable", "<status>bye</status>");
        assert!(
            out.messages().is_empty(),
            "participants are the same: {out:?}"
        );
        let encoded = format!("{}/pda", w.encoded(HAG));
        for stanza in out.to(bare(WICCA)).iter() {
            let expected = [&*encoded, "unavailable", "thirdwitch", HAG, ""];
            assert_eq!(seen(stanza), expected.map(str::to_owned));
        }
        assert_eq!(out.to(bare(WICCA)).len(), 1);
        assert!(w.presence(bare(WICCA), "", "").is_empty());
        assert!(w.presence(HAG, "unavailable", "").is_empty());
    }
}

#[test]
fn mix_pres_06_mix_pamc_06_an_account_asks_for_all_presence() {
    for w in all() {
        let mut w = two(w.visible());
        for (client, show) in [(HAG, "away"), (HAG2, "dnd")] {
            w.presence(client, "", &format!("<show>{show}</show>"));
        }
        let encoded = w.encoded(HAG);
        let sessions = w.coven().channel.roster().sessions().len();
        for (from, kind) in [(bare(WICCA), ""), (bare(WICCA), "probe"), (WICCA, "probe")] {
            let out = w.presence(from, kind, "");
            assert_eq!(out.tos(), [bare(WICCA); 2]);
            let all: Vec<_> = out
                .iter()
                .map(|s| [seen(s)[0].clone(), seen(s)[4].clone()])
                .collect();
            let of =
                |resource: &str, show: &str| [format!("{encoded}/{resource}"), show.to_owned()];
            assert_eq!(all, [of("pda", "away"), of("phone", "dnd")]);
        }
        assert_eq!(w.coven().channel.roster().sessions().len(), sessions);
        // Who does not subscribe, or is nobody here, gets nothing.
        w.participates_in(CRONE, &[Node::Messages], "firstwitch");
        for from in [bare(CRONE), "macbeth@scotland.example"] {
            for kind in ["", "probe"] {
                assert!(w.presence(from, kind, "").is_empty());
            }
        }
    }
}

#[test]
fn mix_pres_07_presence_of_strangers_is_ignored() {
    for w in all() {
        let mut w = two(w.created());
        for kind in ["", "unavailable"] {
            assert!(
                w.presence("macbeth@scotland.example/x", kind, "")
                    .is_empty()
            );
        }
        assert_eq!(w.coven().channel.roster().sessions().len(), 0);
    }
}

#[test]
fn mix_pres_11_subscriptions_are_answered_and_nothing_is_sent() {
    for w in all() {
        let mut w = two(w.created());
        for from in [HAG, bare(HAG)] {
            let out = w.presence(from, "subscribe", "");
            assert_eq!(
                (out.one().kind(), out.one().to()),
                ("subscribed", bare(HAG))
            );
            assert_eq!(out.one().from(), w.channel);
        }
        let out = w.presence("macbeth@scotland.example", "subscribe", "");
        assert_eq!(
            (out.one().kind(), out.one().to()),
            ("unsubscribed", "macbeth@scotland.example")
        );
        for from in [bare(HAG), "macbeth@scotland.example"] {
            assert!(w.presence(from, "subscribed", "").is_empty());
        }
    }
}

#[test]
fn mix_pres_12_without_a_subscription_presence_ends_and_not_the_participation() {
    for kind in ["unsubscribe", "unsubscribed"] {
        for w in all() {
            let mut w = two(w.created());
            w.presence(HAG, "", "");
            w.presence(HAG2, "", "");
            let out = w.presence(bare(HAG), kind, "");
            let gone = out.to(bare(WICCA));
            assert_eq!(gone.len(), 2);
            assert!(gone.iter().all(|s| s.kind() == "unavailable"));
            assert!(out.messages().is_empty());
            assert_eq!(w.coven().channel.roster().participants(), 2);
            assert!(w.presence(bare(HAG), kind, "").is_empty());
        }
    }
}

#[test]
fn mix_pres_13_several_clients_one_nick_and_id() {
    for w in all() {
        let mut w = two(w.visible());
        let one = w.presence(HAG, "", "").to(bare(WICCA)).one().clone();
        let other = w
            .presence(HAG2, "", "<show>away</show>")
            .to(bare(WICCA))
            .one()
            .clone();
        let id = |s: &Sent| s.from().split('#').next().unwrap().to_owned();
        assert_eq!(id(&one), id(&other));
        assert_eq!(seen(&one)[2], seen(&other)[2]);
        assert_ne!(one.from(), other.from());
        let gone = w.presence(HAG, "unavailable", "").to(bare(WICCA));
        assert_eq!(gone.one().from(), one.from(), "the other one stays");
    }
}

#[test]
fn mix_pres_14_map_83_presence_with_the_x_of_muc_is_of_muc() {
    let mut w = one().created();
    w.participates(HAG, "thirdwitch");
    let out = w.join(HAG, "thirdwitch");
    let own = out.to(HAG).presences();
    assert!(own.iter().any(|s| s.codes().contains(&110)));
    let mut w = pair().created();
    w.participates(HAG, "thirdwitch");
    for to in ["coven@mix.example/thirdwitch", "coven@mix.example"] {
        let out = w.send(&format!(
            "<presence from='{HAG}' to='{to}'><x xmlns='{}'/></presence>",
            ns::MUC
        ));
        assert_eq!(out.one().error(), ("cancel", "gone"));
        assert!(
            out.one()
                .xml
                .contains(">xmpp:coven@chat.example?join</gone>")
        );
    }
    let mut w = alone().created();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='coven@mix.example/x'><x xmlns='{}'/></presence>",
        ns::MUC
    ));
    assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
    assert!(w.coven().channel.roster().is_empty());
}

#[test]
fn mix_anon_11_map_50_who_is_revealed_or_hidden_has_another_address() {
    for visible in [true, false] {
        for w in all() {
            let mut w = two(if visible { w.visible() } else { w.created() });
            let before = w
                .presence(HAG, "", "<show>away</show>")
                .to(bare(WICCA))
                .one()
                .clone();
            let out = w.configure(|s| {
                s.visibility = Some(match visible {
                    true => Visibility::Hidden,
                    false => Visibility::Visible,
                });
            });
            let changes = out.to(bare(WICCA)).presences();
            assert_eq!(changes.len(), 2);
            let (gone, come) = (seen(&changes[0]), seen(&changes[1]));
            assert_eq!(
                (gone[0].as_str(), gone[1].as_str()),
                (before.from(), "unavailable")
            );
            assert_eq!((come[1].as_str(), come[4].as_str()), ("", "away"));
            assert_eq!(come[0].ends_with("/pda"), !visible);
            assert_eq!(come[3], if visible { "" } else { HAG });
            // Every item of participants is published again.
            let items: Vec<_> = told(&out, WICCA)
                .into_iter()
                .filter(|(n, _)| n.ends_with("participants"))
                .collect();
            let item = |w: &mut Mix, jid: &str, nick: &str| {
                let jid_shown = if visible { "" } else { bare(jid) };
                format!("{} {nick} {jid_shown}", w.id(jid))
            };
            let expected = [
                item(&mut w, HAG, "thirdwitch"),
                item(&mut w, WICCA, "secondwitch"),
            ];
            assert_eq!(items, added(&[&expected[0], &expected[1]]));
        }
    }
}
