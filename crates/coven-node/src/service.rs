//! Starting and stopping a node.

use crate::actor::Message;
use crate::commit::Committer;
use crate::directory::Directory;
use crate::handle::Handle;
use crate::options::{Error, Options};
use crate::receipts::Unstored;
use crate::shared::{Health, Link, Shared};
use crate::sweep::Sweeps;
use crate::table::Table;
use crate::{receipts, reconcile, start, upkeep};
use coven_cluster::FrontLink;
use coven_store::{Claim, CommitNumber, Epoch, SessionId, ShardId, Store};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Requests that wait for the commit pipeline; channels wait beyond it.
const COMMIT_QUEUE: usize = 4096;
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
    /// Claims every shard of the store, and takes up what the last process has left: output not acknowledged, deadlines.
    ///
    /// The store must be this process's alone (SQLite: its file lock), so whoever owned a shard before is dead.
    pub async fn start(
        store: Arc<dyn Store>,
        front: impl FrontLink + 'static,
        options: Options,
    ) -> Result<(Handle, Self), Error> {
        let session = SessionId(random_u128());
        let claimed = claim_all(&*store, session, options.shards).await?;
        let (commits, requests) = mpsc::channel(COMMIT_QUEUE);
        let (timers, changes) = mpsc::channel(COMMIT_QUEUE);
        let shared = Arc::new(Shared {
            reads: Arc::new(Semaphore::new(options.reads)),
            epochs: claimed
                .iter()
                .map(|(epoch, _)| AtomicU64::new(epoch.0))
                .collect(),
            front: Arc::new(Link(Arc::new(front))),
            failure: watch::Sender::new(None),
            table: Table::new(),
            directory: Directory::default(),
            health: Health::default(),
            unstored: Unstored::default(),
            sweeps: Sweeps::default(),
            session,
            commits,
            timers,
            store,
            options,
        });
        let last: Vec<CommitNumber> = claimed.iter().map(|(_, last)| *last).collect();
        let committer = Committer::new(Arc::clone(&shared), &last);
        let stop = CancellationToken::new();
        let last_call = CancellationToken::new();
        let pipeline = watched(
            &shared,
            "the commit pipeline has ended",
            committer.run(requests, last_call.clone()),
        );
        let tasks = vec![
            watched(
                &shared,
                "the watch over deadlines has ended",
                upkeep::deadlines(Arc::clone(&shared), changes, stop.clone()),
            ),
            watched(
                &shared,
                "the upkeep of channels has ended",
                upkeep::rounds(Arc::clone(&shared), stop.clone()),
            ),
        ];
        info!(
            event = "shard-claimed",
            shards = shared.options.shards,
            "all shards are ours"
        );
        let mut service = Self {
            shared: Arc::clone(&shared),
            stop,
            last_call,
            pipeline,
            tasks,
        };
        let unsent = start::unsent(&service.shared).await?;
        let loading = start::load_all(Arc::clone(&service.shared), unsent);
        service.tasks.push(tokio::spawn(loading));
        let comparing = reconcile::run(Arc::clone(&service.shared));
        service.tasks.push(tokio::spawn(comparing));
        Ok((Handle { shared }, service))
    }

    /// How the node is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health.clone()
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
        if let Err(error) = self.shared.store.close().await {
            warn!(%error, "the store did not close cleanly");
        }
        self.pipeline.abort();
        for task in &self.tasks {
            task.abort();
        }
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

async fn claim_all(
    store: &dyn Store,
    session: SessionId,
    shards: u16,
) -> Result<Vec<(Epoch, CommitNumber)>, coven_store::Error> {
    let shards = (0..shards).map(ShardId);
    let owners: Vec<_> = shards.map(|shard| (shard, store.owner(shard))).collect();
    let mut claims = Vec::with_capacity(owners.len());
    for (shard, owner) in owners {
        let judged_dead = owner.await?;
        let known = Epoch(0);
        claims.push(store.claim(
            shard,
            Claim {
                session,
                judged_dead,
                known,
            },
        ));
    }
    let mut claimed = Vec::with_capacity(claims.len());
    for claim in claims {
        let ownership = claim.await?;
        claimed.push((ownership.epoch, ownership.last_commit));
    }
    Ok(claimed)
}

fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    u128::from_le_bytes(bytes)
}
