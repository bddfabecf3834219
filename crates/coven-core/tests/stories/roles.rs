//! Roles (XEP-0045 §8; MAP-15, MAP-19, MAP-20).

use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH};
use coven_core::event::{Cause, Event};
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Role};

use Role::{Moderator, Participant, Visitor};

/// The hag, a moderator by grant.
fn with_moderator() -> Table {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", Moderator).ok();
    t
}

#[test]
fn muc_role_03_a_nick_that_is_not_there_is_not_found() {
    let mut t = Table::room();
    t.reserve(HAG, "thirdwitch");
    for nick in ["thirdwitch", "nobody", ""] {
        t.kicks(OWNER, nick)
            .refused(Condition::ItemNotFound, ErrorType::Cancel);
    }
}

#[test]
fn muc_role_04_only_moderators_by_bare_jid_or_admins_from_outside() {
    let mut t = with_moderator();
    t.joins(WITCH, "secondwitch").ok();
    for by in [WITCH, THANE] {
        t.gives(by, "thirdwitch", Visitor)
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    t.gives(HAG2, "secondwitch", Visitor).ok();
    t.makes(THANE, Affiliation::Admin);
    t.gives(THANE, "secondwitch", Participant).ok();
}

#[test]
fn muc_role_06_muc_multi_04_a_kick_removes_all_sessions_and_nothing_else() {
    let mut t = Table::room();
    t.makes(HAG, Affiliation::Member);
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    let outcome = t.kicks(OWNER, "thirdwitch");
    let Event::Removed { cause, person, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (*cause, person.affiliation),
        (Cause::Kicked, Affiliation::Member)
    );
    assert_eq!(*outcome.answer(), Answer::Done);
    assert!(t.seen(HAG).sessions.is_empty());
    t.joins(HAG, "thirdwitch").ok();
}

#[test]
// covers: MUC-ROLE-08
fn muc_role_07_08_who_may_kick_whom() {
    let ranks = [
        ("none@x.example/1", Affiliation::None),
        ("member@x.example/1", Affiliation::Member),
        ("admin@x.example/1", Affiliation::Admin),
        ("owner@x.example/1", Affiliation::Owner),
    ];
    let kick = |by: usize, target: usize| {
        let mut t = Table::room();
        for (jid, affiliation) in ranks {
            t.makes(jid, affiliation);
            t.joins(jid, jid.split('@').next().unwrap()).ok();
        }
        for nick in ["none", "member"] {
            t.gives(OWNER, nick, Moderator).ok();
        }
        let nick = ranks[target].0.split('@').next().unwrap();
        t.kicks(ranks[by].0, nick)
            .refusal
            .map(|r| (r.condition, r.kind))
    };
    let not_allowed = Some((Condition::NotAllowed, ErrorType::Cancel));
    for (by, may) in [
        // another moderator is never kicked by one who is no admin; oneself is
        (0, [None, not_allowed, not_allowed, not_allowed]),
        (1, [not_allowed, None, not_allowed, not_allowed]),
        (2, [None, None, None, not_allowed]),
        (3, [None, None, None, None]),
    ] {
        for (target, expected) in may.into_iter().enumerate() {
            assert_eq!(kick(by, target), expected, "{by} {target}");
        }
    }
}

#[test]
fn muc_role_07_a_moderator_does_not_kick_a_member_of_higher_affiliation() {
    let mut t = with_moderator();
    t.makes(WITCH, Affiliation::Member);
    t.joins(WITCH, "secondwitch").ok();
    t.kicks(HAG, "secondwitch")
        .refused(Condition::NotAllowed, ErrorType::Cancel);
    t.joins(THANE, "thane").ok();
    t.kicks(HAG, "thane").ok();
}

#[test]
// covers: MUC-ROLE-11
fn muc_role_10_11_voice_is_given_and_taken() {
    let mut t = Table::with(|c| c.moderated = true);
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.gives(OWNER, "thirdwitch", Participant);
    assert_eq!(outcome.story(), ["changed"]);
    t.says(HAG, "x").ok();
    t.gives(OWNER, "thirdwitch", Visitor).ok();
    t.says(HAG, "x")
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn muc_role_11_whose_voice_cannot_be_taken() {
    let mut t = with_moderator();
    t.joins(OWNER, "firstwitch").ok();
    for (jid, nick, affiliation) in [
        ("admin@x.example/1", "admin", Affiliation::Admin),
        ("member@x.example/1", "member", Affiliation::Member),
        ("member2@x.example/1", "member2", Affiliation::Member),
    ] {
        t.makes(jid, affiliation);
        t.joins(jid, nick).ok();
    }
    t.gives(OWNER, "member2", Moderator).ok();
    for (by, nick) in [
        (OWNER, "firstwitch"),
        (OWNER, "admin"),
        (HAG, "member"),
        ("member2@x.example/1", "member"),
    ] {
        t.gives(by, nick, Visitor)
            .refused(Condition::NotAllowed, ErrorType::Cancel);
    }
    t.gives("admin@x.example/1", "member", Visitor).ok();
    t.joins(THANE, "thane").ok();
    t.gives(HAG, "thane", Visitor).ok();
}

#[test]
fn muc_role_12_only_admins_make_moderators() {
    let mut t = with_moderator();
    t.joins(WITCH, "secondwitch").ok();
    t.gives(HAG, "secondwitch", Moderator)
        .refused(Condition::Forbidden, ErrorType::Auth);
    t.gives(OWNER, "secondwitch", Moderator).ok();
    assert_eq!(t.seen(WITCH).role, Moderator);
}

#[test]
fn muc_role_13_only_admins_unmake_them_and_never_admins_or_owners() {
    let mut t = with_moderator();
    t.joins(WITCH, "secondwitch").ok();
    t.gives(OWNER, "secondwitch", Moderator).ok();
    t.makes(THANE, Affiliation::Admin);
    t.joins(THANE, "thane").ok();
    for role in [Participant, Visitor] {
        t.gives(HAG, "secondwitch", role)
            .refused(Condition::NotAllowed, ErrorType::Cancel);
        t.gives(OWNER, "thane", role)
            .refused(Condition::NotAllowed, ErrorType::Cancel);
    }
    t.gives(THANE, "secondwitch", Participant).ok();
    assert_eq!(t.seen(WITCH).role, Participant);
}

#[test]
fn muc_role_16_a_visitor_of_an_unmoderated_room_is_silent() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", Visitor).ok();
    t.says(HAG, "x")
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn a_role_that_holds_already_changes_nothing() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.gives(OWNER, "thirdwitch", Participant);
    assert!(outcome.events().is_empty());
    assert_eq!(*outcome.answer(), Answer::Done);
}

#[test]
fn map_15_participants_have_voice_as_their_affiliation_says() {
    let mut t = Table::with(|c| c.moderated = true);
    t.makes(WITCH, Affiliation::Member);
    t.makes(THANE, Affiliation::Admin);
    for (jid, nick, role) in [
        (HAG, "thirdwitch", Visitor),
        (WITCH, "secondwitch", Participant),
        (THANE, "thane", Moderator),
        (OWNER, "firstwitch", Moderator),
    ] {
        t.participates(jid, nick).ok();
        assert_eq!(t.seen(jid).role, role);
    }
    assert_eq!(t.seen(HAG).affiliation(), Affiliation::None);
}

#[test]
fn map_15_voice_of_a_participant_without_muc_session_is_given_and_taken() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", Visitor).ok();
    t.says(HAG, "x")
        .refused(Condition::Forbidden, ErrorType::Auth);
    t.joins(HAG, "thirdwitch").ok();
    t.leaves(HAG).ok();
    t.says(HAG, "x")
        .refused(Condition::Forbidden, ErrorType::Auth);
    t.gives(OWNER, "thirdwitch", Participant).ok();
    t.says(HAG, "x").ok();
}

#[test]
fn map_20_a_granted_moderator_is_one_until_its_last_session_ends() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", Moderator)
        .refused(Condition::NotAllowed, ErrorType::Cancel);
    t.is_online(HAG, Show::Available).ok();
    t.joins(HAG2, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", Moderator).ok();
    t.leaves(HAG2).ok();
    assert_eq!(t.seen(HAG).role, Moderator);
    t.is_offline(HAG).ok();
    assert_eq!(t.seen(HAG).role, Participant);
    // without participation, it ends with the visit
    t.joins(WITCH, "secondwitch").ok();
    t.gives(OWNER, "secondwitch", Moderator).ok();
    t.leaves(WITCH).ok();
    t.joins(WITCH, "secondwitch").ok();
    assert_eq!(t.seen(WITCH).role, Participant);
}

#[test]
fn map_19_a_kick_ends_participation_but_not_of_those_who_are_away() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.kicks(OWNER, "thirdwitch")
        .refused(Condition::NotAllowed, ErrorType::Cancel);
    t.is_online(HAG, Show::Available).ok();
    assert_eq!(t.kicks(OWNER, "thirdwitch").story(), ["removed"]);
    assert_eq!(t.view(HAG), None);
    // may come back; who talks is not away, whatever presence it shares
    t.participates(HAG, "thirdwitch").ok();
    t.says(HAG, "x").ok();
    t.passes(600_000);
    t.kicks(OWNER, "thirdwitch").ok();
    t.participates(HAG, "thirdwitch").ok();
    t.says(HAG, "x").ok();
    t.passes(600_001);
    t.kicks(OWNER, "thirdwitch")
        .refused(Condition::NotAllowed, ErrorType::Cancel);
}

#[test]
fn muc_err_10_reason_too_long_violates_policy() {
    let mut t = Table::room();
    t.service.max_text_bytes = 8;
    t.joins(HAG, "thirdwitch").ok();
    let reason = Some("123456789".into());
    let commands = [
        coven_core::Command::SetRole(coven_core::command::RoleChange {
            nick: "thirdwitch".into(),
            role: Role::None,
            reason: reason.clone(),
        }),
        coven_core::Command::SetAffiliation(coven_core::command::Grant {
            jid: crate::table::bare(HAG),
            affiliation: Affiliation::Outcast,
            nick: None,
            reason,
        }),
    ];
    for command in commands {
        t.act(OWNER, command)
            .refused(Condition::PolicyViolation, ErrorType::Modify);
    }
    assert!(t.is_here(HAG));
}
