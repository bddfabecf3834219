//! Histories by hand: one for each violation, and one without any.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::fault::Fault;
use super::report::{Report, Violation};
use super::room;
use crate::history::{ArchiveNo, Condition, Kind, MessageNo, Record, Ticks};
use std::collections::BTreeMap;

const ALICE: u32 = 0;
const BOB: u32 = 1;

/// A room of Alice and Bob with its archive; times are in seconds.
#[derive(Default)]
struct Story {
    archive: Vec<Record>,
    histories: BTreeMap<u32, Vec<Record>>,
    faults: Vec<Fault>,
}

fn at(seconds: i32) -> Ticks {
    Ticks(0).plus_seconds(seconds)
}

/// The `n`th message of Alice.
fn hers(n: u32) -> MessageNo {
    MessageNo::new(ALICE, n)
}

fn place(message: MessageNo) -> ArchiveNo {
    ArchiveNo::of(&message.id())
}

impl Story {
    /// Both are in.
    fn new() -> Self {
        let mut story = Self::default();
        story.note(ALICE, 1, Kind::Here);
        story.note(BOB, 1, Kind::Here);
        story
    }

    fn add(&mut self, client: u32, record: Record) {
        self.histories.entry(client).or_default().push(record);
    }

    fn note(&mut self, client: u32, seconds: i32, kind: Kind) {
        self.add(client, Record::new(kind, 0, at(seconds)));
    }

    fn of(&mut self, client: u32, seconds: i32, kind: Kind, message: MessageNo) {
        let archive = if kind == Kind::Got {
            place(message)
        } else {
            ArchiveNo(0)
        };
        let record = Record::new(kind, 0, at(seconds));
        self.add(
            client,
            Record {
                message,
                archive,
                ..record
            },
        );
    }

    fn sends(&mut self, seconds: i32, n: u32) {
        self.of(ALICE, seconds, Kind::Sent, hers(n));
    }

    fn sees(&mut self, client: u32, seconds: i32, n: u32) {
        self.of(client, seconds, Kind::Got, hers(n));
    }

    fn refused(&mut self, seconds: i32, n: u32, condition: &str) {
        let record = Record {
            message: hers(n),
            condition: Condition::named(condition),
            ..Record::new(Kind::Refused, 0, at(seconds))
        };
        self.add(ALICE, record);
    }

    fn archives(&mut self, n: u32) {
        let record = Record::new(Kind::Archived, 0, at(1000));
        self.archive.push(Record {
            message: hers(n),
            archive: place(hers(n)),
            ..record
        });
    }

    /// Sent, archived, seen by both.
    fn says(&mut self, seconds: i32, n: u32) {
        self.sends(seconds, n);
        self.archives(n);
        self.sees(ALICE, seconds, n);
        self.sees(BOB, seconds, n);
    }

    fn fault(&mut self, begin: i32, end: i32, may_duplicate: bool, may_vanish: bool) {
        self.faults.push(Fault {
            name: "kill".into(),
            begin: at(begin),
            end: at(end),
            may_duplicate,
            may_vanish,
        });
    }

    fn report(&self) -> Report {
        let mut report = Report::new(&self.faults);
        let history = |client| Ok(self.histories.get(&client).cloned().unwrap_or_default());
        room::check(
            0,
            &[ALICE, BOB],
            &self.archive,
            history,
            &self.faults,
            &mut report,
        )
        .unwrap();
        report
    }

    /// Finds that violation once, and no other.
    fn shows(&self, violation: Violation) {
        let report = self.report();
        assert_eq!(report.found(violation), 1, "{}", report.to_json());
        let violations = report.to_json()["violations"].as_object().unwrap().len();
        assert_eq!(
            (violations, report.is_good()),
            (1, false),
            "{}",
            report.to_json()
        );
    }
}

#[test]
fn a_conversation_without_faults_is_good() {
    let mut story = Story::new();
    story.says(2, 0);
    story.says(3, 1);
    let report = story.report();
    assert!(report.is_good(), "{}", report.to_json());
    let counts = &report.counts;
    assert_eq!(
        (counts.sent, counts.acknowledged, counts.deliveries),
        (2, 2, 4)
    );
}

#[test]
fn i3_a_message_that_an_occupant_misses_is_lost() {
    let mut story = Story::new();
    story.sends(2, 0);
    story.archives(0);
    story.sees(ALICE, 2, 0);
    story.shows(Violation::Lost);
}

#[test]
fn i3_an_archived_message_that_its_sender_misses_is_lost_too() {
    let mut story = Story::new();
    story.sends(2, 0);
    story.archives(0);
    story.sees(BOB, 2, 0);
    story.shows(Violation::Lost);
}

#[test]
fn what_was_sent_before_somebody_came_is_not_lost() {
    let mut story = Story::default();
    story.note(ALICE, 1, Kind::Here);
    story.sends(2, 0);
    story.archives(0);
    story.sees(ALICE, 2, 0);
    story.note(BOB, 3, Kind::Here);
    assert!(story.report().is_good());
}

#[test]
fn i2_what_was_seen_must_be_archived() {
    let mut story = Story::new();
    story.says(2, 0);
    story.archive.clear();
    let report = story.report();
    assert_eq!(report.found(Violation::NotArchived), 1);
    assert_eq!(report.found(Violation::Phantom), 2);
}

#[test]
fn i3_a_copy_that_comes_twice_needs_an_excuse() {
    let mut story = Story::new();
    story.says(10, 0);
    story.sees(BOB, 12, 0);
    story.shows(Violation::Duplicated);
    story.fault(11, 13, false, true);
    story.says(40, 1);
    story.shows(Violation::Duplicated);
    story.faults.clear();
    story.fault(11, 13, true, false);
    let report = story.report();
    assert!(report.is_good(), "{}", report.to_json());
    assert_eq!(report.counts.duplicated_excused, 1);
}

#[test]
fn i3_an_excuse_does_not_last() {
    let mut story = Story::new();
    story.fault(11, 13, true, false);
    story.says(10, 0);
    story.says(14, 1);
    story.sees(BOB, 60, 0);
    story.shows(Violation::Duplicated);
}

#[test]
fn i3_another_order_than_that_of_the_archive_is_found() {
    let mut story = Story::new();
    for n in 0..2 {
        story.sends(2, n);
        story.archives(n);
        story.sees(ALICE, 2, n);
    }
    story.sees(BOB, 3, 1);
    story.sees(BOB, 3, 0);
    story.shows(Violation::Reordered);
}

#[test]
fn i3_an_archive_in_another_order_than_the_sender_spoke_is_found() {
    let mut story = Story::new();
    for n in [1, 0] {
        story.archives(n);
    }
    for n in [0, 1] {
        story.sends(2, n);
    }
    for client in [ALICE, BOB] {
        story.sees(client, 3, 1);
        story.sees(client, 3, 0);
    }
    story.shows(Violation::Reordered);
}

#[test]
fn i4_a_message_that_took_effect_twice_is_found() {
    let mut story = Story::new();
    story.says(2, 0);
    let other = ArchiveNo::of("another place");
    story.archive.push(Record {
        archive: other,
        ..story.archive[0]
    });
    for client in [ALICE, BOB] {
        let again = Record {
            message: hers(0),
            archive: other,
            ..Record::new(Kind::Got, 0, at(3))
        };
        story.add(client, again);
    }
    story.shows(Violation::ArchivedTwice);
}

#[test]
fn i5_an_error_for_what_happened_is_found() {
    let mut story = Story::new();
    story.says(2, 0);
    story.refused(3, 0, "resource-constraint");
    story.shows(Violation::RefusedAndHappened);
}

#[test]
fn i5_only_remote_server_timeout_leaves_it_open() {
    let mut story = Story::new();
    story.says(2, 0);
    story.refused(3, 0, "remote-server-timeout");
    let report = story.report();
    assert!(report.is_good(), "{}", report.to_json());
    assert_eq!(
        (report.counts.unknown, report.counts.unknown_happened),
        (1, 1)
    );
}

#[test]
fn i5_a_message_without_any_answer_needs_an_excuse() {
    let mut story = Story::new();
    story.sends(30, 0);
    story.shows(Violation::Vanished);
    story.fault(32, 33, false, true);
    story.says(34, 1);
    let report = story.report();
    assert!(report.is_good(), "{}", report.to_json());
    assert_eq!(report.counts.silent, 1);
}

#[test]
fn bounces_of_the_server_are_not_the_services() {
    let mut story = Story::new();
    story.sends(2, 0);
    story.of(ALICE, 2, Kind::Bounced, hers(0));
    let report = story.report();
    assert!(report.is_good(), "{}", report.to_json());
    assert_eq!(report.counts.bounced, 1);
}

#[test]
fn archive_ids_must_be_the_same_for_all() {
    let mut story = Story::new();
    story.sends(2, 0);
    story.archives(0);
    story.sees(ALICE, 2, 0);
    let other = Record {
        message: hers(0),
        archive: ArchiveNo::of("x"),
        ..Record::new(Kind::Got, 0, at(2))
    };
    story.add(BOB, other);
    let report = story.report();
    assert_eq!(report.found(Violation::Differing), 1);
}

#[test]
fn i3_a_message_that_never_was_is_found() {
    let mut story = Story::new();
    story.sees(BOB, 2, 7);
    story.shows(Violation::Phantom);
}

#[test]
fn i6_nobody_leaves_comes_back_or_loses_the_place() {
    let mut story = Story::new();
    story.note(BOB, 5, Kind::Gone);
    story.shows(Violation::Left);
    let mut story = Story::new();
    story.of(BOB, 5, Kind::OtherGone, hers(0));
    story.shows(Violation::Left);
    let mut story = Story::new();
    story.note(BOB, 5, Kind::Here);
    story.shows(Violation::Rejoined);
    let mut story = Story::new();
    story.note(BOB, 5, Kind::Asked);
    let no = Condition::named("not-acceptable");
    story.add(
        BOB,
        Record {
            condition: no,
            ..Record::new(Kind::Answered, 0, at(6))
        },
    );
    story.shows(Violation::LostPlace);
}

#[test]
fn i6_a_self_ping_without_decision_is_no_loss_and_another_error_is() {
    for (condition, lost) in [("remote-server-timeout", 0), ("resource-constraint", 1)] {
        let mut story = Story::new();
        story.note(BOB, 5, Kind::Asked);
        let condition = Condition::named(condition);
        story.add(
            BOB,
            Record {
                condition,
                ..Record::new(Kind::Answered, 0, at(6))
            },
        );
        assert_eq!(story.report().found(Violation::LostPlace), lost);
    }
}

#[test]
fn a_history_that_does_not_begin_proves_nothing() {
    let mut story = Story::new();
    story.says(2, 0);
    story.histories.remove(&BOB);
    story.shows(Violation::NoHistory);
}

#[test]
fn a_pause_lasts_until_the_room_is_of_use_again() {
    let mut story = Story::new();
    story.fault(10, 14, false, true);
    story.says(5, 0);
    story.sends(11, 1);
    story.refused(12, 1, "resource-constraint");
    story.sends(12, 2);
    story.archives(2);
    story.sees(ALICE, 17, 2);
    story.sees(BOB, 17, 2);
    story.says(100, 3);
    let report = story.report();
    assert!(report.is_good(), "{}", report.to_json());
    let pause = &report.to_json()["pauses"]["kill"];
    assert_eq!(
        (&pause["samples"], &pause["max_ms"]),
        (&1.into(), &6000.0.into())
    );
    assert_eq!(report.to_json()["refused_after"]["max_ms"], 1000.0);
}

#[test]
fn a_room_that_stays_silent_is_not_good() {
    let mut story = Story::new();
    story.fault(10, 14, false, true);
    story.sends(11, 1);
    story.refused(12, 1, "resource-constraint");
    assert!(!story.report().is_good());
}
