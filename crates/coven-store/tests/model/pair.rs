//! The two stores, asked the same.

use std::fmt::Debug;

use bytes::Bytes;
use coven_store::sqlite::{Options, SqliteStore};
use coven_store::{
    ChannelKey, Claim, Commit, CommitNumber, Epoch, Error, Listing, MemoryStore, Pending,
    ProcessId, Retention, Sequence, SessionId, ShardId, Snapshot, Store, Timestamp,
};
use tempfile::TempDir;

use super::requests::{Op, Receipt, SHARDS, SPACE};

pub(crate) fn key(local: usize) -> ChannelKey {
    ChannelKey::new(SPACE, format!("room-{local}"))
}

/// Two answers that should be the same, one of which may have to be waited for.
type Comparison = Box<dyn FnOnce()>;

pub(crate) struct Pair {
    pub(crate) model: MemoryStore,
    pub(crate) sqlite: SqliteStore,
    options: Options,
    epochs: [Epoch; SHARDS as usize],
    pub(crate) now: u64,
    open: Vec<Comparison>,
}

impl Pair {
    pub(crate) fn new(folder: &TempDir) -> Self {
        let mut options = Options::new(folder.path().join("coven.db"));
        options.log_limit = 1024;
        // The disk is not what is tested here.
        options.durability =
            coven_store::sqlite::Durability::Interval(std::time::Duration::from_secs(3600));
        let sqlite = SqliteStore::open(options.clone()).unwrap();
        let mut pair = Self {
            model: MemoryStore::new(),
            sqlite,
            options,
            epochs: [Epoch(0); 2],
            now: 0,
            open: Vec::new(),
        };
        (0..SHARDS).for_each(|shard| pair.claim(shard));
        pair
    }

    pub(crate) fn run(&mut self, op: Op) {
        match op {
            Op::Commit {
                shard,
                parts,
                receipts,
                offset,
                wait,
            } => {
                let commit = self.commit(shard, parts, receipts, offset);
                self.both(shard, move |store, shard, epoch| {
                    store.commit(shard, epoch, commit.clone())
                });
                if wait {
                    self.settle();
                }
            }
            Op::Acknowledge { shard, receipts } => self.acknowledge(shard, receipts),
            Op::Snapshot {
                shard,
                local,
                back,
                settled,
            } => self.snapshot(shard, local, back, settled),
            Op::Expire { shard, age, most } => self.expire(shard, age, most),
            Op::ForgetProcess { shard, process } => {
                self.both(shard, move |store, shard, epoch| {
                    store.forget_process(shard, epoch, ProcessId(process))
                });
            }
            Op::List {
                shard,
                local,
                listed,
            } => self.list(shard, local, listed),
            Op::Claim { shard } => self.claim(shard),
            Op::Query {
                shard,
                local,
                query,
            } => self.query(shard, local, &query),
            Op::Restart => self.restart(),
        }
    }

    fn acknowledge(&mut self, shard: u16, receipts: Vec<Receipt>) {
        let receipts = self.receipts(shard, receipts);
        self.both(shard, move |store, shard, epoch| {
            store.acknowledge(shard, epoch, receipts.clone())
        });
    }

    fn snapshot(&mut self, shard: u16, local: usize, back: u64, settled: bool) {
        if settled {
            self.acknowledge(shard, vec![Receipt::Sent { local, back: 0 }]);
        }
        let head = self.head(shard, local);
        let sequence = Sequence((head + 1).saturating_sub(back));
        let snapshot = Snapshot {
            sequence,
            state: Bytes::from(format!("state {sequence}")),
        };
        self.both(shard, move |store, shard, epoch| {
            store.snapshot(shard, epoch, key(local), snapshot.clone())
        });
    }

    fn expire(&mut self, shard: u16, age: u64, most: Option<u64>) {
        let retention = Retention {
            not_before: self.now.checked_sub(age).map(Timestamp),
            max_count: most,
        };
        self.both(shard, move |store, shard, epoch| {
            store.expire(shard, epoch, retention)
        });
    }

    fn list(&mut self, shard: u16, local: usize, listed: Option<bool>) {
        let listing = listed.map(|listed| Listing {
            listed,
            title: "T".to_owned(),
            ..Listing::default()
        });
        self.both(shard, move |store, shard, epoch| {
            store.list(shard, epoch, vec![(key(local), listing.clone())])
        });
    }

    fn both<T: Debug + PartialEq + 'static>(
        &mut self,
        shard: u16,
        request: impl Fn(&dyn Store, ShardId, Epoch) -> Pending<T>,
    ) {
        let epoch = self.epochs[usize::from(shard)];
        let expected = request(&self.model, ShardId(shard), epoch).wait();
        let answer = request(&self.sqlite, ShardId(shard), epoch);
        self.open
            .push(Box::new(move || assert_eq!(answer.wait(), expected)));
    }

    pub(crate) fn settle(&mut self) {
        self.open.drain(..).for_each(|comparison| comparison());
    }

    pub(crate) fn head(&self, shard: u16, local: usize) -> u64 {
        self.model
            .load(ShardId(shard), &key(local))
            .wait()
            .unwrap()
            .map_or(0, |loaded| loaded.head.0)
    }

    pub(crate) fn last_commit(&self, shard: u16) -> u64 {
        let shard = ShardId(shard);
        let empty = Commit {
            number: CommitNumber(u64::MAX),
            ..Commit::default()
        };
        match self
            .model
            .commit(shard, self.epochs[usize::from(shard.0)], empty)
            .wait()
        {
            Err(Error::Diverged { stored, .. }) => stored.0,
            other => panic!("{other:?}"),
        }
    }

    fn claim(&mut self, shard: u16) {
        self.settle();
        let judged_dead = self.model.owner(ShardId(shard)).wait().unwrap();
        assert_eq!(
            self.sqlite.owner(ShardId(shard)).wait().unwrap(),
            judged_dead
        );
        let claim = Claim {
            session: SessionId(1),
            judged_dead,
            known: Epoch(0),
        };
        let granted = self.model.claim(ShardId(shard), claim).wait().unwrap();
        assert_eq!(
            self.sqlite.claim(ShardId(shard), claim).wait().unwrap(),
            granted
        );
        self.epochs[usize::from(shard)] = granted.epoch;
    }

    pub(crate) fn restart(&mut self) {
        self.settle();
        self.sqlite.close().wait().unwrap();
        self.sqlite = SqliteStore::open(self.options.clone()).unwrap();
        self.model = self.model.reopen();
        (0..SHARDS).for_each(|shard| self.claim(shard));
        self.compare();
    }
}
