//! Reads: each runs beside the others and beside the writes, over a connection to the same server, so that it sees what was
//! answered before it.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use smol_str::SmolStr;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::job::Lanes;
use super::keys::{channel, name};
use super::record::Under;
use super::server::Server;
use super::value::{fields, list, parse, session};
use super::{listing, retention, scripts, search};
use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, CommitNumber, DirectoryPage,
    DirectoryQuery, Entry, Epoch, Error, Loaded, Owner, Reply, Retention, Sent, ShardId, StoreId,
    Timestamp, UnknownChannel, UnknownPlace,
};

/// After a page of the directory there is none for so many times as long as it took: each is a question to every shard,
/// and whoever browses takes a part of Redis' time and not all of it.
const REST: u32 = 3;
const MOST_REST: Duration = Duration::from_millis(200);

/// What is read.
#[derive(Debug)]
pub(super) enum Job {
    Identity {
        reply: Reply<StoreId>,
    },
    Accept {
        reply: Reply<StoreId>,
    },
    Expire {
        shard: ShardId,
        epoch: Epoch,
        retention: Retention,
        reply: Reply<u64>,
    },
    /// Answered when all writing tasks have ended.
    Closed {
        reply: Reply<()>,
    },
    Room {
        shards: Vec<ShardId>,
        reply: Reply<Option<Timestamp>>,
    },
    Owner {
        shard: ShardId,
        reply: Reply<Option<Owner>>,
    },
    Load {
        shard: ShardId,
        key: ChannelKey,
        reply: Reply<Option<Loaded>>,
    },
    Exists {
        shard: ShardId,
        key: ChannelKey,
        reply: Reply<bool>,
    },
    Unsent {
        shard: ShardId,
        reply: Reply<Vec<Sent>>,
    },
    Timers {
        shard: ShardId,
        reply: Reply<Vec<(Timestamp, ChannelKey)>>,
    },
    Page {
        shard: ShardId,
        key: ChannelKey,
        query: Box<ArchiveQuery>,
        reply: Reply<Result<ArchivePage, UnknownPlace>>,
    },
    Bounds {
        shard: ShardId,
        key: ChannelKey,
        reply: Reply<Option<ArchiveBounds>>,
    },
    Directory {
        space: SmolStr,
        query: DirectoryQuery,
        reply: Reply<Result<DirectoryPage, UnknownChannel>>,
    },
    Channels {
        space: SmolStr,
        after: Option<SmolStr>,
        max: usize,
        reply: Reply<Vec<ChannelKey>>,
    },
}

/// Takes reads from their queue.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    server: Server,
    lanes: Lanes,
    /// The writing tasks have ended.
    ended: watch::Receiver<bool>,
    /// Whose turn it is to read the directory.
    browsing: Arc<Mutex<()>>,
}

impl Reads {
    pub(super) fn new(server: Server, lanes: Lanes, ended: watch::Receiver<bool>) -> Self {
        Self {
            server,
            lanes,
            ended,
            browsing: Arc::default(),
        }
    }

    /// Works until the queue is closed.
    pub(super) async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            // Ends by itself: each command has a time limit.
            let reads = self.clone();
            let _detached = tokio::spawn(async move { reads.answer(job).await });
        }
    }

    async fn answer(&self, job: Job) {
        let server = &self.server;
        match job {
            Job::Identity { reply } => reply.send(Ok(server.identity())),
            Job::Expire {
                shard,
                epoch,
                retention,
                reply,
            } => {
                let of = (shard, epoch);
                reply.send(retention::expire(server, &self.lanes, of, retention).await);
            }
            Job::Closed { reply } => {
                let mut ended = self.ended.clone();
                drop(ended.wait_for(|ended| *ended).await);
                reply.send(Ok(()));
            }
            Job::Room { shards, reply } => {
                reply.send(server.upkeep().room_before(server, &shards).await);
            }
            Job::Accept { reply } => reply.send(server.accept().await),
            Job::Owner { shard, reply } => reply.send(self.owner(shard).await),
            Job::Load { shard, key, reply } => reply.send(self.load(shard, &key).await),
            Job::Exists { shard, key, reply } => reply.send(self.exists(shard, &key).await),
            Job::Unsent { shard, reply } => reply.send(self.unsent(shard).await),
            Job::Timers { shard, reply } => reply.send(self.timers(shard).await),
            Job::Page {
                shard,
                key,
                query,
                reply,
            } => {
                reply.send(search::page(server, shard, &key, &query).await);
            }
            Job::Bounds { shard, key, reply } => {
                reply.send(search::bounds(server, shard, &key).await);
            }
            Job::Directory {
                space,
                query,
                reply,
            } => {
                self.browse(reply, listing::page(server, &space, &query))
                    .await;
            }
            Job::Channels {
                space,
                after,
                max,
                reply,
            } => {
                let read = listing::channels(server, &space, after.as_ref(), max);
                self.browse(reply, read).await;
            }
        }
    }

    /// Reads of all shards in turn, and not all the time.
    async fn browse<T>(&self, reply: Reply<T>, read: impl Future<Output = Result<T, Error>>) {
        let _turn = self.browsing.lock().await;
        let began = Instant::now();
        reply.send(read.await);
        sleep((began.elapsed() * REST).min(MOST_REST)).await;
    }

    async fn owner(&self, shard: ShardId) -> Result<Option<Owner>, Error> {
        let mut read = redis::cmd("HMGET");
        read.arg(self.server.keys(shard).owner())
            .arg("epoch")
            .arg("owner");
        let read = fields(&self.one(shard, read).await?);
        let epoch = Epoch(parse(read.first()));
        let session = read.get(1).and_then(|it| session(it));
        Ok(session.map(|session| Owner { epoch, session }))
    }

    async fn load(&self, shard: ShardId, key: &ChannelKey) -> Result<Option<Loaded>, Error> {
        let keys = self.server.keys(shard);
        let mut script = redis::cmd("EVAL");
        script.arg(scripts::LOAD).arg(4);
        script.arg(keys.channels()).arg(keys.snapshots());
        script
            .arg(keys.journal(key))
            .arg(keys.archive(key))
            .arg(name(key));
        let mut answer = list(self.one(shard, script).await?).into_iter();
        let Some(Value::BulkString(record)) = answer.next() else {
            return Ok(None);
        };
        let record = Under(key).record(&record.into())?;
        let snapshot = match answer.next() {
            Some(Value::BulkString(value)) => Some(Under(key).snapshot(&value.into())?),
            _ => None,
        };
        let entries = list(answer.next().unwrap_or_default());
        let journal = journal(key, entries)?;
        Ok(Some(record.state.loaded(snapshot, journal)))
    }

    async fn exists(&self, shard: ShardId, key: &ChannelKey) -> Result<bool, Error> {
        let mut read = redis::cmd("ZSCORE");
        read.arg(self.server.keys(shard).alive()).arg(name(key));
        Ok(!matches!(self.one(shard, read).await?, Value::Nil))
    }

    async fn unsent(&self, shard: ShardId) -> Result<Vec<Sent>, Error> {
        let mut read = redis::cmd("HGETALL");
        read.arg(self.server.keys(shard).unsent());
        let pairs = list(self.one(shard, read).await?);
        let mut marks: Vec<_> = pairs.chunks_exact(2).filter_map(mark).collect();
        marks.sort();
        Ok(marks)
    }

    async fn timers(&self, shard: ShardId) -> Result<Vec<(Timestamp, ChannelKey)>, Error> {
        let mut read = redis::cmd("ZRANGE");
        read.arg(self.server.keys(shard).timers())
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        let pairs = list(self.one(shard, read).await?);
        let mut timers: Vec<_> = pairs.chunks_exact(2).filter_map(timer).collect();
        timers.sort();
        Ok(timers)
    }

    async fn one(&self, shard: ShardId, command: redis::Cmd) -> Result<Value, Error> {
        let answers = self.server.ask(shard, vec![command]).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }
}

/// Entries of both streams, in order.
fn journal(key: &ChannelKey, entries: Vec<Value>) -> Result<Vec<Entry>, Error> {
    let bodies = entries.into_iter().filter_map(|entry| body(&entry));
    let read = bodies.map(|body| Ok(Under(key).entry(&body.into())?.entry));
    let mut entries: Vec<Entry> = read.collect::<Result<_, Error>>()?;
    entries.sort_by_key(|entry| entry.sequence);
    Ok(entries)
}

/// The body of a stream's entry: `[id, ["e", body]]`.
pub(super) fn body(entry: &Value) -> Option<Vec<u8>> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let Some(Value::Array(fields)) = parts.get(1) else {
        return None;
    };
    match fields.get(1) {
        Some(Value::BulkString(body)) => Some(body.clone()),
        _ => None,
    }
}

fn mark(pair: &[Value]) -> Option<Sent> {
    let [Value::BulkString(name), Value::BulkString(commit)] = pair else {
        return None;
    };
    let commit = std::str::from_utf8(commit).ok()?.parse().ok()?;
    Some(Sent {
        key: channel(name)?,
        commit: CommitNumber(commit),
    })
}

fn timer(pair: &[Value]) -> Option<(Timestamp, ChannelKey)> {
    let [Value::BulkString(name), Value::BulkString(at)] = pair else {
        return None;
    };
    let at: f64 = std::str::from_utf8(at).ok()?.parse().ok()?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a moment in ms is exact and positive"
    )]
    let at = at as u64;
    Some((Timestamp(at), channel(name)?))
}
