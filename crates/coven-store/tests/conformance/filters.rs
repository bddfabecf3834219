//! Which messages an archive query means: by time, by id, by sender, by what they say; and places that are not there.

use std::sync::Arc;

use coven_store::{ArchivePage, ArchiveQuery, Entry, Place, Sequence, Timestamp};

use super::archive::{MESSAGES, filled, shows};
use super::world::{Channel, World, chat, sender, texts};

pub(crate) fn muc_mam_11_by_time(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let ask = |start: Option<u64>, end: Option<u64>, max| {
        let (start, end) = (start.map(Timestamp), end.map(Timestamp));
        owner
            .page(
                &channel.key,
                ArchiveQuery {
                    start,
                    end,
                    max,
                    ..ArchiveQuery::default()
                },
            )
            .unwrap()
    };
    let (early, late) = (places[19].stamp.0, places[79].stamp.0);
    let page = ask(Some(early), Some(late), 100);
    shows(&page, 20..=80, true);
    assert_eq!(
        (page.count, page.index),
        (Some(61), Some(0)),
        "both ends are included"
    );
    shows(&ask(Some(early + 1), Some(late - 1), 100), 21..=79, true);
    shows(&ask(Some(early), None, 5), 20..=24, false);
    shows(&ask(None, Some(early), 100), 1..=20, true);
    assert_eq!(
        ask(Some(late), Some(early), 100),
        ArchivePage {
            complete: true,
            count: Some(0),
            ..ArchivePage::default()
        }
    );
    assert_eq!(ask(Some(u64::MAX), None, 100).count, Some(0));
    let after = Some(places[29]);
    let query = ArchiveQuery {
        start: Some(Timestamp(early)),
        after,
        max: 3,
        ..ArchiveQuery::default()
    };
    let page = owner.page(&channel.key, query).unwrap();
    shows(&page, 31..=33, false);
    assert_eq!((page.count, page.index), (Some(91), Some(11)));
    // The place before the time that is asked for.
    let query = ArchiveQuery {
        start: Some(Timestamp(early)),
        after: Some(places[2]),
        max: 2,
        ..ArchiveQuery::default()
    };
    shows(&owner.page(&channel.key, query).unwrap(), 20..=21, false);
}

pub(crate) fn muc_mam_11_by_ids(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let ids = Some(vec![places[108], places[3], places[40], places[3]]);
    let query = ArchiveQuery {
        ids,
        max: 10,
        ..ArchiveQuery::default()
    };
    let page = owner.page(&channel.key, query.clone()).unwrap();
    assert_eq!(texts(&page.entries), ["m4", "m41", "m109"]);
    assert!(page.complete);
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                max: 2,
                from_end: true,
                ..query.clone()
            },
        )
        .unwrap();
    assert_eq!(
        (texts(&page.entries), page.complete),
        (vec!["m41".to_owned(), "m109".to_owned()], false)
    );
    let start = Some(places[10].stamp);
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                start,
                max: 10,
                ..query.clone()
            },
        )
        .unwrap();
    assert_eq!(texts(&page.entries), ["m41", "m109"]);
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                after: Some(places[40]),
                ..query
            },
        )
        .unwrap();
    assert_eq!(texts(&page.entries), ["m109"]);
    let none = ArchiveQuery {
        ids: Some(Vec::new()),
        max: 10,
        ..ArchiveQuery::default()
    };
    assert!(owner.page(&channel.key, none).unwrap().entries.is_empty());
}

pub(crate) fn muc_mam_13_unknown_places(world: &mut World) {
    let (owner, channel, places) = filled(world);
    let known = places[50];
    let wrong_stamp = Place {
        stamp: Timestamp(known.stamp.0 + 1),
        ..known
    };
    let wrong_sequence = Place {
        sequence: Sequence(known.sequence.0 + 1),
        ..known
    };
    let created = Place {
        stamp: Timestamp(1_010),
        sequence: Sequence(1),
    };
    let far = Place {
        stamp: Timestamp(u64::MAX),
        sequence: Sequence(u64::MAX),
    };
    let nowhere = Place {
        stamp: Timestamp(0),
        sequence: Sequence(0),
    };
    for unknown in [wrong_stamp, wrong_sequence, created, far, nowhere] {
        let base = ArchiveQuery {
            max: 5,
            ..ArchiveQuery::default()
        };
        for query in [
            ArchiveQuery {
                after: Some(unknown),
                ..base.clone()
            },
            ArchiveQuery {
                before: Some(unknown),
                ..base.clone()
            },
            ArchiveQuery {
                ids: Some(vec![known, unknown]),
                ..base.clone()
            },
            ArchiveQuery {
                must_exist: vec![unknown],
                ..base.clone()
            },
        ] {
            assert_eq!(owner.page(&channel.key, query).unwrap_err().0, unknown);
        }
    }
    let query = ArchiveQuery {
        must_exist: places,
        max: 1,
        ..ArchiveQuery::default()
    };
    shows(&owner.page(&channel.key, query).unwrap(), 1..=1, false);
    let query = ArchiveQuery {
        after: Some(known),
        max: 1,
        ..ArchiveQuery::default()
    };
    assert!(owner.page(&Channel::new("unknown").key, query).is_err());
}

pub(crate) fn muc_mam_20_by_sender(world: &mut World) {
    let (mut owner, mut channel, _) = filled(world);
    let rare = channel.with(|channel| vec![channel.message(9, "rare")]);
    owner.commit(vec![rare]);
    let ask = |from, max, from_end| {
        let query = ArchiveQuery {
            sender: Some(sender(from)),
            max,
            from_end,
            ..ArchiveQuery::default()
        };
        owner.page(&channel.key, query).unwrap()
    };
    let page = ask(1, 100, false);
    assert_eq!(
        (texts(&page.entries), page.complete),
        (chat((1..=MESSAGES).step_by(2)), true)
    );
    let page = ask(0, 3, true);
    assert_eq!(
        (texts(&page.entries), page.complete),
        (chat([106, 108, 110]), false)
    );
    assert_eq!(texts(&ask(9, 10, false).entries), ["rare"]);
    assert_eq!(
        ask(73, 10, false).entries.len(),
        0,
        "shares a bit with 9 in a mask of 64"
    );
}

pub(crate) fn muc_mam_20_by_what_a_record_says(world: &mut World) {
    let (owner, channel, _) = filled(world);
    let filter = Arc::new(|entry: &Entry| entry.record.ends_with(b"7"));
    let query = ArchiveQuery {
        filter: Some(filter),
        max: 4,
        ..ArchiveQuery::default()
    };
    let page = owner.page(&channel.key, query.clone()).unwrap();
    assert_eq!(
        (texts(&page.entries), page.complete),
        (chat([7, 17, 27, 37]), false)
    );
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                from_end: true,
                max: 100,
                ..query.clone()
            },
        )
        .unwrap();
    assert_eq!((page.entries.len(), page.complete), (11, true));
    assert_eq!(
        owner
            .page(&channel.key, ArchiveQuery { max: 0, ..query })
            .unwrap()
            .count,
        Some(11)
    );
}
