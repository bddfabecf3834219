//! Groupchat messages of both views (XEP-0045 §7.4, XEP-0369 §7.1.6).

use crate::table::acts::{post, topic};
use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH};
use coven_core::channel::Output;
use coven_core::command::{Command, Post, Reference, Resolved, Traits, View};
use coven_core::event::Event;
use coven_core::people::visibility::Visibility;
use coven_core::{Affiliation, ArchiveId, Condition, ErrorType, Role};

fn both() -> Table {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    t
}

#[test]
// covers: MUC-MSG-04
fn muc_msg_02_04_a_message_is_from_the_occupant_with_id_and_payload_unchanged() {
    let mut t = both();
    let body = "<body>Harpier cries: 'tis time</body><thread/><x xmlns='urn:any'/>";
    let said = Post {
        own_id: Some("own-1".into()),
        lang: Some("en".into()),
        ..post(body)
    };
    let message = t.posts(HAG, said).message();
    assert_eq!(message.nick, "thirdwitch");
    assert_eq!(message.own_id.as_deref(), Some("own-1"));
    assert_eq!(message.lang.as_deref(), Some("en"));
    assert_eq!(message.payload, body.as_bytes());
}

#[test]
fn mix_msg_01_map_03_participants_speak_from_any_client_or_none() {
    let mut t = both();
    for jid in [WITCH, "wiccarocks@shakespeare.example"] {
        let message = t.says(jid, "x").message();
        assert_eq!(message.nick, "secondwitch");
        assert_eq!(message.id, t.seen(WITCH).person.id);
    }
}

#[test]
fn mix_msg_05_every_message_has_an_archive_id_of_its_own() {
    let mut t = both();
    let a = t.says(HAG, "x").message().archive_id;
    let b = t.says(WITCH, "x").message().archive_id;
    let state = Post {
        traits: Traits::default(),
        ..post("<composing/>")
    };
    let c = t.posts(WITCH, state).message().archive_id;
    assert!(a != b && b != c && a != c);
    assert_ne!(a.to_string(), "m1");
}

#[test]
fn mix_msg_12_muc_msg_03_a_message_without_id_is_taken() {
    let mut t = both();
    let anonymous = Post {
        own_id: None,
        ..post("x")
    };
    assert_eq!(t.posts(WITCH, anonymous).message().own_id, None);
}

#[test]
fn muc_msg_07_mix_msg_18_without_voice_nothing_is_said() {
    let mut t = both();
    t.sets(|c| c.moderated = true);
    for jid in [HAG, WITCH] {
        t.says(jid, "x")
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    t.makes(WITCH, Affiliation::Member);
    t.says(WITCH, "x").ok();
}

#[test]
fn muc_msg_08_mix_msg_02_others_may_not_speak() {
    let mut t = both();
    for jid in [THANE, HAG2, OWNER] {
        t.says(jid, "x")
            .refused(Condition::NotAcceptable, ErrorType::Cancel);
    }
    let at = |view| Post {
        view: Some(view),
        ..post("x")
    };
    t.posts(THANE, at(View::Mix))
        .refused(Condition::Forbidden, ErrorType::Auth);
    t.posts(THANE, at(View::Muc))
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
}

#[test]
fn map_03_of_two_domains_each_knows_its_own_people_alone() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    let at = |view| Post {
        view: Some(view),
        ..post("x")
    };
    t.posts(HAG, at(View::Mix)).ok();
    t.posts(WITCH, at(View::Muc)).ok();
    t.posts(HAG, at(View::Muc))
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
    t.posts(WITCH, at(View::Mix))
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn muc_msg_10_nothing_is_said_in_no_room_or_a_locked_one() {
    let mut t = Table::empty();
    t.says(HAG, "x")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    t.joins(OWNER, "firstwitch").ok();
    for jid in [OWNER, HAG] {
        t.says(jid, "x")
            .refused(Condition::ItemNotFound, ErrorType::Cancel);
    }
}

#[test]
fn muc_msg_13_mix_mam_19_messages_without_body_pass_under_the_same_rules() {
    let mut t = both();
    let state = || Post {
        traits: Traits::default(),
        ..post("<active xmlns='http://jabber.org/protocol/chatstates'/>")
    };
    let outcome = t.posts(HAG, state());
    assert!(outcome.records.is_empty());
    let Output::Passing(message) = outcome.output() else {
        panic!("{outcome:?}");
    };
    assert!(!message.archived);
    t.posts(THANE, state())
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
    t.gives(OWNER, "thirdwitch", Role::Visitor).ok();
    t.posts(HAG, state())
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn muc_mam_06_what_has_a_body_is_kept_once() {
    let mut t = both();
    let outcome = t.says(HAG, "x");
    assert_eq!(outcome.story(), ["message"]);
    assert!(outcome.message().archived);
}

#[test]
fn what_is_said_stands_in_one_order() {
    let mut t = both();
    for (jid, text) in [(HAG, "a"), (WITCH, "b"), (HAG, "c")] {
        t.says(jid, text).ok();
    }
    let said: Vec<_> = t
        .journal
        .iter()
        .filter_map(|record| match &record.event {
            Event::Message(m) => Some((record.sequence, m.payload.clone())),
            _ => None,
        })
        .collect();
    assert!(said.is_sorted_by_key(|(sequence, _)| *sequence));
    let order: Vec<_> = said.iter().map(|(_, text)| text.as_ref()).collect();
    assert_eq!(order, [b"a", b"b", b"c"]);
}

#[test]
fn a_message_says_what_held_when_it_was_said() {
    let mut t = both();
    t.makes(HAG, Affiliation::Admin);
    let message = t.says(HAG, "x").message();
    t.sets(|c| c.visibility = Visibility::Visible);
    t.makes(HAG, Affiliation::None);
    assert_eq!(message.affiliation, Affiliation::Admin);
    assert_eq!(message.role, Role::Moderator);
    assert_eq!(message.visibility, Visibility::Hidden);
    assert_eq!(message.jid.as_str(), "hag66@shakespeare.example");
    assert_eq!(t.says(HAG, "x").message().visibility, Visibility::Visible);
}

#[test]
fn map_26_mix_msg_15_a_reference_has_both_names_if_its_target_was_found() {
    let mut t = both();
    let reference = Reference {
        start: 4,
        end: 6,
        id: "m0".into(),
    };
    let correction = Post {
        reference: Some(reference.clone()),
        traits: Traits::BODY.with(Traits::CORRECTION),
        ..post("x")
    };
    let command = Command::Post(Box::new(correction));
    let mut facts = t.facts();
    let found = Resolved {
        own_id: "m0".into(),
        archive_id: ArchiveId([1; 16]),
    };
    facts.resolved = Some(found.clone());
    let message = t.act_with(HAG, &command, &facts).message();
    assert_eq!(message.reference, Some((reference, found)));
    let message = t.act(HAG, command).message();
    assert_eq!(message.reference, None, "passed without rewriting");
}

#[test]
fn map_27_a_person_by_both_protocols_speaks_as_one() {
    let mut t = both();
    t.participates(HAG, "thirdwitch").ok();
    let by_muc = t.says(HAG, "x").message();
    let by_mix = t.says(HAG2, "y").message();
    assert_eq!((by_muc.id, &by_muc.nick), (by_mix.id, &by_mix.nick));
}

#[test]
fn muc_subj_01_a_subject_with_a_body_or_thread_is_an_ordinary_message() {
    let mut t = both();
    for traits in [
        Traits::BODY,
        Traits::THREAD,
        Traits::THREAD.with(Traits::STORE),
    ] {
        let said = Post {
            traits,
            ..topic("What bloody man is that?")
        };
        assert_eq!(t.posts(HAG, said).message().subject, None);
    }
    assert_eq!(t.roster().subject(), None);
}
