//! Which node of a server each of an upstream's connections leads to, where its name has one address for each (design §6:
//! `per-server-node`, `balanced`).
//!
//! Owns what the name resolves to, asked anew every [`RESOLVE`], and who is bound to which address. The number of
//! connections is configured, so nobody moves from one to another when the server's nodes change: a connection whose node
//! goes is bound to another one, and what was not acknowledged follows it there. It stays where it is as long as its address
//! is there; where there are fewer addresses than connections, it shares one after a while, and leaves it when one is free.
//! Of two front-ends that have chosen the same address the one with the later connection gives way.
//!
//! Read next: `bindings.rs` decides, and is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Connection;
use super::bindings::{Bindings, Bound};
use super::dial::Dial;

/// How often the name is resolved.
const RESOLVE: Duration = Duration::from_secs(10);
/// The same while it has never been.
const RESOLVE_FIRST: Duration = Duration::from_secs(1);
/// How long a connection waits for a node of the server that is free: longer than it takes until one is shared.
const FREE: Duration = Duration::from_secs(6);
/// While it waits it looks so often.
const LOOK: Duration = Duration::from_millis(100);

/// The nodes of one upstream's server.
#[derive(Debug)]
pub(crate) struct ServerNodes {
    host: String,
    port: u16,
    /// Connections of one domain.
    connections: usize,
    /// One for each domain, since each is attached to every server node.
    bindings: Mutex<BTreeMap<SmolStr, Bindings>>,
    each: usize,
    /// Counts what has changed.
    changes: watch::Sender<u64>,
}

impl ServerNodes {
    /// `each`: connections that one address may have; `connections`: those that there are for a domain.
    pub(crate) fn new(host: &str, port: u16, each: usize, connections: usize) -> Self {
        Self {
            host: host.to_owned(),
            port,
            connections,
            bindings: Mutex::default(),
            each,
            changes: watch::Sender::default(),
        }
    }

    /// Resolves the name again and again, until `stop`.
    pub(crate) async fn run(&self, dial: &dyn Dial, stop: CancellationToken) {
        let mut before = BTreeSet::new();
        while !stop.is_cancelled() {
            // A name that does not resolve for a moment says nothing of the server's nodes.
            let found = dial
                .resolve(&self.host, self.port)
                .await
                .unwrap_or_default();
            let found: BTreeSet<IpAddr> = found.into_iter().collect();
            if !found.is_empty() && found != before {
                self.resolved(&found);
                before = found;
            } else {
                // Time may have come to share an address.
                self.changed();
            }
            let pause = if before.is_empty() {
                RESOLVE_FIRST
            } else {
                RESOLVE
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn resolved(&self, found: &BTreeSet<IpAddr>) {
        let (host, addresses) = (&self.host, found.len());
        info!(upstream = %host, addresses, connections = self.connections, "the server's nodes are known");
        if addresses * self.each > self.connections {
            warn!(upstream = %host, addresses, "the server has more nodes than are attached: raise server-nodes in [[upstream]] of all processes");
        }
        for bindings in self.lock().values_mut() {
            bindings.resolved(found.iter().copied());
        }
        self.changed();
    }

    /// Told beforehand of all domains that there are.
    pub(crate) fn serve(&self, domain: &SmolStr) {
        self.lock()
            .entry(domain.clone())
            .or_insert_with(|| Bindings::new(self.each));
    }

    /// What other front-ends' connections are bound to.
    pub(crate) fn others(&self, others: &BTreeMap<SmolStr, IpAddr>) {
        for (domain, bindings) in &mut *self.lock() {
            let of_domain = others
                .iter()
                .filter(|(name, _)| name.rsplit('/').next() == Some(domain));
            bindings.others(of_domain.map(|(name, at)| (name.clone(), *at)).collect());
        }
        self.changed();
    }

    /// As [`Bindings::bind`].
    pub(crate) fn bind(&self, domain: &SmolStr, connection: &SmolStr) -> Option<Bound> {
        self.lock()
            .get_mut(domain)?
            .bind(connection, Instant::now())
    }

    /// As [`Bindings::release`].
    pub(crate) fn release(&self, domain: &SmolStr, connection: &SmolStr) {
        if let Some(bindings) = self.lock().get_mut(domain) {
            bindings.release(connection);
        }
    }

    /// As [`Bindings::of`].
    pub(crate) fn of(&self, domain: &SmolStr, connection: &SmolStr) -> Option<Bound> {
        self.lock().get(domain)?.of(connection)
    }

    /// Waits until a connection that has a stream is to leave its address.
    pub(crate) async fn moves(&self, domain: &SmolStr, connection: &SmolStr) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.lock().get(domain).is_some_and(|b| b.moves(connection)) {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SmolStr, Bindings>> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Chooses where the next stream leads: the host to be dialled. None while no node of the server is free.
    pub(super) fn bind(&self) -> Option<String> {
        let Some(nodes) = &self.server_nodes else {
            return Some(self.upstream.host.clone());
        };
        let bound = nodes.bind(&self.domain, &self.name)?;
        Some(bound.address.to_string())
    }

    /// As [`Self::bind`], and waits for a node to be free, as at a start: the name is still being looked up, and an address is
    /// shared only after a while.
    pub(super) async fn bind_soon(&self) -> Option<String> {
        let end = Instant::now() + FREE;
        loop {
            let bound = self.bind();
            if bound.is_some() || Instant::now() >= end {
                return bound;
            }
            sleep(LOOK).await;
        }
    }

    /// It is not held any more: its address is free for others.
    pub(super) fn unbind(&self) {
        if let Some(nodes) = &self.server_nodes {
            nodes.release(&self.domain, &self.name);
        }
    }

    /// What it is bound to.
    pub(super) fn bound(&self) -> Option<Bound> {
        self.server_nodes.as_ref()?.of(&self.domain, &self.name)
    }

    /// Whether it is one of more connections than there are to be to its node of the server, for a while.
    pub(crate) fn is_shared(&self) -> bool {
        self.bound().is_some_and(|bound| bound.is_shared)
    }

    /// Waits until its stream is to be replaced by one to another node of the server.
    pub(super) async fn moves(&self) {
        match &self.server_nodes {
            Some(nodes) => nodes.moves(&self.domain, &self.name).await,
            None => std::future::pending().await,
        }
    }
}
