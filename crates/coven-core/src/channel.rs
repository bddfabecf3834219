//! The channel: the whole state, and the two functions that the world sees of it, decide and apply.
//!
//! Owns what rendering does not need: the secret, the lock, the tail of the history. Which feature's file decides a
//! command is said in one place, [`Channel::decide`].

use crate::command::{Command, Resolved, Sender, View};
use crate::content::archive::Ids;
use crate::content::history::Tail;
use crate::content::{message, private, relay};
use crate::event::{Event, Message, Record};
use crate::ids::{ChannelKey, ChannelName, Epoch, Sequence, Timestamp};
use crate::life::{create, destroy, persistence};
use crate::people::{affiliation::Affiliation, rights};
use crate::presence::{ghost, join, leave, listing, participate, subscription, update};
use crate::query::{Answer, Query};
use crate::roster::{Delta, Roster};
use crate::settings::{form, lock::Lock};
use crate::{BareJid, Condition, ErrorType, HistoryRequest, Refusal, Service, SessionNo};
use smol_str::SmolStr;
use std::sync::Arc;

/// One channel.
#[derive(Debug, Clone)]
pub struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) roster: Roster,
    pub(crate) key: Option<ChannelKey>,
    pub(crate) ids: Option<Ids>,
    pub(crate) lock: Option<Lock>,
    pub(crate) tail: Tail,
}

/// What `decide` needs from outside the channel.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The time.
    pub now: Timestamp,
    /// Fresh random bytes.
    pub random: [u8; 32],
    /// Policies of the channel's space.
    pub service: Arc<Service>,
    /// Both names of the message that the command's reference means, if it was found.
    pub resolved: Option<Resolved>,
    /// How many channels of the space the sender owns; counted for creations, if there is a limit (MUC-ERR-09).
    pub owned: u32,
}

/// What a command leads to: events to be committed, and outputs that leave with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// In order.
    pub events: Vec<Event>,
    /// In order, after the events.
    pub outputs: Vec<Output>,
}

/// Something that leaves without being an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The result of an IQ, to its sender.
    Answer(Answer),
    /// The whole room once more, to one session (MUC-ENTER-21).
    Sync {
        /// To which session.
        session: SessionNo,
        /// What of the history it wants.
        history: HistoryRequest,
        /// The service altered the nick (status 210).
        altered: bool,
        /// `id` of the join stanza.
        stanza_id: Option<SmolStr>,
    },
    /// All items of the presence node, to a participant's bare JID (MIX-JOIN-18, MIX-SUB-03).
    PresenceDump {
        /// To whom.
        to: crate::PersonNo,
    },
    /// A message that is neither archived nor journaled, to everybody.
    Passing(Arc<Message>),
    /// An IQ, or its answer, passed on.
    Relay(relay::Relayed),
    /// The answer to presence of somebody who is not here (MUC-ENTER-19).
    NotJoined,
    /// Ask the session whether it is still there, by an empty groupchat message that names it (MUC-LEAVE-12): an ordinary
    /// bounce cannot say which of the full JID's sessions it meant.
    Probe(ghost::Probe),
}

impl Decision {
    /// One event.
    #[must_use]
    pub fn event(event: Event) -> Self {
        Self {
            events: vec![event],
            outputs: Vec::new(),
        }
    }

    /// One output.
    #[must_use]
    pub fn output(output: Output) -> Self {
        Self {
            events: Vec::new(),
            outputs: vec![output],
        }
    }

    /// The result of an IQ without any change.
    #[must_use]
    pub fn answer(answer: Answer) -> Self {
        Self::output(Output::Answer(answer))
    }

    /// Adds the result of an IQ.
    #[must_use]
    pub fn and_answer(mut self, answer: Answer) -> Self {
        self.outputs.push(Output::Answer(answer));
        self
    }
}

impl Channel {
    /// A channel that does not exist yet.
    #[must_use]
    pub fn new(name: ChannelName) -> Self {
        Self {
            name,
            roster: Roster::default(),
            key: None,
            ids: None,
            lock: None,
            tail: Tail::default(),
        }
    }

    /// What `command` leads to, or why it is refused. Changes nothing.
    ///
    /// Cost: does not grow with the number of occupants, except where the events or the output do.
    pub fn decide(
        &self,
        sender: &Sender,
        command: &Command,
        facts: &Facts,
    ) -> Result<Decision, Refusal> {
        let facts = &facts.not_before(self.roster.stamp());
        self.must_not_be_hidden(sender, command, facts)?;
        match command {
            Command::Join(request) => join::decide(self, sender, request, facts),
            Command::Update { nick, presence } => {
                update::muc(self, sender, nick.as_deref(), presence, facts)
            }
            Command::Leave { payload } => leave::decide(self, sender, payload),
            Command::Bounce(bounce) => ghost::decide(self, sender, bounce),
            Command::Post(post) => message::decide(self, sender, post, facts),
            Command::Private(private) => private::decide(self, sender, private),
            Command::Relay(relay) => relay::decide(self, sender, relay),
            Command::Participate { nodes, nick } => {
                participate::join(self, sender, *nodes, nick.as_deref(), facts)
            }
            Command::Subscribe { add, remove } => {
                participate::subscribe(self, sender, *add, *remove)
            }
            Command::Depart => participate::leave(self, sender),
            Command::SetNick { nick } => {
                participate::set_nick(self, sender, nick.as_deref(), facts)
            }
            Command::Online { presence } => update::bare(self, sender, presence, facts),
            Command::Offline { payload } => update::offline(self, sender, payload, facts),
            Command::Create => create::mix(self, sender, facts),
            Command::CreateAdHoc => create::ad_hoc(self, sender, facts),
            Command::PresenceSubscription { wanted } => {
                Ok(subscription::decide(self, sender, *wanted))
            }
            Command::Destroy(end) => destroy::decide(self, sender, end, facts),
            Command::Configure(settings) => form::submit(self, sender, settings, facts),
            Command::CancelConfiguration => form::cancel(self, sender),
            Command::SetAffiliation(grant) => rights::set_affiliation(self, sender, grant, facts),
            Command::SetRole(change) => rights::set_role(self, sender, change, facts),
            Command::Timer => Ok(self.timer(facts)),
        }
    }

    /// Refuses what is asked of a channel that is hidden from the sender, as if there were none (MIX-ERR-03). What is
    /// answered alike for channels that are there and that are not passes, as does creation, which cannot hide it.
    fn must_not_be_hidden(
        &self,
        sender: &Sender,
        command: &Command,
        facts: &Facts,
    ) -> Result<(), Refusal> {
        let tells = matches!(
            command,
            Command::Post(_)
                | Command::Participate { .. }
                | Command::Subscribe { .. }
                | Command::SetNick { .. }
                | Command::Destroy { .. }
        );
        if facts.service.muc || !tells {
            return Ok(());
        }
        crate::query::not_concealed(self, sender)
    }

    /// The answer to a read, or why it is refused.
    pub fn query(
        &self,
        sender: &Sender,
        query: &Query,
        service: &Service,
    ) -> Result<Answer, Refusal> {
        crate::query::answer(self, sender, query, service)
    }

    /// Makes `record` part of the state. Never decides, never fails.
    pub fn apply(&mut self, record: &Arc<Record>) -> Delta {
        match &record.event {
            Event::Created {
                key,
                locked_until,
                creator,
                ..
            } => {
                self.set_key(Some(*key));
                self.lock = locked_until.map(|until| Lock {
                    creator: creator.no,
                    until,
                });
                self.tail = Tail::complete();
            }
            Event::Unlocked => self.lock = None,
            Event::Destroyed { .. } => {
                self.set_key(None);
                self.lock = None;
                self.tail = Tail::default();
            }
            Event::Message(_) => self.tail.push(record),
            _ => {}
        }
        self.roster.apply(record)
    }

    /// The earliest moment at which `decide` has something to do by itself.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        let lock = self.lock.map(|lock| lock.until);
        let listing = self.roster.listing_due();
        lock.into_iter().chain(listing).min()
    }

    /// Numbers and stamps the events of a decision, as the journal will hold them.
    #[must_use]
    pub fn records(&self, events: Vec<Event>, now: Timestamp, epoch: Epoch) -> Vec<Arc<Record>> {
        let stamp = now.max(self.roster.stamp());
        let number = |(i, event)| {
            let sequence = Sequence(self.roster.at().0 + 1 + i as u64);
            Arc::new(Record {
                sequence,
                first_epoch: epoch,
                stamp,
                event,
            })
        };
        events.into_iter().enumerate().map(number).collect()
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &ChannelName {
        &self.name
    }

    /// The part that rendering needs.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The secret, while the channel exists.
    #[must_use]
    pub const fn key(&self) -> Option<&ChannelKey> {
        self.key.as_ref()
    }

    /// The lock of a room not yet configured.
    #[must_use]
    pub const fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// The newest messages of the archive.
    #[must_use]
    pub const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The same, to be filled from the archive after loading.
    pub const fn tail_mut(&mut self) -> &mut Tail {
        &mut self.tail
    }

    /// Puts a channel together from a snapshot's parts.
    #[must_use]
    pub fn from_parts(
        name: ChannelName,
        roster: Roster,
        key: Option<ChannelKey>,
        lock: Option<Lock>,
    ) -> Self {
        let mut channel = Self {
            roster,
            lock,
            ..Self::new(name)
        };
        channel.set_key(key);
        channel
    }

    /// The affiliation by which a bare JID is let in or kept out (see [`Roster::affiliation`]).
    pub(crate) fn affiliation(&self, bare: &BareJid) -> Affiliation {
        self.roster.affiliation(bare)
    }

    /// Refuses what is addressed to a channel that does not exist for this sender (MUC-ENTER-15, MUC-COMP-09, MAP-40), or
    /// no longer (MAP-41).
    pub(crate) fn must_exist_for(&self, sender: &Sender) -> Result<(), Refusal> {
        if self.locked_for(sender) {
            return Err(Refusal::usual(Condition::ItemNotFound));
        }
        self.must_exist()
    }

    /// The same for what not even the creator of a locked room may do (MUC-MSG-10, MAP-40; I-29).
    pub(crate) fn must_be_open(&self) -> Result<(), Refusal> {
        if self.lock.is_some() {
            return Err(Refusal::usual(Condition::ItemNotFound));
        }
        self.must_exist()
    }

    fn must_exist(&self) -> Result<(), Refusal> {
        match self.roster.alternate() {
            _ if self.roster.exists() => Ok(()),
            None => Err(Refusal::usual(Condition::ItemNotFound)),
            Some(alternate) => Err(Refusal {
                uri: Some(alternate.to_string()),
                ..Refusal::new(Condition::Gone, ErrorType::Cancel)
            }),
        }
    }

    /// A deadline has passed: the end of a room that nobody has configured, or news for subscribers.
    fn timer(&self, facts: &Facts) -> Decision {
        let end = persistence::timer(self, facts);
        if end.events.is_empty() {
            return listing::timer(self, facts);
        }
        end
    }

    /// Whether the room is locked and the sender is not its creator.
    pub(crate) fn locked_for(&self, sender: &Sender) -> bool {
        let creator = |lock: &Lock| {
            self.roster
                .person(lock.creator)
                .is_some_and(|p| p.jid == sender.bare)
        };
        self.lock.as_ref().is_some_and(|lock| !creator(lock))
    }

    fn set_key(&mut self, key: Option<ChannelKey>) {
        self.key = key;
        self.ids = key.as_ref().map(Ids::new);
    }

    /// The sequence of the event that a decision's `index`-th event will get.
    pub(crate) const fn sequence_of(&self, index: u64) -> Sequence {
        Sequence(self.roster.at().0 + 1 + index)
    }

    /// The sender's MUC session, if it has one.
    pub(crate) fn muc_session(&self, sender: &Sender) -> Option<&Arc<crate::Session>> {
        self.roster.session_of(View::Muc, sender.full.as_ref()?)
    }
}

impl Facts {
    fn not_before(&self, stamp: Timestamp) -> Self {
        Self {
            now: self.now.max(stamp),
            ..self.clone()
        }
    }
}
