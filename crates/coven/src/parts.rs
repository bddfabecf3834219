//! The parts of the service: how they are started, watched and ended.
//!
//! Order of the start: store, node, front-end; each finds the one before it ready. The end goes the other way: the
//! front-end stops taking in and answers what it has, the node makes durable what it decided and closes the store.

use std::sync::Arc;
use std::time::Duration;

use coven_front::{ConnectionStatus, Status, UpstreamState};
use coven_store::{Condition, Error as StoreError, RedisStore, SqliteStore, Store, redis, sqlite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::health::{Health, Part};
use crate::metrics::Metrics;
use crate::options;

/// The store's name among the parts of the process.
const STORE: &str = "store";

/// How long a Redis that cannot be reached is left alone at the start.
const AGAIN: Duration = Duration::from_secs(1);

/// How often the store's state is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The running node and front-end.
#[derive(Debug)]
pub struct Parts {
    node: Option<coven_node::Service>,
    front: JoinHandle<Result<(), coven_front::Error>>,
    stop_front: CancellationToken,
    status: watch::Receiver<Status>,
    _watch: AbortOnDropHandle<()>,
}

/// Opens the store that the configuration names. A Redis that cannot be reached is waited for, and `health` says so.
///
/// Errors: in use by another process, of another make, or broken.
pub async fn open_store(
    config: &config::Store,
    health: &Health,
) -> Result<Arc<dyn Store>, Failure> {
    match options::store(config) {
        options::Store::Sqlite(options) => open_sqlite(config, options).await,
        options::Store::Redis(options) => open_redis(config, options, &health.part(STORE)).await,
    }
}

async fn open_sqlite(
    config: &config::Store,
    options: sqlite::Options,
) -> Result<Arc<dyn Store>, Failure> {
    let folder = options
        .path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let why = format!(
            "there is no folder {}: make it, or give [store] url another file",
            folder.display()
        );
        return Err(Failure::StoreUnfit {
            store: config.to_string(),
            why,
        });
    }
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await;
    match opened {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => Err(store_failure(config, error)),
        Err(error) => Err(opening_failed(&error)),
    }
}

async fn open_redis(
    config: &config::Store,
    options: redis::Options,
    part: &Part,
) -> Result<Arc<dyn Store>, Failure> {
    let mut told = false;
    loop {
        let options = options.clone();
        let opened = tokio::task::spawn_blocking(move || RedisStore::open(options)).await;
        match opened {
            Ok(Ok(store)) => return Ok(Arc::new(store)),
            Ok(Err(StoreError::Io(why))) => {
                part.down(why.clone());
                if !std::mem::replace(&mut told, true) {
                    error!(event = "store-down", store = %config, why, "redis is waited for");
                }
                tokio::time::sleep(AGAIN).await;
            }
            Ok(Err(error)) => return Err(store_failure(config, error)),
            Err(error) => return Err(opening_failed(&error)),
        }
    }
}

fn opening_failed(error: &tokio::task::JoinError) -> Failure {
    Failure::Internal {
        what: "opening the store",
        why: error.to_string(),
    }
}

/// What to do about a damaged store.
pub const DAMAGE_ADVICE: &str =
    "the store is damaged: keep a copy of its files, and restore a backup (see docs/store.md)";

/// What is damaged in the store that the configuration names, one line for each.
///
/// Errors: in use by another process, of another make, or not in a file.
pub fn check_store(config: &config::Store) -> Result<Vec<String>, Failure> {
    match options::store(config) {
        options::Store::Sqlite(options) => {
            SqliteStore::check(options).map_err(|error| store_failure(config, error))
        }
        options::Store::Redis(_) => Err(Failure::StoreUnfit {
            store: config.to_string(),
            why: "only a store in a file is checked as a whole; one in Redis is checked as it is read"
                .to_owned(),
        }),
    }
}

fn store_failure(config: &config::Store, error: StoreError) -> Failure {
    let store = config.to_string();
    match error {
        StoreError::Full(why) => Failure::Store {
            store,
            why: format!("{why}: make room and start again"),
        },
        StoreError::Corrupt(why) => Failure::Store {
            store,
            why: format!(
                "it is damaged: {why}: run `coven check-store` to see all, restore a backup"
            ),
        },
        StoreError::Locked { path } => Failure::StoreLocked { path },
        StoreError::Unfit(why) | StoreError::Denied(why) => Failure::StoreUnfit { store, why },
        error => Failure::Store {
            store,
            why: error.to_string(),
        },
    }
}

impl Parts {
    /// Starts the node, then the front-end.
    pub async fn start(
        config: &Config,
        store: Arc<dyn Store>,
        health: &Health,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let front_failed = |error: coven_front::Error| Failure::Internal {
            what: "the front-end",
            why: error.to_string(),
        };
        let (front, handle) =
            coven_front::Service::new(options::front(config)).map_err(front_failed)?;
        let (status, numbers) = (handle.status(), handle.clone());
        let store_part = health.part(STORE);
        let upstreams = upstream_parts(&status.borrow(), health);
        let watched = Arc::clone(&store);
        let started = coven_node::Service::start_alone(store, handle, options::node(config)).await;
        let (_, link, node) = started.map_err(|error| node_failure(&config.store, error))?;
        metrics.attach(numbers, node.health());
        let watch = Watch {
            health: health.clone(),
            store: watched,
            store_part,
            node: node.health(),
            upstreams,
            was_ready: false,
        };
        let watch = AbortOnDropHandle::new(tokio::spawn(watch.run(status.clone())));
        let stop_front = CancellationToken::new();
        let front = tokio::spawn(front.run(link, stop_front.clone()));
        Ok(Self {
            node: Some(node),
            front,
            stop_front,
            status,
            _watch: watch,
        })
    }

    /// Ends only when the service cannot go on: no upstream will ever have it, or a part ended by itself.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            Ok(status) = self.status.wait_for(Status::is_hopeless) => not_accepted(&status),
            ended = &mut self.front => front_failure(ended.map_err(|e| e.to_string())),
            error = node_failed(self.node.as_ref()) => Failure::Internal {
                what: "the node",
                why: error.to_string(),
            },
        }
    }

    /// Drains the front-end, then the node, and closes the store.
    ///
    /// Errors: a part that did not end as it should; the others were ended nevertheless.
    pub async fn drain(&mut self) -> Result<(), Failure> {
        self.stop_front.cancel();
        let front = match self.front.is_finished() {
            true => Ok(()),
            false => (&mut self.front)
                .await
                .map_err(|e| e.to_string())
                .and_then(|ended| ended.map_err(|e| e.to_string())),
        };
        if let Some(node) = self.node.take() {
            node.shutdown().await;
        }
        front.map_err(|why| Failure::Internal {
            what: "the front-end",
            why,
        })
    }
}

async fn node_failed(node: Option<&coven_node::Service>) -> coven_node::Error {
    match node {
        Some(node) => node.failed().await,
        None => std::future::pending().await,
    }
}

fn node_failure(config: &config::Store, error: coven_node::Error) -> Failure {
    match error {
        coven_node::Error::Store(error) => store_failure(config, error),
        coven_node::Error::Ended(why) => Failure::Internal {
            what: "the node",
            why: why.to_owned(),
        },
    }
}

/// The front-end ended before it was told to.
fn front_failure(ended: Result<Result<(), coven_front::Error>, String>) -> Failure {
    let why = match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error,
    };
    Failure::Internal {
        what: "the front-end",
        why,
    }
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

/// A connection as people know it.
fn name(connection: &ConnectionStatus) -> String {
    format!("{} at {}", connection.domain, connection.address)
}

/// A part for each connection, in the order of the status.
fn upstream_parts(status: &Status, health: &Health) -> Vec<Part> {
    status
        .connections
        .iter()
        .map(|connection| health.part(format!("upstream {}", name(connection))))
        .collect()
}

/// Carries the state of node and front-end over to the health of the process.
struct Watch {
    health: Health,
    store: Arc<dyn Store>,
    store_part: Part,
    node: coven_node::Health,
    upstreams: Vec<Part>,
    was_ready: bool,
}

impl Watch {
    async fn run(mut self, mut status: watch::Receiver<Status>) {
        let mut looks = interval(LOOK);
        loop {
            self.look(&status.borrow_and_update());
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return },
                _ = looks.tick() => {}
            }
        }
    }

    fn look(&mut self, status: &Status) {
        match self.store.condition() {
            Condition::Good if self.node.snapshot().store_up => self.store_part.up(),
            Condition::Good => self.store_part.down("does not take commits"),
            condition => self.store_part.down(condition.to_string()),
        }
        for (part, connection) in self.upstreams.iter().zip(&status.connections) {
            match &connection.state {
                // Another front-end holds it: this one is ready to.
                UpstreamState::Up | UpstreamState::Standby => part.up(),
                UpstreamState::Starting => part.down("starting"),
                UpstreamState::Down(why) => part.down(why.to_string()),
            }
        }
        let ready = self.health.readiness().ready;
        if ready && !self.was_ready {
            info!(event = "ready", "ready");
        }
        self.was_ready = ready;
    }
}
