//! What a message costs in the SQLite store: CPU of the whole process per message, with everything on (flush, packing,
//! trimming, checkpoints, receipts). The design gives it at most 6 us in batches of 40 and 22 us in batches of 4.
//!
//! `cargo run --release -p coven-store --example commit_cost [messages [folder [batch]]]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coven_store::sqlite::{Options, SqliteStore};
use coven_store::{
    Acknowledgement, ArchiveMeta, ArchiveQuery, ChannelCommit, ChannelKey, Claim, Commit,
    CommitNumber, ConnectionId, Entry, Epoch, LeaseNumber, Life, Pending, Receipts, SenderId, Sent,
    Sequence, SessionId, ShardId, Snapshot, Store, Timestamp,
};

const CHANNELS: usize = 100;
/// Bytes of a record: a groupchat message of 242 bytes with what the service adds.
const RECORD: usize = 435;
/// Messages of a channel between two snapshots.
const SNAPSHOT: u64 = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let messages = arguments.next().map_or(200_000, |number| {
        number.parse().expect("a number of messages")
    });
    let folder = tempfile::TempDir::new().unwrap();
    let folder = arguments
        .next()
        .map_or_else(|| folder.path().to_owned(), Into::into);
    println!(
        "{messages} messages of {RECORD} bytes in {CHANNELS} channels, in {}",
        folder.display()
    );
    let only: Option<usize> = arguments
        .next()
        .map(|batch| batch.parse().expect("a number of messages"));
    for batch in [40, 4, 1]
        .into_iter()
        .filter(|batch| only.is_none_or(|only| *batch == only))
    {
        measure(&folder, messages / if batch == 40 { 1 } else { 10 }, batch);
    }
}

fn measure(folder: &Path, messages: usize, batch: usize) {
    let path = folder.join(format!("cost-{batch}.db"));
    let store = SqliteStore::open(Options::new(&path)).unwrap();
    let mut load = Load::new(&store);
    load.run(CHANNELS * 4, batch);
    let (cpu, wall, transactions) = (cpu(), Instant::now(), store.stats().transactions);
    load.run(messages, batch);
    let (cpu, wall) = (self::cpu() - cpu, wall.elapsed());
    let transactions = store.stats().transactions - transactions;
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / messages as f64;
    println!(
        "batches of {batch:>2}: {:6.2} us CPU per message, {:7.2} us passed, {:.1} messages per transaction, log {} MiB",
        each(cpu),
        each(wall),
        messages as f64 / transactions as f64,
        store.stats().log_bytes >> 20,
    );
    if batch == 1 {
        read(&store, &load);
    }
    store.close().wait().unwrap();
    let open = Instant::now();
    drop(SqliteStore::open(Options::new(&path)).unwrap());
    println!(
        "               opened again and closed in {:?}",
        open.elapsed()
    );
}

/// What a page of the archive costs.
fn read(store: &SqliteStore, load: &Load<'_>) {
    let (mut after, mut pages) = (None, 0_u32);
    let before = cpu();
    while before + Duration::from_millis(500) > cpu() {
        let query = ArchiveQuery {
            after,
            max: 100,
            ..ArchiveQuery::default()
        };
        let channel = &load.channels[pages as usize / 10 % CHANNELS];
        let page = store
            .archive_page(channel.shard, &channel.key, query)
            .wait()
            .unwrap()
            .unwrap();
        after = page
            .entries
            .last()
            .filter(|_| pages % 10 != 9 && !page.complete)
            .map(Entry::place);
        pages += 1;
    }
    println!(
        "               {:.0} us CPU per archive page of 100",
        5e5 / f64::from(pages)
    );
}

/// Rooms that talk, each in a shard of its own.
struct Load<'a> {
    store: &'a SqliteStore,
    channels: Vec<Channel>,
    open: VecDeque<Pending<()>>,
    said: usize,
}

struct Channel {
    shard: ShardId,
    key: ChannelKey,
    epoch: Epoch,
    head: u64,
    commit: u64,
}

impl<'a> Load<'a> {
    fn new(store: &'a SqliteStore) -> Self {
        let claims: Vec<_> = (0..CHANNELS)
            .map(|number| {
                let shard = ShardId(u16::try_from(number).unwrap());
                let claim = Claim {
                    session: SessionId(1),
                    judged_dead: None,
                    known: Epoch(0),
                };
                (shard, store.claim(shard, claim))
            })
            .collect();
        let channels = claims.into_iter().map(|(shard, granted)| Channel {
            shard,
            key: ChannelKey::new("chat.localhost", format!("room-{shard}")),
            epoch: granted.wait().unwrap().epoch,
            head: 0,
            commit: 0,
        });
        Self {
            store,
            channels: channels.collect(),
            open: VecDeque::new(),
            said: 0,
        }
    }

    fn run(&mut self, messages: usize, batch: usize) {
        let end = self.said + messages;
        while self.said < end {
            let mut last = None;
            for _ in 0..batch {
                last = Some(self.say(self.said % CHANNELS));
                self.said += 1;
            }
            // One batch is on its way to the disk while the next one is made. Answers come in order.
            self.open.extend(last);
            while self.open.len() > 1 {
                self.open.pop_front().unwrap().wait().unwrap();
            }
        }
        self.open
            .drain(..)
            .for_each(|pending| pending.wait().unwrap());
    }

    fn say(&mut self, number: usize) -> Pending<()> {
        let channel = &mut self.channels[number];
        let mut change = ChannelCommit::new(channel.key.clone(), Sequence(channel.head));
        channel.head += 1;
        channel.commit += 1;
        change.entries.push(Entry {
            sequence: Sequence(channel.head),
            first_epoch: channel.epoch,
            stamp: Timestamp(1_700_000_000_000 + channel.head),
            kind: 1,
            life: if channel.head == 1 {
                Life::Creates
            } else {
                Life::Within
            },
            archive: Some(ArchiveMeta {
                sender: Some(SenderId([7; 20])),
            }),
            record: Bytes::from(vec![b'x'; RECORD]),
        });
        change.unsent = true;
        let number = CommitNumber(channel.commit);
        let mut commit = Commit {
            number,
            channels: vec![change],
            receipts: Receipts::default(),
        };
        if channel.commit.is_multiple_of(20) {
            commit.receipts = channel.receipts();
        }
        let done = self.store.commit(channel.shard, channel.epoch, commit);
        if channel.head.is_multiple_of(SNAPSHOT) {
            let receipts = channel.receipts();
            drop(
                self.store
                    .acknowledge(channel.shard, channel.epoch, receipts),
            );
            let snapshot = Snapshot {
                sequence: Sequence(channel.head),
                state: Bytes::from(vec![b's'; 4096]),
            };
            let key = channel.key.clone();
            return self
                .store
                .snapshot(channel.shard, channel.epoch, key, snapshot);
        }
        done
    }
}

impl Channel {
    fn receipts(&self) -> Receipts {
        let (key, commit) = (self.key.clone(), CommitNumber(self.commit));
        Receipts {
            acks: vec![Acknowledgement {
                key: key.clone(),
                connection: ConnectionId("main".into()),
                lease: LeaseNumber(1),
                sequence: Sequence(self.head),
                commit,
            }],
            sent: vec![Sent { key, commit }],
            ..Receipts::default()
        }
    }
}

/// CPU time of this process so far, user and system.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("needs Linux");
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}
