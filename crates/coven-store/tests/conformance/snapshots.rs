//! Snapshots, and that nothing unacknowledged is let go.

use coven_store::{CommitNumber, ConnectionId, Error, Receipts, Sequence};

use super::world::{Channel, SHARD, World, ack, acks, chat, sent, texts};

pub(crate) fn a_snapshot_covers_the_journal(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 40);
    owner.snapshot(&channel.key, 41).unwrap();
    for _ in 0..2 {
        let loaded = world.own(SHARD).load(&channel.key).unwrap();
        assert_eq!((loaded.head, loaded.journal.len()), (Sequence(41), 0));
        let snapshot = loaded.snapshot.unwrap();
        assert_eq!(
            (snapshot.sequence, &snapshot.state[..]),
            (Sequence(41), &b"state at 41"[..])
        );
        world.restart();
    }
}

pub(crate) fn nothing_unacknowledged_is_covered(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut change = channel.says("hail");
    change.unsent = true;
    let commit = owner.commit(vec![change]);
    let refused = || Error::Unacknowledged {
        key: Channel::new("coven").key,
        sequence: Sequence(2),
    };
    assert_eq!(owner.snapshot(&channel.key, 2), Err(refused()));
    world.restart();
    let owner = world.own(SHARD);
    assert_eq!(
        owner.snapshot(&channel.key, 2),
        Err(refused()),
        "after a restart"
    );
    assert_eq!(
        texts(&owner.load(&channel.key).unwrap().journal),
        ["created", "hail"]
    );
    owner.acknowledge(sent(&channel.key, commit));
    owner.snapshot(&channel.key, 2).unwrap();
}

pub(crate) fn a_snapshot_up_to_the_slowest_connection_is_taken(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 8);
    let mut change = channel.says("m9");
    change.unsent = true;
    let commit = owner.commit(vec![change]);
    let key = &channel.key;
    owner.acknowledge(acks(vec![
        ack(key, "c1", 1, 9, commit),
        ack(key, "c2", 1, 5, CommitNumber(5)),
    ]));
    assert!(matches!(
        owner.snapshot(key, 6),
        Err(Error::Unacknowledged { .. })
    ));
    owner.snapshot(key, 5).unwrap();
    let loaded = owner.load(key).unwrap();
    assert_eq!(loaded.snapshot.unwrap().sequence, Sequence(5));
    assert_eq!(texts(&loaded.journal), chat(5..=9));
    // The slow one is no more.
    owner.acknowledge(Receipts {
        gone: vec![(key.clone(), ConnectionId("c2".into()))],
        ..Receipts::default()
    });
    owner.snapshot(key, 9).unwrap();
    assert_eq!(texts(&owner.load(key).unwrap().journal), chat(9..=9));
}

pub(crate) fn a_snapshot_ahead_of_the_head_is_refused(world: &mut World) {
    let mut owner = world.own(SHARD);
    let channel = Channel::created(&mut owner, "coven");
    assert!(matches!(
        owner.snapshot(&channel.key, 2),
        Err(Error::Unacknowledged { .. })
    ));
}

pub(crate) fn a_snapshot_of_a_forgotten_channel_is_passed_over(world: &mut World) {
    let owner = world.own(SHARD);
    let unknown = Channel::new("unknown").key;
    for sequence in [0, 7] {
        owner.snapshot(&unknown, sequence).unwrap();
        let loaded = world.store.load(SHARD, &unknown).wait().unwrap();
        assert!(loaded.is_none(), "it makes no channel");
    }
    world.restart();
    let loaded = world.store.load(SHARD, &unknown).wait().unwrap();
    assert!(loaded.is_none());
}

pub(crate) fn an_older_snapshot_is_passed_over(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 5);
    owner.snapshot(&channel.key, 4).unwrap();
    owner.snapshot(&channel.key, 2).unwrap();
    let loaded = owner.load(&channel.key).unwrap();
    assert_eq!(loaded.snapshot.unwrap().sequence, Sequence(4));
    assert_eq!(texts(&loaded.journal), chat(4..=5));
}

pub(crate) fn the_journal_goes_on_after_a_snapshot(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 3);
    owner.snapshot(&channel.key, 4).unwrap();
    let change = channel.says("after");
    owner.commit(vec![change]);
    for _ in 0..2 {
        let loaded = world.own(SHARD).load(&channel.key).unwrap();
        assert_eq!(
            (loaded.head, loaded.snapshot.unwrap().sequence),
            (Sequence(5), Sequence(4))
        );
        assert_eq!(texts(&loaded.journal), ["after"]);
        world.restart();
    }
}

pub(crate) fn a_snapshot_does_not_touch_the_archive(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 70);
    owner.snapshot(&channel.key, 71).unwrap();
    assert_eq!(owner.archive(&channel.key), chat(1..=70));
    world.restart();
    assert_eq!(world.own(SHARD).archive(&channel.key), chat(1..=70));
}
