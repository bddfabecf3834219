//! A store whose commits the test lets through one by one, refuses, or takes and forgets again.

use coven_store::*;
use smol_str::SmolStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Something that has changed the content.
#[derive(Debug, Clone)]
enum Change {
    Claim(ShardId, Claim),
    Release(ShardId, Epoch),
    Commit(ShardId, Epoch, Commit),
    Acknowledge(ShardId, Epoch, Receipts),
}

type Held = (ShardId, Epoch, Commit, Reply<()>);

/// Passes everything on to a memory store, but holds commits while `hold` is set, and refuses them while `full` is.
#[derive(Debug, Default)]
pub(crate) struct HeldStore {
    inner: Mutex<Arc<MemoryStore>>,
    /// What has changed its content, in order.
    log: Mutex<Vec<Change>>,
    /// Neither commits nor claims are answered but with an error.
    away: AtomicBool,
    /// The next commits are taken, and their answers lost.
    mute: AtomicUsize,
    /// The next claims are granted, and their answers lost.
    mute_claims: AtomicUsize,
    /// The next releases are refused.
    no_releases: AtomicUsize,
    /// Answers nothing of this shard, ever.
    dumb: Mutex<Option<ShardId>>,
    held: Mutex<Vec<Held>>,
    hold: AtomicBool,
    full: AtomicBool,
    /// Answers to the next commits.
    answers: Mutex<Vec<Error>>,
    /// Answers to the next loads.
    loads: Mutex<Vec<Error>>,
    /// How many claims are refused.
    no_claims: AtomicUsize,
    claims: AtomicUsize,
    deaf: AtomicBool,
    damaged: AtomicBool,
    /// Pages of the directory are not answered.
    unlisted: AtomicBool,
    /// How many commits were refused because it is full.
    refused: AtomicUsize,
}

impl HeldStore {
    fn inner(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.inner.lock().unwrap())
    }

    /// It is away, or is back.
    pub(crate) fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Takes the next commits, and loses the answers.
    pub(crate) fn mute(&self, commits: usize) {
        self.mute.store(commits, Ordering::SeqCst);
    }

    /// Grants the next claims, and loses the answers.
    pub(crate) fn mute_claims(&self, claims: usize) {
        self.mute_claims.store(claims, Ordering::SeqCst);
    }

    /// Answers no page of the directory from now on.
    pub(crate) fn unlisted(&self) {
        self.unlisted.store(true, Ordering::SeqCst);
    }

    /// Refuses so many releases.
    pub(crate) fn no_releases(&self, count: usize) {
        self.no_releases.store(count, Ordering::SeqCst);
    }

    /// Answers neither commits nor claims of a shard.
    pub(crate) fn dumb(&self, shard: ShardId) {
        *self.dumb.lock().unwrap() = Some(shard);
    }

    fn is_dumb(&self, shard: ShardId) -> bool {
        *self.dumb.lock().unwrap() == Some(shard)
    }

    /// How much has changed so far.
    pub(crate) fn changes(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Loses what came after the first `kept` changes, as Redis does in a fail-over.
    pub(crate) async fn lose(&self, kept: usize) {
        let mut log = self.log.lock().unwrap().clone();
        log.truncate(kept);
        let anew = MemoryStore::new();
        for change in log.clone() {
            match change {
                Change::Claim(shard, claim) => drop(anew.claim(shard, claim).await),
                Change::Release(shard, epoch) => drop(anew.release(shard, epoch).await),
                Change::Commit(shard, epoch, commit) => {
                    drop(anew.commit(shard, epoch, commit).await);
                }
                Change::Acknowledge(shard, epoch, it) => {
                    drop(anew.acknowledge(shard, epoch, it).await);
                }
            }
        }
        *self.log.lock().unwrap() = log;
        *self.inner.lock().unwrap() = Arc::new(anew);
    }

    fn note(&self, change: Change) {
        self.log.lock().unwrap().push(change);
    }

    pub(crate) fn hold(&self) {
        self.hold.store(true, Ordering::SeqCst);
    }

    pub(crate) fn full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// The archive cannot be read.
    pub(crate) fn damaged(&self, damaged: bool) {
        self.damaged.store(damaged, Ordering::SeqCst);
    }

    /// Acknowledgements are refused.
    pub(crate) fn deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    /// How many commits were refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// Refuses the next commit with an error.
    pub(crate) fn refuse_next(&self, error: Error) {
        self.answers.lock().unwrap().push(error);
    }

    /// Refuses the next loads with an error.
    pub(crate) fn refuse_loads(&self, error: Error, count: usize) {
        *self.loads.lock().unwrap() = vec![error; count];
    }

    /// How many loads will still be refused.
    pub(crate) fn loads_left(&self) -> usize {
        self.loads.lock().unwrap().len()
    }

    /// Refuses so many claims.
    pub(crate) fn no_claims(&self, count: usize) {
        self.no_claims.store(count, Ordering::SeqCst);
    }

    /// How often a shard was claimed.
    pub(crate) fn claims(&self) -> usize {
        self.claims.load(Ordering::SeqCst)
    }

    /// Refuses all held commits.
    pub(crate) fn refuse_held(&self) {
        self.hold.store(false, Ordering::SeqCst);
        for (.., reply) in self.held.lock().unwrap().drain(..) {
            reply.send(Err(Error::Full("test".into())));
        }
    }

    /// Takes all held commits, in order, and loses the answers.
    pub(crate) async fn take_held_unheard(&self) {
        self.hold.store(false, Ordering::SeqCst);
        let held: Vec<Held> = self.held.lock().unwrap().drain(..).collect();
        for (shard, epoch, commit, reply) in held {
            let taken = self.inner().commit(shard, epoch, commit).await;
            assert!(taken.is_ok(), "{taken:?}");
            reply.send(Err(Error::Unknown("test".into())));
        }
    }

    /// Lets all held commits through, in order.
    pub(crate) fn let_go(&self) {
        self.hold.store(false, Ordering::SeqCst);
        for (shard, epoch, commit, reply) in self.held.lock().unwrap().drain(..) {
            let inner = self.inner();
            tokio::spawn(async move { reply.send(inner.commit(shard, epoch, commit).await) });
        }
    }
}

/// An answer that never comes.
fn unanswered<T: Send + 'static>() -> Pending<T> {
    let (reply, pending) = Pending::channel();
    std::mem::forget(reply);
    pending
}

impl Store for HeldStore {
    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()> {
        if self.is_dumb(shard) {
            return unanswered();
        }
        if self.full.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Pending::ready(Err(Error::Full("test".into())));
        }
        if let Some(error) = self.answers.lock().unwrap().pop() {
            return Pending::ready(Err(error));
        }
        if self.away.load(Ordering::SeqCst) {
            return Pending::ready(Err(Error::Io("test".into())));
        }
        self.note(Change::Commit(shard, epoch, commit.clone()));
        let less = |count: usize| count.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.mute.fetch_update(order, order, less).is_ok() {
            drop(self.inner().commit(shard, epoch, commit));
            return Pending::ready(Err(Error::Unknown("test".into())));
        }
        if !self.hold.load(Ordering::SeqCst) {
            return self.inner().commit(shard, epoch, commit);
        }
        let (reply, pending) = Pending::channel();
        self.held
            .lock()
            .unwrap()
            .push((shard, epoch, commit, reply));
        pending
    }

    fn identity(&self) -> Pending<StoreId> {
        self.inner().identity()
    }
    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>> {
        self.inner().owner(shard)
    }
    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        if self.is_dumb(shard) {
            return unanswered();
        }
        let less = |count: usize| count.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.no_claims.fetch_update(order, order, less).is_ok() {
            return Pending::ready(Err(Error::Io("test".into())));
        }
        if self.away.load(Ordering::SeqCst) {
            return Pending::ready(Err(Error::Io("test".into())));
        }
        self.note(Change::Claim(shard, claim));
        if self.mute_claims.fetch_update(order, order, less).is_ok() {
            drop(self.inner().claim(shard, claim));
            return Pending::ready(Err(Error::Unknown("test".into())));
        }
        self.inner().claim(shard, claim)
    }
    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()> {
        let less = |count: usize| count.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.no_releases.fetch_update(order, order, less).is_ok() {
            return Pending::ready(Err(Error::Busy("test")));
        }
        self.note(Change::Release(shard, epoch));
        self.inner().release(shard, epoch)
    }
    fn acknowledge(&self, shard: ShardId, epoch: Epoch, receipts: Receipts) -> Pending<()> {
        if self.deaf.load(Ordering::SeqCst) {
            return Pending::ready(Err(Error::Full("test".into())));
        }
        self.note(Change::Acknowledge(shard, epoch, receipts.clone()));
        self.inner().acknowledge(shard, epoch, receipts)
    }
    fn forget_process(&self, shard: ShardId, epoch: Epoch, process: ProcessId) -> Pending<()> {
        self.inner().forget_process(shard, epoch, process)
    }
    fn snapshot(&self, shard: ShardId, epoch: Epoch, key: ChannelKey, s: Snapshot) -> Pending<()> {
        self.inner().snapshot(shard, epoch, key, s)
    }
    fn expire(&self, shard: ShardId, epoch: Epoch, retention: Retention) -> Pending<u64> {
        self.inner().expire(shard, epoch, retention)
    }
    fn list(
        &self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Pending<()> {
        if self.full.load(Ordering::SeqCst) {
            return Pending::ready(Err(Error::Full("test".into())));
        }
        self.inner().list(shard, epoch, listings)
    }
    fn load(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<Loaded>> {
        if let Some(error) = self.loads.lock().unwrap().pop() {
            return Pending::ready(Err(error));
        }
        self.inner().load(shard, key)
    }
    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool> {
        self.inner().exists(shard, key)
    }
    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>> {
        self.inner().unsent(shard)
    }
    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>> {
        self.inner().timers(shard)
    }
    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>> {
        if self.damaged.load(Ordering::SeqCst) {
            return Pending::ready(Err(Error::Corrupt("test".into())));
        }
        self.inner().archive_page(shard, key, query)
    }
    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>> {
        self.inner().archive_bounds(shard, key)
    }
    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>> {
        if self.unlisted.load(Ordering::SeqCst) {
            return unanswered();
        }
        self.inner().directory(space, query)
    }
    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>> {
        self.inner().channels(space, after, max)
    }
    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)> {
        self.inner().wants_snapshot()
    }
    fn close(&self) -> Pending<()> {
        self.inner().close()
    }
}
