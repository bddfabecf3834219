//! Nicks in both views (XEP-0045 §7.6, XEP-0369 §7.1.4).

use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH};
use coven_core::command::Command;
use coven_core::event::Event;
use coven_core::people::participation::Nodes;
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Nick, Role, StableId};

fn two() -> Table {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    t
}

#[test]
fn muc_nick_01_presence_to_another_nick_is_a_nick_change() {
    let mut t = two();
    let outcome = t.renames(HAG, "oldhag");
    let delta = outcome.delta();
    let nick = |view: &Option<coven_core::PersonView>| {
        view.as_ref().unwrap().person.shown_nick().into_owned()
    };
    assert_eq!(
        (nick(&delta.before), nick(&delta.after)),
        ("thirdwitch".into(), "oldhag".into())
    );
    // the old one is free at once
    t.joins(THANE, "thirdwitch").ok();
}

#[test]
fn muc_nick_01_a_new_presence_comes_with_the_new_nick() {
    let mut t = two();
    let outcome = t.shows(HAG, "oldhag", Show::Away);
    assert_eq!(outcome.story(), ["renamed", "updated"]);
}

#[test]
fn muc_nick_03_a_nick_change_keeps_role_affiliation_and_id() {
    let mut t = two();
    t.makes(HAG, Affiliation::Member);
    t.gives(OWNER, "thirdwitch", Role::Moderator).ok();
    let before = t.seen(HAG);
    let outcome = t.renames(HAG, "oldhag");
    assert!(outcome.outputs.is_empty());
    let after = t.seen(HAG);
    assert_eq!(
        (before.role, before.affiliation()),
        (after.role, after.affiliation())
    );
    assert_eq!(before.person.id, after.person.id);
}

#[test]
fn muc_nick_04_map_22_nick_of_another_is_conflict_and_the_old_one_stays() {
    let mut t = two();
    t.participates(THANE, "thane").ok();
    t.reserve("crone1@shakespeare.example", "firstwitch");
    for taken in ["secondwitch", "SecondWitch", "thane", "firstwitch"] {
        t.renames(HAG, taken)
            .refused(Condition::Conflict, ErrorType::Cancel);
        assert_eq!(t.nick(HAG), "thirdwitch");
    }
}

#[test]
fn muc_nick_05_a_further_session_under_another_nick_gets_the_persons() {
    let mut t = two();
    let outcome = t.joins(HAG2, "oldhag");
    assert_eq!(outcome.story(), ["joined"]);
    let Event::Joined { entry, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert!(entry.altered);
    assert_eq!(t.nick(HAG), "thirdwitch");
    assert_eq!(t.roster().occupants(), 2);
}

#[test]
// covers: MUC-NICK-11
fn muc_nick_07_11_a_nick_that_was_cleaned_is_told() {
    let mut t = Table::room();
    let altered = |outcome: &crate::table::Outcome| match outcome.event() {
        Event::Joined { entry, .. } => entry.altered,
        Event::Renamed { altered, .. } => *altered,
        event => panic!("{event:?}"),
    };
    assert!(altered(&t.joins(HAG, " third  witch")));
    assert_eq!(t.nick(HAG), "third witch");
    assert!(!altered(&t.joins(WITCH, "secondwitch")));
    assert!(altered(&t.renames(HAG, "old\u{3000}hag")));
    assert!(!altered(&t.renames(HAG, "oldhag")));
}

#[test]
fn muc_nick_08_malformed_new_nick_is_refused() {
    let mut t = two();
    for bad in ["", " ", "\u{200b}"] {
        t.renames(HAG, bad)
            .refused(Condition::JidMalformed, ErrorType::Modify);
    }
}

#[test]
fn muc_nick_12_mix_nick_03_equivalent_nicks_conflict_in_both_views() {
    let mut t = two();
    t.joins(THANE, "ＴＨＩＲＤwitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.participates(THANE, "thirdWITCH")
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.participates(THANE, "thane").ok();
    t.sets_nick(THANE, "Secondwitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    // another spelling of one's own is none
    t.sets_nick(THANE, "Thane").ok();
    t.renames(HAG, "THIRDWITCH").ok();
}

#[test]
fn muc_nick_13_a_ban_removes_the_reservation() {
    let mut t = Table::room();
    t.reserve(HAG, "thirdwitch");
    t.joins(WITCH, "thirdwitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.makes(HAG, Affiliation::Outcast);
    t.joins(WITCH, "thirdwitch").ok();
    t.makes(HAG, Affiliation::None);
    assert_eq!(t.view(HAG), None);
}

#[test]
fn muc_nick_13_a_reservation_follows_the_bare_jid() {
    let mut t = Table::room();
    t.reserve(HAG, "thirdwitch");
    t.joins(HAG2, "thirdwitch").ok();
    t.leaves(HAG2).ok();
    t.joins(WITCH, "thirdwitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
}

#[test]
fn mix_nick_01_map_23_setnick_sets_the_nick_of_the_person_in_both_views() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    let outcome = t.sets_nick(HAG, " old  hag ");
    assert_eq!(outcome.story(), ["renamed"]);
    assert_eq!(
        *outcome.answer(),
        Answer::NickSet(Nick::new("old hag").unwrap())
    );
    assert_eq!(t.nick(HAG2), "old hag");
    t.renames(HAG2, "hag").ok();
    assert_eq!(t.nick(HAG), "hag");
}

#[test]
fn mix_nick_01_the_same_nick_again_changes_nothing() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    let outcome = t.sets_nick(HAG, "thirdwitch");
    assert!(outcome.events().is_empty());
    assert_eq!(
        *outcome.answer(),
        Answer::NickSet(Nick::new("thirdwitch").unwrap())
    );
}

#[test]
fn mix_nick_02_no_nick_asks_for_the_registered_one() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.act(HAG, Command::SetNick { nick: None })
        .refused(Condition::NotAcceptable, ErrorType::Modify);
    t.reserve(HAG, "oldhag");
    let outcome = t.act(
        HAG,
        Command::SetNick {
            nick: Some("".into()),
        },
    );
    assert_eq!(
        *outcome.answer(),
        Answer::NickSet(Nick::new("oldhag").unwrap())
    );
}

#[test]
// covers: MIX-NICK-05
fn mix_nick_04_05_what_is_no_nick_is_not_acceptable() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    for bad in ["  ", "\u{200b}", &"x".repeat(1024)] {
        t.sets_nick(HAG, bad)
            .refused(Condition::NotAcceptable, ErrorType::Modify);
        t.participates(WITCH, bad)
            .refused(Condition::NotAcceptable, ErrorType::Modify);
    }
}

#[test]
fn mix_nick_07_setnick_of_others_is_forbidden() {
    let mut t = two();
    t.sets_nick(HAG, "oldhag")
        .refused(Condition::Forbidden, ErrorType::Auth);
    t.sets_nick(THANE, "thane")
        .refused(Condition::Forbidden, ErrorType::Auth);
}

#[test]
fn mix_nick_06_map_24_without_mandatory_nicks_muc_shows_a_generated_one() {
    let mut t = Table::with(|c| c.mandatory_nicks = false);
    let outcome = t.participates_in(HAG, Nodes::default(), None);
    assert!(matches!(
        outcome.answer(),
        Answer::Participating { nick: None, .. }
    ));
    let generated = t.nick(HAG);
    let id = t.seen(HAG).person.id.to_string();
    assert_eq!(
        Some(generated.as_str()),
        id.get(..8).map(|id| format!("user-{id}")).as_deref()
    );
    assert_eq!(t.seen(HAG).person.nick, None);
    // nobody else may have it, and messages reach it
    t.joins(WITCH, &generated)
        .refused(Condition::Conflict, ErrorType::Cancel);
    let held = t.roster().holder(&Nick::new(&generated).unwrap()).unwrap();
    assert_eq!(held.no, t.seen(HAG).person.no);
    assert!(!t.says(HAG, "x").message().nick_chosen);
}

#[test]
fn map_24_a_generated_nick_that_somebody_has_taken_needs_a_chosen_one() {
    let mut t = Table::with(|c| c.mandatory_nicks = false);
    let id = StableId::of(t.channel.key().unwrap(), "hag66@shakespeare.example").to_string();
    t.joins(WITCH, &format!("USER-{}", id.get(..8).unwrap()))
        .ok();
    t.participates_in(HAG, Nodes::default(), None)
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.participates(HAG, "thirdwitch").ok();
}

#[test]
fn map_24_mix_part_08_a_nick_chosen_later_replaces_the_generated_one() {
    let mut t = Table::with(|c| c.mandatory_nicks = false);
    t.participates_in(HAG, Nodes::default(), None).ok();
    assert_eq!(t.joins(HAG2, "thirdwitch").story(), ["renamed", "joined"]);
    t.participates_in(WITCH, Nodes::default(), None).ok();
    assert_eq!(
        t.participates_in(WITCH, Nodes::default(), Some("w"))
            .story(),
        ["renamed"]
    );
    assert_eq!(
        (t.nick(HAG), t.nick(WITCH)),
        ("thirdwitch".into(), "w".into())
    );
}

#[test]
fn map_10_the_nick_is_kept_while_either_protocol_holds_it() {
    let mut t = two();
    t.participates_in(HAG, Nodes::default(), None).ok();
    t.leaves(HAG).ok();
    assert_eq!(t.nick(HAG), "thirdwitch");
    t.departs(HAG).ok();
    t.joins(THANE, "thirdwitch").ok();
}
