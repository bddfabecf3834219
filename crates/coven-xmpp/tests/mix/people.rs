//! Who takes part, and under which nick (MIX-PART, MIX-NICK).

use crate::channel::{ALL, HAG2, MIX, added, all, bare, join, joined, one, text, told};
use crate::common::{CRONE, HAG, Sent, WICCA};
use coven_core::people::participation::Node;
use coven_xmpp::ns;

#[test]
// covers: MIX-PART-03, MIX-PART-04, MIX-PART-05
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
// covers: MIX-NICK-08
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
// covers: MIX-NICK-03, MIX-NICK-04, MIX-NICK-05
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
