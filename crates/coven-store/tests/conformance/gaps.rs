//! Over a gap: a store that went back in time, and the owner that lived on (design §5.11).

use bytes::Bytes;
use coven_store::{
    ChannelCommit, CommitNumber, Epoch, Error, Outcome, ProcessId, Restored, Sequence, Snapshot,
    TimerChange, Timestamp,
};

use super::world::{Channel, Owner, SHARD, World, sent, texts};

/// What a channel is put in its place with, so many events behind where it is.
fn as_it_is(channel: &Channel, change: ChannelCommit) -> Restored {
    Restored {
        snapshot: Snapshot {
            sequence: Sequence(channel.head),
            state: Bytes::from(format!("state at {}", channel.head)),
        },
        alive: true,
        change,
    }
}

fn skip(owner: &mut Owner, to: u64) -> Result<(), Error> {
    let to = CommitNumber(to);
    owner.store.skip(SHARD, owner.epoch, to).wait()?;
    owner.last = to;
    Ok(())
}

fn restore(owner: &Owner, restored: Restored) -> Result<(), Error> {
    owner.store.restore(SHARD, owner.epoch, restored).wait()
}

/// The channel has had events of which nobody knows any more.
fn lost(channel: &mut Channel, events: u64) {
    channel.head += events;
    channel.stamp += 10 * events;
}

pub(crate) fn il_16_the_number_goes_on_over_a_gap_and_never_back(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    skip(&mut owner, 10).unwrap();
    for to in [9, 10] {
        let stored = CommitNumber(10);
        let number = CommitNumber(to);
        let diverged = Error::Diverged {
            shard: SHARD,
            number,
            stored,
        };
        assert_eq!(skip(&mut owner, to), Err(diverged));
    }
    let said = channel.says("hail");
    assert_eq!(owner.commit(vec![said]), CommitNumber(11));
    let before = owner.epoch;
    world.restart();
    let mut owner = world.own(SHARD);
    assert_eq!(owner.last, CommitNumber(11));
    let fenced = owner.store.skip(SHARD, before, CommitNumber(20)).wait();
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    skip(&mut owner, 30).unwrap();
    world.restart();
    assert_eq!(world.own(SHARD).last, CommitNumber(30));
}

pub(crate) fn il_16_a_channel_goes_on_from_where_its_owner_has_it(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 3);
    lost(&mut channel, 6);
    let mut change = channel.with(|it| vec![it.event("kept"), it.message(1, "archived")]);
    change.unsent = true;
    change.timer = TimerChange::Set(Timestamp(77));
    change.outcomes.push(Outcome {
        process: ProcessId(5),
        n: 3,
        base: 2,
        after: Sequence(11),
        addressee: None,
        result: Bytes::from_static(b"done"),
    });
    skip(&mut owner, 40).unwrap();
    restore(&owner, as_it_is(&channel, change)).unwrap();
    let loaded = owner.load(&channel.key).unwrap();
    assert_eq!((loaded.head, loaded.dead), (Sequence(12), false));
    assert_eq!(loaded.snapshot.unwrap().sequence, Sequence(12));
    assert_eq!((loaded.journal.len(), loaded.outcomes.len()), (0, 1));
    assert_eq!(loaded.unsent, Some(CommitNumber(40)));
    assert_eq!(loaded.timer, Some(Timestamp(77)));
    let said = channel.says("after");
    assert_eq!(owner.commit(vec![said]), CommitNumber(41));
    for _ in 0..2 {
        let owner = world.own(SHARD);
        let loaded = owner.load(&channel.key).unwrap();
        assert_eq!(&loaded.snapshot.unwrap().state[..], b"state at 12");
        assert_eq!(texts(&loaded.journal), ["after"]);
        let all = ["m1", "m2", "m3", "archived", "after"];
        assert_eq!(owner.archive(&channel.key), all);
        world.restart();
    }
    let mut owner = world.own(SHARD);
    channel.chats(&mut owner, 40);
    assert_eq!(owner.archive(&channel.key).len(), 45);
}

pub(crate) fn il_16_a_channel_that_was_made_in_a_gap_is_there(world: &mut World) {
    let owner = world.own(SHARD);
    let mut channel = Channel::new("coven");
    lost(&mut channel, 8);
    let change = channel.change();
    restore(&owner, as_it_is(&channel, change)).unwrap();
    let is_there = |owner: &Owner| owner.store.exists(SHARD, &channel.key).wait().unwrap();
    assert!(is_there(&owner));
    world.restart();
    let mut owner = world.own(SHARD);
    assert!(is_there(&owner));
    let all = owner.store.channels(&"chat.example".into(), None, 9).wait();
    assert_eq!(all.unwrap(), [channel.key.clone()]);
    let said = channel.says("hail");
    owner.commit(vec![said]);
    assert_eq!(owner.archive(&channel.key), ["hail"]);
}

pub(crate) fn il_16_a_channel_that_ended_in_a_gap_is_gone(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 5);
    lost(&mut channel, 3);
    let mut change = channel.change();
    change.unsent = true;
    let ended = Restored {
        alive: false,
        ..as_it_is(&channel, change)
    };
    skip(&mut owner, 20).unwrap();
    restore(&owner, ended).unwrap();
    world.restart();
    let owner = world.own(SHARD);
    assert!(owner.load(&channel.key).unwrap().dead);
    assert!(owner.archive(&channel.key).is_empty());
    owner.acknowledge(sent(&channel.key, CommitNumber(20)));
    assert_eq!(owner.load(&channel.key), None);
}

pub(crate) fn i1_only_its_owner_puts_a_channel_over_a_gap_and_only_forward(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 4);
    let before = owner.load(&channel.key);
    let behind = ChannelCommit::new(channel.key.clone(), Sequence(4));
    let refused = restore(&owner, as_it_is(&channel, behind));
    assert!(
        matches!(refused, Err(Error::Sequence { stored, .. }) if stored == Sequence(5)),
        "{refused:?}"
    );
    let elsewhere = ChannelCommit::new(channel.key.clone(), Sequence(9));
    let refused = restore(&owner, as_it_is(&channel, elsewhere));
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let change = channel.change();
    let another = Owner {
        epoch: Epoch(owner.epoch.0 + 1),
        store: owner.store.clone(),
        shard: SHARD,
        last: owner.last,
    };
    let refused = restore(&another, as_it_is(&channel, change));
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(owner.load(&channel.key), before);
    let said = channel.says("hail");
    owner.commit(vec![said]);
}
