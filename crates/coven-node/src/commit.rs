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

mod answers;
mod building;
mod claims;
mod gate;
mod held;
mod mend;
mod release;
mod request;
mod tail;

use crate::convert;
use crate::shared::Shared;
use answers::{Answer, Awaited, InFlight, answered};
use building::{Building, ToEnd};
use coven_cluster::{Channel, ShardId};
use coven_core::{Condition, ErrorType, Refusal};
use coven_store::{Commit, CommitNumber, Epoch, Error, Receipts, SessionId, fail};
use gate::Gate;
pub(crate) use gate::weight;
use hashbrown::HashMap;
use mend::Line;
use request::Part;
pub(crate) use request::{Progress, Request};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Commits on their way at a time: beyond it requests wait, and so grow together.
const IN_FLIGHT: usize = 32;
/// The same with those that have waited for longer than this.
const MOST_IN_FLIGHT: usize = 16 * IN_FLIGHT;
const SLOW: Duration = Duration::from_millis(500);
/// Requests taken at a time.
const BATCH: usize = 512;

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
    /// About what the tails of all shards weigh.
    tail_bytes: usize,
    /// When they were last looked through for what is too old.
    trimmed: Option<Instant>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            lines: HashMap::new(),
            in_flight: VecDeque::new(),
            void: HashMap::new(),
            trials: BTreeSet::new(),
            gate: Gate::default(),
            tail_bytes: 0,
            trimmed: None,
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
            let room = open && self.has_room() && !self.gate.is_full();
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

    /// What waits for a shard that does not answer holds up the others only when there is much of it.
    fn has_room(&self) -> bool {
        let is_quick = |it: &&InFlight| it.sent.elapsed() < SLOW;
        let quick = self.in_flight.iter().filter(is_quick).count();
        quick < IN_FLIGHT && self.in_flight.len() < MOST_IN_FLIGHT
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
            let shard = request.channel.shard();
            let is_of_earlier = request.tenure != self.shared.shards.tenure(shard);
            if is_of_earlier || !self.lines.contains_key(&shard) {
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
            self.shared.not_owner(&request.channel, id, request.epoch);
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

    fn finish(&mut self, (at, answer): (usize, Answer)) {
        let Some(commit) = self.in_flight.remove(at) else {
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
}

fn events(commit: &Commit) -> u64 {
    commit.channels.iter().map(|c| c.entries.len() as u64).sum()
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
