//! The handle of a front-end: where a node's output goes in, and where its state can be asked for.

use std::sync::Arc;

use coven_cluster::clock::Fence;
use coven_cluster::link::{FrontLink, NodeLink};
use coven_cluster::{Channel, LeaseNumber, Output, ProcessId, ToFront};
use smol_str::SmolStr;
use tokio::sync::{broadcast, mpsc, watch};

use crate::connection::Connection;
use crate::fanout::{Answered, Incoming};
use crate::front::Front;
use crate::metrics::Snapshot;
use crate::nodes::{Life, Nodes};
use crate::seat::NodeSeat;
use crate::status::{ConnectionEvent, ConnectionInfo, Status};

/// Cheap to clone; outlives the [`crate::Service`], for which it then does nothing.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) front: Arc<Front>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) workers: Vec<mpsc::Sender<Incoming>>,
    pub(crate) status: watch::Receiver<Status>,
}

impl Handle {
    /// The state of the upstreams, to be watched.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Counters and depths of queues, as of now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let waiting = |queue: &mpsc::Sender<Incoming>| queue.max_capacity() - queue.capacity();
        let connections = self.front.connections.iter();
        Snapshot {
            connections: connections
                .map(|connection| connection.snapshot())
                .collect(),
            waiting_outputs: self.workers.iter().map(waiting).collect(),
            render_times: self.front.render_times.times(),
            ..self.front.counters.snapshot()
        }
    }

    /// A link to a node is up. What the node says goes into the seat; dropping that says that the link is down. A link to
    /// the same process before it counts no more. Only for [`crate::Service::clustered`].
    #[must_use]
    pub fn node_up(&self, process: ProcessId, link: Arc<dyn NodeLink>) -> Arc<NodeSeat> {
        let life = self.nodes.up(process, link);
        Arc::new(NodeSeat {
            handle: self.clone(),
            nodes: Arc::clone(&self.nodes),
            process,
            life,
        })
    }

    /// A connection is held from now on, under this lease: it is attached, and nodes are told. Tells whether there is such a
    /// connection and the lease is news (design §5.9).
    pub fn grant(&self, connection: &str, lease: LeaseNumber) -> bool {
        let granted = self.find(connection).is_some_and(|c| c.grant(lease));
        if granted {
            self.nodes.tell_holds();
        }
        granted
    }

    /// Gives up a connection, in order and in bounded time (15 s at most): nothing more is rendered for it, a barrier is
    /// passed behind what was, the stream is closed, acknowledgements are told, then nodes learn that it is held no more.
    /// Ends when the lease may be released.
    pub async fn revoke(&self, connection: &str) {
        if let Some(connection) = self.find(connection)
            && connection.give_up(|| self.nodes.abandon()).await
        {
            self.nodes.tell_holds();
        }
    }

    /// A connection is somebody else's: nothing more is written to it, its stream is closed at once, nodes are told.
    pub fn lose(&self, connection: &str) {
        if self.find(connection).is_some_and(|c| c.lose()) {
            self.nodes.tell_holds();
        }
    }

    /// All connections that are configured, held or not.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let all = self.front.connections.iter();
        all.filter_map(|connection| self.info(connection)).collect()
    }

    /// What connections lead to that other front-ends hold, by their leases: [`ConnectionInfo::server_node`] there. One node
    /// of a server has no more connections than it is to have.
    pub fn others_hold(&self, server_nodes: impl IntoIterator<Item = (SmolStr, SmolStr)>) {
        let address = |(name, at): (SmolStr, SmolStr)| {
            let at: std::net::SocketAddr = at.parse().ok()?;
            Some((name, at.ip()))
        };
        let others = server_nodes.into_iter().filter_map(address).collect();
        for nodes in self.front.server_nodes() {
            nodes.others(&others);
        }
    }

    /// What happens to connections from now on. Who lags behind by 256 events looks at [`Self::connections`].
    #[must_use]
    pub fn connection_events(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.front.events()
    }

    /// What lets this process write output of nodes; the agent of its session moves the deadline.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.front.fence.clone()
    }

    /// Links to nodes that are up.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.count()
    }

    /// Operations that are kept, since no node has said yet what became of them.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.nodes.unanswered()
    }

    fn find(&self, connection: &str) -> Option<&Arc<Connection>> {
        let mut all = self.front.connections.iter();
        all.find(|other| other.name() == connection)
    }

    fn info(&self, connection: &Connection) -> Option<ConnectionInfo> {
        let domain = self.front.domains.get(connection.domain())?;
        Some(ConnectionInfo {
            name: connection.name().clone(),
            group: connection.group().clone(),
            space: domain.space.clone(),
            domain: connection.domain().clone(),
            server_node: connection.server_node(),
            held: connection.tenure().0.lease(),
            is_up: connection.stream().is_up(),
            is_barred: connection.is_barred(),
        })
    }

    /// To the worker of the output's channel. Waits while its queue is full. What comes after the end of the service is
    /// dropped: it is sent again after the next start.
    pub(crate) async fn deliver(&self, output: Arc<Output>, link: Option<&Arc<Life>>) {
        if let Some(worker) = self.worker(output.channel.as_ref()) {
            let _ = worker.send(Incoming::Output(output, link.cloned())).await;
        }
    }

    /// To the worker of the channel, behind all output that came before it.
    pub(crate) async fn answered(&self, answered: Answered) {
        if let Some(worker) = self.worker(Some(&answered.channel)) {
            let _ = worker.send(Incoming::Answered(answered)).await;
        }
    }

    /// All output of a channel goes through one worker: that keeps its order.
    fn worker(&self, channel: Option<&Channel>) -> Option<&mpsc::Sender<Incoming>> {
        let shard = channel.map_or(0, |channel| usize::from(channel.shard().0));
        self.workers.get(shard % self.workers.len().max(1))
    }
}

impl FrontLink for Handle {
    /// For the one node in the same process, which says nothing but output.
    async fn send(&self, message: ToFront) {
        if let ToFront::Output(output) = message {
            self.deliver(output, None).await;
        }
    }
}
