//! What follows on a refused commit: the channels begin anew from what the store has, and the store is tried again.
//!
//! Where the store says that nothing was done (full, busy), the channels go on at once, and a commit of nothing finds out
//! when it takes commits again, so that readiness does not wait for somebody to write. After any other refusal it is not
//! known where the store stands: the shard is claimed anew, which tells it. Nothing here waits: claims and trials are on
//! their way like commits, and what has to be tried again has its time.

use super::gate::{self, Leaving};
use super::held::Holding;
use super::tail::Tail;
use super::{Awaited, Building, Committer, InFlight, Part, not_known, wait};
use crate::actor::Message;
use crate::convert;
use coven_cluster::{Delivery, Output, ShardId};
use coven_core::{Condition, Origin, Refusal};
use coven_store::{Claim, CommitNumber, Epoch, Error, Owner, Ownership, SessionId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, warn};

/// After a refusal the store is tried again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// One shard's commits.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// In a cluster: what is held, and the last ones.
    pub(super) held: Holding,
    pub(super) tail: Tail,
    pub(super) last: CommitNumber,
    pub(super) on_their_way: usize,
    /// A commit was refused: nothing is taken until its followers have come back as well and this is done.
    pub(super) broken: Option<Cure>,
    /// How long was waited before the latest trial; nothing since the last commit that was taken.
    pub(super) pause: Duration,
    /// The next trial is in the list.
    pub(super) trial: bool,
    /// A token of this process under another epoch than is known: its claim's answer was lost.
    pub(super) claim_over: Option<Owner>,
}

impl Line {
    pub(super) fn new(session: SessionId, last: CommitNumber) -> Self {
        Self {
            held: Holding::of(session),
            last,
            ..Self::default()
        }
    }

    /// The number of the next commit.
    pub(super) fn next(&self) -> CommitNumber {
        let sent = self.on_their_way - usize::from(self.held.claiming);
        CommitNumber(self.last.0 + (sent + self.held.waiting.len()) as u64 + 1)
    }
}

/// What a refused commit asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cure {
    /// Nothing: it was not done, and everything is where it was before.
    Reopen,
    /// To learn where the store stands.
    Claim,
}

impl Cure {
    const fn of(error: &Error) -> Self {
        match error {
            Error::Full(_) | Error::Busy(_) => Self::Reopen,
            _ => Self::Claim,
        }
    }
}

impl Committer {
    /// A commit was refused, or came after one that was.
    pub(super) fn broken(&mut self, commit: InFlight, answer: Result<(), Error>) {
        let unknown = may_be_stored(&answer);
        let line = self.lines.entry(commit.shard).or_default();
        let cure = answer.as_ref().map_or_else(Cure::of, |()| Cure::Claim);
        let first = line.broken.is_none();
        if first || unknown {
            line.broken = line.broken.max(Some(cure));
        }
        let idle = line.on_their_way == 0;
        if let (true, Err(error)) = (first, answer) {
            self.say_down(commit.shard, &error);
        }
        for part in commit.parts {
            let refusal = if unknown { not_known() } else { wait() };
            self.void(&part);
            self.refuse(part, refusal);
        }
        if idle {
            self.mend(commit.shard);
        }
    }

    fn say_down(&self, shard: ShardId, error: &Error) {
        if self.shared.health.store(false) {
            error!(event = "store-down", shard = shard.0, %error, "commit refused");
        }
        if matches!(error, Error::Closed) {
            self.shared.fail("the store has ended");
        }
    }

    /// What was built on the refused state is void.
    pub(super) fn void(&mut self, part: &Part) {
        let void = self.void.entry(part.channel.clone()).or_default();
        void.sound = void.sound.max(part.generation + 1);
        void.base_lost |= part.has_base();
    }

    pub(super) fn mend(&mut self, shard: ShardId) {
        let line = self.lines.entry(shard).or_default();
        if self.shared.is_cluster && line.broken == Some(Cure::Claim) {
            line.broken = None;
            self.reset(shard);
            return self.claim_own(shard);
        }
        let first = line.pause.is_zero();
        line.pause = (line.pause * 2).clamp(FIRST_PAUSE, MOST_PAUSE);
        let at = Instant::now() + line.pause;
        match line.broken {
            Some(Cure::Claim) if first => self.claim(shard),
            Some(Cure::Claim) => self.try_at(at, shard),
            Some(Cure::Reopen) | None => {
                line.broken = None;
                self.try_at(at, shard);
                self.reset(shard);
            }
        }
    }

    pub(super) fn try_at(&mut self, at: Instant, shard: ShardId) {
        let line = self.lines.entry(shard).or_default();
        if !std::mem::replace(&mut line.trial, true) {
            self.trials.insert((at, shard));
        }
    }

    /// When the store is to be tried again.
    pub(super) fn next_trial(&self) -> Option<Instant> {
        self.trials.first().map(|(at, _)| *at)
    }

    /// Tries the store again where it is time: by a claim, or by a commit of nothing.
    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        while self.next_trial().is_some_and(|at| at <= now) {
            let Some((_, shard)) = self.trials.pop_first() else {
                return;
            };
            let line = self.lines.entry(shard).or_default();
            line.trial = false;
            if line.held.is_shut() {
                self.try_held(shard);
                continue;
            }
            match line.broken {
                Some(_) if line.on_their_way == 0 => self.claim(shard),
                None if line.on_their_way == 0 && !line.pause.is_zero() => {
                    self.send(Building::new(shard));
                }
                _ => {}
            }
        }
    }

    fn claim(&mut self, shard: ShardId) {
        let epoch = Epoch(self.shared.epoch(shard).0);
        let line = self.lines.entry(shard).or_default();
        let session = line.held.session;
        let own = Owner { epoch, session };
        let claim = Claim {
            session,
            judged_dead: Some(line.claim_over.take().unwrap_or(own)),
            known: epoch,
        };
        let claimed = self.shared.store.claim(convert::shard(shard), claim);
        self.lines.entry(shard).or_default().on_their_way += 1;
        self.in_flight.push_back(InFlight {
            shard,
            epoch,
            number: CommitNumber::default(),
            sent: Instant::now(),
            commit: None,
            answer: Awaited::Claim(claimed),
            events: 0,
            parts: Vec::new(),
        });
    }

    /// The shard was claimed anew, or not.
    pub(super) fn claimed(&mut self, shard: ShardId, answer: Result<Ownership, Error>) {
        let line = self.lines.entry(shard).or_default();
        line.on_their_way -= 1;
        match answer {
            Ok(ownership) => {
                line.last = ownership.last_commit;
                let epoch = coven_core::Epoch(ownership.epoch.0);
                self.shared.shards.renew(shard, epoch, true);
                let _heard_with_the_next_output = self.shared.shards.say(shard);
                line.broken = None;
                let at = Instant::now() + line.pause;
                self.try_at(at, shard);
                self.reset(shard);
                // A commit of which nothing was known may be stored: then nobody has been sent what it made (I3).
                self.shared.renewed(shard);
            }
            // Our own claim, whose answer was lost: claimed over.
            Err(Error::Held { owner, .. }) if self.shared.sessions.is_own(owner.session) => {
                line.claim_over = Some(owner);
                self.mend(shard);
            }
            Err(error @ (Error::Held { .. } | Error::Fenced { .. })) => {
                warn!(event = "fenced", shard = shard.0, %error, "the shard has another owner");
            }
            Err(error) => {
                warn!(shard = shard.0, %error, "the shard could not be taken again yet");
                self.mend(shard);
            }
        }
    }

    fn reset(&self, shard: ShardId) {
        for (channel, void) in self.void.iter().filter(|(c, _)| c.shard() == shard) {
            self.tell_reset(channel, *void);
        }
    }

    fn tell_reset(&self, channel: &coven_cluster::Channel, void: super::Void) {
        if let Some(mailbox) = self.shared.table.get(channel) {
            mailbox.tell(Message::Reset {
                generation: void.sound,
                base_lost: void.base_lost,
            });
        }
    }

    /// Says that something was not done. While its shard is broken the channel is reset later, with all others.
    pub(super) fn refuse(&mut self, part: Part, refusal: coven_core::Refusal) {
        self.shared.health.refused();
        let broken = self.lines.get(&part.channel.shard());
        if broken.is_none_or(|line| line.broken.is_none())
            && let Some(void) = self.void.get(&part.channel)
        {
            self.tell_reset(&part.channel, *void);
        }
        if part.departed.is_some() {
            return;
        }
        match (part.operation, part.origin) {
            // Of what is not known the front-end hears nothing, and answers by itself in the end (I5).
            (Some(id), _) if refusal.condition != Condition::RemoteServerTimeout => {
                self.shared.not_taken(&part.channel, id, refusal);
            }
            (None, Some(origin)) => {
                let (shard, delivery) = (part.channel.shard(), refused(origin, refusal));
                let leaving = Leaving {
                    bytes: gate::weight(std::slice::from_ref(&delivery)),
                    // It is nobody's but who asked: it is told whatever became of the shard.
                    output: Output {
                        channel: Some(part.channel),
                        epoch: coven_core::Epoch::default(),
                        commit: 0,
                        deliveries: vec![delivery],
                        trace: None,
                    },
                    to: part.to,
                    base: None,
                };
                self.gate.push(shard, leaving);
            }
            _ => {}
        }
    }
}

/// Whether a refused commit may be stored all the same; nobody is told then that it did not happen (I5).
fn may_be_stored(answer: &Result<(), Error>) -> bool {
    match answer {
        // One that was taken behind one of which nothing is known: its channels learn of it from the store.
        Ok(()) | Err(Error::Unknown(_) | Error::Closed) => true,
        // Under this epoch only this process commits: a stored commit of this number or a later one says that it is there.
        Err(Error::Diverged { stored, number, .. }) => stored >= number,
        Err(_) => false,
    }
}

fn refused(origin: Arc<Origin>, refusal: Refusal) -> Delivery {
    Delivery::Refused {
        origin,
        refusal: Box::new(refusal),
        operation: None,
    }
}
