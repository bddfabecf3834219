//! The task that writes: takes all that waits, and sends it as one pipeline.
//!
//! One pipeline is under way at a time; what comes meanwhile waits for the next, which is the group commit. With a
//! durability of replicas nothing is answered before a replica has it: the barrier is repeated, after a write, until it
//! holds (design §5.5).

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use redis::{RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::job::{Job, Request};
use super::server::{Batch, Server, Trouble, refusal};
use super::stage::{Shard, Staged};
use super::value::{fields, hex, parse, session};
use super::verdict::{has_replica, judge, script};
use super::{scripts, search};
use crate::{Claim, CommitNumber, Epoch, Error, Owner, Ownership, Reply, Retention, ShardId};

/// Requests in one pipeline.
const MOST: usize = 1024;
/// How long to wait before trying again what cannot be done now.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// A write, taken from the queue.
struct Write {
    shard: ShardId,
    epoch: Epoch,
    request: Request,
    reply: Reply<()>,
}

/// A write on its way.
struct Sent {
    shard: ShardId,
    epoch: Epoch,
    staged: Staged,
    reply: Reply<()>,
}

/// Works until the queue is closed.
pub(super) async fn run(server: Server, mut jobs: mpsc::Receiver<Job>) {
    let mut writer = Writer {
        server,
        shards: HashMap::new(),
    };
    let mut waiting = Vec::new();
    while jobs.recv_many(&mut waiting, MOST).await > 0 {
        let mut closing = None;
        let mut writes = Vec::new();
        for job in waiting.drain(..) {
            match job {
                Job::Write {
                    shard,
                    epoch,
                    request,
                    reply,
                } => {
                    writes.push(Write {
                        shard,
                        epoch,
                        request,
                        reply,
                    });
                    continue;
                }
                other => {
                    writer.write(std::mem::take(&mut writes), &mut jobs).await;
                    closing = writer.single(other).await.or(closing);
                }
            }
        }
        writer.write(writes, &mut jobs).await;
        if let Some(reply) = closing {
            jobs.close();
            reply.send(Ok(()));
        }
    }
}

pub(super) struct Writer {
    pub(super) server: Server,
    pub(super) shards: HashMap<ShardId, Shard>,
}

impl Writer {
    /// What is not pipelined. Answers the reply to a close, to be given when all is done.
    async fn single(&mut self, job: Job) -> Option<Reply<()>> {
        match job {
            Job::Claim {
                shard,
                claim,
                reply,
            } => reply.send(self.claim(shard, claim).await),
            Job::Expire {
                shard,
                epoch,
                retention,
                reply,
            } => {
                reply.send(self.expire(shard, epoch, retention).await);
            }
            Job::Close { reply } => return Some(reply),
            Job::Write { reply, .. } => reply.send(Err(Error::Invalid("a write on its own"))),
        }
        None
    }

    async fn claim(&mut self, shard: ShardId, claim: Claim) -> Result<Ownership, Error> {
        self.shards.remove(&shard);
        let (dead_epoch, dead) = claim.judged_dead.map_or_else(Default::default, |dead| {
            (dead.epoch.to_string(), hex(dead.session))
        });
        let mut script = redis::cmd("EVAL");
        script
            .arg(scripts::CLAIM)
            .arg(1)
            .arg(self.server.keys(shard).owner());
        script
            .arg(hex(claim.session))
            .arg(dead_epoch)
            .arg(dead)
            .arg(claim.known.0);
        let mut commands = vec![script];
        commands.extend(self.server.barrier());
        let answers = self.send(&[Batch { shard, commands }]).await;
        let answers = answers
            .into_iter()
            .next()
            .unwrap_or_else(|| Ok(Vec::new()))?;
        let answer = answers
            .into_iter()
            .next()
            .transpose()
            .map_err(|e| refusal(&e))?;
        let fields = fields(&answer.unwrap_or_default());
        let (epoch, last) = (Epoch(parse(fields.get(1))), fields.get(2));
        if fields.first().is_some_and(|granted| granted == "1") {
            let last_commit = CommitNumber(parse(last));
            return Ok(Ownership { epoch, last_commit });
        }
        let session = last.and_then(|it| session(it)).unwrap_or_default();
        let owner = Owner { epoch, session };
        Err(Error::Held { shard, owner })
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
            known.expire(&keys, &it.key, it.last, &mut staged.commands);
            it.forget_rewrites(&keys, &mut staged.commands);
        }
        let (reply, answer) = crate::Pending::channel();
        self.deliver(
            vec![Sent {
                shard,
                epoch,
                staged,
                reply,
            }],
            None,
        )
        .await;
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
                Ok(staged) => sent.push(Sent {
                    shard,
                    epoch,
                    staged,
                    reply,
                }),
                Err(error) => reply.send(Err(error)),
            }
        }
        self.deliver(sent, Some(jobs)).await;
    }

    /// Sends what is staged, and answers when it is durable.
    async fn deliver(&mut self, sent: Vec<Sent>, jobs: Option<&mut mpsc::Receiver<Job>>) {
        let batches = self.batches(&sent);
        crate::fail::point("redis-before-write");
        let answers = self.send(&batches).await;
        crate::fail::point("redis-after-write");
        let mut by_shard: HashMap<ShardId, _> = HashMap::new();
        for (batch, answers) in batches.iter().zip(answers) {
            by_shard.insert(batch.shard, answers.map(Vec::into_iter));
        }
        let mut done = Vec::new();
        for Sent {
            shard,
            epoch,
            staged,
            reply,
        } in sent
        {
            let answer = match by_shard.get_mut(&shard) {
                Some(Ok(answers)) => answers.next(),
                Some(Err(trouble)) => {
                    self.shards.remove(&shard);
                    reply.send(Err(trouble.clone().into()));
                    continue;
                }
                None => None,
            };
            match judge(shard, epoch, &staged, answer) {
                Ok(()) => done.push((shard, reply)),
                Err(error) => {
                    self.shards.remove(&shard);
                    reply.send(Err(error));
                }
            }
        }
        let short = self.is_short(&batches, &mut by_shard);
        let held = if short {
            self.hold(&done, jobs).await
        } else {
            Ok(())
        };
        for (_, reply) in done {
            reply.send(held.clone());
        }
    }

    /// The commands of each shard, in order. The first use of a script in a pipeline brings its text: a server that was
    /// started anew, or another one, does not know it.
    fn batches(&self, sent: &[Sent]) -> Vec<Batch> {
        let each = self.server.is_cluster();
        let mut batches: Vec<Batch> = Vec::new();
        let mut place: HashMap<ShardId, usize> = HashMap::new();
        let mut brought: BTreeSet<(Option<ShardId>, bool)> = BTreeSet::new();
        for Sent {
            shard,
            epoch,
            staged,
            ..
        } in sent
        {
            let at = *place.entry(*shard).or_insert(batches.len());
            if at == batches.len() {
                batches.push(Batch {
                    shard: *shard,
                    commands: Vec::new(),
                });
            }
            let keys = self.server.keys(*shard);
            let text = brought.insert((each.then_some(*shard), staged.frees));
            if let Some(batch) = batches.get_mut(at) {
                batch
                    .commands
                    .push(script(&keys.owner(), *epoch, staged, text));
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

    /// Whether a barrier says that no replica has it yet.
    fn is_short(
        &self,
        batches: &[Batch],
        rest: &mut HashMap<ShardId, Result<std::vec::IntoIter<RedisResult<Value>>, Trouble>>,
    ) -> bool {
        self.server.barrier().is_some()
            && batches
                .iter()
                .any(|batch| match rest.get_mut(&batch.shard) {
                    Some(Ok(answers)) => answers.next().is_some_and(|answer| !has_replica(&answer)),
                    _ => false,
                })
    }

    /// Repeats a write and its barrier until a replica has it all. After a while what comes meanwhile is refused.
    async fn hold(
        &mut self,
        done: &[(ShardId, Reply<()>)],
        mut jobs: Option<&mut mpsc::Receiver<Job>>,
    ) -> Result<(), Error> {
        let shards: BTreeSet<ShardId> = done.iter().map(|(shard, _)| *shard).collect();
        let until = Instant::now() + self.server.options().patience;
        tracing::warn!("no replica of redis has the newest commits: they are held back");
        loop {
            let batches: Vec<_> = shards.iter().map(|shard| self.touch(*shard)).collect();
            let answers = self.send(&batches).await;
            let mut all = true;
            for (batch, answers) in batches.iter().zip(answers) {
                match answers {
                    Ok(answers) => all &= answers.last().is_some_and(has_replica),
                    Err(trouble) => {
                        self.shards.remove(&batch.shard);
                        return Err(Error::Unknown(format!("no replica had it: {trouble:?}")));
                    }
                }
            }
            if all {
                return Ok(());
            }
            if Instant::now() >= until {
                refuse_waiting(&mut jobs);
            }
        }
    }

    /// A write without meaning, so that the barrier behind it counts (tried: as the first command it answers too much).
    fn touch(&self, shard: ShardId) -> Batch {
        let mut commands = Vec::new();
        let mut touch = redis::cmd("HINCRBY");
        touch
            .arg(self.server.keys(shard).owner())
            .arg("waited")
            .arg(1);
        commands.push(touch);
        commands.extend(self.server.barrier());
        Batch { shard, commands }
    }

    async fn send(&self, batches: &[Batch]) -> Vec<super::server::Answers> {
        self.server.run(batches).await
    }
}

fn refuse_waiting(jobs: &mut Option<&mut mpsc::Receiver<Job>>) {
    let busy = || Error::Busy("no replica of redis answers");
    while let Some(job) = jobs.as_mut().and_then(|jobs| jobs.try_recv().ok()) {
        job.refuse(busy());
    }
}
