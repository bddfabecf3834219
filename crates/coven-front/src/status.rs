//! Whether the upstreams are there: what readiness, and the exit code of a start that cannot work, are made of.
//!
//! Owns the words for the state of a connection. Connections report, everybody may watch.

use std::fmt;

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
    /// Not attached; the next attempt follows.
    Down(Down),
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
    /// No answer in time.
    Timeout,
    /// The server closed the stream, or the connection broke.
    Closed,
    /// The server did not read, or did not answer, for too long (I9).
    Stalled,
    /// The secrets cannot be read.
    NoSecret(String),
    /// The front-end has closed the stream, because it ends.
    Drained,
}

/// Reports the state of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    status: watch::Sender<Status>,
    index: usize,
}

impl Status {
    /// Whether all connections are up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let up = |c: &ConnectionStatus| c.state == UpstreamState::Up;
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
            Self::Timeout => "no answer",
            Self::Closed => "stream closed",
            Self::Stalled => "server stalled",
            Self::NoSecret(why) => return write!(f, "no secret: {why}"),
            Self::Drained => "closed at the end",
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
