//! The history on joining (XEP-0045 §7.2.13, §7.2.14; MUC-HIST): the tail of the archive, and which of it is sent.

use super::archive;
use crate::command::HistoryRequest;
use crate::event::{Event, Message, Record};
use crate::ids::{PersonNo, Sequence, Timestamp};
use crate::settings::{config::Config, service::Service};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most entries in a tail.
pub const MAX_ENTRIES: usize = 20;
/// Most bytes of payload in a tail.
pub const MAX_BYTES: usize = 64 * 1024;

/// Most messages that a newcomer gets: the smaller of the room's and the service's limit (MUC-HIST-08).
#[must_use]
pub fn limit(config: &Config, service: &Service) -> u32 {
    config.max_history.min(service.max_history)
}

/// The newest messages that count as history. After loading it is empty and not known, until the node fills it.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    entries: VecDeque<Arc<Record>>,
    bytes: usize,
    filled: bool,
}

impl Tail {
    /// That of a channel that has just begun: nothing came before it.
    pub(crate) fn complete() -> Self {
        Self {
            filled: true,
            ..Self::default()
        }
    }

    /// Adds a record if it is a message of the history.
    pub(crate) fn push(&mut self, record: &Arc<Record>) {
        let Some(message) = history_message(record) else {
            return;
        };
        self.bytes += message.payload.len();
        self.entries.push_back(Arc::clone(record));
        while self.entries.len() > MAX_ENTRIES || (self.bytes > MAX_BYTES && self.entries.len() > 1)
        {
            let gone = self.entries.pop_front();
            self.bytes -= gone
                .as_deref()
                .and_then(history_message)
                .map_or(0, |m| m.payload.len());
        }
    }

    /// Whether the tail reaches back as far as it may. False after loading.
    #[must_use]
    pub const fn filled(&self) -> bool {
        self.filled
    }

    /// Puts entries of the archive, oldest first, before those already here.
    pub fn fill(&mut self, older: impl IntoIterator<Item = Arc<Record>>) {
        let newer = std::mem::take(self);
        let from = newer.entries.front().map(|r| r.sequence);
        self.filled = true;
        for record in older
            .into_iter()
            .filter(|r| from.is_none_or(|from| r.sequence < from))
        {
            self.push(&record);
        }
        for record in &newer.entries {
            self.push(record);
        }
    }

    /// Whether this person has said something since then, as far as the tail reaches back.
    pub(crate) fn spoke(&self, person: PersonNo, since: Timestamp) -> bool {
        let recent = self.entries.iter().rev().take_while(|r| r.stamp >= since);
        recent
            .filter_map(|record| history_message(record))
            .any(|message| message.person == person)
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Record>> + ExactSizeIterator {
        self.entries.iter()
    }

    /// What a newcomer gets, oldest first. `max`: see [`limit`]; `until`: the join, so that a join that is told again later
    /// gets what it got.
    ///
    /// Source: MUC-HIST-04, 06..08: all limits together, the smallest set. That of characters (MUC-HIST-05) is the
    /// renderer's, which alone knows how long a stanza is.
    #[must_use]
    pub fn select(
        &self,
        wanted: HistoryRequest,
        max: u32,
        now: Timestamp,
        until: Sequence,
    ) -> Vec<Arc<Record>> {
        let max = u64::from(max);
        let most = wanted.max_stanzas.map_or(max, |n| n.min(max));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let seconds = wanted
            .seconds
            .map(|s| now.plus_ms(-i64::try_from(s.saturating_mul(1000)).unwrap_or(i64::MAX)));
        let oldest = seconds.max(wanted.since);
        let newest_first = self.entries.iter().rev();
        let mut chosen: Vec<_> = newest_first
            .skip_while(|record| record.sequence > until)
            .take_while(|record| oldest.is_none_or(|from| record.stamp >= from))
            .take(most)
            .cloned()
            .collect();
        chosen.reverse();
        chosen
    }
}

/// The message of a record that belongs to the history: kept, with something to read, no subject (MUC-HIST-10, MUC-SUBJ-08).
#[must_use]
pub fn history_message(record: &Record) -> Option<&Arc<Message>> {
    match &record.event {
        Event::Message(m) if m.archived && m.subject.is_none() && archive::is_history(m.traits) => {
            Some(m)
        }
        _ => None,
    }
}
