//! A node or a front-end as a process of its own: node or front-end, its agent, and the links between them.
//!
//! Owns the adapters: what the agents of `coven-cluster` ask of a node ([`node`]) and of a front-end ([`front`]), and what
//! `coven-link` does with links. Decides nothing. Read next: [`crate::parts`], which starts and ends them.

pub mod front;
pub mod node;

use std::sync::Arc;

use coven_cluster::agent;
use coven_cluster::{BootClock, ProcessId};
use coven_link::{Limits, Me, Role, Security, Stats};
use coven_proto::format;
use coven_store::registry::{Member, Registry, ShardSet};
use coven_store::{StoreId, registry};
use smol_str::SmolStr;

/// What every process of a cluster has.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Drawn at the start.
    pub process: ProcessId,
    /// Where processes meet.
    pub registry: Arc<dyn Registry>,
    /// The identity of the store.
    pub identity: StoreId,
    /// Into how many shards channels are cut.
    pub shards: u16,
    /// How links are protected.
    pub security: Security,
    /// What links do.
    pub stats: Stats,
}

impl Cluster {
    /// This process, under an id that is drawn now (design §5.1).
    ///
    /// Errors: the system gives no randomness.
    pub fn new(
        registry: Arc<dyn Registry>,
        identity: StoreId,
        shards: u16,
        security: Security,
    ) -> Result<Self, String> {
        let mut process = [0; 16];
        getrandom::fill(&mut process).map_err(|error| error.to_string())?;
        Ok(Self {
            process: ProcessId(u128::from_ne_bytes(process)),
            registry,
            identity,
            shards,
            security,
            stats: Stats::default(),
        })
    }

    fn me(&self, role: Role) -> Me {
        Me {
            process: self.process,
            role,
            versions: coven_link::hello::VERSIONS,
            formats: format::FIRST..=format::newest(),
            cluster: format!("{:032x}", self.identity.0),
            shards: self.shards,
        }
    }

    fn agent(&self, role: registry::Role, address: SmolStr) -> agent::Options {
        let member = Member {
            process: self.process,
            role,
            address,
            weight: 1,
            draining: false,
            version: env!("CARGO_PKG_VERSION").into(),
            formats: format::newest(),
            owned: ShardSet::default(),
        };
        let registry = Arc::clone(&self.registry);
        agent::Options::new(registry, Arc::new(BootClock), member, self.identity)
    }

    fn link_like(&self) -> coven_link::Target {
        coven_link::Target {
            address: String::new(),
            process: None,
            security: self.security.clone(),
            me: self.me(Role::Front),
            limits: Limits::front(),
            stats: self.stats.clone(),
        }
    }
}
