//! The archive: pages and bounds.
//!
//! A channel's archive is a stream whose ids are places, so that pages and moments are found without an index. Each
//! entry carries its number: from the numbers at the ends of a range follows how many lie between them.

use std::collections::BTreeMap;

use redis::Value;

use super::keys::{Keys, id, name, next};
use super::read::body;
use super::record::{Stored, Under};
use super::scripts;
use super::server::Server;
use super::value::list;
use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, Entry, Error, Place, Sequence, ShardId,
    Timestamp, UnknownPlace,
};

/// Entries that are read at once where each has to be looked at.
pub(super) const CHUNK: usize = 256;

/// One channel's archive.
pub(super) struct Archive<'a> {
    pub(super) server: &'a Server,
    pub(super) shard: ShardId,
    pub(super) key: &'a ChannelKey,
    pub(super) keys: Keys,
    /// The first place that is not hidden.
    pub(super) first: Place,
}

/// A range of places, both ends in it.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) from: Place,
    pub(super) to: Place,
}

const LAST: Place = Place {
    stamp: Timestamp(u64::MAX),
    sequence: Sequence(u64::MAX),
};

/// See [`Store::archive_page`](crate::Store::archive_page).
pub(super) async fn page(
    server: &Server,
    shard: ShardId,
    key: &ChannelKey,
    query: &ArchiveQuery,
) -> Result<Result<ArchivePage, UnknownPlace>, Error> {
    let archive = Archive::open(server, shard, key).await?;
    for place in query.places() {
        let held = match &archive {
            Some(archive) => archive.entry(place).await?.is_some(),
            None => false,
        };
        if !held {
            return Ok(Err(UnknownPlace(place)));
        }
    }
    let Some(archive) = archive else {
        return Ok(Ok(empty(query)));
    };
    let all = archive.matching(query);
    if query.ids.is_some() {
        return Ok(Ok(archive.named(query).await?));
    }
    if query.is_plain() {
        return Ok(Ok(archive.plain(query, all).await?));
    }
    Ok(Ok(archive.looked_at(query, all).await?))
}

/// See [`Store::archive_bounds`](crate::Store::archive_bounds).
pub(super) async fn bounds(
    server: &Server,
    shard: ShardId,
    key: &ChannelKey,
) -> Result<Option<ArchiveBounds>, Error> {
    let Some(archive) = Archive::open(server, shard, key).await? else {
        return Ok(None);
    };
    let all = archive.all();
    let first = archive.end(all, false).await?;
    let last = archive.end(all, true).await?;
    Ok(first.zip(last).map(|(first, last)| ArchiveBounds {
        first: first.entry.place(),
        last: last.entry.place(),
    }))
}

fn empty(query: &ArchiveQuery) -> ArchivePage {
    ArchivePage {
        complete: true,
        count: query.is_counted().then_some(0),
        ..ArchivePage::default()
    }
}

impl<'a> Archive<'a> {
    /// `None` where the store holds nothing of the channel.
    async fn open(
        server: &'a Server,
        shard: ShardId,
        key: &'a ChannelKey,
    ) -> Result<Option<Self>, Error> {
        let keys = server.keys(shard);
        let mut read = redis::cmd("HGET");
        read.arg(keys.channels()).arg(name(key));
        let answers = server.ask(shard, vec![read]).await?;
        let Some(Value::BulkString(blob)) = answers.into_iter().next() else {
            return Ok(None);
        };
        let first = Under(key).record(&blob.into())?.first();
        Ok(Some(Self {
            server,
            shard,
            key,
            keys,
            first,
        }))
    }

    pub(super) const fn all(&self) -> Range {
        Range {
            from: self.first,
            to: LAST,
        }
    }

    /// The places that a query's moments leave, without regard to `after` and `before`.
    fn matching(&self, query: &ArchiveQuery) -> Range {
        let start = query.start.map(|stamp| Place {
            stamp,
            sequence: Sequence(0),
        });
        let end = query.end.map(|stamp| Place {
            stamp,
            sequence: Sequence(u64::MAX),
        });
        Range {
            from: start.map_or(self.first, |start| start.max(self.first)),
            to: end.unwrap_or(LAST),
        }
    }

    async fn entry(&self, place: Place) -> Result<Option<Stored>, Error> {
        if place < self.first {
            return Ok(None);
        }
        let found = self
            .read(
                Range {
                    from: place,
                    to: place,
                },
                false,
                1,
            )
            .await?;
        Ok(found.into_iter().next())
    }

    pub(super) async fn end(&self, range: Range, last: bool) -> Result<Option<Stored>, Error> {
        Ok(self.read(range, last, 1).await?.into_iter().next())
    }

    /// At most `max` entries of a range, from its end where `backwards`, as they are now.
    pub(super) async fn read(
        &self,
        range: Range,
        backwards: bool,
        max: usize,
    ) -> Result<Vec<Stored>, Error> {
        if range.from > range.to || max == 0 {
            return Ok(Vec::new());
        }
        let (from, to) = (id(range.from), id(range.to));
        let mut script = redis::cmd("EVAL");
        script.arg(scripts::RANGE).arg(2);
        script
            .arg(self.keys.archive(self.key))
            .arg(self.keys.rewrites(self.key));
        match backwards {
            false => script.arg("XRANGE").arg(from).arg(to),
            true => script.arg("XREVRANGE").arg(to).arg(from),
        };
        script.arg(max.min(1 << 30));
        let answers = self.server.ask(self.shard, vec![script]).await?;
        let mut both = list(answers.into_iter().next().unwrap_or_default()).into_iter();
        let found = list(both.next().unwrap_or_default());
        let rewrites = list(both.next().unwrap_or_default());
        let bodies = found.iter().filter_map(body);
        let rewrites = rewrites
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat(None));
        bodies
            .zip(rewrites)
            .map(|(body, rewrite)| self.stored(body, rewrite))
            .collect()
    }

    fn stored(&self, body: Vec<u8>, rewrite: Option<Value>) -> Result<Stored, Error> {
        let mut stored = Under(self.key).entry(&body.into())?;
        if let Some(Value::BulkString(rewrite)) = rewrite {
            let rewrite = Under(self.key).rewrite(&rewrite.into())?;
            stored.entry.kind = rewrite.kind;
            stored.entry.record = rewrite.record;
        }
        Ok(stored)
    }

    /// A page of what only place and moment decide.
    async fn plain(&self, query: &ArchiveQuery, all: Range) -> Result<ArchivePage, Error> {
        let oldest = self.end(all, false).await?.and_then(|it| it.number);
        let newest = self.end(all, true).await?.and_then(|it| it.number);
        let count = oldest
            .zip(newest)
            .map_or(0, |(oldest, newest)| newest - oldest + 1);
        let mut found = self
            .read(cut(query, all), query.from_end, query.max.saturating_add(1))
            .await?;
        let complete = found.len() <= query.max;
        found.truncate(query.max);
        if query.from_end {
            found.reverse();
        }
        let first = found.first().and_then(|it| it.number);
        Ok(ArchivePage {
            complete,
            count: Some(count),
            index: first.zip(oldest).map(|(first, oldest)| first - oldest),
            entries: found.into_iter().map(|it| it.entry).collect(),
        })
    }

    /// A page of what has to be looked at one by one.
    async fn looked_at(&self, query: &ArchiveQuery, all: Range) -> Result<ArchivePage, Error> {
        if query.max == 0 {
            let count = self.scan(query, all, usize::MAX).await?.len();
            return Ok(ArchivePage {
                complete: self.scan(query, cut(query, all), 1).await?.is_empty(),
                count: Some(count as u64),
                ..ArchivePage::default()
            });
        }
        let mut found = self
            .scan(query, cut(query, all), query.max.saturating_add(1))
            .await?;
        let complete = found.len() <= query.max;
        found.truncate(query.max);
        if query.from_end {
            found.reverse();
        }
        Ok(ArchivePage {
            entries: found,
            complete,
            ..ArchivePage::default()
        })
    }

    async fn scan(
        &self,
        query: &ArchiveQuery,
        mut range: Range,
        max: usize,
    ) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        loop {
            let some = self.read(range, query.from_end, CHUNK).await?;
            let Some(last) = some.last().map(|it| it.entry.place()) else {
                return Ok(found);
            };
            let more = some.len() == CHUNK;
            let matching = some
                .into_iter()
                .map(|it| it.entry)
                .filter(|entry| query.admits(entry));
            found.extend(matching.take(max - found.len()));
            if !more || found.len() >= max {
                return Ok(found);
            }
            match query.from_end {
                false => range.from = next(last),
                true => range.to = before(last),
            }
        }
    }

    /// A page of places that the query names.
    async fn named(&self, query: &ArchiveQuery) -> Result<ArchivePage, Error> {
        let mut entries = BTreeMap::new();
        for place in query.ids.iter().flatten() {
            if let Some(stored) = self.entry(*place).await? {
                entries.insert(stored.entry.sequence, stored.entry);
            }
        }
        Ok(crate::memory::page_of(&entries, query))
    }
}

/// A range without what `after` and `before` cut off.
fn cut(query: &ArchiveQuery, all: Range) -> Range {
    Range {
        from: query
            .after
            .map_or(all.from, |after| next(after).max(all.from)),
        to: query
            .before
            .map_or(all.to, |place| before(place).min(all.to)),
    }
}

/// The place right before `place`.
const fn before(place: Place) -> Place {
    match place.sequence.0.checked_sub(1) {
        Some(sequence) => Place {
            stamp: place.stamp,
            sequence: Sequence(sequence),
        },
        None => Place {
            stamp: Timestamp(place.stamp.0.saturating_sub(1)),
            sequence: Sequence(u64::MAX),
        },
    }
}
