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

fn locked() -> Table {
    let mut t = two();
    t.service.lock_nicks = true;
    t
}

#[test]
fn muc_nick_06_where_nicks_are_locked_a_change_is_not_acceptable() {
    let mut t = locked();
    t.participates(THANE, "thane").ok();
    t.renames(HAG, "oldhag")
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
    t.sets_nick(THANE, "glamis")
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
    assert_eq!(
        (t.nick(HAG), t.nick(THANE)),
        ("thirdwitch".into(), "thane".into())
    );
    // what keeps the nick is no change of it
    t.shows(HAG, "thirdwitch", Show::Away).ok();
    t.sets_nick(THANE, "thane").ok();
    t.service.lock_nicks = false;
    t.renames(HAG, "oldhag").ok();
}

#[test]
fn muc_enter_27_muc_nick_07_where_nicks_are_locked_one_enters_under_the_imposed_one() {
    let mut t = locked();
    t.reserve(THANE, "glamis");
    let imposed = |outcome: &crate::table::Outcome| match outcome.event() {
        Event::Joined { entry, .. } => entry.altered,
        event => panic!("{event:?}"),
    };
    assert!(imposed(&t.joins(THANE, "thane")));
    assert_eq!(t.nick(THANE), "glamis");
    // a second join of the same client is one more time the same nick
    let outcome = t.joins(THANE, "cawdor");
    assert_eq!(outcome.story(), ["updated"]);
    assert!(matches!(
        outcome.output(),
        coven_core::channel::Output::Sync { altered: true, .. }
    ));
    t.participates(THANE, "king").ok();
    assert_eq!(t.nick(THANE), "glamis");
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

/// An affiliation is given together with a nick.
fn grant(jid: &str, affiliation: Affiliation, nick: Option<&str>) -> Command {
    Command::SetAffiliation(coven_core::command::Grant {
        jid: crate::table::bare(jid),
        affiliation,
        nick: nick.map(Into::into),
        reason: None,
    })
}

#[test]
fn muc_nick_14_an_affiliation_with_a_nick_reserves_it() {
    let mut t = Table::room();
    let give =
        |t: &mut Table, affiliation, nick| t.act(OWNER, grant(HAG, affiliation, nick)).ok().story();
    let reserved = |t: &Table| t.seen(HAG).person.reserved.as_deref().cloned();
    let third = Nick::new("thirdwitch");
    let (member, admin) = (Affiliation::Member, Affiliation::Admin);
    assert_eq!(give(&mut t, member, Some("thirdwitch")), ["changed"]);
    t.joins(WITCH, "ThirdWitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    // no nick leaves it, whether the affiliation changes or not
    assert_eq!(give(&mut t, member, None), [""; 0]);
    assert_eq!(give(&mut t, admin, None), ["changed"]);
    assert_eq!((reserved(&t), t.seen(HAG).affiliation()), (third, admin));
    // another one takes its place, the same changes nothing, an empty one ends it
    assert_eq!(give(&mut t, admin, Some("oldhag")), ["changed"]);
    t.joins(WITCH, "thirdwitch").ok();
    assert_eq!(give(&mut t, admin, Some("oldhag")), [""; 0]);
    assert_eq!(give(&mut t, admin, Some("")), ["changed"]);
    assert_eq!(reserved(&t), None);
    t.joins(THANE, "oldhag").ok();
}

#[test]
fn muc_nick_14_muc_aff_28_a_reservation_keeps_role_and_presence() {
    let mut t = Table::room();
    t.makes(WITCH, Affiliation::Member);
    t.joins(WITCH, "secondwitch").ok();
    t.gives(OWNER, "secondwitch", Role::Visitor).ok();
    let outcome = t.act(OWNER, grant(WITCH, Affiliation::Member, Some("hecate")));
    let (before, after) = (&outcome.delta().before, &outcome.delta().after);
    let (before, after) = (before.as_ref().unwrap(), after.as_ref().unwrap());
    assert_eq!((before.role, after.role), (Role::Visitor, Role::Visitor));
    assert_eq!(before.person.nick, after.person.nick);
}

#[test]
// covers: MUC-NICK-15
fn muc_nick_14_15_what_cannot_be_reserved() {
    let mut t = two();
    t.reserve(THANE, "glamis");
    let member = Affiliation::Member;
    let mut tried = |jid, affiliation, nick| {
        let outcome = t.act(OWNER, grant(jid, affiliation, Some(nick)));
        outcome.refusal.map(|r| (r.condition, r.kind))
    };
    let conflict = Some((Condition::Conflict, ErrorType::Cancel));
    assert_eq!(tried(HAG, member, "Glamis"), conflict);
    let malformed = Some((Condition::JidMalformed, ErrorType::Modify));
    assert_eq!(tried(HAG, member, "\u{200b}"), malformed);
    let unacceptable = Some((Condition::NotAcceptable, ErrorType::Modify));
    assert_eq!(tried("scotland.example", member, "scot"), unacceptable);
    // without an affiliation there is nothing to reserve it with
    assert_eq!(tried(HAG, Affiliation::None, "hag"), None);
    // that of somebody who is here may be given away, and is gone when that one is
    assert_eq!(tried(HAG, member, "secondwitch"), None);
    assert_eq!(
        t.seen(HAG).person.reserved.as_deref(),
        Nick::new("secondwitch").as_ref()
    );
    assert_eq!(t.nick(WITCH), "secondwitch");
    t.leaves(WITCH).ok();
    t.joins(WITCH, "secondwitch")
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
