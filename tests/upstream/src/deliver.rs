//! What a stanza of the component does to the client that gets it.
//!
//! Owns what is written down and answered. What the stanza says is `client.rs`; how it came here is `world.rs`.

use crate::client::{self, Said};
use crate::history::{ArchiveNo, Condition, Kind, MessageNo, Record, Ticks};
use crate::tag::Tag;
use crate::world::{World, error, nick};

impl World {
    /// A stanza of the component has come to a client.
    pub(crate) fn deliver(&mut self, client: u32, tag: &Tag<'_>, stanza: &[u8]) {
        let Some(room) = self.room_of(tag.from) else {
            return;
        };
        let now = self.now();
        match client::read(tag, stanza, &nick(client)) {
            Said::Message(message, archive) => self.got(client, room, now, message, archive),
            Said::Refused(message, condition) => {
                self.refused(client, room, now, message, condition)
            }
            Said::Here => self.entered(client, room, now),
            Said::Gone => self.note(client, Record::new(Kind::Gone, room, now)),
            Said::OtherHere(who) => self.other(client, room, Kind::OtherHere, who, now),
            Said::OtherGone(who) => self.other(client, room, Kind::OtherGone, who, now),
            Said::MayNotEnter(_) => self.counters.not_entered += 1,
            Said::Probe => self.counters.probes += 1,
            Said::Ping => {
                let answer = format!(
                    "<iq from='{}' to='{}' id='{}' type='result'/>",
                    tag.to, tag.from, tag.id
                );
                self.give(client, answer.as_bytes());
            }
            Said::Question => {
                self.give(client, error(tag, "service-unavailable").as_bytes());
            }
            Said::Answer(id, condition) => self.answered(client, room, now, id, condition, stanza),
            Said::Archived(query, message, archive) => {
                if let Some(reading) = self.readings.get_mut(&room) {
                    reading.entry(query, message, archive);
                }
            }
            Said::Other => {}
        }
    }

    fn room_of(&self, from: &str) -> Option<u16> {
        let (local, _) = from.split_once('@')?;
        let no: u16 = local.strip_prefix('r')?.parse().ok()?;
        (usize::from(no) < self.rooms.len()).then_some(no)
    }

    fn got(&mut self, client: u32, room: u16, at: Ticks, message: MessageNo, archive: ArchiveNo) {
        self.counters.deliveries += 1;
        let mut record = Record::new(Kind::Got, room, at);
        (record.message, record.archive) = (message, archive);
        self.note(client, record);
        if message.client() != Some(client) {
            return;
        }
        if let Some(sent) = self.pending.remove(&message) {
            self.counters.acknowledged += 1;
            if let Some(room) = self.rooms.get_mut(usize::from(room)) {
                room.heard = room.heard.max(sent);
            }
        }
    }

    fn refused(
        &mut self,
        client: u32,
        room: u16,
        at: Ticks,
        message: MessageNo,
        condition: Condition,
    ) {
        if self.pending.remove(&message).is_some() {
            self.counters.refused += 1;
        }
        let record = Record {
            message,
            condition,
            ..Record::new(Kind::Refused, room, at)
        };
        self.note(client, record);
    }

    fn entered(&mut self, client: u32, room: u16, at: Ticks) {
        self.counters.presences += 1;
        if !self.settled
            && let Some(room) = self.rooms.get_mut(usize::from(room))
        {
            room.here += 1;
        }
        self.note(client, Record::new(Kind::Here, room, at));
    }

    /// The many presences of entering are counted; later ones are news.
    fn other(&mut self, client: u32, room: u16, kind: Kind, who: &str, at: Ticks) {
        self.counters.presences += 1;
        if !self.settled && kind == Kind::OtherHere {
            return;
        }
        let whose = who.strip_prefix('n').and_then(|no| no.parse().ok());
        let record = Record {
            message: whose.map_or(MessageNo(0), |whose| MessageNo::new(whose, 0)),
            ..Record::new(kind, room, at)
        };
        self.note(client, record);
    }

    fn answered(
        &mut self,
        client: u32,
        room: u16,
        at: Ticks,
        id: &str,
        condition: Condition,
        stanza: &[u8],
    ) {
        match id.as_bytes().first() {
            Some(b'p') => {
                let yes = condition == Condition::NONE;
                self.counters.pings_yes += u64::from(yes);
                self.counters.pings_no += u64::from(!yes);
                self.note(
                    client,
                    Record {
                        condition,
                        ..Record::new(Kind::Answered, room, at)
                    },
                );
            }
            Some(b'a') => {
                if let Some(reading) = self.readings.get_mut(&room) {
                    reading.page(id, condition, client::page_end(stanza));
                }
            }
            Some(b'k') => {
                if let Some(room) = self.rooms.get_mut(usize::from(room)) {
                    room.unlock.1 = true;
                }
            }
            _ => {}
        }
    }
}
