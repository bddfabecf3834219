//! A node: runs channels, takes links of front-ends, and is driven by its agent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use coven_cluster::agent::{self, NodeAgent, NodeControl, Take};
use coven_cluster::{NodeLink, ProcessId, ShardId, ToNode};
use coven_core::Epoch;
use coven_link::{Broken, Fronts, Limits, Peer, Role, Server, ServerOptions, ToFrontEnd};
use coven_node::{Handle, Seat, Service};
use coven_store::{ChannelKey, Error, SessionId, Store, registry};
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
    /// Ends when the agent does.
    pub task: AbortOnDropHandle<()>,
}

/// Where a node takes links.
#[derive(Debug, Clone)]
pub struct Place {
    /// The address.
    pub listen: SocketAddr,
    /// Where front-ends reach it, if not there.
    pub advertise: Option<SmolStr>,
}

/// Starts a node.
///
/// Errors: its links cannot be had.
pub async fn start(
    cluster: &Cluster,
    store: Arc<dyn Store>,
    options: coven_node::Options,
    place: Place,
) -> Result<Node, Broken> {
    let (handle, service) = Service::start(Arc::clone(&store), options);
    let control = Control {
        node: handle.clone(),
        linked: Arc::default(),
    };
    let options = ServerOptions {
        listen: place.listen,
        security: cluster.security.clone(),
        me: cluster.me(Role::Node),
        limits: Limits::node(),
        stats: cluster.stats.clone(),
    };
    let server = Server::start(options, Arc::new(control.clone())).await?;
    let address = place
        .advertise
        .unwrap_or_else(|| server.address().to_smolstr());
    let options = cluster.agent(registry::Role::Node, address);
    handle.keep_to(options.fence.clone());
    let (agent, asked) = NodeAgent::new(options, cluster.shards, store, control);
    Ok(Node {
        handle,
        agent: asked,
        server,
        service,
        task: AbortOnDropHandle::new(tokio::spawn(agent.run())),
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

    fn finalized(&self, format: u32) {
        self.node.finalized(format);
    }

    fn quarantined(&self, channels: &BTreeSet<ChannelKey>) {
        self.node.quarantined(channels);
    }

    fn beyond(&self) -> BTreeSet<ShardId> {
        self.node.beyond()
    }

    async fn forget_process(&self, process: ProcessId) {
        self.node.forget_process(process).await;
    }
}

/// A front-end's place: it counts as linked as long as this is there.
#[derive(Debug)]
pub struct Chair {
    seat: Arc<Seat>,
    process: ProcessId,
    linked: Arc<Mutex<BTreeSet<ProcessId>>>,
}

impl NodeLink for Chair {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        self.seat.try_send(message)
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.remove(&self.process);
    }
}

impl Fronts for Control {
    type Seat = Chair;

    fn attach(&self, front: &Peer, link: ToFrontEnd) -> Arc<Chair> {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.insert(front.process);
        Arc::new(Chair {
            seat: self.node.attach(front.process, link),
            process: front.process,
            linked: Arc::clone(&self.linked),
        })
    }

    async fn detached(&self, place: &Chair) {
        place.seat.detached().await;
    }
}
