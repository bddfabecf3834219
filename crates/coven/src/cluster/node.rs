//! A node: runs channels, takes links of front-ends, and is driven by its agent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use coven_cluster::agent::{self, NodeAgent, NodeControl, Take};
use coven_cluster::{NodeLink, ProcessId, ShardId, ToNode};
use coven_core::Epoch;
use coven_link::{Broken, Fronts, Limits, Peer, Role, Server, ServerOptions, ToFrontEnd};
use coven_node::{Handle, Seat, Service};
use coven_store::{Error, SessionId, registry};
use smol_str::{SmolStr, ToSmolStr};
use tokio_util::task::AbortOnDropHandle;

use super::Cluster;

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// The node itself.
    pub handle: Handle,
    /// Its agent.
    pub agent: agent::Handle,
    /// Its links.
    pub server: Server,
    /// What ends with [`Service::shutdown`].
    pub service: Service,
    _agent: AbortOnDropHandle<()>,
}

/// Starts a node. `advertise`: where front-ends reach it, if not where it listens.
///
/// Errors: its links cannot be had.
pub async fn start(
    cluster: &Cluster,
    options: coven_node::Options,
    listen: SocketAddr,
    advertise: Option<SmolStr>,
) -> Result<Node, Broken> {
    let (handle, service) = Service::start(Arc::clone(&cluster.store), options);
    let control = Control {
        node: handle.clone(),
        linked: Arc::default(),
    };
    let options = ServerOptions {
        listen,
        security: cluster.security.clone(),
        me: cluster.me(Role::Node),
        limits: Limits::node(),
        stats: cluster.stats.clone(),
    };
    let server = Server::start(options, Arc::new(control.clone())).await?;
    let address = advertise.unwrap_or_else(|| server.address().to_smolstr());
    let options = cluster.agent(registry::Role::Node, address);
    let (agent, asked) =
        NodeAgent::new(options, cluster.shards, Arc::clone(&cluster.store), control);
    Ok(Node {
        handle,
        agent: asked,
        server,
        service,
        _agent: AbortOnDropHandle::new(tokio::spawn(agent.run())),
    })
}

/// What the agent and the links ask of the node.
#[derive(Debug, Clone)]
struct Control {
    node: Handle,
    linked: Arc<Mutex<BTreeSet<ProcessId>>>,
}

impl NodeControl for Control {
    async fn take(
        &self,
        shards: Vec<Take>,
        session: SessionId,
    ) -> Vec<(ShardId, Result<Epoch, Error>)> {
        let take = |take: Take| coven_node::Take {
            shard: take.shard,
            judged_dead: take.judged_dead,
            known: take.known,
        };
        let shards = shards.into_iter().map(take).collect();
        self.node.take(shards, session).await
    }

    async fn give_up(&self, shards: Vec<ShardId>) {
        self.node.give_up(shards).await;
    }

    fn suspend(&self) {
        self.node.suspend();
    }

    async fn resume(&self, session: SessionId) {
        self.node.resume(session).await;
    }

    fn owned(&self) -> Vec<(ShardId, Epoch)> {
        self.node.owned()
    }

    fn linked(&self) -> BTreeSet<ProcessId> {
        self.linked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn forget_process(&self, process: ProcessId) {
        self.node.forget_process(process).await;
    }
}

/// A front-end's place: it counts as linked as long as this is there.
#[derive(Debug)]
pub struct Place {
    seat: Arc<Seat>,
    process: ProcessId,
    linked: Arc<Mutex<BTreeSet<ProcessId>>>,
}

impl NodeLink for Place {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        self.seat.try_send(message)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.remove(&self.process);
    }
}

impl Fronts for Control {
    type Seat = Place;

    fn attach(&self, front: &Peer, link: ToFrontEnd) -> Arc<Place> {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.insert(front.process);
        Arc::new(Place {
            seat: self.node.attach(front.process, link),
            process: front.process,
            linked: Arc::clone(&self.linked),
        })
    }
}
