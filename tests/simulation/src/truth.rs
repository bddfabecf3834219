//! What is durable: every message that a commit has written, by the id that its sender gave it.
//!
//! Filled by the store as it applies commits; the checker compares with it what users saw.

use std::collections::{BTreeMap, BTreeSet};

use coven_core::Event;
use coven_proto::decode_event;
use coven_store::{ChannelKey, Commit, Receipts};
use smol_str::SmolStr;

/// What is durable, and what went wrong in the making of it.
#[derive(Debug, Default, Clone)]
pub struct Truth {
    /// Ids of all messages that were ever durable.
    ever: BTreeSet<SmolStr>,
    /// Where messages stand: room and sequence, by the sender's own id.
    messages: BTreeMap<SmolStr, (SmolStr, u64)>,
    /// Messages of rooms, in order.
    rooms: BTreeMap<SmolStr, BTreeMap<u64, SmolStr>>,
    /// What connections are known to have acknowledged, by room.
    acknowledged: BTreeMap<(SmolStr, SmolStr), u64>,
    /// What no history may show.
    pub wrong: Vec<String>,
    /// Commits, and events in them.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
}

impl Truth {
    /// A commit has taken effect.
    pub fn commit(&mut self, commit: &Commit) {
        self.commits += 1;
        for channel in &commit.channels {
            for entry in &channel.entries {
                self.events += 1;
                if let Ok(Event::Message(message)) = decode_event(entry.record.clone()) {
                    let id = message.own_id.clone().unwrap_or_default();
                    self.message(&channel.key, entry.sequence.0, id);
                }
            }
        }
        self.receipts(&commit.receipts);
    }

    /// Acknowledgements are stored.
    pub fn receipts(&mut self, receipts: &Receipts) {
        for ack in &receipts.acks {
            let at = (ack.key.local.clone(), ack.connection.0.clone());
            let acknowledged = self.acknowledged.entry(at).or_default();
            *acknowledged = ack.sequence.0.max(*acknowledged);
        }
    }

    fn message(&mut self, key: &ChannelKey, sequence: u64, id: SmolStr) {
        self.ever.insert(id.clone());
        let place = (key.local.clone(), sequence);
        if let Some(before) = self.messages.insert(id.clone(), place) {
            self.wrong.push(format!(
                "I4: {id} is in the journal twice: at {} and at {sequence} of {}",
                before.1, key.local
            ));
        }
        let room = self.rooms.entry(key.local.clone()).or_default();
        if room.insert(sequence, id.clone()).is_some() {
            self.wrong
                .push(format!("I1: {sequence} of {} twice, {id}", key.local));
        }
    }

    /// Where a message stands among those of its room, counted from 0.
    #[must_use]
    pub fn position(&self, room: &str, id: &str) -> Option<usize> {
        let (of, sequence) = self.messages.get(id).filter(|(of, _)| of == room)?;
        Some(self.rooms.get(of)?.range(..*sequence).count())
    }

    /// How many messages a room has.
    #[must_use]
    pub fn count(&self, room: &str) -> usize {
        self.rooms.get(room).map_or(0, BTreeMap::len)
    }

    /// Whether a message was durable at any time.
    #[must_use]
    pub fn was_durable(&self, id: &str) -> bool {
        self.ever.contains(id)
    }

    /// The store has lost what it had since then; who was told of it does not forget.
    pub fn set_back(&mut self, then: Self) {
        let (ever, wrong) = (
            std::mem::take(&mut self.ever),
            std::mem::take(&mut self.wrong),
        );
        *self = Self {
            ever,
            wrong,
            ..then
        };
    }

    /// How many messages of a room a connection has acknowledged for certain.
    #[must_use]
    pub fn acknowledged(&self, room: &str, connection: &str) -> usize {
        let at = (SmolStr::from(room), SmolStr::from(connection));
        let to = self.acknowledged.get(&at).copied().unwrap_or_default();
        let messages = self.rooms.get(room);
        messages.map_or(0, |messages| messages.range(..=to).count())
    }
}
