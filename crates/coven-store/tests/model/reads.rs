//! Reads: whatever is read of the one must be what is read of the other.

use coven_store::{
    ArchiveQuery, DirectoryQuery, Entry, Place, SenderId, Sequence, ShardId, Store, Timestamp,
};

use super::pair::{Pair, key};
use super::requests::{LOCALS, Query, SHARDS, SPACE};

impl Pair {
    pub(crate) fn query(&mut self, shard: u16, local: usize, query: &Query) {
        self.settle();
        let (shard, key) = (ShardId(shard), key(local));
        let all = ArchiveQuery {
            max: usize::MAX,
            ..ArchiveQuery::default()
        };
        let entries = self
            .model
            .archive_page(shard, &key, all)
            .wait()
            .unwrap()
            .unwrap()
            .entries;
        let place = |number: u64| {
            let entry = entries.get(usize::try_from(number).unwrap());
            entry.map_or(
                Place {
                    stamp: Timestamp(number),
                    sequence: Sequence(number),
                },
                Entry::place,
            )
        };
        let moment = |number: u64| place(number).stamp;
        let query = ArchiveQuery {
            after: query.after.map(place),
            before: query.before.map(place),
            start: query.start.map(moment),
            end: query.end.map(moment),
            sender: query.sender.map(|number| SenderId([number; 20])),
            ids: query
                .ids
                .as_ref()
                .map(|ids| ids.iter().copied().map(place).collect()),
            must_exist: Vec::new(),
            filter: query.filter.then(|| -> coven_store::Filter {
                std::sync::Arc::new(|entry: &Entry| entry.sequence.0.is_multiple_of(3))
            }),
            max: query.max,
            from_end: query.from_end,
        };
        let expected = self
            .model
            .archive_page(shard, &key, query.clone())
            .wait()
            .unwrap();
        let answer = self
            .sqlite
            .archive_page(shard, &key, query.clone())
            .wait()
            .unwrap();
        assert_eq!(answer, expected, "{query:?}");
    }

    /// Everything that can be read without asking for something particular.
    pub(crate) fn compare(&mut self) {
        self.settle();
        let (model, sqlite): (&dyn Store, &dyn Store) = (&self.model, &self.sqlite);
        let same = |read: &dyn Fn(&dyn Store) -> String| assert_eq!(read(sqlite), read(model));
        for shard in (0..SHARDS).map(ShardId) {
            same(&|store| format!("{:?}", store.unsent(shard).wait()));
            same(&|store| format!("{:?}", store.timers(shard).wait()));
            for local in 0..LOCALS {
                let key = key(local);
                same(&|store| format!("{:#?}", store.load(shard, &key).wait()));
                same(&|store| format!("{:?}", store.exists(shard, &key).wait()));
                same(&|store| format!("{:?}", store.archive_bounds(shard, &key).wait()));
                let all = ArchiveQuery {
                    max: usize::MAX,
                    ..ArchiveQuery::default()
                };
                same(&|store| {
                    format!("{:#?}", store.archive_page(shard, &key, all.clone()).wait())
                });
            }
        }
        let directory = DirectoryQuery {
            max: 3,
            unlisted: true,
            ..DirectoryQuery::default()
        };
        same(&|store| {
            format!(
                "{:?}",
                store.directory(&SPACE.into(), directory.clone()).wait()
            )
        });
        same(&|store| {
            format!(
                "{:?}",
                store
                    .directory(&SPACE.into(), DirectoryQuery::default())
                    .wait()
            )
        });
    }
}
