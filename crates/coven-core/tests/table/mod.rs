//! A table: one channel with its own clock, at which named people sit and do things.
//!
//! Each act is decided, its events applied to the channel and to the roster that a front-end would hold, and its outcome
//! handed back. Nothing here knows rules.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses a part of the driver"
)]

pub mod acts;
mod outcome;

pub use outcome::Outcome;

use coven_core::channel::{Decision, Facts};
use coven_core::command::{Command, Sender, View};
use coven_core::event::{Event, Record};
use coven_core::presence::ghost::Probe;
use coven_core::roster::{Parts, PersonView};
use coven_core::{
    Affiliation, Answer, BareJid, Channel, ChannelName, Epoch, FullJid, Group, Nick, Person,
    ProbeMark, Query, Refusal, Roster, Service, Session, StableId, Timestamp,
};
use std::sync::Arc;

/// The owner of every room that begins at a table.
pub const OWNER: &str = "crone1@shakespeare.example/desktop";
/// Somebody, at a client.
pub const HAG: &str = "hag66@shakespeare.example/pda";
/// The same person at another client.
pub const HAG2: &str = "hag66@shakespeare.example/phone";
/// Somebody else.
pub const WITCH: &str = "wiccarocks@shakespeare.example/laptop";
/// Somebody from elsewhere.
pub const THANE: &str = "macbeth@scotland.example/castle";

/// When time begins.
pub const START: Timestamp = Timestamp(1_800_000_000_000);

pub struct Table {
    pub channel: Channel,
    pub service: Service,
    pub now: Timestamp,
    pub journal: Vec<Arc<Record>>,
    /// What a front-end has.
    pub mirror: Roster,
    drawn: u64,
}

impl Table {
    /// The channel `coven`, which does not exist yet.
    pub fn empty() -> Self {
        Self::named("coven")
    }

    /// A channel of this name, which does not exist yet.
    pub fn named(local: &str) -> Self {
        let name = ChannelName {
            space: "chat.example".into(),
            local: local.into(),
        };
        Self {
            channel: Channel::new(name),
            service: Service::default(),
            now: START,
            journal: Vec::new(),
            mirror: Roster::default(),
            drawn: 0,
        }
    }

    /// A persistent channel of [`OWNER`], who is not there.
    pub fn room() -> Self {
        let mut table = Self::empty();
        table.act(OWNER, Command::Create).ok();
        table
    }

    /// A temporary room of [`OWNER`], who is in it as `firstwitch`.
    pub fn temporary() -> Self {
        let mut table = Self::empty();
        table.joins(OWNER, "firstwitch").ok();
        table.configures(OWNER, |_| ()).ok();
        table
    }

    /// A persistent channel of [`OWNER`], with its settings changed.
    pub fn with(change: impl FnOnce(&mut coven_core::Config)) -> Self {
        let mut table = Self::room();
        table.sets(change);
        table
    }

    /// Time passes.
    pub fn passes(&mut self, ms: i64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    /// Somebody does something.
    pub fn act(&mut self, jid: &str, command: Command) -> Outcome {
        let facts = self.facts();
        self.act_with(jid, &command, &facts)
    }

    /// The same, with facts of one's own.
    pub fn act_with(&mut self, jid: &str, command: &Command, facts: &Facts) -> Outcome {
        let result = self.channel.decide(&sender(jid), command, facts);
        let decision = match result {
            Ok(decision) => decision,
            Err(refusal) => return Outcome::refusal(refusal),
        };
        self.carry_out(decision)
    }

    /// The service ends for good: so many sessions are ended.
    pub fn shuts_down(&mut self, most: usize) -> Outcome {
        let decision = self.channel.shut_down(most);
        self.carry_out(decision)
    }

    fn carry_out(&mut self, decision: Decision) -> Outcome {
        let records = self.channel.records(decision.events, self.now, Epoch(1));
        let deltas = records.iter().map(|record| self.apply(record)).collect();
        Outcome::success(records, deltas, decision.outputs)
    }

    /// A nick is reserved for somebody; by which command comes with registration.
    pub fn reserve(&mut self, jid: &str, nick: &str) {
        let person = match self.view(jid) {
            Some(view) => (*view.person).clone(),
            None => Person {
                no: self.roster().next_person(),
                jid: bare(jid),
                id: StableId::of(self.channel.key().expect("a channel"), bare(jid).as_str()),
                nick: None,
                reserved: None,
                affiliation: Affiliation::None,
                granted: None,
            },
        };
        let event = Event::Changed {
            person: Arc::new(Person {
                reserved: Nick::new(nick).map(Box::new),
                ..person
            }),
            by: None,
            reason: None,
        };
        for record in self.channel.records(vec![event], self.now, Epoch(1)) {
            self.apply(&record);
        }
    }

    fn apply(&mut self, record: &Arc<Record>) -> coven_core::Delta {
        self.journal.push(Arc::clone(record));
        self.mirror.apply(record);
        let delta = self.channel.apply(record);
        assert_eq!(self.mirror.parts(), self.parts(), "the mirror differs");
        delta
    }

    /// Somebody asks something.
    pub fn asks(&self, jid: &str, query: Query) -> Result<Answer, Refusal> {
        self.channel.query(&sender(jid), &query, &self.service)
    }

    /// The time, fresh bytes, the policies.
    pub fn facts(&mut self) -> Facts {
        self.drawn += 1;
        let mut random = [0; 32];
        random[..8].copy_from_slice(&self.drawn.to_be_bytes());
        random[8] = 0xa5;
        Facts {
            now: self.now,
            random,
            service: Arc::new(self.service.clone()),
            resolved: None,
            owned: 0,
        }
    }

    /// What a snapshot would hold.
    pub fn parts(&self) -> Parts {
        self.channel.roster().parts()
    }

    /// A channel put together from a snapshot and whatever is known to be lost by one.
    pub fn reloaded(&self) -> Channel {
        Channel::from_parts(
            self.channel.name().clone(),
            Roster::from_parts(self.parts()),
            self.channel.key().copied(),
            self.channel.lock().copied(),
        )
    }

    /// The same table with its channel reloaded.
    pub fn from_snapshot(other: &Self) -> Self {
        let mut table = Self::named(&other.channel.name().local);
        table.channel = other.reloaded();
        table.mirror = other.mirror.clone();
        table.service = other.service.clone();
        table.now = other.now;
        table.drawn = other.drawn;
        table
    }

    pub fn roster(&self) -> &Roster {
        self.channel.roster()
    }

    /// All there is to somebody, if the channel knows the person.
    pub fn view(&self, jid: &str) -> Option<PersonView> {
        let roster = self.roster();
        roster.view(roster.person_of(&bare(jid))?.no)
    }

    /// All there is to somebody who must be known.
    pub fn seen(&self, jid: &str) -> PersonView {
        self.view(jid)
            .unwrap_or_else(|| panic!("{jid} is not known"))
    }

    /// The nick somebody has.
    pub fn nick(&self, jid: &str) -> String {
        self.seen(jid).person.shown_nick().into_owned()
    }

    /// The MUC session of a full JID.
    pub fn session(&self, jid: &str) -> Arc<Session> {
        let session = self.roster().session_of(View::Muc, &full(jid));
        Arc::clone(session.unwrap_or_else(|| panic!("{jid} is not here")))
    }

    /// A probe of somebody's session as it is now.
    pub fn probe(&self, view: View, jid: &str) -> Probe {
        let session = self.roster().session_of(view, &full(jid));
        self.channel
            .probe(session.unwrap_or_else(|| panic!("{jid} is not here")))
    }

    /// What the bounce of such a probe brings back.
    pub fn mark(&self, view: View, jid: &str) -> ProbeMark {
        self.probe(view, jid).mark
    }

    /// Whether somebody is in the room, by whatever view.
    pub fn is_here(&self, jid: &str) -> bool {
        self.view(jid).is_some_and(|view| view.present())
    }
}

pub fn bare(jid: &str) -> BareJid {
    BareJid::parse(jid).expect("a JID")
}

pub fn full(jid: &str) -> FullJid {
    FullJid::parse(jid).expect("a full JID")
}

/// Full if there is a resource.
pub fn sender(jid: &str) -> Sender {
    Sender {
        bare: bare(jid),
        full: FullJid::parse(jid),
        group: Group("main".into()),
    }
}
