//! A small world for wire tests: XML in, XML out, with real channels in between.
//!
//! Does what front-end and node do around the translators, in the simplest way: dispatch, decide, apply, render. Each
//! stanza that leaves is checked for what must hold of all of them: it reads back as a stanza, `from` is of a domain of
//! ours, `to` is there, and it is not larger than a stanza may be.

mod archive;
pub mod leak;
mod recorder;
mod room;
pub mod sent;

use bytes::Bytes;
use coven_core::channel::Decision;
use coven_core::query::Listing;
use coven_core::{
    Answer, ChannelName, Epoch, Event, Facts, Group, Origin, Refusal, Sender, Service, Timestamp,
};
use coven_xmpp::dispatch::{Context, Inbound, Request, dispatch};
use coven_xmpp::domains::{Domain, Domains};
use coven_xmpp::render;
use coven_xmpp::stanza::{Scope, Stanza};
use coven_xmpp::stream::Limits;
use recorder::Recorder;
pub use room::Room;
pub use sent::{Sent, Stanzas};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The room that most tests use.
pub const ROOM: &str = "coven@chat.example";
/// Its owner.
pub const CRONE: &str = "crone1@shakespeare.example/desktop";
/// Somebody else.
pub const HAG: &str = "hag66@shakespeare.example/pda";
/// A third one.
pub const WICCA: &str = "wiccarocks@shakespeare.example/laptop";

/// 2026-01-01T12:00:00Z.
pub const NOON: i64 = 1_767_268_800_000;

/// Channels of one service, and what they sent.
pub struct World {
    pub domains: Domains,
    pub now: Timestamp,
    pub max_stanza: usize,
    pub page: usize,
    /// Bare JIDs that nobody else may learn without being entitled (I8).
    pub watched: Vec<String>,
    /// Each act shows all that it leads to: time leaps to when subscribers of participants are told (MAP-12).
    pub leaps: bool,
    /// The domain whose server has the quirk `ejabberd-pam`.
    pub quirky: Option<String>,
    service: Arc<Service>,
    rooms: BTreeMap<ChannelName, Room>,
    draws: u64,
}

impl World {
    /// A service that speaks MUC alone.
    pub fn muc() -> Self {
        Self::of(vec![domain("chat.example", true, false)])
    }

    /// One domain for both views.
    pub fn both() -> Self {
        Self::of(vec![domain("chat.example", true, true)])
    }

    /// A mirrored pair: MUC at `chat.example`, MIX at `mix.example`.
    pub fn pair() -> Self {
        let mut muc = domain("chat.example", true, false);
        let mut mix = domain("mix.example", false, true);
        muc.mirror = Some(mix.name.clone());
        mix.mirror = Some(muc.name.clone());
        mix.space.clone_from(&muc.space);
        Self::of(vec![muc, mix])
    }

    pub fn of(domains: Vec<Domain>) -> Self {
        let service = Arc::clone(&domains[0].service);
        Self {
            domains: Domains::new(domains),
            now: Timestamp(NOON),
            max_stanza: render::MAX_STANZA,
            page: 100,
            watched: Vec::new(),
            leaps: true,
            quirky: None,
            service,
            rooms: BTreeMap::new(),
            draws: 0,
        }
    }

    /// With these policies.
    pub fn with_service(mut self, change: impl FnOnce(&mut Service)) -> Self {
        let mut service = (*self.service).clone();
        change(&mut service);
        self.service = Arc::new(service);
        self
    }

    /// With an open room that `CRONE` owns and has entered as `firstwitch`.
    pub fn with_room(mut self) -> Self {
        self.join(CRONE, "firstwitch");
        self.submit(CRONE, "");
        self
    }

    /// A join with nothing special.
    pub fn join(&mut self, from: &str, nick: &str) -> Stanzas {
        let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
        self.send(&format!(
            "<presence from='{from}' to='{ROOM}/{nick}'>{x}</presence>"
        ))
    }

    /// A groupchat message with a body.
    pub fn say(&mut self, from: &str, id: &str, text: &str) -> Stanzas {
        self.send(&format!(
            "<message from='{from}' to='{ROOM}' id='{id}' type='groupchat'><body>{text}</body></message>"
        ))
    }

    /// The owner's form with these fields.
    pub fn submit(&mut self, from: &str, fields: &str) -> Stanzas {
        self.send(&format!(
            "<iq from='{from}' to='{ROOM}' id='config' type='set'>\
             <query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'>{fields}</x></query></iq>"
        ))
    }

    /// An IQ of this type with this payload, to the room.
    pub fn iq(&mut self, from: &str, kind: &str, payload: &str) -> Stanzas {
        self.iq_to(ROOM, from, kind, payload)
    }

    /// An IQ of this type with this payload.
    pub fn iq_to(&mut self, to: &str, from: &str, kind: &str, payload: &str) -> Stanzas {
        self.send(&format!(
            "<iq from='{from}' to='{to}' id='iq1' type='{kind}'>{payload}</iq>"
        ))
    }

    /// What `xml` becomes, without doing it.
    pub fn dispatch(&self, xml: &str) -> Inbound {
        let stanza = read(xml);
        let group = Group("main".into());
        let context = Context {
            domains: &self.domains,
            group: &group,
            now: self.now,
            random: fresh,
        };
        dispatch(&stanza, &context)
    }

    /// What `xml` leads to, in the order in which it is sent.
    pub fn send(&mut self, xml: &str) -> Stanzas {
        match self.dispatch(xml) {
            Inbound::Answer(stanza) => self.recorded(|_, sink| sink.write(&stanza)),
            Inbound::Directory {
                space,
                origin,
                page,
                ..
            } => {
                let listing = self.listing(&space, page.max);
                let answer = Answer::Listing(Box::new(listing));
                self.recorded(|world, sink| render::answer(&world.domains, &origin, &answer, sink))
            }
            Inbound::Channel {
                name,
                sender,
                request: Request::Command(command),
                origin,
            } => self.command(&name, &sender, &command, &origin),
            Inbound::Channel {
                name,
                sender,
                request: Request::Query(query),
                origin,
            } => {
                let service = Arc::clone(&self.service);
                let room = self.room(&name);
                let answer = room.channel.query(&sender, &query, &service);
                let answer = match (answer, &query) {
                    (Ok(Answer::Archive(page)), coven_core::Query::Archive(query)) => self
                        .page(&name, &sender, query, *page)
                        .map(|p| Answer::Archive(Box::new(p))),
                    (Ok(Answer::Bounds(_)), _) => Ok(self.bounds(&name)),
                    (answer, _) => answer,
                };
                let out = self.answered(&origin, answer);
                let watched = self.watched.clone();
                leak::check(self.room(&name).channel.roster(), None, &out, &watched);
                out
            }
            _ => Stanzas::default(),
        }
    }

    /// Does a command as somebody would who needs no XML for it.
    pub fn command(
        &mut self,
        name: &ChannelName,
        sender: &Sender,
        command: &coven_core::Command,
        origin: &Origin,
    ) -> Stanzas {
        let mut out = self.act(name, sender, command, origin);
        let now = self.now;
        while let Some(due) = self.room(name).channel.roster().listing_due()
            && self.leaps
        {
            self.now = due;
            out = Stanzas::new(out.iter().chain(self.tick(name).iter()).cloned().collect());
        }
        self.now = now;
        out
    }

    /// A deadline of a room has passed.
    pub fn tick(&mut self, name: &ChannelName) -> Stanzas {
        let nobody = Sender {
            bare: coven_core::BareJid::from_normalised(""),
            full: None,
            group: Group::default(),
        };
        self.act(name, &nobody, &coven_core::Command::Timer, &of_nobody())
    }

    fn act(
        &mut self,
        name: &ChannelName,
        sender: &Sender,
        command: &coven_core::Command,
        origin: &Origin,
    ) -> Stanzas {
        let facts = self.facts(name, sender, command);
        let decision = match self.room(name).channel.decide(sender, command, &facts) {
            Ok(decision) => decision,
            Err(refusal) => return self.answered(origin, Err(refusal)),
        };
        self.carry_out(name, decision, facts.now, origin)
    }

    /// The service ends for good.
    pub fn shut_down(&mut self, name: &ChannelName) -> Stanzas {
        let decision = self.room(name).channel.shut_down(usize::MAX);
        let now = self.now;
        self.carry_out(name, decision, now, &of_nobody())
    }

    fn carry_out(
        &mut self,
        name: &ChannelName,
        decision: Decision,
        now: Timestamp,
        origin: &Origin,
    ) -> Stanzas {
        let max = self.service.max_history;
        let (domains, max_stanza) = (self.domains.clone(), self.max_stanza);
        let mut sink = Recorder {
            domains: &domains,
            max_stanza,
            quirky: self.quirky.clone(),
            sent: Vec::new(),
        };
        let watched = self.watched.clone();
        let room = self.room(name);
        for record in room.channel.records(decision.events, now, Epoch(1)) {
            let start = sink.sent.len();
            let then = room.channel.roster().clone();
            let delta = room.apply(&record, max, &mut sink);
            let was = delta.before.map(|view| view.person);
            // A channel that has ended knows nobody: what is said of its end is for those who were there.
            let roster = match &record.event {
                Event::Destroyed { .. } => &then,
                _ => room.channel.roster(),
            };
            leak::check(roster, was.as_deref(), &sink.sent[start..], &watched);
        }
        let start = sink.sent.len();
        for output in decision.outputs {
            room.output(output, &domains, origin, max, now, &mut sink);
        }
        leak::check(room.channel.roster(), None, &sink.sent[start..], &watched);
        Stanzas::new(sink.sent)
    }

    /// The room of that name.
    pub fn room(&mut self, name: &ChannelName) -> &mut Room {
        let names = self.domains.names(name);
        let made = || Room::new(name.clone(), &names);
        self.rooms.entry(name.clone()).or_insert_with(made)
    }

    /// The room that most tests use.
    pub fn coven(&mut self) -> &mut Room {
        self.room(&coven())
    }

    /// What the sender of `xml` gets if the channel cannot be worked with now.
    pub fn refused(&mut self, xml: &str, refusal: Refusal) -> Stanzas {
        let Inbound::Channel { origin, .. } = self.dispatch(xml) else {
            panic!("not for a channel: {xml}");
        };
        self.answered(&origin, Err(refusal))
    }

    fn answered(&mut self, origin: &Origin, answer: Result<Answer, Refusal>) -> Stanzas {
        self.recorded(|world, sink| match answer {
            Ok(answer) => render::answer(&world.domains, origin, &answer, sink),
            Err(refusal) => render::refused(&world.domains, origin, &refusal, sink),
        })
    }

    fn recorded(&self, write: impl FnOnce(&Self, &mut Recorder<'_>)) -> Stanzas {
        let mut sink = Recorder {
            domains: &self.domains,
            max_stanza: self.max_stanza,
            quirky: self.quirky.clone(),
            sent: Vec::new(),
        };
        write(self, &mut sink);
        Stanzas::new(sink.sent)
    }

    fn facts(
        &mut self,
        name: &ChannelName,
        sender: &Sender,
        command: &coven_core::Command,
    ) -> Facts {
        self.draws += 1;
        let mut random = [7; 32];
        random[..8].copy_from_slice(&self.draws.to_le_bytes());
        let resolved = match command {
            coven_core::Command::Post(post) => post
                .reference
                .as_ref()
                .and_then(|r| self.room(name).resolve(sender, &r.id)),
            _ => None,
        };
        Facts {
            now: self.now,
            random,
            service: Arc::clone(&self.service),
            resolved,
            owned: 0,
        }
    }

    fn listing(&self, space: &str, max: Option<u32>) -> Listing {
        let listed = |room: &&Room| {
            let roster = room.channel.roster();
            roster.exists() && roster.config().public && room.channel.lock().is_none()
        };
        let rooms = self
            .rooms
            .values()
            .filter(|r| r.channel.name().space == space);
        let items: Vec<_> = rooms
            .filter(listed)
            .map(|room| {
                let name = room.channel.roster().config().name.clone();
                (room.channel.name().local.clone(), name)
            })
            .collect();
        let max = max.map_or(500, |max| max as usize);
        Listing {
            count: items.len() as u64,
            index: 0,
            complete: items.len() <= max,
            items: items.into_iter().take(max).collect(),
        }
    }
}

/// The name of the room that most tests use.
pub fn coven() -> ChannelName {
    ChannelName {
        space: "chat.example".into(),
        local: "coven".into(),
    }
}

/// A domain, its space named as itself.
pub fn domain(name: &str, muc: bool, mix: bool) -> Domain {
    Domain {
        name: name.into(),
        space: "chat.example".into(),
        muc,
        mix,
        mirror: None,
        title: "The Witches".to_owned(),
        contacts: Vec::new(),
        service: Arc::new(Service {
            muc: true,
            mix: true,
            one_domain: muc && mix,
            ..Service::default()
        }),
    }
}

/// Bytes that no other call gives.
fn fresh() -> [u8; 32] {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [3; 32];
    bytes[24..].copy_from_slice(&DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// Reads a stanza as a component stream brings it.
pub fn read(xml: &str) -> Stanza {
    try_read(xml).unwrap()
}

/// The same for one that may be refused.
pub fn try_read(xml: &str) -> Option<Stanza> {
    let bytes = Bytes::copy_from_slice(xml.as_bytes());
    Stanza::read(&bytes, &Scope::default(), &Limits::default()).ok()
}

/// Of what nobody has asked for.
fn of_nobody() -> Origin {
    Origin {
        kind: coven_core::StanzaKind::Iq,
        from: "".into(),
        to: "".into(),
        id: None,
        lang: None,
        view: coven_core::View::Muc,
        group: Group::default(),
        payload: Bytes::new(),
    }
}
