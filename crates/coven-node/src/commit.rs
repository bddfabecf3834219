//! The commit pipeline and the output gate (design §3.4, §3.5; I2).
//!
//! Everything that a channel decides comes here as a [`Request`], in the channel's order. Requests that wait go together
//! into one commit of their shard; commits are numbered and sent without waiting for the one before. What a request
//! wants to send leaves when its commit is durable; a request without events leaves with the newest commit of its shard,
//! or at once when none is on its way. When a commit is refused, everything that built on it is dropped with it: outputs
//! here, the channels' states in their actors.
//!
//! The one task of the pipeline waits for nobody: front-ends that are slow wait in `commit/gate.rs`, a store that refuses
//! is tried again by `commit/mend.rs`. In a cluster a commit of which nothing is known is held instead (`commit/held.rs`).

mod building;
mod gate;
mod held;
mod mend;
mod tail;

use crate::actor::Room;
use crate::convert;
use crate::directory::Listed;
use crate::fronts::Seats;
use crate::holding::SeatNo;
use crate::quota::{self, Owner};
use crate::shared::Shared;
use crate::table::ChannelAcks;
use building::{Building, ToEnd};
use coven_cluster::trace::Span;
use coven_cluster::{Channel, Delivery, OperationId, Output, ShardId};
use coven_core::{Condition, ErrorType, Origin, Refusal, Sequence};
use coven_store::{
    Commit, CommitNumber, Entry, Epoch, Error, Outcome, Ownership, Pending, Receipts, SessionId,
    TimerChange, fail,
};
use gate::{Gate, Leaving};
use hashbrown::HashMap;
use mend::Line;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Commits on their way at a time: beyond it requests wait, and so grow together.
const IN_FLIGHT: usize = 32;
/// Requests taken at a time.
const BATCH: usize = 512;

/// What a channel wants to have committed, and sent after that.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) channel: Channel,
    /// Counts the states of the actor: those before the latest reset are void.
    pub(crate) generation: u32,
    /// The sequence before the first entry.
    pub(crate) expected: Sequence,
    pub(crate) entries: Vec<Entry>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) timer: TimerChange,
    pub(crate) deliveries: Vec<Delivery>,
    /// To whom they go.
    pub(crate) to: Seats,
    /// The roster that goes before them, to those of them that lack it.
    pub(crate) base: Option<(Box<Delivery>, Vec<SeatNo>)>,
    /// What is acknowledged of the channel.
    pub(crate) acks: ChannelAcks,
    /// The operation of a remote link that this came of.
    pub(crate) operation: Option<OperationId>,
    /// It is a read or a passing command: done when its answer leaves.
    pub(crate) is_passing: bool,
    /// What the directory says of the channel once this is durable.
    pub(crate) listing: Option<Box<Listed>>,
    /// Who owns the channel then, or no longer.
    pub(crate) owners: Vec<Owner>,
    /// The commit ends with another output of the channel: that one, not this, is what its acknowledgement stands for.
    pub(crate) more_follows: bool,
    /// Who is to be told when it could not be done.
    pub(crate) origin: Option<Arc<Origin>>,
    /// Answered when all before it is durable and sent.
    pub(crate) barrier: Option<oneshot::Sender<()>>,
    /// How far the operation is that it comes from.
    pub(crate) progress: Progress,
}

/// How far an operation is on its way; for telemetry only.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// When the node took it.
    pub(crate) taken: Option<Instant>,
    /// From its decision until it is durable.
    pub(crate) span: Option<Span>,
}

impl Request {
    /// Only deliveries, behind all that came before.
    pub(crate) fn output(room: &Room, to: Seats, deliveries: Vec<Delivery>) -> Self {
        Self {
            channel: room.channel.clone(),
            generation: room.generation,
            to,
            base: None,
            acks: Arc::clone(&room.acks),
            operation: None,
            is_passing: false,
            expected: Sequence(0),
            entries: Vec::new(),
            outcomes: Vec::new(),
            timer: TimerChange::Keep,
            deliveries,
            listing: None,
            owners: Vec::new(),
            more_follows: false,
            origin: None,
            barrier: None,
            progress: Progress::default(),
        }
    }

    const fn writes(&self) -> bool {
        !self.entries.is_empty() || !self.outcomes.is_empty()
    }
}

/// What of a request waits for its commit.
#[derive(Debug)]
struct Part {
    channel: Channel,
    generation: u32,
    deliveries: Vec<Delivery>,
    to: Seats,
    base: Option<(Box<Delivery>, Vec<SeatNo>)>,
    acks: ChannelAcks,
    operation: Option<OperationId>,
    is_passing: bool,
    /// It is part of its commit, and does not only wait for it.
    writes: bool,
    listing: Option<Box<Listed>>,
    owners: Vec<Owner>,
    more_follows: bool,
    origin: Option<Arc<Origin>>,
    barrier: Option<oneshot::Sender<()>>,
    progress: Progress,
    /// What its records weigh.
    bytes: usize,
}

#[derive(Debug)]
struct InFlight {
    shard: ShardId,
    /// Under which it was sent: the answer counts only while this is the shard's.
    epoch: Epoch,
    number: CommitNumber,
    sent: Instant,
    answer: Awaited,
    events: u64,
    parts: Vec<Part>,
    /// As it was sent, where it may have to be sent again.
    commit: Option<Commit>,
}

/// A word to the pipeline beside what channels want.
#[derive(Debug)]
pub(crate) enum Control {
    /// A shard is this node's.
    Open {
        shard: ShardId,
        session: SessionId,
        last: CommitNumber,
        done: oneshot::Sender<()>,
    },
    /// A shard is given up: told when everything of it is durable.
    Close(ShardId, oneshot::Sender<()>),
    /// A shard is another's.
    Drop(ShardId, oneshot::Sender<()>),
    /// A shard is to be claimed with the newest session: told when that is decided.
    Resume(ShardId, oneshot::Sender<()>),
    /// A front-end is detached.
    Detached,
}

/// What the store is to answer.
#[derive(Debug)]
enum Awaited {
    Commit(Pending<()>),
    Claim(Pending<Ownership>),
}

#[derive(Debug)]
enum Answer {
    Commit(Result<(), Error>),
    Claim(Result<Ownership, Error>),
}

/// A channel whose state was dropped.
#[derive(Debug, Clone, Copy, Default)]
struct Void {
    /// The generation from which it is sound again.
    sound: u32,
    /// A roster for the front-end was dropped with it.
    base_lost: bool,
}

/// The pipeline's task.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    lines: HashMap<ShardId, Line>,
    in_flight: VecDeque<InFlight>,
    /// Channels whose state was dropped, until they begin anew.
    void: HashMap<Channel, Void>,
    /// When the store is to be tried again.
    trials: BTreeSet<(Instant, ShardId)>,
    gate: Gate,
    /// The session that claims are for.
    session: watch::Receiver<SessionId>,
    /// About what the tails of all shards weigh.
    tail_bytes: usize,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            lines: HashMap::new(),
            in_flight: VecDeque::new(),
            void: HashMap::new(),
            trials: BTreeSet::new(),
            gate: Gate::default(),
            session: shared.session.subscribe(),
            tail_bytes: 0,
            shared,
        }
    }

    /// Runs until the last call, and after it until everything that was taken is durable and has left.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut controls: mpsc::Receiver<Control>,
        last_call: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut open = true;
        while open || !self.in_flight.is_empty() || !self.gate.is_empty() {
            let room = open && self.in_flight.len() < IN_FLIGHT && !self.gate.is_full();
            let trial = self.next_trial().filter(|_| open);
            tokio::select! {
                biased;
                answer = answered(&mut self.in_flight) => self.finish(answer),
                () = self.gate.sent(), if !self.gate.is_empty() => {}
                Some(control) = controls.recv() => self.control(control),
                () = last_call.cancelled(), if !requests.is_closed() => requests.close(),
                () = due(trial) => self.try_again(),
                taken = requests.recv_many(&mut batch, BATCH), if room => {
                    open = taken > 0;
                    self.submit(&mut batch);
                }
            }
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Open {
                shard,
                session,
                last,
                done,
            } => {
                self.close_line(shard);
                self.shared.shards.committed(shard, last.0);
                self.lines.insert(shard, Line::new(session, last));
                let _nobody_waits = done.send(());
            }
            Control::Close(shard, done) => self.close(shard, done),
            Control::Drop(shard, done) => {
                self.close_line(shard);
                let _nobody_waits = done.send(());
            }
            Control::Resume(shard, done) => self.resume(shard, done),
            Control::Detached => self.gate.sweep(),
        }
    }

    /// Nothing more is committed for a shard; what is on its way is nobody's.
    fn close_line(&mut self, shard: ShardId) {
        if let Some(line) = self.lines.remove(&shard) {
            self.tail_bytes -= line.tail.bytes();
        }
        self.void.retain(|channel, _| channel.shard() != shard);
        self.trials.retain(|(_, of)| *of != shard);
    }

    fn submit(&mut self, batch: &mut Vec<Request>) {
        let mut building: Vec<Building> = Vec::new();
        for request in batch.drain(..) {
            if !self.lines.contains_key(&request.channel.shard()) {
                self.not_owned(request);
            } else if self.is_void(&request) {
                let part = Part::new(request, 0);
                self.void(&part);
                self.refuse(part, wait());
            } else if request.writes() {
                self.add(&mut building, request);
            } else {
                self.attach(&mut building, request);
            }
        }
        for commit in building {
            self.send(commit);
        }
    }

    /// The shard is not this node's any more: what was decided is void, and asked of its new owner.
    fn not_owned(&self, request: Request) {
        if let Some(id) = request.operation {
            self.shared.not_owner(&request.channel, id);
        } else if let Some(origin) = request.origin {
            self.shared
                .refuse_from(&request.to, &request.channel, origin, wait());
        }
    }

    /// Whether a request builds on a state that was dropped, or its shard is being put right.
    fn is_void(&mut self, request: &Request) -> bool {
        let line = self.lines.get(&request.channel.shard());
        if line.is_some_and(|line| line.broken.is_some()) {
            return true;
        }
        match self.void.get(&request.channel) {
            Some(void) if request.generation < void.sound => true,
            Some(_) => {
                self.void.remove(&request.channel);
                false
            }
            None => false,
        }
    }

    fn add(&mut self, building: &mut Vec<Building>, request: Request) {
        let shard = request.channel.shard();
        let bytes: usize = request.entries.iter().map(|e| e.record.len()).sum();
        let full = |b: &Building| b.is_full(bytes);
        let at = building.iter().position(|b| b.shard == shard);
        match at {
            Some(at) if building.get(at).is_some_and(full) => {
                let closed = building.remove(at);
                self.send(closed);
                building.push(Building::new(shard));
            }
            Some(at) => building.push_to_end(at),
            None => building.push(Building::new(shard)),
        }
        if let Some(last) = building.last_mut() {
            last.add(request, bytes);
        }
    }

    /// Output without events: behind the newest commit of the shard, or out at once.
    fn attach(&mut self, building: &mut [Building], request: Request) {
        let shard = request.channel.shard();
        let epoch = Epoch(self.shared.epoch(shard).0);
        let part = Part::new(request, 0);
        if let Some(commit) = building.iter_mut().find(|b| b.shard == shard) {
            commit.parts.push(part);
            return;
        }
        let is_commit = |c: &&mut InFlight| {
            c.shard == shard && matches!(c.answer, Awaited::Commit(_)) && c.epoch == epoch
        };
        if let Some(commit) = self.in_flight.iter_mut().rev().find(is_commit) {
            commit.parts.push(part);
            return;
        }
        let line = self.lines.get_mut(&shard);
        if let Some(last) = line.and_then(|line| line.held.waiting.back_mut()) {
            last.parts.push(part);
            return;
        }
        let last = self.lines.get(&shard).map_or(0, |line| line.last.0);
        self.release(part, last);
    }

    fn send(&mut self, building: Building) {
        let Some(building) = self.wait_behind(building) else {
            return;
        };
        let Some(line) = self.lines.get_mut(&building.shard) else {
            return;
        };
        let number = line.next();
        line.on_their_way += 1;
        let epoch = Epoch(self.shared.epoch(building.shard).0);
        let commit = Commit {
            number,
            channels: building.channels,
            receipts: Receipts::default(),
        };
        let events = events(&commit);
        let copy = self.shared.is_cluster.then(|| commit.clone());
        fail::point("node-after-decide");
        let answer = self
            .shared
            .store
            .commit(convert::shard(building.shard), epoch, commit);
        let parts = building.parts;
        self.in_flight.push_back(InFlight {
            shard: building.shard,
            epoch,
            number,
            sent: Instant::now(),
            answer: Awaited::Commit(answer),
            events,
            parts,
            commit: copy,
        });
    }

    fn finish(&mut self, answer: Answer) {
        let Some(commit) = self.in_flight.pop_front() else {
            return;
        };
        let current = Epoch(self.shared.epoch(commit.shard).0) == commit.epoch;
        if !current || !self.lines.contains_key(&commit.shard) {
            return;
        }
        match answer {
            Answer::Claim(answer) if self.shared.is_cluster => {
                self.claimed_held(commit.shard, answer);
            }
            Answer::Claim(answer) => self.claimed(commit.shard, answer),
            Answer::Commit(answer) => self.committed(commit, answer),
        }
    }

    fn committed(&mut self, commit: InFlight, answer: Result<(), Error>) {
        let line = self.lines.entry(commit.shard).or_default();
        line.on_their_way -= 1;
        if self.shared.is_cluster {
            return self.answered_held(commit, answer);
        }
        if answer.is_err() || line.broken.is_some() {
            return self.broken(commit, answer);
        }
        line.last = commit.number;
        line.pause = std::time::Duration::ZERO;
        self.shared.shards.committed(commit.shard, commit.number.0);
        self.shared
            .health
            .committed(commit.events, commit.sent.elapsed());
        if self.shared.health.store(true) {
            info!(event = "store-up", "the store takes commits again");
        }
        fail::point("node-after-commit");
        for part in commit.parts {
            self.release(part, commit.number.0);
        }
    }

    /// The gate opens: what depended on this commit leaves.
    fn release(&mut self, part: Part, commit: u64) {
        if let Some(listing) = part.listing {
            self.shared.directory.note(&part.channel, *listing);
        }
        if !part.owners.is_empty() {
            quota::note(&self.shared, &part.channel, part.owners);
        }
        if let Some(taken) = part.progress.taken {
            self.shared.health.done(taken.elapsed());
        }
        let shard = part.channel.shard();
        let number = if part.more_follows { 0 } else { commit };
        let last = last_event(&part.deliveries);
        let marks = part.writes && !part.deliveries.is_empty();
        let mut acks = crate::table::lock(&part.acks);
        acks.leaves(last, number, marks);
        let chained = part.operation.filter(|_| !part.is_passing);
        if let Some(id) = chained {
            acks.waits(marks.then_some(commit), id.process, id.n);
        }
        drop(acks);
        let (channel, operation) = (part.channel.clone(), part.operation);
        if !part.deliveries.is_empty() || part.base.is_some() {
            let weight = gate::weight(&part.deliveries);
            let leaving = Leaving {
                bytes: part.bytes + weight,
                output: Output {
                    channel: Some(part.channel),
                    epoch: self.shared.epoch(shard),
                    commit: number,
                    deliveries: part.deliveries,
                    trace: part.progress.span.as_ref().map(Span::context),
                },
                to: part.to,
                base: part.base.map(|(base, to)| (*base, to)),
            };
            self.gate.push(shard, leaving);
        }
        match (operation, chained) {
            (_, Some(id)) => self.shared.committed(&channel, id, &part.acks),
            (Some(id), None) => self.shared.passed(&channel, id),
            (None, None) => {}
        }
        if let Some(barrier) = part.barrier {
            let _nobody_waits = barrier.send(());
        }
    }
}

fn events(commit: &Commit) -> u64 {
    commit.channels.iter().map(|c| c.entries.len() as u64).sum()
}

fn last_event(deliveries: &[Delivery]) -> Option<Sequence> {
    let sequence = |delivery: &Delivery| match delivery {
        Delivery::Event { record, .. } => Some(record.sequence),
        _ => None,
    };
    deliveries.iter().rev().find_map(sequence)
}

impl Part {
    fn new(request: Request, bytes: usize) -> Self {
        Self {
            writes: false,
            channel: request.channel,
            generation: request.generation,
            deliveries: request.deliveries,
            to: request.to,
            base: request.base,
            acks: request.acks,
            operation: request.operation,
            is_passing: request.is_passing,
            listing: request.listing,
            owners: request.owners,
            more_follows: request.more_follows,
            origin: request.origin,
            barrier: request.barrier,
            progress: request.progress,
            bytes,
        }
    }

    fn has_base(&self) -> bool {
        let is_base = |delivery: &Delivery| matches!(delivery, Delivery::Base { .. });
        self.base.is_some() || self.deliveries.iter().any(is_base)
    }
}

async fn answered(in_flight: &mut VecDeque<InFlight>) -> Answer {
    match in_flight.front_mut().map(|first| &mut first.answer) {
        Some(Awaited::Commit(answer)) => Answer::Commit(answer.await),
        Some(Awaited::Claim(answer)) => Answer::Claim(answer.await),
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Not done, and will not be: try again.
pub(crate) fn wait() -> Refusal {
    Refusal::new(Condition::ResourceConstraint, ErrorType::Wait)
}

/// Not known whether it was done (I5).
fn not_known() -> Refusal {
    Refusal::new(Condition::RemoteServerTimeout, ErrorType::Wait)
}
