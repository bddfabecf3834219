//! What befalls a Redis while a store uses it: it ends, is emptied, is full, or its primary changes.
#![allow(
    clippy::disallowed_methods,
    reason = "real servers take real time; there is no runtime here"
)]

use std::time::{Duration, Instant};

use coven_store::redis::{Durability, Options};
use coven_store::{ArchiveQuery, Claim, Condition, Epoch, Error, RedisStore, SessionId, StoreId};

use super::redis_server::{Own, ask, sentinel, wait_until};
use super::world::{Channel, SHARD, World};

/// How long a Redis is waited for that is away: longer than a busy machine takes for anything else.
const PATIENCE: Duration = Duration::from_secs(20);

fn options(url: String) -> Options {
    Options {
        shards: 64,
        patience: PATIENCE,
        ..Options::new(url)
    }
}

fn until(world: &World, what: &str, holds: impl Fn(Condition) -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds(world.store.condition()) {
        wait_until(until, what);
    }
}

fn everything() -> ArchiveQuery {
    ArchiveQuery {
        max: usize::MAX,
        ..ArchiveQuery::default()
    }
}

#[test]
fn a_redis_that_ends_and_comes_back_in_time_is_not_noticed() {
    let Some(mut redis) = Own::start(&["--appendfsync", "always"]) else {
        return;
    };
    let world = World::on(options(redis.url()));
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut waiting = Vec::new();
    for number in 0..50 {
        if number == 25 {
            redis.kill();
        }
        let change = channel.says(&format!("m{number}"));
        let commit = owner.next(vec![change]);
        waiting.push(owner.store.commit(SHARD, owner.epoch, commit));
    }
    let read = world.store.archive_page(SHARD, &channel.key, everything());
    redis.start_again();
    for commit in waiting {
        commit.wait().unwrap();
    }
    read.wait().unwrap().unwrap();
    assert_eq!(owner.archive(&channel.key).len(), 50);
}

#[test]
fn a_redis_that_stays_away_is_refused_and_comes_back() {
    let Some(mut redis) = Own::start(&["--appendfsync", "always"]) else {
        return;
    };
    let patience = Duration::from_secs(6);
    let world = World::on(Options {
        patience,
        ..options(redis.url())
    });
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    redis.kill();
    let refused = owner.refused(vec![channel.does("too early")]);
    assert!(
        matches!(refused, Error::Io(_) | Error::Unknown(_)),
        "{refused}"
    );
    until(&world, "its absence", |it| matches!(it, Condition::Away(_)));
    // Nothing waits again for as long: it is known to be away.
    let began = Instant::now();
    assert!(world.store.load(SHARD, &channel.key).wait().is_err());
    assert!(began.elapsed() < patience);
    redis.start_again();
    until(&world, "its return", |it| it == Condition::Good);
    channel.head -= 1;
    owner.commit(vec![channel.says("now")]);
    assert_eq!(owner.archive(&channel.key), ["now"]);
}

#[test]
fn il_31_an_emptied_redis_is_used_only_when_it_is_accepted() {
    let Some(redis) = Own::start(&[]) else { return };
    let world = World::on(options(redis.url()));
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let known = world.store.identity().wait().unwrap();
    redis.ask(&["FLUSHALL"]);

    let refused = owner.refused(vec![channel.says("lost")]);
    assert!(matches!(refused, Error::Replaced(_)), "{refused}");
    assert!(matches!(world.store.condition(), Condition::Replaced(_)));
    let claim = Claim {
        session: SessionId(9),
        judged_dead: None,
        known: Epoch(0),
    };
    let refused = world.store.claim(SHARD, claim).wait();
    assert!(matches!(refused, Err(Error::Replaced(_))), "{refused:?}");
    assert!(world.store.load(SHARD, &channel.key).wait().is_err());
    // Another process that starts on it makes a store of its own there: that is not ours either.
    drop(RedisStore::open(options(redis.url())).unwrap());
    assert!(world.store.claim(SHARD, claim).wait().is_err());

    let accepted = world.store.accept().wait().unwrap();
    assert_ne!(accepted, known);
    assert_ne!(accepted, StoreId::default());
    assert_eq!(world.store.identity().wait().unwrap(), accepted);
    assert_eq!(world.store.condition(), Condition::Good);
    world.store.claim(SHARD, claim).wait().unwrap();
}

#[test]
fn il_31_an_emptied_redis_is_noticed_without_a_write() {
    let Some(redis) = Own::start(&[]) else { return };
    let world = World::on(options(redis.url()));
    redis.ask(&["FLUSHALL"]);
    until(&world, "the notice", |it| {
        matches!(it, Condition::Replaced(_))
    });
}

#[test]
fn one_lost_shard_is_enough_to_stop() {
    let Some(redis) = Own::start(&[]) else { return };
    let world = World::on(options(redis.url()));
    let mut owner = world.own(SHARD);
    let channel = Channel::created(&mut owner, "coven");
    // As if the member of a cluster that had it came back empty.
    assert_eq!(redis.ask(&["DEL", "coven{s0007}:owner"]).trim(), "1");
    let claim = Claim {
        session: SessionId(9),
        judged_dead: None,
        known: Epoch(0),
    };
    let refused = world.store.claim(SHARD, claim).wait();
    assert!(matches!(refused, Err(Error::Replaced(_))), "{refused:?}");
    assert!(world.store.load(SHARD, &channel.key).wait().is_err());
    assert!(matches!(world.store.condition(), Condition::Replaced(_)));
    world.store.accept().wait().unwrap();
    world.store.claim(SHARD, claim).wait().unwrap();
}

#[test]
fn a_full_redis_refuses_commits_and_takes_what_frees() {
    let Some(redis) = Own::start(&["--maxmemory", "3mb"]) else {
        return;
    };
    let world = World::on(options(redis.url()));
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let text = "x".repeat(50_000);
    let refused = loop {
        let change = channel.does(&text);
        let commit = owner.next(vec![change]);
        if let Err(error) = owner.store.commit(SHARD, owner.epoch, commit).wait() {
            break error;
        }
        assert!(channel.head < 1_000, "it is never full");
    };
    assert!(matches!(refused, Error::Full(_)), "{refused}");
    // Nothing of it was done, and what makes room is taken.
    let head = owner.load(&channel.key).unwrap().head.0;
    assert_eq!(head, channel.head - 1);
    owner.snapshot(&channel.key, head).unwrap();
    (channel.head, owner.last.0) = (head, owner.last.0 - 1);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    owner.commit(vec![channel.says("room again")]);
    assert_eq!(owner.archive(&channel.key), ["room again"]);
}

#[test]
fn a_commit_that_redis_lost_is_told_by_its_number() {
    let Some(redis) = Own::start(&[]) else { return };
    let world = World::on(options(redis.url()));
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    owner.commit(vec![channel.says("kept")]);
    // As a fail-over to a replica that did not have it would leave it.
    redis.ask(&["HSET", "coven{s0007}:owner", "commit", "1"]);
    let (epoch, last) = (owner.epoch, owner.last);
    let refused = owner.refused(vec![channel.says("next")]);
    assert!(refused.is_behind(epoch, last), "{refused}");
    let Error::Diverged { stored, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!(stored.0, 1);
    // IL-16: the claim was lost too, and an older owner stands there.
    redis.ask(&["HSET", "coven{s0007}:owner", "epoch", "5", "owner", "ff"]);
    let refused = owner.refused(Vec::new());
    assert!(refused.is_behind(epoch, last), "{refused}");
    let own = coven_store::Owner {
        epoch,
        session: SessionId(1),
    };
    let claim = Claim {
        session: SessionId(1),
        judged_dead: Some(own),
        known: epoch,
    };
    let granted = world.store.claim(SHARD, claim).wait().unwrap();
    assert!(granted.epoch > epoch && granted.last_commit < last);
}

#[test]
fn il_30_nothing_acknowledged_is_lost_when_the_primary_dies() {
    let Some(mut primary) = Own::start(&[]) else {
        return;
    };
    let of_primary = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
    let replica = Own::start(&of_primary).unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while !primary
        .ask(&["INFO", "replication"])
        .contains("state=online")
    {
        wait_until(limit, "the replica");
    }
    let (_watch, port) = sentinel(primary.folder.path(), primary.port, 1_000);
    let limit = Instant::now() + Duration::from_secs(60);
    while !ask(port, &["SENTINEL", "REPLICAS", "coven"]).contains(&replica.port.to_string()) {
        wait_until(limit, "that the sentinel knows the replica");
    }
    let mut options = options(format!("redis+sentinel://127.0.0.1:{port}/coven"));
    options.durability = Some(Durability::Replica);
    options.patience = Duration::from_secs(90);
    let world = World::on(options);
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut waiting = Vec::new();
    for number in 0..400 {
        let change = channel.says(&format!("m{number}"));
        let commit = owner.next(vec![change]);
        waiting.push(owner.store.commit(SHARD, owner.epoch, commit));
        if number == 200 {
            primary.kill();
        }
    }
    // The new primary has no replica yet: what it is given is held.
    let limit = Instant::now() + Duration::from_secs(90);
    while !replica.ask(&["ROLE"]).starts_with("master") {
        wait_until(limit, "the fail-over");
    }
    primary.start_again();
    let answers = waiting.into_iter().map(|commit| commit.wait());
    let acknowledged = answers.filter(Result::is_ok).count();
    assert!(acknowledged > 0);
    let archive = owner.archive(&channel.key);
    assert!(
        archive.len() >= acknowledged,
        "{acknowledged} of {}",
        archive.len()
    );
    let expected: Vec<_> = (0..archive.len())
        .map(|number| format!("m{number}"))
        .collect();
    assert_eq!(archive, expected);
}

/// What docs/cluster.md says a user needs, and no more.
#[test]
fn a_user_with_the_documented_rights_is_enough() {
    const GUIDE: &str = include_str!("../../../../docs/cluster.md");
    let Some(redis) = Own::start(&[]) else { return };
    let line = GUIDE
        .lines()
        .find_map(|line| line.trim().strip_prefix("user coven "));
    let rules = line
        .expect("the guide has the line")
        .replace("PASSWORD", "secret");
    let mut words = vec!["ACL", "SETUSER", "coven"];
    words.extend(rules.split_whitespace());
    assert_eq!(redis.ask(&words).trim(), "OK");
    redis.ask(&["ACL", "SETUSER", "default", "off"]);
    let url = format!("redis://coven:secret@127.0.0.1:{}/0", redis.port);
    let mut number = 0;
    let mut world = || {
        number += 1;
        let prefix = format!("coven{number}");
        World::on(Options {
            prefix: prefix.into(),
            ..options(url.clone())
        })
    };
    super::ownership::i1_only_the_newest_owner_writes(&mut world());
    super::commits::outcomes_of_a_process_are_forgotten_on_demand(&mut world());
    super::commits::i6_everything_is_there_after_a_restart(&mut world());
    super::receipts::timers_are_set_moved_and_cleared(&mut world());
    super::snapshots::a_snapshot_covers_the_journal(&mut world());
    super::archive::muc_mam_14_pages_backward(&mut world());
    super::archive::muc_mam_16_bounds(&mut world());
    super::filters::muc_mam_20_by_sender(&mut world());
    super::retention::muc_mam_22_mix_mam_18_retention_drops_the_oldest(&mut world());
    super::retention::a_rewrite_reaches_pages_and_tail(&mut world());
    super::directory::muc_disco_05_pages_by_name(&mut world());
    super::directory::all_channels_of_a_space(&mut world());
    super::life::a_destroyed_channel_is_kept_until_its_output_is_acknowledged(&mut world());
    let mut stranger = options(url.clone());
    stranger.prefix = "other".into();
    let refused = RedisStore::open(stranger).unwrap_err();
    assert!(matches!(refused, Error::Denied(_)), "{refused}");
}

#[test]
fn a_wrong_password_is_said_at_once() {
    let Some(redis) = Own::start(&["--requirepass", "secret"]) else {
        return;
    };
    for login in ["", ":wrong@"] {
        let url = format!("redis://{login}127.0.0.1:{}", redis.port);
        let refused = RedisStore::open(options(url)).unwrap_err();
        assert!(matches!(refused, Error::Denied(_)), "{refused}");
        assert!(!refused.to_string().contains("wrong@"), "{refused}");
    }
}

#[test]
fn the_oldest_messages_go_when_redis_is_nearly_full() {
    let Some(redis) = Own::start(&[]) else { return };
    let world = World::on(options(redis.url()));
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    for _ in 0..10 {
        channel.chats(&mut owner, 100);
    }
    let all = owner.archive(&channel.key).len();
    assert!(!world.store.wants_room());
    let used = redis.ask(&["INFO", "memory"]);
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let bound = used.unwrap().trim().parse::<u64>().unwrap() * 100 / 95;
    redis.ask(&["CONFIG", "SET", "maxmemory", &bound.to_string()]);
    let limit = Instant::now() + Duration::from_secs(60);
    while !world.store.wants_room() {
        wait_until(limit, "the notice");
    }
    let before = world.store.room_before(vec![SHARD]).wait().unwrap();
    assert!(before.is_some());
    assert!(!world.store.wants_room(), "not all the time");
    let retention = coven_store::Retention {
        not_before: before,
        max_count: None,
    };
    let gone = world.store.expire(SHARD, owner.epoch, retention).wait();
    let gone = usize::try_from(gone.unwrap()).unwrap();
    assert!(gone > all / 20 && gone < all / 5, "{gone} of {all}");
    assert_eq!(owner.archive(&channel.key).len(), all - gone);
    // They are journal as well, until a snapshot covers them.
    assert_eq!(world.store.wants_snapshot(), [(SHARD, channel.key.clone())]);
    assert_eq!(world.store.wants_snapshot(), []);
    owner.snapshot(&channel.key, channel.head).unwrap();
    assert_eq!(owner.archive(&channel.key).len(), all - gone);
}
