//! What follows where other nodes may own a shard, and the store may be away or lose commits (design §5.1, 5.11, 5.12).
//!
//! A commit of which nothing is known is held and repeated under its own number: one that was taken is found to be stored,
//! and its output leaves behind the next commit that is durable. Nothing that was decided is refused, so nothing that was
//! refused is committed later (IL-24). When the store is found to be behind, or the session was lost, the shard is claimed
//! again over this node's own token, and the store gets what it lacks from the tail, in whole commits (IL-16, 17, 18). Who
//! finds a higher epoch drops the shard.

use super::building::only_last_stands;
use super::{Awaited, Building, Committer, InFlight, Line, Part};
use crate::convert;
use coven_cluster::ShardId;
use coven_store::{Commit, CommitNumber, Epoch, Error, Owner, SessionId};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// The store is tried again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(1);
/// How often what is too old is looked for.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// Bytes of the last commits that are kept, all shards together.
const TAIL_BYTES: usize = 64 * 1024 * 1024;

/// A shard's commits that are held.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Of which nothing is known, or that have not been sent yet: in order, without gaps behind the last.
    pub(super) waiting: VecDeque<Waiting>,
    /// What leaves with the next commit that is durable: their own were found to be stored.
    taken: Vec<Part>,
    /// The session that its token names.
    pub(super) session: SessionId,
    /// It is to be claimed again before anything is committed; over whom.
    pub(super) claim: Option<Owner>,
    /// The claim is on its way, and nothing else.
    pub(super) claiming: bool,
    /// The session that it was sent with.
    pub(super) claims_as: SessionId,
    /// The highest epoch that a token of this process was seen to have, beyond the shard's.
    pub(super) granted: Epoch,
    pub(super) pause: Duration,
    /// Told when nothing is on its way any more.
    closing: Option<oneshot::Sender<()>>,
    /// The store has lost something: acknowledgements as well.
    pub(super) has_lost: bool,
    /// Told when it was claimed again, or not.
    pub(super) resumed: Option<oneshot::Sender<()>>,
}

/// A commit that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) commit: Commit,
    pub(super) events: u64,
    /// Since when.
    pub(super) since: Instant,
    pub(super) parts: Vec<Part>,
}

impl Holding {
    /// Whether commits have to wait.
    pub(super) fn is_shut(&self) -> bool {
        self.claim.is_some() || !self.waiting.is_empty() || !self.taken.is_empty()
    }

    pub(super) const fn of(session: SessionId) -> Self {
        Self {
            waiting: VecDeque::new(),
            taken: Vec::new(),
            session,
            claim: None,
            claiming: false,
            claims_as: session,
            granted: Epoch(0),
            pause: Duration::ZERO,
            closing: None,
            has_lost: false,
            resumed: None,
        }
    }
}

impl Committer {
    /// A commit was answered.
    pub(super) fn answered_held(&mut self, commit: InFlight, answer: Result<(), Error>) {
        let (shard, number) = (commit.shard, commit.number);
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let own = Epoch(self.shared.shards.epoch(shard).0);
        if line.broken.is_some() {
            return self.broken(commit, answer);
        }
        let is_own = |by: &Owner| self.shared.sessions.is_own(by.session);
        let newer = |by: &Owner| by.epoch > own && !is_own(by);
        // Those on their way are behind this one.
        let newest = line.next();
        match answer {
            // Numbers go up by one: whatever was before it is stored as well.
            Ok(()) => return self.durable(commit),
            Err(Error::Diverged { stored, .. }) if stored > newest => {
                error!(shard = shard.0, %stored, "the store has commits that this node has never made");
                return self.let_go(shard, own, None);
            }
            Err(Error::Diverged { stored, .. }) if stored >= number => self.was_taken(commit),
            Err(Error::Fenced { stored, .. }) if stored.as_ref().is_some_and(newer) => {
                return self.lose(shard, stored.map(|by| by.epoch));
            }
            Err(Error::Fenced { stored, .. }) => {
                warn!(
                    event = "fenced",
                    shard = shard.0,
                    "the store has lost a claim"
                );
                let token = Owner {
                    epoch: own,
                    session: line.held.session,
                };
                if let Some(by) = stored.filter(is_own) {
                    line.held.granted = line.held.granted.max(by.epoch);
                }
                line.held.claim = Some(stored.unwrap_or(token));
                self.hold(commit);
            }
            Err(Error::Diverged { stored, .. }) if stored < line.last => {
                warn!(shard = shard.0, %stored, last = %line.last, "the store has lost commits");
                line.held.claim = Some(Owner {
                    epoch: own,
                    session: line.held.session,
                });
                self.hold(commit);
            }
            Err(
                error
                @ (Error::Io(_) | Error::Unknown(_) | Error::Busy(_) | Error::Diverged { .. }),
            ) => {
                self.say_away(shard, &error);
                self.hold(commit);
            }
            Err(error @ Error::Full(_)) if line.held.is_shut() => {
                self.say_away(shard, &error);
                self.hold(commit);
            }
            Err(error) if line.held.is_shut() => {
                error!(shard = shard.0, %error, "a held commit does not fit any more");
                return self.let_go(shard, own, None);
            }
            Err(error) => return self.broken(commit, Err(error)),
        }
        self.go_on(shard);
    }

    /// A commit whose answer was lost is stored.
    fn was_taken(&mut self, commit: InFlight) {
        let (shard, number) = (commit.shard, commit.number);
        self.stored(shard, CommitNumber(number.0.saturating_sub(1)));
        self.shared
            .health
            .committed(commit.events, commit.sent.elapsed());
        self.keep(shard, number, commit.commit);
        if let Some(line) = self.lines.get_mut(&shard) {
            line.held.taken.extend(commit.parts);
        }
    }

    pub(super) fn say_away(&self, shard: ShardId, error: &Error) {
        if self.shared.health.store(false) {
            error!(event = "store-down", shard = shard.0, %error, "commits wait");
        }
    }

    fn hold(&mut self, commit: InFlight) {
        let shard = commit.shard;
        if let (Some(line), Some(of)) = (self.lines.get_mut(&shard), commit.commit) {
            let at = line
                .held
                .waiting
                .partition_point(|w| w.commit.number < of.number);
            let waiting = Waiting {
                commit: of,
                events: commit.events,
                since: commit.sent,
                parts: commit.parts,
            };
            line.held.waiting.insert(at, waiting);
        }
        self.shared.shards.stall(shard, true);
    }

    /// A commit is durable, and with it all before it.
    fn durable(&mut self, commit: InFlight) {
        let (shard, number) = (commit.shard, commit.number);
        self.stored(shard, CommitNumber(number.0.saturating_sub(1)));
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let taken = std::mem::take(&mut line.held.taken);
        line.held.pause = Duration::ZERO;
        self.shared
            .health
            .committed(commit.events, commit.sent.elapsed());
        self.keep(shard, number, commit.commit);
        if self.shared.health.store(true) {
            info!(event = "store-up", "the store takes commits again");
        }
        coven_store::fail::point("node-after-commit");
        let mut parts = commit.parts;
        if !taken.is_empty() {
            parts.splice(..0, taken);
            only_last_stands(&mut parts);
        }
        for part in parts {
            self.release(part, number.0);
        }
        self.go_on(shard);
    }

    /// All that waits up to a number is stored; it leaves behind the next durable commit.
    pub(super) fn stored(&mut self, shard: ShardId, up_to: CommitNumber) {
        while let Some(line) = self.lines.get_mut(&shard) {
            let waiting = &mut line.held.waiting;
            if waiting.front().is_none_or(|w| w.commit.number > up_to) {
                break;
            }
            if let Some(it) = waiting.pop_front() {
                line.held.taken.extend(it.parts);
                self.shared.health.committed(it.events, it.since.elapsed());
                self.keep(shard, it.commit.number, Some(it.commit));
            }
        }
    }

    fn keep(&mut self, shard: ShardId, number: CommitNumber, commit: Option<Commit>) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        line.last = line.last.max(number);
        self.shared.shards.committed(shard, line.last.0);
        if let Some(commit) = commit {
            line.tail.push(commit, Instant::now());
            self.trim_tails();
        }
    }

    /// Keeps the tails of all shards within their bounds: what is too old goes, also of shards at rest, and beyond the
    /// budget the oldest of all (design §5.11).
    fn trim_tails(&mut self) {
        let now = Instant::now();
        if self.trimmed.is_none_or(|at| now - at >= TRIM_EVERY) {
            self.trimmed = Some(now);
            self.lines
                .values_mut()
                .for_each(|line| line.tail.expire(now));
        }
        self.weigh_tails();
        while self.tail_bytes > TAIL_BYTES {
            let of = |line: &Line| line.tail.oldest();
            let oldest = self.lines.values_mut().min_by_key(|line| {
                let at = of(line);
                (at.is_none(), at)
            });
            let Some(line) = oldest else { return };
            let before = line.tail.bytes();
            line.tail.drop_oldest();
            self.tail_bytes -= before - line.tail.bytes();
        }
    }

    fn weigh_tails(&mut self) {
        self.tail_bytes = self.lines.values().map(|line| line.tail.bytes()).sum();
    }

    /// Does what is next for a shard, once nothing of it is on its way.
    pub(super) fn go_on(&mut self, shard: ShardId) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        if line.on_their_way > 0 {
            return;
        }
        if line.broken.is_some() {
            return self.mend(shard);
        }
        let held = &mut line.held;
        if held.is_shut() {
            if held.waiting.is_empty() && held.claim.is_none() {
                return self.confirm(shard);
            }
            held.pause = (held.pause * 2).clamp(FIRST_PAUSE, MOST_PAUSE);
            let at = Instant::now() + held.pause;
            return self.try_at(at, shard);
        }
        if std::mem::take(&mut held.has_lost) {
            crate::receipts::lost(&self.shared, shard);
        }
        let closed = held.closing.take();
        self.say_epoch(shard);
        self.shared.shards.stall(shard, false);
        if let Some(closed) = closed {
            self.close_line(shard);
            let _nobody_waits = closed.send(());
        }
    }

    /// A commit of nothing: what was taken before it leaves behind it, as durable as it is.
    fn confirm(&mut self, shard: ShardId) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let parts = std::mem::take(&mut line.held.taken);
        let commit = Commit {
            number: CommitNumber(line.last.0 + 1),
            ..Commit::default()
        };
        let again = Waiting {
            commit,
            events: 0,
            since: Instant::now(),
            parts,
        };
        self.commit_again(shard, again);
    }

    /// It is time to try again.
    pub(super) fn try_held(&mut self, shard: ShardId) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        if line.on_their_way > 0 {
            return;
        }
        if let Some(over) = line.held.claim {
            return self.claim_again(shard, over);
        }
        for waiting in std::mem::take(&mut line.held.waiting) {
            self.commit_again(shard, waiting);
        }
    }

    fn commit_again(&mut self, shard: ShardId, waiting: Waiting) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        line.on_their_way += 1;
        let epoch = Epoch(self.shared.shards.epoch(shard).0);
        let number = waiting.commit.number;
        let copy = waiting.commit.clone();
        let answer = self.shared.store.commit(convert::shard(shard), epoch, copy);
        self.in_flight.push_back(InFlight {
            shard,
            epoch,
            number,
            sent: waiting.since,
            answer: Awaited::Commit(answer),
            events: waiting.events,
            parts: waiting.parts,
            commit: Some(waiting.commit),
        });
    }

    /// Ends a shard's line when everything in it is durable.
    pub(super) fn close(&mut self, shard: ShardId, closed: oneshot::Sender<()>) {
        let Some(line) = self.lines.get_mut(&shard) else {
            let _nobody_waits = closed.send(());
            return;
        };
        line.held.closing = Some(closed);
        self.go_on(shard);
    }

    /// Puts a commit behind those that wait. Gives it back if none does.
    pub(super) fn wait_behind(&mut self, building: Building) -> Option<Building> {
        let line = self.lines.get_mut(&building.shard)?;
        if !line.held.is_shut() {
            return Some(building);
        }
        let commit = Commit {
            number: line.next(),
            channels: building.channels,
            ..Commit::default()
        };
        let events = super::events(&commit);
        line.held.waiting.push_back(Waiting {
            commit,
            events,
            since: Instant::now(),
            parts: building.parts,
        });
        None
    }
}
