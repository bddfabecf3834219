//! Whether the upstreams are there: what readiness, and the exit code of a start that cannot work, are made of.
//!
//! Owns the words for the state of a connection. Connections report, everybody may watch.

use std::fmt;

use coven_cluster::LeaseNumber;
use coven_core::Group;
use coven_xmpp::stream::StreamCondition;
use smol_str::SmolStr;
use tokio::sync::watch;

/// The state of all connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// One for each upstream and domain, in the order of the options.
    pub connections: Vec<ConnectionStatus>,
}

/// The state of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Address of the server.
    pub address: String,
    /// The domain that is attached.
    pub domain: SmolStr,
    /// Now.
    pub state: UpstreamState,
    /// It was up at some time since the start.
    pub was_up: bool,
}

/// Whether a domain is attached to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamState {
    /// The first attempt is under way.
    Starting,
    /// Attached.
    Up,
    /// Not held by this front-end, or the server has given the domain to another one: nothing is attempted until the
    /// connection is granted anew.
    Standby,
    /// Not attached; the next attempt follows.
    Down(Down),
}

/// A connection as it stands: what an agent needs to know to ask for leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Its name, the same in all processes: (group, server node, slot, domain).
    pub name: SmolStr,
    /// Upstreams that reach the same users.
    pub group: Group,
    /// The space whose channels it serves.
    pub space: SmolStr,
    /// The domain that is attached.
    pub domain: SmolStr,
    /// The server node that it leads to.
    pub server_node: SmolStr,
    /// The lease under which this front-end holds it, if it does.
    pub held: Option<LeaseNumber>,
    /// Whether there is a stream.
    pub is_up: bool,
    /// Whether the server has given the domain to another stream under this lease: no attempt follows until it is granted
    /// under another.
    pub is_barred: bool,
}

/// Something happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// Its name.
    pub connection: SmolStr,
    /// What.
    pub happened: Happened,
}

/// What may happen to a connection's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It is up.
    Up,
    /// It is down; the next attempt follows while the connection is held.
    Down(Down),
    /// The server gave the domain to another stream: no attempt follows until the connection is granted under another
    /// lease (design §6: a kicked front-end stands by and never fights).
    Kicked,
}

/// Why a domain is not attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// None of the secrets was accepted.
    NotAuthorized,
    /// The server does not know the domain as a component.
    HostUnknown,
    /// Another stream has this domain.
    Conflict,
    /// What answers is no component listener.
    NotAComponentPort,
    /// Another error of the stream, by the server's word or by ours.
    Stream(String),
    /// Nobody listens there.
    Refused,
    /// The name does not resolve.
    Unresolved,
    /// Each node of the server that there is has its connections already.
    NoServerNode,
    /// Another node of the server is to be attached in place of this one.
    Moved,
    /// No answer in time.
    Timeout,
    /// The server closed the stream, or the connection broke.
    Closed,
    /// The server did not read, or did not answer, for too long (I9).
    Stalled,
    /// The secrets cannot be read.
    NoSecret(String),
    /// The front-end has closed the stream, because it ends, or the connection is given up.
    Drained,
    /// The process's session ended within a stanza or an event, of which the rest may not be written (design §5.9).
    Fenced,
}

/// Reports the state of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    status: watch::Sender<Status>,
    index: usize,
}

impl Status {
    /// Whether all connections are up, or stand by while another front-end holds them.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let up =
            |c: &ConnectionStatus| matches!(c.state, UpstreamState::Up | UpstreamState::Standby);
        self.connections.iter().all(up)
    }

    /// Whether no connection has ever come up, and each server has said that it never will as things are: exit code 2.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        let refused = |c: &ConnectionStatus| {
            let why = &c.state;
            let word = matches!(
                why,
                UpstreamState::Down(Down::NotAuthorized | Down::HostUnknown)
            );
            word && !c.was_up
        };
        !self.connections.is_empty() && self.connections.iter().all(refused)
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAuthorized => "secret not accepted",
            Self::HostUnknown => "domain not known to the server",
            Self::Conflict => "domain attached by another stream",
            Self::NotAComponentPort => "not a component port",
            Self::Stream(text) => return write!(f, "stream error: {text}"),
            Self::Refused => "connection refused",
            Self::Unresolved => "name not resolved",
            Self::NoServerNode => "no node of the server is free",
            Self::Moved => "another node of the server",
            Self::Timeout => "no answer",
            Self::Closed => "stream closed",
            Self::Stalled => "server stalled",
            Self::NoSecret(why) => return write!(f, "no secret: {why}"),
            Self::Drained => "closed at the end",
            Self::Fenced => "session over within a stanza",
        })
    }
}

impl From<&StreamCondition> for Down {
    fn from(condition: &StreamCondition) -> Self {
        match condition {
            StreamCondition::NotAuthorized => Self::NotAuthorized,
            StreamCondition::Conflict => Self::Conflict,
            StreamCondition::HostUnknown => Self::HostUnknown,
            StreamCondition::InvalidNamespace => Self::NotAComponentPort,
            StreamCondition::Other(name) => Self::Stream(name.to_string()),
        }
    }
}

impl Reporter {
    pub(crate) const fn new(status: watch::Sender<Status>, index: usize) -> Self {
        Self { status, index }
    }

    /// Tells whether the state is another than before.
    pub(crate) fn report(&self, state: UpstreamState) -> bool {
        self.status.send_if_modified(|status| {
            let Some(own) = status.connections.get_mut(self.index) else {
                return false;
            };
            own.was_up |= state == UpstreamState::Up;
            let changed = own.state != state;
            own.state = state;
            changed
        })
    }
}
