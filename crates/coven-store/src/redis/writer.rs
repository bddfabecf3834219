//! A task that writes: takes all that waits, and works out what goes to Redis as one pipeline.
//!
//! One pipeline of a task is under way at a time (`deliver`); what comes meanwhile waits for the next, which is the group
//! commit. There is one task where all shards lie on one server, and one for each shard in a cluster (`job`). Claims go
//! together too: a process claims all its shards at its start.

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};

use super::deliver::{Sent, What};
use super::job::{Job, Request};
use super::server::Server;
use super::stage::Shard;
use crate::{Claim, Epoch, Ownership, Reply, ShardId};

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

/// Works until nobody is left who asks, or the store is closed and all that waits is done.
pub(super) async fn run(
    server: Server,
    mut jobs: mpsc::Receiver<Job>,
    mut closing: watch::Receiver<bool>,
) {
    let mut writer = Writer {
        server,
        shards: HashMap::new(),
    };
    let mut waiting = Vec::new();
    while wait(&mut jobs, &mut closing, &mut waiting).await {
        let mut taken = Taken::default();
        for job in waiting.drain(..) {
            if let Some(job) = taken.add(job) {
                writer.do_all(&mut taken, &mut jobs).await;
                // Nothing is there that it could not go together with.
                let _none = taken.add(job);
            }
        }
        // What a task keeps while it has nothing to do is little: there may be one for each shard.
        Box::pin(writer.do_all(&mut taken, &mut jobs)).await;
    }
}

/// Takes what waits; `false` when there will be nothing any more.
async fn wait(
    jobs: &mut mpsc::Receiver<Job>,
    closing: &mut watch::Receiver<bool>,
    waiting: &mut Vec<Job>,
) -> bool {
    loop {
        tokio::select! {
            biased;
            count = jobs.recv_many(waiting, MOST) => return count > 0,
            _ = closing.wait_for(|closing| *closing), if !jobs.is_closed() => jobs.close(),
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
}

impl Writer {
    async fn do_all(&mut self, taken: &mut Taken, jobs: &mut mpsc::Receiver<Job>) {
        let Taken { writes, claims } = std::mem::take(taken);
        if !writes.is_empty() {
            self.write(writes, jobs).await;
        }
        if !claims.is_empty() {
            self.claim(claims, jobs).await;
        }
    }

    async fn claim(
        &mut self,
        claims: Vec<(ShardId, Claim, Reply<Ownership>)>,
        jobs: &mut mpsc::Receiver<Job>,
    ) {
        let mut sent = Vec::with_capacity(claims.len());
        for (shard, claim, reply) in claims {
            self.shards.remove(&shard);
            sent.push(self.sent(shard, What::Claim { claim, reply }));
        }
        self.deliver(sent, jobs).await;
    }

    async fn write(&mut self, writes: Vec<Write>, jobs: &mut mpsc::Receiver<Job>) {
        let needed: Vec<_> = writes
            .iter()
            .map(|write| (write.shard, write.request.channels()))
            .collect();
        let unknown = self.prepare(&needed).await;
        let mut sent = Vec::with_capacity(writes.len());
        for write in writes {
            match unknown.get(&write.shard) {
                Some(error) => write.reply.send(Err(error.clone())),
                None => sent.extend(self.stage(write)),
            }
        }
        if !sent.is_empty() {
            self.deliver(sent, jobs).await;
        }
    }

    fn stage(&mut self, write: Write) -> Option<Sent> {
        let Write {
            shard,
            epoch,
            request,
            reply,
        } = write;
        let keys = self.server.keys(shard);
        let known = self.shards.entry(shard).or_default();
        let staged = match known.stage(shard, &keys, epoch, &request) {
            Ok(staged) => staged,
            Err(error) => {
                reply.send(Err(error));
                return None;
            }
        };
        known.tell(shard, &request, self.server.upkeep());
        let what = What::Write {
            epoch,
            staged,
            reply,
        };
        Some(self.sent(shard, what))
    }

    fn sent(&self, shard: ShardId, what: What) -> Sent {
        Sent::new(shard, what, self.server.until())
    }
}
