//! Connections: one XEP-0114 stream for each upstream and domain, made anew whenever it is lost.
//!
//! Owns what the parts of the front-end share of a connection ([`Connection`]): the lanes on which workers hand over
//! output, what is answered directly, the barrier that is under way. Streams of a connection are numbered, so that
//! nobody mistakes one for the other.
//!
//! Read next: `attach.rs` for the life of a connection, `writer.rs` and `reader.rs` for its two directions, `lane.rs`.

mod attach;
mod backoff;
mod barrier;
mod dial;
mod direct;
mod handshake;
mod keyring;
mod lane;
mod reader;
mod tenure;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coven_core::Group;
use coven_xmpp::stream::Limits;
use smol_str::{SmolStr, format_smolstr};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) use attach::{Attach, Ends};
pub(crate) use barrier::{BarrierNo, Ids, Whose};
pub(crate) use dial::WritingHalf;
pub use dial::{Dial, Dialing, Outward, Socket, Tcp};
pub(crate) use direct::{Direct, NotTaken};
pub(crate) use lane::{LANE_BYTES, Lane, Piece};
pub(crate) use tenure::Tenure;

use crate::metrics::{ConnectionSnapshot, Counter};
use crate::options::{Barrier, Upstream};
use barrier::Pace;
use tenure::Holding;

/// Numbers the streams of a connection: odd while one is up, even while there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct StreamNo(u64);

/// Written chunks that are kept for their memory.
const MAX_WRITTEN: usize = 16;

/// What the parts of the front-end share of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    index: usize,
    name: SmolStr,
    domain: SmolStr,
    upstream: Arc<Upstream>,
    limits: Limits,
    stream: AtomicU64,
    /// One for each worker.
    lanes: Box<[Lane]>,
    direct: Direct,
    /// Wakes the writer.
    wake: Notify,
    /// Chunks that were written: their memory serves again.
    written: Mutex<Vec<Bytes>>,
    barriers: Mutex<Barriers>,
    /// The highest wanted barrier that is passed.
    passed: watch::Sender<u64>,
    /// For each worker the stream that it is ready for.
    ready: Box<[AtomicU64]>,
    became_ready: Notify,
    /// Wakes the workers.
    workers: Arc<[Notify]>,
    /// When the server last sent or took something, in microseconds since `born`.
    heard: AtomicU64,
    born: Instant,
    holding: Holding,
    counters: Counters,
}

/// What is counted for each connection.
#[derive(Debug, Default)]
struct Counters {
    streams: Counter,
    bytes_read: Counter,
    bytes_written: Counter,
    writes: Counter,
    barriers: Counter,
    barrier_micros: Counter,
}

/// Barriers of the present stream.
#[derive(Debug)]
struct Barriers {
    pace: Pace,
    last: BarrierNo,
    asked: Option<Asked>,
    /// Counts the wishes for a barrier behind all that was handed over.
    wanted: u64,
}

/// A barrier that is under way.
#[derive(Debug)]
struct Asked {
    no: BarrierNo,
    at: Instant,
    /// For each lane the last chunk that was written before it.
    chunks: Box<[u64]>,
    /// The wish that it fulfils.
    wish: u64,
}

impl StreamNo {
    /// The first stream.
    #[cfg(test)]
    pub(crate) const FIRST: Self = Self(1);

    /// The state that follows.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether there is a stream.
    pub(crate) const fn is_up(self) -> bool {
        self.0 % 2 == 1
    }
}

impl Connection {
    /// A connection without a stream.
    pub(crate) fn new(
        index: usize,
        domain: SmolStr,
        upstream: Arc<Upstream>,
        workers: Arc<[Notify]>,
    ) -> Self {
        let born = Instant::now();
        let with_pings = upstream.barrier != Barrier::Off;
        Self {
            index,
            name: format_smolstr!("{}/{}/{domain}", upstream.group.0, upstream.address()),
            direct: Direct::new(&domain, upstream.max_stanza_bytes),
            domain,
            limits: Limits {
                stanza_bytes: upstream.max_incoming_bytes(),
                ..Limits::default()
            },
            upstream,
            stream: AtomicU64::default(),
            lanes: workers.iter().map(|_| Lane::default()).collect(),
            wake: Notify::new(),
            written: Mutex::default(),
            barriers: Mutex::new(Barriers {
                pace: Pace::new(born, with_pings),
                last: BarrierNo(0),
                asked: None,
                wanted: 0,
            }),
            passed: watch::Sender::new(0),
            ready: workers.iter().map(|_| AtomicU64::default()).collect(),
            became_ready: Notify::new(),
            holding: Holding::new(workers.len()),
            workers,
            heard: AtomicU64::default(),
            born,
            counters: Counters::default(),
        }
    }

    /// Its place among the connections of this front-end.
    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// Its name, the same after each start: acknowledgements are stored by it.
    pub(crate) const fn name(&self) -> &SmolStr {
        &self.name
    }

    /// The domain that is attached.
    pub(crate) fn domain(&self) -> &SmolStr {
        &self.domain
    }

    /// The server.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Bounds on what is read.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The group of the server.
    pub(crate) fn group(&self) -> &Group {
        &self.upstream.group
    }

    /// The present stream.
    pub(crate) fn stream(&self) -> StreamNo {
        StreamNo(self.stream.load(Ordering::Acquire))
    }

    /// The lane of a worker.
    pub(crate) fn lane(&self, worker: usize) -> Option<&Lane> {
        self.lanes.get(worker)
    }

    /// What is answered directly.
    pub(crate) const fn direct(&self) -> &Direct {
        &self.direct
    }

    /// There is something to be written.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// A chunk that was written, for its memory.
    pub(crate) fn take_written(&self) -> Option<Bytes> {
        self.written().pop()
    }

    /// A worker has taken notice of the stream, and the node has been asked for what the last one lost.
    pub(crate) fn is_ready(&self, worker: usize, stream: StreamNo) {
        if let Some(ready) = self.ready.get(worker) {
            ready.store(stream.0, Ordering::Release);
            self.became_ready.notify_one();
        }
    }

    /// Waits until all workers are ready for this stream, but not for longer than `patience`: what is read from it is
    /// decided after the node has been told of the loss of the last one.
    async fn all_ready(&self, stream: StreamNo, patience: Duration) {
        let ready = async {
            let behind = |seen: &AtomicU64| seen.load(Ordering::Acquire) < stream.0;
            while self.ready.iter().any(behind) {
                self.became_ready.notified().await;
            }
        };
        let _ = tokio::time::timeout(patience, ready).await;
    }

    /// Passes a barrier behind all that was handed over so far. Tells whether it was passed in time.
    pub(crate) async fn pass_barrier(&self, patience: Duration) -> bool {
        if !self.stream().is_up() {
            return false;
        }
        let wish = {
            let mut barriers = self.barriers();
            barriers.wanted += 1;
            barriers.wanted
        };
        self.wake();
        let mut passed = self.passed.subscribe();
        let wait = passed.wait_for(|passed| *passed >= wish || !self.stream().is_up());
        let waited = tokio::time::timeout(patience, wait).await;
        matches!(waited, Ok(Ok(passed)) if *passed >= wish)
    }

    /// A barrier came back: the server has taken in what was written before it. Tells the time that it took.
    pub(crate) fn answered(&self, no: BarrierNo) -> Option<Duration> {
        let asked = {
            let mut barriers = self.barriers();
            let asked = barriers.asked.take_if(|asked| asked.no == no)?;
            barriers.pace.answered();
            asked
        };
        let took = asked.at.elapsed();
        self.counters.barriers.add(1);
        self.counters.barrier_micros.set(micros(took));
        crate::trace::barrier(&self.name, no.0, took);
        self.acknowledge(&asked.chunks);
        self.pass(asked.wish);
        self.wake();
        Some(took)
    }

    /// Counters and depths of queues.
    pub(crate) fn snapshot(&self) -> ConnectionSnapshot {
        ConnectionSnapshot {
            name: self.name.clone(),
            up: self.stream().is_up(),
            streams: self.counters.streams.get(),
            bytes_read: self.counters.bytes_read.get(),
            bytes_written: self.counters.bytes_written.get(),
            writes: self.counters.writes.get(),
            barriers: self.counters.barriers.get(),
            last_barrier: Duration::from_micros(self.counters.barrier_micros.get()),
            waiting_bytes: self.lanes.iter().map(Lane::bytes).sum::<usize>() + self.direct.bytes(),
        }
    }

    /// A stream is there.
    fn begin(&self) -> StreamNo {
        let now = Instant::now();
        let with_pings = self.upstream.barrier != Barrier::Off;
        self.barriers().pace = Pace::new(now, with_pings);
        self.counters.streams.add(1);
        self.hear(now);
        self.switch()
    }

    /// The stream is gone, and what waits for it goes with it.
    fn end(&self) {
        self.barriers().asked = None;
        self.switch();
        // Whoever waits for a barrier looks again.
        self.passed.send_modify(|_| {});
    }

    fn switch(&self) -> StreamNo {
        let stream = self.stream().next();
        for lane in &self.lanes {
            lane.switch(stream);
        }
        self.direct.switch(stream.is_up());
        self.stream.store(stream.0, Ordering::Release);
        self.wake_workers();
        stream
    }

    fn acknowledge(&self, chunks: &[u64]) {
        for (lane, chunk) in self.lanes.iter().zip(chunks) {
            lane.acknowledge(*chunk);
        }
        self.wake_workers();
    }

    fn pass(&self, wish: u64) {
        self.passed.send_if_modified(|passed| {
            let more = *passed < wish;
            *passed = wish.max(*passed);
            more
        });
    }

    fn wake_workers(&self) {
        for worker in &*self.workers {
            worker.notify_one();
        }
    }

    fn written(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, now: Instant) {
        let heard = micros(now.saturating_duration_since(self.born));
        self.heard.store(heard, Ordering::Relaxed);
    }

    fn heard(&self) -> Instant {
        self.born + Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    fn barriers(&self) -> MutexGuard<'_, Barriers> {
        self.barriers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
