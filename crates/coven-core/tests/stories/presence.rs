//! Presence of occupants, and who is shown it (XEP-0045 §7.7, §5.1).

use crate::table::acts::{join, presence};
use crate::table::{HAG, OWNER, Table, WITCH};
use bytes::Bytes;
use coven_core::command::{Command, Join};
use coven_core::event::Event;
use coven_core::presence::session::{MAX_PAYLOAD_BYTES, Presence, Show};
use coven_core::roster::Shown;
use coven_core::{Affiliation, Condition, ErrorType, Role};
use std::sync::Arc;

#[test]
fn muc_pres_08_an_update_changes_what_is_shown() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.shows(HAG, "thirdwitch", Show::Dnd);
    let delta = outcome.delta();
    assert_eq!(
        delta.session.as_ref().unwrap().presence.show,
        Show::Available
    );
    assert_eq!(
        delta.before.as_ref().unwrap().shown().unwrap().show(),
        Show::Available
    );
    assert_eq!(
        delta.after.as_ref().unwrap().shown().unwrap().show(),
        Show::Dnd
    );
    assert_eq!(t.session(HAG).presence.show, Show::Dnd);
}

#[test]
fn muc_pres_09_payload_passes_as_it_came() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let status = "<status>boiling</status><c xmlns='http://jabber.org/protocol/caps'/>";
    let command = Command::Update {
        nick: Some("thirdwitch".into()),
        presence: presence(Show::Chat, status),
    };
    t.act(HAG, command).ok();
    assert_eq!(t.session(HAG).presence.payload, status.as_bytes());
}

#[test]
fn muc_pres_12_presence_to_the_bare_room_is_about_the_occupant() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    assert_eq!(t.is_online(HAG, Show::Away).story(), ["updated"]);
    assert_eq!(t.session(HAG).presence.show, Show::Away);
    let command = Command::Update {
        nick: None,
        presence: presence(Show::Dnd, ""),
    };
    assert_eq!(t.act(HAG, command).story(), ["updated"]);
    assert_eq!(t.is_offline(HAG).story(), ["left"]);
    assert!(!t.is_here(HAG));
}

#[test]
fn map_02_presence_of_a_participant_to_the_bare_channel_leaves_muc_sessions_alone() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    assert_eq!(t.is_online(HAG, Show::Away).story(), ["online"]);
    assert_eq!(t.session(HAG).presence.show, Show::Available);
    assert_eq!(t.is_offline(HAG).story(), ["left"]);
    assert_eq!(t.session(HAG).jid.as_str(), HAG);
}

#[test]
fn muc_pres_14_muc_leave_04_subscriptions_never_change_occupancy() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    for wanted in [true, false] {
        let outcome = t.act(HAG, Command::PresenceSubscription { wanted });
        assert!(outcome.events().is_empty());
    }
    assert!(t.is_here(HAG));
    assert!(!t.is_here(WITCH));
}

#[test]
fn a_leave_keeps_the_affiliation_that_holds_after_it() {
    let mut t = Table::room();
    t.makes(HAG, Affiliation::Member);
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.leaves(HAG);
    let delta = outcome.delta();
    assert_eq!(
        delta.after.as_ref().unwrap().affiliation(),
        Affiliation::Member
    );
    assert!(!delta.after.as_ref().unwrap().present());
    assert_eq!(
        delta.before.as_ref().unwrap().person.shown_nick(),
        "thirdwitch"
    );
}

#[test]
// covers: MUC-PRES-18
fn muc_pres_17_18_a_new_role_is_one_event_with_actor_and_reason_and_lasts() {
    let mut t = Table::room();
    t.joins(OWNER, "firstwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    let command = Command::SetRole(coven_core::command::RoleChange {
        nick: "thirdwitch".into(),
        role: Role::Visitor,
        reason: Some("too much cackling".into()),
    });
    let outcome = t.act(OWNER, command);
    let Event::Changed { by, reason, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(by.as_ref().unwrap().nick.as_deref(), Some("firstwitch"));
    assert_eq!(
        by.as_ref().unwrap().jid.as_str(),
        "crone1@shakespeare.example"
    );
    assert_eq!(reason.as_deref(), Some("too much cackling"));
    let (before, after) = (
        outcome.delta().before.clone(),
        outcome.delta().after.clone(),
    );
    assert_eq!(
        (before.unwrap().role, after.unwrap().role),
        (Role::Participant, Role::Visitor)
    );
    let later = t.shows(HAG, "thirdwitch", Show::Away);
    assert_eq!(later.delta().after.as_ref().unwrap().role, Role::Visitor);
}

#[test]
fn muc_pres_18_an_absent_actor_has_no_nick() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.gives(OWNER, "thirdwitch", Role::Visitor);
    let Event::Changed { by, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(by.as_ref().unwrap().nick, None);
}

#[test]
fn muc_leave_02_what_a_leave_carries_is_passed_on() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let status = Bytes::from_static(b"<status>gone to the heath</status>");
    let outcome = t.act(
        HAG,
        Command::Leave {
            payload: status.clone(),
        },
    );
    let Event::Left { payload, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(*payload, status);
}

#[test]
fn map_08_muc_multi_05_the_best_session_is_shown() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    let shown = |t: &Table| match t.seen(HAG).shown() {
        Some(Shown::Session(session)) => session.jid.resource().to_owned(),
        other => panic!("{other:?}"),
    };
    t.is_online("hag66@shakespeare.example/mix", Show::Available)
        .ok();
    assert_eq!(shown(&t), "mix");
    // a MUC session before a MIX client of equal worth, though it is older or newer
    t.joins("hag66@shakespeare.example/pda", "thirdwitch").ok();
    t.is_online("hag66@shakespeare.example/mix2", Show::Available)
        .ok();
    assert_eq!(shown(&t), "pda");
    // the most recent among equals
    t.joins("hag66@shakespeare.example/phone", "thirdwitch")
        .ok();
    assert_eq!(shown(&t), "phone");
    // chat, available, away, dnd, xa
    for (jid, show, best) in [
        ("hag66@shakespeare.example/mix", Show::Chat, "mix"),
        ("hag66@shakespeare.example/mix", Show::Xa, "phone"),
        ("hag66@shakespeare.example/mix2", Show::Away, "phone"),
    ] {
        t.is_online(jid, show).ok();
        assert_eq!(shown(&t), best);
    }
    t.shows("hag66@shakespeare.example/phone", "thirdwitch", Show::Dnd)
        .ok();
    t.shows("hag66@shakespeare.example/pda", "thirdwitch", Show::Dnd)
        .ok();
    assert_eq!(shown(&t), "mix2", "away before dnd");
    t.is_online("hag66@shakespeare.example/mix2", Show::Xa).ok();
    assert_eq!(shown(&t), "pda", "dnd before xa, the most recent of two");
}

#[test]
fn muc_err_08_unavailable_is_always_processed() {
    let mut t = Table::room();
    t.service.max_sessions = 1;
    t.joins(HAG, "thirdwitch").ok();
    t.sets(|c| c.password = Some("secret".into()));
    assert_eq!(t.leaves(HAG).story(), ["left"]);
    t.joins(HAG, "thirdwitch")
        .refused(Condition::NotAuthorized, ErrorType::Auth);
}

#[test]
fn i9_a_presence_over_the_bound_is_refused_by_whatever_way_it_comes() {
    let large = |bytes| {
        Arc::new(Presence {
            show: Show::Available,
            payload: vec![b' '; bytes].into(),
        })
    };
    let (fits, over) = (large(MAX_PAYLOAD_BYTES), large(MAX_PAYLOAD_BYTES + 1));
    let mut t = Table::room();
    let entering = |presence: &Arc<Presence>| Join {
        presence: Arc::clone(presence),
        ..join("thirdwitch")
    };
    t.joins_with(HAG, entering(&over))
        .refused(Condition::PolicyViolation, ErrorType::Modify);
    assert!(!t.is_here(HAG));
    t.joins_with(HAG, entering(&fits)).ok();
    t.joins_with(HAG, entering(&over))
        .refused(Condition::PolicyViolation, ErrorType::Modify);
    for nick in [None, Some("thirdwitch".into())] {
        let presence = Arc::clone(&over);
        t.act(HAG, Command::Update { nick, presence })
            .refused(Condition::PolicyViolation, ErrorType::Modify);
    }
    t.participates(WITCH, "secondwitch").ok();
    let presence = Arc::clone(&over);
    t.act(WITCH, Command::Online { presence })
        .refused(Condition::PolicyViolation, ErrorType::Modify);
    assert_eq!(t.session(HAG).presence, fits);
    let payload = over.payload.clone();
    let outcome = t.act(HAG, Command::Leave { payload });
    let Event::Left { payload, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert!(payload.is_empty());
}
