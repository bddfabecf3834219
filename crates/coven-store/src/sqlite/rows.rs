//! The statements on `channels`, `held`, `snapshots`, `shards`, `directory`, `log` and `doomed`. Pages have their own: `page`.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::codec::{Malformed, Table, corrupt};
use super::failure::failed;
use super::row::{self, Core, Shard};
use crate::{ChannelKey, Entry, Error, Listing, Sequence, ShardId, Snapshot};

/// The row of a channel: its core, and up to which log row it is folded.
pub(super) fn find_channel(
    db: &Connection,
    shard: ShardId,
    key: &ChannelKey,
) -> Result<Option<(Core, i64)>, Error> {
    let sql = "SELECT id, data FROM channels WHERE space = ?1 AND local = ?2 AND shard = ?3";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let found: Option<(i64, Vec<u8>)> = statement
        .query_row(
            params![key.space.as_str(), key.local.as_str(), shard.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(failed)?;
    let Some((id, data)) = found else {
        return Ok(None);
    };
    let (stored, core, folded) = row::decode_channel(id, data)?;
    if stored != *key || core.shard != shard {
        return Err(corrupt(
            Table::Channels,
            id,
            Malformed("a row of another channel"),
        ));
    }
    Ok(Some((core, folded)))
}

/// All rows of a shard.
pub(super) fn channels_of(
    db: &Connection,
    shard: ShardId,
) -> Result<Vec<(ChannelKey, Core)>, Error> {
    channels_where(
        db,
        "SELECT id, data FROM channels WHERE shard = ?1",
        params![shard.0],
    )
}

/// Rows of a shard with a deadline.
pub(super) fn with_timer(
    db: &Connection,
    shard: ShardId,
) -> Result<Vec<(ChannelKey, Core)>, Error> {
    let sql = "SELECT id, data FROM channels WHERE shard = ?1 AND timer IS NOT NULL";
    channels_where(db, sql, params![shard.0])
}

/// Rows of a shard with a mark.
pub(super) fn with_mark(db: &Connection, shard: ShardId) -> Result<Vec<(ChannelKey, Core)>, Error> {
    let sql = "SELECT id, data FROM channels WHERE shard = ?1 AND unsent IS NOT NULL";
    channels_where(db, sql, params![shard.0])
}

/// At most `max` rows of living channels of a space after a localpart.
pub(super) fn alive_after(
    db: &Connection,
    space: &str,
    after: &str,
    max: usize,
) -> Result<Vec<(ChannelKey, Core)>, Error> {
    let sql = "SELECT id, data FROM channels WHERE space = ?1 AND local > ?2 AND alive ORDER BY local LIMIT ?3";
    channels_where(db, sql, params![space, after, limit(max)])
}

/// A bound for SQL.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

fn channels_where(
    db: &Connection,
    sql: &str,
    given: &[&dyn ToSql],
) -> Result<Vec<(ChannelKey, Core)>, Error> {
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let mut found = statement.query(given).map_err(failed)?;
    let mut channels = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let (id, data) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        let (key, core, _) = row::decode_channel(id, data)?;
        channels.push((key, core));
    }
    Ok(channels)
}

/// Writes a channel's row `id`, as of log row `folded`.
pub(super) fn write_channel(
    db: &Connection,
    id: i64,
    key: &ChannelKey,
    core: &Core,
    folded: i64,
) -> Result<(), Error> {
    let sql = "INSERT INTO channels (id, shard, space, local, alive, timer, unsent, data) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET \
               alive = ?5, timer = ?6, unsent = ?7, data = ?8";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let timer = core.state.timer.map(|at| at.0.cast_signed());
    let unsent = core.state.unsent.map(|mark| mark.0.cast_signed());
    let data = row::encode_channel(id, key, core, folded);
    let (space, local) = (key.space.as_str(), key.local.as_str());
    statement
        .execute(params![
            id,
            core.shard.0,
            space,
            local,
            core.state.alive,
            timer,
            unsent,
            data
        ])
        .map_err(failed)?;
    Ok(())
}

/// Deletes a channel's row and snapshot; its pages are doomed apart.
pub(super) fn delete_channel(db: &Connection, id: i64) -> Result<(), Error> {
    run(db, "DELETE FROM channels WHERE id = ?1", params![id])?;
    run(db, "DELETE FROM held WHERE channel = ?1", params![id])?;
    run(db, "DELETE FROM snapshots WHERE id = ?1", params![id])
}

/// Keeps entries of the channel in row `id` apart from the log.
pub(super) fn write_held(db: &Connection, id: i64, entries: &[Entry]) -> Result<(), Error> {
    let Some(last) = entries.last() else {
        return Ok(());
    };
    let (last, data) = (last.sequence.0.cast_signed(), row::encode_held(id, entries));
    let sql = "INSERT INTO held (channel, last, data) VALUES (?1, ?2, ?3)";
    run(db, sql, params![id, last, data])
}

/// The entries of the channel in row `id` that are kept apart, up to `last`, which must be there.
pub(super) fn read_held(db: &Connection, id: i64, last: Sequence) -> Result<Vec<Entry>, Error> {
    let sql = "SELECT data FROM held WHERE channel = ?1 AND last <= ?2 ORDER BY last";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let mut found = statement
        .query(params![id, last.0.cast_signed()])
        .map_err(failed)?;
    let mut entries = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        entries.extend(row::decode_held(id, row.get(0).map_err(failed)?)?);
    }
    Ok(entries)
}

/// Lets go of entries of the channel in row `id` that a snapshot at `covered` makes superfluous.
pub(super) fn release_held(db: &Connection, id: i64, covered: Sequence) -> Result<(), Error> {
    let sql = "DELETE FROM held WHERE channel = ?1 AND last <= ?2";
    run(db, sql, params![id, covered.0.cast_signed()])
}

/// The highest id that any row or doomed page of a channel has.
pub(super) fn highest_channel(db: &Connection) -> Result<i64, Error> {
    let one = |sql| {
        db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
            .map_err(failed)
    };
    let row = one("SELECT max(id) FROM channels")?.unwrap_or(0);
    let doomed = one("SELECT max(last) FROM doomed")?.map_or(0, super::page::channel_of);
    Ok(row.max(doomed))
}

pub(super) fn write_snapshot(db: &Connection, id: i64, snapshot: &Snapshot) -> Result<(), Error> {
    let sql =
        "INSERT INTO snapshots (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = ?2";
    run(db, sql, params![id, row::encode_snapshot(id, snapshot)])
}

/// The snapshot of the channel in row `id`, which must be there.
pub(super) fn read_snapshot(db: &Connection, id: i64) -> Result<Snapshot, Error> {
    let mut statement = db
        .prepare_cached("SELECT data FROM snapshots WHERE id = ?1")
        .map_err(failed)?;
    let data: Option<Vec<u8>> = statement
        .query_row([id], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let missing = || corrupt(Table::Snapshots, id, Malformed("the row is missing"));
    row::decode_snapshot(id, data.ok_or_else(missing)?)
}

pub(super) fn write_shard(db: &Connection, shard: ShardId, state: &Shard) -> Result<(), Error> {
    let sql =
        "INSERT INTO shards (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = ?2";
    run(db, sql, params![shard.0, row::encode_shard(shard, state)])
}

/// All shards that were ever claimed.
pub(super) fn shards(db: &Connection) -> Result<Vec<(ShardId, Shard)>, Error> {
    let mut statement = db.prepare("SELECT id, data FROM shards").map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    let mut shards = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        shards.push(row::decode_shard(
            row.get(0).map_err(failed)?,
            row.get(1).map_err(failed)?,
        )?);
    }
    Ok(shards)
}

pub(super) fn write_listing(
    db: &Connection,
    key: &ChannelKey,
    listing: Option<&Listing>,
) -> Result<(), Error> {
    let (space, local) = (key.space.as_str(), key.local.as_str());
    let Some(listing) = listing else {
        return run(
            db,
            "DELETE FROM directory WHERE space = ?1 AND local = ?2",
            params![space, local],
        );
    };
    let sql = "INSERT INTO directory (space, local, listed, data) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (space, local) DO UPDATE SET listed = ?3, data = ?4";
    run(
        db,
        sql,
        params![
            space,
            local,
            listing.listed,
            row::encode_listing(local, listing)
        ],
    )
}

pub(super) fn write_log(db: &Connection, id: i64, blob: &[u8]) -> Result<(), Error> {
    run(
        db,
        "INSERT INTO log (id, data) VALUES (?1, ?2)",
        params![id, blob],
    )
}

/// The log row `id`, which must be there.
pub(super) fn read_log(db: &Connection, id: i64) -> Result<Bytes, Error> {
    let mut statement = db
        .prepare_cached("SELECT data FROM log WHERE id = ?1")
        .map_err(failed)?;
    let data: Option<Vec<u8>> = statement
        .query_row([id], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let blob =
        Bytes::from(data.ok_or_else(|| corrupt(Table::Log, id, Malformed("the row is missing")))?);
    super::codec::Decoder::open(Table::Log, id, &blob)?;
    Ok(blob)
}

/// Whether there is a log row `id`.
pub(super) fn has_log(db: &Connection, id: i64) -> Result<bool, Error> {
    let mut statement = db
        .prepare_cached("SELECT 1 FROM log WHERE id = ?1")
        .map_err(failed)?;
    statement.exists([id]).map_err(failed)
}

/// Deletes the log before row `first`.
pub(super) fn trim_log(db: &Connection, first: i64) -> Result<(), Error> {
    run(db, "DELETE FROM log WHERE id < ?1", params![first])
}

/// Says that the pages `first` to `last` (ids, both included) are to be deleted.
pub(super) fn doom(db: &Connection, first: i64, last: i64) -> Result<(), Error> {
    let sql = "INSERT INTO doomed (first, last) VALUES (?1, ?2) ON CONFLICT (first) DO UPDATE SET last = max(last, ?2)";
    run(db, sql, params![first, last])
}

/// Deletes doomed pages, at most `most`. Answers whether there may be more.
pub(super) fn bury(db: &Connection, most: i64) -> Result<bool, Error> {
    let mut left = most;
    while left > 0 {
        let mut statement = db
            .prepare_cached("SELECT first, last FROM doomed LIMIT 1")
            .map_err(failed)?;
        let range = statement
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional();
        let Some((first, last)): Option<(i64, i64)> = range.map_err(failed)? else {
            return Ok(false);
        };
        let end = last.min(first.saturating_add(left - 1));
        run(db, "DELETE FROM doomed WHERE first = ?1", params![first])?;
        run(
            db,
            "DELETE FROM pages WHERE id BETWEEN ?1 AND ?2",
            params![first, end],
        )?;
        if end < last {
            doom(db, end + 1, last)?;
        }
        left -= end - first + 1;
    }
    Ok(true)
}

fn run(db: &Connection, sql: &str, given: &[&dyn ToSql]) -> Result<(), Error> {
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    statement.execute(given).map_err(failed)?;
    Ok(())
}
