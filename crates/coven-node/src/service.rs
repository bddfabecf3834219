//! Starting and stopping a node.

use crate::actor::Message;
use crate::commit::Committer;
use crate::handle::Handle;
use crate::options::{Error, Options};
use crate::ownership::Take;
use crate::seat::Seat;
use crate::shared::{Health, Queues, Shared};
use crate::{deadlines, receipts, reconcile, upkeep};
use coven_cluster::{FrontLink, ProcessId, ShardId};
use coven_core::Epoch;
use coven_store::{SessionId, Store};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// At the end: until everything that was decided is durable and has left.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// A running node.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    stop: CancellationToken,
    /// Nothing more is taken into the commit pipeline.
    last_call: CancellationToken,
    pipeline: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts a node of a cluster: it owns nothing, and nobody is attached ([`Handle::take`], [`Handle::attach`]).
    #[must_use]
    pub fn start(store: Arc<dyn Store>, options: Options) -> (Handle, Self) {
        Self::begin(store, options, true)
    }

    /// Starts the node of a process that is alone: claims every shard of the store, with one front-end that holds every
    /// connection, and takes up what the last process has left: output not acknowledged, deadlines.
    ///
    /// The store must be this process's alone (SQLite: its file lock), so whoever owned a shard before is dead.
    pub async fn start_alone(
        store: Arc<dyn Store>,
        front: impl FrontLink + 'static,
        options: Options,
    ) -> Result<(Handle, Arc<Seat>, Self), Error> {
        let session = SessionId(random_u128());
        let (handle, service) = Self::begin(Arc::clone(&store), options, false);
        // Nobody else reads the store.
        handle.finalized(coven_proto::format::newest());
        let seat = handle.seat(ProcessId(0), front, true);
        let takes = all_shards(&*store, handle.shared.options.shards).await?;
        for (_, answer) in handle.take(takes, session).await {
            answer?;
        }
        Ok((handle, seat, service))
    }

    fn begin(store: Arc<dyn Store>, options: Options, is_cluster: bool) -> (Handle, Self) {
        let (shared, queues) = Shared::new(store, options, is_cluster);
        let shared = Arc::new(shared);
        let (stop, last_call) = (CancellationToken::new(), CancellationToken::new());
        let service = Self {
            pipeline: pipeline(&shared, queues, last_call.clone()),
            tasks: tasks(&shared, &stop),
            shared: Arc::clone(&shared),
            stop,
            last_call,
        };
        (Handle { shared }, service)
    }

    /// How the node is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// Takes the store that is there now for the right one: the operator's answer to one that was emptied or exchanged
    /// (design §5.15; [`Condition::Replaced`](coven_store::Condition::Replaced)). Shards are claimed again by themselves.
    ///
    /// Errors: a store that this process cannot use.
    pub async fn accept_store(&self) -> Result<coven_store::StoreId, coven_store::Error> {
        self.shared.store.accept().await
    }

    /// Ends only when the node cannot go on: a part of it, or its store, has ended by itself.
    pub async fn failed(&self) -> Error {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|why| *why) {
            Ok(Some(why)) => Error::Ended(why),
            _ => std::future::pending().await,
        }
    }

    /// Ends after everything decided is durable and the store is closed. Front-ends have to be drained before.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.shared.sweeps.end();
        // What the store did not take of the last acknowledgements: without them nothing can be written down.
        receipts::again(&self.shared);
        self.emptied().await;
        self.last_call.cancel();
        if tokio::time::timeout(MOST_WAIT, &mut self.pipeline)
            .await
            .is_err()
        {
            warn!("not everything that was decided has left");
        }
        self.shared.directory.flush(&self.shared).await;
        match tokio::time::timeout(MOST_WAIT, self.shared.store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the store did not close cleanly"),
            Err(_) => warn!("the store did not answer at the end"),
        }
        self.pipeline.abort();
        for task in &self.tasks {
            task.abort();
        }
        let mut others = self
            .shared
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        others.abort_all();
    }

    /// Writes snapshots of what is acknowledged. Waits, within bounds, until each channel has left memory or has said
    /// that it owes something: that one's journal is sent again after the next start.
    async fn emptied(&self) {
        let mut leaving = Vec::new();
        for mailbox in self.shared.table.all() {
            let (done, left) = oneshot::channel();
            mailbox.tell(Message::Idle(Some(done)));
            leaving.push(left);
        }
        let all_left = async {
            for left in leaving {
                let _ended = left.await;
            }
        };
        if tokio::time::timeout(MOST_WAIT, all_left).await.is_err() {
            info!("not every channel was written down: the next start reads more of the log");
        }
    }
}

/// The commit pipeline, which runs until the last call.
fn pipeline(shared: &Arc<Shared>, queues: Queues, last_call: CancellationToken) -> JoinHandle<()> {
    let committer = Committer::new(Arc::clone(shared));
    let run = committer.run(queues.requests, queues.controls, last_call);
    watched(shared, "the commit pipeline has ended", run)
}

/// What a node does by itself until it is stopped.
fn tasks(shared: &Arc<Shared>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let parts = || (Arc::clone(shared), stop.clone());
    let (node, stopped) = parts();
    let deadlines = deadlines::run(node, stopped);
    let (node, stopped) = parts();
    let rounds = upkeep::rounds(node, stopped);
    vec![
        watched(shared, "the watch over deadlines has ended", deadlines),
        watched(shared, "the upkeep of channels has ended", rounds),
        tokio::spawn(reconcile::run(Arc::clone(shared))),
    ]
}

/// A task that is not to end before the node does.
fn watched(
    shared: &Arc<Shared>,
    why: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    struct Ended(Arc<Shared>, &'static str);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fail(self.1);
        }
    }
    let ended = Ended(Arc::clone(shared), why);
    tokio::spawn(async move {
        let _ended = ended;
        task.await;
    })
}

/// All shards, over whoever owned them.
async fn all_shards(store: &dyn Store, shards: u16) -> Result<Vec<Take>, coven_store::Error> {
    let owners: Vec<_> = (0..shards)
        .map(|shard| (ShardId(shard), store.owner(coven_store::ShardId(shard))))
        .collect();
    let mut takes = Vec::with_capacity(owners.len());
    for (shard, owner) in owners {
        takes.push(Take {
            shard,
            judged_dead: owner.await?,
            known: Epoch::default(),
        });
    }
    Ok(takes)
}

fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    u128::from_le_bytes(bytes)
}
