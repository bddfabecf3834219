//! A front-end: holds streams to servers, has links to all nodes, and is driven by its agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use coven_cluster::agent::{self, FrontAgent, FrontControl};
use coven_cluster::leases::{Attach, Connection};
use coven_cluster::{LeaseNumber, NodeLink};
use coven_front::{ConnectionInfo, Handle, Happened, NodeSeat, Service};
use coven_link::{Dialer, Nodes, Peer};
use coven_store::ConnectionId;
use coven_store::registry::{self, Lease, Way};
use smol_str::SmolStr;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Cluster;

/// A running front-end.
#[derive(Debug)]
pub struct Front {
    /// The front-end itself.
    pub handle: Handle,
    /// Its agent.
    pub agent: agent::Handle,
    /// Ends when the front-end has.
    pub task: JoinHandle<Result<(), coven_front::Error>>,
    /// Tells it to.
    pub stop: CancellationToken,
    /// Ends when the agent does.
    pub agent_task: AbortOnDropHandle<()>,
    _kicks: AbortOnDropHandle<()>,
}

/// Starts a front-end. `attach`: how each connection is shared among front-ends; else the others wait.
///
/// Errors: options that contradict each other.
pub fn start(
    cluster: &Cluster,
    options: coven_front::Options,
    attach: BTreeMap<SmolStr, Attach>,
) -> Result<Front, coven_front::Error> {
    let agent_options = cluster.agent(registry::Role::Front, SmolStr::default());
    let fence = agent_options.fence.clone();
    let (service, handle) = Service::clustered(options, cluster.process, fence)?;
    let control = Control {
        front: handle.clone(),
        attach: Arc::new(attach),
    };
    let dialer = Dialer::new(cluster.link_like(), Arc::new(control.clone()));
    let (agent, asked) = FrontAgent::new(agent_options, control, dialer);
    let stop = CancellationToken::new();
    Ok(Front {
        task: tokio::spawn(service.run_clustered(stop.clone())),
        _kicks: AbortOnDropHandle::new(tokio::spawn(tell_kicks(handle.clone(), asked.clone()))),
        agent_task: AbortOnDropHandle::new(tokio::spawn(agent.run())),
        handle,
        agent: asked,
        stop,
    })
}

/// Tells the agent when a server has given a connection to another stream.
async fn tell_kicks(front: Handle, agent: agent::Handle) {
    let mut events = front.connection_events();
    loop {
        let kicked = match events.recv().await {
            Ok(event) if event.happened == Happened::Kicked => vec![event.connection],
            Ok(_) => continue,
            Err(RecvError::Lagged(_)) => barred(&front),
            Err(RecvError::Closed) => return,
        };
        for connection in kicked {
            if agent.kicked(ConnectionId(connection)).await.is_err() {
                return;
            }
        }
    }
}

/// The connections of which a kick may have been among the events that were lost.
fn barred(front: &Handle) -> Vec<SmolStr> {
    let all = front.connections().into_iter();
    let barred = all.filter(|connection| connection.is_barred);
    barred.map(|connection| connection.name).collect()
}

/// What the agent and the links ask of the front-end.
#[derive(Debug, Clone)]
struct Control {
    front: Handle,
    attach: Arc<BTreeMap<SmolStr, Attach>>,
}

impl FrontControl for Control {
    fn connections(&self) -> Vec<Connection> {
        let attach = |name: &SmolStr| self.attach.get(name).copied();
        let connection = |info: ConnectionInfo| Connection {
            attach: attach(&info.name).unwrap_or(Attach::Standby),
            id: ConnectionId(info.name),
            way: Way {
                group: info.group.0,
                space: info.space,
                server_node: info.server_node,
            },
        };
        self.front
            .connections()
            .into_iter()
            .map(connection)
            .collect()
    }

    fn others_hold(&self, leases: &[&Lease]) {
        let at = |lease: &&Lease| {
            let way = lease.way.server_node.clone();
            (lease.connection.0.clone(), way)
        };
        self.front.others_hold(leases.iter().map(at));
    }

    fn grant(&self, connection: &ConnectionId, lease: LeaseNumber) {
        self.front.grant(&connection.0, lease);
    }

    async fn revoke(&self, connection: &ConnectionId) {
        self.front.revoke(&connection.0).await;
    }

    fn lost(&self, connection: &ConnectionId) {
        self.front.lose(&connection.0);
    }
}

impl Nodes for Control {
    type Seat = NodeSeat;

    fn up(&self, node: &Peer, link: Arc<dyn NodeLink>) -> Arc<NodeSeat> {
        self.front.node_up(node.process, link)
    }
}
