//! Reads the directory.

use rusqlite::{Connection, OptionalExtension, params};
use smol_str::SmolStr;

use super::failure::failed;
use super::{row, rows};
use crate::{DirectoryPage, DirectoryQuery, Error, Listing, UnknownChannel};

/// The page that `query` asks for.
pub(super) fn page(
    db: &Connection,
    space: &str,
    query: &DirectoryQuery,
) -> Result<Result<DirectoryPage, UnknownChannel>, Error> {
    let directory = Directory {
        db,
        space,
        unlisted: query.unlisted,
    };
    for local in query.after.iter().chain(&query.before) {
        if !directory.holds(local)? {
            return Ok(Err(UnknownChannel(local.clone())));
        }
    }
    let count = directory.count("")?;
    let after = query.after.as_deref().unwrap_or("");
    // One more than asked for tells whether there are more.
    let most = query.max.saturating_add(1);
    let mut channels = directory.between(after, query.before.as_deref(), query.from_end, most)?;
    let complete = channels.len() <= query.max;
    channels.truncate(query.max);
    if query.from_end {
        channels.reverse();
    }
    let index = match channels.first() {
        Some((first, _)) => Some(count - directory.count(first)?),
        None => None,
    };
    Ok(Ok(DirectoryPage {
        channels,
        complete,
        count,
        index,
    }))
}

struct Directory<'a> {
    db: &'a Connection,
    space: &'a str,
    unlisted: bool,
}

impl Directory<'_> {
    fn holds(&self, local: &str) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM directory WHERE space = ?1 AND local = ?2 AND (listed OR ?3)";
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let found = statement
            .query_row(params![self.space, local, self.unlisted], |_| Ok(()))
            .optional();
        found.map(|found| found.is_some()).map_err(failed)
    }

    /// How many channels there are from `from` on.
    fn count(&self, from: &str) -> Result<u64, Error> {
        let sql = if self.unlisted {
            "SELECT count(*) FROM directory WHERE space = ?1 AND local >= ?2"
        } else {
            "SELECT count(*) FROM directory WHERE space = ?1 AND local >= ?2 AND listed"
        };
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let count: i64 = statement
            .query_row(params![self.space, from], |row| row.get(0))
            .map_err(failed)?;
        Ok(count.unsigned_abs())
    }

    fn between(
        &self,
        after: &str,
        before: Option<&str>,
        from_end: bool,
        most: usize,
    ) -> Result<Vec<(SmolStr, Listing)>, Error> {
        let listed = if self.unlisted { "" } else { "AND listed" };
        let order = if from_end { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT local, data FROM directory WHERE space = ?1 AND local > ?2 AND (?3 IS NULL OR local < ?3) {listed} \
             ORDER BY local {order} LIMIT ?4"
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
        let mut found = statement
            .query(params![self.space, after, before, rows::limit(most)])
            .map_err(failed)?;
        let mut channels = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            let (local, data): (String, Vec<u8>) =
                (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            let listing = row::decode_listing(&local, data)?;
            channels.push((SmolStr::from(local), listing));
        }
        Ok(channels)
    }
}
