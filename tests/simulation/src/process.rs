//! What runs in a process of coven: the real services, given the simulation's store and network.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coven_core::{Config, Group, Service as Policies};
use coven_front::{Barrier, Options, Quirks, Secrets, Upstream};
use coven_xmpp::domains::{Domain, Domains};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::server::{DOMAIN, FIRST_PORT, Network, SECRET};
use crate::store::SimStore;
use crate::user::HOST;

/// How many shards there are.
pub const SHARDS: u16 = 4;

/// A process that runs.
#[derive(Debug)]
pub struct Process {
    /// Where it runs.
    pub host: Host,
    /// Its way to the store.
    pub store: SimStore,
    shutdown: CancellationToken,
    ended: Arc<AtomicBool>,
}

impl Process {
    /// One process that is node and front-end.
    #[must_use]
    pub fn alone(
        now: u64,
        store: SimStore,
        network: Network,
        workers: usize,
        barrier: Barrier,
    ) -> Self {
        let (shutdown, ended) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let options = front_options(workers, barrier);
        let work = alone(store.clone(), network, options, shutdown.clone());
        let flag = Arc::clone(&ended);
        let host = Host::start(now, async move {
            work.await;
            flag.store(true, Ordering::Relaxed);
        });
        Self {
            host,
            store,
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

async fn alone(store: SimStore, network: Network, options: Options, shutdown: CancellationToken) {
    let Ok((front, handle)) = coven_front::Service::new(options) else {
        return;
    };
    let front = front.with_dial(Arc::new(network));
    let started = coven_node::Service::start_alone(Arc::new(store), handle, node_options()).await;
    let Ok((_, link, node)) = started else {
        return;
    };
    let ended = front.run(link, shutdown).await;
    node.shutdown().await;
    drop(ended);
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

fn node_options() -> coven_node::Options {
    coven_node::Options {
        shards: SHARDS,
        idle_timeout: Duration::from_secs(3),
        snapshot_every: 20,
        spaces: HashMap::from([(DOMAIN.into(), Arc::new(policies()))]),
        ..coven_node::Options::default()
    }
}

fn front_options(workers: usize, barrier: Barrier) -> Options {
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
    Options {
        upstreams: vec![upstream(0, barrier)],
        domains: Arc::new(Domains::new([domain])),
        shards: SHARDS,
        rates: None,
        workers: NonZeroUsize::new(workers),
    }
}

fn upstream(node: u16, barrier: Barrier) -> Upstream {
    Upstream {
        host: "localhost".to_owned(),
        port: FIRST_PORT + node,
        domains: vec![DOMAIN.into()],
        secrets: Secrets::given(vec![SecretString::from(SECRET)]),
        group: Group("main".into()),
        barrier,
        hosts: vec![HOST.into()],
        slots: coven_front::Slots::default(),
        max_stanza_bytes: 256 * 1024,
        quirks: Quirks::default(),
    }
}
