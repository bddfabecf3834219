//! The one thread that writes: takes all waiting requests, stages them, and commits them with one flush.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tracing::error;

use super::failure::{failed, is_certain};
use super::moments::Moment;
use super::queue::{Queue, Work};
use super::shared::Shared;
use super::stage::{Stage, Staged};
use super::upkeep::{self, Upkeep};
use super::{rows, schema};
use crate::{
    ChannelCommit, ChannelKey, Claim, Commit, Epoch, Error, Listing, Ownership, ProcessId,
    Receipts, Reply, Retention, ShardId, Snapshot,
};

/// Requests in one transaction, at most.
const GROUP: usize = 4096;
/// Bytes in one transaction, about.
const GROUP_BYTES: usize = 1 << 20;
/// Upkeep waits this long for requests to go along with.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a transaction and a channel's row cost in the write-ahead log besides their blobs, about.
const TRANSACTION_BYTES: u64 = 8192;
const ROW_BYTES: u64 = 4096;

/// A request to the writer.
#[derive(Debug)]
pub(super) enum Job {
    Claim {
        shard: ShardId,
        claim: Claim,
        reply: Reply<Ownership>,
    },
    Expire {
        shard: ShardId,
        epoch: Epoch,
        retention: Retention,
        reply: Reply<u64>,
    },
    Write {
        shard: ShardId,
        epoch: Epoch,
        request: Request,
        reply: Reply<()>,
    },
}

/// A request that is answered by no more than that it is done.
#[derive(Debug)]
pub(super) enum Request {
    Release,
    Commit(Box<Commit>),
    Acknowledge(Receipts),
    ForgetProcess(ProcessId),
    Snapshot(ChannelKey, Snapshot),
    List(Vec<(ChannelKey, Option<Listing>)>),
}

/// A request that is staged, and what it will be answered if that becomes durable.
enum Answer {
    Claim(Reply<Ownership>, Result<Ownership, Error>),
    Expire(Reply<u64>, Result<u64, Error>),
    Write(Reply<()>, Result<(), Error>),
}

/// The writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    db: Connection,
    shared: Arc<Shared>,
    queue: Arc<Queue<Job>>,
    upkeep: Upkeep,
    /// What the owner row has to say.
    token: i64,
    next_channel: i64,
    /// A failed transaction may be in the write-ahead log all the same; nothing is written before that is overwritten.
    wounded: bool,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        shared: Arc<Shared>,
        queue: Arc<Queue<Job>>,
        token: i64,
        meta: schema::Meta,
    ) -> Result<Self, Error> {
        let next_channel = rows::highest_channel(&db)? + 1;
        Ok(Self {
            db,
            shared,
            queue,
            upkeep: Upkeep::new(meta),
            token,
            next_channel,
            wounded: false,
        })
    }

    /// Works until the queue is closed and empty. Gives the connection back.
    pub(super) fn run(mut self) -> Connection {
        let mut resting = false;
        loop {
            let due = !resting && self.upkeep.is_due(&self.shared);
            match self.queue.take(GROUP, GROUP_BYTES, due.then_some(PATIENCE)) {
                Work::Jobs(jobs) => self.work(jobs),
                Work::Nothing => {
                    // After a failure wait for the next request, do not spin.
                    resting = self.transact(Vec::new()).is_err();
                    continue;
                }
                Work::Closed => return self.db,
            }
            resting = false;
        }
    }

    /// Does requests in transactions: as many as possible in one, but an expiry, which has to see the others, alone.
    pub(super) fn work(&mut self, jobs: Vec<Job>) {
        let mut group = Vec::with_capacity(jobs.len());
        for job in jobs {
            let alone = matches!(job, Job::Expire { .. });
            if alone && !group.is_empty() {
                self.group(std::mem::take(&mut group));
            }
            group.push(job);
            if alone {
                self.group(std::mem::take(&mut group));
            }
        }
        if !group.is_empty() {
            self.group(group);
        }
    }

    fn group(&mut self, jobs: Vec<Job>) {
        // Each request was told, and the log if it is news.
        let _told = self.transact(jobs);
    }

    /// One transaction. All requests are answered, whatever happens.
    pub(super) fn transact(&mut self, jobs: Vec<Job>) -> Result<(), Error> {
        let done = self.try_to_transact(jobs);
        match &done {
            Ok(()) => self.shared.writing_succeeded(),
            Err(error) => self.shared.writing_failed(error),
        }
        done
    }

    fn try_to_transact(&mut self, jobs: Vec<Job>) -> Result<(), Error> {
        if let Err(error) = self.begin() {
            jobs.into_iter().for_each(|job| job.fail(&error));
            return Err(error);
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let done = self.stage(jobs, &mut answers).and_then(|staged| {
            crate::fail::point("store-before-commit");
            let effort = Effort::of(&staged);
            self.shared.index().announce(staged);
            self.commit().map(|()| effort)
        });
        crate::fail::point("store-after-commit");
        match done {
            Ok(effort) => {
                self.publish(&effort);
                answers.into_iter().for_each(Answer::give);
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                self.upkeep.failed();
                answers.into_iter().for_each(|answer| answer.fail(&error));
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        if self.wounded {
            self.heal()?;
        }
        self.run_cached("BEGIN IMMEDIATE")?;
        match schema::owner_token(&self.db) {
            Ok(token) if token == self.token => Ok(()),
            Ok(_) => {
                self.roll_back();
                Err(Error::Locked {
                    path: self.shared.path.clone(),
                })
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn stage(&mut self, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<Staged, Error> {
        let Self {
            db,
            shared,
            upkeep,
            next_channel,
            ..
        } = self;
        let bytes = jobs.iter().map(Job::weight).sum();
        let mut stage = Stage::new(db, shared, next_channel, bytes);
        // An expiry goes by what is durable: it would drop a last page without the messages that are just put there.
        let expires = jobs.iter().any(|job| matches!(job, Job::Expire { .. }));
        let kept = if expires {
            Ok(())
        } else {
            upkeep.stage(&mut stage)
        };
        answers.extend(jobs.into_iter().map(|job| job.stage(&mut stage)));
        kept?;
        stage.write()
    }

    /// Errors: `Unknown` where the transaction may become durable all the same.
    fn commit(&mut self) -> Result<(), Error> {
        self.shared.moments.pass(Moment::BeforeCommit);
        let committed = self
            .db
            .prepare_cached("COMMIT")
            .and_then(|mut statement| statement.execute([]));
        let Err(error) = committed else { return Ok(()) };
        self.shared.index().withdraw();
        let certain = is_certain(&error);
        let error = failed(error);
        self.roll_back();
        self.wounded = !certain;
        if certain || self.heal().is_ok() {
            Err(error)
        } else {
            Err(Error::Unknown(error.to_string()))
        }
    }

    /// Writes over what a failed transaction may have left at the end of the write-ahead log.
    fn heal(&mut self) -> Result<(), Error> {
        schema::count(&self.db)?;
        self.wounded = false;
        Ok(())
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.run_cached("ROLLBACK")
        {
            error!(%error, "cannot roll back");
        }
    }

    fn run_cached(&self, sql: &str) -> Result<(), Error> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(failed)?;
        Ok(())
    }

    fn publish(&mut self, effort: &Effort) {
        self.shared.moments.pass(Moment::Committed);
        let full = self.shared.index().settle();
        self.shared.moments.pass(Moment::Published);
        for (shard, key) in full {
            self.upkeep.note(shard, key);
        }
        self.upkeep.committed(effort.doomed);
        Shared::count(&self.shared.counters.transactions);
        self.shared.checkpoints.written(effort.bytes);
    }
}

/// What a transaction makes the other threads do.
#[derive(Debug)]
struct Effort {
    /// Bytes in the write-ahead log, about.
    bytes: u64,
    /// Pages were doomed.
    doomed: bool,
}

impl Effort {
    fn of(staged: &Staged) -> Self {
        let folded = staged.channels.iter().filter(|(_, _, it)| it.folded);
        let logged = staged.blob.as_ref().map_or(0, Vec::len) as u64;
        Self {
            bytes: TRANSACTION_BYTES + logged + ROW_BYTES * folded.count() as u64,
            doomed: staged.doomed,
        }
    }
}

impl Job {
    /// Stages the request.
    fn stage(self, stage: &mut Stage<'_>) -> Answer {
        match self {
            Self::Claim {
                shard,
                claim,
                reply,
            } => Answer::Claim(reply, stage.claim(shard, claim)),
            Self::Expire {
                shard,
                epoch,
                retention,
                reply,
            } => {
                let done = stage
                    .owned(shard, epoch)
                    .and_then(|_| upkeep::expire(stage, shard, retention));
                Answer::Expire(reply, done)
            }
            Self::Write {
                shard,
                epoch,
                request,
                reply,
            } => Answer::Write(reply, request.stage(stage, shard, epoch)),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Write {
                request: Request::Commit(commit),
                ..
            } => commit.channels.iter().map(weight_of).sum(),
            _ => 64,
        }
    }

    /// Answers without having done anything.
    pub(super) fn fail(self, error: &Error) {
        match self {
            Self::Claim { reply, .. } => reply.send(Err(error.clone())),
            Self::Expire { reply, .. } => reply.send(Err(error.clone())),
            Self::Write { reply, .. } => reply.send(Err(error.clone())),
        }
    }
}

impl Request {
    fn stage(self, stage: &mut Stage<'_>, shard: ShardId, epoch: Epoch) -> Result<(), Error> {
        match self {
            Self::Release => stage.release(shard, epoch),
            Self::Commit(commit) => stage.commit(shard, epoch, &commit),
            Self::Acknowledge(receipts) => stage.acknowledge(shard, epoch, &receipts),
            Self::ForgetProcess(process) => stage.forget_process(shard, epoch, process),
            Self::Snapshot(key, snapshot) => stage.snapshot(shard, epoch, &key, snapshot),
            Self::List(listings) => stage.list(shard, epoch, listings),
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.channels.iter().map(weight_of).sum(),
            Self::Snapshot(_, snapshot) => snapshot.state.len(),
            Self::List(listings) => listings.len() * 256,
            Self::Release | Self::Acknowledge(_) | Self::ForgetProcess(_) => 64,
        }
    }
}

fn weight_of(change: &ChannelCommit) -> usize {
    let entries = change.entries.iter().map(|entry| entry.record.len() + 64);
    let rewrites = change
        .rewrites
        .iter()
        .map(|rewrite| rewrite.record.len() + 64);
    let outcomes = change
        .outcomes
        .iter()
        .map(|outcome| outcome.result.len() + 64);
    64 + entries.chain(rewrites).chain(outcomes).sum::<usize>()
}

impl Answer {
    fn give(self) {
        match self {
            Self::Claim(reply, answer) => reply.send(answer),
            Self::Expire(reply, answer) => reply.send(answer),
            Self::Write(reply, answer) => reply.send(answer),
        }
    }

    fn fail(self, error: &Error) {
        match self {
            Self::Claim(reply, _) => reply.send(Err(error.clone())),
            Self::Expire(reply, _) => reply.send(Err(error.clone())),
            Self::Write(reply, _) => reply.send(Err(error.clone())),
        }
    }
}
