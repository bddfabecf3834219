//! The archive page by page: which part of it a page shows, and where it stands in the whole. What restricts it is in
//! `filters`.

use std::ops::RangeInclusive;

use coven_store::{ArchiveMeta, ArchivePage, ArchiveQuery, Entry, Place};

use super::world::{Channel, Owner, SHARD, World, chat, sender, texts};

/// More than three pages, and a tail.
pub(crate) const MESSAGES: usize = 110;

pub(crate) fn filled(world: &World) -> (Owner, Channel, Vec<Place>) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let places = channel.chats(&mut owner, MESSAGES);
    (owner, channel, places)
}

pub(crate) fn shows(page: &ArchivePage, numbers: RangeInclusive<usize>, complete: bool) {
    assert_eq!(texts(&page.entries), chat(numbers.clone()));
    assert_eq!(page.complete, complete, "{numbers:?}");
}

pub(crate) fn muc_mam_14_pages_forward(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let mut after = None;
    for from in (1..=MESSAGES).step_by(25) {
        let to = (from + 24).min(MESSAGES);
        let page = owner
            .page(
                &channel.key,
                ArchiveQuery {
                    after,
                    max: 25,
                    ..ArchiveQuery::default()
                },
            )
            .unwrap();
        shows(&page, from..=to, to == MESSAGES);
        assert_eq!(
            (page.index, page.count),
            (Some(from as u64 - 1), Some(MESSAGES as u64))
        );
        after = Some(page.entries.last().unwrap().place());
    }
    let after = Some(places[MESSAGES - 1]);
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                after,
                max: 25,
                ..ArchiveQuery::default()
            },
        )
        .unwrap();
    assert_eq!(
        (page.entries.len(), page.complete, page.index),
        (0, true, None)
    );
}

pub(crate) fn muc_mam_14_pages_backward(world: &mut World) {
    let (owner, channel, _) = filled(world);
    let mut before = None;
    let mut to = MESSAGES;
    while to > 0 {
        let from = to.saturating_sub(24).max(1);
        let query = ArchiveQuery {
            before,
            max: 25,
            from_end: true,
            ..ArchiveQuery::default()
        };
        let page = owner.page(&channel.key, query).unwrap();
        shows(&page, from..=to, from == 1);
        assert_eq!(page.index, Some(from as u64 - 1));
        before = Some(page.entries[0].place());
        to = from - 1;
    }
}

pub(crate) fn muc_mam_14_count_only(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let count = |query: ArchiveQuery| {
        let page = owner
            .page(&channel.key, ArchiveQuery { max: 0, ..query })
            .unwrap();
        assert!(page.entries.is_empty() && page.index.is_none() && !page.complete);
        page.count.unwrap()
    };
    assert_eq!(count(ArchiveQuery::default()), 110);
    assert_eq!(
        count(ArchiveQuery {
            after: Some(places[3]),
            ..ArchiveQuery::default()
        }),
        110
    );
    assert_eq!(
        count(ArchiveQuery {
            sender: Some(sender(0)),
            ..ArchiveQuery::default()
        }),
        55
    );
    let start = Some(places[100].stamp);
    assert_eq!(
        count(ArchiveQuery {
            start,
            ..ArchiveQuery::default()
        }),
        10
    );
    assert_eq!(
        count(ArchiveQuery {
            start,
            sender: Some(sender(0)),
            ..ArchiveQuery::default()
        }),
        5
    );
}

pub(crate) fn muc_mam_10_complete_only_when_nothing_is_cut(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let ask = |query| owner.page(&channel.key, query).unwrap();
    let after = Some(places[99]);
    shows(
        &ask(ArchiveQuery {
            after,
            max: 10,
            ..ArchiveQuery::default()
        }),
        101..=110,
        true,
    );
    shows(
        &ask(ArchiveQuery {
            after,
            max: 9,
            ..ArchiveQuery::default()
        }),
        101..=109,
        false,
    );
    let (after, before) = (Some(places[9]), Some(places[20]));
    let between = ArchiveQuery {
        after,
        before,
        ..ArchiveQuery::default()
    };
    shows(
        &ask(ArchiveQuery {
            max: 10,
            ..between.clone()
        }),
        11..=20,
        true,
    );
    shows(
        &ask(ArchiveQuery {
            max: 4,
            ..between.clone()
        }),
        11..=14,
        false,
    );
    shows(
        &ask(ArchiveQuery {
            max: 4,
            from_end: true,
            ..between
        }),
        17..=20,
        false,
    );
    // Nothing lies between a place and an earlier one.
    let crossed = ArchiveQuery {
        after: before,
        before: after,
        max: 10,
        ..ArchiveQuery::default()
    };
    let page = ask(crossed);
    assert!(page.entries.is_empty() && page.complete);
}

pub(crate) fn muc_mam_16_bounds(world: &mut World) {
    let bounds = |owner: &Owner, channel: &Channel| {
        owner
            .store
            .archive_bounds(SHARD, &channel.key)
            .wait()
            .unwrap()
    };
    let (mut owner, channel, places) = filled(world);
    let found = bounds(&owner, &channel).unwrap();
    assert_eq!((found.first, found.last), (places[0], places[MESSAGES - 1]));
    let empty = Channel::created(&mut owner, "empty");
    assert_eq!(bounds(&owner, &empty), None);
    assert_eq!(bounds(&owner, &Channel::new("unknown")), None);
}

pub(crate) fn only_archived_entries_are_in_the_archive(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    for number in 1..=50 {
        let change = channel.with(|channel| {
            let joined = channel.event("joined");
            let message = channel.message(1, &format!("m{number}"));
            let service = Entry {
                archive: Some(ArchiveMeta::default()),
                ..channel.event("subject")
            };
            vec![joined, message, service]
        });
        owner.commit(vec![change]);
    }
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                max: 4,
                ..ArchiveQuery::default()
            },
        )
        .unwrap();
    assert_eq!(texts(&page.entries), ["m1", "subject", "m2", "subject"]);
    assert_eq!(page.count, Some(100));
    let query = ArchiveQuery {
        sender: Some(sender(1)),
        max: 100,
        ..ArchiveQuery::default()
    };
    assert_eq!(
        texts(&owner.page(&channel.key, query).unwrap().entries),
        chat(1..=50)
    );
}

pub(crate) fn an_archive_of_thousands_stays_in_order(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    for block in 0..10 {
        let change = channel.with(|channel| {
            (1..=300)
                .map(|number| channel.message(1, &format!("m{}", block * 300 + number)))
                .collect()
        });
        owner.commit(vec![change]);
    }
    assert_eq!(owner.archive(&channel.key), chat(1..=3000));
    let query = ArchiveQuery {
        max: 7,
        from_end: true,
        ..ArchiveQuery::default()
    };
    shows(
        &owner.page(&channel.key, query).unwrap(),
        2994..=3000,
        false,
    );
}
