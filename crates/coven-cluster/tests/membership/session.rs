//! The session of one process.

use std::time::Duration;

use coven_cluster::session::{Change, Session, Suspended, Timing};
use coven_store::SessionId;
use coven_store::registry::{Role, Sight};

use super::world::{TTL, at, nobody, seen};

const ME: SessionId = SessionId(1);

/// A session that was asked for at 0, and granted a little later.
fn open() -> Session {
    let mut session = Session::new(Timing::default());
    assert_eq!(session.suspended(), Some(Suspended::Starting));
    let change = session.opened(ME, at(0.0), at(0.5));
    assert_eq!(change, Some(Change::Resumed(ME)));
    session
}

fn sight() -> Sight {
    let mut sight = nobody();
    sight.sessions.push(seen(1, Role::Node));
    sight
}

fn renewed(there: bool) -> Sight {
    let mut sight = if there { sight() } else { nobody() };
    sight.renewed = Some(there);
    sight
}

#[test]
fn the_deadline_counts_from_before_the_request() {
    let mut session = open();
    // A hundredth less than the store counts: clocks differ.
    assert_eq!(session.deadline(), Some(at(5.94)));
    assert_eq!(session.valid(at(5.93)), Some(ME));
    assert_eq!(session.valid(at(5.94)), None);
    session.seen(&renewed(true), at(3.0), at(5.0));
    assert_eq!(session.deadline(), Some(at(8.94)));
}

#[test]
fn it_is_renewed_every_two_seconds() {
    let mut session = open();
    assert_eq!(session.to_renew(at(1.9)), None);
    assert_eq!(session.to_renew(at(2.0)), Some(ME));
    session.seen(&renewed(true), at(2.0), at(2.1));
    assert_eq!(session.to_renew(at(3.9)), None);
    assert_eq!(session.to_renew(at(4.0)), Some(ME));
}

#[test]
fn a_poll_without_renewal_moves_no_deadline() {
    let mut session = open();
    assert_eq!(session.seen(&sight(), at(1.0), at(1.1)), None);
    assert_eq!(session.deadline(), Some(at(5.94)));
}

#[test]
fn past_the_deadline_it_is_suspended_and_takes_a_new_one() {
    let mut session = open();
    assert_eq!(session.tick(at(5.9)), None);
    let over = Some(Change::Suspended(Suspended::Silence));
    assert_eq!(session.tick(at(6.0)), over);
    assert_eq!(session.tick(at(6.1)), None, "said once");
    assert!(session.is_wanted());
    // An answer that comes late revives nothing.
    assert_eq!(session.seen(&renewed(true), at(4.0), at(6.2)), None);
    assert_eq!(session.valid(at(6.2)), None);
    let change = session.opened(SessionId(2), at(7.0), at(7.1));
    assert_eq!(change, Some(Change::Resumed(SessionId(2))));
}

#[test]
fn a_renewal_that_is_answered_after_the_deadline_is_too_late() {
    let mut session = open();
    session.seen(&renewed(true), at(2.0), at(2.1));
    // Sent at 4, answered at 10: valid until 10 at most.
    let change = session.seen(&renewed(true), at(4.0), at(10.0));
    assert_eq!(change, Some(Change::Suspended(Suspended::Silence)));
}

#[test]
fn a_session_that_took_longer_to_open_than_it_lasts_is_none() {
    let mut session = Session::new(Timing::default());
    assert_eq!(session.opened(ME, at(0.0), at(6.0)), None);
    assert!(session.is_wanted());
}

#[test]
fn il_29_a_session_that_the_store_lost_is_over() {
    let mut session = open();
    let change = session.seen(&renewed(false), at(2.0), at(2.1));
    assert_eq!(change, Some(Change::Suspended(Suspended::Gone)));
    let mut session = open();
    let change = session.seen(&nobody(), at(1.0), at(1.1));
    assert_eq!(change, Some(Change::Suspended(Suspended::Gone)));
}

/// Although the new primary knows the session: what the old one granted meanwhile may be lost.
#[test]
fn il_30_another_primary_suspends() {
    let mut session = open();
    assert_eq!(session.seen(&sight(), at(1.0), at(1.1)), None);
    let mut other = renewed(true);
    other.server = "two".into();
    let change = session.seen(&other, at(2.0), at(2.1));
    assert_eq!(change, Some(Change::Suspended(Suspended::Moved)));
    assert_eq!(session.valid(at(2.2)), None);
}

#[test]
fn il_31_another_store_suspends_until_it_is_accepted() {
    let mut session = open();
    let over = Some(Change::Suspended(Suspended::Replaced));
    assert_eq!(session.replaced(), over);
    assert!(!session.is_wanted());
    assert_eq!(session.opened(SessionId(2), at(1.0), at(1.1)), None);
    session.accepted();
    assert!(session.is_wanted());
}

#[test]
fn an_ended_session_stays_so() {
    let mut session = open();
    assert_eq!(session.end(), Some(ME));
    assert!(!session.is_wanted());
    assert_eq!(session.opened(SessionId(2), at(1.0), at(1.1)), None);
    assert_eq!(session.end(), None);
}

#[test]
fn the_times_are_those_of_the_design() {
    let timing = Timing::default();
    assert_eq!((timing.ttl, timing.renew), (TTL, Duration::from_secs(2)));
    assert!(timing.poll <= Duration::from_millis(300));
}
