//! Agents: what keeps a process in the cluster (design §5).
//!
//! Thin shells around [`crate::session`], [`claims`], [`leases`] and
//! [`crate::judge`]: an agent polls the registry, shows what it sees to the plans, and has done what they say. A
//! [`NodeAgent`] drives a node through [`NodeControl`], a [`FrontAgent`] a front-end through [`FrontControl`] and [`Dial`].
//! What is done takes its time beside the polls; every task is joined, and ends with the agent.

mod core;
mod front;
mod link;
mod node;

use std::sync::Arc;
use std::time::Duration;

use coven_store::registry::{Member, Registry, Sight};
use coven_store::{ConnectionId, SessionId, StoreId};
use tokio::sync::{broadcast, mpsc, watch};

pub use self::front::{Dial, FrontAgent, FrontControl};
pub use self::link::LinkUp;
pub use self::node::{NodeAgent, NodeControl};
pub use crate::judge::Take;

use crate::clock::{Clock, Fence};
use crate::session::{Suspended, Timing};
use crate::{LeaseNumber, ProcessId, ShardId, claims, leases};

/// Events that wait for a slow listener; it then misses the oldest.
const EVENTS: usize = 256;
/// Commands that wait for an agent.
const COMMANDS: usize = 16;

/// What an agent is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where processes meet.
    pub registry: Arc<dyn Registry>,
    /// Time, by which sessions end.
    pub clock: Arc<dyn Clock>,
    /// Closed while this process may not speak for what it holds; the same for whoever writes or answers.
    pub fence: Fence,
    /// What this process says of itself. `draining` and `owned` are the agent's.
    pub member: Member,
    /// The identity of the store that this process has opened (design §5.15).
    pub store: StoreId,
    /// How sessions are kept.
    pub timing: Timing,
    /// Bounds of a node's plans.
    pub claims: claims::Limits,
    /// Bounds of a front-end's plans.
    pub leases: leases::Limits,
    /// How long a node lets a front-end be without a link before it asks for its leases (design §5.9: 6 s).
    pub unreached: Duration,
    /// How long a node keeps what belongs to a process whose session ended (design §5.6: 10 min).
    pub keep_departed: Duration,
    /// Draws a fresh session.
    pub fresh: fn() -> SessionId,
}

impl Options {
    /// The defaults of the design.
    #[must_use]
    pub fn new(
        registry: Arc<dyn Registry>,
        clock: Arc<dyn Clock>,
        member: Member,
        store: StoreId,
    ) -> Self {
        Self {
            registry,
            fence: Fence::new(Arc::clone(&clock)),
            clock,
            member,
            store,
            timing: Timing::default(),
            claims: claims::Limits::default(),
            leases: leases::Limits::default(),
            unreached: Duration::from_secs(6),
            keep_departed: Duration::from_secs(600),
            fresh: SessionId::random,
        }
    }
}

/// How a process stands in the cluster, for readiness and operators.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// The session, while it is valid.
    pub session: Option<SessionId>,
    /// Why there is none.
    pub suspended: Option<Suspended>,
    /// What was seen last.
    pub sight: Option<Arc<Sight>>,
    /// The registry did not answer the last poll.
    pub unreachable: Option<String>,
    /// This process gives up what it has.
    pub draining: bool,
    /// And has given up all of it.
    pub drained: bool,
    /// The format of the store, which this process does not read (I7).
    pub outdated: Option<u32>,
    /// Living nodes without a link to this front-end.
    pub unlinked: Vec<ProcessId>,
}

impl Health {
    /// Whether the store is not the one that this process knew (design §5.15).
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.suspended == Some(Suspended::Replaced)
    }

    /// What keeps the process from being ready, in words; nothing if it is (design §9, `/readyz`).
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(why) = &self.unreachable {
            reasons.push(format!("the registry does not answer: {why}"));
        }
        let suspended = match self.suspended {
            Some(Suspended::Replaced) if self.outdated.is_some() => {
                Some("the store is of a newer format")
            }
            Some(Suspended::Replaced) => Some("the store is another one than before"),
            Some(Suspended::Starting) => Some("no session with the store yet"),
            Some(_) => Some("the session with the store is over"),
            None if self.session.is_none() => Some("no session with the store yet"),
            None => None,
        };
        reasons.extend(suspended.map(str::to_owned));
        let unlinked = self.unlinked.iter();
        reasons.extend(unlinked.map(|node| format!("no link to node {:032x}", node.0)));
        reasons
    }
}

/// What has happened, for logs and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The process speaks for nothing any more.
    Suspended(Suspended),
    /// It has a session.
    Resumed(SessionId),
    /// The registry does not answer.
    StoreDown,
    /// It answers again.
    StoreUp,
    /// Another store is there, or none.
    StoreReplaced(Option<StoreId>),
    /// A shard is this node's.
    Claimed(ShardId),
    /// A shard was given up.
    GaveUp(ShardId),
    /// A connection is this front-end's.
    Granted(ConnectionId, LeaseNumber),
    /// A connection was given up, or lost.
    Revoked(ConnectionId),
    /// The process gives up what it has.
    Draining,
    /// It has given up all of it.
    Drained,
}

/// What is asked of an agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    health: watch::Receiver<Health>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug)]
pub(crate) enum Command {
    Drain,
    Stop(Duration),
    AcceptStore,
    Kicked(ConnectionId),
}

/// The agent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent has ended")]
pub struct Ended;

impl Handle {
    pub(crate) fn new() -> (Self, Outlet) {
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (tell, health) = watch::channel(Health::default());
        let (events, _) = broadcast::channel(EVENTS);
        let outlet = Outlet {
            asked,
            health: tell,
            events: events.clone(),
        };
        let handle = Self {
            commands,
            health,
            events,
        };
        (handle, outlet)
    }

    /// How the process stands.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Gives up everything and takes nothing any more; ends when that is done.
    pub async fn drain(&self) -> Result<(), Ended> {
        self.command(Command::Drain).await?;
        let mut health = self.health.clone();
        let drained = health.wait_for(|health| health.drained).await;
        drained.map(|_| ()).map_err(|_| Ended)
    }

    /// Drains for as long as `patience`, ends the session, and then the agent.
    pub async fn stop(&self, patience: Duration) {
        if self.command(Command::Stop(patience)).await.is_ok() {
            self.commands.closed().await;
        }
    }

    /// The store that is there now is the right one (design §5.15).
    pub async fn accept_store(&self) -> Result<(), Ended> {
        self.command(Command::AcceptStore).await
    }

    /// A server has closed the stream of a connection for another one of the same name.
    pub async fn kicked(&self, connection: ConnectionId) -> Result<(), Ended> {
        self.command(Command::Kicked(connection)).await
    }

    async fn command(&self, command: Command) -> Result<(), Ended> {
        self.commands.send(command).await.map_err(|_| Ended)
    }
}

/// The agent's side of a [`Handle`].
#[derive(Debug)]
pub(crate) struct Outlet {
    asked: mpsc::Receiver<Command>,
    health: watch::Sender<Health>,
    events: broadcast::Sender<Event>,
}
