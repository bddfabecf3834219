//! A full check of the file: SQLite's own, and every blob.

use rusqlite::{Connection, Row};

use super::codec::{Decoder, Table};
use super::failure::failed;
use super::{Options, lock, page, replay, row, schema};
use crate::Error;

/// Findings of SQLite's own check that are shown, at most.
const MOST: u32 = 100;

/// What is wrong with a file that nobody has open.
pub(super) fn file(options: Options) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    match check(&options, &mut findings) {
        Err(Error::Corrupt(what)) => findings.push(what),
        other => other?,
    }
    Ok(findings)
}

fn check(options: &Options, findings: &mut Vec<String>) -> Result<(), Error> {
    let _lock = lock::take(options)?;
    let db = schema::open_writer(&options.path, true)?;
    // First: a file of an earlier version has not all tables.
    let prepared = match schema::prepare(&db, options.shards, options.format) {
        Err(error) if !matches!(error, Error::Corrupt(_)) => return Err(error),
        prepared => prepared,
    };
    findings.extend(verify(&db)?);
    let meta = prepared?;
    match replay::index(&db, &meta) {
        // What does not fit together; a row that is damaged was found before.
        Err(Error::Corrupt(what)) if findings.iter().all(|found| !found.contains(&what)) => {
            Err(Error::Corrupt(what))
        }
        Err(Error::Corrupt(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What is wrong with the file; nothing, if all is well. Reads everything: seconds per gigabyte.
pub(super) fn verify(db: &Connection) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    let sql = format!("PRAGMA integrity_check({MOST})");
    each(db, &sql, &mut findings, |row| {
        let line: String = row.get(0).map_err(failed)?;
        if line == "ok" {
            Ok(())
        } else {
            Err(Error::Corrupt(line))
        }
    })?;
    each(db, "SELECT id, data FROM log", &mut findings, |row| {
        let data: Vec<u8> = row.get(1).map_err(failed)?;
        Decoder::open(Table::Log, row.get(0).map_err(failed)?, &data.into()).map(|_| ())
    })?;
    each(db, "SELECT id, data FROM shards", &mut findings, |row| {
        row::decode_shard(row.get(0).map_err(failed)?, row.get(1).map_err(failed)?).map(|_| ())
    })?;
    each(db, "SELECT id, data FROM snapshots", &mut findings, |row| {
        row::decode_snapshot(row.get(0).map_err(failed)?, row.get(1).map_err(failed)?).map(|_| ())
    })?;
    each(db, "SELECT channel, data FROM held", &mut findings, |row| {
        row::decode_held(row.get(0).map_err(failed)?, row.get(1).map_err(failed)?).map(|_| ())
    })?;
    let sql = "SELECT id, data, shard, space, local, alive, timer, unsent FROM channels";
    each(db, sql, &mut findings, channel)?;
    let sql = "SELECT local, data FROM directory";
    each(db, sql, &mut findings, |row| {
        let local: String = row.get(0).map_err(failed)?;
        row::decode_listing(&local, row.get(1).map_err(failed)?).map(|_| ())
    })?;
    each(db, "SELECT id FROM pages", &mut findings, |row| {
        page::entries(db, row.get(0).map_err(failed)?).map(|_| ())
    })?;
    Ok(findings)
}

/// A row of `channels`: its columns must say what its blob says.
fn channel(row: &Row<'_>) -> Result<(), Error> {
    let id: i64 = row.get(0).map_err(failed)?;
    let (key, core, _) = row::decode_channel(id, row.get(1).map_err(failed)?)?;
    let said = (
        row.get::<_, u16>(2).map_err(failed)?,
        row.get::<_, String>(3).map_err(failed)?,
        row.get::<_, String>(4).map_err(failed)?,
        row.get::<_, bool>(5).map_err(failed)?,
        row.get::<_, Option<i64>>(6).map_err(failed)?,
        row.get::<_, Option<i64>>(7).map_err(failed)?,
    );
    let meant = (
        core.shard.0,
        key.space.to_string(),
        key.local.to_string(),
        core.state.alive,
        core.state.timer.map(|at| at.0.cast_signed()),
        core.state.unsent.map(|mark| mark.0.cast_signed()),
    );
    if said == meant {
        Ok(())
    } else {
        Err(Error::Corrupt(format!(
            "row {id} of table channels: its columns do not fit its data"
        )))
    }
}

/// Puts down what is wrong with each row.
fn each(
    db: &Connection,
    sql: &str,
    findings: &mut Vec<String>,
    check: impl Fn(&Row<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = db.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    loop {
        match rows.next().map_err(failed) {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => {
                if let Err(error) = check(row) {
                    findings.push(error.to_string());
                }
            }
            // The table itself cannot be read any further; the others may.
            Err(error @ Error::Corrupt(_)) => {
                findings.push(format!("{sql}: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}
