//! Random requests to the SQLite store and to the memory store, which has to answer the same.
//!
//! The log is short, so that whatever is asked is spread over pages, snapshots, rows and the log in ever new ways.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::fmt::Debug;

use bytes::Bytes;
use coven_store::sqlite::{Options, SqliteStore};
use coven_store::{
    Acknowledgement, Answered, ArchiveMeta, ArchiveQuery, ChannelCommit, ChannelKey, Claim, Commit,
    CommitNumber, ConnectionId, DirectoryQuery, Entry, Epoch, Error, LeaseNumber, Life, Listing,
    MemoryStore, Outcome, Pending, Place, ProcessId, Receipts, Retention, Rewrite, SenderId, Sent,
    Sequence, SessionId, ShardId, Snapshot, Store, TimerChange, Timestamp,
};
use proptest::prelude::*;
use tempfile::TempDir;

const SPACE: &str = "chat.example";
const SHARDS: u16 = 2;
const LOCALS: usize = 4;

/// One request, in numbers that are read against what is stored at that moment.
#[derive(Clone, Debug)]
enum Op {
    Commit {
        shard: u16,
        parts: Vec<Part>,
        receipts: Vec<Receipt>,
        offset: i8,
        wait: bool,
    },
    Acknowledge {
        shard: u16,
        receipts: Vec<Receipt>,
    },
    Snapshot {
        shard: u16,
        local: usize,
        back: u64,
        settled: bool,
    },
    Expire {
        shard: u16,
        age: u64,
        most: Option<u64>,
    },
    ForgetProcess {
        shard: u16,
        process: u128,
    },
    List {
        shard: u16,
        local: usize,
        listed: Option<bool>,
    },
    Claim {
        shard: u16,
    },
    Query {
        shard: u16,
        local: usize,
        query: Query,
    },
    Restart,
}

/// What a commit does to a channel.
#[derive(Clone, Debug)]
struct Part {
    local: usize,
    entries: Vec<Kind>,
    rewrites: Vec<u64>,
    outcome: Option<(u128, u64, u64)>,
    unsent: bool,
    timer: TimerChange,
    wrong: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Event,
    Message(u8),
    Destroy,
}

#[derive(Clone, Debug)]
enum Receipt {
    Ack {
        local: usize,
        connection: u8,
        lease: u64,
        back: u64,
    },
    Sent {
        local: usize,
        back: u64,
    },
    Gone {
        local: usize,
        connection: u8,
    },
    Answered {
        local: usize,
        process: u128,
        base: u64,
    },
}

#[derive(Clone, Debug)]
struct Query {
    after: Option<u64>,
    before: Option<u64>,
    start: Option<u64>,
    end: Option<u64>,
    sender: Option<u8>,
    ids: Option<Vec<u64>>,
    filter: bool,
    max: usize,
    from_end: bool,
}

fn part() -> impl Strategy<Value = Part> {
    let kind = prop_oneof![
        4 => Just(Kind::Event),
        12 => (0..3u8).prop_map(Kind::Message),
        1 => Just(Kind::Destroy),
    ];
    let timer = prop_oneof![
        6 => Just(TimerChange::Keep),
        1 => Just(TimerChange::Clear),
        1 => (1..99u64).prop_map(|at| TimerChange::Set(Timestamp(at))),
    ];
    (
        0..LOCALS,
        prop::collection::vec(kind, 0..12),
        prop::collection::vec(0..120u64, 0..2),
        prop::option::weighted(0.1, (0..2u128, 1..9u64, 0..3u64)),
        prop::bool::weighted(0.3),
        timer,
        prop::bool::weighted(0.03),
    )
        .prop_map(
            |(local, entries, rewrites, outcome, unsent, timer, wrong)| Part {
                local,
                entries,
                rewrites,
                outcome,
                unsent,
                timer,
                wrong,
            },
        )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    prop_oneof![
        3 => (0..LOCALS, 0..2u8, 0..3u64, 0..4u64)
            .prop_map(|(local, connection, lease, back)| Receipt::Ack { local, connection, lease, back }),
        3 => (0..LOCALS, 0..3u64).prop_map(|(local, back)| Receipt::Sent { local, back }),
        1 => (0..LOCALS, 0..2u8).prop_map(|(local, connection)| Receipt::Gone { local, connection }),
        1 => (0..LOCALS, 0..2u128, 0..9u64)
            .prop_map(|(local, process, base)| Receipt::Answered { local, process, base }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let place = || prop::option::weighted(0.3, 0..150u64);
    (
        (place(), place(), place(), place()),
        prop::option::weighted(0.3, 0..4u8),
        prop::option::weighted(0.1, prop::collection::vec(0..150u64, 0..5)),
        prop::bool::weighted(0.1),
        0..60usize,
        any::<bool>(),
    )
        .prop_map(
            |((after, before, start, end), sender, ids, filter, max, from_end)| Query {
                after,
                before,
                start,
                end,
                sender,
                ids,
                filter,
                max,
                from_end,
            },
        )
}

fn op() -> impl Strategy<Value = Op> {
    let shard = 0..SHARDS;
    let offset = prop_oneof![30 => Just(0i8), 1 => -1..2i8];
    prop_oneof![
        20 => (
            shard.clone(),
            prop::collection::vec(part(), 0..3),
            prop::collection::vec(receipt(), 0..2),
            offset,
            prop::bool::weighted(0.3)
        )
            .prop_map(|(shard, parts, receipts, offset, wait)| Op::Commit { shard, parts, receipts, offset, wait }),
        3 => (shard.clone(), prop::collection::vec(receipt(), 0..4))
            .prop_map(|(shard, receipts)| Op::Acknowledge { shard, receipts }),
        8 => (shard.clone(), 0..LOCALS, 0..5u64, prop::bool::weighted(0.8))
            .prop_map(|(shard, local, back, settled)| Op::Snapshot { shard, local, back, settled }),
        1 => (shard.clone(), 0..300u64, prop::option::of(0..60u64))
            .prop_map(|(shard, age, most)| Op::Expire { shard, age, most }),
        1 => (shard.clone(), 0..2u128).prop_map(|(shard, process)| Op::ForgetProcess { shard, process }),
        1 => (shard.clone(), 0..LOCALS, prop::option::of(any::<bool>()))
            .prop_map(|(shard, local, listed)| Op::List { shard, local, listed }),
        1 => shard.clone().prop_map(|shard| Op::Claim { shard }),
        8 => (shard, 0..LOCALS, query()).prop_map(|(shard, local, query)| Op::Query { shard, local, query }),
        1 => Just(Op::Restart),
    ]
}

fn key(local: usize) -> ChannelKey {
    ChannelKey::new(SPACE, format!("room-{local}"))
}

/// Two answers that should be the same, one of which may have to be waited for.
type Comparison = Box<dyn FnOnce()>;

struct Pair {
    model: MemoryStore,
    sqlite: SqliteStore,
    options: Options,
    epochs: [Epoch; SHARDS as usize],
    now: u64,
    open: Vec<Comparison>,
}

impl Pair {
    fn new(folder: &TempDir) -> Self {
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

    fn run(&mut self, op: Op) {
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
            Op::Acknowledge { shard, receipts } => {
                let receipts = self.receipts(shard, receipts);
                self.both(shard, move |store, shard, epoch| {
                    store.acknowledge(shard, epoch, receipts.clone())
                });
            }
            Op::Snapshot {
                shard,
                local,
                back,
                settled,
            } => {
                if settled {
                    let receipts = self.receipts(shard, vec![Receipt::Sent { local, back: 0 }]);
                    self.both(shard, move |store, shard, epoch| {
                        store.acknowledge(shard, epoch, receipts.clone())
                    });
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
            Op::Expire { shard, age, most } => {
                let retention = Retention {
                    not_before: self.now.checked_sub(age).map(Timestamp),
                    max_count: most,
                };
                self.both(shard, move |store, shard, epoch| {
                    store.expire(shard, epoch, retention)
                });
            }
            Op::ForgetProcess { shard, process } => {
                self.both(shard, move |store, shard, epoch| {
                    store.forget_process(shard, epoch, ProcessId(process))
                });
            }
            Op::List {
                shard,
                local,
                listed,
            } => {
                let listing = listed.map(|listed| Listing {
                    listed,
                    title: "T".to_owned(),
                    ..Listing::default()
                });
                self.both(shard, move |store, shard, epoch| {
                    store.list(shard, epoch, vec![(key(local), listing.clone())])
                });
            }
            Op::Claim { shard } => self.claim(shard),
            Op::Query {
                shard,
                local,
                query,
            } => self.query(shard, local, &query),
            Op::Restart => self.restart(),
        }
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

    fn settle(&mut self) {
        self.open.drain(..).for_each(|comparison| comparison());
    }

    fn head(&self, shard: u16, local: usize) -> u64 {
        self.model
            .load(ShardId(shard), &key(local))
            .wait()
            .unwrap()
            .map_or(0, |loaded| loaded.head.0)
    }

    fn last_commit(&self, shard: u16) -> u64 {
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

    fn commit(
        &mut self,
        shard: u16,
        mut parts: Vec<Part>,
        receipts: Vec<Receipt>,
        offset: i8,
    ) -> Commit {
        parts.dedup_by_key(|part| part.local);
        let number = (self.last_commit(shard) + 1).saturating_add_signed(offset.into());
        let channels = parts
            .into_iter()
            .map(|part| self.part(shard, part))
            .collect();
        Commit {
            number: CommitNumber(number),
            channels,
            receipts: self.receipts(shard, receipts),
        }
    }

    fn part(&mut self, shard: u16, part: Part) -> ChannelCommit {
        let loaded = self
            .model
            .load(ShardId(shard), &key(part.local))
            .wait()
            .unwrap();
        let mut alive = loaded.as_ref().is_some_and(|loaded| !loaded.dead);
        let head = loaded.map_or(0, |loaded| loaded.head.0);
        let mut change =
            ChannelCommit::new(key(part.local), Sequence(head + u64::from(part.wrong)));
        for kind in part.entries {
            let sequence = Sequence(change.expected.0 + change.entries.len() as u64 + 1);
            let life = match kind {
                _ if !alive => Life::Creates,
                Kind::Destroy => Life::Destroys,
                _ => Life::Within,
            };
            alive = life != Life::Destroys;
            change.entries.push(self.entry(sequence, kind, life));
        }
        let rewrites = part
            .rewrites
            .into_iter()
            .map(|back| (head + 5).saturating_sub(back));
        change.rewrites = rewrites
            .map(|sequence| Rewrite {
                sequence: Sequence(sequence),
                kind: 9,
                record: Bytes::from("rewritten"),
            })
            .collect();
        change.outcomes = part.outcome.into_iter().map(outcome).collect();
        change.unsent = part.unsent;
        change.timer = part.timer;
        change
    }

    fn entry(&mut self, sequence: Sequence, kind: Kind, life: Life) -> Entry {
        self.now += 3;
        let sender = |number| ArchiveMeta {
            sender: (number > 0).then_some(SenderId([number; 20])),
        };
        let archive = match kind {
            Kind::Message(number) => Some(sender(number)),
            Kind::Event | Kind::Destroy => None,
        };
        let record = Bytes::from(format!("{kind:?} at {}", self.now));
        Entry {
            sequence,
            first_epoch: Epoch(1),
            stamp: Timestamp(self.now / 4),
            kind: 1,
            life,
            archive,
            record,
        }
    }

    fn receipts(&self, shard: u16, all: Vec<Receipt>) -> Receipts {
        let mut receipts = Receipts::default();
        let last = self.last_commit(shard);
        let connection = |number: u8| ConnectionId(format!("c{number}").into());
        for receipt in all {
            match receipt {
                Receipt::Ack {
                    local,
                    connection: number,
                    lease,
                    back,
                } => receipts.acks.push(Acknowledgement {
                    key: key(local),
                    connection: connection(number),
                    lease: LeaseNumber(lease),
                    sequence: Sequence(self.head(shard, local).saturating_sub(back)),
                    commit: CommitNumber(last),
                }),
                Receipt::Sent { local, back } => {
                    receipts.sent.push(Sent {
                        key: key(local),
                        commit: CommitNumber(last.saturating_sub(back)),
                    });
                }
                Receipt::Gone {
                    local,
                    connection: number,
                } => receipts.gone.push((key(local), connection(number))),
                Receipt::Answered {
                    local,
                    process,
                    base,
                } => {
                    receipts.answered.push(Answered {
                        key: key(local),
                        process: ProcessId(process),
                        base,
                    });
                }
            }
        }
        receipts
    }

    fn query(&mut self, shard: u16, local: usize, query: &Query) {
        self.settle();
        let (shard, key) = (ShardId(shard), key(local));
        let all = ArchiveQuery {
            max: usize::MAX,
            ..ArchiveQuery::default()
        };
        let entries = self
            .model
            .archive_page(shard, &key, all)
            .wait()
            .unwrap()
            .unwrap()
            .entries;
        let place = |number: u64| {
            let entry = entries.get(usize::try_from(number).unwrap());
            entry.map_or(
                Place {
                    stamp: Timestamp(number),
                    sequence: Sequence(number),
                },
                Entry::place,
            )
        };
        let moment = |number: u64| place(number).stamp;
        let query = ArchiveQuery {
            after: query.after.map(place),
            before: query.before.map(place),
            start: query.start.map(moment),
            end: query.end.map(moment),
            sender: query.sender.map(|number| SenderId([number; 20])),
            ids: query
                .ids
                .as_ref()
                .map(|ids| ids.iter().copied().map(place).collect()),
            must_exist: Vec::new(),
            filter: query.filter.then(|| -> coven_store::Filter {
                std::sync::Arc::new(|entry: &Entry| entry.sequence.0.is_multiple_of(3))
            }),
            max: query.max,
            from_end: query.from_end,
        };
        let expected = self
            .model
            .archive_page(shard, &key, query.clone())
            .wait()
            .unwrap();
        let answer = self
            .sqlite
            .archive_page(shard, &key, query.clone())
            .wait()
            .unwrap();
        assert_eq!(answer, expected, "{query:?}");
    }

    fn restart(&mut self) {
        self.settle();
        self.sqlite.close().wait().unwrap();
        self.sqlite = SqliteStore::open(self.options.clone()).unwrap();
        self.model = self.model.reopen();
        (0..SHARDS).for_each(|shard| self.claim(shard));
        self.compare();
    }

    /// Everything that can be read without asking for something particular.
    fn compare(&mut self) {
        self.settle();
        let (model, sqlite): (&dyn Store, &dyn Store) = (&self.model, &self.sqlite);
        let same = |read: &dyn Fn(&dyn Store) -> String| assert_eq!(read(sqlite), read(model));
        for shard in (0..SHARDS).map(ShardId) {
            same(&|store| format!("{:?}", store.unsent(shard).wait()));
            same(&|store| format!("{:?}", store.timers(shard).wait()));
            for local in 0..LOCALS {
                let key = key(local);
                same(&|store| format!("{:#?}", store.load(shard, &key).wait()));
                same(&|store| format!("{:?}", store.exists(shard, &key).wait()));
                same(&|store| format!("{:?}", store.archive_bounds(shard, &key).wait()));
                let all = ArchiveQuery {
                    max: usize::MAX,
                    ..ArchiveQuery::default()
                };
                same(&|store| {
                    format!("{:#?}", store.archive_page(shard, &key, all.clone()).wait())
                });
            }
        }
        let directory = DirectoryQuery {
            max: 3,
            unlisted: true,
            ..DirectoryQuery::default()
        };
        same(&|store| {
            format!(
                "{:?}",
                store.directory(&SPACE.into(), directory.clone()).wait()
            )
        });
        same(&|store| {
            format!(
                "{:?}",
                store
                    .directory(&SPACE.into(), DirectoryQuery::default())
                    .wait()
            )
        });
    }
}

fn outcome((process, n, below): (u128, u64, u64)) -> Outcome {
    let base = n.saturating_sub(below + 1);
    let (process, result) = (ProcessId(process), Bytes::from("result"));
    Outcome {
        process,
        n,
        base,
        after: Sequence(0),
        addressee: None,
        result,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_what_memory_answers(ops in prop::collection::vec(op(), 1..150)) {
        let folder = TempDir::new().unwrap();
        let mut pair = Pair::new(&folder);
        for (number, op) in ops.into_iter().enumerate() {
            pair.run(op);
            if number % 10 == 9 {
                pair.compare();
            }
        }
        pair.restart();
    }
}
