//! A process of a cluster: the real node or front-end with its real agent, over the simulation's registry and links.
//!
//! Owns the adapters between them, as `coven serve --role node` and `--role front` have them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use coven_cluster::agent::{self, FrontAgent, FrontControl, NodeAgent, NodeControl, Take};
use coven_cluster::leases::{Attach, Connection};
use coven_cluster::{Clock, LeaseNumber, Moment, ProcessId, ShardId};
use coven_core::Epoch;
use coven_front::{ConnectionInfo, Happened};
use coven_store::registry::{self, Member, ShardSet, Way};
use coven_store::{ConnectionId, Error, SessionId, Store};
use smol_str::{SmolStr, format_smolstr};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::link::{Dialer, Linked, serve};
use crate::os;
use crate::process::{Around, SHARDS};

/// How long a process takes to give up what it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// The world's time: it goes on while a process stands still.
#[derive(Debug)]
struct WorldClock;

impl Clock for WorldClock {
    fn now(&self) -> Moment {
        Moment(Duration::from_micros(os::now()))
    }
}

impl Around {
    fn agent(&self, role: registry::Role, address: SmolStr) -> agent::Options {
        let member = Member {
            process: self.process,
            role,
            address,
            weight: 1,
            draining: false,
            version: "0".into(),
            formats: 1,
            owned: ShardSet::default(),
        };
        let registry = Arc::new(self.registry.clone());
        agent::Options::new(registry, Arc::new(WorldClock), member, self.identity)
    }
}

/// Runs a node until it is told to end.
pub async fn node(around: Around, shutdown: CancellationToken) {
    let store: Arc<dyn Store> = Arc::new(around.store.clone());
    let (handle, service) = coven_node::Service::start(Arc::clone(&store), around.node_options());
    let linked = Linked::default();
    let control = NodeSide {
        node: handle.clone(),
        linked: linked.clone(),
    };
    let address = format_smolstr!("node{}", around.place);
    let calls = around
        .net
        .listen(address.clone(), around.place, around.process);
    let serving = AbortOnDropHandle::new(tokio::spawn(serve(calls, handle, linked)));
    let options = around.agent(registry::Role::Node, address);
    let (agent, asked) = NodeAgent::new(options, SHARDS, store, control);
    let agent = AbortOnDropHandle::new(tokio::spawn(agent.run()));
    shutdown.cancelled().await;
    asked.stop(PATIENCE).await;
    drop((agent, serving));
    service.shutdown().await;
}

/// Runs a front-end until it is told to end.
pub async fn front(around: Around, shutdown: CancellationToken) {
    let options = around.agent(registry::Role::Front, SmolStr::default());
    let fence = options.fence.clone();
    let made = coven_front::Service::clustered(around.front_options(), around.process, fence);
    let Ok((service, handle)) = made else {
        return;
    };
    let control = FrontSide {
        front: handle.clone(),
        attach: around.attach,
    };
    let dialer = Dialer {
        net: around.net.clone(),
        place: around.place,
        process: around.process,
        front: handle.clone(),
        without: around.without,
    };
    let (agent, asked) = FrontAgent::new(options, control, dialer);
    let stop = CancellationToken::new();
    let service = service.with_dial(Arc::new(around.network.clone()));
    let running = tokio::spawn(service.run_clustered(stop.clone()));
    let _kicks = AbortOnDropHandle::new(tokio::spawn(tell_kicks(handle, asked.clone())));
    let agent = AbortOnDropHandle::new(tokio::spawn(agent.run()));
    shutdown.cancelled().await;
    asked.stop(PATIENCE).await;
    stop.cancel();
    let _ended = running.await;
    drop(agent);
}

/// Tells the agent when a server has given a connection to another stream.
async fn tell_kicks(front: coven_front::Handle, agent: agent::Handle) {
    let mut events = front.connection_events();
    loop {
        let kicked = match events.recv().await {
            Ok(event) if event.happened == Happened::Kicked => event.connection,
            Ok(_) | Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if agent.kicked(ConnectionId(kicked)).await.is_err() {
            return;
        }
    }
}

/// What the agent asks of a node.
#[derive(Debug)]
struct NodeSide {
    node: coven_node::Handle,
    linked: Linked,
}

impl NodeControl for NodeSide {
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
        self.linked.all()
    }

    async fn forget_process(&self, process: ProcessId) {
        self.node.forget_process(process).await;
    }
}

/// What the agent asks of a front-end.
#[derive(Debug)]
struct FrontSide {
    front: coven_front::Handle,
    attach: Attach,
}

impl FrontControl for FrontSide {
    fn connections(&self) -> Vec<Connection> {
        let connection = |info: ConnectionInfo| Connection {
            id: ConnectionId(info.name),
            way: Way {
                group: info.group.0,
                space: info.space,
                server_node: info.server_node,
            },
            attach: self.attach,
        };
        let all = self.front.connections().into_iter();
        all.map(connection).collect()
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
