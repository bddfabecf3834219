//! The tables, and opening the file that holds them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::codec::{Decoder, Encoder, Malformed, Table, corrupt};
use super::failure::failed;
use crate::{Error, StoreId, random};

/// Marks the file as ours ("coVn"); `file(1)` and SQLite's shell show it.
const APPLICATION_ID: i32 = 0x636f_566e;
/// Raised when the tables change.
const SCHEMA: i32 = 2;
/// `user_version` is the version of the tables, and above it the format of records, less one: a program that knows no
/// formats takes the whole for a version that it does not know, as it should (I7).
const FORMATS: i32 = 1 << 16;

const TABLES: &str = "
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), data BLOB NOT NULL);
CREATE TABLE owner (id INTEGER PRIMARY KEY CHECK (id = 1), token INTEGER NOT NULL, healed INTEGER NOT NULL);
CREATE TABLE shards (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE log (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE channels (
    id INTEGER PRIMARY KEY, shard INTEGER NOT NULL, space TEXT NOT NULL, local TEXT NOT NULL,
    alive INTEGER NOT NULL, timer INTEGER, unsent INTEGER, data BLOB NOT NULL,
    UNIQUE (space, local, shard));
CREATE INDEX channels_shard ON channels (shard);
CREATE INDEX channels_timer ON channels (shard) WHERE timer IS NOT NULL;
CREATE INDEX channels_unsent ON channels (shard) WHERE unsent IS NOT NULL;
CREATE TABLE snapshots (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE pages (
    id INTEGER PRIMARY KEY, first_stamp INTEGER NOT NULL, first_sequence INTEGER NOT NULL,
    last_stamp INTEGER NOT NULL, last_sequence INTEGER NOT NULL, before INTEGER NOT NULL, count INTEGER NOT NULL,
    senders INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE doomed (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE directory (
    space TEXT NOT NULL, local TEXT NOT NULL, listed INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (space, local)) WITHOUT ROWID;
CREATE INDEX directory_listed ON directory (space, local) WHERE listed;
";

/// Entries of channels that no snapshot covers for long, so that the log can be trimmed. New with version 2.
const HELD: &str = "
CREATE TABLE held (id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, last INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX held_channel ON held (channel, last);
";

/// What is fixed when a store is created, and where its log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) identity: StoreId,
    /// How many shards there are.
    pub(super) shards: u16,
    /// Log rows before this id have been trimmed.
    pub(super) log_first: i64,
}

/// The write-ahead log beside the file.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Opens the file for the one writer; creates it if it may.
pub(super) fn open_writer(path: &Path, must_exist: bool) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !must_exist {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let db = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    pragmas(&db, 4096)?;
    db.pragma_update(None, "journal_mode", "wal")
        .map_err(failed)?;
    db.pragma_update(None, "synchronous", "full")
        .map_err(failed)?;
    db.pragma_update(None, "wal_autocheckpoint", 0)
        .map_err(failed)?;
    Ok(db)
}

/// Opens the file for a reader.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    pragmas(&db, 2048)?;
    Ok(db)
}

/// Opens the file for checkpoints.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    pragmas(&db, 64)?;
    db.pragma_update(None, "synchronous", "full")
        .map_err(failed)?;
    Ok(db)
}

fn pragmas(db: &Connection, cache_kib: i64) -> Result<(), Error> {
    db.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    db.set_prepared_statement_cache_capacity(64);
    db.pragma_update(None, "cache_size", -cache_kib)
        .map_err(failed)?;
    db.pragma_update(None, "temp_store", "memory")
        .map_err(failed)?;
    db.pragma_update(None, "trusted_schema", false)
        .map_err(failed)?;
    db.pragma_update(None, "cell_size_check", true)
        .map_err(failed)
}

/// Checks that the tables are ours and of this version, or makes them in an empty file.
///
/// Errors: `Unfit` for a file of something else, of a newer version, or with another number of shards.
pub(super) fn prepare(db: &Connection, shards: u16, format: u32) -> Result<Meta, Error> {
    let meta = open(db, shards, format)?;
    // One process: what it can write it may write at once.
    db.pragma_update(None, "user_version", version(format))
        .map_err(failed)?;
    Ok(meta)
}

/// `user_version` of a file in a format.
fn version(format: u32) -> i32 {
    let above = i32::try_from(format.saturating_sub(1)).unwrap_or(i32::MAX);
    SCHEMA.saturating_add(above.saturating_mul(FORMATS))
}

fn open(db: &Connection, shards: u16, format: u32) -> Result<Meta, Error> {
    let application: i32 = pragma(db, "application_id")?;
    let version: i32 = pragma(db, "user_version")?;
    let (schema, stored) = (version % FORMATS, version / FORMATS + 1);
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if application == 0 && tables == 0 {
        return create(db, shards);
    }
    if application != APPLICATION_ID {
        return Err(Error::Unfit(
            "the file is a database of something else".to_owned(),
        ));
    }
    let stored = u32::try_from(stored).unwrap_or(u32::MAX);
    if stored > format {
        return Err(Error::Unfit(crate::registry::beyond(stored, format)));
    }
    if schema == 1 {
        upgrade(db)?;
    } else if schema != SCHEMA {
        return Err(Error::Unfit(format!(
            "the file has schema version {schema}, this program knows {SCHEMA}"
        )));
    }
    let meta = read_meta(db)?;
    if meta.shards != shards {
        let stored = meta.shards;
        return Err(Error::Unfit(format!(
            "the store has {stored} shards, the configuration asks for {shards}"
        )));
    }
    Ok(meta)
}

/// From version 1 to this one.
fn upgrade(db: &Connection) -> Result<(), Error> {
    db.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    db.execute_batch(HELD).map_err(failed)?;
    db.pragma_update(None, "user_version", SCHEMA)
        .map_err(failed)?;
    db.execute_batch("COMMIT").map_err(failed)
}

fn create(db: &Connection, shards: u16) -> Result<Meta, Error> {
    let meta = Meta {
        identity: random::store_id(),
        shards,
        log_first: 1,
    };
    db.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    db.execute_batch(TABLES).map_err(failed)?;
    db.execute_batch(HELD).map_err(failed)?;
    db.execute("INSERT INTO owner (id, token, healed) VALUES (1, 0, 0)", [])
        .map_err(failed)?;
    write_meta(db, &meta)?;
    db.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    db.pragma_update(None, "user_version", SCHEMA)
        .map_err(failed)?;
    db.execute_batch("COMMIT").map_err(failed)?;
    Ok(meta)
}

/// Takes the owner row for this opening: whoever had it can write no more.
pub(super) fn take_over(db: &Connection) -> Result<i64, Error> {
    db.execute("UPDATE owner SET token = token + 1", [])
        .map_err(failed)?;
    owner_token(db)
}

/// The token of whoever opened the file last.
pub(super) fn owner_token(db: &Connection) -> Result<i64, Error> {
    let mut statement = db
        .prepare_cached("SELECT token FROM owner WHERE id = 1")
        .map_err(failed)?;
    let token = statement
        .query_row([], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    token.ok_or_else(|| Error::Corrupt("row 1 of table owner: the row is missing".to_owned()))
}

/// The number in the owner row, which grows with transactions that nothing else shows (see `underway`).
pub(super) fn counted(db: &Connection) -> Result<i64, Error> {
    let mut statement = db
        .prepare_cached("SELECT healed FROM owner WHERE id = 1")
        .map_err(failed)?;
    statement.query_row([], |row| row.get(0)).map_err(failed)
}

/// Raises that number, and answers it.
pub(super) fn count(db: &Connection) -> Result<i64, Error> {
    let mut statement = db
        .prepare_cached("UPDATE owner SET healed = healed + 1 WHERE id = 1")
        .map_err(failed)?;
    statement.execute([]).map_err(failed)?;
    counted(db)
}

fn read_meta(db: &Connection) -> Result<Meta, Error> {
    let data: Option<Vec<u8>> = db
        .query_row("SELECT data FROM meta WHERE id = 1", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let missing = || corrupt(Table::Meta, 1, Malformed("the row is missing"));
    let blob = Bytes::from(data.ok_or_else(missing)?);
    let mut from = Decoder::open(Table::Meta, 1, &blob)?;
    let mut read = || {
        Ok(Meta {
            identity: StoreId(from.wide()?),
            shards: from.small()?,
            log_first: from.small()?,
        })
    };
    read().map_err(|why| corrupt(Table::Meta, 1, why))
}

pub(super) fn write_meta(db: &Connection, meta: &Meta) -> Result<(), Error> {
    let mut to = Encoder::with_capacity(32);
    to.wide(meta.identity.0);
    to.number(meta.shards.into());
    to.number(meta.log_first.unsigned_abs());
    let sql = "INSERT INTO meta (id, data) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET data = ?1";
    db.execute(sql, params![to.seal(Table::Meta, 1)])
        .map_err(failed)?;
    Ok(())
}

fn pragma(db: &Connection, name: &str) -> Result<i32, Error> {
    db.pragma_query_value(None, name, |row| row.get(0))
        .map_err(failed)
}

fn cannot_open(path: &Path, error: rusqlite::Error) -> Error {
    match failed(error) {
        Error::Io(text) => Error::Io(format!("cannot open {}: {text}", path.display())),
        other => other,
    }
}
