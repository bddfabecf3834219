//! Reads, on a few threads with a connection each.
//!
//! A read copies what the index says of its channel and begins its view of the database under the index's lock: so the
//! two are of the same transaction (`underway`), and what the writer deletes afterwards stays visible to this read.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard};

use rusqlite::Connection;
use smol_str::SmolStr;
use tracing::error;

use super::failure::failed;
use super::index::{Index, Live};
use super::queue::{Queue, Work};
use super::row::Core;
use super::shared::{Shared, Trace};
use super::view::View;
use super::{directory, rows, search, verify};
use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, DirectoryPage, DirectoryQuery, Error,
    Loaded, Sent, ShardId, Timestamp, UnknownChannel, UnknownPlace,
};

/// A read, with its reply inside.
pub(super) type Job = Box<dyn FnOnce(&Reader) + Send>;

/// A reading thread's connection.
#[derive(Debug)]
pub(super) struct Reader {
    db: Connection,
    shared: Arc<Shared>,
}

/// The thread's work, until the queue is closed and empty.
pub(super) fn run(db: Connection, shared: Arc<Shared>, queue: &Queue<Job>) {
    let reader = Reader { db, shared };
    while let Work::Jobs(jobs) = queue.take(1, usize::MAX, None) {
        for job in jobs {
            // A query's filter is the caller's code. A job that panics drops its reply, which answers `Closed`.
            if catch_unwind(AssertUnwindSafe(|| job(&reader))).is_err() {
                error!("a read panicked");
            }
            reader.end();
        }
    }
}

impl Reader {
    /// One that answers on the thread of a test.
    #[cfg(test)]
    pub(super) const fn new(db: Connection, shared: Arc<Shared>) -> Self {
        Self { db, shared }
    }

    pub(super) fn load(&self, shard: ShardId, key: &ChannelKey) -> Result<Option<Loaded>, Error> {
        let Some(trace) =
            self.trace(shard, key, |index, live| Trace::copy(index, live, |_| true))?
        else {
            return Ok(None);
        };
        let journal = trace.journal(&self.db)?;
        let row = trace.core.row.filter(|_| trace.core.snapshot.is_some());
        let snapshot = row
            .map(|row| rows::read_snapshot(&self.db, row))
            .transpose()?;
        Ok(Some(trace.core.state.loaded(snapshot, journal)))
    }

    pub(super) fn exists(&self, shard: ShardId, key: &ChannelKey) -> Result<bool, Error> {
        let trace = self.trace(shard, key, |index, live| {
            Trace::copy(index, live, |_| false)
        })?;
        Ok(trace.is_some_and(|trace| trace.core.state.alive))
    }

    pub(super) fn unsent(&self, shard: ShardId) -> Result<Vec<Sent>, Error> {
        let marks = self.of_shard(shard, rows::with_mark, |core| core.state.unsent)?;
        Ok(marks
            .into_iter()
            .map(|(key, commit)| Sent { key, commit })
            .collect())
    }

    pub(super) fn timers(&self, shard: ShardId) -> Result<Vec<(Timestamp, ChannelKey)>, Error> {
        let timers = self.of_shard(shard, rows::with_timer, |core| core.state.timer)?;
        let mut timers: Vec<_> = timers
            .into_iter()
            .map(|(key, timer)| (timer, key))
            .collect();
        timers.sort_unstable();
        Ok(timers)
    }

    pub(super) fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: &ArchiveQuery,
    ) -> Result<Result<ArchivePage, UnknownPlace>, Error> {
        match self.archive(shard, key)? {
            Some(view) => search::page(&view, query),
            None => Ok(search::nothing(query)),
        }
    }

    pub(super) fn archive_bounds(
        &self,
        shard: ShardId,
        key: &ChannelKey,
    ) -> Result<Option<ArchiveBounds>, Error> {
        self.archive(shard, key)?
            .map_or(Ok(None), |view| view.bounds())
    }

    pub(super) fn directory(
        &self,
        space: &SmolStr,
        query: &DirectoryQuery,
    ) -> Result<Result<DirectoryPage, UnknownChannel>, Error> {
        self.begin()?;
        directory::page(&self.db, space, query)
    }

    pub(super) fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Result<Vec<ChannelKey>, Error> {
        let after = after.map_or("", SmolStr::as_str);
        let mut found: BTreeMap<ChannelKey, bool> = {
            let index = self.begin_with_index()?;
            let sought = index
                .all()
                .filter(|(key, _)| key.space == *space && key.local.as_str() > after);
            sought
                .map(|(key, live)| (key.clone(), live.core.state.alive))
                .collect()
        };
        // Rows of channels that are in the index, too, may be outdated: read on until enough others are found.
        let mut from = after.to_owned();
        loop {
            let rows = rows::alive_after(&self.db, space, &from, max)?;
            let last = rows.last().map(|(key, _)| key.local.to_string());
            let all = rows.len() < max;
            rows.into_iter().for_each(|(key, _)| {
                found.entry(key).or_insert(true);
            });
            let enough = last.as_ref().is_none_or(|last| {
                found
                    .iter()
                    .filter(|(key, alive)| **alive && key.local.as_str() <= last.as_str())
                    .count()
                    >= max
            });
            match last {
                Some(last) if !all && !enough => from = last,
                _ => break,
            }
        }
        Ok(found
            .into_iter()
            .filter(|(_, alive)| *alive)
            .map(|(key, _)| key)
            .take(max)
            .collect())
    }

    pub(super) fn verify(&self) -> Result<Vec<String>, Error> {
        self.begin()?;
        verify::verify(&self.db)
    }

    fn archive(&self, shard: ShardId, key: &ChannelKey) -> Result<Option<View<'_>>, Error> {
        let Some(trace) = self.trace(shard, key, Trace::unpacked)? else {
            return Ok(None);
        };
        let tail = trace.tail(&self.db)?;
        View::new(&self.db, &trace.core, tail).map(Some)
    }

    /// What is known of a channel, from the index or else from its row. Begins the view of the database.
    fn trace(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        copy: impl FnOnce(&Index, &Live) -> Trace,
    ) -> Result<Option<Trace>, Error> {
        {
            let index = self.begin_with_index()?;
            if let Some(live) = index.live(shard, key) {
                return Ok(Some(copy(&index, live)));
            }
        }
        let row = rows::find_channel(&self.db, shard, key)?;
        Ok(row.map(|(core, _)| Trace::cold(core)))
    }

    /// Something of all channels of a shard that have it, in order of key.
    fn of_shard<T>(
        &self,
        shard: ShardId,
        cold: impl FnOnce(&Connection, ShardId) -> Result<Vec<(ChannelKey, Core)>, Error>,
        part: impl Fn(&Core) -> Option<T>,
    ) -> Result<Vec<(ChannelKey, T)>, Error> {
        let live: BTreeMap<ChannelKey, Option<T>> = {
            let index = self.begin_with_index()?;
            index
                .of_shard(shard)
                .map(|(key, live)| (key.clone(), part(&live.core)))
                .collect()
        };
        let cold = cold(&self.db, shard)?
            .into_iter()
            .filter(|(key, _)| !live.contains_key(key));
        let cold: Vec<_> = cold
            .filter_map(|(key, core)| Some((key, part(&core)?)))
            .collect();
        let mut all: Vec<_> = live
            .into_iter()
            .filter_map(|(key, part)| Some((key, part?)))
            .collect();
        all.extend(cold);
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(all)
    }

    /// Begins a view of the database, and gives the index that fits it.
    fn begin_with_index(&self) -> Result<MutexGuard<'_, Index>, Error> {
        let mut index = self.shared.index();
        self.begin()?;
        index.follow(&self.db)?;
        Ok(index)
    }

    /// Begins a view of the database. It is fixed by the first thing that is read.
    fn begin(&self) -> Result<(), Error> {
        self.db
            .prepare_cached("BEGIN")
            .and_then(|mut statement| statement.execute([]))
            .map_err(failed)?;
        let mut fix = self
            .db
            .prepare_cached("SELECT id FROM owner")
            .map_err(failed)?;
        fix.query_row([], |_| Ok(())).map_err(failed)
    }

    pub(super) fn end(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self
                .db
                .prepare_cached("COMMIT")
                .and_then(|mut statement| statement.execute([]))
        {
            error!(%error, "cannot end a read");
        }
    }
}
