//! How long a store with many idle rooms takes to serve again, and what it holds in memory for them.
//!
//! Two cases: every room rests in its snapshot, and every room is still in the log only, as after a crash. The design
//! asks for 2 s with 100,000 rooms, for the whole process.
//!
//! `cargo run --release -p coven-store --example start_cost [rooms]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use coven_store::sqlite::{Options, SqliteStore};
use coven_store::{
    ChannelCommit, ChannelKey, Claim, Commit, CommitNumber, Entry, Epoch, Life, Ownership, Pending,
    Receipts, Sequence, SessionId, ShardId, Snapshot, Store, Timestamp,
};

const SHARDS: u16 = 1024;

fn main() {
    let rooms = std::env::args()
        .nth(1)
        .map_or(100_000, |number| number.parse().expect("a number of rooms"));
    let folder = tempfile::TempDir::new().unwrap();
    for (name, rest) in [("resting in snapshots", true), ("still in the log", false)] {
        let path = folder.path().join(format!("{rest}.db"));
        let begin = Instant::now();
        fill(&path, rooms, rest);
        println!("{rooms} rooms {name}: made in {:?}", begin.elapsed());
        start(&path);
    }
}

fn start(path: &Path) {
    let before = resident();
    let begin = Instant::now();
    let store = SqliteStore::open(Options::new(path)).unwrap();
    let opened = begin.elapsed();
    claim(&store).into_iter().for_each(drop);
    let shards = || (0..SHARDS).map(ShardId);
    let unsent: Vec<_> = shards().map(|shard| store.unsent(shard)).collect();
    let timers: Vec<_> = shards().map(|shard| store.timers(shard)).collect();
    let unsent: usize = unsent
        .into_iter()
        .map(|answer| answer.wait().unwrap().len())
        .sum();
    let timers: usize = timers
        .into_iter()
        .map(|answer| answer.wait().unwrap().len())
        .sum();
    let claimed = begin.elapsed();
    assert!(store.load(ShardId(7), &key(7)).wait().unwrap().is_some());
    println!(
        "    opened in {opened:?}, all shards claimed with {unsent} unsent, {timers} timers in {claimed:?}; \
         {} live channels, {} MiB more memory, {:?}",
        store.stats().live_channels,
        (resident() - before) >> 20,
        store.stats(),
    );
}

fn fill(path: &Path, rooms: usize, rest: bool) {
    let mut options = Options::new(path);
    options.log_limit = if rest { 64 << 20 } else { 512 << 20 };
    let store = SqliteStore::open(options).unwrap();
    let owned = claim(&store);
    let mut numbers = vec![0; usize::from(SHARDS)];
    let mut open = Vec::new();
    for room in 0..rooms {
        let shard = ShardId(u16::try_from(room % usize::from(SHARDS)).unwrap());
        let (Some(granted), Some(number)) = (
            owned.get(usize::from(shard.0)),
            numbers.get_mut(usize::from(shard.0)),
        ) else {
            return;
        };
        *number += 1;
        let commit = Commit {
            number: CommitNumber(*number),
            channels: vec![created(room)],
            receipts: Receipts::default(),
        };
        open.push(store.commit(shard, granted.epoch, commit));
        if rest {
            let snapshot = Snapshot {
                sequence: Sequence(4),
                state: Bytes::from(vec![b's'; 600]),
            };
            open.push(store.snapshot(shard, granted.epoch, key(room), snapshot));
        }
        if open.len() > 4_000 {
            open.drain(..).for_each(|answer| answer.wait().unwrap());
        }
    }
    open.drain(..).for_each(|answer| answer.wait().unwrap());
    store.close().wait().unwrap();
}

fn claim(store: &SqliteStore) -> Vec<Ownership> {
    let claim = Claim {
        session: SessionId(1),
        judged_dead: None,
        known: Epoch(0),
    };
    let open: Vec<Pending<Ownership>> = (0..SHARDS)
        .map(|shard| store.claim(ShardId(shard), claim))
        .collect();
    open.into_iter()
        .map(|answer| answer.wait().unwrap())
        .collect()
}

/// A room and three who join it.
fn created(room: usize) -> ChannelCommit {
    let mut change = ChannelCommit::new(key(room), Sequence(0));
    change.entries = (1..=4)
        .map(|number| Entry {
            sequence: Sequence(number),
            first_epoch: Epoch(1),
            stamp: Timestamp(1_700_000_000_000),
            kind: 1,
            life: if number == 1 {
                Life::Creates
            } else {
                Life::Within
            },
            archive: None,
            record: Bytes::from(vec![b'x'; 120]),
        })
        .collect();
    change
}

fn key(room: usize) -> ChannelKey {
    ChannelKey::new("chat.localhost", format!("room-{room}"))
}

/// Memory of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("needs Linux");
    statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .expect("a number of pages")
        * 4096
}
