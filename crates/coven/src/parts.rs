//! The parts of the service: how they are started, watched and ended, for each role.
//!
//! Order of the start: store, node, front-end; each finds the one before it ready. The end goes the other way: the
//! front-end stops taking in and answers what it has, the node makes durable what it decided and closes the store. A node
//! or a front-end of a cluster first gives up what it has ([`crate::cluster`]).

use std::sync::Arc;
use std::time::Duration;

use coven_front::{Status, UpstreamState};
use coven_store::Store;
use coven_store::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::{Admin, Asked};
use crate::cluster::{self, Cluster};
use crate::config::{self, Config, Role};
use crate::failure::Failure;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::options;
use crate::sole::{self, Sole};
use crate::stores::{open_registry, store_failure};
use crate::watch::{Watch, name};

/// How long a process of a cluster takes at most to give up what it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs in this process.
#[derive(Debug)]
pub enum Parts {
    /// Node and front-end.
    Alone(Box<Alone>),
    /// A node of a cluster.
    Node(Box<Node>),
    /// A front-end of a cluster.
    Front(Box<Front>),
}

/// Node and front-end in one process.
#[derive(Debug)]
pub struct Alone {
    /// On a Redis: what keeps others from it.
    sole: Option<(Sole, config::Store)>,
    handle: coven_node::Handle,
    node: Option<coven_node::Service>,
    front: JoinHandle<Result<(), coven_front::Error>>,
    stop_front: CancellationToken,
    status: watch::Receiver<Status>,
    _watch: AbortOnDropHandle<()>,
}

/// A node of a cluster.
#[derive(Debug)]
pub struct Node {
    node: Option<cluster::node::Node>,
    _watch: AbortOnDropHandle<()>,
}

/// A front-end of a cluster.
#[derive(Debug)]
pub struct Front {
    front: cluster::front::Front,
    status: watch::Receiver<Status>,
    _watch: AbortOnDropHandle<()>,
}

impl Parts {
    /// Starts what the role asks for.
    pub async fn start(
        config: &Config,
        store: Arc<dyn Store>,
        health: &Health,
        metrics: &Metrics,
        admin: &Admin,
    ) -> Result<Self, Failure> {
        Ok(match config.role {
            Role::All => Self::Alone(Box::new(
                Alone::start(config, store, health, metrics, admin).await?,
            )),
            Role::Node => Self::Node(Box::new(
                Node::start(config, store, health, metrics, admin).await?,
            )),
            Role::Front => Self::Front(Box::new(
                Front::start(config, store, health, metrics, admin).await?,
            )),
        })
    }

    /// Ends only when the service cannot go on: no upstream will ever have it, or a part ended by itself.
    pub async fn failed(&mut self) -> Failure {
        match self {
            Self::Alone(alone) => alone.failed().await,
            Self::Node(node) => node.failed().await,
            Self::Front(front) => front.failed().await,
        }
    }

    /// Ends all sessions of all channels, and tells those who are out (MUC-LEAVE-13). Answers in how many channels that could
    /// not be done. A part of a cluster is never asked ([`Admin::end_for_good`]).
    pub async fn end_sessions(&self) -> usize {
        match self {
            Self::Alone(alone) => alone.handle.end_sessions().await,
            Self::Node(_) | Self::Front(_) => 0,
        }
    }

    /// Ends all parts, each after it has done what it took upon itself.
    ///
    /// Errors: a part that did not end as it should; the others were ended nevertheless.
    pub async fn drain(&mut self) -> Result<(), Failure> {
        match self {
            Self::Alone(alone) => alone.drain().await,
            Self::Node(node) => {
                node.drain().await;
                Ok(())
            }
            Self::Front(front) => front.drain().await,
        }
    }
}

impl Alone {
    /// Starts the node, then the front-end.
    async fn start(
        config: &Config,
        store: Arc<dyn Store>,
        health: &Health,
        metrics: &Metrics,
        admin: &Admin,
    ) -> Result<Self, Failure> {
        let sole = sole(config, &*store, health).await?;
        let (front, handle) =
            coven_front::Service::new(options::front(config)).map_err(front_failed)?;
        let (status, numbers) = (handle.status(), handle.clone());
        let watched = Arc::clone(&store);
        let started = coven_node::Service::start_alone(store, handle, options::node(config)).await;
        let (handle, link, node) = started.map_err(|error| node_failure(&config.store, error))?;
        metrics.attach(numbers, node.health());
        let watch = Watch::new(health.clone())
            .node(watched, node.health())
            .front(status.clone());
        let stop_front = CancellationToken::new();
        let front = tokio::spawn(front.run(link, stop_front.clone()));
        admin.attach_alone();
        Ok(Self {
            sole,
            handle,
            node: Some(node),
            front,
            stop_front,
            status,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        })
    }

    async fn failed(&mut self) -> Failure {
        tokio::select! {
            Ok(status) = self.status.wait_for(Status::is_hopeless) => not_accepted(&status),
            ended = &mut self.front => front_failure(ended.map_err(|e| e.to_string())),
            error = node_failed(self.node.as_ref()) => internal("the node", error.to_string()),
            failure = lost(self.sole.as_mut()) => failure,
        }
    }

    /// Drains the front-end, then the node, and closes the store. Then others may have it.
    async fn drain(&mut self) -> Result<(), Failure> {
        self.stop_front.cancel();
        let front = ended(&mut self.front).await;
        if let Some(node) = self.node.take() {
            node.shutdown().await;
        }
        if let Some((sole, _)) = self.sole.take() {
            sole.end().await;
        }
        front
    }
}

impl Node {
    async fn start(
        config: &Config,
        store: Arc<dyn Store>,
        health: &Health,
        metrics: &Metrics,
        admin: &Admin,
    ) -> Result<Self, Failure> {
        let cluster = join(config, &*store, health, metrics).await?;
        let watched = Arc::clone(&store);
        let place = cluster::node::Place {
            listen: config.cluster.listen,
            advertise: options::advertise(&config.cluster),
        };
        let started = cluster::node::start(&cluster, store, options::node(config), place).await;
        let node = started.map_err(|broken| Failure::Links {
            address: config.cluster.listen,
            why: broken.to_string(),
        })?;
        metrics.attach_node(node.service.health());
        metrics.attach_owner(node.handle.clone());
        let own = Some(node.handle.clone());
        admin.attach(asked(
            &cluster,
            &node.agent,
            Arc::clone(&watched),
            own,
            config,
        ));
        let watch = Watch::new(health.clone())
            .node(watched, node.service.health())
            .cluster(node.agent.health(), None);
        Ok(Self {
            node: Some(node),
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        })
    }

    async fn failed(&mut self) -> Failure {
        let Some(node) = &mut self.node else {
            return std::future::pending().await;
        };
        tokio::select! {
            error = node.service.failed() => internal("the node", error.to_string()),
            _ = &mut node.task => internal("the node's part in the cluster", "it ended by itself"),
        }
    }

    /// Gives up all shards and ends the session, then the links, then closes the store.
    async fn drain(&mut self) {
        if let Some(node) = self.node.take() {
            node.agent.stop(PATIENCE).await;
            node.server.shutdown().await;
            node.service.shutdown().await;
        }
    }
}

impl Front {
    async fn start(
        config: &Config,
        store: Arc<dyn Store>,
        health: &Health,
        metrics: &Metrics,
        admin: &Admin,
    ) -> Result<Self, Failure> {
        let cluster = join(config, &*store, health, metrics).await?;
        // The store itself is the nodes' business.
        health.part(crate::stores::STORE).up();
        let attach = options::attach(config);
        let started = cluster::front::start(&cluster, options::front(config), attach);
        let front = started.map_err(front_failed)?;
        metrics.attach_front(front.handle.clone());
        admin.attach(asked(&cluster, &front.agent, store, None, config));
        let status = front.handle.status();
        let watch = Watch::new(health.clone())
            .front(status.clone())
            .cluster(front.agent.health(), Some(front.handle.clone()));
        Ok(Self {
            front,
            status,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        })
    }

    async fn failed(&mut self) -> Failure {
        tokio::select! {
            Ok(status) = self.status.wait_for(Status::is_hopeless) => not_accepted(&status),
            ended = &mut self.front.task => front_failure(ended.map_err(|e| e.to_string())),
            _ = &mut self.front.agent_task => {
                internal("the front-end's part in the cluster", "it ended by itself")
            }
        }
    }

    /// Gives up all connections, each behind a barrier, and ends the session, then the front-end.
    async fn drain(&mut self) -> Result<(), Failure> {
        self.front.agent.stop(PATIENCE).await;
        self.front.stop.cancel();
        ended(&mut self.front.task).await
    }
}

/// What administrators may ask of this process.
fn asked(
    cluster: &Cluster,
    agent: &coven_cluster::agent::Handle,
    store: Arc<dyn Store>,
    node: Option<coven_node::Handle>,
    config: &Config,
) -> Asked {
    Asked {
        registry: Arc::clone(&cluster.registry),
        agent: agent.clone(),
        store: (store, cluster.identity),
        node,
        config: config.clone(),
    }
}

/// What every process of a cluster has.
async fn join(
    config: &Config,
    store: &dyn Store,
    health: &Health,
    metrics: &Metrics,
) -> Result<Cluster, Failure> {
    let registry: Arc<dyn Registry> = Arc::new(open_registry(&config.store, health).await?);
    sole::none_is_there(&registry, &config.store).await?;
    let identity = store.identity().await;
    let identity = identity.map_err(|error| store_failure(&config.store, error))?;
    let security = options::security(&config.cluster);
    let checked = security.check().await;
    checked.map_err(|broken| Failure::Certificates {
        why: broken.to_string(),
    })?;
    let cluster = Cluster::new(registry, identity, config.store.shards, security)
        .map_err(|why| internal("the process id", why))?;
    metrics.attach_links(cluster.stats.clone());
    Ok(cluster)
}

/// Makes sure that nobody else uses a store in Redis; one in a file has its lock.
async fn sole(
    config: &Config,
    store: &dyn Store,
    health: &Health,
) -> Result<Option<(Sole, config::Store)>, Failure> {
    if let config::Place::Sqlite { .. } = config.store.place {
        return Ok(None);
    }
    let registry = open_registry(&config.store, health).await?;
    let identity = store.identity().await;
    let identity = identity.map_err(|error| store_failure(&config.store, error))?;
    let sole = sole::begin(Arc::new(registry), identity, &config.store).await?;
    Ok(Some((sole, config.store.clone())))
}

async fn lost(sole: Option<&mut (Sole, config::Store)>) -> Failure {
    match sole {
        Some((sole, store)) => sole.lost(store).await,
        None => std::future::pending().await,
    }
}

/// Waits for the front-end's end.
async fn ended(front: &mut JoinHandle<Result<(), coven_front::Error>>) -> Result<(), Failure> {
    if front.is_finished() {
        return Ok(());
    }
    let ended = front.await.map_err(|e| e.to_string());
    let ended = ended.and_then(|ended| ended.map_err(|e| e.to_string()));
    ended.map_err(|why| internal("the front-end", why))
}

async fn node_failed(node: Option<&coven_node::Service>) -> coven_node::Error {
    match node {
        Some(node) => node.failed().await,
        None => std::future::pending().await,
    }
}

fn internal(what: &'static str, why: impl Into<String>) -> Failure {
    let why = why.into();
    Failure::Internal { what, why }
}

fn front_failed(error: coven_front::Error) -> Failure {
    internal("the front-end", error.to_string())
}

fn node_failure(config: &config::Store, error: coven_node::Error) -> Failure {
    match error {
        coven_node::Error::Store(error) => store_failure(config, error),
        coven_node::Error::Ended(why) => internal("the node", why),
    }
}

/// The front-end ended before it was told to.
fn front_failure(ended: Result<Result<(), coven_front::Error>, String>) -> Failure {
    let why = match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error,
    };
    internal("the front-end", why)
}

fn not_accepted(status: &Status) -> Failure {
    let refusals = status
        .connections
        .iter()
        .filter_map(|connection| match &connection.state {
            UpstreamState::Down(why) => Some(format!("{}: {why}", name(connection))),
            _ => None,
        });
    Failure::NotAccepted {
        refusals: refusals.collect::<Vec<_>>().join(", "),
    }
}
