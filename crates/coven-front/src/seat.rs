//! Where a node's words go in, one seat for each link.

use std::sync::Arc;

use coven_cluster::link::FrontLink;
use coven_cluster::{ProcessId, ToFront};

use crate::Handle;
use crate::fanout::Answered;
use crate::nodes::{Life, Nodes};

/// The front-end's end of a link to a node. Dropping it says that the link is down: what came by it and is not rendered
/// yet is dropped, since the node sends it again by the next link (design §5.9).
#[derive(Debug)]
pub struct NodeSeat {
    pub(crate) handle: Handle,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) process: ProcessId,
    pub(crate) life: Arc<Life>,
}

impl NodeSeat {
    /// The node's process.
    #[must_use]
    pub const fn process(&self) -> ProcessId {
        self.process
    }
}

impl FrontLink for NodeSeat {
    /// Waits while the worker's queue is full: that is the back-pressure on the node.
    async fn send(&self, message: ToFront) {
        match message {
            ToFront::Output(output) => {
                if let Some(channel) = &output.channel {
                    let epochs = &self.handle.front.epochs;
                    epochs.raise(channel.shard(), output.epoch);
                }
                self.handle.deliver(output, Some(&self.life)).await;
            }
            _ if self.life.is_over() => {}
            // Behind the answer: one that is dropped with its link is `remote-server-timeout` to whoever asked (I5).
            ToFront::Done { channel, n } if self.nodes.is_passing(&channel, n) => {
                let answered = Answered {
                    nodes: Arc::clone(&self.nodes),
                    link: Arc::clone(&self.life),
                    channel,
                    n,
                };
                self.handle.answered(answered).await;
            }
            other => self.nodes.said(self.process, other),
        }
    }
}

impl Drop for NodeSeat {
    fn drop(&mut self) {
        self.nodes.down(self.process, &self.life);
    }
}
