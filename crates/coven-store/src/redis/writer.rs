//! The task that writes: takes all that waits, and works out what goes to Redis as one pipeline.
//!
//! One pipeline is under way at a time (`deliver`); what comes meanwhile waits for the next, which is the group commit.
//! Claims go together too: a process claims all its shards at its start.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::deliver::{Sent, What};
use super::job::{Job, Request};
use super::search;
use super::server::Server;
use super::stage::{Shard, Staged};
use crate::{Claim, Epoch, Error, Ownership, Reply, Retention, ShardId};

/// Requests in one pipeline.
const MOST: usize = 1024;

/// A write, taken from the queue.
struct Write {
    shard: ShardId,
    epoch: Epoch,
    request: Request,
    reply: Reply<()>,
}

/// What was taken from the queue and goes together.
#[derive(Default)]
struct Taken {
    writes: Vec<Write>,
    claims: Vec<(ShardId, Claim, Reply<Ownership>)>,
}

/// Works until the queue is closed.
pub(super) async fn run(server: Server, mut jobs: mpsc::Receiver<Job>) {
    let mut writer = Writer {
        server,
        shards: HashMap::new(),
        told_short: false,
    };
    let mut waiting = Vec::new();
    while jobs.recv_many(&mut waiting, MOST).await > 0 {
        let mut taken = Taken::default();
        let mut closing = None;
        for job in waiting.drain(..) {
            if let Some(job) = taken.add(job) {
                writer.do_all(&mut taken, &mut jobs).await;
                if let Some(job) = taken.add(job) {
                    closing = writer.single(job).await.or(closing);
                }
            }
        }
        writer.do_all(&mut taken, &mut jobs).await;
        if let Some(reply) = closing {
            jobs.close();
            reply.send(Ok(()));
        }
    }
}

impl Taken {
    /// Gives back what cannot go together with what is there.
    fn add(&mut self, job: Job) -> Option<Job> {
        match job {
            Job::Write {
                shard,
                epoch,
                request,
                reply,
            } if self.claims.is_empty() => self.writes.push(Write {
                shard,
                epoch,
                request,
                reply,
            }),
            Job::Claim {
                shard,
                claim,
                reply,
            } if self.writes.is_empty() => self.claims.push((shard, claim, reply)),
            other => return Some(other),
        }
        None
    }
}

pub(super) struct Writer {
    pub(super) server: Server,
    pub(super) shards: HashMap<ShardId, Shard>,
    /// It was said that replicas are missing.
    pub(super) told_short: bool,
}

impl Writer {
    async fn do_all(&mut self, taken: &mut Taken, jobs: &mut mpsc::Receiver<Job>) {
        let Taken { writes, claims } = std::mem::take(taken);
        self.write(writes, jobs).await;
        self.claim(claims, jobs).await;
    }

    /// What is not pipelined. Answers the reply to a close, to be given when all is done.
    async fn single(&mut self, job: Job) -> Option<Reply<()>> {
        match job {
            Job::Expire {
                shard,
                epoch,
                retention,
                reply,
            } => reply.send(self.expire(shard, epoch, retention).await),
            Job::Close { reply } => return Some(reply),
            other => other.refuse(Error::Invalid("a request on its own")),
        }
        None
    }

    async fn claim(
        &mut self,
        claims: Vec<(ShardId, Claim, Reply<Ownership>)>,
        jobs: &mut mpsc::Receiver<Job>,
    ) {
        if claims.is_empty() {
            return;
        }
        let mut sent = Vec::with_capacity(claims.len());
        for (shard, claim, reply) in claims {
            self.shards.remove(&shard);
            sent.push(Sent::new(shard, What::Claim { claim, reply }));
        }
        self.deliver(sent, Some(jobs)).await;
    }

    async fn expire(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        retention: Retention,
    ) -> Result<u64, Error> {
        self.prepare(&[(shard, None)]).await?;
        let keys = self.server.keys(shard);
        let Some(known) = self.shards.get_mut(&shard) else {
            return Err(Error::Io("the shard is not known".to_owned()));
        };
        let nothing = known.stage(shard, &keys, epoch, &Request::List(Vec::new()))?;
        let expired = search::expired(&self.server, shard, &known.channels, retention).await?;
        let mut staged = Staged {
            frees: true,
            ..nothing
        };
        let mut gone = 0;
        for it in expired {
            gone += it.count;
            if known.expire(&keys, &it.key, it.last, &mut staged.commands) {
                self.server.upkeep().want(shard, it.key.clone());
            }
            it.forget_rewrites(&keys, &mut staged.commands);
        }
        let (reply, answer) = crate::Pending::channel();
        let what = What::Write {
            epoch,
            staged,
            reply,
        };
        self.deliver(vec![Sent::new(shard, what)], None).await;
        answer.await.map(|()| gone)
    }

    async fn write(&mut self, writes: Vec<Write>, jobs: &mut mpsc::Receiver<Job>) {
        if writes.is_empty() {
            return;
        }
        let needed: Vec<_> = writes
            .iter()
            .map(|write| (write.shard, write.request.channels()))
            .collect();
        if let Err(error) = self.prepare(&needed).await {
            for write in writes {
                write.reply.send(Err(error.clone()));
            }
            return;
        }
        let mut sent = Vec::with_capacity(writes.len());
        for Write {
            shard,
            epoch,
            request,
            reply,
        } in writes
        {
            let keys = self.server.keys(shard);
            let known = self.shards.entry(shard).or_default();
            match known.stage(shard, &keys, epoch, &request) {
                Ok(staged) => {
                    if let Request::Commit(commit) = &request {
                        for key in known.long_journals(commit) {
                            self.server.upkeep().want(shard, key.clone());
                        }
                    }
                    let what = What::Write {
                        epoch,
                        staged,
                        reply,
                    };
                    sent.push(Sent::new(shard, what));
                }
                Err(error) => reply.send(Err(error)),
            }
        }
        if !sent.is_empty() {
            self.deliver(sent, Some(jobs)).await;
        }
    }
}
