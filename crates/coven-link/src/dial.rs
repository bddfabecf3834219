//! Links for the agent of a front-end: it says which nodes there are, and when to dial again.

use crate::client::{Nodes, Target, link};
use coven_cluster::ProcessId;
use coven_cluster::agent::{Dial, LinkUp};
use smol_str::SmolStr;
use std::sync::Arc;
use tracing::warn;

/// Dials nodes for [`coven_cluster::agent::FrontAgent`].
#[derive(Debug)]
pub struct Dialer<N> {
    like: Target,
    nodes: Arc<N>,
}

impl<N: Nodes> Dialer<N> {
    /// Dials as `like` says; its address and process are those of each node.
    #[must_use]
    pub const fn new(like: Target, nodes: Arc<N>) -> Self {
        Self { like, nodes }
    }
}

impl<N: Nodes> Dial for Dialer<N> {
    async fn link(&self, node: ProcessId, address: SmolStr, up: LinkUp) {
        let target = Target {
            address: address.to_string(),
            process: Some(node),
            ..self.like.clone()
        };
        let broken = Box::pin(link(&target, &*self.nodes, |_| up.up())).await;
        target.stats.broken(&broken);
        warn!(node = %address, reason = broken.name(), error = %broken, "no link to a node");
    }
}
