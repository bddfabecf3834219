//! What all parts of a node hold in common.

use crate::aside::Asides;
use crate::commit::{Control, Request};
use crate::deadlines::Deadlines;
use crate::directory::Directory;
use crate::ending::Ending;
use crate::formats::Formats;
use crate::fronts::{Fronts, SeatState, Seats};
use crate::kept::Kept;
use crate::options::Options;
use crate::ownership::NodeEvent;
use crate::quarantine::Quarantine;
use crate::reads::Reads;
use crate::receipts::Unstored;
use crate::responsible::asked;
use crate::sessions::Sessions;
use crate::shards::Shards;
use crate::sweep::Sweeps;
use crate::table::{ChannelAcks, Table, lock};
use coven_cluster::timing::{Times, Timing};
use coven_cluster::{Channel, Delivery, OperationId, Output, ShardId, ToFront};
use coven_core::{Epoch, Origin, Refusal, Service as Policies, Timestamp};
use coven_store::Store;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};

/// Requests that wait for the commit pipeline; channels wait beyond it.
const COMMIT_QUEUE: usize = 4096;
/// Words to the commit pipeline that wait.
const CONTROLS: usize = 64;
/// Events that wait for whoever listens.
const EVENTS: usize = 4096;

/// What all parts of a node hold in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    /// Other nodes may own shards, and front-ends are elsewhere.
    pub(crate) is_cluster: bool,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fronts: Fronts,
    pub(crate) sessions: Sessions,
    pub(crate) shards: Shards,
    pub(crate) commits: mpsc::Sender<Request>,
    pub(crate) controls: mpsc::Sender<Control>,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(crate) table: Table,
    pub(crate) directory: Directory,
    /// Shards were taken: the directory is to be compared with them.
    pub(crate) taken: Notify,
    pub(crate) deadlines: Deadlines,
    pub(crate) reads: Reads,
    pub(crate) asides: Asides,
    /// Places for channels that are loaded since their shard was taken.
    pub(crate) loads: Arc<Semaphore>,
    /// Room for departures that wait.
    pub(crate) departing: Arc<Semaphore>,
    pub(crate) sweeps: Sweeps,
    pub(crate) formats: Formats,
    pub(crate) quarantine: Quarantine,
    pub(crate) ending: Ending,
    pub(crate) health: Health,
    /// Why the node cannot go on, once it cannot.
    pub(crate) failure: watch::Sender<Option<&'static str>>,
    pub(crate) unstored: Unstored,
    pub(crate) kept: Kept,
    /// Tasks that belong to nobody else: ended with the node.
    pub(crate) tasks: Mutex<tokio::task::JoinSet<()>>,
}

/// What waits for the commit pipeline.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) controls: mpsc::Receiver<Control>,
}

impl Shared {
    /// What a node has at its start, and what its commit pipeline takes from.
    pub(crate) fn new(store: Arc<dyn Store>, options: Options, is_cluster: bool) -> (Self, Queues) {
        let (commits, requests) = mpsc::channel(COMMIT_QUEUE);
        let (controls, words) = mpsc::channel(CONTROLS);
        let shared = Self {
            is_cluster,
            reads: Reads::new(options.reads),
            departing: crate::departures::budget(),
            loads: Arc::new(Semaphore::new(crate::start::AT_A_TIME)),
            shards: Shards::new(options.shards),
            fronts: Fronts::new(options.connections.clone()),
            failure: watch::Sender::new(None),
            table: Table::new(),
            deadlines: Deadlines::default(),
            directory: Directory::default(),
            health: Health::default(),
            unstored: Unstored::default(),
            asides: Asides::default(),
            kept: Kept::default(),
            sweeps: Sweeps::default(),
            formats: Formats::default(),
            quarantine: Quarantine::default(),
            ending: Ending::default(),
            sessions: Sessions::default(),
            events: broadcast::Sender::new(EVENTS),
            taken: Notify::new(),
            tasks: Mutex::default(),
            commits,
            controls,
            store,
            options,
        };
        let controls = words;
        (shared, Queues { requests, controls })
    }

    /// The epoch under which this node owns a shard; 0 if it does not.
    pub(crate) fn epoch(&self, shard: ShardId) -> Epoch {
        self.shards.epoch(shard)
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

    /// Runs something until it or the node ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Sends an error for something that was not done. Where none may be given, nothing is sent (MUC-ERR-04).
    pub(crate) fn refuse(&self, channel: &Channel, origin: Arc<Origin>, refusal: Refusal) {
        let view = self.fronts.view(&channel.name().space);
        self.refuse_from(&view.seats, channel, origin, refusal);
    }

    /// The same, to certain front-ends.
    pub(crate) fn refuse_from(
        &self,
        seats: &Seats,
        channel: &Channel,
        origin: Arc<Origin>,
        refusal: Refusal,
    ) {
        if !origin.is_answerable() {
            return;
        }
        let delivery = Delivery::Refused {
            origin,
            refusal: Box::new(refusal),
            operation: None,
        };
        let output = self.output(Some(channel.clone()), vec![delivery]);
        for seat in seats.iter() {
            seat.tell(output.clone());
        }
    }

    /// The operation's shard is not this node's.
    pub(crate) fn not_owner(&self, channel: &Channel, id: OperationId, epoch: Epoch) {
        let channel = channel.clone();
        let word = ToFront::NotOwner { channel, id, epoch };
        self.fronts.tell(id.process, word);
    }

    /// The operation was refused without a stored outcome (IL-19).
    pub(crate) fn not_taken(&self, channel: &Channel, id: OperationId, refusal: Refusal) {
        let channel = channel.clone();
        let refusal = Box::new(refusal);
        let word = ToFront::NotTaken {
            channel,
            id,
            refusal,
        };
        self.fronts.tell(id.process, word);
    }

    /// What an operation led to is durable (IL-25); it may be done with that.
    pub(crate) fn committed(&self, channel: &Channel, id: OperationId, acks: &ChannelAcks) {
        let word = ToFront::Committed {
            channel: channel.clone(),
            n: id.n,
        };
        self.fronts.tell(id.process, word);
        self.done(channel, acks);
    }

    /// A read or a passing command was answered: it is done, whatever else is owed.
    pub(crate) fn passed(&self, channel: &Channel, id: OperationId) {
        let (channel, n) = (channel.clone(), id.n);
        self.fronts.tell(id.process, ToFront::Done { channel, n });
    }

    /// Says which operations are done.
    pub(crate) fn done(&self, channel: &Channel, acks: &ChannelAcks) {
        let view = self.fronts.view(&channel.name().space);
        let done = lock(acks).done(&view.connections);
        for (process, n) in done {
            let channel = channel.clone();
            self.fronts.tell(process, ToFront::Done { channel, n });
        }
    }

    /// A front-end is detached: nothing is sent to it any more.
    pub(crate) fn detach(&self, seat: &SeatState) {
        self.fronts.detach(seat);
        // A pipeline that is busy finds out by itself, with the next output.
        let _busy = self.controls.try_send(Control::Detached);
    }

    /// A shard is this node's, under this epoch.
    pub(crate) fn announce(&self, shard: ShardId, epoch: Epoch) {
        self.fronts.tell_all(&ToFront::Owned(vec![(shard, epoch)]));
    }

    /// Sends something that needs no order to all front-ends of a space, or to all. Waits for the one in this process.
    pub(crate) async fn say(&self, channel: Option<Channel>, deliveries: Vec<Delivery>) {
        let seats = match &channel {
            Some(channel) => self.fronts.view(&channel.name().space).seats.to_vec(),
            None => self.fronts.all(),
        };
        let space = channel.as_ref().map(|channel| channel.name().space.clone());
        let output = self.output(channel, deliveries);
        let asked = match &output {
            ToFront::Output(output) if !seats.iter().any(|seat| seat.is_local) => asked(output),
            _ => None,
        };
        let responsible = asked.and_then(|origin| self.fronts.responsible(space.as_ref(), origin));
        let seats = responsible.map_or(seats, |one| vec![one]);
        for seat in seats {
            if seat.is_local {
                let sent = seat.send(output.clone());
                let _gone = seat.gone.run_until_cancelled(sent).await;
            } else {
                seat.tell(output.clone());
            }
        }
    }

    /// Output that depends on no commit.
    pub(crate) fn output(&self, channel: Option<Channel>, deliveries: Vec<Delivery>) -> ToFront {
        let said = |channel: &Channel| self.shards.said(channel.shard());
        let epoch = channel.as_ref().map(said);
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
    gaps: AtomicU64,
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
    /// How often the store had lost more commits than are kept.
    pub gaps: u64,
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
            gaps: get(&c.gaps),
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

    pub(crate) fn gap(&self) {
        self.0.gaps.fetch_add(1, Ordering::Relaxed);
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
