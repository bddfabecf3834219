//! What subscribers of the participants node are told, and when (MAP-12, MIX-JOIN-08).

use crate::table::{HAG, HAG2, OWNER, Outcome, THANE, Table, WITCH, bare};
use coven_core::command::{Bounce, Command};
use coven_core::presence::listing::{LINGER_MS, TOGETHER_MS, Told};
use coven_core::{Affiliation, Condition, ProbeMark, StableId};

/// A channel in which THANE takes part by MIX, and knows of it.
fn watched() -> Table {
    let mut t = Table::room();
    t.participates(THANE, "thane").ok();
    t
}

/// What an act told: `+nick` and `-bare JID`, sorted.
fn told(t: &Table, outcome: &Outcome) -> Vec<String> {
    let all = outcome.deltas.iter().flat_map(|delta| &delta.told);
    let mut words: Vec<_> = all.map(|told| word(t, told)).collect();
    words.sort();
    words
}

fn word(t: &Table, told: &Told) -> String {
    match told {
        Told::Is(person) => format!("+{}", person.shown_nick()),
        Told::Gone(id) => {
            let key = t.channel.key().unwrap();
            let people = [HAG, WITCH, THANE].map(bare);
            let whose = |jid: &&coven_core::BareJid| StableId::of(key, jid.as_str()) == *id;
            format!("-{}", people.iter().find(whose).unwrap().as_str())
        }
    }
}

/// Time passes, and the timer fires if it is time.
fn later(t: &mut Table, ms: i64) -> Vec<String> {
    t.passes(ms);
    if t.channel.next_timer().is_none_or(|due| due > t.now) {
        return Vec::new();
    }
    let outcome = t.tick();
    assert_eq!(outcome.story(), ["announced"]);
    told(t, &outcome)
}

fn listed(t: &Table) -> Vec<String> {
    let listed = t.roster().listed();
    listed.iter().map(|p| p.shown_nick().into_owned()).collect()
}

const HAG_GONE: &str = "-hag66@shakespeare.example";

#[test]
fn map_12_what_happens_within_a_second_is_told_together() {
    let mut t = watched();
    let outcome = t.joins(HAG, "thirdwitch");
    assert_eq!(told(&t, &outcome), [""; 0]);
    assert_eq!(later(&mut t, 400), [""; 0]);
    t.joins(WITCH, "secondwitch").ok();
    t.renames(WITCH, "hecate").ok();
    t.passes(TOGETHER_MS - 401);
    t.tick().silent();
    assert_eq!(later(&mut t, 1), ["+hecate", "+thirdwitch"]);
    // and only once
    assert_eq!(t.channel.next_timer(), None);
    t.passes(60_000);
    t.tick().silent();
    // who is told of nothing new hears nothing
    t.joins(HAG2, "thirdwitch").ok();
    t.makes(HAG, Affiliation::Member);
    t.leaves(HAG2).ok();
    assert_eq!(t.channel.next_timer(), None);
}

#[test]
fn map_12_who_leaves_by_muc_lingers() {
    let mut t = watched();
    t.joins(HAG, "thirdwitch").ok();
    assert_eq!(later(&mut t, TOGETHER_MS), ["+thirdwitch"]);
    t.leaves(HAG).ok();
    assert!(!t.is_here(HAG), "the room is left at once");
    assert_eq!(later(&mut t, LINGER_MS), [""; 0]);
    assert_eq!(listed(&t), ["thane", "thirdwitch"]);
    assert_eq!(later(&mut t, TOGETHER_MS), [HAG_GONE]);
    assert_eq!(listed(&t), ["thane"]);
    assert_eq!(t.channel.next_timer(), None);
}

#[test]
fn map_12_who_is_lost_lingers_too() {
    let mut t = watched();
    t.joins(HAG, "thirdwitch").ok();
    later(&mut t, TOGETHER_MS);
    let session = t.session(HAG);
    let key = t.channel.key().unwrap();
    let bounce = Bounce {
        probed: Some(ProbeMark::of(key, session.no, session.updated)),
        condition: Condition::RecipientUnavailable,
        confirmed: false,
    };
    assert_eq!(t.act(HAG, Command::Bounce(bounce)).story(), ["left"]);
    assert_eq!(later(&mut t, LINGER_MS), [""; 0]);
    assert_eq!(later(&mut t, TOGETHER_MS), [HAG_GONE]);
}

#[test]
fn map_12_who_comes_back_in_time_is_no_news() {
    let mut t = watched();
    t.joins(HAG, "thirdwitch").ok();
    later(&mut t, TOGETHER_MS);
    for _ in 0..3 {
        t.leaves(HAG).ok();
        assert_eq!(later(&mut t, LINGER_MS - 1), [""; 0]);
        t.joins(HAG2, "thirdwitch").ok();
        assert_eq!(t.channel.next_timer(), None);
        t.leaves(HAG2).ok();
        t.joins(HAG, "thirdwitch").ok();
    }
    // but with another nick
    t.leaves(HAG).ok();
    t.joins(HAG, "oldhag").ok();
    assert_eq!(later(&mut t, TOGETHER_MS), ["+oldhag"]);
    // who came and went before it was told was never there
    t.joins(WITCH, "secondwitch").ok();
    t.leaves(WITCH).ok();
    assert_eq!(t.channel.next_timer(), None);
}

#[test]
fn map_12_a_nick_that_another_takes_ends_the_linger() {
    let mut t = watched();
    t.joins(HAG, "thirdwitch").ok();
    later(&mut t, TOGETHER_MS);
    t.leaves(HAG).ok();
    t.joins(WITCH, "ThirdWitch").ok();
    assert_eq!(listed(&t), ["thane", "ThirdWitch"], "nobody reads two");
    assert_eq!(later(&mut t, TOGETHER_MS), ["+ThirdWitch", HAG_GONE]);
}

#[test]
fn map_12_who_is_removed_does_not_linger() {
    let mut t = watched();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    later(&mut t, TOGETHER_MS);
    t.kicks(OWNER, "thirdwitch").ok();
    t.makes(WITCH, Affiliation::Outcast);
    assert_eq!(listed(&t), ["thane"]);
    let gone = later(&mut t, TOGETHER_MS);
    assert_eq!(gone, [HAG_GONE, "-wiccarocks@shakespeare.example"]);
}

#[test]
fn map_12_mix_join_08_joins_and_leaves_by_mix_are_told_at_once_with_what_waits() {
    let mut t = watched();
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.participates(WITCH, "secondwitch");
    assert_eq!(told(&t, &outcome), ["+secondwitch", "+thirdwitch"]);
    assert_eq!(t.channel.next_timer(), None);
    t.renames(HAG, "oldhag").ok();
    let outcome = t.departs(WITCH);
    assert_eq!(
        told(&t, &outcome),
        ["+oldhag", "-wiccarocks@shakespeare.example"]
    );
    // who lingers goes on to
    t.leaves(HAG).ok();
    let outcome = t.participates(WITCH, "secondwitch");
    assert_eq!(told(&t, &outcome), ["+secondwitch"]);
    assert_eq!(later(&mut t, LINGER_MS + TOGETHER_MS), [HAG_GONE]);
}

#[test]
fn map_12_where_nobody_takes_part_nothing_is_kept() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.leaves(HAG).ok();
    assert_eq!(t.channel.next_timer(), None);
    t.participates(THANE, "thane").ok();
    t.joins(HAG, "thirdwitch").ok();
    assert!(t.channel.next_timer().is_some());
    t.departs(THANE).ok();
    assert_eq!(t.channel.next_timer(), None);
    assert_eq!(t.parts().untold, []);
}

#[test]
fn map_12_changes_without_end_are_told_all_the_same() {
    let mut t = watched();
    t.joins(HAG, "a0").ok();
    let mut heard = Vec::new();
    for n in 1..12 {
        heard.extend(later(&mut t, 300));
        t.renames(HAG, &format!("a{n}")).ok();
    }
    assert_eq!(heard, ["+a3", "+a7"]);
}

#[test]
fn map_12_i6_a_restart_neither_forgets_nor_repeats() {
    let mut t = watched();
    t.joins(WITCH, "secondwitch").ok();
    later(&mut t, TOGETHER_MS);
    t.leaves(WITCH).ok();
    t.joins(HAG, "thirdwitch").ok();
    let mut again = Table::from_snapshot(&t);
    assert_eq!(again.parts(), t.parts());
    assert_eq!(again.channel.next_timer(), t.channel.next_timer());
    for table in [&mut t, &mut again] {
        assert_eq!(later(table, TOGETHER_MS), ["+thirdwitch"]);
        let gone = later(table, LINGER_MS);
        assert_eq!(gone, ["-wiccarocks@shakespeare.example"]);
        assert_eq!(table.channel.next_timer(), None);
    }
}
