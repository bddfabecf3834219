//! The store in one SQLite file: the default of a single process.
//!
//! One thread writes, and commits all that waits for it with one flush; a few threads read, one of them only what
//! channels are loaded from; one does checkpoints. What a transaction appends is one blob in the table `log`, which is
//! journal and archive tail at once; messages move on into archive pages, states into snapshots, and the log is trimmed
//! behind them (design §7).
//!
//! Where to read next: `writer` and `stage` for what a transaction does, `index` for how the log is found again, `upkeep`
//! for packing and trimming, `replay` for opening, `reader`, `view` and `search` for reading, `underway` for how a read
//! sees index and database at the same transaction, `schema` for the tables, `log`, `row`, `page` and `codec` for the
//! bytes.

mod checkpoint;
pub(crate) mod codec;
mod directory;
mod failure;
mod index;
mod lock;
pub(crate) mod log;
mod moments;
mod page;
mod paging;
mod queue;
mod reader;
mod replay;
mod row;
mod rows;
mod schema;
mod search;
mod shared;
mod stage;
mod threads;
mod underway;
mod upkeep;
mod verify;
mod view;
mod wal;
#[cfg(test)]
mod window;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use smol_str::SmolStr;

use self::reader::Reader;
use self::threads::Threads;
use self::writer::{Job, Request};
use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, Claim, Commit, DirectoryPage,
    DirectoryQuery, Epoch, Error, Listing, Loaded, Owner, Ownership, Pending, ProcessId, Receipts,
    Retention, Sent, ShardId, Snapshot, Store, StoreId, Timestamp, UnknownChannel, UnknownPlace,
    fail,
};

/// How to open a store in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The database file. Beside it are `-wal` and `-shm` (SQLite's) and `-lock` (held while the store is open).
    pub path: PathBuf,
    /// When an answer may be given.
    pub durability: Durability,
    /// Number of shards: fixed when the file is created.
    pub shards: u16,
    /// Refuse to create the file.
    pub must_exist: bool,
    /// Bytes of log above which channels are to be snapshotted (design §7: 64 MiB).
    pub log_limit: u64,
    /// Bytes that the file may have; `None` for as many as the disk takes.
    pub max_bytes: Option<u64>,
    /// The newest format of records that the process reads and writes: a file in a later one is refused, and one in an
    /// earlier one is in this one from then on (I7).
    pub format: u32,
    /// Threads that read archives and directories. One more loads channels.
    pub readers: usize,
}

/// When something counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it: survives power failure.
    #[default]
    Sync,
    /// When the system has it, which flushes it to the disk after at most this long: survives the end of the process.
    Interval(Duration),
}

/// Numbers of a store, for metrics and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions since the store was opened.
    pub transactions: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// Requests waiting for the writer.
    pub queued: usize,
    /// Bytes of log.
    pub log_bytes: u64,
    /// Channels with something in the log.
    pub live_channels: usize,
}

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    threads: Threads,
    identity: StoreId,
}

impl Options {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::Sync,
            shards: 1024,
            must_exist: false,
            log_limit: fail::log_limit(64 << 20),
            max_bytes: None,
            format: 1,
            readers: 2,
        }
    }

    /// Above so many bytes of log it is trimmed ...
    const fn high_mark(&self) -> u64 {
        self.log_limit / 2
    }

    /// ... down to so many.
    const fn low_mark(&self) -> u64 {
        self.log_limit / 16 * 7
    }

    /// Above so many bytes of log the entries at its front that no snapshot covers are put aside: their channel may not
    /// get one for long (it is damaged, or a group of servers is away).
    const fn hold_mark(&self) -> u64 {
        self.log_limit.saturating_mul(2)
    }

    /// Above so many bytes of log commits are refused: trimming does not keep up.
    const fn refusal_mark(&self) -> u64 {
        let most = self.log_limit.saturating_mul(4);
        if most > (16 << 20) { most } else { 16 << 20 }
    }
}

impl SqliteStore {
    /// Opens the file, or creates it. Blocks: for a second, if the log is full.
    ///
    /// Errors: `Locked` when another process has it; `Unfit` when it is of something else, of a newer version, or has
    /// another number of shards, or when there is none and `must_exist`; `Corrupt`, saying what is damaged.
    pub fn open(options: Options) -> Result<Self, Error> {
        let (threads, identity) = Threads::start(options)?;
        Ok(Self { threads, identity })
    }

    /// Reads everything in the file, without opening it for use, and answers what is damaged, one line for each.
    ///
    /// Errors: `Locked` while another process has it; `Unfit` if there is none, or it is of something else.
    pub fn check(options: Options) -> Result<Vec<String>, Error> {
        verify::file(Options {
            must_exist: true,
            ..options
        })
    }

    /// Its numbers now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.threads.stats()
    }

    /// Reads everything and answers what is damaged, one line for each; nothing, if all is well. Takes seconds per
    /// gigabyte, on one of the reading threads.
    pub fn verify(&self) -> Pending<Vec<String>> {
        self.read(Reader::verify)
    }

    fn write(&self, shard: ShardId, epoch: Epoch, request: Request) -> Pending<()> {
        let weight = request.weight();
        self.threads.write(weight, |reply| Job::Write {
            shard,
            epoch,
            request,
            reply,
        })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        self.threads.read(read)
    }
}

impl Store for SqliteStore {
    fn identity(&self) -> Pending<StoreId> {
        self.threads.open_or(Ok(self.identity))
    }

    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>> {
        self.threads.open_or(Ok(self.threads.owner(shard)))
    }

    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership> {
        self.threads.write(64, |reply| Job::Claim {
            shard,
            claim,
            reply,
        })
    }

    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()> {
        self.write(shard, epoch, Request::Release)
    }

    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()> {
        if self.threads.log_is_full() {
            return Pending::ready(Err(Error::Busy(
                "the log is full: channels have to be snapshotted",
            )));
        }
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
        self.threads.write(64, |reply| Job::Expire {
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
        self.threads.load(move |reader| reader.load(shard, &key))
    }

    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool> {
        let key = key.clone();
        self.threads.load(move |reader| reader.exists(shard, &key))
    }

    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>> {
        self.threads.load(move |reader| reader.unsent(shard))
    }

    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>> {
        self.threads.load(move |reader| reader.timers(shard))
    }

    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>> {
        let key = key.clone();
        self.read(move |reader| reader.archive_page(shard, &key, &query))
    }

    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>> {
        let key = key.clone();
        self.read(move |reader| reader.archive_bounds(shard, &key))
    }

    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>> {
        let space = space.clone();
        self.read(move |reader| reader.directory(&space, &query))
    }

    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>> {
        let (space, after) = (space.clone(), after.cloned());
        self.read(move |reader| reader.channels(&space, after.as_ref(), max))
    }

    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        self.threads.wants_snapshot()
    }

    fn close(&self) -> Pending<()> {
        self.threads.close()
    }
}
