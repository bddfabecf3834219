//! The store as a process sees it over a connection: slow, away, or gone after it has done what it was asked.
//!
//! Owns the way to the model ([`coven_store::MemoryStore`]), which says what calls mean. Calls of one connection take effect
//! in their order, some time after they were made; answers come back in order, some time later. When the process dies, calls
//! that were under way may still take effect.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coven_store::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, Claim, Commit, DirectoryPage,
    DirectoryQuery, Epoch, Error, Listing, Loaded, MemoryStore, Owner, Ownership, Pending,
    ProcessId, Receipts, Retention, Sent, ShardId, Snapshot, Store, StoreId, Timestamp,
    UnknownChannel, UnknownPlace,
};
use smol_str::SmolStr;

use crate::os;
use crate::rng::Rng;
use crate::rule::Rule;
use crate::truth::Truth;

/// The store itself: outlives processes.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Says what calls mean.
    pub model: MemoryStore,
    truth: Arc<Mutex<Truth>>,
}

impl Disk {
    /// What is durable.
    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a call.
#[derive(Debug, Clone)]
enum Fate {
    Done,
    /// Done, but the answer is lost.
    Unknown,
    /// Not done.
    NotDone(Error),
}

type Answering = Box<dyn FnOnce() + Send>;
type Doing = Box<dyn FnOnce(&Disk, Fate) -> Answering + Send>;

/// A connection of one process.
#[derive(Debug, Clone)]
pub struct SimStore(Arc<Mutex<Queue>>);

struct Queue {
    calls: VecDeque<(u64, Doing)>,
    answers: VecDeque<(u64, Answering)>,
    last_call: u64,
    last_answer: u64,
    /// Microseconds that a call usually takes, each way.
    usual: u64,
    /// Nothing takes effect before this time.
    away_until: u64,
    /// What is called until then is not done, or not known to be.
    fails_until: u64,
    /// What fails may have been done.
    loses_answers: bool,
    /// Whoever made the calls is dead.
    is_orphaned: bool,
    without: Option<Rule>,
    rng: Rng,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} calls)", self.calls.len())
    }
}

impl SimStore {
    /// A connection.
    #[must_use]
    pub fn new(rng: Rng, without: Option<Rule>) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            calls: VecDeque::new(),
            answers: VecDeque::new(),
            last_call: 0,
            last_answer: 0,
            usual: 3_000,
            away_until: 0,
            fails_until: 0,
            loses_answers: false,
            is_orphaned: false,
            without,
            rng,
        })))
    }

    /// Calls under way, and answers.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.calls.len(), queue.answers.len())
    }

    /// Does what is due.
    pub fn step(&self, disk: &Disk, now: u64) {
        while let Some(doing) = self.due_call(now) {
            let fate = self.fate(now);
            let answer = doing(disk, fate);
            let mut queue = self.queue();
            if queue.is_orphaned {
                continue;
            }
            let takes = queue.takes();
            queue.last_answer = queue.last_answer.max(now + takes);
            let at = queue.last_answer;
            queue.answers.push_back((at, answer));
        }
        while let Some(answer) = self.due_answer(now) {
            answer();
        }
    }

    /// Calls that are made from now on, or are under way, take effect after this time.
    pub fn away(&self, until: u64) {
        self.queue().away_until = until;
    }

    /// Calls that would take effect until this time are mostly not done; or they are, and their answers are lost.
    pub fn fail(&self, until: u64, loses_answers: bool) {
        let mut queue = self.queue();
        (queue.fails_until, queue.loses_answers) = (until, loses_answers);
    }

    /// How long calls take each way, mostly less, in microseconds.
    pub fn takes(&self, usual: u64) {
        self.queue().usual = usual;
    }

    /// The process is gone: of the calls under way the first so many arrive, some of them late; nobody hears of it. Those that
    /// arrive after the next owner's claim are to be refused (I1).
    pub fn orphan(&self, rng: &mut Rng, now: u64) {
        let mut queue = self.queue();
        let kept = rng.range(0, queue.calls.len() as u64 + 1) as usize;
        queue.calls.truncate(kept);
        queue.answers.clear();
        queue.is_orphaned = true;
        let (mut at, late) = (now, rng.skewed(1_000, 2_000_000));
        for (due, _) in &mut queue.calls {
            at += rng.range(0, late + 1);
            *due = at;
        }
    }

    /// Whether nothing is under way any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue().calls.is_empty()
    }

    fn due_call(&self, now: u64) -> Option<Doing> {
        let mut queue = self.queue();
        if now < queue.away_until || queue.calls.front()?.0 > now {
            return None;
        }
        queue.calls.pop_front().map(|(_, doing)| doing)
    }

    fn due_answer(&self, now: u64) -> Option<Answering> {
        let mut queue = self.queue();
        if queue.answers.front()?.0 > now {
            return None;
        }
        queue.answers.pop_front().map(|(_, answer)| answer)
    }

    fn fate(&self, now: u64) -> Fate {
        let mut queue = self.queue();
        if now >= queue.fails_until {
            return Fate::Done;
        }
        match queue.rng.range(0, 3) {
            0 => Fate::Done,
            1 if queue.loses_answers => Fate::Unknown,
            _ => Fate::NotDone(Error::Io("the connection was lost".to_owned())),
        }
    }

    /// A call that may fail.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Disk) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        self.queued(true, call)
    }

    fn queued<T: Send + 'static>(
        &self,
        may_fail: bool,
        call: impl FnOnce(&Disk) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        let (reply, pending) = Pending::channel();
        let doing: Doing = Box::new(move |disk, fate| {
            let answer = match fate {
                _ if !may_fail => call(disk),
                Fate::Done => call(disk),
                Fate::Unknown => {
                    let lost = Error::Unknown("the answer was lost".to_owned());
                    call(disk).and(Err(lost))
                }
                Fate::NotDone(error) => Err(error),
            };
            Box::new(move || reply.send(answer))
        });
        let mut queue = self.queue();
        let takes = queue.takes();
        queue.last_call = queue.last_call.max(os::now() + takes);
        let at = queue.last_call;
        queue.calls.push_back((at, doing));
        pending
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn takes(&mut self) -> u64 {
        let usual = self.usual;
        self.rng.skewed(usual, usual * 5)
    }
}

impl Store for SimStore {
    fn identity(&self) -> Pending<StoreId> {
        self.call(|disk| disk.model.identity().wait())
    }

    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>> {
        self.call(move |disk| disk.model.owner(shard).wait())
    }

    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership> {
        // The claim of a store in the same process has an answer.
        self.queued(false, move |disk| disk.model.claim(shard, claim).wait())
    }

    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()> {
        self.call(move |disk| disk.model.release(shard, epoch).wait())
    }

    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()> {
        let without = self.queue().without;
        let pending = self.call(move |disk| {
            disk.model.commit(shard, epoch, commit.clone()).wait()?;
            disk.truth().commit(&commit);
            Ok(())
        });
        match without {
            Some(Rule::Gate) => Pending::ready(Ok(())),
            _ => pending,
        }
    }

    fn acknowledge(&self, shard: ShardId, epoch: Epoch, receipts: Receipts) -> Pending<()> {
        self.call(move |disk| {
            let taken = disk.model.acknowledge(shard, epoch, receipts.clone());
            taken.wait()?;
            disk.truth().receipts(&receipts);
            Ok(())
        })
    }

    fn forget_process(&self, shard: ShardId, epoch: Epoch, process: ProcessId) -> Pending<()> {
        self.call(move |disk| disk.model.forget_process(shard, epoch, process).wait())
    }

    fn snapshot(
        &self,
        shard: ShardId,
        epoch: Epoch,
        key: ChannelKey,
        snapshot: Snapshot,
    ) -> Pending<()> {
        self.call(move |disk| disk.model.snapshot(shard, epoch, key, snapshot).wait())
    }

    fn expire(&self, shard: ShardId, epoch: Epoch, retention: Retention) -> Pending<u64> {
        self.call(move |disk| disk.model.expire(shard, epoch, retention).wait())
    }

    fn list(
        &self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Pending<()> {
        self.call(move |disk| disk.model.list(shard, epoch, listings).wait())
    }

    fn load(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<Loaded>> {
        let key = key.clone();
        self.call(move |disk| disk.model.load(shard, &key).wait())
    }

    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool> {
        let key = key.clone();
        self.call(move |disk| disk.model.exists(shard, &key).wait())
    }

    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>> {
        let without = self.queue().without;
        self.call(move |disk| match without {
            Some(Rule::Unsent) => Ok(Vec::new()),
            _ => disk.model.unsent(shard).wait(),
        })
    }

    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>> {
        self.call(move |disk| disk.model.timers(shard).wait())
    }

    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>> {
        let key = key.clone();
        self.call(move |disk| disk.model.archive_page(shard, &key, query).wait())
    }

    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>> {
        let key = key.clone();
        self.call(move |disk| disk.model.archive_bounds(shard, &key).wait())
    }

    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>> {
        let space = space.clone();
        self.call(move |disk| disk.model.directory(&space, query).wait())
    }

    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>> {
        let (space, after) = (space.clone(), after.cloned());
        self.call(move |disk| disk.model.channels(&space, after.as_ref(), max).wait())
    }

    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        Vec::new()
    }

    fn close(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }
}
