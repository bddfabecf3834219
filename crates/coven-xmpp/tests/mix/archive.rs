//! The archive of a channel (MIX-MAM), and whose form a page takes (MAP-06, MAP-29, MAP-84).

use crate::channel::{MIX, Mix, all, bare, one, pair, shared, text};
use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA};
use coven_core::people::visibility::Visibility;
use coven_core::{Affiliation, BareJid, Command};
use coven_xmpp::ns;
use minidom::Element;

fn query(node: &str, fields: &str, more: &str) -> String {
    let form = match fields {
        "" => String::new(),
        fields => format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{}</value></field>{fields}</x>",
            ns::MAM
        ),
    };
    format!(
        "<query xmlns='{}' queryid='q1'{node}>{form}{more}</query>",
        ns::MAM
    )
}

fn field(var: &str, values: &[&str]) -> String {
    let values: String = values
        .iter()
        .map(|v| format!("<value>{v}</value>"))
        .collect();
    format!("<field var='{var}'>{values}</field>")
}

fn rsm(content: &str) -> String {
    format!("<set xmlns='{}'>{content}</set>", ns::RSM)
}

/// Texts of the archived messages, in the order in which they come.
fn texts(out: &Stanzas) -> Vec<String> {
    let bodies = out.iter().filter(|s| s.is_message());
    bodies.map(|s| s.find("body", ns::CLIENT).text()).collect()
}

fn ids(out: &Stanzas) -> Vec<String> {
    let results = out.iter().filter(|s| s.is_message());
    results
        .map(|s| {
            s.payload_of("result", ns::MAM)
                .attr("id")
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn fin(out: &Stanzas) -> Element {
    let last = out.last().unwrap();
    assert!(last.is_iq(), "the result comes last");
    last.payload_of("fin", ns::MAM).clone()
}

const NODE: &str = " node='urn:xmpp:mix:nodes:messages'";

/// Two people, of whom one has said five things.
fn talk(mut w: Mix) -> Mix {
    w.participates(HAG, "thirdwitch");
    for i in 0..5 {
        w.now = w.now.plus_ms(60_000);
        w.mix_says(HAG, &format!("m{i}"), &format!("text {i}"));
    }
    w.participates(WICCA, "secondwitch");
    w
}

#[test]
// covers: MIX-MAM-02, MIX-MAM-03, MIX-MAM-07, MIX-MAM-14
fn mix_mam_01_02_03_07_14_newcomers_read_what_was_said_in_the_form_of_the_channel() {
    for w in all() {
        let mut w = talk(w.visible());
        for node in ["", NODE] {
            let out = w.asks(WICCA, "set", &query(node, "", ""));
            assert_eq!(
                texts(&out),
                ["text 0", "text 1", "text 2", "text 3", "text 4"]
            );
            for stanza in out.messages().iter() {
                assert_eq!((stanza.to(), stanza.from()), (WICCA, w.channel));
                let result = stanza.payload_of("result", ns::MAM);
                assert_eq!(result.attr("queryid"), Some("q1"));
                let delay = stanza.find("delay", ns::DELAY);
                assert!(delay.attr("stamp").unwrap().starts_with("2026-01-01T12:0"));
                let forwarded = stanza.find("forwarded", ns::FORWARD);
                let message = forwarded.get_child("message", ns::CLIENT).unwrap();
                let speaker = w.speaker(HAG);
                assert_eq!(message.attr("from"), Some(&*speaker));
                assert_eq!(message.attr("to"), None);
                assert_eq!(message.attr("id"), result.attr("id"));
                let mix = message.get_child("mix", MIX).unwrap();
                assert_eq!(text(mix, "nick").as_deref(), Some("thirdwitch"));
                assert_eq!(text(mix, "jid").as_deref(), Some(bare(HAG)));
            }
        }
    }
}

#[test]
// covers: MIX-MAM-05, MIX-MAM-06
fn mix_mam_04_05_06_who_may_read_and_what_is_there() {
    for w in all() {
        let mut w = talk(w.created());
        for node in [
            "urn:xmpp:mix:nodes:participants",
            "urn:xmpp:mix:nodes:what",
            "",
        ] {
            let out = w.asks(HAG, "set", &query(&format!(" node='{node}'"), "", ""));
            assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        }
        let nowhere = format!("heath@{}", w.domain);
        let out = w.iq_to(&nowhere, HAG, "set", &query(NODE, "", ""));
        assert_eq!(out.one().error(), ("cancel", "item-not-found"));
        let ban = |jid: &str, affiliation| {
            Command::SetAffiliation(coven_core::command::Grant {
                jid: BareJid::from_normalised(jid),
                affiliation,
                nick: None,
                reason: None,
            })
        };
        w.does(CRONE, ban("scotland.example", Affiliation::Outcast));
        let out = w.asks("macbeth@scotland.example/x", "set", &query(NODE, "", ""));
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        w.configure(|s| s.members_only = Some(true));
        let out = w.asks("banquo@x.example/x", "set", &query(NODE, "", ""));
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        // As of now: who takes part still may, who was removed no longer.
        assert_eq!(texts(&w.asks(HAG, "set", &query(NODE, "", ""))).len(), 5);
        w.does(CRONE, ban(bare(WICCA), Affiliation::Outcast));
        let out = w.asks(WICCA, "set", &query(NODE, "", ""));
        assert_eq!(out.one().error(), ("auth", "forbidden"));
    }
}

#[test]
// covers: MIX-MAM-10, MIX-MAM-11, MIX-MAM-12
fn mix_mam_08_10_11_12_filters_and_pages() {
    for w in all() {
        let mut w = talk(w.created());
        let all = ids(&w.asks(WICCA, "set", &query(NODE, "", "")));
        let mut ask = |fields: &str, more: &str| w.asks(WICCA, "set", &query(NODE, fields, more));
        let start = field("start", &["2026-01-01T12:02:00Z"]);
        let end = field("end", &["2026-01-01T14:04:00+02:00"]);
        assert_eq!(
            texts(&ask(&format!("{start}{end}"), "")),
            ["text 1", "text 2", "text 3"]
        );
        let after = field("after-id", &[&all[1]]);
        let before = field("before-id", &[&all[4]]);
        assert_eq!(
            texts(&ask(&format!("{after}{before}"), "")),
            ["text 2", "text 3"]
        );
        assert_eq!(
            texts(&ask(&field("ids", &[&all[3], &all[0]]), "")),
            ["text 0", "text 3"]
        );
        let out = ask("", &rsm("<max>2</max>"));
        assert_eq!(
            (texts(&out), fin(&out).attr("complete")),
            (vec!["text 0".into(), "text 1".into()], None)
        );
        let set = fin(&out).get_child("set", ns::RSM).unwrap().clone();
        assert_eq!(set.get_child("first", ns::RSM).unwrap().text(), all[0]);
        assert_eq!(set.get_child("last", ns::RSM).unwrap().text(), all[1]);
        let out = ask("", &rsm(&format!("<max>9</max><after>{}</after>", all[1])));
        assert_eq!(
            (texts(&out).len(), fin(&out).attr("complete")),
            (3, Some("true"))
        );
        assert_eq!(
            texts(&ask("", &rsm("<max>2</max><before/>"))),
            ["text 3", "text 4"]
        );
        let flipped = ask("", &format!("{}<flip-page/>", rsm("<max>2</max><before/>")));
        assert_eq!(texts(&flipped), ["text 4", "text 3"]);
        let unknown = "a".repeat(26);
        for (fields, more) in [
            (String::new(), rsm(&format!("<after>{unknown}</after>"))),
            (String::new(), rsm("<before>x</before>")),
            (field("before-id", &[&unknown]), String::new()),
            (field("ids", &[&all[0], &unknown]), String::new()),
        ] {
            assert_eq!(
                ask(&fields, &more).one().error(),
                ("cancel", "item-not-found")
            );
        }
        let out = ask(&field("{urn:odd}x", &["y"]), "");
        assert_eq!(out.one().error(), ("cancel", "feature-not-implemented"));
    }
}

#[test]
// covers: MIX-MAM-12
fn mix_mam_09_12_the_form_and_the_ends() {
    for w in all() {
        let mut w = talk(w.created());
        let out = w.asks(HAG, "get", &format!("<query xmlns='{}'/>", ns::MAM));
        let form = out.one().find("x", ns::DATA_FORMS);
        let vars: Vec<_> = form.children().filter_map(|f| f.attr("var")).collect();
        for var in [
            "FORM_TYPE",
            "with",
            "start",
            "end",
            "before-id",
            "after-id",
            "ids",
        ] {
            assert!(vars.contains(&var), "{var}");
        }
        let list = form
            .children()
            .find(|f| f.attr("var") == Some("ids"))
            .unwrap();
        let validate = list.get_child("validate", ns::FORM_VALIDATION).unwrap();
        assert!(validate.has_child("open", ns::FORM_VALIDATION));
        let all = ids(&w.asks(HAG, "set", &query("", "", "")));
        let out = w.asks(HAG, "get", &format!("<metadata xmlns='{}'/>", ns::MAM));
        let metadata = out.one().payload_of("metadata", ns::MAM);
        let ends: Vec<_> = metadata.children().map(|c| c.attr("id").unwrap()).collect();
        assert_eq!(ends, [&*all[0], &*all[4]]);
    }
}

#[test]
fn mix_mam_13_x_45_whose_messages() {
    for w in all() {
        let mut w = talk(w.created());
        w.mix_says(WICCA, "w1", "mine");
        let (encoded, speaker) = (w.encoded(HAG), w.speaker(HAG));
        let by = |w: &mut Mix, from: &str, with: &str| {
            texts(&w.asks(from, "set", &query(NODE, &field("with", &[with]), "")))
        };
        for with in [&encoded, &speaker] {
            assert_eq!(by(&mut w, WICCA, with).len(), 5);
        }
        // No probe for a guessed address, except one's own.
        assert_eq!(by(&mut w, WICCA, bare(HAG)), [""; 0]);
        assert_eq!(by(&mut w, WICCA, bare(WICCA)), ["mine"]);
        assert_eq!(by(&mut w, CRONE, bare(HAG)).len(), 5);
        // What was said while JIDs were hidden stays nobody's, also for who may see them now.
        w.configure(|s| s.visibility = Some(Visibility::Visible));
        assert_eq!(by(&mut w, WICCA, bare(HAG)), [""; 0]);
        assert_eq!(by(&mut w, WICCA, bare(WICCA)), ["mine"]);
        w.mix_says(HAG, "v1", "seen");
        assert_eq!(by(&mut w, WICCA, bare(HAG)), ["seen"]);
    }
}

#[test]
fn mix_mam_15_what_was_said_while_hidden_stays_so() {
    for w in all() {
        let mut w = talk(w.created());
        w.configure(|s| s.visibility = Some(Visibility::Visible));
        w.mix_says(HAG, "v1", "seen");
        let jids = |out: &Stanzas| -> Vec<bool> {
            let messages = out.messages();
            messages
                .iter()
                .map(|s| text(s.find("mix", MIX), "jid").is_some())
                .collect()
        };
        for from in [WICCA, CRONE] {
            let out = w.asks(from, "set", &query(NODE, "", ""));
            assert_eq!(jids(&out), [false, false, false, false, false, true]);
        }
        w.configure(|s| s.visibility = Some(Visibility::Hidden));
        for from in [WICCA, CRONE] {
            let out = w.asks(from, "set", &query(NODE, "", ""));
            assert_eq!(jids(&out), [false; 6]);
            assert!(out.iter().all(|s| !s.xml.contains("hag66")));
        }
    }
}

#[test]
// covers: MIX-MAM-17
fn mix_mam_16_17_ids_are_those_of_the_stream_and_refused_messages_are_not_there() {
    for w in all() {
        let mut w = w.created();
        w.participates(HAG, "thirdwitch");
        let live: Vec<_> = (0..3)
            .map(|i| {
                w.mix_says(HAG, "same", &format!("text {i}"))
                    .one()
                    .id()
                    .to_owned()
            })
            .collect();
        w.configure(|s| s.moderated = Some(true));
        assert_eq!(w.mix_says(HAG, "m", "refused").one().kind(), "error");
        let kept = ids(&w.asks(HAG, "set", &query(NODE, "", "")));
        assert_eq!(kept, live);
        let mut unique = kept.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 3);
    }
}

#[test]
fn map_29_map_84_map_06_one_archive_two_forms() {
    for w in shared() {
        let mut w = talk(w.created());
        w.join(CRONE, "firstwitch");
        let of_mix = |out: &Stanzas| -> Vec<bool> {
            let messages = out.messages();
            messages
                .iter()
                .map(|s| s.xml.contains(&format!("<mix xmlns='{MIX}'")))
                .collect()
        };
        let mix = w.asks(WICCA, "set", &query(NODE, "", ""));
        let muc = w.iq(CRONE, "set", &query("", "", ""));
        assert_eq!(
            (of_mix(&mix), of_mix(&muc)),
            (vec![true; 5], vec![false; 5])
        );
        assert_eq!((ids(&mix), texts(&mix)), (ids(&muc), texts(&muc)));
        assert!(
            muc.messages()
                .iter()
                .all(|s| s.xml.contains(&format!("from='{ROOM}/thirdwitch'")))
        );
        // The history of a join is the same again.
        let joined = w.join("banquo@x.example/y", "banquo").messages();
        let history = joined.keep(|s| s.body().is_some());
        let history: Vec<_> = history.iter().map(|s| s.stanza_id().unwrap()).collect();
        assert_eq!(history, ids(&mix));
    }
    // In a pair both addresses have it, each in its own form.
    let mut w = pair();
    w = talk(w.created());
    let (x, m) = (
        w.asks(HAG, "set", &query("", "", "")),
        w.iq(HAG, "set", &query("", "", "")),
    );
    assert_eq!(ids(&x), ids(&m));
    assert!(
        x.messages()
            .iter()
            .all(|s| s.from() == "coven@mix.example" && s.xml.contains(MIX))
    );
    assert!(
        m.messages()
            .iter()
            .all(|s| s.from() == ROOM && !s.xml.contains(MIX))
    );
    let out = w.iq(HAG, "set", &query(NODE, "", ""));
    assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    // In one domain it goes by the node, then by who asks.
    let mut w = talk(one().created());
    for (from, node, is_mix) in [
        (WICCA, NODE, true),
        (WICCA, "", true),
        ("banquo@x.example/y", "", false),
        ("banquo@x.example/y", NODE, true),
    ] {
        let out = w.iq(from, "set", &query(node, "", ""));
        assert!(out.messages().iter().all(|s| s.xml.contains(MIX) == is_mix));
    }
    w.join(WICCA, "secondwitch");
    let out = w.iq(WICCA, "set", &query("", "", ""));
    assert!(out.messages().iter().all(|s| !s.xml.contains(MIX)));
}

#[test]
fn mix_mam_03_i9_a_page_that_does_not_fit_is_refused_and_loses_nothing() {
    for w in all() {
        let mut w = w.created();
        w.participates(HAG, "thirdwitch");
        w.mix_says(HAG, "m1", &"x".repeat(1500));
        w.max_stanza = 1500;
        let out = w.asks(HAG, "set", &query("", "", ""));
        assert_eq!(out.one().error(), ("wait", "resource-constraint"));
        w.max_stanza = 3000;
        assert_eq!(texts(&w.asks(HAG, "set", &query("", "", ""))).len(), 1);
    }
}

#[test]
fn mix_mam_03_i9_a_queryid_is_bounded() {
    let mut w = one().created();
    w.participates(HAG, "thirdwitch");
    for (bytes, kind) in [(1024, "result"), (1025, "error")] {
        let asked = query("", "", "").replace("q1", &"q".repeat(bytes));
        let out = w.asks(HAG, "set", &asked);
        assert_eq!(out.keep(|s| s.is_iq()).one().kind(), kind);
    }
}
