//! What runs in a process of coven: the real services, given the simulation's store and network.
//!
//! One process is node and front-end (`alone`), or it has one of the roles of a cluster ([`crate::roles`]).

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coven_cluster::ProcessId;
use coven_cluster::leases::Attach;
use coven_core::{Config, Group, Service as Policies};
use coven_front::{Barrier, Options, Quirks, Secrets, Upstream};
use coven_store::StoreId;
use coven_xmpp::domains::{Domain, Domains};
use secrecy::SecretString;
use smol_str::{SmolStr, format_smolstr};
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::net::Net;
use crate::registry::SimRegistry;
use crate::roles;
use crate::rule::Rule;
use crate::server::{DOMAIN, FIRST_PORT, Network, SECRET};
use crate::store::SimStore;
use crate::user::HOST;

/// How many shards there are.
pub const SHARDS: u16 = 4;
const GROUP: &str = "main";
const SERVER: &str = "localhost";

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Node and front-end in one.
    Alone,
    /// It runs channels.
    Node,
    /// It holds streams.
    Front,
}

/// What a process is given.
#[derive(Debug, Clone)]
pub struct Around {
    /// What it is.
    pub role: Role,
    /// Its id, drawn for each start.
    pub process: ProcessId,
    /// Its place in the world.
    pub place: usize,
    /// Its way to the store.
    pub store: SimStore,
    /// Its way to the registry.
    pub registry: SimRegistry,
    /// The identity of both.
    pub identity: StoreId,
    /// Links.
    pub net: Net,
    /// The way to the servers.
    pub network: Network,
    /// How many nodes the server has.
    pub upstreams: usize,
    /// How its connections are shared.
    pub attach: Attach,
    /// Tasks of a front-end that render.
    pub workers: usize,
    /// Left out.
    pub without: Option<Rule>,
}

/// A process that runs.
#[derive(Debug)]
pub struct Process {
    /// Where it runs.
    pub host: Host,
    /// What it was given.
    pub around: Around,
    shutdown: CancellationToken,
    ended: Arc<AtomicBool>,
}

impl Process {
    /// Starts one.
    #[must_use]
    pub fn start(now: u64, around: Around) -> Self {
        let (shutdown, ended) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (given, stop, flag) = (around.clone(), shutdown.clone(), Arc::clone(&ended));
        let host = Host::start(now, async move {
            match given.role {
                Role::Alone => alone(given, stop).await,
                Role::Node => roles::node(given, stop).await,
                Role::Front => roles::front(given, stop).await,
            }
            flag.store(true, Ordering::Relaxed);
        });
        Self {
            host,
            around,
            shutdown,
            ended,
        }
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.shutdown.cancel();
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

async fn alone(around: Around, shutdown: CancellationToken) {
    let Ok((front, handle)) = coven_front::Service::new(around.front_options()) else {
        return;
    };
    let front = front.with_dial(Arc::new(around.network.clone()));
    let (store, options) = (Arc::new(around.store.clone()), around.node_options());
    let started = coven_node::Service::start_alone(store, handle, options).await;
    let Ok((_, link, node)) = started else {
        return;
    };
    let ended = front.run(link, shutdown).await;
    node.shutdown().await;
    drop(ended);
}

impl Around {
    /// Options of a node.
    #[must_use]
    pub fn node_options(&self) -> coven_node::Options {
        let names = (0..self.upstreams).map(connection_name);
        coven_node::Options {
            shards: SHARDS,
            idle_timeout: Duration::from_secs(3),
            snapshot_every: 20,
            connections: match self.role {
                Role::Alone => HashMap::new(),
                _ => HashMap::from([(DOMAIN.into(), names.collect())]),
            },
            spaces: HashMap::from([(DOMAIN.into(), Arc::new(policies()))]),
            ..coven_node::Options::default()
        }
    }

    /// Options of a front-end.
    #[must_use]
    pub fn front_options(&self) -> Options {
        let domain = Domain {
            name: DOMAIN.into(),
            space: DOMAIN.into(),
            muc: true,
            mix: true,
            mirror: None,
            title: "Group chat".to_owned(),
            contacts: Vec::new(),
            service: Arc::new(policies()),
        };
        let barrier = match self.without {
            Some(Rule::Barrier) => Barrier::Off,
            _ => Barrier::OwnDomain,
        };
        Options {
            upstreams: (0..self.upstreams)
                .map(|node| upstream(node, barrier.clone()))
                .collect(),
            domains: Arc::new(Domains::new([domain])),
            shards: SHARDS,
            rates: None,
            workers: NonZeroUsize::new(self.workers),
        }
    }
}

/// The name of the connection to a node of the server, the same in all processes.
#[must_use]
pub fn connection_name(node: usize) -> SmolStr {
    format_smolstr!(
        "{GROUP}/{SERVER}:{}/{DOMAIN}",
        usize::from(FIRST_PORT) + node
    )
}

fn policies() -> Policies {
    Policies {
        lock_timeout_ms: None,
        defaults: Config {
            persistent: true,
            ..Config::default()
        },
        ..Policies::default()
    }
}

fn upstream(node: usize, barrier: Barrier) -> Upstream {
    Upstream {
        host: SERVER.to_owned(),
        port: FIRST_PORT + u16::try_from(node).unwrap_or_default(),
        domains: vec![DOMAIN.into()],
        secrets: Secrets::given(vec![SecretString::from(SECRET)]),
        group: Group(GROUP.into()),
        barrier,
        hosts: vec![HOST.into()],
        slots: coven_front::Slots::default(),
        max_stanza_bytes: 256 * 1024,
        quirks: Quirks::default(),
    }
}
