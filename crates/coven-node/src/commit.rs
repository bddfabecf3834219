//! The commit pipeline and the output gate (design §3.4, §3.5; I2).
//!
//! Everything that a channel decides comes here as a [`Request`], in the channel's order. Requests that wait go together
//! into one commit of their shard; commits are numbered and sent without waiting for the one before. What a request
//! wants to send leaves when its commit is durable; a request without events leaves with the newest commit of its shard,
//! or at once when none is on its way. When a commit is refused, everything that built on it is dropped with it: outputs
//! here, the channels' states in their actors.

use crate::actor::Message;
use crate::convert;
use crate::shared::Shared;
use crate::table::Mailbox;
use coven_cluster::{Channel, Delivery, Output, ShardId};
use coven_core::{Condition, ErrorType, Origin, Refusal, Sequence};
use coven_store::{
    ChannelCommit, Claim, Commit, CommitNumber, Entry, Epoch, Error, Outcome, Owner, Pending,
    Receipts, TimerChange, fail,
};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// Commits on their way at a time: beyond it requests wait, and so grow together.
const IN_FLIGHT: usize = 32;
/// Requests taken at a time.
const BATCH: usize = 512;
/// Bytes of records after which a commit is closed.
const CLOSE_BYTES: usize = 256 * 1024;

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
    /// Who is to be told when it could not be done.
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) mailbox: Option<Arc<Mailbox>>,
    /// Answered when all before it is durable and sent.
    pub(crate) barrier: Option<oneshot::Sender<()>>,
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
            origin: None,
            mailbox: None,
            barrier: None,
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
    origin: Option<Arc<Origin>>,
    mailbox: Option<Arc<Mailbox>>,
    barrier: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct InFlight {
    shard: ShardId,
    number: CommitNumber,
    answer: Pending<()>,
    events: u64,
    parts: Vec<Part>,
}

/// A commit being put together.
#[derive(Debug)]
struct Building {
    shard: ShardId,
    channels: Vec<ChannelCommit>,
    index: HashMap<Channel, usize>,
    bytes: usize,
    parts: Vec<Part>,
}

#[derive(Debug, Default)]
struct Line {
    last: CommitNumber,
    on_their_way: usize,
    /// A commit was refused: nothing is taken until its followers have come back as well.
    broken: bool,
}

/// The pipeline's task.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    lines: HashMap<ShardId, Line>,
    in_flight: VecDeque<InFlight>,
    /// Channels whose state was dropped: the generation from which they are sound again.
    void: HashMap<Channel, u32>,
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
            shared,
        }
    }

    /// Runs until all senders of requests are gone and everything is durable.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut open = true;
        while open || !self.in_flight.is_empty() {
            let room = open && self.in_flight.len() < IN_FLIGHT;
            tokio::select! {
                biased;
                answer = answered(&mut self.in_flight), if !self.in_flight.is_empty() => {
                    self.finish(answer).await;
                }
                taken = requests.recv_many(&mut batch, BATCH), if room => {
                    open = taken > 0;
                    self.submit(&mut batch).await;
                }
            }
        }
    }

    async fn submit(&mut self, batch: &mut Vec<Request>) {
        let mut building: Vec<Building> = Vec::new();
        for request in batch.drain(..) {
            if self.is_void(&request) {
                self.refuse(request.into(), wait()).await;
            } else if request.writes() {
                self.add(&mut building, request);
            } else {
                self.attach(&mut building, request).await;
            }
        }
        for commit in building {
            self.send(commit);
        }
    }

    /// Whether a request builds on a state that was dropped, or its shard is being put right.
    fn is_void(&mut self, request: &Request) -> bool {
        if self
            .lines
            .get(&request.channel.shard())
            .is_some_and(|line| line.broken)
        {
            let sound = self
                .void
                .entry(request.channel.clone())
                .or_insert(request.generation + 1);
            *sound = (*sound).max(request.generation + 1);
            return true;
        }
        match self.void.get(&request.channel) {
            Some(sound) if request.generation < *sound => true,
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
        let full = |b: &Building| b.bytes + bytes > CLOSE_BYTES && !b.channels.is_empty();
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
    async fn attach(&mut self, building: &mut [Building], request: Request) {
        let shard = request.channel.shard();
        if let Some(commit) = building.iter_mut().find(|b| b.shard == shard) {
            commit.parts.push(request.into());
            return;
        }
        if let Some(commit) = self.in_flight.iter_mut().rev().find(|c| c.shard == shard) {
            commit.parts.push(request.into());
            return;
        }
        let last = self.lines.get(&shard).map_or(0, |line| line.last.0);
        release(&self.shared, request.into(), last).await;
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
            answer,
            events,
            parts,
        });
    }

    async fn finish(&mut self, answer: Result<(), Error>) {
        let Some(commit) = self.in_flight.pop_front() else {
            return;
        };
        let Some(line) = self.lines.get_mut(&commit.shard) else {
            return;
        };
        line.on_their_way -= 1;
        match answer {
            Ok(()) if !line.broken => {
                line.last = commit.number;
                self.shared.health.committed(commit.events);
                if self.shared.health.store(true) {
                    info!(event = "store-up", "the store takes commits again");
                }
                fail::point("node-after-commit");
                for part in commit.parts {
                    release(&self.shared, part, commit.number.0).await;
                }
            }
            answer => self.broken(commit, answer.err()).await,
        }
    }

    /// A commit was refused, or came after one that was.
    async fn broken(&mut self, commit: InFlight, error: Option<Error>) {
        let unknown = matches!(error, Some(Error::Unknown(_) | Error::Closed));
        let line = self.lines.entry(commit.shard).or_default();
        if !line.broken {
            line.broken = true;
            let error = error.map_or_else(String::new, |e| e.to_string());
            if self.shared.health.store(false) {
                error!(
                    event = "store-down",
                    shard = commit.shard.0,
                    error,
                    "commit refused"
                );
            }
        }
        let idle = line.on_their_way == 0;
        for part in commit.parts {
            let sound = self.void.entry(part.channel.clone()).or_insert(0);
            *sound = (*sound).max(part.generation + 1);
            let refusal = if unknown { not_known() } else { wait() };
            self.refuse(part, refusal).await;
        }
        if idle {
            self.mend(commit.shard).await;
        }
    }

    /// Takes the shard again, to learn where the store stands, and makes the channels begin anew from there.
    async fn mend(&mut self, shard: ShardId) {
        let epoch = Epoch(self.shared.epoch(shard).0);
        let own = Owner {
            epoch,
            session: self.shared.session,
        };
        let claim = Claim {
            session: self.shared.session,
            judged_dead: Some(own),
            known: epoch,
        };
        match self.shared.store.claim(convert::shard(shard), claim).await {
            Ok(ownership) => {
                if let Some(slot) = self.shared.epochs.get(usize::from(shard.0)) {
                    slot.store(ownership.epoch.0, Ordering::Release);
                }
                let last = ownership.last_commit;
                self.lines.insert(
                    shard,
                    Line {
                        last,
                        ..Line::default()
                    },
                );
                self.reset(shard);
            }
            Err(Error::Held { .. } | Error::Fenced { .. }) => {
                warn!(
                    event = "fenced",
                    shard = shard.0,
                    "the shard has another owner"
                );
            }
            Err(error) => {
                warn!(shard = shard.0, %error, "the shard could not be taken again yet");
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.lines.entry(shard).or_default().broken = false;
                self.reset(shard);
            }
        }
    }

    fn reset(&self, shard: ShardId) {
        for (channel, sound) in self.void.iter().filter(|(c, _)| c.shard() == shard) {
            if let Some(mailbox) = self.shared.table.get(channel) {
                mailbox.tell(Message::Reset { generation: *sound });
            }
        }
    }

    async fn refuse(&self, part: Part, refusal: Refusal) {
        self.shared.health.refused();
        if let Some(mailbox) = &part.mailbox {
            let sound = self.void.get(&part.channel).copied().unwrap_or_default();
            mailbox.tell(Message::Reset { generation: sound });
        }
        if let Some(origin) = part.origin {
            self.shared.refuse(&part.channel, origin, refusal).await;
        }
    }
}

impl Building {
    fn new(shard: ShardId) -> Self {
        let (channels, index, parts) = (Vec::new(), HashMap::new(), Vec::new());
        Self {
            shard,
            channels,
            index,
            bytes: 0,
            parts,
        }
    }

    fn add(&mut self, mut request: Request, bytes: usize) {
        self.bytes += bytes;
        let next = self.channels.len();
        let at = *self.index.entry(request.channel.clone()).or_insert(next);
        if at == next {
            let key = convert::key(&request.channel);
            let expected = convert::sequence(request.expected);
            self.channels.push(ChannelCommit::new(key, expected));
        }
        if let Some(commit) = self.channels.get_mut(at) {
            commit.unsent = true;
            commit.entries.append(&mut request.entries);
            commit.outcomes.append(&mut request.outcomes);
            if request.timer != TimerChange::Keep {
                commit.timer = request.timer;
            }
        }
        self.parts.push(request.into());
    }
}

/// Moves what is added to next to the end, where it is found.
trait ToEnd {
    fn push_to_end(&mut self, at: usize);
}

impl ToEnd for Vec<Building> {
    fn push_to_end(&mut self, at: usize) {
        let last = self.len().saturating_sub(1);
        self.swap(at, last);
    }
}

impl From<Request> for Part {
    fn from(request: Request) -> Self {
        Self {
            channel: request.channel,
            generation: request.generation,
            deliveries: request.deliveries,
            origin: request.origin,
            mailbox: request.mailbox,
            barrier: request.barrier,
        }
    }
}

async fn answered(in_flight: &mut VecDeque<InFlight>) -> Result<(), Error> {
    match in_flight.front_mut() {
        Some(commit) => (&mut commit.answer).await,
        None => std::future::pending().await,
    }
}

/// The gate opens: what depended on this commit leaves.
async fn release(shared: &Shared, part: Part, commit: u64) {
    if !part.deliveries.is_empty() {
        let (channel, deliveries) = (Some(part.channel), part.deliveries);
        shared
            .front
            .send(Output {
                channel,
                commit,
                deliveries,
            })
            .await;
    }
    if let Some(barrier) = part.barrier {
        let _nobody_waits = barrier.send(());
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
