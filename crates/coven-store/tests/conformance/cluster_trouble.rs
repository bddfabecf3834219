//! What befalls one member of a Redis Cluster: what lies on it waits, and nothing else does; nothing is done twice.
#![allow(
    clippy::disallowed_methods,
    reason = "real servers take real time; there is no runtime here"
)]

use std::time::{Duration, Instant};

use coven_store::redis::Options;
use coven_store::{Error, Pending, ShardId};

use super::redis_server::{OwnCluster, wait_until};
use super::world::{Channel, Owner, World, chat};

fn world(cluster: &OwnCluster) -> World {
    World::on(Options {
        shards: 64,
        patience: Duration::from_secs(30),
        ..Options::new(cluster.url.clone())
    })
}

/// A shard that lies on a member, the one with the lowest slot.
fn shard_on(cluster: &OwnCluster, member: usize) -> (ShardId, u32) {
    let places = (0..64).map(|shard| (cluster.place("coven", shard), shard));
    let ((slot, _), shard) = places
        .filter(|((_, on), _)| *on == member)
        .min()
        .expect("64 shards lie on all members");
    (ShardId(shard), slot)
}

fn says(owner: &mut Owner, channel: &mut Channel, number: usize) -> Pending<()> {
    let change = channel.says(&format!("m{number}"));
    let commit = owner.next(vec![change]);
    owner.store.commit(owner.shard, owner.epoch, commit)
}

/// No commit is said not to have happened that did, and none happened twice (I4, I5).
fn holds(owner: &Owner, channel: &Channel, answers: Vec<Result<(), Error>>) {
    let archive = owner.archive(&channel.key);
    assert_eq!(archive, chat(0..archive.len()));
    let acknowledged = answers.iter().filter(|it| it.is_ok()).count();
    assert!(
        archive.len() >= acknowledged,
        "{acknowledged} of {}",
        archive.len()
    );
    for (number, answer) in answers.into_iter().enumerate() {
        if let Err(error) = answer {
            let unknown = matches!(error, Error::Unknown(_));
            assert!(unknown || number >= archive.len(), "m{number}: {error}");
        }
    }
}

#[test]
fn i4_i5_a_member_that_ends_and_comes_back_has_everything_once() {
    let Some(mut cluster) = OwnCluster::start() else {
        return;
    };
    let world = world(&cluster);
    let (there, _) = shard_on(&cluster, 1);
    let mut owner = world.own(there);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut waiting = Vec::new();
    for number in 0..300 {
        if number == 100 {
            cluster.members[1].kill();
        }
        waiting.push(says(&mut owner, &mut channel, number));
    }
    cluster.members[1].start_again();
    let answers: Vec<_> = waiting.into_iter().map(Pending::wait).collect();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    holds(&owner, &channel, answers);
    assert_eq!(owner.archive(&channel.key).len(), 300);
}

#[test]
fn i9_a_member_that_is_away_holds_up_nobody_elses_shards() {
    let Some(mut cluster) = OwnCluster::start() else {
        return;
    };
    let world = world(&cluster);
    let (here, there) = (shard_on(&cluster, 0).0, shard_on(&cluster, 1).0);
    let (mut living, mut dead) = (world.own(here), world.own(there));
    let mut room = Channel::created(&mut living, "living");
    let mut gone = Channel::created(&mut dead, "dead");
    cluster.members[1].kill();
    let held = says(&mut dead, &mut gone, 0);
    for number in 0..50 {
        says(&mut living, &mut room, number).wait().unwrap();
    }
    assert_eq!(living.archive(&room.key), chat(0..50));
    cluster.members[1].start_again();
    held.wait().unwrap();
    assert_eq!(dead.archive(&gone.key), chat(0..1));
}

#[test]
fn i4_i5_a_slot_that_moves_under_load_has_everything_once() {
    let Some(cluster) = OwnCluster::start() else {
        return;
    };
    let world = world(&cluster);
    let (shard, slot) = shard_on(&cluster, 0);
    let mut owner = world.own(shard);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut waiting = Vec::new();
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| cluster.move_up_to(slot));
        let limit = Instant::now() + Duration::from_secs(120);
        // Behind the move there are some as well.
        let mut left = 100;
        while left > 0 {
            left -= u32::from(moving.is_finished());
            waiting.push(says(&mut owner, &mut channel, waiting.len()));
            wait_until(limit, "the end of the move");
        }
    });
    let answers: Vec<_> = waiting.into_iter().map(Pending::wait).collect();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let moved = cluster.members[1].ask(&["EXISTS", &format!("coven{{s{:04}}}:owner", shard.0)]);
    assert_eq!(moved.trim(), "1");
    holds(&owner, &channel, answers);
}
