//! The store in Redis: what the processes of a cluster share (design §5).
//!
//! Everything of a shard lies under keys with one hash tag, `{s0042}`, so that a shard is one slot of Redis Cluster and
//! a script can change it as a whole. One task writes, in a cluster one for each shard: it takes all that waits, works out
//! with the rules of [`state`](crate::state) what changes, and sends it as one pipeline; a script compares the shard's
//! owner and commit number before it changes anything (I1). Reads run beside it, over a connection of their own.
//!
//! Where to read next: `keys` for the layout, `scripts` for what runs in Redis, `writer`, `fetch`, `stage`, `deliver` and
//! `verdict` for a batch, `server` for connections and what is made of errors, `monitor` for what happens while nobody asks, `read`, `search` and `listing` for reading, `retention` for
//! what goes by age, `record` for bytes, `thread` for the thread that all of it runs on.
//! Needs Redis 7.0 or newer (scripts with flags).

mod deliver;
mod fetch;
mod job;
mod keys;
mod listing;
mod monitor;
mod read;
mod record;
mod registry;
mod retention;
mod scripts;
mod search;
mod server;
mod stage;
mod thread;
mod upkeep;
mod value;
mod verdict;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::registry::RedisRegistry;

use self::job::{Job, Lanes, Request};
use self::read::Reads;
use self::server::{Server, Target};
use self::upkeep::Upkeep;
use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, Claim, Commit, Condition, DirectoryPage,
    DirectoryQuery, Epoch, Error, Listing, Loaded, Owner, Ownership, Pending, ProcessId, Receipts,
    Reply, Retention, Sent, ShardId, Snapshot, Store, StoreId, Timestamp, UnknownChannel,
    UnknownPlace,
};

/// Reads that wait to be begun; more are `Busy`.
const QUEUE: usize = 16_384;

/// How to open a store in Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// `redis://HOST:PORT/DB`, `rediss://...`, `redis+sentinel://HOST,HOST/NAME`, `redis+cluster://HOST,HOST`.
    pub url: String,
    /// What all keys begin with.
    pub prefix: SmolStr,
    /// When an answer may be given; `None`: `Replica` if there are replicas when it is opened, else `Primary`.
    pub durability: Option<Durability>,
    /// Number of shards: fixed when the store is created.
    pub shards: u16,
    /// Refuse an empty Redis.
    pub must_exist: bool,
    /// Most bytes that the archives of all channels together may take; `None` for what fits (design §5.14).
    pub archive_bytes: Option<u64>,
    /// How long something may wait for a connection before it is refused (design §5.12: 5 s).
    pub patience: Duration,
    /// The newest format of records that the process reads: a store in a later one is refused (I7).
    pub format: u32,
    /// No other process uses the store: that format is finalized when it is opened.
    pub alone: bool,
}

/// When something counts as durable (design §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When one replica has it.
    Replica,
    /// When a replica has it on its disk. Needs Redis 7.2 or newer.
    ReplicaFsync,
    /// When the primary has taken it in: lost with a primary that dies before its replicas have it.
    Primary,
}

impl Options {
    /// The defaults for a Redis.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: SmolStr::new("coven"),
            durability: None,
            shards: 1024,
            must_exist: false,
            archive_bytes: None,
            patience: Duration::from_secs(5),
            format: 1,
            alone: false,
        }
    }
}

impl fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &shown_url(&self.url))
            .field("prefix", &self.prefix)
            .field("durability", &self.durability)
            .field("shards", &self.shards)
            .field("must_exist", &self.must_exist)
            .field("archive_bytes", &self.archive_bytes)
            .field("patience", &self.patience)
            .field("format", &self.format)
            .field("alone", &self.alone)
            .finish()
    }
}

/// Whether `url` is an address that [`RedisStore::open`] understands; nothing is connected.
///
/// Errors: what is wrong with it, without a password in it.
pub fn check_url(url: &str) -> Result<(), Error> {
    Target::parse(url).map(|_| ())
}

/// An address without user and password, for logs and messages.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "redis".to_owned();
    };
    let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
    // What may follow a question mark is nobody's business either.
    let hosts = hosts.split('?').next().unwrap_or_default();
    format!("{scheme}://{hosts}")
}

/// A store in Redis.
#[derive(Debug)]
pub struct RedisStore {
    lanes: Lanes,
    reads: mpsc::Sender<read::Job>,
    closing: watch::Sender<bool>,
    condition: watch::Receiver<Condition>,
    upkeep: Arc<Upkeep>,
}

impl RedisStore {
    /// Connects, looks whether this Redis can be used, and creates what is missing. Blocks for as long as that takes.
    ///
    /// Errors: `Unfit` for an address that cannot be understood, for a Redis that evicts keys, is older than 7.0, or was
    /// made with another number of shards, and for an empty one where `must_exist`; `Io` when it cannot be reached.
    pub fn open(options: Options) -> Result<Self, Error> {
        let target = Target::parse(&options.url)?;
        // The first one stays; one that is there already does as well.
        let _is_set = rustls::crypto::ring::default_provider().install_default();
        let count = match target.is_cluster() {
            true => options.shards,
            false => 1,
        };
        let (lanes, jobs) = Lanes::new(count);
        let (reads, asked) = mpsc::channel(QUEUE);
        let (note, condition) = watch::channel(Condition::Good);
        let closing = watch::Sender::new(false);
        let upkeep = Arc::new(Upkeep::new(options.archive_bytes));
        let (shared, asked_by) = (Arc::clone(&upkeep), lanes.clone());
        let is_closing = closing.subscribe();
        thread::run("coven-redis", async move || {
            let server = Server::open(target, options, note, shared).await?;
            Ok(work(server, (asked_by, jobs), asked, is_closing))
        })?;
        Ok(Self {
            lanes,
            reads,
            closing,
            condition,
            upkeep,
        })
    }

    fn write(&self, shard: ShardId, epoch: Epoch, request: Request) -> Pending<()> {
        self.job(shard, |reply| Job::Write {
            shard,
            epoch,
            request,
            reply,
        })
    }

    fn job<T>(&self, shard: ShardId, make: impl FnOnce(Reply<T>) -> Job) -> Pending<T> {
        if *self.closing.borrow() {
            return Pending::ready(Err(Error::Closed));
        }
        let (reply, pending) = Pending::channel();
        self.lanes.put(shard, make(reply));
        pending
    }

    fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> read::Job) -> Pending<T> {
        if *self.closing.borrow() {
            return Pending::ready(Err(Error::Closed));
        }
        self.ask_always(make)
    }

    fn ask_always<T>(&self, make: impl FnOnce(Reply<T>) -> read::Job) -> Pending<T> {
        let (reply, pending) = Pending::channel();
        match self.reads.try_send(make(reply)) {
            Ok(()) => pending,
            Err(error) => Pending::ready(Err(refused(&error))),
        }
    }
}

fn refused<T>(error: &mpsc::error::TrySendError<T>) -> Error {
    match error {
        mpsc::error::TrySendError::Full(_) => Error::Busy("too much waits for Redis"),
        mpsc::error::TrySendError::Closed(_) => Error::Closed,
    }
}

/// Ends when nobody is left who asks.
async fn work(
    server: Server,
    (lanes, jobs): (Lanes, Vec<mpsc::Receiver<Job>>),
    asked: mpsc::Receiver<read::Job>,
    closing: watch::Receiver<bool>,
) {
    let ended = watch::Sender::new(false);
    let reads = Reads::new(server.clone(), lanes, ended.subscribe());
    let mut writers = JoinSet::new();
    for jobs in jobs {
        writers.spawn(writer::run(server.clone(), jobs, closing.clone()));
    }
    let writing = async {
        while writers.join_next().await.is_some() {}
        ended.send_replace(true);
    };
    let answering = async { tokio::join!(writing, reads.run(asked)) };
    tokio::select! {
        _ = answering => {}
        () = monitor::run(server.clone()) => {}
    }
}

impl Store for RedisStore {
    fn identity(&self) -> Pending<StoreId> {
        self.ask(|reply| read::Job::Identity { reply })
    }

    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>> {
        self.ask(|reply| read::Job::Owner { shard, reply })
    }

    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership> {
        self.job(shard, |reply| Job::Claim {
            shard,
            claim,
            reply,
        })
    }

    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()> {
        self.write(shard, epoch, Request::Release)
    }

    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()> {
        self.write(shard, epoch, Request::Commit(Box::new(commit)))
    }

    fn acknowledge(&self, shard: ShardId, epoch: Epoch, receipts: Receipts) -> Pending<()> {
        self.write(shard, epoch, Request::Acknowledge(receipts))
    }

    fn forget_process(&self, shard: ShardId, epoch: Epoch, process: ProcessId) -> Pending<()> {
        self.write(shard, epoch, Request::ForgetProcess(process))
    }

    fn snapshot(
        &self,
        shard: ShardId,
        epoch: Epoch,
        key: ChannelKey,
        snapshot: Snapshot,
    ) -> Pending<()> {
        self.write(shard, epoch, Request::Snapshot(key, snapshot))
    }

    fn expire(&self, shard: ShardId, epoch: Epoch, retention: Retention) -> Pending<u64> {
        self.ask(|reply| read::Job::Expire {
            shard,
            epoch,
            retention,
            reply,
        })
    }

    fn list(
        &self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Pending<()> {
        self.write(shard, epoch, Request::List(listings))
    }

    fn load(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<Loaded>> {
        let key = key.clone();
        self.ask(|reply| read::Job::Load { shard, key, reply })
    }

    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool> {
        let key = key.clone();
        self.ask(|reply| read::Job::Exists { shard, key, reply })
    }

    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>> {
        self.ask(|reply| read::Job::Unsent { shard, reply })
    }

    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>> {
        self.ask(|reply| read::Job::Timers { shard, reply })
    }

    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>> {
        let key = key.clone();
        self.ask(|reply| read::Job::Page {
            shard,
            key,
            query: Box::new(query),
            reply,
        })
    }

    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>> {
        let key = key.clone();
        self.ask(|reply| read::Job::Bounds { shard, key, reply })
    }

    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>> {
        let space = space.clone();
        self.ask(|reply| read::Job::Directory {
            space,
            query,
            reply,
        })
    }

    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>> {
        let (space, after) = (space.clone(), after.cloned());
        self.ask(|reply| read::Job::Channels {
            space,
            after,
            max,
            reply,
        })
    }

    /// Those with a long journal, and those whose messages could go if a snapshot covered them.
    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        self.upkeep.wanted()
    }

    fn wants_room(&self) -> bool {
        self.upkeep.wants_room(Instant::now())
    }

    fn room_before(&self, shards: Vec<ShardId>) -> Pending<Option<Timestamp>> {
        self.ask(|reply| read::Job::Room { shards, reply })
    }

    fn condition(&self) -> Condition {
        self.condition.borrow().clone()
    }

    fn accept(&self) -> Pending<StoreId> {
        self.ask(|reply| read::Job::Accept { reply })
    }

    fn close(&self) -> Pending<()> {
        if self.closing.send_replace(true) {
            return Pending::ready(Ok(()));
        }
        self.ask_always(|reply| read::Job::Closed { reply })
    }
}
