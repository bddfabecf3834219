//! Archive pages: up to 32 messages of one channel in one row.
//!
//! A page's id is its channel's row id and its number, so the pages of a channel lie together and in order. The
//! columns beside the blob say which places, how many messages before it, and (as a mask) which senders: a query finds
//! its page by halving the range of numbers, and passes over pages without reading their blobs.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::{Decoder, Encoder, Malformed, Table, corrupt};
use super::failure::failed;
use super::log;
use crate::{Entry, Error, Place, SenderId, Sequence, Timestamp};

/// Messages in a full page (design §7).
pub(super) const PAGE: usize = 32;
/// Bits of a page's id that number the pages of one channel.
const NUMBER_BITS: u32 = 24;
/// Pages that one channel can have: half a billion messages.
pub(super) const MOST_PAGES: u32 = 1 << NUMBER_BITS;

/// What the columns of a page say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) first: Place,
    pub(super) last: Place,
    /// Archived messages of the channel before this page, those that have expired included.
    pub(super) before: u64,
    pub(super) count: u64,
    senders: u64,
}

/// The id of page `number` of the channel in row `channel`.
pub(super) const fn id(channel: i64, number: u32) -> i64 {
    (channel << NUMBER_BITS) | number as i64
}

/// The channel's row id in a page's id.
pub(super) const fn channel_of(id: i64) -> i64 {
    id >> NUMBER_BITS
}

impl Head {
    /// What the columns say of a page with `entries`, which are not none.
    fn of(before: u64, entries: &[Entry]) -> Option<Self> {
        let senders = entries
            .iter()
            .map(|entry| mask(entry.archive.and_then(|meta| meta.sender)));
        Some(Self {
            first: entries.first()?.place(),
            last: entries.last()?.place(),
            before,
            count: entries.len() as u64,
            senders: senders.fold(0, |all, one| all | one),
        })
    }

    /// Whether the page may hold a message of `sender`.
    pub(super) const fn may_hold(&self, sender: SenderId) -> bool {
        self.senders & mask(Some(sender)) != 0
    }

    /// Archived messages of the channel up to the end of this page.
    pub(super) const fn end(&self) -> u64 {
        self.before + self.count
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Self {
            first: Place {
                stamp: Timestamp(number(0)?),
                sequence: Sequence(number(1)?),
            },
            last: Place {
                stamp: Timestamp(number(2)?),
                sequence: Sequence(number(3)?),
            },
            before: number(4)?,
            count: number(5)?,
            senders: number(6)?,
        })
    }
}

/// One bit of 64 for a sender.
const fn mask(sender: Option<SenderId>) -> u64 {
    match sender {
        Some(SenderId([first, ..])) => 1 << (first & 63),
        None => 0,
    }
}

/// The columns of a page; `None` where there is no such page.
pub(super) fn head(db: &Connection, id: i64) -> Result<Option<Head>, Error> {
    let sql = "SELECT first_stamp, first_sequence, last_stamp, last_sequence, before, count, senders \
               FROM pages WHERE id = ?1";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    statement
        .query_row([id], Head::read)
        .optional()
        .map_err(failed)
}

/// The columns of a page that must be there.
pub(super) fn expect_head(db: &Connection, id: i64) -> Result<Head, Error> {
    head(db, id)?.ok_or_else(|| corrupt(Table::Pages, id, Malformed("the row is missing")))
}

/// The entries of a page that must be there, and whose columns must say what its blob says.
pub(super) fn entries(db: &Connection, id: i64) -> Result<Vec<Entry>, Error> {
    let sql = "SELECT first_stamp, first_sequence, last_stamp, last_sequence, before, count, senders, data \
               FROM pages WHERE id = ?1";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let read = |row: &Row<'_>| Ok((Head::read(row)?, row.get::<_, Vec<u8>>(7)?));
    let found = statement.query_row([id], read).optional().map_err(failed)?;
    let (head, data) =
        found.ok_or_else(|| corrupt(Table::Pages, id, Malformed("the row is missing")))?;
    let (before, entries) = decode(id, &Bytes::from(data))?;
    if Head::of(before, &entries) != Some(head) {
        return Err(corrupt(
            Table::Pages,
            id,
            Malformed("its columns do not fit its data"),
        ));
    }
    Ok(entries)
}

/// Writes a page, in place of the one with this id if there is one.
pub(super) fn write(db: &Connection, id: i64, before: u64, entries: &[Entry]) -> Result<(), Error> {
    let Some(head) = Head::of(before, entries) else {
        return Ok(());
    };
    let sql = "INSERT INTO pages (id, first_stamp, first_sequence, last_stamp, last_sequence, before, count, senders, \
               data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET \
               last_stamp = ?4, last_sequence = ?5, count = ?7, senders = ?8, data = ?9";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let signed = u64::cast_signed;
    statement
        .execute(params![
            id,
            signed(head.first.stamp.0),
            signed(head.first.sequence.0),
            signed(head.last.stamp.0),
            signed(head.last.sequence.0),
            signed(head.before),
            signed(head.count),
            signed(head.senders),
            encode(id, before, entries),
        ])
        .map_err(failed)?;
    Ok(())
}

fn encode(id: i64, before: u64, entries: &[Entry]) -> Vec<u8> {
    let size = entries.iter().map(|entry| entry.record.len() + 48).sum();
    let mut to = Encoder::with_capacity(size);
    to.number(before);
    to.count(entries.len());
    for entry in entries {
        log::put_entry(&mut to, entry);
    }
    to.seal(Table::Pages, id)
}

fn decode(id: i64, blob: &Bytes) -> Result<(u64, Vec<Entry>), Error> {
    let mut from = Decoder::open(Table::Pages, id, blob)?;
    let mut read = || Ok((from.number()?, log::list(&mut from, log::entry)?));
    read().map_err(|why| corrupt(Table::Pages, id, why))
}
