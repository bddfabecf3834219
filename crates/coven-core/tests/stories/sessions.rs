//! Several sessions of one person (XEP-0045 §7.2.8; MAP-08, MAP-13, MAP-21).

use crate::table::acts::private;
use crate::table::{HAG, HAG2, OWNER, Table, WITCH};
use coven_core::command::{Command, View};
use coven_core::event::{Cause, Event};
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Condition, Role};

fn two() -> Table {
    let mut t = Table::room();
    t.joins(WITCH, "secondwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    t
}

#[test]
fn muc_multi_01_own_nick_from_another_client_is_a_further_session() {
    let mut t = two();
    assert_eq!(t.seen(HAG).sessions.len(), 2);
    assert_eq!(t.roster().occupants(), 2);
    t.joins("hag66@shakespeare.example/3", "ThirdWitch").ok();
    assert_eq!(t.nick(HAG), "thirdwitch");
}

#[test]
fn every_session_is_a_recipient_and_may_send() {
    let mut t = two();
    let muc: Vec<_> = t.roster().sessions().map(|s| s.jid.to_string()).collect();
    assert_eq!(muc, [WITCH, HAG, HAG2]);
    let (a, b) = (t.says(HAG, "a").message(), t.says(HAG2, "b").message());
    assert_eq!((a.nick.as_str(), a.id), (b.nick.as_str(), b.id));
}

#[test]
fn muc_multi_03_private_messages_go_to_all_sessions_of_a_person() {
    let mut t = two();
    let outcome = t.whispers(WITCH, "thirdwitch");
    let Event::Private(message) = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (message.to, &message.session),
        (t.seen(HAG).person.no, &None)
    );
}

#[test]
fn muc_multi_04_all_sessions_share_role_and_id_and_are_kicked_at_once() {
    let mut t = two();
    t.gives(OWNER, "thirdwitch", Role::Visitor).ok();
    for jid in [HAG, HAG2] {
        t.says(jid, "x")
            .refused(Condition::Forbidden, coven_core::ErrorType::Auth);
    }
    let outcome = t.kicks(OWNER, "thirdwitch");
    assert_eq!(outcome.delta().before.as_ref().unwrap().sessions.len(), 2);
    assert!(!t.is_here(HAG));
    assert_eq!(t.roster().sessions().len(), 1);
}

#[test]
fn muc_multi_06_others_see_a_further_session_only_if_what_is_shown_changes() {
    let mut t = two();
    let outcome = t.joins("hag66@shakespeare.example/3", "thirdwitch");
    let delta = outcome.delta();
    assert!(delta.before.as_ref().unwrap().present());
    let shown = |view: &Option<coven_core::PersonView>| view.as_ref().unwrap().shown().unwrap();
    assert_eq!(shown(&delta.before).show(), shown(&delta.after).show());
    // a worse one changes nothing, leaving neither
    let outcome = t.shows(HAG, "thirdwitch", Show::Xa);
    assert!(shown(&outcome.delta().before).looks_like(&shown(&outcome.delta().after)));
    let outcome = t.leaves(HAG);
    assert!(shown(&outcome.delta().before).looks_like(&shown(&outcome.delta().after)));
}

#[test]
fn a_further_session_gets_a_join_of_its_own() {
    let mut t = two();
    let outcome = t.joins("hag66@shakespeare.example/3", "thirdwitch");
    assert_eq!(outcome.story(), ["joined"]);
    assert_eq!(
        outcome.delta().session.as_ref().unwrap().jid.resource(),
        "3"
    );
}

#[test]
// covers: MUC-MULTI-11
fn muc_multi_09_11_the_occupant_stays_until_its_last_session_ends() {
    let mut t = two();
    assert_eq!(t.leaves(HAG).story(), ["left"]);
    assert!(t.is_here(HAG));
    let probed = t.mark(View::Muc, HAG2);
    let outcome = t.bounces(HAG2, Condition::RecipientUnavailable, Some(probed));
    let Event::Left { cause, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(*cause, Cause::Ghost);
    assert!(!t.is_here(HAG));
}

#[test]
fn muc_multi_10_map_78_a_nick_change_by_any_session_moves_the_person() {
    let mut t = two();
    let outcome = t.renames(HAG2, "oldhag");
    assert_eq!(outcome.story(), ["renamed"]);
    let after = outcome.delta().after.clone().unwrap();
    assert_eq!(after.sessions.len(), 2);
    assert_eq!(after.person.shown_nick(), "oldhag");
    assert_eq!(t.says(HAG, "x").message().nick, "oldhag");
}

#[test]
fn map_13_map_08_mix_part_07_one_person_by_both_protocols_is_one() {
    let mut t = two();
    t.participates(HAG, "thirdwitch").ok();
    t.is_online("hag66@shakespeare.example/mix", Show::Available)
        .ok();
    assert_eq!(t.roster().occupants(), 2);
    let view = t.seen(HAG);
    assert_eq!(view.muc_sessions().count(), 2);
    assert_eq!(view.mix_sessions().count(), 1);
    let one = t
        .roster()
        .present()
        .filter(|p| p.jid == view.person.jid)
        .count();
    assert_eq!(one, 1);
}

#[test]
fn map_46_leaving_by_one_protocol_keeps_what_the_other_holds() {
    let mut t = two();
    t.participates(HAG, "thirdwitch").ok();
    t.leaves(HAG).ok();
    t.leaves(HAG2).ok();
    assert!(t.is_here(HAG), "a participant without session");
    t.joins(HAG, "thirdwitch").ok();
    t.departs(HAG).ok();
    assert!(t.is_here(HAG), "a MUC session without participation");
    t.leaves(HAG).ok();
    assert!(!t.is_here(HAG));
}

#[test]
fn the_same_full_jid_may_be_there_in_both_views() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.is_online(HAG, Show::Available).ok();
    t.joins(HAG, "thirdwitch").ok();
    let full = crate::table::full(HAG);
    let [muc, mix] = [View::Muc, View::Mix].map(|v| t.roster().session_of(v, &full).unwrap().no);
    assert_ne!(muc, mix);
    t.leaves(HAG).ok();
    assert!(t.roster().session_of(View::Mix, &full).is_some());
}

#[test]
fn muc_pm_05_own_sessions_may_always_write_to_each_other() {
    let mut t = two();
    t.sets(|c| c.private_messages = coven_core::settings::config::PrivateMessages::None);
    t.whispers(HAG, "thirdwitch").ok();
    t.makes(WITCH, Affiliation::Admin);
    t.act(WITCH, Command::Private(Box::new(private("thirdwitch"))))
        .refused(Condition::Forbidden, coven_core::ErrorType::Auth);
}
