//! Creation, destruction, and channels that come again under the same name.

use coven_store::{
    Answered, ArchiveQuery, CommitNumber, Error, Life, Outcome, ProcessId, Receipts, Sequence,
};

use super::world::{Channel, Owner, SHARD, World, sent};

fn exists(owner: &Owner, channel: &Channel) -> bool {
    owner.store.exists(SHARD, &channel.key).wait().unwrap()
}

pub(crate) fn a_channel_exists_from_its_creation_to_its_end(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::new("coven");
    assert!(!exists(&owner, &channel));
    let created = channel.creates();
    owner.commit(vec![created]);
    assert!(exists(&owner, &channel));
    world.restart();
    let mut owner = world.own(SHARD);
    assert!(exists(&owner, &channel));
    let destroyed = channel.destroys();
    owner.commit(vec![destroyed]);
    assert!(!exists(&owner, &channel));
    assert_eq!(owner.load(&channel.key), None, "nothing of it is needed");
    world.restart();
    assert!(!exists(&world.own(SHARD), &channel));
}

pub(crate) fn muc_mam_23_a_destroyed_channel_has_no_archive(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let places = channel.chats(&mut owner, 70);
    let mut destroyed = channel.destroys();
    destroyed.unsent = true;
    owner.commit(vec![destroyed]);
    for _ in 0..2 {
        let owner = world.own(SHARD);
        assert!(owner.archive(&channel.key).is_empty());
        assert_eq!(
            owner
                .store
                .archive_bounds(SHARD, &channel.key)
                .wait()
                .unwrap(),
            None
        );
        for place in [places[0], places[40], places[69]] {
            let query = ArchiveQuery {
                after: Some(place),
                max: 1,
                ..ArchiveQuery::default()
            };
            assert!(owner.page(&channel.key, query).is_err(), "{place:?}");
        }
        world.restart();
    }
}

pub(crate) fn muc_mam_23_a_later_channel_does_not_show_the_old_archive(world: &mut World) {
    for forgotten in [true, false] {
        let mut owner = world.own(SHARD);
        let mut channel =
            Channel::created(&mut owner, if forgotten { "forgotten" } else { "kept" });
        let places = channel.chats(&mut owner, 70);
        let mut destroyed = channel.destroys();
        destroyed.unsent = !forgotten;
        owner.commit(vec![destroyed]);
        if forgotten {
            channel.head = 0;
        }
        let created = channel.creates();
        owner.commit(vec![created]);
        let change = channel.says("new");
        owner.commit(vec![change]);
        for _ in 0..2 {
            let owner = world.own(SHARD);
            assert_eq!(owner.archive(&channel.key), ["new"]);
            let query = ArchiveQuery {
                ids: Some(vec![places[3]]),
                max: 1,
                ..ArchiveQuery::default()
            };
            assert!(owner.page(&channel.key, query).is_err());
            let count = owner
                .page(&channel.key, ArchiveQuery::default())
                .unwrap()
                .count;
            assert_eq!(count, Some(1));
            world.restart();
        }
        let mut owner = world.own(SHARD);
        channel.chats(&mut owner, 40);
        assert_eq!(owner.archive(&channel.key).len(), 41);
    }
}

pub(crate) fn destroyed_and_made_again_in_one_commit(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 33);
    let change = channel.with(|channel| {
        let last = channel.message(1, "last words");
        let mut destroyed = channel.event("destroyed");
        destroyed.life = Life::Destroys;
        let mut created = channel.event("created");
        created.life = Life::Creates;
        vec![last, destroyed, created, channel.message(2, "first words")]
    });
    owner.commit(vec![change]);
    for _ in 0..2 {
        let owner = world.own(SHARD);
        assert!(exists(&owner, &channel));
        assert_eq!(owner.archive(&channel.key), ["first words"]);
        assert_eq!(owner.load(&channel.key).unwrap().head, Sequence(38));
        world.restart();
    }
}

pub(crate) fn a_destroyed_channel_is_kept_until_its_output_is_acknowledged(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut destroyed = channel.destroys();
    destroyed.unsent = true;
    let commit = owner.commit(vec![destroyed]);
    world.restart();
    let owner = world.own(SHARD);
    let loaded = owner.load(&channel.key).unwrap();
    assert!(loaded.dead);
    assert_eq!(
        (loaded.head, loaded.journal.len(), loaded.unsent),
        (Sequence(2), 2, Some(commit))
    );
    owner.acknowledge(sent(&channel.key, commit));
    assert_eq!(owner.load(&channel.key), None);
    world.restart();
    assert_eq!(world.own(SHARD).load(&channel.key), None);
}

pub(crate) fn i4_a_destroyed_channel_is_kept_while_it_has_outcomes(world: &mut World) {
    for by_process in [true, false] {
        let mut owner = world.own(SHARD);
        let mut channel = Channel::created(&mut owner, "coven");
        let mut destroyed = channel.destroys();
        let (process, result) = (ProcessId(1), bytes::Bytes::from_static(b"done"));
        destroyed.outcomes = vec![Outcome {
            process,
            n: 4,
            base: 0,
            after: Sequence(2),
            addressee: None,
            result,
        }];
        owner.commit(vec![destroyed]);
        world.restart();
        let owner = world.own(SHARD);
        let loaded = owner.load(&channel.key).unwrap();
        assert_eq!(
            (loaded.dead, loaded.outcomes.len()),
            (true, 1),
            "its repetition must find it"
        );
        if by_process {
            owner
                .store
                .forget_process(SHARD, owner.epoch, process)
                .wait()
                .unwrap();
        } else {
            let answered = vec![Answered {
                key: channel.key.clone(),
                process,
                base: 4,
            }];
            owner.acknowledge(Receipts {
                answered,
                ..Receipts::default()
            });
        }
        assert_eq!(owner.load(&channel.key), None);
        world.restart();
        assert_eq!(world.own(SHARD).load(&channel.key), None);
    }
}

pub(crate) fn a_forgotten_channel_may_be_made_again_at_any_number(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let destroyed = channel.destroys();
    owner.commit(vec![destroyed]);
    let event = channel.says("not created");
    assert!(matches!(owner.refused(vec![event]), Error::Sequence { .. }));
    channel.head = 2;
    let again = channel.creates();
    owner.commit(vec![again]);
    for _ in 0..2 {
        let loaded = world.own(SHARD).load(&channel.key).unwrap();
        assert_eq!(
            (loaded.head, loaded.dead, loaded.journal.len()),
            (Sequence(3), false, 1)
        );
        world.restart();
    }
    assert_eq!(world.own(SHARD).last, CommitNumber(3));
}

pub(crate) fn only_created_channels_have_events(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::new("coven");
    let event = channel.says("hail");
    assert!(matches!(owner.refused(vec![event]), Error::Invalid(_)));
    channel.head = 0;
    let created = channel.creates();
    owner.commit(vec![created]);
    let mut destroyed = channel.destroys();
    destroyed.unsent = true;
    owner.commit(vec![destroyed]);
    let event = channel.says("after the end");
    assert!(matches!(owner.refused(vec![event]), Error::Invalid(_)));
}
