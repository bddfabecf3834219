//! A front-end between a scripted server and a scripted node.
//!
//! Read next: `server.rs`, `node.rs`, `room.rs`.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

pub mod cluster;
pub mod node;
pub mod room;
pub mod server;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use coven_cluster::link::FrontLink;
use coven_cluster::{Delivery, Output};
use coven_core::{Epoch, Group};
use coven_front::{
    Barrier, Dial, Error, Handle, Options, Quirks, Rates, Secrets, Service, Status, Tcp, Upstream,
};
use coven_xmpp::domains::{Domain, Domains};
use node::Node;
use room::Room;
use secrecy::SecretString;
use server::{Server, Stream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The domain that is served.
pub const DOMAIN: &str = "chat.example";
/// What the server accepts.
pub const SECRET: &str = "secret";
/// For everything that has to happen.
pub const SOON: Duration = Duration::from_secs(60);

/// A front-end that runs.
pub struct Bench {
    pub node: Arc<Node>,
    pub handle: Handle,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

/// What a bench is made of, to be changed before it starts.
pub struct Plan {
    pub upstreams: Vec<Upstream>,
    pub domains: Vec<Domain>,
    pub rates: Option<Rates>,
    pub workers: usize,
}

impl Plan {
    /// One domain on one server.
    pub fn new(server: &Server) -> Self {
        Self {
            upstreams: vec![upstream(server, &[DOMAIN])],
            domains: vec![domain(DOMAIN)],
            rates: None,
            workers: 2,
        }
    }

    pub fn start(self) -> Bench {
        self.start_with(Arc::new(Tcp))
    }

    /// Servers are reached in this way.
    pub fn start_with(self, dial: Arc<dyn Dial>) -> Bench {
        let options = Options {
            upstreams: self.upstreams,
            domains: Arc::new(Domains::new(self.domains)),
            shards: 1024,
            rates: self.rates,
            workers: NonZeroUsize::new(self.workers),
        };
        let (service, handle) = Service::new(options).unwrap();
        let service = service.with_dial(dial);
        let node = Arc::new(Node::default());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(node.clone(), shutdown.clone()));
        Bench {
            node,
            handle,
            shutdown,
            running,
        }
    }
}

impl Bench {
    /// A front-end with one domain, attached.
    pub async fn attached() -> (Self, Server, Stream) {
        let mut server = Server::start().await;
        let bench = Plan::new(&server).start();
        let stream = server.accept().await;
        bench.status(Status::is_up).await;
        (bench, server, stream)
    }

    /// What a node sends for a room.
    pub async fn send(&self, room: &Room, deliveries: Vec<Delivery>) {
        self.commit(room, 0, deliveries).await;
    }

    /// What a node sends for a room after a commit.
    pub async fn commit(&self, room: &Room, commit: u64, deliveries: Vec<Delivery>) {
        let output = Output {
            channel: Some(room.channel.clone()),
            epoch: Epoch::default(),
            commit,
            deliveries,
            trace: None,
        };
        timeout(SOON, self.handle.send(output.into()))
            .await
            .expect("room for output");
    }

    /// Waits until the status of the upstreams is as it should be.
    pub async fn status(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.handle.status();
        let status = timeout(SOON, status.wait_for(wanted)).await;
        status.expect("status").unwrap().clone()
    }

    /// Begins the end.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end.
    pub async fn ended(self) -> Result<(), Error> {
        let ended = timeout(SOON, self.running).await;
        ended.expect("the front-end ends").unwrap()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.running.is_finished()
    }
}

/// A server of the group `main`, whose users are of `shakespeare.example`.
pub fn upstream(server: &Server, domains: &[&str]) -> Upstream {
    Upstream {
        host: server.address.ip().to_string(),
        port: server.address.port(),
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
        secrets: secrets(&[SECRET]),
        group: group(),
        barrier: Barrier::OwnDomain,
        hosts: vec!["shakespeare.example".into()],
        slots: coven_front::Slots::default(),
        max_stanza_bytes: 256 * 1024,
        quirks: Quirks::default(),
    }
}

pub fn group() -> Group {
    Group("main".into())
}

pub fn secrets(secrets: &[&str]) -> Secrets {
    Secrets::given(secrets.iter().copied().map(SecretString::from).collect())
}

pub fn domain(name: &str) -> Domain {
    Domain {
        name: name.into(),
        space: name.into(),
        muc: true,
        mix: true,
        mirror: None,
        title: "Group chat".to_owned(),
        contacts: Vec::new(),
        service: Arc::default(),
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}
