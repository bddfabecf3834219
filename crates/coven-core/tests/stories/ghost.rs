//! Sessions whose client is gone (XEP-0045 §18.1.2).

use crate::table::{HAG, OWNER, Table, WITCH};
use coven_core::channel::Output;
use coven_core::command::{Bounce, Command};
use coven_core::event::{Cause, Event};
use coven_core::presence::session::Show;
use coven_core::{Condition, ProbeMark, View};

fn here() -> (Table, ProbeMark) {
    let mut t = Table::room();
    t.joins(WITCH, "secondwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    let probed = t.mark(View::Muc, HAG);
    (t, probed)
}

#[test]
// covers: MUC-LEAVE-08, MUC-LEAVE-10
fn muc_leave_07_08_10_conditions_that_mean_gone_end_the_session() {
    for condition in [
        Condition::Gone,
        Condition::ItemNotFound,
        Condition::RecipientUnavailable,
        Condition::Redirect,
        Condition::ServiceUnavailable,
        Condition::InternalServerError,
        Condition::JidMalformed,
    ] {
        let (mut t, probed) = here();
        let outcome = t.bounces(HAG, condition, Some(probed));
        let Event::Left { cause, .. } = outcome.event() else {
            panic!("{outcome:?}");
        };
        assert_eq!(*cause, Cause::Ghost);
        assert!(!t.is_here(HAG) && t.is_here(WITCH));
    }
}

#[test]
fn muc_leave_07_a_broken_server_connection_must_have_held() {
    for condition in [
        Condition::RemoteServerNotFound,
        Condition::RemoteServerTimeout,
    ] {
        let (mut t, probed) = here();
        t.bounces(HAG, condition, Some(probed)).silent();
        let bounce = Bounce {
            probed: Some(probed),
            condition,
            confirmed: true,
        };
        assert_eq!(t.act(HAG, Command::Bounce(bounce)).story(), ["left"]);
    }
}

#[test]
fn muc_leave_09_other_conditions_never_end_a_session() {
    let (mut t, probed) = here();
    for condition in [
        Condition::NotAcceptable,
        Condition::Forbidden,
        Condition::PolicyViolation,
        Condition::ResourceConstraint,
        Condition::FeatureNotImplemented,
        Condition::BadRequest,
    ] {
        t.bounces(HAG, condition, Some(probed)).silent();
        t.bounces(HAG, condition, None).silent();
    }
}

#[test]
fn muc_leave_11_muc_err_04_errors_of_strangers_are_dropped_and_never_answered() {
    let (mut t, probed) = here();
    t.leaves(HAG).ok();
    t.bounces(HAG, Condition::Gone, Some(probed)).silent();
    t.bounces("hag66@shakespeare.example", Condition::Gone, None)
        .silent();
    let mut nowhere = Table::empty();
    nowhere.bounces(HAG, Condition::Gone, None).silent();
}

#[test]
fn muc_leave_12_an_ordinary_bounce_leads_to_a_probe() {
    let (mut t, _) = here();
    let outcome = t.bounces(HAG, Condition::ServiceUnavailable, None);
    assert!(outcome.records.is_empty());
    assert_eq!(*outcome.output(), Output::Probe(t.probe(View::Muc, HAG)));
    assert!(t.is_here(HAG));
}

#[test]
fn muc_leave_12_the_bounce_of_a_probe_of_an_earlier_join_is_ignored() {
    let (mut t, old) = here();
    t.leaves(HAG).ok();
    t.joins(HAG, "thirdwitch").ok();
    t.bounces(HAG, Condition::RecipientUnavailable, Some(old))
        .silent();
    assert!(t.is_here(HAG));
}

/// Errors come back for what others sent, and for ids that others chose.
#[test]
fn muc_leave_12_nobody_makes_a_bounce_that_ends_the_session_of_another() {
    let (mut t, probed) = here();
    let of_another = t.mark(View::Muc, WITCH);
    for mark in [of_another, ProbeMark([0; 16]), ProbeMark([255; 16])] {
        t.bounces(HAG, Condition::RecipientUnavailable, Some(mark))
            .silent();
    }
    t.shows(HAG, "thirdwitch", Show::Away).ok();
    t.bounces(HAG, Condition::RecipientUnavailable, Some(probed))
        .silent();
    assert!(t.is_here(HAG));
}

/// A server may find an address malformed for what a user put into the stanza.
#[test]
fn muc_leave_07_jid_malformed_says_nothing_but_of_a_probe() {
    let (mut t, _) = here();
    t.bounces(HAG, Condition::JidMalformed, None).silent();
}

/// The client was away and is back under the same address, though the channel had not noticed: what is still on its way
/// for the time before does not remove it.
#[test]
fn muc_leave_12_muc_enter_21_a_late_bounce_does_not_remove_who_has_joined_again() {
    let (mut t, old) = here();
    let again = t.joins(HAG, "thirdwitch");
    assert!(matches!(again.output(), Output::Sync { .. }));
    t.bounces(HAG, Condition::RecipientUnavailable, Some(old))
        .silent();
    assert!(t.is_here(HAG));
    let newest = t.mark(View::Muc, HAG);
    let outcome = t.bounces(HAG, Condition::RecipientUnavailable, Some(newest));
    assert_eq!(outcome.story(), ["left"]);
}

#[test]
fn mix_pres_10_muc_leave_12_a_late_bounce_does_not_end_a_client_that_is_back() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.is_online(HAG, Show::Available).ok();
    let old = t.mark(View::Mix, HAG);
    t.is_online(HAG, Show::Available).ok();
    t.bounces(HAG, Condition::RecipientUnavailable, Some(old))
        .silent();
    assert_eq!(t.seen(HAG).sessions.len(), 1);
}

#[test]
fn mix_pres_10_a_gone_full_jid_is_gone_from_both_views() {
    let (mut t, _) = here();
    t.participates(HAG, "thirdwitch").ok();
    t.is_online(HAG, Show::Available).ok();
    let newest = t.mark(View::Mix, HAG);
    let outcome = t.bounces(HAG, Condition::RecipientUnavailable, Some(newest));
    assert_eq!(outcome.story(), ["left", "left"]);
    assert!(t.seen(HAG).sessions.is_empty());
    assert!(t.is_here(HAG), "participation outlives its clients");
}

#[test]
fn muc_leave_06_muc_create_08_a_room_ends_with_a_ghost_too() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    let probed = t.mark(View::Muc, OWNER);
    let outcome = t.bounces(OWNER, Condition::RecipientUnavailable, Some(probed));
    assert_eq!(outcome.story(), ["left", "destroyed"]);
}
