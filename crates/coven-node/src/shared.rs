//! What all parts of a node hold in common.

use crate::commit::Request;
use crate::directory::Directory;
use crate::options::Options;
use crate::receipts::Unstored;
use crate::sweep::Sweeps;
use crate::table::Table;
use coven_cluster::timing::{Times, Timing};
use coven_cluster::{Channel, Delivery, FrontLink, Output, ShardId, ToFront};
use coven_core::{Epoch, Origin, Refusal, Service as Policies, Timestamp};
use coven_store::{SessionId, Store};
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, watch};

/// What all parts of a node hold in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) front: Arc<dyn Front>,
    pub(crate) session: SessionId,
    /// By number of the shard.
    pub(crate) epochs: Vec<AtomicU64>,
    pub(crate) commits: mpsc::Sender<Request>,
    pub(crate) table: Table,
    pub(crate) directory: Directory,
    pub(crate) timers: mpsc::Sender<(Channel, Option<Timestamp>)>,
    pub(crate) reads: Arc<Semaphore>,
    pub(crate) sweeps: Sweeps,
    pub(crate) health: Health,
    /// Why the node cannot go on, once it cannot.
    pub(crate) failure: watch::Sender<Option<&'static str>>,
    pub(crate) unstored: Unstored,
}

/// A [`FrontLink`] behind a pointer.
pub(crate) trait Front: std::fmt::Debug + Send + Sync {
    fn send(&self, message: ToFront) -> Sending;
}

/// An output on its way to a front-end.
pub(crate) type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a [`Front`] of a link.
#[derive(Debug)]
pub(crate) struct Link<F>(pub(crate) Arc<F>);

impl<F: FrontLink + 'static> Front for Link<F> {
    fn send(&self, message: ToFront) -> Sending {
        let link = Arc::clone(&self.0);
        Box::pin(async move { link.send(message).await })
    }
}

impl Shared {
    /// The epoch under which this node owns a shard.
    pub(crate) fn epoch(&self, shard: ShardId) -> Epoch {
        let epoch = self.epochs.get(usize::from(shard.0));
        Epoch(epoch.map_or(0, |e| e.load(Ordering::Acquire)))
    }

    /// The policies of a channel's space.
    pub(crate) fn policies(&self, channel: &Channel) -> Arc<Policies> {
        self.options
            .spaces
            .get(&channel.name().space)
            .cloned()
            .unwrap_or_default()
    }

    /// The node cannot go on: whoever runs it is told.
    pub(crate) fn fail(&self, why: &'static str) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(why);
            first
        });
    }

    /// Sends an error for something that was not done. Where none may be given, nothing is sent (MUC-ERR-04).
    pub(crate) async fn refuse(&self, channel: &Channel, origin: Arc<Origin>, refusal: Refusal) {
        if !origin.is_answerable() {
            return;
        }
        let delivery = Delivery::Refused {
            origin,
            refusal: Box::new(refusal),
            operation: None,
        };
        let output = self.output(Some(channel.clone()), vec![delivery]);
        self.front.send(output).await;
    }

    /// Output that depends on no commit.
    pub(crate) fn output(&self, channel: Option<Channel>, deliveries: Vec<Delivery>) -> ToFront {
        let epoch = channel.as_ref().map(|channel| self.epoch(channel.shard()));
        ToFront::from(Output {
            channel,
            epoch: epoch.unwrap_or_default(),
            commit: 0,
            deliveries,
            trace: None,
        })
    }
}

/// Channels with damage that are told apart, at most.
const MOST_DAMAGED: usize = 1000;

/// How the node is, for readiness and for operators.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    store_down: AtomicBool,
    receipts_wait: AtomicBool,
    /// Channels whose archive was found to be damaged.
    damaged: Mutex<HashSet<Channel>>,
    commits: AtomicU64,
    events: AtomicU64,
    refused: AtomicU64,
    panics: AtomicU64,
    quarantined: AtomicU64,
    loaded: AtomicU64,
    commit_times: Timing,
    operation_times: Timing,
}

/// Counters of a node at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The store takes commits.
    pub store_up: bool,
    /// Group commits that became durable.
    pub commits: u64,
    /// Events that became durable.
    pub events: u64,
    /// Commands refused because the store or a queue did not take them.
    pub refused: u64,
    /// Panics in channels' turns.
    pub panics: u64,
    /// Channels in quarantine.
    pub quarantined: u64,
    /// Channels loaded or created so far.
    pub loaded: u64,
    /// From handing a group commit to the store until it was durable.
    pub commit_times: Times,
    /// From taking an operation until what it led to could leave.
    pub operation_times: Times,
}

impl Health {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let c = &self.0;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            store_up: !c.store_down.load(Ordering::Relaxed),
            commits: get(&c.commits),
            events: get(&c.events),
            refused: get(&c.refused),
            panics: get(&c.panics),
            quarantined: get(&c.quarantined),
            loaded: get(&c.loaded),
            commit_times: c.commit_times.times(),
            operation_times: c.operation_times.times(),
        }
    }

    /// Notes whether the store takes commits; says whether that is news.
    pub(crate) fn store(&self, up: bool) -> bool {
        self.0.store_down.swap(!up, Ordering::Relaxed) == up
    }

    /// Notes whether the store takes acknowledgements; says whether that is news.
    pub(crate) fn receipts(&self, taken: bool) -> bool {
        self.0.receipts_wait.swap(!taken, Ordering::Relaxed) == taken
    }

    /// Notes damage in a channel's archive; says whether that is news.
    pub(crate) fn damaged(&self, channel: &Channel) -> bool {
        let mut damaged = self
            .0
            .damaged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        damaged.len() < MOST_DAMAGED && damaged.insert(channel.clone())
    }

    pub(crate) fn committed(&self, events: u64, took: Duration) {
        self.0.commit_times.note(took);
        self.0.commits.fetch_add(1, Ordering::Relaxed);
        self.0.events.fetch_add(events, Ordering::Relaxed);
    }

    /// What an operation led to may leave.
    pub(crate) fn done(&self, took: Duration) {
        self.0.operation_times.note(took);
    }

    pub(crate) fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn panicked(&self) {
        self.0.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn quarantined(&self) {
        self.0.quarantined.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn loaded(&self) {
        self.0.loaded.fetch_add(1, Ordering::Relaxed);
    }
}

/// The time of day; the one place in the node that asks for it.
#[allow(
    clippy::disallowed_methods,
    reason = "the shell's clock: facts for the core come from here"
)]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
