//! How a batch goes to Redis, and goes again until it is known what became of it.
//!
//! A batch is one pipeline: the scripts of all its requests, then the barrier that waits for replicas. What is not known to
//! be done (the connection broke), not done yet (the server is loading, or a replica), or not with a replica yet is sent
//! again with the mark that it was sent before; the script then tells what was done the first time (`scripts`). What has
//! no answer when patience ends is [`Error::Unknown`]; what only lacks a replica is held for as long as it lacks it, with
//! new patience each time that it is seen to be there (design §5.5), and what comes meanwhile is refused after a while
//! (§5.12). All that is sent together lies on one server, so one barrier says what is durable.

use std::collections::{BTreeSet, HashMap, HashSet};

use redis::{RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::job::Job;
use super::server::{Answers, Batch, PAUSE, Trouble};
use super::stage::Staged;
use super::verdict::{self, Verdict, has_replica};
use super::writer::Writer;
use crate::{Claim, Epoch, Error, Owner, Ownership, Reply, ShardId};

/// A request on its way.
pub(super) struct Sent {
    pub(super) shard: ShardId,
    pub(super) what: What,
    /// It was sent before, and may have been done.
    again: bool,
    /// Until when it is sent again where nothing is known of it.
    until: Instant,
}

/// What is asked for.
pub(super) enum What {
    Write {
        epoch: Epoch,
        staged: Staged,
        reply: Reply<()>,
    },
    Claim {
        claim: Claim,
        reply: Reply<Ownership>,
    },
}

/// What became of a request in one round.
enum Fate {
    /// It is done, as far as the primary goes.
    Done(Option<Ownership>),
    /// It is to be sent again. `done`: it may have been done; `why`: what to say when patience ends.
    Again {
        done: bool,
        why: Error,
    },
    /// A claim whose own first sending took the shard.
    Mine(Owner),
    Refused(Error),
}

impl Sent {
    pub(super) const fn new(shard: ShardId, what: What, until: Instant) -> Self {
        Self {
            shard,
            what,
            again: false,
            until,
        }
    }

    fn refuse(self, error: Error) {
        let error = match (self.again, error) {
            // The first sending may have done it.
            (true, error) if !matches!(error, Error::Unknown(_)) => {
                Error::Unknown(error.to_string())
            }
            (_, error) => error,
        };
        match self.what {
            What::Write { reply, .. } => reply.send(Err(error)),
            What::Claim { reply, .. } => reply.send(Err(error)),
        }
    }

    fn answer(self, ownership: Option<Ownership>) {
        match (self.what, ownership) {
            (What::Write { reply, .. }, _) => reply.send(Ok(())),
            (What::Claim { reply, .. }, Some(ownership)) => reply.send(Ok(ownership)),
            (What::Claim { reply, .. }, None) => {
                reply.send(Err(Error::Unknown("redis gave no epoch".to_owned())));
            }
        }
    }
}

impl Writer {
    /// Sends requests, and answers each when it is durable or cannot be done. What waits in `jobs` meanwhile is refused
    /// when it has waited for long.
    pub(super) async fn deliver(&mut self, mut sent: Vec<Sent>, jobs: &mut mpsc::Receiver<Job>) {
        let until = self.server.until();
        crate::fail::point("redis-before-write");
        loop {
            let batches = self.batches(&sent);
            let answers = self.send(&batches, until, jobs).await;
            crate::fail::point("redis-after-write");
            sent = self.judge(sent, &batches, answers).await;
            if sent.is_empty() {
                return;
            }
            if Instant::now() >= until {
                refuse_waiting(jobs);
            }
            sleep(PAUSE).await;
        }
    }

    /// The commands of each shard, in order. The first use of a script in a pipeline brings its text: a server that was
    /// started anew, or another one, does not know it.
    fn batches(&self, sent: &[Sent]) -> Vec<Batch> {
        let each = self.server.is_cluster();
        let mut batches: Vec<Batch> = Vec::new();
        let mut place: HashMap<ShardId, usize> = HashMap::new();
        let mut brought = BTreeSet::new();
        for it in sent {
            let at = *place.entry(it.shard).or_insert(batches.len());
            if at == batches.len() {
                batches.push(Batch {
                    shard: it.shard,
                    commands: Vec::new(),
                });
            }
            let text = brought.insert((each.then_some(it.shard), it.script()));
            let owner = self.server.keys(it.shard).owner();
            let command = match &it.what {
                What::Write { epoch, staged, .. } => {
                    verdict::write(&owner, *epoch, staged, text, it.again)
                }
                What::Claim { claim, .. } => {
                    verdict::claim(&owner, claim, self.server.identity(), text)
                }
            };
            if let Some(batch) = batches.get_mut(at) {
                batch.commands.push(command);
            }
        }
        let last = batches.len().saturating_sub(1);
        for (at, batch) in batches.iter_mut().enumerate() {
            if each || at == last {
                batch.commands.extend(self.server.barrier());
            }
        }
        batches
    }

    /// Waits for the answers; from `until` on what comes meanwhile is refused.
    async fn send(
        &self,
        batches: &[Batch],
        until: Instant,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> Vec<Answers> {
        let mut sending = std::pin::pin!(self.server.run(batches));
        let mut patience = until;
        loop {
            tokio::select! {
                answers = &mut sending => return answers,
                () = sleep_until(patience) => {
                    refuse_waiting(jobs);
                    patience = Instant::now() + PAUSE;
                }
            }
        }
    }

    /// Answers what is settled; what is left has to be sent again.
    async fn judge(
        &mut self,
        sent: Vec<Sent>,
        batches: &[Batch],
        answers: Vec<Answers>,
    ) -> Vec<Sent> {
        let mut round = Round::new(batches, answers);
        let fates: Vec<Fate> = sent.iter().map(|it| self.fate(it, &mut round)).collect();
        for shard in std::mem::take(&mut round.unmarked) {
            self.server.miss(shard).await;
        }
        let durable = self.server.barrier().is_none() || round.barriers();
        let now = Instant::now();
        let mut left = Vec::new();
        for (mut it, fate) in sent.into_iter().zip(fates) {
            match fate {
                Fate::Done(ownership) if durable => it.answer(ownership),
                Fate::Done(granted) => {
                    it.claim_over(granted.map(|granted| granted.epoch));
                    it.again = true;
                    it.until = self.server.until();
                    left.push(it);
                }
                Fate::Mine(owner) => {
                    it.claim_over(Some(owner.epoch));
                    left.push(it);
                }
                Fate::Again { done, why } if now >= it.until => {
                    self.shards.remove(&it.shard);
                    it.again |= done;
                    it.refuse(why);
                }
                Fate::Again { done, .. } => {
                    it.again |= done;
                    left.push(it);
                }
                Fate::Refused(error) => {
                    self.shards.remove(&it.shard);
                    it.refuse(error);
                }
            }
        }
        if !durable && !left.is_empty() {
            self.server.say_short();
        }
        left
    }

    fn fate(&self, it: &Sent, round: &mut Round) -> Fate {
        let answer = match round.next(it.shard) {
            Ok(answer) => answer,
            Err(trouble) if trouble.may_pass() => {
                return round.again(
                    it.shard,
                    matches!(trouble, Trouble::Lost(_)),
                    trouble.into(),
                );
            }
            Err(trouble) => return Fate::Refused(trouble.into()),
        };
        let store = self.server.identity();
        let verdict = match &it.what {
            What::Write { epoch, staged, .. } => {
                verdict::of_write(it.shard, *epoch, staged, store, answer).map(|()| None)
            }
            What::Claim { claim, .. } => match verdict::of_claim(it.shard, answer) {
                Verdict::Refused(Error::Held { owner, .. })
                    if it.again && owner.session == claim.session =>
                {
                    return Fate::Mine(owner);
                }
                verdict => verdict.map(Some),
            },
        };
        match verdict {
            Verdict::Done(ownership) => Fate::Done(ownership),
            Verdict::NotNow(why) => round.again(it.shard, false, why),
            // It was to follow one that was not done.
            Verdict::NotItsTurn(why) if round.waits.contains(&it.shard) => {
                round.again(it.shard, false, why)
            }
            Verdict::Refused(error) | Verdict::NotItsTurn(error) => Fate::Refused(error),
            Verdict::NoMark => {
                round.unmarked.insert(it.shard);
                Fate::Refused(Error::Replaced(format!(
                    "shard {} has no mark of it",
                    it.shard
                )))
            }
        }
    }
}

impl Sent {
    /// Which script it uses.
    const fn script(&self) -> u8 {
        match &self.what {
            What::Write { staged, .. } if staged.frees => 0,
            What::Write { .. } => 1,
            What::Claim { .. } => 2,
        }
    }

    /// A claim that was granted is repeated over its own grant.
    const fn claim_over(&mut self, granted: Option<Epoch>) {
        if let (What::Claim { claim, .. }, Some(epoch)) = (&mut self.what, granted) {
            claim.judged_dead = Some(Owner {
                epoch,
                session: claim.session,
            });
        }
    }
}

/// The answers of one round, as they are gone through.
struct Round {
    answers: HashMap<ShardId, Result<std::vec::IntoIter<RedisResult<Value>>, Trouble>>,
    /// Shards of which something is to be sent again.
    waits: HashSet<ShardId>,
    /// Shards that have not the mark of the store.
    unmarked: HashSet<ShardId>,
}

impl Round {
    fn new(batches: &[Batch], answers: Vec<Answers>) -> Self {
        let each = batches.iter().zip(answers);
        let answers = each.map(|(batch, answers)| (batch.shard, answers.map(Vec::into_iter)));
        Self {
            answers: answers.collect(),
            waits: HashSet::new(),
            unmarked: HashSet::new(),
        }
    }

    /// The next answer of a shard.
    fn next(&mut self, shard: ShardId) -> Result<RedisResult<Value>, Trouble> {
        let lost = || Trouble::Lost("redis gave no answer".to_owned());
        match self.answers.get_mut(&shard) {
            Some(Ok(answers)) => answers.next().ok_or_else(lost),
            Some(Err(trouble)) => Err(trouble.clone()),
            None => Err(lost()),
        }
    }

    /// Whether all barriers say that a replica has it; to be asked when all else was taken.
    fn barriers(&mut self) -> bool {
        let rest = self.answers.values_mut().flatten();
        rest.flat_map(|answers| answers.next())
            .all(|answer| has_replica(&answer))
    }

    fn again(&mut self, shard: ShardId, done: bool, why: Error) -> Fate {
        self.waits.insert(shard);
        Fate::Again { done, why }
    }
}

fn refuse_waiting(jobs: &mut mpsc::Receiver<Job>) {
    while let Ok(job) = jobs.try_recv() {
        job.refuse(Error::Busy(
            "redis does not answer, or none of its replicas does",
        ));
    }
}
