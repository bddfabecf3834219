//! What must hold for one room: design I1, I3, I4, I5, I6 as users can see them.
//!
//! Owns the order of the work: first all senders, then each occupant, since both are too much to hold at once.

use super::fault::Fault;
use super::outcome::{self, Messages, Sent};
use super::pause;
use super::report::{Report, Violation};
use super::view::{Archive, View};
use crate::history::{Kind, MessageNo, Record};
use std::collections::{HashMap, HashSet};
use std::io;

/// Checks a room; `history` gives an occupant's records of it, and is asked twice for each.
///
/// # Errors
///
/// A history cannot be read.
pub(super) fn check(
    room: u16,
    members: &[u32],
    archive: &[Record],
    history: impl Fn(u32) -> io::Result<Vec<Record>>,
    faults: &[Fault],
    report: &mut Report,
) -> io::Result<()> {
    let archive = Archive::new(archive);
    let mut messages = Messages::new();
    for client in members {
        outcome::add(*client, &history(*client)?, &mut messages);
    }
    archive_holds(room, &archive, report);
    for (message, sent) in &messages {
        message_holds(room, *message, sent, &archive, faults, report);
    }
    for client in members {
        let mut view = View::new(room, *client, &archive, faults);
        view.take(&history(*client)?, report);
        view.end(&messages, report);
    }
    pause::measure(&messages, faults, &mut report.pauses);
    report.counts.rooms += 1;
    report.counts.occupants += members.len() as u64;
    Ok(())
}

/// Nothing is there twice (I4), and each sender's messages are in the order of their sending (I3).
fn archive_holds(room: u16, archive: &Archive, report: &mut Report) {
    report.counts.archived += archive.entries.len() as u64;
    let (mut known, mut newest) = (HashSet::new(), HashMap::new());
    for (message, entry) in &archive.entries {
        let Some(client) = message.client() else {
            continue;
        };
        let example = || format!("room {room} message {} in the archive", message.id());
        if !known.insert(message.0) || !known.insert(entry.0) {
            report.add(Violation::ArchivedTwice, example);
        } else if newest
            .insert(client, *message)
            .is_some_and(|before| before > *message)
        {
            report.add(Violation::Reordered, example);
        }
    }
}

/// A command ends in an event or an error, and an error is the truth (I5); what was seen is in the archive.
fn message_holds(
    room: u16,
    message: MessageNo,
    sent: &Sent,
    archive: &Archive,
    faults: &[Fault],
    report: &mut Report,
) {
    count(sent, report);
    let example = || {
        format!(
            "room {room} message {} sent at {} ms",
            message.id(),
            sent.at.millis()
        )
    };
    let archived = archive.has(message);
    if sent.seen.is_some() && !archived {
        report.add(Violation::NotArchived, example);
    }
    if (sent.is_denied() || sent.undelivered.is_some()) && (archived || sent.seen.is_some()) {
        report.add(Violation::RefusedAndHappened, example);
    }
    if sent.refused.is_some_and(outcome::is_unknown) && archived {
        report.counts.unknown_happened += 1;
    }
    if sent.is_silent() && !archived {
        report.counts.silent += 1;
        if !faults.iter().any(|fault| fault.excuses_vanishing(sent.at)) {
            report.add(Violation::Vanished, example);
        }
    }
}

fn count(sent: &Sent, report: &mut Report) {
    let counts = &mut report.counts;
    counts.sent += 1;
    counts.acknowledged += u64::from(sent.seen.is_some());
    counts.bounced += u64::from(sent.undelivered == Some(Kind::Bounced));
    counts.swallowed += u64::from(sent.undelivered == Some(Kind::Swallowed));
    if let Some(condition) = sent.refused {
        let unknown = outcome::is_unknown(condition);
        counts.unknown += u64::from(unknown);
        *report.refused.entry(condition.name()).or_default() += 1;
        report.refused_after.extend(sent.refused_after);
    }
}
