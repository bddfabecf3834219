//! Where the store has lost more commits than are kept here (design §5.11): the owner lives, and with it the channels that it
//! has in memory. Each of these is written down as it is, over what is lost; of the others what the store has counts.
//!
//! Owns the order of that: the shard's number goes on from its own newest commit, so that nobody's later commit is taken for
//! a lost one; then each channel says how it is, behind all that it has decided, and is put in its place, with what is still
//! kept of its lost commits (messages for the archive, outcomes). Meanwhile the shard waits, as it does while it is claimed.
//! What is held goes on behind it. A gap is counted once, and costs events, not people (I6).

use super::held::Waiting;
use super::request::{AsItIs, Part, Request, Whole};
use super::{Awaited, Committer, InFlight, wait};
use crate::actor::Message;
use crate::convert;
use coven_cluster::{Channel, ShardId};
use coven_store::{
    ChannelCommit, ChannelKey, CommitNumber, Epoch, Error, Owner, Pending, Restored, Sequence,
    TimerChange,
};
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// How long channels may take to say how they are: one may wait for the store until commands are refused.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(100);

/// What is done about a gap.
#[derive(Debug)]
pub(super) struct Gap {
    /// What is kept of the lost commits, of each channel in one.
    kept: HashMap<ChannelKey, ChannelCommit>,
    /// Channels that have not said how they are.
    asked: HashSet<Channel>,
    /// Channels that cannot be put in their place: what was decided in them is void.
    void: HashSet<Channel>,
    /// What is to be done, in order; the first may be on its way.
    steps: VecDeque<Step>,
    restored: usize,
    until: Instant,
}

/// A step over the gap. One that is done twice finds that it is done.
#[derive(Debug, Clone)]
enum Step {
    Skip(CommitNumber),
    Restore(Channel, Box<Restored>),
}

impl Step {
    fn is_done(&self, answer: &Result<(), Error>) -> bool {
        match (self, answer) {
            (_, Ok(())) => true,
            (Self::Skip(to), Err(Error::Diverged { stored, .. })) => stored == to,
            (Self::Restore(_, it), Err(Error::Sequence { stored, .. })) => {
                *stored == it.snapshot.sequence
            }
            _ => false,
        }
    }
}

impl Committer {
    /// The store has commits up to `stored`, and what comes next is not kept.
    pub(super) fn gap(&mut self, shard: ShardId, stored: CommitNumber) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        if line.held.gap.is_some() {
            return;
        }
        let before = line.tail.bytes();
        let mut kept = HashMap::new();
        for commit in line.tail.rest(stored) {
            let changes = commit.channels.into_iter();
            changes.for_each(|change| join(&mut kept, change));
        }
        self.tail_bytes -= before;
        // Who waits for what is held could not say how the channel is.
        for part in line.held.waiting.iter_mut().flat_map(|it| &mut it.parts) {
            part.barrier = None;
        }
        let channels = self.shared.table.of(|of| of == shard);
        line.held.gap = Some(Gap {
            kept,
            asked: channels
                .iter()
                .map(|(channel, _)| channel.clone())
                .collect(),
            void: HashSet::new(),
            steps: VecDeque::from([Step::Skip(line.last)]),
            restored: 0,
            until: Instant::now() + PATIENCE,
        });
        error!(
            shard = shard.0, %stored, last = %line.last, channels = channels.len(),
            "the store has lost more commits than are kept: channels in memory are written down as they are, of the others what it has counts"
        );
        self.shared.health.gap();
        self.shared.kept.lose(shard);
        for (_, mailbox) in channels {
            mailbox.tell(Message::Whole);
        }
    }

    /// Whoever has to say how its channel is does not wait for what is held before that.
    pub(super) fn let_pass(&self, request: &mut Request) {
        let line = self.lines.get(&request.channel.shard());
        let gap = line.and_then(|line| line.held.gap.as_ref());
        if gap.is_some_and(|gap| gap.asked.contains(&request.channel)) {
            request.barrier = None;
        }
    }

    /// A channel says how it is. All that it has decided until now is held, or is lost.
    pub(super) fn told(&mut self, request: Request) {
        let shard = request.channel.shard();
        let is_void = self.is_void(&request);
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let Some(gap) = &mut line.held.gap else {
            return;
        };
        let channel = request.channel;
        if !gap.asked.remove(&channel) {
            return;
        }
        let key = convert::key(&channel);
        let mut change = gap.kept.remove(&key);
        let restored = match request.whole {
            Whole::Sound(it) if !is_void => {
                for waiting in &mut line.held.waiting {
                    take(&key, waiting, &mut change);
                }
                restored(key, *it, change)
            }
            _ => None,
        };
        match restored {
            Some(it) => gap.steps.push_back(Step::Restore(channel, Box::new(it))),
            None => {
                gap.void.insert(channel);
            }
        }
        if line.on_their_way == 0 && line.held.claim.is_none() {
            self.step(shard);
        }
    }

    /// Does what is next, when nothing of the shard is on its way.
    pub(super) fn step(&mut self, shard: ShardId) {
        let epoch = Epoch(self.shared.shards.epoch(shard).0);
        let line = self.lines.get(&shard);
        let Some(gap) = line.and_then(|line| line.held.gap.as_ref()) else {
            return;
        };
        let Some(step) = gap.steps.front() else {
            if gap.asked.is_empty() {
                return self.bridged(shard);
            }
            if Instant::now() >= gap.until {
                error!(
                    shard = shard.0,
                    "not every channel has said how it is: the shard is begun anew"
                );
                return self.let_go(shard, epoch, None);
            }
            return self.try_at(Instant::now() + LOOK, shard);
        };
        let step = step.clone();
        let answer = self.begun(shard, epoch, step);
        if let Some(line) = self.lines.get_mut(&shard) {
            line.on_their_way += 1;
            line.held.stepping = true;
        }
        self.in_flight.push_back(InFlight {
            shard,
            epoch,
            number: CommitNumber::default(),
            sent: Instant::now(),
            answer: Awaited::Step(answer),
            events: 0,
            parts: Vec::new(),
            commit: None,
        });
    }

    fn begun(&self, shard: ShardId, epoch: Epoch, step: Step) -> Pending<()> {
        let (store, shard) = (&self.shared.store, convert::shard(shard));
        match step {
            Step::Skip(to) => store.skip(shard, epoch, to),
            Step::Restore(_, restored) => store.restore(shard, epoch, *restored),
        }
    }

    /// A step was answered.
    pub(super) fn stepped(&mut self, shard: ShardId, answer: Result<(), Error>) {
        let own = Epoch(self.shared.shards.epoch(shard).0);
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        line.on_their_way -= 1;
        line.held.stepping = false;
        let Some(gap) = &mut line.held.gap else {
            return self.go_on(shard);
        };
        if gap.steps.front().is_some_and(|step| step.is_done(&answer)) {
            gap.restored += usize::from(matches!(gap.steps.pop_front(), Some(Step::Restore(..))));
            line.held.pause = Duration::ZERO;
            return match line.held.claim {
                None => self.step(shard),
                Some(_) => self.go_on(shard),
            };
        }
        match answer {
            Err(Error::Fenced { stored, .. }) => return self.step_fenced(shard, own, stored),
            Err(error @ (Error::Sequence { .. } | Error::Invalid(_))) => {
                if let Some(Step::Restore(channel, _)) = gap.steps.pop_front() {
                    error!(%channel, %error, "a channel cannot be written down as it is");
                    gap.void.insert(channel);
                }
            }
            Err(error) if error.is_temporary() || matches!(error, Error::Unknown(_)) => {
                self.say_away(shard, &error);
            }
            Err(error) => {
                error!(shard = shard.0, %error, "the gap cannot be bridged");
                return self.let_go(shard, own, None);
            }
            Ok(()) => {}
        }
        self.go_on(shard);
    }

    /// Another token than this node's: somebody else's, or one that the store has brought back (IL-16).
    fn step_fenced(&mut self, shard: ShardId, own: Epoch, stored: Option<Owner>) {
        let is_own = |by: &Owner| self.shared.sessions.is_own(by.session);
        let newer = stored.filter(|by| by.epoch > own && !is_own(by));
        if let Some(by) = newer {
            return self.lose(shard, Some(by.epoch));
        }
        if let Some(line) = self.lines.get_mut(&shard) {
            let session = line.held.session;
            let token = Owner {
                epoch: own,
                session,
            };
            if let Some(by) = stored.filter(is_own) {
                line.held.granted = line.held.granted.max(by.epoch);
            }
            line.held.claim = Some(stored.unwrap_or(token));
        }
        self.go_on(shard);
    }

    /// All channels in memory are in their places: what is held goes on behind them.
    fn bridged(&mut self, shard: ShardId) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let Some(gap) = line.held.gap.take() else {
            return;
        };
        let mut dropped = Vec::new();
        for waiting in &mut line.held.waiting {
            drop_void(&gap.void, waiting, &mut dropped);
        }
        line.held.pause = Duration::ZERO;
        let (written, lost) = (gap.restored, gap.kept.len() + gap.void.len());
        info!(
            shard = shard.0,
            written, lost, "channels are written down as they are"
        );
        for part in dropped {
            self.void(&part);
            self.refuse(part, wait());
        }
        self.go_on(shard);
    }
}

/// Takes what waits of a channel out of a commit: it is part of what is put in its place.
fn take(key: &ChannelKey, waiting: &mut Waiting, change: &mut Option<ChannelCommit>) {
    let channels = &mut waiting.commit.channels;
    while let Some(at) = channels.iter().position(|it| it.key == *key) {
        let next = channels.remove(at);
        match change {
            Some(change) => append(change, next),
            None => *change = Some(next),
        }
    }
}

fn drop_void(void: &HashSet<Channel>, waiting: &mut Waiting, dropped: &mut Vec<Part>) {
    let is_void = |key: &ChannelKey| void.iter().any(|channel| convert::key(channel) == *key);
    waiting.commit.channels.retain(|it| !is_void(&it.key));
    let parts = std::mem::take(&mut waiting.parts);
    let (void, parts): (Vec<_>, _) = parts
        .into_iter()
        .partition(|part| void.contains(&part.channel));
    waiting.parts = parts;
    dropped.extend(void);
}

fn join(all: &mut HashMap<ChannelKey, ChannelCommit>, next: ChannelCommit) {
    match all.get_mut(&next.key) {
        Some(change) => append(change, next),
        None => {
            all.insert(next.key.clone(), next);
        }
    }
}

fn append(change: &mut ChannelCommit, next: ChannelCommit) {
    change.entries.extend(next.entries);
    change.rewrites.extend(next.rewrites);
    change.outcomes.extend(next.outcomes);
    change.unsent |= next.unsent;
    if next.timer != TimerChange::Keep {
        change.timer = next.timer;
    }
}

/// The channel with what is kept of it; `None` if the two do not fit.
fn restored(key: ChannelKey, it: AsItIs, change: Option<ChannelCommit>) -> Option<Restored> {
    let head = it.snapshot.sequence;
    if head == Sequence(0) {
        return None;
    }
    let mut change = change.unwrap_or_else(|| ChannelCommit::new(key, head));
    let end = change
        .entries
        .last()
        .map_or(change.expected, |it| it.sequence);
    if end != head {
        warn!(key = %change.key, %end, %head, "what is kept of a channel does not lead to its state");
        return None;
    }
    change.unsent |= it.unsent;
    change.timer = it.timer;
    Some(Restored {
        snapshot: it.snapshot,
        alive: it.alive,
        change,
    })
}
