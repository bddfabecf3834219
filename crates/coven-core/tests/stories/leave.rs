//! Leaving by MUC, and rooms that end by it (XEP-0045 §7.14; MAP-42).

use crate::table::{HAG, HAG2, OWNER, Table, WITCH};
use coven_core::event::{Cause, Event};
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Condition, ErrorType};

#[test]
fn unavailable_ends_the_session() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let session = t.session(HAG);
    let outcome = t.leaves(HAG);
    let Event::Left {
        session: no, cause, ..
    } = outcome.event()
    else {
        panic!("{outcome:?}");
    };
    assert_eq!((*no, *cause), (session.no, Cause::Left));
    assert!(outcome.delta().before.as_ref().unwrap().present());
    assert_eq!(outcome.delta().after, None);
    assert_eq!(t.roster().sessions().len(), 0);
}

#[test]
fn muc_leave_03_mix_pres_05_unavailable_of_somebody_else_is_ignored() {
    let mut t = Table::room();
    t.leaves(HAG).silent();
    t.is_offline(HAG).silent();
    t.joins(HAG, "thirdwitch").ok();
    t.leaves(HAG2).silent();
    t.participates(WITCH, "secondwitch").ok();
    t.is_offline(WITCH).silent();
    assert!(t.is_here(HAG) && t.is_here(WITCH));
    let mut nowhere = Table::empty();
    nowhere.leaves(HAG).silent();
}

#[test]
fn muc_leave_06_map_42_a_temporary_room_ends_with_its_last_occupant() {
    let mut t = Table::temporary();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    assert_eq!(t.leaves(OWNER).story(), ["left"]);
    assert_eq!(t.leaves(HAG).story(), ["left"]);
    assert_eq!(t.leaves(HAG2).story(), ["left", "destroyed"]);
    assert!(!t.roster().exists());
}

#[test]
fn muc_leave_06_also_if_the_last_one_is_removed() {
    type Removal = fn(&mut Table) -> crate::table::Outcome;
    let removals: [Removal; 4] = [
        |t| t.kicks(OWNER, "thirdwitch"),
        |t| t.affiliates(OWNER, HAG, Affiliation::Outcast),
        |t| t.affiliates(OWNER, "shakespeare.example", Affiliation::Outcast),
        |t| t.configures(OWNER, |s| s.members_only = Some(true)),
    ];
    for removal in removals {
        let mut t = Table::temporary();
        t.joins(HAG, "thirdwitch").ok();
        t.leaves(OWNER).ok();
        let outcome = removal(&mut t);
        let story = outcome.story();
        assert_eq!(story.last(), Some(&"destroyed"), "{story:?}");
        assert!(!t.roster().exists());
    }
}

#[test]
fn muc_leave_06_muc_subj_09_a_persistent_room_stays_with_all_it_has() {
    let mut t = Table::room();
    t.joins(OWNER, "firstwitch").ok();
    t.posts(
        OWNER,
        crate::table::acts::topic("Fire Burn and Cauldron Bubble!"),
    )
    .ok();
    t.makes(WITCH, Affiliation::Member);
    let config = t.roster().config().clone();
    assert_eq!(t.leaves(OWNER).story(), ["left"]);
    let again = t.reloaded();
    assert_eq!(*again.roster().config(), config);
    let subject = again.roster().subject().unwrap();
    assert_eq!(
        subject.message.subject.as_deref(),
        Some(&b"Fire Burn and Cauldron Bubble!"[..])
    );
    let witch = again
        .roster()
        .person_of(&crate::table::bare(WITCH))
        .unwrap();
    assert_eq!(witch.affiliation, Affiliation::Member);
}

#[test]
fn map_42_map_11_a_room_with_a_participant_is_no_longer_temporary() {
    let mut t = Table::temporary();
    let outcome = t.participates(HAG, "thirdwitch");
    assert_eq!(outcome.story(), ["configured", "participated"]);
    assert!(t.roster().config().persistent);
    assert_eq!(t.leaves(OWNER).story(), ["left"]);
    assert_eq!(t.departs(HAG).story(), ["departed"]);
    assert!(t.roster().exists());
    t.participates(HAG, "thirdwitch").ok();
    t.configures(OWNER, |s| s.persistent = Some(false))
        .refused(Condition::NotAcceptable, ErrorType::Modify);
}

#[test]
fn muc_leave_05_the_full_jid_says_who_leaves() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.renames(HAG, "oldhag").ok();
    // the nick of the address is not even part of the command
    assert_eq!(t.leaves(HAG).story(), ["left"]);
}

#[test]
fn muc_leave_15_who_is_forgotten_gets_the_answers_of_a_stranger() {
    let mut t = Table::room();
    t.says(HAG, "double, double")
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
    let outcome = t.shows(
        HAG,
        "thirdwitch",
        coven_core::presence::session::Show::Available,
    );
    assert_eq!(*outcome.output(), coven_core::channel::Output::NotJoined);
}

#[test]
fn leaving_frees_what_lasted_only_while_there() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", coven_core::Role::Moderator)
        .ok();
    t.makes(HAG, Affiliation::Member);
    t.leaves(HAG).ok();
    let person = t.seen(HAG).person;
    assert_eq!((&person.nick, person.granted), (&None, None));
    assert_eq!(
        t.roster()
            .holder(&coven_core::Nick::new("thirdwitch").unwrap()),
        None
    );
}

#[test]
fn muc_leave_13_a_final_shutdown_ends_every_session_of_either_view_and_nothing_else() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    t.is_online(WITCH, Show::Available).ok();
    let outcome = t.shuts_down(100);
    assert_eq!(outcome.story(), ["left"; 3]);
    let by_shutdown =
        |event: &&Event| matches!(event, Event::Left { cause, .. } if *cause == Cause::Shutdown);
    assert!(outcome.events().iter().all(by_shutdown), "{outcome:?}");
    assert_eq!(t.roster().sessions().len(), 0);
    assert!(t.roster().exists() && t.is_here(WITCH) && !t.is_here(HAG));
    t.shuts_down(100).silent();
}

#[test]
fn muc_leave_13_i9_so_many_sessions_end_at_a_time_and_a_temporary_room_with_the_last() {
    let mut t = Table::temporary();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    assert_eq!(t.shuts_down(2).story(), ["left", "left"]);
    assert_eq!(t.roster().sessions().len(), 1);
    assert_eq!(t.shuts_down(2).story(), ["left", "destroyed"]);
    assert!(!t.roster().exists());
    t.shuts_down(2).silent();
}
