//! A user: one session with a client that joins rooms, speaks, leaves, and asks again when it gets no answer.

use std::collections::BTreeSet;

use crate::history::What;
use crate::server::{DOMAIN, StreamNo};
use crate::stanza::{attribute, bare, condition, has_status, name, resource};

/// The domain of the users.
pub const HOST: &str = "shakespeare.example";
/// A client that waits so long for its own presence asks again, in microseconds.
const PATIENCE: u64 = 12_000_000;

/// A user.
#[derive(Debug)]
pub struct User {
    /// Its number.
    pub no: usize,
    /// Its session; `None`: it is not connected.
    pub session: Option<u32>,
    sessions: u32,
    /// What it makes of each room.
    pub rooms: Vec<Stay>,
    said: u32,
}

/// What a client makes of a room.
#[derive(Debug, Default, Clone)]
pub struct Stay {
    /// It wants to be there.
    pub wanted: bool,
    /// It has seen its own presence there.
    pub here: bool,
    /// When it last asked for the change.
    asked: u64,
    /// Whom it sees there.
    pub nicks: BTreeSet<String>,
}

/// A stanza on its way to the server, and what is noted of it.
#[derive(Debug)]
pub struct Sent {
    /// The stanza.
    pub xml: String,
    /// Is noted with the stream that it went by.
    pub note: Note,
}

/// What is noted of a stanza.
#[derive(Debug)]
#[allow(missing_docs, reason = "as the events of the history")]
pub enum Note {
    Join(usize),
    Leave(usize),
    Say(usize, String),
    Ping(usize, String),
    Gone,
    Nothing,
}

/// The localpart of a room.
#[must_use]
pub fn room_name(room: usize) -> String {
    format!("room{room}")
}

/// The nick of a user.
#[must_use]
pub fn nick(user: usize) -> String {
    format!("nick{user}")
}

impl User {
    /// A user of a server with so many rooms to go to.
    #[must_use]
    pub fn new(no: usize, rooms: usize) -> Self {
        Self {
            no,
            session: Some(1),
            sessions: 1,
            rooms: vec![Stay::default(); rooms],
            said: 0,
        }
    }

    /// Its address, as long as it is connected.
    #[must_use]
    pub fn jid(&self) -> Option<String> {
        let session = self.session?;
        Some(format!("u{}@{HOST}/r{session}", self.no))
    }

    /// Whether nothing is under way that a join would cross.
    #[must_use]
    pub fn may_join(&self, room: usize) -> bool {
        let stay = &self.rooms[room];
        stay.wanted || !stay.here
    }

    /// Whether it is in a room, and nothing else is under way.
    #[must_use]
    pub fn may_leave(&self, room: usize) -> bool {
        let stay = &self.rooms[room];
        stay.wanted && stay.here
    }

    /// Enters a room.
    pub fn join(&mut self, room: usize, now: u64) -> Option<Sent> {
        let jid = self.jid()?;
        let stay = self.rooms.get_mut(room)?;
        stay.wanted = true;
        stay.asked = now;
        if !stay.here {
            stay.nicks.clear();
        }
        let (room_name, nick) = (room_name(room), nick(self.no));
        Some(Sent {
            xml: format!(
                "<presence from='{jid}' to='{room_name}@{DOMAIN}/{nick}'>\
                 <x xmlns='http://jabber.org/protocol/muc'/></presence>"
            ),
            note: Note::Join(room),
        })
    }

    /// Leaves a room.
    pub fn leave(&mut self, room: usize, now: u64) -> Option<Sent> {
        let jid = self.jid()?;
        let stay = self.rooms.get_mut(room)?;
        stay.wanted = false;
        stay.asked = now;
        let (room_name, nick) = (room_name(room), nick(self.no));
        Some(Sent {
            xml: format!(
                "<presence from='{jid}' to='{room_name}@{DOMAIN}/{nick}' type='unavailable'/>"
            ),
            note: Note::Leave(room),
        })
    }

    /// Says something in a room.
    pub fn say(&mut self, room: usize) -> Option<Sent> {
        let jid = self.jid()?;
        self.said += 1;
        let id = format!("m{}-{}", self.no, self.said);
        let room_name = room_name(room);
        Some(Sent {
            xml: format!(
                "<message from='{jid}' to='{room_name}@{DOMAIN}' type='groupchat' id='{id}'>\
                 <body>{id}</body></message>"
            ),
            note: Note::Say(room, id),
        })
    }

    /// Asks whether it is still in a room (XEP-0410).
    pub fn ping(&mut self, room: usize) -> Option<Sent> {
        let jid = self.jid()?;
        self.said += 1;
        let id = format!("p{}-{}", self.no, self.said);
        let (room_name, nick) = (room_name(room), nick(self.no));
        Some(Sent {
            xml: format!(
                "<iq from='{jid}' to='{room_name}@{DOMAIN}/{nick}' type='get' id='{id}'>\
                 <ping xmlns='urn:xmpp:ping'/></iq>"
            ),
            note: Note::Ping(room, id),
        })
    }

    /// The session ends: the server says so in each room.
    pub fn disconnect(&mut self) -> Vec<Sent> {
        let Some(jid) = self.jid() else {
            return Vec::new();
        };
        self.session = None;
        let own = nick(self.no);
        let mut sent = Vec::new();
        for (room, stay) in self.rooms.iter_mut().enumerate() {
            if stay.wanted || stay.here {
                let room_name = room_name(room);
                let xml = format!(
                    "<presence from='{jid}' to='{room_name}@{DOMAIN}/{own}' type='unavailable'/>"
                );
                let note = if sent.is_empty() {
                    Note::Gone
                } else {
                    Note::Nothing
                };
                sent.push(Sent { xml, note });
            }
            *stay = Stay::default();
        }
        sent
    }

    /// A new session.
    pub fn connect(&mut self) {
        if self.session.is_none() {
            self.sessions += 1;
            self.session = Some(self.sessions);
        }
    }

    /// What it asks for again because nothing came.
    pub fn again(&mut self, now: u64) -> Vec<Sent> {
        let is_due = |stay: &Stay| stay.wanted != stay.here && now >= stay.asked + PATIENCE;
        let due: Vec<usize> = (0..self.rooms.len())
            .filter(|room| is_due(&self.rooms[*room]))
            .collect();
        let asked = due.into_iter().map(|room| match self.rooms[room].wanted {
            true => self.join(room, now),
            false => self.leave(room, now),
        });
        asked.flatten().collect()
    }

    /// Takes a stanza; tells what is to be noted, and what it answers.
    pub fn take(&mut self, xml: &str, stream: StreamNo) -> (Option<What>, Option<Sent>) {
        let (kind, from) = (name(xml), attribute(xml, "from").unwrap_or_default());
        let type_ = attribute(xml, "type").unwrap_or_default();
        let id = attribute(xml, "id").unwrap_or_default().to_owned();
        let Some(room) = room_of(from) else {
            return (None, None);
        };
        let what = match (kind, type_) {
            (_, "error") => Some(What::Refused {
                room,
                kind: kind.to_owned(),
                id,
                condition: condition(xml).unwrap_or_default().to_owned(),
                stream,
            }),
            ("presence", _) => self.presence(room, from, type_ != "unavailable", xml, stream),
            ("message", "groupchat") if xml.contains("<body>") => Some(What::Message {
                room,
                id,
                delayed: xml.contains("<delay"),
                durable: false,
                stream,
            }),
            ("iq", "result") => Some(What::Pong { id }),
            ("iq", "get") => return (None, self.answer(from, &id)),
            _ => None,
        };
        (what, None)
    }

    fn presence(
        &mut self,
        room: usize,
        from: &str,
        here: bool,
        xml: &str,
        stream: StreamNo,
    ) -> Option<What> {
        let nick = resource(from)?.to_owned();
        let stay = self.rooms.get_mut(room)?;
        if here {
            stay.nicks.insert(nick.clone());
        } else {
            stay.nicks.remove(&nick);
        }
        if has_status(xml, "110") {
            stay.here = here;
            if !here {
                stay.nicks.clear();
            }
            return Some(What::Own { room, here, stream });
        }
        Some(What::Presence {
            room,
            nick,
            here,
            stream,
        })
    }

    fn answer(&self, from: &str, id: &str) -> Option<Sent> {
        let jid = self.jid()?;
        let xml = format!(
            "<iq from='{jid}' to='{from}' type='error' id='{id}'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        );
        let note = Note::Nothing;
        Some(Sent { xml, note })
    }
}

fn room_of(from: &str) -> Option<usize> {
    let (local, _) = bare(from).split_once('@')?;
    local.strip_prefix("room")?.parse().ok()
}
