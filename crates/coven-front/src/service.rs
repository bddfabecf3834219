//! The front-end as a whole: makes its parts, runs them, ends them.

use std::sync::Arc;

use coven_cluster::link::NodeLink;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::status::{ConnectionStatus, Status, UpstreamState};
use crate::{Error, Handle, Options};

/// Outputs that wait for a worker; a node waits when there are more.
const WORKER_QUEUE: usize = 256;

/// A front-end, ready to run.
#[derive(Debug)]
pub struct Service {
    options: Options,
    status: watch::Sender<Status>,
}

impl Service {
    /// A front-end, and the handle for nodes.
    ///
    /// Errors: options that contradict each other.
    pub fn new(options: Options) -> Result<(Self, Handle), Error> {
        options.check()?;
        let (status, watched) = watch::channel(first_status(&options));
        let (worker, _) = mpsc::channel(WORKER_QUEUE);
        let handle = Handle {
            workers: vec![worker],
            status: watched,
        };
        Ok((Self { options, status }, handle))
    }

    /// Runs until `shutdown`, and then until what was taken in is answered, for a few seconds at most (design §6): the
    /// node must go on until this returns.
    ///
    /// Errors: a fault of the program.
    pub async fn run(
        self,
        node: Arc<dyn NodeLink>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        drop(node);
        shutdown.cancelled().await;
        Ok(())
    }
}

fn first_status(options: &Options) -> Status {
    let connections = options.upstreams.iter().flat_map(|upstream| {
        upstream.domains.iter().map(|domain| ConnectionStatus {
            address: upstream.address(),
            domain: domain.clone(),
            state: UpstreamState::Starting,
            was_up: false,
        })
    });
    Status {
        connections: connections.collect(),
    }
}
