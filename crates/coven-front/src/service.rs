//! The front-end as a whole: makes its parts, runs them, ends them in order.
//!
//! Owns the drain (design §6): pass a barrier, go on answering until it is quiet, close; each stream is sealed by a last
//! barrier (`connection/writer.rs`). All of it in bounded time; all tasks are joined.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use coven_cluster::Output;
use coven_cluster::link::NodeLink;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::connection::{Attach, Dial, Ids, Tcp};
use crate::fanout::Worker;
use crate::front::Front;
use crate::intake::Intake;
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
    queues: Vec<mpsc::Receiver<Arc<Output>>>,
    status: watch::Sender<Status>,
    ids: Ids,
    dial: Arc<dyn Dial>,
}

impl Service {
    /// A front-end, and the handle for nodes.
    ///
    /// Errors: options that contradict each other; no random bytes.
    pub fn new(options: Options) -> Result<(Self, Handle), Error> {
        options.check()?;
        let workers = options.workers.or_else(|| available_parallelism().ok());
        let workers = workers.map_or(1, std::num::NonZeroUsize::get);
        let front = Arc::new(Front::new(&options, workers));
        let (senders, queues) = (0..workers).map(|_| mpsc::channel(WORKER_QUEUE)).unzip();
        let (status, watched) = watch::channel(first_status(&options));
        let handle = Handle {
            front: Arc::clone(&front),
            workers: senders,
            status: watched,
        };
        let mut session = [0; 16];
        getrandom::fill(&mut session)?;
        let service = Self {
            front,
            queues,
            status,
            ids: Ids::new(u128::from_le_bytes(session)),
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
        let intake = Arc::new(Intake::new(
            Arc::clone(&front),
            Arc::clone(&node),
            self.ids.clone(),
        ));
        let (detach, stop) = (CancellationToken::new(), CancellationToken::new());
        let mut attached = self.attach(&intake, &detach);
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

    /// One task for each connection.
    fn attach(&self, intake: &Arc<Intake>, detach: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for connection in &self.front.connections {
            let reporter = Reporter::new(self.status.clone(), connection.index());
            let (connection, intake) = (Arc::clone(connection), Arc::clone(intake));
            let attach = Attach::new(
                connection,
                intake,
                reporter,
                self.ids.clone(),
                Arc::clone(&self.dial),
            );
            tasks.spawn(attach.run(detach.clone()));
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
