//! What one occupant saw of a room, held against the room's archive.
//!
//! Owns order, gaps and repeats at one recipient (design I3), and that nobody leaves (I6).

use super::fault::Fault;
use super::outcome::Messages;
use super::report::{Report, Violation};
use crate::history::{ArchiveNo, Condition, Kind, MessageNo, Record, Ticks};
use std::collections::HashMap;

/// The archive of a room: where each entry stands.
#[derive(Debug)]
pub(super) struct Archive {
    /// In order.
    pub(super) entries: Vec<(MessageNo, ArchiveNo)>,
    by_archive: HashMap<ArchiveNo, usize>,
    by_message: HashMap<MessageNo, usize>,
}

impl Archive {
    /// The archive with these entries.
    pub(super) fn new(records: &[Record]) -> Self {
        let entries: Vec<_> = records
            .iter()
            .map(|record| (record.message, record.archive))
            .collect();
        Self {
            by_archive: entries
                .iter()
                .enumerate()
                .map(|(at, (_, archive))| (*archive, at))
                .collect(),
            by_message: entries
                .iter()
                .enumerate()
                .map(|(at, (message, _))| (*message, at))
                .collect(),
            entries,
        }
    }

    /// Whether it has that message.
    pub(super) fn has(&self, message: MessageNo) -> bool {
        self.by_message.contains_key(&message)
    }
}

/// The way of one occupant through the archive.
pub(super) struct View<'a> {
    room: u16,
    client: u32,
    archive: &'a Archive,
    faults: &'a [Fault],
    /// Since when it is in, if it is.
    here: Option<Ticks>,
    /// Which entries it has seen.
    seen: Vec<bool>,
    /// The newest of these.
    newest: Option<usize>,
    asked: u64,
    answered: u64,
}

impl<'a> View<'a> {
    pub(super) fn new(room: u16, client: u32, archive: &'a Archive, faults: &'a [Fault]) -> Self {
        Self {
            room,
            client,
            archive,
            faults,
            here: None,
            seen: vec![false; archive.entries.len()],
            newest: None,
            asked: 0,
            answered: 0,
        }
    }

    /// Takes the occupant's records in order.
    pub(super) fn take(&mut self, records: &[Record], report: &mut Report) {
        for record in records {
            match record.kind {
                Kind::Got => self.got(record, report),
                Kind::Here => self.entered(record.at, report),
                Kind::Gone => self.left(self.client, report),
                Kind::OtherGone => self.left(record.message.client().unwrap_or(u32::MAX), report),
                Kind::OtherHere => report.counts.presences_again += 1,
                Kind::Refused => self.refused(record.condition, report),
                Kind::Asked => self.asked += 1,
                Kind::Answered => self.answered(record.condition, report),
                Kind::Sent | Kind::Bounced | Kind::Swallowed | Kind::Archived => {}
            }
        }
        report.counts.pings += self.asked;
        report.counts.pings_silent += self.asked.saturating_sub(self.answered);
    }

    /// What it should have seen and has not: everything that was sent after it had come.
    pub(super) fn end(&self, messages: &Messages, report: &mut Report) {
        let Some(here) = self.here else {
            return self.wrong(Violation::NoHistory, MessageNo(0), report);
        };
        for ((message, _), seen) in self.archive.entries.iter().zip(&self.seen) {
            let due = messages.get(message).is_some_and(|sent| sent.at > here);
            if due && !seen {
                self.wrong(Violation::Lost, *message, report);
            }
        }
    }

    fn got(&mut self, record: &Record, report: &mut Report) {
        report.counts.deliveries += 1;
        let Some(at) = self.archive.by_archive.get(&record.archive).copied() else {
            let known = self.archive.has(record.message);
            let violation = if known {
                Violation::Differing
            } else {
                Violation::Phantom
            };
            return self.wrong(violation, record.message, report);
        };
        if self.archive.entries.get(at).map(|(message, _)| *message) != Some(record.message) {
            self.wrong(Violation::Differing, record.message, report);
        }
        let Some(seen) = self.seen.get_mut(at) else {
            return;
        };
        if std::mem::replace(seen, true) {
            return self.again(record, report);
        }
        if self.newest.is_some_and(|newest| at < newest) {
            self.wrong(Violation::Reordered, record.message, report);
        }
        self.newest = self.newest.max(Some(at));
    }

    fn again(&self, record: &Record, report: &mut Report) {
        if self
            .faults
            .iter()
            .any(|fault| fault.excuses_copy(record.at))
        {
            report.counts.duplicated_excused += 1;
        } else {
            self.wrong(Violation::Duplicated, record.message, report);
        }
    }

    fn entered(&mut self, at: Ticks, report: &mut Report) {
        if self.here.is_some() {
            self.wrong(Violation::Rejoined, MessageNo(0), report);
        }
        self.here = self.here.or(Some(at));
    }

    /// It was told that this occupant, perhaps itself, is not there any more.
    fn left(&self, who: u32, report: &mut Report) {
        let example = format!(
            "room {} client {} was told that {who} left",
            self.room, self.client
        );
        report.add(Violation::Left, || example);
    }

    fn refused(&self, condition: Condition, report: &mut Report) {
        if condition == Condition::named("not-acceptable") {
            self.wrong(Violation::LostPlace, MessageNo(0), report);
        }
    }

    fn answered(&mut self, condition: Condition, report: &mut Report) {
        self.answered += 1;
        if condition == Condition::NONE {
            return;
        }
        report.counts.pings_refused += 1;
        // XEP-0410 §3: these decide nothing; after any other error a client enters again.
        if !matches!(
            condition.name(),
            "remote-server-timeout" | "remote-server-not-found"
        ) {
            self.wrong(Violation::LostPlace, MessageNo(0), report);
        }
    }

    fn wrong(&self, violation: Violation, message: MessageNo, report: &mut Report) {
        let example = || {
            format!(
                "room {} client {} message {}",
                self.room,
                self.client,
                message.id()
            )
        };
        report.add(violation, example);
    }
}
