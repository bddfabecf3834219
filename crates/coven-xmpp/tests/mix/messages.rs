//! Groupchat messages (MIX-MSG), one stream of them for both views (MAP-03, 26..28).

use crate::channel::{HAG2, MIX, Mix, all, alone, bare, event, mam, one, pair, shared, text};
use crate::common::{CRONE, HAG, ROOM, Sent, WICCA};
use coven_core::Config;
use coven_core::people::participation::Node;
use coven_core::people::visibility::Visibility;
use coven_xmpp::dispatch::Inbound;
use coven_xmpp::ns;
use minidom::Element;

/// `from`, `id` and the `<mix/>` of a distributed message.
struct Copy<'a> {
    from: &'a str,
    id: &'a str,
    nick: Option<String>,
    jid: Option<String>,
}

fn copy(stanza: &Sent) -> Copy<'_> {
    assert_eq!(stanza.kind(), "groupchat", "{stanza:?}");
    let all = stanza.tree.children().filter(|c| c.is("mix", MIX));
    let mix: Vec<_> = all.collect();
    assert_eq!(mix.len(), 1, "{stanza:?}");
    Copy {
        from: stanza.from(),
        id: stanza.id(),
        nick: text(mix[0], "nick"),
        jid: text(mix[0], "jid"),
    }
}

/// Three people of whom one subscribes to no messages.
fn people(mut w: Mix) -> Mix {
    w.participates(HAG, "thirdwitch");
    w.participates_in(WICCA, &[Node::Participants], "secondwitch");
    w.participates(CRONE, "firstwitch");
    w
}

#[test]
// covers: MIX-MSG-03, MIX-MSG-04, MIX-MSG-05, MIX-MSG-06, MIX-MSG-08, MIX-PAMC-07
fn mix_msg_01_03_04_05_06_08_mix_pamc_01_07_every_subscriber_gets_one_copy_at_its_account() {
    for w in all() {
        let mut w = people(w.visible());
        // Nobody is online.
        let out = w.mix_says(HAG2, "m1", "Fire burn");
        assert_eq!(out.tos(), [bare(CRONE), bare(HAG)]);
        let speaker = w.speaker(HAG);
        for stanza in out.iter() {
            let copy = copy(stanza);
            assert_eq!(copy.from, speaker);
            assert!(copy.id != "m1" && copy.id.len() == 26);
            assert_eq!(copy.nick.as_deref(), Some("thirdwitch"));
            assert_eq!(copy.jid.as_deref(), Some(bare(HAG)));
            let sid = stanza.payload_of("stanza-id", ns::SID);
            assert_eq!(sid.attr("by"), Some(w.channel));
            assert_eq!(sid.attr("id"), Some(copy.id));
            assert_eq!(stanza.body().as_deref(), Some("Fire burn"));
        }
        assert_eq!(out[0].id(), out[1].id());
    }
}

#[test]
fn mix_msg_06_hidden_jids_and_a_name_for_everybody() {
    for w in all() {
        let mut w = people(w.created());
        let out = w.mix_says(HAG, "m1", "x");
        let copy = copy(&out[0]);
        assert_eq!((copy.nick.as_deref(), copy.jid), (Some("thirdwitch"), None));
    }
    // Who has no nick is shown by what there is, and by a generated one if there is nothing (MAP-24).
    for visibility in [Visibility::Visible, Visibility::Hidden] {
        let mut w = alone().created();
        w.configure(|s| {
            s.all = Some(Box::new(Config {
                persistent: true,
                mandatory_nicks: false,
                visibility,
                ..Config::default()
            }));
        });
        w.participates(HAG, "");
        let out = w.mix_says(HAG, "m1", "x");
        let copy = copy(out.one());
        assert_eq!(copy.nick.is_some(), visibility == Visibility::Hidden);
        assert_eq!(copy.jid.is_some(), visibility == Visibility::Visible);
    }
}

#[test]
fn mix_msg_02_x_14_map_03_others_may_not_speak() {
    for (w, condition) in [
        (alone(), ("auth", "forbidden")),
        (pair(), ("auth", "forbidden")),
        (one(), ("cancel", "not-acceptable")),
    ] {
        let mut w = w.created();
        let out = w.mix_says(HAG, "m1", "x");
        assert_eq!(out.one().error(), condition);
        assert_eq!((out.one().to(), out.one().id()), (HAG, "m1"));
        assert!(out.one().is_message());
        // covers: MIX-JOIN-19
        let domain = w.domain;
        let nowhere = w.send(&format!(
            "<message from='{HAG}' to='heath@{domain}' type='groupchat' id='m'><body>x</body></message>"
        ));
        assert_eq!(nowhere.one().error(), ("cancel", "item-not-found"));
    }
    // In a pair the domain says whose a message is.
    let mut w = pair().created();
    w.participates(HAG, "thirdwitch");
    w.join(WICCA, "secondwitch");
    assert_eq!(
        w.say(HAG, "m1", "x").one().error(),
        ("cancel", "not-acceptable")
    );
    assert_eq!(
        w.mix_says(WICCA, "m1", "x").one().error(),
        ("auth", "forbidden")
    );
    assert_eq!(w.mix_says(HAG, "m1", "x").len(), 2);
    assert_eq!(w.say(WICCA, "m1", "x").len(), 2);
}

#[test]
fn mix_msg_07_map_28_subjects_have_the_mark_too() {
    for w in all() {
        let mut w = people(w.created());
        let out = w.mix_posts(
            CRONE,
            "s1",
            "<subject>Fire Burn and Cauldron Bubble!</subject>",
        );
        let told = out.keep(|s| s.kind() == "groupchat" && s.to() == bare(HAG));
        assert_eq!(copy(told.one()).nick.as_deref(), Some("firstwitch"));
        assert!(told.one().body().is_none());
        assert!(told.one().child("subject", ns::CLIENT).is_some());
        // The info item holds it from now on, and changes with it.
        let info =
            out.keep(|s| s.to() == bare(HAG) && s.child("event", ns::PUBSUB_EVENT).is_some());
        assert_eq!(event(info.one()).0, format!("items {}", Node::Info.name()));
        assert!(info.one().xml.contains("Fire Burn and Cauldron Bubble!"));
        let read = w.reads(HAG, Node::Info.name(), "");
        assert!(read.one().xml.contains("Fire Burn and Cauldron Bubble!"));
        // covers: MIX-MSG-18
        let out = w.mix_posts(HAG, "s2", "<subject>x</subject>");
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        let archived = mam(&mut w, HAG);
        assert_eq!(archived.messages().len(), 1);
    }
}

#[test]
// covers: MIX-MSG-10
fn mix_msg_08_10_mix_msg_09_what_only_the_channel_says_comes_from_it_alone() {
    for w in all() {
        let mut w = people(w.created());
        let (channel, forged) = (w.channel, "00000000000000000000000000");
        let payload = format!(
            "<body>x</body><origin-id xmlns='{sid}' id='own-1'/>\
             <stanza-id xmlns='{sid}' by='{channel}' id='{forged}'/>\
             <stanza-id xmlns='{sid}' by='elsewhere.example' id='kept'/>\
             <mix xmlns='{MIX}'><nick>forged</nick></mix><mix xmlns='urn:xmpp:mix:core:0'><nick>forged</nick></mix>\
             <occupant-id xmlns='{}' id='forged'/><x xmlns='{}'><item role='moderator'/></x>",
            ns::OCCUPANT_ID,
            ns::MUC_USER,
            sid = ns::SID,
        );
        let out = w.mix_posts(HAG, "m1", &payload);
        let stanza = &out[0];
        assert!(!stanza.xml.contains("forged") && !stanza.xml.contains(forged));
        assert!(stanza.child("x", ns::MUC_USER).is_none());
        let origin = stanza.payload_of("origin-id", ns::SID);
        assert_eq!(origin.attr("id"), Some("own-1"));
        assert!(stanza.xml.contains("by='elsewhere.example' id='kept'"));
        assert_eq!(copy(stanza).nick.as_deref(), Some("thirdwitch"));
        let ours = stanza
            .tree
            .children()
            .filter(|c| c.is("stanza-id", ns::SID) && c.attr("by") == Some(channel));
        assert_eq!(ours.count(), 1);
    }
}

#[test]
fn mix_msg_11_everything_else_passes_unchanged() {
    let payloads = [
        "<body>a &amp; b</body><body xml:lang='de'>c</body><thread parent='p'>t</thread>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>🔥</reaction></reactions>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<reply xmlns='urn:xmpp:reply:0' to='coven@mix.example/y' id='x'/><body>z</body>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/></encrypted><store xmlns='urn:xmpp:hints'/>",
        "<a:odd xmlns:a='urn:odd' a:b='c'><d xmlns='urn:other'>&lt;</d></a:odd>",
    ];
    for w in all() {
        let mut w = people(w.created());
        for payload in payloads {
            let out = w.mix_posts(HAG, "m1", payload);
            let sent: Element = format!("<message xmlns='{}'>{payload}</message>", ns::CLIENT)
                .parse()
                .unwrap();
            let ours = |c: &&Element| !c.is("mix", MIX) && !c.is("stanza-id", ns::SID);
            for stanza in out.iter() {
                let got: Vec<_> = stanza.tree.children().filter(ours).collect();
                assert_eq!(got, sent.children().collect::<Vec<_>>(), "{payload}");
            }
            assert_eq!(out.len(), 2, "{payload}");
        }
    }
}

#[test]
// covers: MIX-MSG-12
fn mix_msg_05_12_mix_mam_19_messages_without_id_or_archive_have_one_of_their_own() {
    for w in all() {
        let mut w = people(w.created());
        let channel = w.channel;
        let anonymous = w.send(&format!(
            "<message from='{HAG}' to='{channel}' type='groupchat'><body>x</body></message>"
        ));
        let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        let secret = "<body>x</body><no-store xmlns='urn:xmpp:hints'/>";
        let passing = [
            w.mix_posts(HAG, "m1", state),
            w.mix_posts(HAG, "m1", state),
            w.mix_posts(HAG, "m1", secret),
        ];
        let mut ids = vec![anonymous[0].id().to_owned()];
        for out in &passing {
            assert_eq!(out.len(), 2);
            assert!(out[0].stanza_id().is_none(), "it is not in the archive");
            ids.push(copy(&out[0]).id.to_owned());
        }
        assert!(ids.iter().all(|id| id.len() == 26));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        let archived = mam(&mut w, HAG).messages();
        assert_eq!(archived.len(), 1);
    }
}

#[test]
// covers: MIX-MSG-14
fn mix_msg_13_14_i3_what_is_sent_is_archived_in_the_same_order() {
    for w in shared() {
        let mut w = people(w.created());
        w.join(HAG2, "thirdwitch");
        let mut sent = Vec::new();
        for i in 0..5 {
            let out = match i % 2 {
                0 => w.mix_says(CRONE, &format!("c{i}"), &format!("text {i}")),
                _ => w.say(HAG2, &format!("h{i}"), &format!("text {i}")),
            };
            sent.push(out.to(bare(HAG)).one().clone());
        }
        let archived = mam(&mut w, HAG).messages();
        assert_eq!(archived.len(), 5);
        for (live, kept) in sent.iter().zip(archived.iter()) {
            let result = kept.payload_of("result", ns::MAM);
            assert_eq!(result.attr("id"), Some(live.id()));
            let message = kept.find("message", ns::CLIENT);
            let inner = kept
                .payload_of("result", ns::MAM)
                .children()
                .next()
                .unwrap();
            let message = inner.get_child("message", ns::CLIENT).unwrap_or(message);
            assert_eq!(message.attr("to"), None);
            let (from, id) = (message.attr("from"), message.attr("id"));
            assert_eq!((from, id), (Some(live.from()), Some(live.id())));
            let children = |e: &Element| e.children().cloned().collect::<Vec<_>>();
            assert_eq!(children(message), children(&live.tree));
        }
    }
}

#[test]
fn mix_msg_15_map_26_a_correction_names_what_each_reader_saw() {
    for w in shared() {
        let mut w = people(w.created());
        w.join(WICCA, "secondwitch");
        let correct =
            |id: &str| format!("<body>y</body><replace xmlns='{}' id='{id}'/>", ns::CORRECT);
        let replaced = |s: &Sent| {
            s.payload_of("replace", ns::CORRECT)
                .attr("id")
                .unwrap()
                .to_owned()
        };
        // By a MIX client, which knows the archive's id.
        let first = w
            .mix_says(HAG, "own-1", "x")
            .to(bare(HAG))
            .one()
            .id()
            .to_owned();
        let out = w.mix_posts(HAG, "own-2", &correct(&first));
        assert_eq!(replaced(out.to(bare(CRONE)).one()), first);
        assert_eq!(replaced(out.to(WICCA).one()), "own-1");
        // By a MUC client, which knows its own.
        let said = w.say(WICCA, "own-3", "x");
        let archived = said.to(bare(HAG)).one().id().to_owned();
        let out = w.send(&format!(
            "<message from='{WICCA}' to='{ROOM}' id='own-4' type='groupchat'>{}</message>",
            correct("own-3")
        ));
        assert_eq!(replaced(out.to(bare(HAG)).one()), archived);
        assert_eq!(replaced(out.to(WICCA).one()), "own-3");
        // What somebody else said, or nobody, is passed as it stands.
        for id in [&*archived, "own-3", "never"] {
            let out = w.mix_posts(CRONE, "own-5", &correct(id));
            assert_eq!(replaced(out.to(bare(HAG)).one()), id);
            assert_eq!(replaced(out.to(WICCA).one()), id);
        }
        // The archive tells it the same way.
        let kept = mam(&mut w, HAG).messages();
        assert!(kept[1].xml.contains(&format!("id='{first}'")));
    }
}

#[test]
fn mix_msg_15_map_26_a_correction_of_a_message_without_an_id() {
    for w in shared() {
        let mut w = people(w.created());
        w.join(WICCA, "secondwitch");
        let replaced = |s: &Sent| {
            let replace = s.payload_of("replace", ns::CORRECT);
            replace.attr("id").unwrap().to_owned()
        };
        let post = |from: &str, to: &str, payload: &str| {
            format!("<message from='{from}' to='{to}' type='groupchat'>{payload}</message>")
        };
        let correct =
            |id: &str| format!("<body>y</body><replace xmlns='{}' id='{id}'/>", ns::CORRECT);
        for from in [HAG, WICCA] {
            let to = if from == HAG { w.channel } else { ROOM };
            let said = w.send(&post(from, to, "<body>x</body>"));
            let in_mix = said.to(bare(HAG)).one().id().to_owned();
            let in_muc = said.to(WICCA).one().id().to_owned();
            let named = if from == HAG { &in_mix } else { &in_muc };
            let out = w.send(&post(from, to, &correct(named)));
            assert_eq!(replaced(out.to(bare(HAG)).one()), in_mix);
            assert_eq!(replaced(out.to(WICCA).one()), in_muc);
        }
    }
}

#[test]
fn mix_msg_16_what_comes_back_is_absorbed() {
    for w in all() {
        let mut w = people(w.created());
        let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        let speaker = w.speaker(HAG);
        let before = w.coven().channel.roster().parts();
        for to in [w.channel.to_owned(), speaker, w.encoded(HAG)] {
            let bounce = format!(
                "<message from='{}' to='{to}' type='error' id='x'>{error}</message>",
                bare(CRONE)
            );
            let seen = w.dispatch(&bounce);
            let Inbound::MixBounce { domain, condition } = seen else {
                panic!("{seen:?}");
            };
            assert_eq!(domain, "shakespeare.example");
            assert_eq!(condition, coven_core::Condition::ServiceUnavailable);
            assert!(w.send(&bounce).is_empty());
        }
        assert_eq!(w.coven().channel.roster().parts(), before);
        assert_eq!(w.mix_says(HAG, "m1", "x").len(), 2);
    }
}

#[test]
// covers: MIX-MSG-19
fn mix_msg_17_19_messages_to_nobody() {
    for mut w in all() {
        w = w.created();
        let (channel, encoded) = (w.channel, format!("x#{}", w.channel));
        for kind in ["type='chat'", ""] {
            let out = w.send(&format!(
                "<message from='{HAG}' to='{channel}' {kind} id='m'><body>x</body></message>"
            ));
            assert_eq!(out.one().error(), ("modify", "bad-request"));
        }
        let headline = format!(
            "<message from='{HAG}' to='{channel}' type='headline'><body>x</body></message>"
        );
        assert!(w.send(&headline).is_empty());
        // covers: MIX-PM-01 (groupchat to one participant)
        let out = w.send(&format!(
            "<message from='{HAG}' to='{encoded}' type='groupchat' id='m'><body>x</body></message>"
        ));
        assert_eq!(out.one().error(), ("modify", "bad-request"));
    }
    for mut w in [alone(), pair()] {
        w = w.created();
        w.participates(HAG, "thirdwitch");
        let speaker = w.speaker(HAG);
        let out = w.send(&format!(
            "<message from='{HAG}' to='{speaker}' type='groupchat' id='m'><body>x</body></message>"
        ));
        assert_eq!(out.one().error(), ("modify", "bad-request"));
    }
}

#[test]
fn mix_msg_18_without_voice_nothing_is_said() {
    for w in all() {
        let mut w = people(w.created());
        w.configure(|s| s.moderated = Some(true));
        let out = w.mix_says(HAG, "m1", "x");
        assert_eq!(out.one().error(), ("auth", "forbidden"));
        assert_eq!(w.mix_says(CRONE, "m1", "x").len(), 2);
    }
}

#[test]
fn mix_pamc_09_the_quirk_is_for_those_who_need_it() {
    for w in all() {
        let mut w = people(w.created());
        w.participates("macbeth@scotland.example", "thane");
        w.quirky = Some("scotland.example".into());
        let out = w.mix_says(HAG, "m1", "x");
        let extra = "<mix xmlns=''/>";
        for stanza in out.iter() {
            let needs = stanza.to() == "macbeth@scotland.example";
            assert_eq!(stanza.xml.contains(extra), needs);
            assert!(stanza.child("mix", MIX).is_some());
        }
        let events = w.leaves(HAG);
        assert!(events.iter().all(|s| !s.xml.contains(extra)));
        let archived = mam(&mut w, "macbeth@scotland.example/x");
        assert!(archived.iter().all(|s| !s.xml.contains(extra)));
    }
}

#[test]
fn map_27_mix_msg_14_one_message_two_forms() {
    for w in shared() {
        let mut w = people(w.visible());
        w.join(WICCA, "secondwitch");
        w.join(HAG, "thirdwitch");
        for by_mix in [true, false] {
            let out = match by_mix {
                true => w.mix_says(HAG2, "own", "x"),
                false => w.say(HAG, "own", "x"),
            };
            // Two by MUC, and the accounts of two; he who uses both gets both.
            let mut to = out.tos();
            to.sort_unstable();
            assert_eq!(to, [bare(CRONE), bare(HAG), HAG, WICCA]);
            let (mix, muc) = (out.to(bare(CRONE)), out.to(WICCA));
            assert_eq!(muc.one().from(), format!("{ROOM}/thirdwitch"));
            assert_eq!((muc.one().id(), mix.one().id() == "own"), ("own", false));
            assert_eq!(muc.one().stanza_id(), mix.one().stanza_id());
            assert_eq!(muc.one().stanza_id(), Some(mix.one().id()));
            let by = |s: &Sent| {
                s.payload_of("stanza-id", ns::SID)
                    .attr("by")
                    .unwrap()
                    .to_owned()
            };
            assert_eq!(
                (by(muc.one()), by(mix.one())),
                (ROOM.to_owned(), w.channel.to_owned())
            );
            assert!(muc.one().child("mix", MIX).is_none());
            assert!(mix.one().occupant_id().is_none());
            // covers: MAP-09
            let id = w.id(HAG);
            assert_eq!(muc.one().occupant_id(), Some(&*id));
            assert_eq!(mix.one().from(), w.speaker(HAG));
        }
    }
}
