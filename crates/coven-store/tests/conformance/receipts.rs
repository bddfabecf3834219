//! Output that is or is not acknowledged, and deadlines.

use coven_store::{
    CommitNumber, ConnectionId, LeaseNumber, Receipts, Sent, Sequence, ShardId, TimerChange,
    Timestamp,
};

use super::world::{Channel, Owner, SHARD, World, ack, acks, sent};

fn unsent(owner: &Owner) -> Vec<(String, u64)> {
    let unsent = owner.store.unsent(owner.shard).wait().unwrap();
    unsent
        .into_iter()
        .map(|sent| (sent.key.local.to_string(), sent.commit.0))
        .collect()
}

fn says_aloud(owner: &mut Owner, channel: &mut Channel) -> CommitNumber {
    let mut change = channel.says("hail");
    change.unsent = true;
    owner.commit(vec![change])
}

pub(crate) fn il_21_a_removal_names_its_commit(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    assert!(
        unsent(&owner).is_empty(),
        "a commit without output leaves no mark"
    );
    let first = says_aloud(&mut owner, &mut channel);
    let second = says_aloud(&mut owner, &mut channel);
    owner.acknowledge(sent(&channel.key, first));
    assert_eq!(
        unsent(&owner),
        [("coven".to_owned(), second.0)],
        "a later commit has set it"
    );
    world.restart();
    let owner = world.own(SHARD);
    assert_eq!(unsent(&owner), [("coven".to_owned(), second.0)]);
    assert_eq!(owner.load(&channel.key).unwrap().unsent, Some(second));
    owner.acknowledge(sent(&channel.key, second));
    assert!(unsent(&owner).is_empty());
    world.restart();
    assert!(unsent(&world.own(SHARD)).is_empty());
}

pub(crate) fn unsent_lists_the_shard_only(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut other = world.own(ShardId(8));
    for local in ["b", "a", "c"] {
        let mut channel = Channel::created(&mut owner, local);
        says_aloud(&mut owner, &mut channel);
    }
    let mut channel = Channel::created(&mut other, "elsewhere");
    says_aloud(&mut other, &mut channel);
    let names: Vec<_> = unsent(&owner).into_iter().map(|(local, _)| local).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

pub(crate) fn il_13_acknowledgements_are_per_connection_and_lease(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 9);
    let key = &channel.key;
    owner.acknowledge(acks(vec![
        ack(key, "c2", 1, 5, CommitNumber(5)),
        ack(key, "c1", 1, 4, CommitNumber(4)),
    ]));
    // A new holder of c2; the old one speaks once more.
    owner.acknowledge(acks(vec![ack(key, "c2", 2, 7, CommitNumber(7))]));
    owner.acknowledge(acks(vec![ack(key, "c2", 1, 9, CommitNumber(9))]));
    for _ in 0..2 {
        let stored = world.own(SHARD).load(key).unwrap().acks;
        let stored: Vec<_> = stored
            .iter()
            .map(|ack| {
                (
                    ack.connection.0.as_str(),
                    ack.lease,
                    ack.sequence,
                    ack.commit,
                )
            })
            .collect();
        let first = ("c1", LeaseNumber(1), Sequence(4), CommitNumber(4));
        assert_eq!(
            stored,
            [first, ("c2", LeaseNumber(2), Sequence(7), CommitNumber(7))]
        );
        world.restart();
    }
}

pub(crate) fn il_28_acknowledgements_are_stored_without_a_commit(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let commit = says_aloud(&mut owner, &mut channel);
    let mut receipts = sent(&channel.key, commit);
    receipts.acks = vec![ack(&channel.key, "c1", 1, 2, commit)];
    owner.acknowledge(receipts);
    world.restart();
    let owner = world.own(SHARD);
    assert_eq!(owner.last, commit, "no commit was spent");
    let loaded = owner.load(&channel.key).unwrap();
    assert_eq!(
        (loaded.unsent, loaded.acks[0].sequence),
        (None, Sequence(2))
    );
}

pub(crate) fn acknowledgements_never_go_back(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 5);
    owner.acknowledge(acks(vec![ack(&channel.key, "c1", 1, 5, CommitNumber(3))]));
    owner.acknowledge(acks(vec![ack(&channel.key, "c1", 1, 4, CommitNumber(4))]));
    let stored = &owner.load(&channel.key).unwrap().acks[0];
    assert_eq!(
        (stored.sequence, stored.commit),
        (Sequence(5), CommitNumber(4))
    );
}

pub(crate) fn a_gone_connection_is_dropped(world: &mut World) {
    let mut owner = world.own(SHARD);
    let channel = Channel::created(&mut owner, "coven");
    let key = channel.key;
    owner.acknowledge(acks(vec![
        ack(&key, "c1", 1, 1, CommitNumber(1)),
        ack(&key, "c2", 1, 1, CommitNumber(1)),
    ]));
    owner.acknowledge(Receipts {
        gone: vec![(key.clone(), ConnectionId("c1".into()))],
        ..Receipts::default()
    });
    world.restart();
    let acks = world.own(SHARD).load(&key).unwrap().acks;
    assert_eq!(
        acks.iter()
            .map(|ack| ack.connection.0.as_str())
            .collect::<Vec<_>>(),
        ["c2"]
    );
}

pub(crate) fn receipts_go_along_with_a_commit(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut other = Channel::created(&mut owner, "other");
    let first = says_aloud(&mut owner, &mut channel);
    let change = other.says("meanwhile");
    let mut commit = owner.next(vec![change]);
    commit.receipts = acks(vec![ack(&channel.key, "c1", 1, 2, first)]);
    commit.receipts.sent = vec![Sent {
        key: channel.key.clone(),
        commit: first,
    }];
    owner
        .store
        .commit(SHARD, owner.epoch, commit)
        .wait()
        .unwrap();
    let loaded = owner.load(&channel.key).unwrap();
    assert_eq!((loaded.unsent, loaded.acks.len()), (None, 1));
}

pub(crate) fn receipts_of_unknown_channels_are_passed_over(world: &mut World) {
    let owner = world.own(SHARD);
    let key = Channel::new("unknown").key;
    owner.acknowledge(acks(vec![ack(&key, "c1", 1, 1, CommitNumber(1))]));
    owner.acknowledge(sent(&key, CommitNumber(1)));
    assert_eq!(owner.load(&key), None);
    world.restart();
    assert_eq!(world.own(SHARD).load(&key), None);
}

pub(crate) fn timers_are_set_moved_and_cleared(world: &mut World) {
    let timers = |world: &World| {
        let timers = world.store.timers(SHARD).wait().unwrap();
        timers
            .into_iter()
            .map(|(at, key)| (at.0, key.local.to_string()))
            .collect::<Vec<_>>()
    };
    let mut owner = world.own(SHARD);
    let mut set = |local: &str, timer| {
        let key = Channel::new(local).key;
        let head = owner.load(&key).map_or(0, |loaded| loaded.head.0);
        let mut channel = Channel {
            head,
            stamp: 1_000 + 10 * head,
            ..Channel::new(local)
        };
        let mut change = if head == 0 {
            channel.creates()
        } else {
            channel.change()
        };
        change.timer = timer;
        owner.commit(vec![change]);
    };
    set("late", TimerChange::Set(Timestamp(300)));
    set("soon", TimerChange::Set(Timestamp(100)));
    set("never", TimerChange::Keep);
    set("moved", TimerChange::Set(Timestamp(50)));
    set("moved", TimerChange::Keep);
    assert_eq!(timers(world)[0], (50, "moved".to_owned()), "kept");
    set("moved", TimerChange::Set(Timestamp(200)));
    set("gone", TimerChange::Set(Timestamp(10)));
    set("gone", TimerChange::Clear);
    let expected =
        [(100, "soon"), (200, "moved"), (300, "late")].map(|(at, local)| (at, local.to_owned()));
    assert_eq!(timers(world), expected);
    world.restart();
    assert_eq!(timers(world), expected);
    // The same when the channel rests in its row.
    let owner = world.own(SHARD);
    owner.snapshot(&Channel::new("soon").key, 1).unwrap();
    assert_eq!(timers(world), expected);
    assert!(world.store.timers(ShardId(8)).wait().unwrap().is_empty());
}
