//! The link: what front-ends and nodes say to each other. In one process these types travel through memory; the gRPC link
//! of the cluster converts them, with the same meaning (design §3).
//!
//! Front to node is try-send: full means refuse. Node to front may wait. For one channel both directions keep order.
//!
//! A link begins with nothing known on either side: the front-end says what it holds ([`ToNode::Holds`]) and sends again
//! what is unanswered, the node says what it owns ([`ToFront::Owned`]) and sends again, from a base roster on, what the
//! held connections have not acknowledged. What the front-end has written before is filtered there.

use crate::{Channel, ShardId, TraceContext};
use coven_core::content::relay::Relayed;
use coven_core::event::Message;
use coven_core::presence::ghost::Probe;
use coven_core::{
    Answer, Command, Epoch, Group, Origin, PersonNo, Query, Record, Refusal, Roster, Sender,
    Sequence, SessionNo,
};
pub use coven_store::{LeaseNumber, ProcessId};
use smol_str::SmolStr;
use std::sync::Arc;

/// A connection that a front-end holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The connection's name: the same in all processes, and after each start.
    pub connection: SmolStr,
    /// The lease under which it is held.
    pub lease: LeaseNumber,
    /// The space whose channels it serves.
    pub space: SmolStr,
}

/// An operation's name on a remote link: repeats carry the same (design §3.2). The in-process link has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationId {
    /// The front-end process, drawn at its start.
    pub process: u128,
    /// Counts per front-end process.
    pub n: u64,
    /// The previous unanswered operation on this channel, or `base`.
    pub prev: u64,
    /// All operations on this channel up to here are answered.
    pub base: u64,
}

impl OperationId {
    /// Process and number: what stays the same when it is sent again.
    #[must_use]
    pub const fn name(&self) -> (ProcessId, u64) {
        (ProcessId(self.process), self.n)
    }
}

/// What a front-end sends to a node.
#[derive(Debug)]
pub enum ToNode {
    /// The connections that this front-end holds from now on; those that are not named it holds no more. A node sends
    /// events of a channel to the holders of its space's connections, and for each connection to the highest lease only.
    Holds(Vec<Held>),
    /// Something to be decided, or read.
    Operation(Box<Operation>),
    /// Connections have taken in output, at least every 500 ms while there is any.
    Acknowledge(Vec<Acknowledged>),
    /// A page of the directory (disco#items on the service).
    Directory(Box<DirectoryRequest>),
    /// A connection is up again, or this process has just started: probe every session that is reached through it.
    Sweep {
        /// The group whose sessions are meant.
        group: Group,
    },
    /// A connection has a new stream: what these channels have written to the lost one, or dropped for it, without an
    /// acknowledgement is to be sent again. Each of them gets a [`Delivery::Base`]; until then the front-end writes
    /// nothing of that channel to this connection.
    StreamLost {
        /// The connection.
        connection: SmolStr,
        /// Channels with output that this connection has not acknowledged.
        channels: Vec<Channel>,
    },
    /// Something that came on a stream of this front-end and is for another one. The node passes it on as
    /// [`ToFront::Relay`] if that front-end is attached; else it is dropped.
    Relay {
        /// For which front-end.
        to: ProcessId,
        /// What.
        relay: Relay,
    },
}

/// The answer to a ping barrier that came back on another front-end's stream (design §6): a server with several streams
/// answers on any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The `id` of the answer.
    pub id: SmolStr,
    /// Its `from`.
    pub from: SmolStr,
}

/// A command or query for a channel.
#[derive(Debug)]
pub struct Operation {
    /// The channel.
    pub channel: Channel,
    /// Who asks.
    pub sender: Sender,
    /// What.
    pub request: Request,
    /// Where an answer goes.
    pub origin: Arc<Origin>,
    /// Its name, on a remote link. Reads and passing commands ([`Operation::is_passing`]) have one too, but take no part in
    /// the chain of `prev` and `base`: they are sent once, and need neither order nor outcome.
    pub id: Option<OperationId>,
    /// Where it stands in a trace, if it is sampled: the front-end's span of having read it.
    pub trace: Option<TraceContext>,
}

impl Operation {
    /// Whether it is of the passing class (design §2): a read, or an IQ between occupants. It is never sent again, since it
    /// leaves no outcome by which a repeat would be known.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self.request,
            Request::Query(_) | Request::Command(Command::Relay(_))
        )
    }

    /// Whether it says that a session is gone, or may be: unavailable presence, or an error that came back. Nobody is told
    /// when it fails, so nobody sends it again: whoever could not do it has to (MUC-LEAVE-01, MUC-LEAVE-12).
    #[must_use]
    pub const fn is_departure(&self) -> bool {
        matches!(
            self.request,
            Request::Command(Command::Leave { .. } | Command::Offline { .. } | Command::Bounce(_))
        )
    }

    /// The same once more, to be sent or tried again.
    #[must_use]
    pub fn copy(&self) -> Box<Self> {
        Box::new(Self {
            channel: self.channel.clone(),
            sender: self.sender.clone(),
            request: match &self.request {
                Request::Command(command) => Request::Command(command.clone()),
                Request::Query(query) => Request::Query(query.clone()),
            },
            origin: Arc::clone(&self.origin),
            id: self.id,
            trace: self.trace,
        })
    }
}

/// disco#items on a service: the channels of a space that the sender may know of (MUC-DISCO-03..05, MIX-SVC-08, 09).
#[derive(Debug)]
pub struct DirectoryRequest {
    /// The space.
    pub space: SmolStr,
    /// Who asks.
    pub sender: Sender,
    /// RSM.
    pub page: coven_core::query::DirectoryPage,
    /// Where the answer goes; its view says whose rules hold.
    pub origin: Arc<Origin>,
}

/// What is asked of a channel.
#[derive(Debug)]
pub enum Request {
    /// Changes something.
    Command(Command),
    /// Reads.
    Query(Query),
}

/// A connection has taken in all output of a channel up to a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The channel.
    pub channel: Channel,
    /// The connection.
    pub connection: SmolStr,
    /// The lease under which it was written; one of an earlier lease counts for nothing (IL-13).
    pub lease: LeaseNumber,
    /// The owner whose output this is about; one for an earlier owner counts for nothing: what it counted may be lost.
    pub epoch: Epoch,
    /// Up to here, all that was given to the front-end for this connection.
    pub sequence: Sequence,
    /// Up to here every connection of this front-end has taken in what was for it; at most `sequence`.
    pub least: Sequence,
    /// The highest [`Output::commit`] of this channel that is acknowledged in the same way.
    pub commit: u64,
    /// Nothing of this channel is unacknowledged on any connection of this front-end.
    pub all: bool,
}

/// What a node sends to a front-end.
#[derive(Debug, Clone)]
pub enum ToFront {
    /// Something to be rendered. Shared: the same may go to several front-ends, and is encoded once.
    Output(Arc<Output>),
    /// The node owns these shards, under these epochs: their operations go to it. At the beginning of a link, and after
    /// each claim. The highest epoch of a shard wins, whoever says it.
    Owned(Vec<(ShardId, Epoch)>),
    /// The node has given up or lost these shards: operations wait until somebody says that it owns them.
    Released(Vec<(ShardId, Epoch)>),
    /// The operation came to a node that does not own its shard; nothing was done. `epoch`: the highest that the node
    /// knows of.
    NotOwner {
        /// The operation's channel.
        channel: Channel,
        /// The operation.
        id: OperationId,
        /// Of the shard.
        epoch: Epoch,
    },
    /// An operation came before one that it follows: those for this channel after `after` are to be sent again, in order.
    Missing {
        /// The channel.
        channel: Channel,
        /// The newest operation of this front-end that the node knows.
        after: u64,
    },
    /// What an operation led to is durable: it will not time out any more (IL-25).
    Committed {
        /// The channel.
        channel: Channel,
        /// The operation's number.
        n: u64,
    },
    /// Commands up to `n` are done, and not sent again (design §3.6): their events are durable, and owed by the journal; what
    /// their senders are told alone, refusals and answers, is acknowledged. Where `n` is a read or a passing command
    /// ([`Operation::is_passing`]), this is about it alone, and follows its answer; no other word is about those.
    Done {
        /// The channel.
        channel: Channel,
        /// The operation's number.
        n: u64,
    },
    /// The operation was refused without a stored outcome (queue full, store away): the front-end drops it, and then
    /// writes the error itself (IL-19).
    NotTaken {
        /// The channel.
        channel: Channel,
        /// The operation.
        id: OperationId,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// From another front-end, passed on ([`ToNode::Relay`]).
    Relay(Relay),
}

/// What a node sends to a front-end for one channel: leaves after the commit it depends on (I2).
#[derive(Debug, Clone)]
pub struct Output {
    /// The channel; `None` for answers of the directory.
    pub channel: Option<Channel>,
    /// The owner's epoch. Rosters and events of an owner before the newest are dropped: that one sends them itself.
    pub epoch: Epoch,
    /// The number of the commit that this depends on; comes back in [`Acknowledged::commit`].
    pub commit: u64,
    /// In order.
    pub deliveries: Vec<Delivery>,
    /// Where it stands in a trace: the node's span of the first sampled operation that it comes from.
    pub trace: Option<TraceContext>,
}

impl From<Output> for ToFront {
    fn from(output: Output) -> Self {
        Self::Output(Arc::new(output))
    }
}

/// One thing to be rendered.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The front-end lacks the roster, or has to begin again: the state that what follows builds on.
    Base {
        /// As of its own sequence.
        roster: Box<Roster>,
        /// What connections have acknowledged: events up to there are applied, not rendered for them.
        acknowledged: Vec<(SmolStr, Sequence)>,
    },
    /// A committed event. For [`coven_core::Event::Joined`] with the history that the newcomer gets.
    Event {
        /// The event.
        record: Arc<Record>,
        /// Oldest first.
        history: Vec<Arc<Record>>,
    },
    /// Everything once more for one session (MUC-ENTER-21).
    Sync {
        /// To which session.
        session: SessionNo,
        /// Oldest first.
        history: Vec<Arc<Record>>,
        /// Status 210.
        altered: bool,
        /// `id` of the join stanza.
        stanza_id: Option<SmolStr>,
        /// At most so many characters of history (MUC-HIST-05): only who renders can count them.
        max_chars: Option<u64>,
    },
    /// All items of the presence node to a participant's bare JID.
    PresenceDump {
        /// To whom.
        to: PersonNo,
    },
    /// A message that is neither archived nor journaled, to everybody.
    Passing(Arc<Message>),
    /// An IQ between occupants.
    Relay(Relayed),
    /// The answer to a read or to an IQ; of a channel, or of the directory.
    Answer {
        /// To whom.
        origin: Arc<Origin>,
        /// What.
        answer: Box<Answer>,
        /// The operation, if it is a command that came by a remote link: what is answered again is written once.
        operation: Option<(ProcessId, u64)>,
    },
    /// The command was refused.
    Refused {
        /// To whom.
        origin: Arc<Origin>,
        /// Why.
        refusal: Box<Refusal>,
        /// Process and number of the operation, if it came by a remote link: what is refused again is written once
        /// (design §3.6).
        operation: Option<(ProcessId, u64)>,
    },
    /// Presence of somebody who is not here (MUC-ENTER-19).
    NotJoined {
        /// To whom.
        origin: Arc<Origin>,
        /// As in an answer.
        operation: Option<(ProcessId, u64)>,
    },
    /// Ask a session whether it is still there (MUC-LEAVE-12). Needs no roster.
    Probe(Probe),
    /// The channel has left the node's memory: its roster is not needed either.
    Forget,
}

/// Where a front-end's operations go.
pub trait NodeLink: std::fmt::Debug + Send + Sync {
    /// Sends without waiting. Errors: gives the operation back when the queue for it is full; the caller answers
    /// `resource-constraint` (I9).
    fn try_send(&self, message: ToNode) -> Result<(), ToNode>;
}

/// Where a node's output goes. May wait: that is the back-pressure.
pub trait FrontLink: std::fmt::Debug + Send + Sync {
    /// Hands over what is for this front-end, in order.
    fn send(&self, message: ToFront) -> impl std::future::Future<Output = ()> + Send;
}
