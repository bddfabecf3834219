//! A room as its node has it: decides by the real rules, and makes deliveries of what was decided.

use super::{DOMAIN, group};
use coven_cluster::{Channel, Delivery};
use coven_core::channel::Facts;
use coven_core::command::{Command, Join, Post, Sender, Traits};
use coven_core::{
    BareJid, ChannelName, Epoch, FullJid, Group, HistoryRequest, Record, Roster, Sequence,
    Timestamp,
};
use smol_str::SmolStr;
use std::sync::Arc;

pub struct Room {
    pub channel: Channel,
    pub state: coven_core::Channel,
    /// All events so far.
    pub journal: Vec<Arc<Record>>,
    /// The time of the last event.
    pub now: i64,
}

impl Room {
    pub fn new(local: &str) -> Self {
        Self::in_space(DOMAIN, local)
    }

    pub fn in_space(space: &str, local: &str) -> Self {
        let name = ChannelName {
            space: space.into(),
            local: local.into(),
        };
        Self {
            channel: Channel::new(name.clone(), 1024),
            state: coven_core::Channel::new(name),
            journal: Vec::new(),
            now: 1_700_000_000_000,
        }
    }

    /// A room with these people in it (each `localpart` of `shakespeare.example`, the same as nick), and the base.
    pub fn with(local: &str, people: &[&str]) -> (Self, Vec<Delivery>) {
        let mut room = Self::new(local);
        for person in people {
            room.join(person);
        }
        let base = room.base(room.head(), &[]);
        (room, vec![base])
    }

    pub fn head(&self) -> Sequence {
        self.state.roster().at()
    }

    pub fn join(&mut self, who: &str) -> Vec<Delivery> {
        self.join_through(who, group())
    }

    pub fn join_through(&mut self, who: &str, group: Group) -> Vec<Delivery> {
        let join = Command::Join(Box::new(Join {
            nick: Some(who.into()),
            password: None,
            history: HistoryRequest::default(),
            presence: Arc::default(),
            stanza_id: None,
        }));
        let created = self.act(&sender(who, group.clone()), &join);
        if self.state.lock().is_some() {
            let settings = Command::Configure(Box::default());
            self.act(&sender(who, group), &settings);
        }
        created
    }

    pub fn say(&mut self, who: &str, body: &str) -> Vec<Delivery> {
        let post = Command::Post(Box::new(Post {
            view: None,
            own_id: Some("m".into()),
            lang: None,
            payload: format!("<body>{body}</body>").into(),
            traits: Traits::BODY,
            subject: None,
            reference: None,
        }));
        self.act(&sender(who, group()), &post)
    }

    /// Decides, applies, and tells what the node would send.
    pub fn act(&mut self, sender: &Sender, command: &Command) -> Vec<Delivery> {
        self.now += 1000;
        let facts = Facts {
            now: Timestamp(self.now),
            random: [self.journal.len() as u8; 32],
            service: Arc::default(),
            resolved: None,
            owned: 0,
        };
        let decision = self.state.decide(sender, command, &facts).expect("allowed");
        let records = self.state.records(decision.events, facts.now, Epoch(1));
        for record in &records {
            self.state.apply(record);
        }
        self.journal.extend(records.iter().cloned());
        records.into_iter().map(event).collect()
    }

    /// The roster as of a sequence.
    pub fn base(&self, at: Sequence, acknowledged: &[(SmolStr, Sequence)]) -> Delivery {
        let mut roster = Roster::default();
        for record in self.journal.iter().filter(|record| record.sequence <= at) {
            roster.apply(record);
        }
        Delivery::Base {
            roster: Box::new(roster),
            acknowledged: acknowledged.to_vec(),
        }
    }

    /// What the node sends after the loss of a stream: the roster as of `at`, and all events after it.
    pub fn again(&self, at: Sequence, acknowledged: &[(SmolStr, Sequence)]) -> Vec<Delivery> {
        let later = self.journal.iter().filter(|record| record.sequence > at);
        let mut deliveries = vec![self.base(at, acknowledged)];
        deliveries.extend(later.cloned().map(event));
        deliveries
    }
}

fn event(record: Arc<Record>) -> Delivery {
    Delivery::Event {
        record,
        history: Vec::new(),
    }
}

/// `who` of `shakespeare.example`, at its one resource.
pub fn sender(who: &str, group: Group) -> Sender {
    let bare = BareJid::from_normalised(format!("{who}@shakespeare.example"));
    Sender {
        full: Some(FullJid::new(&bare, "pda")),
        bare,
        group,
    }
}
