//! The directory, and all channels of a space.

use bytes::Bytes;
use coven_store::{ChannelKey, DirectoryPage, DirectoryQuery, Listing, UnknownChannel};
use smol_str::SmolStr;

use super::world::{Channel, Owner, SHARD, World};

const SPACE: SmolStr = SmolStr::new_static("chat.example");

fn listing(title: &str, listed: bool) -> Option<Listing> {
    let details = Bytes::from_static(b"details");
    Some(Listing {
        title: title.to_owned(),
        occupants: 3,
        listed,
        details,
    })
}

fn list(owner: &Owner, listings: &[(&str, Option<Listing>)]) {
    let key = |local: &str| ChannelKey::new(SPACE, local);
    let listings = listings
        .iter()
        .map(|(local, listing)| (key(local), listing.clone()))
        .collect();
    owner
        .store
        .list(SHARD, owner.epoch, listings)
        .wait()
        .unwrap();
}

fn page(owner: &Owner, query: DirectoryQuery) -> Result<DirectoryPage, UnknownChannel> {
    owner.store.directory(&SPACE, query).wait().unwrap()
}

fn names(page: &DirectoryPage) -> Vec<&str> {
    page.channels
        .iter()
        .map(|(local, _)| local.as_str())
        .collect()
}

fn filled(world: &World) -> Owner {
    let owner = world.own(SHARD);
    let names = ["d", "b", "a", "e", "c"];
    list(&owner, &names.map(|local| (local, listing(local, true))));
    list(&owner, &[("hidden", listing("Hidden", false))]);
    let other = ChannelKey::new("other.example", "z");
    owner
        .store
        .list(SHARD, owner.epoch, vec![(other, listing("Z", true))])
        .wait()
        .unwrap();
    owner
}

pub(crate) fn muc_disco_05_pages_by_name(world: &mut World) {
    let owner = filled(world);
    let first = page(
        &owner,
        DirectoryQuery {
            max: 2,
            ..DirectoryQuery::default()
        },
    )
    .unwrap();
    assert_eq!(
        (names(&first), first.complete, first.count, first.index),
        (vec!["a", "b"], false, 5, Some(0))
    );
    let after = Some(SmolStr::new("b"));
    let next = page(
        &owner,
        DirectoryQuery {
            max: 5,
            after,
            ..DirectoryQuery::default()
        },
    )
    .unwrap();
    assert_eq!(
        (names(&next), next.complete, next.count, next.index),
        (vec!["c", "d", "e"], true, 5, Some(2))
    );
    let last = page(
        &owner,
        DirectoryQuery {
            max: 2,
            from_end: true,
            ..DirectoryQuery::default()
        },
    )
    .unwrap();
    assert_eq!(
        (names(&last), last.complete, last.index),
        (vec!["d", "e"], false, Some(3))
    );
    let before = Some(SmolStr::new("c"));
    let query = DirectoryQuery {
        max: 9,
        before,
        from_end: true,
        ..DirectoryQuery::default()
    };
    let front = page(&owner, query).unwrap();
    assert_eq!(
        (names(&front), front.complete, front.index),
        (vec!["a", "b"], true, Some(0))
    );
    let count = page(&owner, DirectoryQuery::default()).unwrap();
    assert_eq!(
        (names(&count), count.complete, count.count, count.index),
        (vec![], false, 5, None)
    );
}

pub(crate) fn muc_disco_05_unknown_name(world: &mut World) {
    let owner = filled(world);
    for unknown in ["aa", "hidden"] {
        let after = Some(SmolStr::new(unknown));
        let asked = page(
            &owner,
            DirectoryQuery {
                max: 2,
                after,
                ..DirectoryQuery::default()
            },
        );
        assert_eq!(asked, Err(UnknownChannel(unknown.into())));
    }
    let before = Some(SmolStr::new("zz"));
    assert!(
        page(
            &owner,
            DirectoryQuery {
                max: 2,
                before,
                ..DirectoryQuery::default()
            }
        )
        .is_err()
    );
}

pub(crate) fn unlisted_channels_are_shown_on_demand(world: &mut World) {
    let owner = filled(world);
    let all = page(
        &owner,
        DirectoryQuery {
            max: 10,
            unlisted: true,
            ..DirectoryQuery::default()
        },
    )
    .unwrap();
    assert_eq!(
        (names(&all), all.count),
        (vec!["a", "b", "c", "d", "e", "hidden"], 6)
    );
}

pub(crate) fn listings_change_and_go(world: &mut World) {
    let owner = filled(world);
    list(
        &owner,
        &[
            ("a", listing("New", true)),
            ("b", None),
            ("c", listing("C", false)),
            ("unknown", None),
        ],
    );
    world.restart();
    let owner = world.own(SHARD);
    let left = page(
        &owner,
        DirectoryQuery {
            max: 10,
            ..DirectoryQuery::default()
        },
    )
    .unwrap();
    assert_eq!(names(&left), ["a", "d", "e"]);
    assert_eq!(Some(left.channels[0].1.clone()), listing("New", true));
}

pub(crate) fn all_channels_of_a_space(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut expected = Vec::new();
    for number in 0..20 {
        let local = format!("room-{number:02}");
        let mut channel = Channel::created(&mut owner, &local);
        if number % 2 == 0 {
            owner.snapshot(&channel.key, 1).unwrap();
        }
        if number % 5 == 0 {
            let end = channel.destroys();
            owner.commit(vec![end]);
        } else {
            expected.push(local);
        }
    }
    for _ in 0..2 {
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().map(SmolStr::new);
            let page = world
                .store
                .channels(&SPACE, after.as_ref(), 3)
                .wait()
                .unwrap();
            found.extend(page.iter().map(|key| key.local.to_string()));
            if page.len() < 3 {
                break;
            }
        }
        assert_eq!(found, expected);
        world.restart();
    }
    assert!(
        world
            .store
            .channels(&"other.example".into(), None, 9)
            .wait()
            .unwrap()
            .is_empty()
    );
}
