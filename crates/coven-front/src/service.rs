//! The front-end as a whole: makes its parts, runs them, ends them in order.
//!
//! Owns the drain (design §6): pass a barrier, go on answering until it is quiet, close; each stream is sealed by a last
//! barrier (`connection/writer.rs`). All of it in bounded time; all tasks are joined.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use coven_cluster::clock::Fence;
use coven_cluster::link::NodeLink;
use coven_cluster::{LeaseNumber, ProcessId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::connection::{Attach, Dial, Ends, Ids, Tcp};
use crate::fanout::{Incoming, Worker};
use crate::front::Front;
use crate::intake::Intake;
use crate::nodes::Nodes;
use crate::status::{ConnectionStatus, Reporter, Status, UpstreamState};
use crate::{Error, Handle, Options};

/// Outputs that wait for a worker; a node waits when there are more.
const WORKER_QUEUE: usize = 256;
/// For the barrier with which a drain begins.
const BARRIER: Duration = Duration::from_secs(2);
/// For what goes on when a drain begins.
const UNREST: Duration = Duration::from_secs(2);
/// It is quiet when nothing goes in or out for so long.
const QUIET: Duration = Duration::from_millis(200);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// A front-end, ready to run.
#[derive(Debug)]
pub struct Service {
    front: Arc<Front>,
    nodes: Arc<Nodes>,
    queues: Vec<mpsc::Receiver<Incoming>>,
    status: watch::Sender<Status>,
    dial: Arc<dyn Dial>,
}

impl Service {
    /// The front-end of a process that is alone: one node in memory, every connection held always. And the handle for
    /// that node.
    ///
    /// Errors: options that contradict each other; no random bytes.
    pub fn new(options: Options) -> Result<(Self, Handle), Error> {
        let mut session = [0; 16];
        getrandom::fill(&mut session)?;
        let session = ProcessId(u128::from_le_bytes(session));
        let (service, handle) = Self::make(&options, session, None)?;
        for connection in &service.front.connections {
            connection.grant(LeaseNumber::default());
        }
        Ok((service, handle))
    }

    /// One front-end of a cluster, as this process: it holds nothing until it is granted ([`Handle::grant`]), talks to the
    /// nodes that are up ([`Handle::node_up`]), and writes their output only while the fence lets it.
    ///
    /// Errors: options that contradict each other.
    pub fn clustered(
        options: Options,
        process: ProcessId,
        fence: Fence,
    ) -> Result<(Self, Handle), Error> {
        Self::make(&options, process, Some(fence))
    }

    fn make(
        options: &Options,
        process: ProcessId,
        cluster: Option<Fence>,
    ) -> Result<(Self, Handle), Error> {
        options.check()?;
        let workers = options.workers.or_else(|| available_parallelism().ok());
        let workers = workers.map_or(1, std::num::NonZeroUsize::get);
        let front = Arc::new(Front::new(options, workers, Ids::new(process.0), cluster));
        let nodes = Arc::new(Nodes::new(Arc::clone(&front), process));
        let (senders, queues) = (0..workers).map(|_| mpsc::channel(WORKER_QUEUE)).unzip();
        let (status, watched) = watch::channel(first_status(&front));
        let handle = Handle {
            front: Arc::clone(&front),
            nodes: Arc::clone(&nodes),
            workers: senders,
            status: watched,
        };
        let service = Self {
            front,
            nodes,
            queues,
            status,
            dial: Arc::new(Tcp),
        };
        Ok((service, handle))
    }

    /// Reaches servers in this way, and not by TCP.
    #[must_use]
    pub fn with_dial(mut self, dial: Arc<dyn Dial>) -> Self {
        self.dial = dial;
        self
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
        let front = Arc::clone(&self.front);
        let intake = Arc::new(Intake::new(Arc::clone(&front), Arc::clone(&node)));
        let (detach, stop) = (CancellationToken::new(), CancellationToken::new());
        let ends = Ends {
            drains: shutdown.clone(),
            detaches: detach.clone(),
        };
        let mut attached = self.attach(&intake, &ends);
        let mut working = self.work(node, &intake, &stop);
        let failed = tokio::select! {
            () = shutdown.cancelled() => false,
            _ = attached.join_next() => true,
            _ = working.join_next() => true,
        };
        if !failed {
            drain(&front).await;
        }
        detach.cancel();
        while attached.join_next().await.is_some() {}
        stop.cancel();
        while working.join_next().await.is_some() {}
        if failed { Err(Error::Failed) } else { Ok(()) }
    }

    /// As [`Self::run`], for a front-end of a cluster: with the nodes that are up at each moment.
    ///
    /// Errors: a fault of the program.
    pub async fn run_clustered(self, shutdown: CancellationToken) -> Result<(), Error> {
        let nodes = Arc::clone(&self.nodes);
        let stop = CancellationToken::new();
        let tending = {
            let (nodes, stop) = (Arc::clone(&nodes), stop.clone());
            tokio::spawn(async move { nodes.tend(stop).await })
        };
        let ended = self.run(nodes, shutdown).await;
        stop.cancel();
        let _ = tending.await;
        ended
    }

    /// One task for each connection.
    fn attach(&self, intake: &Arc<Intake>, ends: &Ends) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for connection in &self.front.connections {
            let reporter = Reporter::new(self.status.clone(), connection.index());
            let (connection, intake) = (Arc::clone(connection), Arc::clone(intake));
            let dial = Arc::clone(&self.dial);
            let attach = Attach::new(connection, intake, reporter, dial, ends.clone());
            tasks.spawn(attach.run());
        }
        tasks
    }

    /// One task for each worker, and one for what is due by time.
    fn work(
        self,
        node: Arc<dyn NodeLink>,
        intake: &Arc<Intake>,
        stop: &CancellationToken,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (no, queue) in self.queues.into_iter().enumerate() {
            let (node, front) = (Arc::clone(&node), Arc::clone(&self.front));
            tasks.spawn(Worker::new(no, queue, node, front).run(stop.clone()));
        }
        let (intake, stop) = (Arc::clone(intake), stop.clone());
        tasks.spawn(async move { intake.tend(stop).await });
        tasks
    }
}

/// Takes nothing away from anybody: what was read is answered, what was answered is with the servers.
async fn drain(front: &Front) {
    pass_barriers(front).await;
    let end = Instant::now() + UNREST;
    let (mut seen, mut since) = (front.activity.count(), Instant::now());
    while since.elapsed() < QUIET && Instant::now() < end {
        sleep(LOOK).await;
        let count = front.activity.count();
        if count != seen {
            (seen, since) = (count, Instant::now());
        }
    }
}

/// On all connections at once.
async fn pass_barriers(front: &Front) {
    let mut passing = JoinSet::new();
    for connection in &front.connections {
        let connection = Arc::clone(connection);
        passing.spawn(async move { connection.pass_barrier(BARRIER).await });
    }
    passing.join_all().await;
}

fn first_status(front: &Front) -> Status {
    let connections = front.connections.iter().map(|connection| ConnectionStatus {
        address: connection.upstream().address(),
        domain: connection.domain().clone(),
        state: if front.is_clustered() {
            UpstreamState::Standby
        } else {
            UpstreamState::Starting
        },
        was_up: false,
    });
    Status {
        connections: connections.collect(),
    }
}
