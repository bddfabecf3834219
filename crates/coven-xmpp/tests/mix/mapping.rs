//! What comes from the MUC side, as MIX sees it (MAP-08, 12, 13, 72..79), and stanzas at the wrong address (MAP-83).

use crate::channel::{
    ALL, HAG2, MIX, Mix, PUBSUB, added, bare, event, join, joined, mam, one, pair, retracted,
    shared,
};
use crate::common::{CRONE, HAG, ROOM, Sent, Stanzas, WICCA};
use coven_core::people::participation::Node;
use coven_core::{Affiliation, BareJid, Command, Role};
use coven_xmpp::ns;
use minidom::Element;

/// A channel where Wiccarocks takes part by MIX.
fn watched(mut w: Mix) -> Mix {
    w.participates(WICCA, "secondwitch");
    w
}

/// What the account of Wiccarocks gets: events as in [`told`], presences as `type from-resource`.
fn sees(out: &Stanzas) -> (Vec<(String, Vec<String>)>, Vec<String>) {
    let mine = out.to(bare(WICCA));
    let presences = mine.presences();
    let short = |s: &Sent| format!("{} {}", s.kind(), s.from().split('/').nth(1).unwrap());
    (
        mine.messages().iter().map(event).collect(),
        presences.iter().map(short).collect(),
    )
}

#[test]
fn map_12_map_75_map_09_an_occupant_of_muc_is_a_participant_while_it_is_there() {
    for w in shared() {
        let mut w = watched(w.visible());
        let out = w.join(HAG, "thirdwitch");
        let id = w.id(HAG);
        let item = format!("{id} thirdwitch {}", bare(HAG));
        assert_eq!(sees(&out), (added(&[&item]), vec![" pda".to_owned()]));
        let presence = out.to(bare(WICCA)).presences();
        assert_eq!(presence.one().from(), format!("{id}#{}/pda", w.channel));
        let mix = presence.one().payload_of("mix", ns::MIX_PRESENCE);
        assert_eq!(
            mix.children().map(Element::text).collect::<Vec<_>>(),
            ["thirdwitch", HAG]
        );
        // The same id as a join by MIX gives, and as MUC is told.
        let items = w.reads(WICCA, Node::Participants.name(), "");
        assert!(items.one().xml.contains(&id));
        assert_eq!(
            out.to(HAG).presences().last().unwrap().occupant_id(),
            Some(&*id)
        );
        let out = w.participates(HAG, "");
        assert_eq!(joined(&out).attr("id"), Some(&*id));
        // covers: MAP-13 (one item, never two)
        assert_eq!(sees(&out).0, []);
        let items = w.reads(WICCA, Node::Participants.name(), "");
        assert_eq!(items.one().xml.matches(&id).count(), 1);
    }
}

#[test]
fn map_76_map_77_map_12_every_session_is_a_client_and_the_last_ends_the_item() {
    for w in shared() {
        let mut w = watched(w.visible());
        w.join(HAG, "thirdwitch");
        let id = w.id(HAG);
        let out = w.join(HAG2, "thirdwitch");
        assert_eq!(sees(&out), (vec![], vec![" phone".to_owned()]));
        let away = |from: &str, more: &str| {
            format!(
                "<presence from='{from}' to='{ROOM}/thirdwitch' {more}><show>away</show></presence>"
            )
        };
        let out = w.send(&away(HAG2, ""));
        assert_eq!(sees(&out), (vec![], vec![" phone".to_owned()]));
        let out = w.send(&away(HAG2, "type='unavailable'"));
        assert_eq!(sees(&out), (vec![], vec!["unavailable phone".to_owned()]));
        let out = w.send(&away(HAG, "type='unavailable'"));
        assert_eq!(
            sees(&out),
            (retracted(&id), vec!["unavailable pda".to_owned()])
        );
        // Of a participant the item stays.
        w.participates(HAG, "thirdwitch");
        w.join(HAG, "thirdwitch");
        let out = w.send(&away(HAG, "type='unavailable'"));
        assert_eq!(sees(&out), (vec![], vec!["unavailable pda".to_owned()]));
    }
}

#[test]
fn map_74_map_46_leaving_by_mix_leaves_sessions_of_muc() {
    for w in shared() {
        let mut w = watched(w.visible());
        w.participates(HAG, "thirdwitch");
        w.join(HAG, "thirdwitch");
        w.presence(HAG2, "", "");
        let out = w.leaves(HAG);
        assert_eq!(sees(&out), (vec![], vec!["unavailable phone".to_owned()]));
        let id = w.id(HAG);
        let out = w.send(&format!(
            "<presence from='{HAG}' to='{ROOM}/thirdwitch' type='unavailable'/>"
        ));
        assert_eq!(
            sees(&out),
            (retracted(&id), vec!["unavailable pda".to_owned()])
        );
    }
}

#[test]
fn map_72_a_join_by_mix_is_seen_by_both() {
    for w in shared() {
        let mut w = watched(w.visible());
        w.join(CRONE, "firstwitch");
        let out = w.participates(HAG, "thirdwitch");
        let item = format!("{} thirdwitch {}", w.id(HAG), bare(HAG));
        assert_eq!(sees(&out).0, added(&[&item]));
        let muc = out.to(CRONE).presences();
        assert_eq!(muc.one().from(), format!("{ROOM}/thirdwitch"));
        assert_eq!(muc.one().kind(), "");
        let show = muc.one().child("show", ns::CLIENT).map(Element::text);
        assert_eq!(show.as_deref(), Some("xa"));
    }
}

#[test]
fn map_78_map_10_a_new_nick_from_muc_is_one_event_and_presence_again() {
    for w in shared() {
        let mut w = watched(w.visible());
        w.join(HAG, "thirdwitch");
        w.participates(HAG, "thirdwitch");
        w.presence(HAG2, "", "");
        let out = w.send(&format!("<presence from='{HAG}' to='{ROOM}/hecate'/>"));
        let item = format!("{} hecate {}", w.id(HAG), bare(HAG));
        assert_eq!(
            sees(&out),
            (
                added(&[&item]),
                vec![" pda".to_owned(), " phone".to_owned()]
            )
        );
        let told = out.to(bare(WICCA)).presences();
        for stanza in told.iter() {
            let mix = stanza.payload_of("mix", ns::MIX_PRESENCE);
            assert_eq!(mix.children().next().unwrap().text(), "hecate");
        }
        // From MIX it is 303 to occupants.
        w.join(CRONE, "firstwitch");
        let out = w.sets_nick(HAG2, "thirdwitch").to(CRONE).presences();
        assert_eq!(
            (out[0].codes(), out[0].item("nick")),
            (vec![303], Some("thirdwitch"))
        );
        assert_eq!(out[1].from(), format!("{ROOM}/thirdwitch"));
    }
}

#[test]
fn map_23_who_joins_by_muc_has_its_nick_of_mix() {
    for w in shared() {
        let mut w = watched(w.created());
        w.participates(HAG, "thirdwitch");
        let out = w.join(HAG, "somebody");
        let own = out.to(HAG).presences().keep(|s| s.codes().contains(&110));
        assert_eq!(own.one().codes(), [110, 210]);
        assert_eq!(own.one().from(), format!("{ROOM}/thirdwitch"));
        assert_eq!(sees(&out).0, []);
    }
}

#[test]
fn map_79_payloads_pass_and_marks_are_of_the_view() {
    for w in shared() {
        let mut w = watched(w.created());
        let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>";
        let photo = "<x xmlns='vcard-temp:x:update'><photo>ab</photo></x>";
        let out = w.send(&format!(
            "<presence from='{HAG}' to='{ROOM}/thirdwitch'><x xmlns='{}'/><show>dnd</show>{caps}{photo}</presence>",
            ns::MUC
        ));
        let told = out.to(bare(WICCA)).presences();
        let stanza = told.one();
        assert!(stanza.x().is_none() && stanza.child("x", ns::MUC).is_none());
        assert!(stanza.occupant_id().is_none());
        assert!(
            stanza.child("c", ns::CAPS).is_some() && stanza.child("x", ns::VCARD_UPDATE).is_some()
        );
        w.join(CRONE, "firstwitch");
        let out = w.presence(
            WICCA,
            "",
            &format!("{caps}<mix xmlns='{}'/>", ns::MIX_PRESENCE),
        );
        let muc = out.to(CRONE).presences();
        assert!(muc.one().child("mix", ns::MIX_PRESENCE).is_none());
        assert!(muc.one().child("c", ns::CAPS).is_some() && muc.one().x().is_some());
    }
}

#[test]
fn map_18_map_19_who_is_banned_or_kicked_by_muc_is_retracted() {
    for w in shared() {
        for role in [true, false] {
            let fresh = if w.domain == "chat.example" {
                one()
            } else {
                pair()
            };
            let mut w = watched(fresh.created());
            w.join(CRONE, "firstwitch");
            w.join(HAG, "thirdwitch");
            let id = w.id(HAG);
            let command = match role {
                true => Command::SetRole(coven_core::command::RoleChange {
                    nick: "thirdwitch".into(),
                    role: Role::None,
                    reason: None,
                }),
                false => Command::SetAffiliation(coven_core::command::Grant {
                    jid: BareJid::from_normalised(bare(HAG)),
                    affiliation: Affiliation::Outcast,
                    nick: None,
                    reason: None,
                }),
            };
            let out = w.does(CRONE, command);
            let (events, presences) = sees(&out);
            assert_eq!(events, retracted(&id));
            assert!(presences.len() == 1 && presences[0].starts_with("unavailable "));
        }
    }
}

#[test]
fn map_02_map_83_stanzas_of_muc_where_mix_is_spoken() {
    let mut w = watched(pair().created());
    let x = "coven@mix.example";
    for (kind, payload) in [
        (
            "get",
            "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
        ),
        (
            "get",
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner'/></query>",
        ),
        ("get", "<query xmlns='jabber:iq:register'/>"),
    ] {
        let out = w.iq_to(x, CRONE, kind, payload);
        assert_eq!(out.one().error(), ("cancel", "service-unavailable"));
    }
    for to in ["coven@mix.example/nick"] {
        let chat =
            format!("<message from='{HAG}' to='{to}' type='chat' id='1'><body>x</body></message>");
        assert_eq!(
            w.send(&chat).one().error(),
            ("cancel", "service-unavailable")
        );
        let ping = w.iq_to(to, HAG, "get", "<ping xmlns='urn:xmpp:ping'/>");
        assert_eq!(ping.one().error(), ("cancel", "service-unavailable"));
        let update = format!("<presence from='{HAG}' to='{to}'><show>away</show></presence>");
        assert_eq!(
            w.send(&update).one().error(),
            ("cancel", "service-unavailable")
        );
        for kind in ["unavailable", "probe", "subscribe"] {
            assert!(
                w.send(&format!("<presence from='{HAG}' to='{to}' type='{kind}'/>"))
                    .is_empty()
            );
        }
    }
}

#[test]
fn map_83_stanzas_of_mix_where_muc_is_spoken() {
    let mut w = watched(pair().created());
    let out = w.iq(bare(HAG), "set", &join(&ALL, "x"));
    assert_eq!(out.one().error(), ("modify", "redirect"));
    assert!(
        out.one()
            .xml
            .contains(">xmpp:coven@mix.example?join</redirect>")
    );
    for (kind, payload) in [
        ("set", format!("<leave xmlns='{MIX}'/>")),
        (
            "set",
            format!("<setnick xmlns='{MIX}'><nick>x</nick></setnick>"),
        ),
        ("set", format!("<update-subscription xmlns='{MIX}'/>")),
        (
            "get",
            format!(
                "<pubsub xmlns='{PUBSUB}'><items node='{}'/></pubsub>",
                Node::Info.name()
            ),
        ),
    ] {
        let out = w.iq(bare(WICCA), kind, &payload);
        assert_eq!(
            out.one().error(),
            ("cancel", "service-unavailable"),
            "{payload}"
        );
    }
    // Presence there is of nobody's client.
    for from in [WICCA, bare(WICCA)] {
        assert!(
            w.send(&format!("<presence from='{from}' to='{ROOM}'/>"))
                .is_empty()
        );
    }
    assert_eq!(w.coven().channel.roster().sessions().len(), 0);
}

#[test]
fn map_81_map_84_each_reader_sees_addresses_of_its_own_domain() {
    let mut w = pair().visible();
    let mut all = Vec::new();
    all.extend(w.participates(WICCA, "secondwitch").iter().cloned());
    all.extend(w.join(HAG, "thirdwitch").iter().cloned());
    all.extend(w.presence(WICCA, "", "").iter().cloned());
    all.extend(w.say(HAG, "m1", "x").iter().cloned());
    all.extend(w.mix_says(WICCA, "m2", "x").iter().cloned());
    all.extend(w.mix_posts(CRONE, "m3", "<body>x</body>").iter().cloned());
    all.extend(mam(&mut w, WICCA).iter().cloned());
    all.extend(w.sets_nick(WICCA, "hecate").iter().cloned());
    all.extend(w.leaves(WICCA).iter().cloned());
    assert!(all.len() > 20);
    for stanza in &all {
        let to_mix = stanza.to() == bare(WICCA) || stanza.to() == WICCA || stanza.to() == CRONE;
        let other = if to_mix {
            "@chat.example"
        } else {
            "@mix.example"
        };
        assert!(!stanza.xml.contains(other), "{stanza:?}");
    }
}
