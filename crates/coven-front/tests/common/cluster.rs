//! A front-end of a cluster: it holds what it is granted, and has the nodes that are up.

use super::node::Node;
use super::room::Room;
use super::server::{Server, Stream};
use super::{DOMAIN, SOON, domain, upstream};
use coven_cluster::clock::{BootClock, Fence, Moment};
use coven_cluster::link::FrontLink;
use coven_cluster::{Delivery, LeaseNumber, Output, ProcessId, ToFront};
use coven_core::Epoch;
use coven_front::{
    ConnectionStatus, Error, Handle, NodeSeat, Options, Service, Status, UpstreamState,
};
use coven_xmpp::domains::Domains;
use smol_str::SmolStr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The front-end's process.
pub const ME: ProcessId = ProcessId(7);

pub struct Cluster {
    pub handle: Handle,
    pub fence: Fence,
    /// The one connection.
    pub name: SmolStr,
    _shutdown: CancellationToken,
    _running: JoinHandle<Result<(), Error>>,
}

/// A node, and the link to it.
pub struct Linked {
    pub node: Arc<Node>,
    pub seat: Arc<NodeSeat>,
    pub epoch: Epoch,
}

impl Cluster {
    /// One domain on one server; nothing is held.
    pub fn start(server: &Server) -> Self {
        let options = Options {
            upstreams: vec![upstream(server, &[DOMAIN])],
            domains: Arc::new(Domains::new([domain(DOMAIN)])),
            shards: 1024,
            rates: None,
            workers: NonZeroUsize::new(2),
        };
        let fence = Fence::new(Arc::new(BootClock));
        fence.set(Moment(Duration::MAX));
        let (service, handle) = Service::clustered(options, ME, fence.clone()).unwrap();
        let shutdown = CancellationToken::new();
        Self {
            name: handle.connections()[0].name.clone(),
            _running: tokio::spawn(service.run_clustered(shutdown.clone())),
            handle,
            fence,
            _shutdown: shutdown,
        }
    }

    /// Held under lease 1, attached, with a node.
    pub async fn held() -> (Self, Server, Stream, Linked) {
        let mut server = Server::start().await;
        let cluster = Self::start(&server);
        assert!(cluster.grant(1));
        let stream = server.accept().await;
        let mut status = cluster.handle.status();
        let up = timeout(SOON, status.wait_for(is_attached)).await;
        up.expect("attached").unwrap();
        let node = cluster.node(100, 5);
        (cluster, server, stream, node)
    }

    pub fn grant(&self, lease: u64) -> bool {
        self.handle.grant(&self.name, LeaseNumber(lease))
    }

    /// A link to a node, which has said nothing yet.
    pub fn node(&self, process: u128, epoch: u64) -> Linked {
        let node = Arc::new(Node::default());
        let seat = self.handle.node_up(ProcessId(process), node.clone());
        Linked {
            node,
            seat,
            epoch: Epoch(epoch),
        }
    }

    /// Gives the connection up while its stream is read: what was read until its end.
    pub async fn gives_up(&self, mut stream: Stream) -> Vec<String> {
        let read = async move {
            let mut heard = Vec::new();
            while let Some(stanza) = stream.next().await {
                heard.push(stanza);
            }
            drop(stream);
            heard
        };
        let both = async { tokio::join!(self.handle.revoke(&self.name), read) };
        let ((), heard) = timeout(SOON, both).await.expect("it is given up");
        heard
    }

    /// Its session is over, or is back.
    pub fn session(&self, is_alive: bool) {
        match is_alive {
            true => self.fence.set(Moment(Duration::MAX)),
            false => self.fence.close(),
        }
    }
}

fn is_attached(status: &Status) -> bool {
    let up = |c: &ConnectionStatus| c.state == UpstreamState::Up;
    status.connections.iter().all(up)
}

impl Linked {
    pub async fn says(&self, message: ToFront) {
        let said = timeout(SOON, self.seat.send(message)).await;
        said.expect("room for it");
    }

    pub async fn owns(&self, room: &Room) {
        let shards = vec![(room.channel.shard(), self.epoch)];
        self.says(ToFront::Owned(shards)).await;
    }

    /// What it sends for a room after a commit.
    pub async fn sends(&self, room: &Room, commit: u64, deliveries: Vec<Delivery>) {
        let output = Output {
            channel: Some(room.channel.clone()),
            epoch: self.epoch,
            commit,
            deliveries,
            trace: None,
        };
        self.says(output.into()).await;
    }
}
