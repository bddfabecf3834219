//! Carries the state of what runs in this process over to its health (design §9, `/readyz`).

use std::sync::Arc;
use std::time::Duration;

use coven_cluster::agent;
use coven_front::{ConnectionStatus, Status, UpstreamState};
use coven_store::{Condition, Store};
use tokio::sync::watch;
use tokio::time::{Interval, interval};
use tracing::info;

use crate::health::{Health, Part};
use crate::stores::STORE;

/// How often states are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Looks at what the role has.
#[derive(Debug)]
pub struct Watch {
    health: Health,
    node: Option<NodeParts>,
    front: Option<FrontParts>,
    cluster: Option<ClusterParts>,
    was_ready: bool,
}

#[derive(Debug)]
struct NodeParts {
    store: Arc<dyn Store>,
    node: coven_node::Health,
    part: Part,
}

#[derive(Debug)]
struct FrontParts {
    status: watch::Receiver<Status>,
    upstreams: Vec<Part>,
}

#[derive(Debug)]
struct ClusterParts {
    agent: watch::Receiver<agent::Health>,
    /// Of a front-end, which is nothing without a node.
    front: Option<coven_front::Handle>,
    part: Part,
}

impl Watch {
    /// Looks at nothing yet.
    #[must_use]
    pub const fn new(health: Health) -> Self {
        Self {
            health,
            node: None,
            front: None,
            cluster: None,
            was_ready: false,
        }
    }

    /// Looks at a node and its store.
    #[must_use]
    pub fn node(mut self, store: Arc<dyn Store>, node: coven_node::Health) -> Self {
        let part = self.health.part(STORE);
        self.node = Some(NodeParts { store, node, part });
        self
    }

    /// Looks at a front-end's upstreams.
    #[must_use]
    pub fn front(mut self, status: watch::Receiver<Status>) -> Self {
        let upstreams = upstream_parts(&status.borrow(), &self.health);
        self.front = Some(FrontParts { status, upstreams });
        self
    }

    /// Looks at how the process stands in its cluster, and whether a front-end has a node.
    #[must_use]
    pub fn cluster(
        mut self,
        agent: watch::Receiver<agent::Health>,
        front: Option<coven_front::Handle>,
    ) -> Self {
        let part = self.health.part("cluster");
        self.cluster = Some(ClusterParts { agent, front, part });
        self
    }

    /// Looks until what it looks at has ended.
    pub async fn run(mut self) {
        let mut looks = interval(LOOK);
        while self.changed(&mut looks).await {
            self.look();
        }
    }

    /// Whether there is still something to look at.
    async fn changed(&mut self, looks: &mut Interval) -> bool {
        let Some(front) = &mut self.front else {
            looks.tick().await;
            return true;
        };
        tokio::select! {
            changed = front.status.changed() => changed.is_ok(),
            _ = looks.tick() => true,
        }
    }

    fn look(&mut self) {
        self.node.iter().for_each(NodeParts::look);
        self.front.iter_mut().for_each(FrontParts::look);
        self.cluster.iter().for_each(ClusterParts::look);
        let ready = self.health.readiness().ready;
        if ready && !self.was_ready {
            info!(event = "ready", "ready");
        }
        self.was_ready = ready;
    }
}

impl NodeParts {
    fn look(&self) {
        match self.store.condition() {
            Condition::Good if self.node.snapshot().store_up => self.part.up(),
            Condition::Good => self.part.down("does not take commits"),
            condition => self.part.down(condition.to_string()),
        }
    }
}

impl FrontParts {
    fn look(&mut self) {
        let status = self.status.borrow_and_update();
        for (part, connection) in self.upstreams.iter().zip(&status.connections) {
            match &connection.state {
                // Another front-end holds it: this one is ready to.
                UpstreamState::Up | UpstreamState::Standby => part.up(),
                UpstreamState::Starting => part.down("starting"),
                UpstreamState::Down(why) => part.down(why.to_string()),
            }
        }
    }
}

impl ClusterParts {
    fn look(&self) {
        let mut reasons = self.agent.borrow().reasons();
        let is_alone = self.front.as_ref().is_some_and(|front| front.nodes() == 0);
        if is_alone && reasons.is_empty() {
            reasons.push("no node is there".to_owned());
        }
        match reasons.is_empty() {
            true => self.part.up(),
            false => self.part.down(reasons.join(", ")),
        }
    }
}

/// A connection as people know it.
#[must_use]
pub fn name(connection: &ConnectionStatus) -> String {
    format!("{} at {}", connection.domain, connection.address)
}

/// A part for each connection, in the order of the status.
fn upstream_parts(status: &Status, health: &Health) -> Vec<Part> {
    let part = |connection| health.part(format!("upstream {}", name(connection)));
    status.connections.iter().map(part).collect()
}
