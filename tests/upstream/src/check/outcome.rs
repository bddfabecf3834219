//! What became of each message that was sent to a room.
//!
//! Owns the senders' side: sent, and then seen, refused, bounced, or nothing (design I5).

use crate::history::{Condition, Kind, MessageNo, Record, Ticks};
use std::collections::BTreeMap;

/// One message, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sent {
    /// When it was sent.
    pub(super) at: Ticks,
    /// When its sender first saw it.
    pub(super) seen: Option<Ticks>,
    /// What it was first refused with.
    pub(super) refused: Option<Condition>,
    /// How long it took until it was refused, in milliseconds.
    pub(super) refused_after: Option<f64>,
    /// Never given to the component: bounced by the server, or swallowed.
    pub(super) undelivered: Option<Kind>,
}

impl Sent {
    /// Whether its sender was told that it did not happen and will not.
    pub(super) fn is_denied(&self) -> bool {
        self.refused.is_some_and(|condition| !is_unknown(condition))
    }

    /// Whether its sender has heard nothing at all.
    pub(super) const fn is_silent(&self) -> bool {
        self.seen.is_none() && self.refused.is_none() && self.undelivered.is_none()
    }
}

/// Whether an error says only that the outcome is not known.
pub(super) fn is_unknown(condition: Condition) -> bool {
    condition == Condition::named("remote-server-timeout")
}

/// The messages of a room.
pub(super) type Messages = BTreeMap<MessageNo, Sent>;

/// Adds what one occupant knows of its own messages.
pub(super) fn add(client: u32, records: &[Record], messages: &mut Messages) {
    let own = records
        .iter()
        .filter(|record| record.message.client() == Some(client));
    for record in own {
        if record.kind == Kind::Sent {
            messages.insert(
                record.message,
                Sent {
                    at: record.at,
                    seen: None,
                    refused: None,
                    refused_after: None,
                    undelivered: None,
                },
            );
        } else if let Some(sent) = messages.get_mut(&record.message) {
            follow(sent, record);
        }
    }
}

fn follow(sent: &mut Sent, record: &Record) {
    match record.kind {
        Kind::Got => sent.seen = sent.seen.or(Some(record.at)),
        Kind::Refused if sent.refused.is_none() => {
            sent.refused = Some(record.condition);
            sent.refused_after = Some(record.at.millis() - sent.at.millis());
        }
        Kind::Bounced | Kind::Swallowed => sent.undelivered = Some(record.kind),
        _ => {}
    }
}
