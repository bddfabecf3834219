//! What a node is given at its start, and why it may not start.

use coven_core::Service as Policies;
use smol_str::SmolStr;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Options of a node.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many shards there are.
    pub shards: u16,
    /// After what time without commands a channel leaves memory.
    pub idle_timeout: Duration,
    /// Most operations that wait for one channel; beyond it they are refused (I9).
    pub mailbox: usize,
    /// Most reads of archives at a time, and as many of the directory; beyond it they are refused. Self-pings to channels that
    /// are not in memory read as many, and wait.
    pub reads: usize,
    /// After so many acknowledged events a channel is written down, however busy it is: what a load has to go through
    /// stays short.
    pub snapshot_every: u64,
    /// For a connection that is away so many events of a channel are kept, ...
    pub owed_events: u64,
    /// ... and for so long (design §5.8). After that the channel is written down without it.
    pub owed_for: Duration,
    /// Most entries of a page of the archive.
    pub page: u32,
    /// Probes per second in a sweep.
    pub sweep_rate: u32,
    /// The names of all connections of each space, as configured: a channel is done when all of them have acknowledged it,
    /// held or not (IL-21). Those that are heard of otherwise count as well.
    pub connections: HashMap<SmolStr, Vec<SmolStr>>,
    /// While the store is away or the session may have ended, commands wait for so long before they are refused (design
    /// §5.12).
    pub patience: Duration,
    /// Policies of each space.
    pub spaces: HashMap<SmolStr, Arc<Policies>>,
    /// Oldest age of archived messages; `None` keeps them.
    pub max_age: Option<Duration>,
    /// Most archived messages of a channel; `None` for no limit.
    pub max_count: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: coven_cluster::shard::DEFAULT_SHARDS,
            idle_timeout: Duration::from_secs(600),
            mailbox: 1024,
            reads: 64,
            snapshot_every: 4096,
            owed_events: 10_000,
            owed_for: Duration::from_secs(600),
            page: 100,
            sweep_rate: 1000,
            connections: HashMap::new(),
            patience: Duration::from_secs(5),
            spaces: HashMap::new(),
            max_age: None,
            max_count: None,
        }
    }
}

/// Why a node cannot start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error("the store refused to give up its shards: {0}")]
    Store(#[from] coven_store::Error),
    /// A part of it ended by itself.
    #[error("{0}")]
    Ended(&'static str),
}
