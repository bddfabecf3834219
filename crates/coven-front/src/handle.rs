//! The handle of a front-end: where a node's output goes in, and where its state can be asked for.

use std::sync::Arc;

use coven_cluster::link::FrontLink;
use coven_cluster::{Channel, Output, ToFront};
use tokio::sync::{mpsc, watch};

use crate::front::Front;
use crate::metrics::Snapshot;
use crate::status::Status;

/// Cheap to clone; outlives the [`crate::Service`], for which it then does nothing.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) front: Arc<Front>,
    pub(crate) workers: Vec<mpsc::Sender<Arc<Output>>>,
    pub(crate) status: watch::Receiver<Status>,
}

impl Handle {
    /// The state of the upstreams, to be watched.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Counters and depths of queues, as of now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let waiting = |queue: &mpsc::Sender<Arc<Output>>| queue.max_capacity() - queue.capacity();
        let connections = self.front.connections.iter();
        Snapshot {
            connections: connections
                .map(|connection| connection.snapshot())
                .collect(),
            waiting_outputs: self.workers.iter().map(waiting).collect(),
            render_times: self.front.render_times.times(),
            ..self.front.counters.snapshot()
        }
    }

    /// All output of a channel goes through one worker: that keeps its order.
    fn worker(&self, channel: Option<&Channel>) -> Option<&mpsc::Sender<Arc<Output>>> {
        let shard = channel.map_or(0, |channel| usize::from(channel.shard().0));
        self.workers.get(shard % self.workers.len().max(1))
    }
}

impl FrontLink for Handle {
    /// Waits while the worker's queue is full. What comes after the end of the service is dropped: it is sent again
    /// after the next start. The node in this process says nothing but output.
    async fn send(&self, message: ToFront) {
        let ToFront::Output(output) = message else {
            return;
        };
        if let Some(worker) = self.worker(output.channel.as_ref()) {
            let _ = worker.send(output).await;
        }
    }
}
