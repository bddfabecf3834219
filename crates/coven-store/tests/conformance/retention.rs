//! What changes in an archive: old messages go, single ones are rewritten.

use bytes::Bytes;
use coven_store::{ArchiveQuery, Life, Place, Retention, Rewrite, Sequence, Timestamp};

use super::archive::{MESSAGES, filled};
use super::world::{Channel, SHARD, World, chat, sender};

pub(crate) fn muc_mam_22_mix_mam_18_retention_drops_the_oldest(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let expire = |retention| {
        owner
            .store
            .expire(SHARD, owner.epoch, retention)
            .wait()
            .unwrap()
    };
    assert_eq!(expire(Retention::default()), 0);
    let by_age = Retention {
        not_before: Some(places[4].stamp),
        max_count: None,
    };
    assert_eq!((expire(by_age), expire(by_age)), (4, 0));
    assert_eq!(owner.archive(&channel.key), chat(5..=MESSAGES));
    let by_count = Retention {
        not_before: None,
        max_count: Some(60),
    };
    assert_eq!(expire(by_count), 46);
    for _ in 0..2 {
        let owner = world.own(SHARD);
        assert_eq!(owner.archive(&channel.key), chat(51..=MESSAGES));
        let gone = ArchiveQuery {
            after: Some(places[49]),
            max: 1,
            ..ArchiveQuery::default()
        };
        assert!(owner.page(&channel.key, gone).is_err());
        let query = ArchiveQuery {
            after: Some(places[50]),
            max: 1,
            ..ArchiveQuery::default()
        };
        let page = owner.page(&channel.key, query).unwrap();
        assert_eq!((page.index, page.count), (Some(1), Some(60)));
        let bounds = owner
            .store
            .archive_bounds(SHARD, &channel.key)
            .wait()
            .unwrap()
            .unwrap();
        assert_eq!(bounds.first, places[50]);
        world.restart();
    }
    let mut owner = world.own(SHARD);
    let all = Retention {
        not_before: Some(Timestamp(u64::MAX)),
        max_count: Some(3),
    };
    assert_eq!(
        owner.store.expire(SHARD, owner.epoch, all).wait().unwrap(),
        60
    );
    assert!(owner.archive(&channel.key).is_empty());
    assert_eq!(
        owner.load(&channel.key).unwrap().journal.len(),
        MESSAGES + 1,
        "the journal is another matter"
    );
    let mut channel = Channel {
        head: MESSAGES as u64 + 1,
        stamp: 10_000,
        ..Channel::new("coven")
    };
    channel.chats(&mut owner, 40);
    assert_eq!(owner.archive(&channel.key), chat(1..=40));
}

pub(crate) fn muc_mam_22_mix_mam_18_a_rewritten_message_keeps_its_place(world: &mut World) {
    let (mut owner, mut channel, places) = filled(world);
    let place = places[10];
    let mut change = channel.does("retracted");
    change.rewrites = vec![rewrite(place, "tombstone")];
    owner.commit(vec![change]);
    for _ in 0..2 {
        let owner = world.own(SHARD);
        let query = ArchiveQuery {
            ids: Some(vec![place]),
            sender: Some(sender(1)),
            max: 1,
            ..ArchiveQuery::default()
        };
        let entry = &owner.page(&channel.key, query).unwrap().entries[0];
        assert_eq!(
            (&entry.record[..], entry.kind, entry.place()),
            (&b"tombstone"[..], 99, place)
        );
        assert_eq!(owner.archive(&channel.key).len(), MESSAGES);
        world.restart();
    }
    // Those before it go first, and it is the oldest then, where and when it was.
    let owner = world.own(SHARD);
    let most = Retention {
        not_before: None,
        max_count: Some(MESSAGES as u64 - 10),
    };
    let gone = owner.store.expire(SHARD, owner.epoch, most).wait().unwrap();
    let bounds = owner.store.archive_bounds(SHARD, &channel.key).wait();
    assert_eq!((gone, bounds.unwrap().unwrap().first), (10, place));
    assert_eq!(owner.archive(&channel.key)[..2], ["tombstone", "m12"]);
}

pub(crate) fn a_rewrite_reaches_pages_and_tail(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let mut expected = Vec::new();
    // Each message is rewritten once, some at once, some later: wherever it is by then.
    for number in 0..120_u64 {
        let mut change = channel.says("original");
        let sequence = Sequence(channel.head);
        expected.push(format!("rewritten {number}"));
        let late = [0, 1, 7, 40][usize::try_from(number % 4).unwrap()];
        change.rewrites = vec![];
        owner.commit(vec![change]);
        let mut later = Vec::new();
        for _ in 0..late {
            later.push(channel.event("something"));
        }
        let mut change = channel.change();
        change.expected = Sequence(channel.head - late);
        change.entries = later;
        change.rewrites = vec![Rewrite {
            sequence,
            kind: 2,
            record: Bytes::from(format!("rewritten {number}")),
        }];
        owner.commit(vec![change]);
    }
    assert_eq!(owner.archive(&channel.key), expected);
    world.restart();
    let mut owner = world.own(SHARD);
    assert_eq!(owner.archive(&channel.key), expected);
    // What is no message, or no more, or not yet, is passed over.
    let mut change = channel.change();
    change.rewrites = [0, 1, channel.head + 5]
        .map(|sequence| rewrite_at(sequence, "nothing"))
        .to_vec();
    owner.commit(vec![change]);
    let change = channel.with(|channel| (0..9).map(|_| channel.message(1, "later")).collect());
    owner.commit(vec![change]);
    expected.extend(vec!["later".to_owned(); 9]);
    assert_eq!(owner.archive(&channel.key), expected);
    // A message and its end in one commit.
    let mut change = channel.says("said");
    change.rewrites = vec![rewrite_at(channel.head, "unsaid")];
    owner.commit(vec![change]);
    expected.push("unsaid".to_owned());
    assert_eq!(owner.archive(&channel.key), expected);
    assert!(
        owner
            .load(&channel.key)
            .unwrap()
            .journal
            .iter()
            .all(|entry| entry.life != Life::Destroys)
    );
}

fn rewrite(place: Place, record: &'static str) -> Rewrite {
    rewrite_at(place.sequence.0, record)
}

fn rewrite_at(sequence: u64, record: &'static str) -> Rewrite {
    Rewrite {
        sequence: Sequence(sequence),
        kind: 99,
        record: Bytes::from_static(record.as_bytes()),
    }
}
