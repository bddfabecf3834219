//! The commit pipeline and the output gate (design §3.4, §3.5; I2).
//!
//! Everything that a channel decides comes here as a [`Request`], in the channel's order. Requests that wait go together
//! into one commit of their shard; commits are numbered and sent without waiting for the one before. What a request
//! wants to send leaves when its commit is durable; a request without events leaves with the newest commit of its shard,
//! or at once when none is on its way. When a commit is refused, everything that built on it is dropped with it: outputs
//! here, the channels' states in their actors.
//!
//! The one task of the pipeline waits for nobody: front-ends that are slow wait in `commit/gate.rs`, a store that refuses
//! is tried again by `commit/mend.rs`.

mod building;
mod gate;
mod mend;

use crate::convert;
use crate::directory::Listed;
use crate::quota::{self, Owner};
use crate::shared::Shared;
use building::{Building, ToEnd};
use coven_cluster::trace::Span;
use coven_cluster::{Channel, Delivery, Output, ShardId};
use coven_core::{Condition, ErrorType, Origin, Refusal, Sequence};
use coven_store::{
    Commit, CommitNumber, Entry, Epoch, Error, Outcome, Ownership, Pending, Receipts, TimerChange,
    fail,
};
use gate::{Gate, Leaving};
use hashbrown::HashMap;
use mend::Line;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
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
    /// What the directory says of the channel once this is durable.
    pub(crate) listing: Option<Box<Listed>>,
    /// Who owns the channel then, or no longer.
    pub(crate) owners: Vec<Owner>,
    /// It ends with another output: that one, not this, is what the commit's acknowledgement stands for.
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
    pub(crate) fn output(channel: &Channel, generation: u32, deliveries: Vec<Delivery>) -> Self {
        Self {
            channel: channel.clone(),
            generation,
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
    number: CommitNumber,
    sent: Instant,
    answer: Awaited,
    events: u64,
    parts: Vec<Part>,
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
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, last: &[CommitNumber]) -> Self {
        let line = |(no, last): (usize, &CommitNumber)| {
            let shard = ShardId(u16::try_from(no).unwrap_or_default());
            (
                shard,
                Line {
                    last: *last,
                    ..Line::default()
                },
            )
        };
        Self {
            lines: last.iter().enumerate().map(line).collect(),
            in_flight: VecDeque::new(),
            void: HashMap::new(),
            trials: BTreeSet::new(),
            gate: Gate::new(Arc::clone(&shared.front)),
            shared,
        }
    }

    /// Runs until the last call, and after it until everything that was taken is durable and has left.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
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
                () = last_call.cancelled(), if !requests.is_closed() => requests.close(),
                () = due(trial) => self.try_again(),
                taken = requests.recv_many(&mut batch, BATCH), if room => {
                    open = taken > 0;
                    self.submit(&mut batch);
                }
            }
        }
    }

    fn submit(&mut self, batch: &mut Vec<Request>) {
        let mut building: Vec<Building> = Vec::new();
        for request in batch.drain(..) {
            if self.is_void(&request) {
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
        let part = Part::new(request, 0);
        if let Some(commit) = building.iter_mut().find(|b| b.shard == shard) {
            commit.parts.push(part);
            return;
        }
        if let Some(commit) = self.in_flight.iter_mut().rev().find(|c| c.shard == shard) {
            commit.parts.push(part);
            return;
        }
        let last = self.lines.get(&shard).map_or(0, |line| line.last.0);
        self.release(part, last);
    }

    fn send(&mut self, building: Building) {
        let line = self.lines.entry(building.shard).or_default();
        let number = CommitNumber(line.last.0 + line.on_their_way as u64 + 1);
        line.on_their_way += 1;
        let events = building
            .channels
            .iter()
            .map(|c| c.entries.len() as u64)
            .sum();
        let epoch = Epoch(self.shared.epoch(building.shard).0);
        let commit = Commit {
            number,
            channels: building.channels,
            receipts: Receipts::default(),
        };
        fail::point("node-after-decide");
        let answer = self
            .shared
            .store
            .commit(convert::shard(building.shard), epoch, commit);
        let parts = building.parts;
        self.in_flight.push_back(InFlight {
            shard: building.shard,
            number,
            sent: Instant::now(),
            answer: Awaited::Commit(answer),
            events,
            parts,
        });
    }

    fn finish(&mut self, answer: Answer) {
        let Some(commit) = self.in_flight.pop_front() else {
            return;
        };
        match answer {
            Answer::Claim(answer) => self.claimed(commit.shard, answer),
            Answer::Commit(answer) => self.committed(commit, answer),
        }
    }

    fn committed(&mut self, commit: InFlight, answer: Result<(), Error>) {
        let line = self.lines.entry(commit.shard).or_default();
        line.on_their_way -= 1;
        if answer.is_err() || line.broken.is_some() {
            return self.broken(commit, answer);
        }
        line.last = commit.number;
        line.pause = std::time::Duration::ZERO;
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
        let bytes = part.bytes + gate::weight(&part.deliveries);
        if let Some(listing) = part.listing {
            self.shared.directory.note(&part.channel, *listing);
        }
        if !part.owners.is_empty() {
            quota::note(&self.shared, &part.channel, part.owners);
        }
        if let Some(taken) = part.progress.taken {
            self.shared.health.done(taken.elapsed());
        }
        let (shard, barrier) = (part.channel.shard(), part.barrier);
        let output = (!part.deliveries.is_empty()).then_some(Output {
            channel: Some(part.channel),
            epoch: self.shared.epoch(shard),
            commit: if part.more_follows { 0 } else { commit },
            deliveries: part.deliveries,
            trace: part.progress.span.as_ref().map(Span::context),
        });
        let leaving = Leaving {
            output,
            bytes,
            barrier,
        };
        self.gate.push(shard, leaving);
    }
}

impl Part {
    fn new(request: Request, bytes: usize) -> Self {
        Self {
            channel: request.channel,
            generation: request.generation,
            deliveries: request.deliveries,
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
        self.deliveries.iter().any(is_base)
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
