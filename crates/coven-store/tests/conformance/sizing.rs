//! How much of Redis' memory messages and rooms take: the numbers of docs/cluster.md.
//!
//!     cargo test -p coven-store --test conformance sizing -- --ignored --nocapture

#![allow(clippy::print_stdout, reason = "the numbers are the outcome")]

use bytes::Bytes;
use coven_store::redis::Options;
use coven_store::{ArchiveMeta, ChannelCommit, ChannelKey, Commit, Entry, Sequence};

use super::redis_server::Own;
use super::world::{Channel, Owner, SHARD, World, sender};

/// Messages per measurement.
const MESSAGES: usize = 100_000;
/// Rooms that are empty but for their snapshot.
const ROOMS: usize = 10_000;
/// A snapshot of a room with three people.
const SNAPSHOT: usize = 600;

#[test]
#[ignore = "takes a minute, and only prints"]
fn sizing() {
    for rooms in [1, 100, 1_000] {
        for bytes in [200, 500] {
            let per = messages(rooms, MESSAGES / rooms, bytes);
            println!("| {rooms} | {bytes} | {per} |");
        }
    }
    println!("room: {}", empty_rooms());
}

fn server() -> (Own, World) {
    let redis = Own::start(&["--appendonly", "no"]).expect("redis-server");
    let world = World::on(Options {
        shards: 64,
        ..Options::new(redis.url())
    });
    (redis, world)
}

fn used(redis: &Own) -> usize {
    let info = redis.ask(&["INFO", "memory"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().trim().parse().unwrap()
}

fn messages(rooms: usize, each: usize, bytes: usize) -> usize {
    let (redis, world) = server();
    let mut owner = world.own(SHARD);
    let mut channels: Vec<_> = (0..rooms)
        .map(|room| Channel::created(&mut owner, &format!("room{room}")))
        .collect();
    let before = used(&redis);
    for _ in 0..each.div_ceil(50) {
        for some in channels.chunks_mut(20) {
            let changes = some.iter_mut().map(|channel| say(channel, 50, bytes));
            commit(&mut owner, changes.collect());
        }
    }
    (used(&redis) - before) / (rooms * each)
}

/// So many messages of so many bytes each.
fn say(channel: &mut Channel, count: usize, bytes: usize) -> ChannelCommit {
    channel.with(|channel| {
        let mut entries = Vec::new();
        for _ in 0..count {
            let entry = channel.event("");
            entries.push(Entry {
                archive: Some(ArchiveMeta {
                    sender: Some(sender(u8::try_from(entry.sequence.0 % 7).unwrap())),
                }),
                record: Bytes::from(vec![b'x'; bytes]),
                ..entry
            });
        }
        entries
    })
}

fn empty_rooms() -> usize {
    let (redis, world) = server();
    let mut owner = world.own(SHARD);
    let before = used(&redis);
    let mut keys: Vec<ChannelKey> = Vec::new();
    for some in 0..ROOMS / 100 {
        let mut changes = Vec::new();
        for room in 0..100 {
            let mut channel = Channel::new(&format!("room-{some}-{room}"));
            changes.push(channel.creates());
            keys.push(channel.key);
        }
        commit(&mut owner, changes);
    }
    for key in &keys {
        let snapshot = coven_store::Snapshot {
            sequence: Sequence(1),
            state: Bytes::from(vec![b'x'; SNAPSHOT]),
        };
        let stored = owner
            .store
            .snapshot(SHARD, owner.epoch, key.clone(), snapshot);
        stored.wait().unwrap();
    }
    (used(&redis) - before) / ROOMS
}

fn commit(owner: &mut Owner, changes: Vec<ChannelCommit>) {
    let commit: Commit = owner.next(changes);
    owner
        .store
        .commit(SHARD, owner.epoch, commit)
        .wait()
        .unwrap();
}
