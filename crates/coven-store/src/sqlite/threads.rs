//! Starting and ending the threads of a store, and handing them work.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;
use tracing::{error, warn};

use super::failure::failed;
use super::queue::{Queue, Refused};
use super::reader::{self, Reader};
use super::shared::Shared;
use super::writer::{Job, Writer};
use super::{Durability, Options, Stats, checkpoint, lock, replay, schema};
use crate::{ChannelKey, Error, Owner, Pending, Reply, ShardId, StoreId};

/// Requests that may wait for the writer.
const WRITES: usize = 16 << 10;
/// Bytes of requests that may wait for the writer.
const WRITE_BYTES: usize = 64 << 20;
/// Reads that may wait.
const READS: usize = 16 << 10;
/// Channels named at once as to be snapshotted.
const WANTED: usize = 64;

/// The threads of one store.
pub(super) struct Threads {
    shared: Arc<Shared>,
    writes: Arc<Queue<Job>>,
    /// What channels wait for to be loaded.
    loads: Arc<Queue<reader::Job>>,
    /// What takes as long as somebody asks for.
    reads: Arc<Queue<reader::Job>>,
    last: Mutex<Option<JoinHandle<()>>>,
    closing: Arc<Mutex<Closing>>,
}

/// Who waits for the end of the threads.
#[derive(Debug, Default)]
struct Closing {
    replies: Vec<Reply<()>>,
    ended: bool,
}

impl Threads {
    /// Opens the file and starts the threads.
    pub(super) fn start(options: Options) -> Result<(Self, StoreId), Error> {
        let lock = lock::take(&options)?;
        lock::create(&options)?;
        let db = schema::open_writer(&options.path, options.must_exist)?;
        let meta = schema::prepare(&db, options.shards, options.format)?;
        let token = schema::take_over(&db)?;
        let index = replay::index(&db, &meta)?;
        configure(&db, &options)?;

        let shared = Arc::new(Shared::new(options, index));
        let writes = Arc::new(Queue::new(WRITES, WRITE_BYTES));
        let loads = Arc::new(Queue::new(READS, usize::MAX));
        let reads = Arc::new(Queue::new(READS, usize::MAX));
        let writer = Writer::new(db, Arc::clone(&shared), Arc::clone(&writes), token, meta)?;
        let helpers = Helpers::start(&shared, &loads, &reads)?;
        let closing: Arc<Mutex<Closing>> = Arc::default();
        let ended = Arc::clone(&closing);
        let queued = Arc::clone(&writes);
        let last = spawn("store-writer", move || {
            // A panic must not leave callers waiting: what is queued is answered `Closed`.
            let db = catch_unwind(AssertUnwindSafe(|| writer.run()));
            queued.clear();
            drop(helpers);
            match db {
                Ok(db) => finish(&db),
                Err(_) => error!("the store's writer panicked: the store is closed"),
            }
            drop(lock);
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.ended = true;
            ended.replies.drain(..).for_each(|reply| reply.send(Ok(())));
        })?;
        Ok((
            Self {
                shared,
                writes,
                loads,
                reads,
                last: Mutex::new(Some(last)),
                closing,
            },
            meta.identity,
        ))
    }

    /// Hands the writer a request.
    pub(super) fn write<T>(&self, weight: usize, job: impl FnOnce(Reply<T>) -> Job) -> Pending<T> {
        let (reply, answer) = Pending::channel();
        if let Err((job, refused)) = self.writes.push(job(reply), weight) {
            job.fail(&match refused {
                Refused::Full => Error::Busy("too many writes are waiting"),
                Refused::Closed => Error::Closed,
            });
        }
        answer
    }

    /// Hands a reader a question that is quick to answer. It waits for no archive query.
    pub(super) fn load<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        self.ask(&self.loads, read)
    }

    /// Hands a reader a question.
    pub(super) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        self.ask(&self.reads, read)
    }

    fn ask<T: Send + 'static>(
        &self,
        queue: &Queue<reader::Job>,
        read: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        if self.writes.is_closed() {
            return Pending::ready(Err(Error::Closed));
        }
        let (reply, answer) = Pending::channel();
        let job: reader::Job = Box::new(move |reader| reply.send(read(reader)));
        match queue.push(job, 1) {
            Ok(()) => answer,
            Err((_, Refused::Full)) => {
                Pending::ready(Err(Error::Busy("too many reads are waiting")))
            }
            Err((_, Refused::Closed)) => Pending::ready(Err(Error::Closed)),
        }
    }

    /// An answer that needs no thread, unless the store is closed.
    pub(super) fn open_or<T>(&self, answer: Result<T, Error>) -> Pending<T> {
        Pending::ready(if self.writes.is_closed() {
            Err(Error::Closed)
        } else {
            answer
        })
    }

    pub(super) fn owner(&self, shard: ShardId) -> Option<Owner> {
        let state = self.shared.index().shards.get(&shard).copied()?;
        state.owner.map(|session| Owner {
            epoch: state.epoch,
            session,
        })
    }

    pub(super) fn log_is_full(&self) -> bool {
        self.shared.index().log.bytes() > self.shared.options.refusal_mark()
    }

    pub(super) fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        let index = self.shared.index();
        if index.log.bytes() <= self.shared.options.log_limit {
            Vec::new()
        } else {
            index.oldest(WANTED)
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let index = self.shared.index();
        Stats {
            transactions: counters.transactions.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
            checkpoints: counters.checkpoints.load(Ordering::Relaxed),
            queued: self.writes.len(),
            log_bytes: index.log.bytes(),
            live_channels: index.all().count(),
        }
    }

    /// Lets the threads end when they have done what is queued.
    pub(super) fn close(&self) -> Pending<()> {
        self.writes.close();
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        if closing.ended {
            return Pending::ready(Ok(()));
        }
        let (reply, answer) = Pending::channel();
        closing.replies.push(reply);
        answer
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.writes.close();
        let last = self
            .last
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if last.is_some_and(|last| last.join().is_err()) {
            warn!("the store's writer panicked");
        }
    }
}

/// Readers and checkpoints: they end before the writer does.
struct Helpers {
    shared: Arc<Shared>,
    queues: [Arc<Queue<reader::Job>>; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Helpers {
    fn start(
        shared: &Arc<Shared>,
        loads: &Arc<Queue<reader::Job>>,
        reads: &Arc<Queue<reader::Job>>,
    ) -> Result<Self, Error> {
        let mut helpers = Self {
            shared: Arc::clone(shared),
            queues: [Arc::clone(loads), Arc::clone(reads)],
            threads: Vec::new(),
        };
        helpers.read("store-loads", loads)?;
        for number in 0..shared.options.readers.max(1) {
            helpers.read(&format!("store-reader-{number}"), reads)?;
        }
        let db = schema::open_checkpointer(&shared.path)?;
        let shared = Arc::clone(shared);
        helpers.threads.push(spawn("store-checkpoints", move || {
            checkpoint::run(&shared, &db)
        })?);
        Ok(helpers)
    }

    fn read(&mut self, name: &str, queue: &Arc<Queue<reader::Job>>) -> Result<(), Error> {
        let db = schema::open_reader(&self.shared.path)?;
        let (shared, queue) = (Arc::clone(&self.shared), Arc::clone(queue));
        let thread = spawn(name, move || reader::run(db, shared, &queue))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.queues.iter().for_each(|queue| queue.close());
        self.shared.checkpoints.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                warn!("a thread of the store panicked");
            }
        }
    }
}

fn finish(db: &Connection) {
    if let Err(error) = checkpoint::finish(db) {
        warn!(%error, "the last checkpoint failed");
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| Error::Io(format!("cannot start a thread: {error}")))
}

fn configure(db: &Connection, options: &Options) -> Result<(), Error> {
    if let Durability::Interval(_) = options.durability {
        db.pragma_update(None, "synchronous", "normal")
            .map_err(failed)?;
    }
    if let Some(bytes) = options.max_bytes {
        let page: i64 = db
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(failed)?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        db.pragma_update(None, "max_page_count", pages)
            .map_err(failed)?;
    }
    Ok(())
}
