//! The server: its component streams, its users, and what goes between them.
//!
//! Owns all state, and the routing both ways as servers do it (what they did when tried is why it is so): what a client
//! sends while nothing is attached comes back; what the component sends to its own domain comes back to it; what it
//! sends to a user who is not there comes back, except presence. It knows no sockets (`stream.rs`) and sends nothing by
//! itself (`load.rs`, `archive.rs`); what a stanza does to its client is `deliver.rs`.

use crate::archive::Reading;
use crate::attach::{Attached, Mode, Places, Route, StreamNo};
use crate::history::{self, Kind, MessageNo, Record, Ticks};
use crate::stream::Outbox;
use crate::tag::{self, Tag};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use tokio::time::Instant;

/// The world, shared by the tasks of one thread. Nobody holds it while waiting.
pub(crate) type Shared = Rc<RefCell<World>>;

/// The resource of all clients.
const RESOURCE: &str = "load";
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What does not change.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The component's domain.
    pub(crate) domain: String,
    /// The users' domain, and the server's name.
    pub(crate) host: String,
    /// The component's secret.
    pub(crate) secret: String,
    /// How streams are chosen.
    pub(crate) mode: Mode,
    /// Server nodes.
    pub(crate) nodes: usize,
    /// Slots, where streams are balanced.
    pub(crate) slots: usize,
    /// Where histories go.
    pub(crate) folder: PathBuf,
}

/// A user with one session.
#[derive(Debug)]
pub(crate) struct Client {
    /// Whether the session is there; coven is not told.
    pub(crate) present: bool,
    /// Messages sent.
    pub(crate) sent: u32,
    history: history::Writer,
}

/// A room, as its occupants together see it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The clients that are, or are to be, in it; the first one creates it.
    pub(crate) members: Vec<u32>,
    /// Of these, how many have asked to enter.
    pub(crate) asked: usize,
    /// Of these, how many are in.
    pub(crate) here: usize,
    /// The form that unlocks it: sent, accepted.
    pub(crate) unlock: (bool, bool),
    /// Messages a second.
    pub(crate) rate: f64,
    /// When the next message is due.
    pub(crate) due: Option<Instant>,
    /// Whose turn it is.
    pub(crate) speaker: usize,
    /// When the newest message was sent whose sender has seen it.
    pub(crate) heard: Ticks,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What was counted since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[doc = $doc])* pub(crate) $name: u64,)*
        }

        impl Counters {
            fn to_json(&self) -> Value {
                json!({$(stringify!($name): self.$name,)*})
            }
        }
    };
}

counters! {
    /// Streams that were attached.
    streams,
    /// Streams that were kicked by another.
    kicked,
    /// Stanzas from the component.
    stanzas,
    /// Messages that clients have sent.
    sent,
    /// Of these, those whose sender has seen it.
    acknowledged,
    /// Of these, refused by the component.
    refused,
    /// Of these, bounced by the server: nothing was attached.
    bounced,
    /// Of these, swallowed by an empty slot.
    swallowed,
    /// Messages that clients got.
    deliveries,
    /// Presences that clients got.
    presences,
    /// Probes that clients got.
    probes,
    /// Stanzas to somebody who is not there.
    returned,
    /// IQs of the component to its own domain or to the server.
    barriers,
    /// Joins that were refused.
    not_entered,
    /// Self-pings: asked.
    pings_asked,
    /// Self-pings: yes.
    pings_yes,
    /// Self-pings: an error.
    pings_no,
    /// Messages that were not sent in time, because this server was too slow.
    skipped,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    identity: Identity,
    start: Instant,
    places: Places,
    outboxes: BTreeMap<StreamNo, (usize, Rc<Outbox>)>,
    next_stream: u32,
    /// By number.
    pub(crate) clients: Vec<Client>,
    /// By number.
    pub(crate) rooms: Vec<Room>,
    /// Messages without an answer, and when they were sent.
    pub(crate) pending: HashMap<MessageNo, Ticks>,
    /// Archives that are being read, by room.
    pub(crate) readings: BTreeMap<u16, Reading>,
    /// Everybody has entered: presences are news from here on.
    pub(crate) settled: bool,
    /// Numbers.
    pub(crate) counters: Counters,
    /// What went wrong here, and makes the histories worthless.
    broken: Option<io::Error>,
}

impl World {
    /// A server without users.
    pub(crate) fn new(identity: Identity, start: Instant) -> Self {
        let count = if identity.mode == Mode::Balanced {
            identity.slots
        } else {
            identity.nodes
        };
        Self {
            places: Places::new(identity.mode, count),
            identity,
            start,
            outboxes: BTreeMap::new(),
            next_stream: 0,
            clients: Vec::new(),
            rooms: Vec::new(),
            pending: HashMap::new(),
            readings: BTreeMap::new(),
            settled: false,
            counters: Counters::default(),
            broken: None,
        }
    }

    /// What does not change.
    pub(crate) const fn about(&self) -> &Identity {
        &self.identity
    }

    /// Domain, secret, and an id for a new stream.
    pub(crate) fn identity(&self) -> (String, String, String) {
        let id = format!("s{}-{}", self.next_stream, self.now().0);
        (
            self.identity.domain.clone(),
            self.identity.secret.clone(),
            id,
        )
    }

    /// The time on the server's own clock.
    pub(crate) fn now(&self) -> Ticks {
        let units = self.start.elapsed().as_micros() / 100;
        Ticks(u32::try_from(units).unwrap_or(u32::MAX))
    }

    // --- streams

    /// A stream on a server node has given the right secret.
    pub(crate) fn attach(&mut self, node: usize, outbox: &Rc<Outbox>) -> (StreamNo, Attached) {
        let no = StreamNo(self.next_stream);
        self.next_stream += 1;
        let attached = self.places.attach(node, no);
        if attached != Attached::Refused {
            self.counters.streams += 1;
            self.outboxes.insert(no, (node, Rc::clone(outbox)));
        }
        (no, attached)
    }

    /// Ends a stream whose place another has.
    pub(crate) fn kick(&mut self, no: StreamNo) {
        self.counters.kicked += 1;
        if let Some((_, outbox)) = self.outboxes.remove(&no) {
            outbox.end(Some("conflict"));
        }
    }

    /// A stream has ended, whoever ended it.
    pub(crate) fn detached(world: &Shared, no: StreamNo) {
        let mut world = world.borrow_mut();
        world.places.detach(no);
        world.outboxes.remove(&no);
    }

    /// The streams: place, number, way out.
    pub(crate) fn streams(&self) -> Vec<(usize, StreamNo, Rc<Outbox>)> {
        let streams = self.places.streams();
        streams
            .filter_map(|(place, no)| Some((place, no, Rc::clone(&self.outboxes.get(&no)?.1))))
            .collect()
    }

    // --- users

    /// One more user; tells the number.
    pub(crate) fn add_client(&mut self) -> u32 {
        let no = u32::try_from(self.clients.len()).unwrap_or(u32::MAX);
        self.clients.push(Client {
            present: true,
            sent: 0,
            history: history::Writer::new(history::of_client(&self.identity.folder, no)),
        });
        no
    }

    /// A full JID.
    pub(crate) fn jid(&self, client: u32) -> String {
        format!("u{client}@{}/{RESOURCE}", self.identity.host)
    }

    /// The address of a room.
    pub(crate) fn room_jid(&self, room: u16) -> String {
        format!("r{room}@{}", self.identity.domain)
    }

    /// A client's place in a room.
    pub(crate) fn occupant_jid(&self, room: u16, client: u32) -> String {
        format!("{}/{}", self.room_jid(room), nick(client))
    }

    /// Writes into a client's history.
    pub(crate) fn note(&mut self, client: u32, record: Record) {
        let Some(client) = usize::try_from(client)
            .ok()
            .and_then(|at| self.clients.get_mut(at))
        else {
            return;
        };
        if let Err(error) = client.history.add(record) {
            self.broken.get_or_insert(error);
        }
    }

    /// Writes all histories to their files. Tells what has gone wrong with them since the start.
    ///
    /// # Errors
    ///
    /// Of the file system: the histories are not whole.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        for client in &mut self.clients {
            client.history.flush()?;
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// The numbers as of now.
    pub(crate) fn to_json(&self) -> Value {
        let stream = |(place, no, outbox): (usize, StreamNo, Rc<Outbox>)| json!({"place": place, "no": no.0, "waiting": outbox.waiting()});
        let streams: Vec<Value> = self.streams().into_iter().map(stream).collect();
        let mut numbers = self.counters.to_json();
        if let Some(numbers) = numbers.as_object_mut() {
            numbers.insert("pending".into(), self.pending.len().into());
            numbers.insert("attached".into(), streams.into());
            numbers.insert("now".into(), self.now().0.into());
        }
        numbers
    }

    // --- from users to the component

    /// Hands a client's stanza to the component.
    pub(crate) fn give(&mut self, client: u32, stanza: &[u8]) -> Route {
        let jid = self.jid(client);
        let node = usize::try_from(client).unwrap_or_default() % self.identity.nodes.max(1);
        self.hand_over(node, tag::bare(&jid), stanza)
    }

    /// Sends a message of a client to a room, and writes down what became of it at once. Tells
    /// whether something is attached: else it came back.
    pub(crate) fn send_message(
        &mut self,
        client: u32,
        room: u16,
        message: MessageNo,
        stanza: &[u8],
    ) -> bool {
        self.counters.sent += 1;
        let mut record = Record::new(Kind::Sent, room, self.now());
        record.message = message;
        self.note(client, record);
        let route = self.give(client, stanza);
        match route {
            Route::By(_) => {
                self.pending.insert(message, record.at);
            }
            Route::Nowhere => {
                self.counters.bounced += 1;
                self.note(
                    client,
                    Record {
                        kind: Kind::Bounced,
                        ..record
                    },
                );
            }
            Route::Swallowed => {
                self.counters.swallowed += 1;
                self.note(
                    client,
                    Record {
                        kind: Kind::Swallowed,
                        ..record
                    },
                );
            }
        }
        route != Route::Nowhere
    }

    fn hand_over(&self, node: usize, bare: &str, stanza: &[u8]) -> Route {
        let route = self.places.route(node, bare);
        if let Route::By(no) = route
            && let Some((_, outbox)) = self.outboxes.get(&no)
        {
            outbox.push(stanza);
        }
        route
    }

    // --- from the component to users

    /// Takes a stanza of the component.
    pub(crate) fn take(&mut self, no: StreamNo, stanza: &[u8]) {
        self.counters.stanzas += 1;
        let Some(tag) = Tag::read(stanza) else { return };
        if tag::domain(tag.from) != self.identity.domain {
            if let Some((_, outbox)) = self.outboxes.get(&no) {
                outbox.end(Some("invalid-from"));
            }
            return;
        }
        if tag.to == self.identity.host {
            self.counters.barriers += 1;
            self.answer_as_server(&tag, stanza);
        } else if tag::domain(tag.to) == self.identity.domain {
            self.counters.barriers += 1;
            let node = self.outboxes.get(&no).map_or(0, |(node, _)| *node);
            self.hand_over(node, tag::bare(tag.from), stanza);
        } else {
            match self.client_at(tag.to) {
                Some(client) => self.deliver(client, &tag, stanza),
                None => self.send_back(&tag),
            }
        }
    }

    fn client_at(&self, to: &str) -> Option<u32> {
        let (bare, resource) = to.split_once('/')?;
        let (local, domain) = bare.split_once('@')?;
        let no: u32 = local.strip_prefix('u')?.parse().ok()?;
        let client = self.clients.get(usize::try_from(no).ok()?)?;
        (domain == self.identity.host && resource == RESOURCE && client.present).then_some(no)
    }

    fn answer_as_server(&self, tag: &Tag<'_>, stanza: &[u8]) {
        if tag.name == "iq" && tag.type_ == "get" && tag::has(stanza, "urn:xmpp:ping") {
            let answer = format!(
                "<iq from='{}' to='{}' id='{}' type='result'/>",
                tag.to, tag.from, tag.id
            );
            self.hand_over(0, tag.to, answer.as_bytes());
        } else if !matches!(tag.type_, "result" | "error") && tag.name != "presence" {
            self.hand_over(0, tag.to, error(tag, "service-unavailable").as_bytes());
        }
    }

    /// Nobody is there: what wants an answer gets one (RFC 6121 §8.5).
    fn send_back(&mut self, tag: &Tag<'_>) {
        self.counters.returned += 1;
        if tag.name == "presence" || matches!(tag.type_, "result" | "error") {
            return;
        }
        let here = tag::domain(tag.to) == self.identity.host;
        let condition = if here {
            "service-unavailable"
        } else {
            "remote-server-not-found"
        };
        self.hand_over(0, tag::bare(tag.to), error(tag, condition).as_bytes());
    }
}

/// The nick of a client, in all rooms.
pub(crate) fn nick(client: u32) -> String {
    format!("n{client}")
}

/// The error for a stanza, from whom it was for.
pub(crate) fn error(tag: &Tag<'_>, condition: &str) -> String {
    let (name, id, kind) = (tag.name, tag.id, "cancel");
    format!(
        "<{name} from='{}' to='{}' id='{id}' type='error'><error type='{kind}'><{condition} xmlns='{STANZAS}'/></error></{name}>",
        tag.to, tag.from
    )
}
