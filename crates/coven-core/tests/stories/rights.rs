//! Affiliations (XEP-0045 §9, §10; MAP-14..18).

use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH};
use coven_core::command::Command;
use coven_core::event::{Cause, Event};
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Role};

use Affiliation::{Admin, Member, Outcast, Owner};

#[test]
fn muc_aff_02_an_affiliation_outlives_visits_and_holds_for_all_sessions() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.makes(HAG, Member);
    t.joins(HAG2, "thirdwitch").ok();
    t.leaves(HAG).ok();
    t.leaves(HAG2).ok();
    t.joins(HAG, "oldhag").ok();
    assert_eq!(t.seen(HAG).affiliation(), Member);
}

#[test]
// covers: MUC-AFF-05, MUC-AFF-06, MUC-AFF-07
fn muc_aff_04_05_06_07_who_may_set_what() {
    let mut t = Table::room();
    t.joins(THANE, "thane").ok();
    t.gives(OWNER, "thane", Role::Moderator).ok();
    t.makes(WITCH, Admin);
    t.makes("member@x.example", Member);
    let target = "target@x.example";
    let mut tried = |by: &str, old: Affiliation, new: Affiliation| {
        t.makes(target, old);
        let outcome = t.affiliates(by, target, new);
        outcome
            .refusal
            .map(|refusal| (refusal.condition, refusal.kind))
    };
    let forbidden = Some((Condition::Forbidden, ErrorType::Auth));
    let not_allowed = Some((Condition::NotAllowed, ErrorType::Cancel));
    let (none, all) = (
        Affiliation::None,
        [Outcast, Affiliation::None, Member, Admin, Owner],
    );
    // below admin: nothing, not even as a moderator
    for by in [HAG, THANE, "member@x.example"] {
        for new in all {
            assert_eq!(tried(by, none, new), forbidden);
        }
    }
    for old in [Outcast, none, Member] {
        for new in [Outcast, none, Member] {
            assert_eq!(tried(WITCH, old, new), None, "{old:?} {new:?}");
        }
        for new in [Admin, Owner] {
            assert_eq!(tried(WITCH, old, new), forbidden);
        }
    }
    for old in [Admin, Owner] {
        assert_eq!(tried(WITCH, old, Outcast), not_allowed);
        for new in [none, Member] {
            assert_eq!(tried(WITCH, old, new), forbidden);
        }
    }
    for old in all {
        for new in all {
            assert_eq!(tried(OWNER, old, new), None, "{old:?} {new:?}");
        }
    }
}

#[test]
fn muc_aff_08_nobody_bans_himself() {
    let mut t = Table::room();
    t.makes(WITCH, Admin);
    for jid in [OWNER, WITCH] {
        t.affiliates(jid, jid, Outcast)
            .refused(Condition::Conflict, ErrorType::Cancel);
    }
}

#[test]
fn muc_aff_09_map_14_the_last_owner_stays() {
    let mut t = Table::room();
    for affiliation in [Affiliation::None, Member, Admin] {
        t.affiliates(OWNER, OWNER, affiliation)
            .refused(Condition::Conflict, ErrorType::Cancel);
    }
    t.makes(HAG, Owner);
    t.affiliates(OWNER, OWNER, Affiliation::None).ok();
    assert_eq!(t.roster().owners(), 1);
    t.affiliates(HAG, HAG, Admin)
        .refused(Condition::Conflict, ErrorType::Cancel);
}

#[test]
fn muc_aff_12_map_18_a_ban_removes_the_person_from_both_views() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.is_online("hag66@shakespeare.example/mix", Show::Available)
        .ok();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    let command = Command::SetAffiliation(coven_core::command::Grant {
        jid: crate::table::bare(HAG),
        affiliation: Outcast,
        nick: None,
        reason: Some("Treason".into()),
    });
    let outcome = t.act(OWNER, command);
    let Event::Removed {
        cause,
        reason,
        person,
        ..
    } = outcome.event()
    else {
        panic!("{outcome:?}");
    };
    assert_eq!((*cause, person.affiliation), (Cause::Banned, Outcast));
    assert_eq!(reason.as_deref(), Some("Treason"));
    assert_eq!(outcome.delta().before.as_ref().unwrap().sessions.len(), 3);
    let after = t.seen(HAG);
    assert!(!after.present() && after.sessions.is_empty());
    assert_eq!(after.affiliation(), Outcast);
    t.participates(HAG, "thirdwitch")
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn muc_aff_13_a_ban_of_a_domain_removes_its_people_without_own_entry() {
    let mut t = Table::room();
    t.makes(WITCH, Member);
    for (jid, nick) in [
        (HAG, "thirdwitch"),
        (WITCH, "secondwitch"),
        (THANE, "thane"),
    ] {
        t.joins(jid, nick).ok();
    }
    let outcome = t.affiliates(OWNER, "shakespeare.example", Outcast);
    assert_eq!(outcome.story(), ["changed", "removed"]);
    assert!(!t.is_here(HAG) && t.is_here(WITCH) && t.is_here(THANE));
    t.joins(HAG, "thirdwitch")
        .refused(Condition::Forbidden, ErrorType::Auth);
    // losing one's own entry, one falls under that of the domain
    let outcome = t.affiliates(OWNER, WITCH, Affiliation::None);
    let Event::Removed { cause, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(*cause, Cause::Banned);
}

/// A component that has made a room owns it by its domain's name; the users of that domain do not.
#[test]
fn muc_aff_13_what_a_domain_owns_is_not_its_users() {
    let mut t = Table::empty();
    t.joins("scotland.example/bot", "bot").ok();
    t.configures("scotland.example/bot", |_| ()).ok();
    t.joins(THANE, "thane").ok();
    t.affiliates(THANE, HAG, Member)
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn muc_aff_14_a_lifted_ban_lets_in_again() {
    let mut t = Table::room();
    t.makes(HAG, Outcast);
    t.makes(HAG, Affiliation::None);
    assert_eq!(t.view(HAG), None, "nothing is left of it");
    t.joins(HAG, "thirdwitch").ok();
}

#[test]
// covers: MUC-AFF-17
fn muc_aff_16_17_a_member_has_voice_and_loses_it_with_membership() {
    let mut t = Table::with(|c| c.moderated = true);
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.affiliates(OWNER, HAG, Member);
    assert_eq!(outcome.story(), ["changed"]);
    assert_eq!(
        (t.seen(HAG).affiliation(), t.seen(HAG).role),
        (Member, Role::Participant)
    );
    t.affiliates(OWNER, HAG, Affiliation::None).ok();
    assert_eq!(t.seen(HAG).role, Role::Visitor);
}

#[test]
fn muc_aff_18_map_16_losing_membership_of_a_members_only_room_removes() {
    let mut t = Table::room();
    t.makes(HAG, Member);
    t.makes(WITCH, Member);
    t.makes("scotland.example", Member);
    t.makes(THANE, Member);
    t.sets(|c| c.members_only = true);
    t.joins(HAG, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    t.joins(THANE, "thane").ok();
    for jid in [HAG, WITCH] {
        let outcome = t.affiliates(OWNER, jid, Affiliation::None);
        let Event::Removed { cause, person, .. } = outcome.event() else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            (*cause, person.affiliation),
            (Cause::AffiliationLost, Affiliation::None)
        );
        assert!(!t.is_here(jid));
    }
    t.joins(HAG, "thirdwitch")
        .refused(Condition::RegistrationRequired, ErrorType::Auth);
    t.affiliates(OWNER, THANE, Affiliation::None).ok();
    assert!(t.is_here(THANE), "the domain's entry lets in");
    let outcome = t.affiliates(OWNER, "scotland.example", Affiliation::None);
    assert_eq!(outcome.story(), ["changed", "removed"]);
    assert!(!t.is_here(THANE));
}

#[test]
// covers: MUC-AFF-20
fn muc_aff_19_20_an_admin_is_moderator_while_it_is_one() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.makes(HAG, Admin);
    assert_eq!(t.seen(HAG).role, Role::Moderator);
    t.makes(HAG, Member);
    assert_eq!(t.seen(HAG).role, Role::Participant);
    // another source of it remains
    t.gives(OWNER, "thirdwitch", Role::Moderator).ok();
    t.makes(HAG, Affiliation::None);
    assert_eq!(t.seen(HAG).role, Role::Moderator);
    // which being an administrator replaces
    t.makes(HAG, Admin);
    t.makes(HAG, Affiliation::None);
    assert_eq!(t.seen(HAG).role, Role::Participant);
}

#[test]
fn muc_aff_28_what_holds_already_succeeds_without_presence() {
    let mut t = Table::room();
    t.makes(HAG, Member);
    let outcome = t.affiliates(OWNER, HAG, Member);
    assert!(outcome.events().is_empty());
    assert_eq!(*outcome.answer(), Answer::Done);
    assert!(
        t.affiliates(OWNER, WITCH, Affiliation::None)
            .events()
            .is_empty()
    );
    assert_eq!(t.view(WITCH), None);
}

#[test]
fn map_17_membership_of_an_open_room_counts_once_it_is_closed() {
    let mut t = Table::room();
    t.makes(HAG, Member);
    t.joins(HAG, "thirdwitch").ok();
    t.sets(|c| c.members_only = true);
    assert!(t.is_here(HAG));
}

#[test]
fn a_domain_is_never_administrator_or_owner() {
    let mut t = Table::room();
    for affiliation in [Admin, Owner] {
        t.affiliates(OWNER, "scotland.example", affiliation)
            .refused(Condition::NotAcceptable, ErrorType::Modify);
    }
    t.makes("scotland.example", Member);
    t.sets(|c| c.moderated = true);
    t.joins(THANE, "thane").ok();
    assert_eq!(t.seen(THANE).role, Role::Visitor, "it only lets in");
}

#[test]
fn rights_in_no_room_are_item_not_found() {
    let mut t = Table::empty();
    t.affiliates(OWNER, HAG, Member)
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    t.kicks(OWNER, "thirdwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
}

#[test]
fn muc_aff_13_the_ban_of_a_domain_that_is_here_itself_holds() {
    let mut t = Table::room();
    for (jid, nick) in [("x.example/bot", "bot"), ("a@x.example/b", "thane")] {
        t.joins(jid, nick).ok();
    }
    let outcome = t.affiliates(OWNER, "x.example", Affiliation::Outcast);
    assert_eq!(outcome.story(), ["removed", "removed"]);
    assert!(!t.is_here("x.example/bot") && !t.is_here("a@x.example/b"));
    for jid in ["x.example/bot", "c@x.example/d"] {
        t.joins(jid, "again")
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
}
