//! Changes to archive pages within one transaction: appending, rewriting, dooming.
//!
//! Pages that change are kept decoded until the transaction is written, so that several changes cost one write.

use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::Connection;

use super::page::{self, Head, PAGE};
use super::row::{Core, Paging};
use super::rows;
use crate::{Entry, Error, Rewrite, Sequence};

/// Pages that a transaction changes.
#[derive(Debug, Default)]
pub(super) struct Pages {
    open: BTreeMap<i64, Page>,
    doomed: Vec<(i64, i64)>,
}

#[derive(Debug)]
struct Page {
    before: u64,
    entries: Vec<Entry>,
    changed: bool,
}

impl Pages {
    /// Opens the page of a channel that holds `sequence`, if one does.
    pub(super) fn find(
        &mut self,
        db: &Connection,
        core: &Core,
        sequence: Sequence,
    ) -> Result<Option<i64>, Error> {
        let Some(row) = core
            .row
            .filter(|_| sequence > core.state.floor && sequence <= core.paging.packed)
        else {
            return Ok(None);
        };
        let (mut low, mut high) = (core.paging.first, core.paging.next);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.last_sequence(db, page::id(row, middle))? < sequence {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == core.paging.next {
            return Ok(None);
        }
        let id = page::id(row, low);
        self.open(db, id)?;
        Ok(Some(id))
    }

    /// Gives an archived message a new record.
    pub(super) fn rewrite(
        &mut self,
        db: &Connection,
        core: &Core,
        rewrite: &Rewrite,
    ) -> Result<(), Error> {
        let Some(id) = self.find(db, core, rewrite.sequence)? else {
            return Ok(());
        };
        let page = self.open(db, id)?;
        if let Some(entry) = page
            .entries
            .iter_mut()
            .find(|entry| entry.sequence == rewrite.sequence)
        {
            entry.kind = rewrite.kind;
            entry.record = rewrite.record.clone();
            page.changed = true;
        }
        Ok(())
    }

    /// How many messages the last page of a channel still takes; 0 where it has none.
    pub(super) fn room(&self, db: &Connection, row: i64, paging: Paging) -> Result<usize, Error> {
        Ok(self.last(db, row, paging)?.map_or(0, |(_, room)| room))
    }

    /// Messages up to the end of the last page, and how many more it takes.
    fn last(
        &self,
        db: &Connection,
        row: i64,
        paging: Paging,
    ) -> Result<Option<(u64, usize)>, Error> {
        if paging.first == paging.next {
            return Ok(None);
        }
        let id = page::id(row, paging.next - 1);
        let (end, count) = match self.open.get(&id) {
            Some(page) => (
                page.before + page.entries.len() as u64,
                page.entries.len() as u64,
            ),
            None => {
                let head = page::expect_head(db, id)?;
                (head.end(), head.count)
            }
        };
        Ok(Some((
            end,
            PAGE.saturating_sub(usize::try_from(count).unwrap_or(PAGE)),
        )))
    }

    /// Appends archived messages: fills the last page, then begins new ones.
    pub(super) fn append(
        &mut self,
        db: &Connection,
        row: i64,
        paging: &mut Paging,
        entries: Vec<Entry>,
    ) -> Result<(), Error> {
        let (mut before, room) = self.last(db, row, *paging)?.unwrap_or((0, 0));
        let mut entries = entries.into_iter();
        if room > 0 {
            let last = self.open(db, page::id(row, paging.next - 1))?;
            last.entries.extend(entries.by_ref().take(room));
            last.changed = true;
            before = last.before + last.entries.len() as u64;
        }
        loop {
            let entries: Vec<Entry> = entries.by_ref().take(PAGE).collect();
            if entries.is_empty() {
                return Ok(());
            }
            if paging.next >= page::MOST_PAGES {
                return Err(Error::Full(format!(
                    "the channel in row {row} has all the archive pages it can have"
                )));
            }
            let count = entries.len() as u64;
            self.open.insert(
                page::id(row, paging.next),
                Page {
                    before,
                    entries,
                    changed: true,
                },
            );
            before += count;
            paging.next += 1;
        }
    }

    /// Has pages of a channel deleted, some time later.
    pub(super) fn doom(&mut self, row: i64, numbers: Range<u32>) {
        if !numbers.is_empty() {
            self.doomed
                .push((page::id(row, numbers.start), page::id(row, numbers.end - 1)));
        }
    }

    /// Writes all changes. Answers whether any page was doomed.
    pub(super) fn write(&self, db: &Connection) -> Result<bool, Error> {
        for (id, page) in self.open.iter().filter(|(_, page)| page.changed) {
            crate::fail::point("store-during-packing");
            page::write(db, *id, page.before, &page.entries)?;
        }
        for (first, last) in &self.doomed {
            rows::doom(db, *first, *last)?;
        }
        Ok(!self.doomed.is_empty())
    }

    fn last_sequence(&self, db: &Connection, id: i64) -> Result<Sequence, Error> {
        let open = self.open.get(&id).and_then(|page| page.entries.last());
        match open {
            Some(entry) => Ok(entry.sequence),
            None => Ok(page::expect_head(db, id)?.last.sequence),
        }
    }

    fn open(&mut self, db: &Connection, id: i64) -> Result<&mut Page, Error> {
        use std::collections::btree_map::Entry as Slot;
        match self.open.entry(id) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let Head { before, .. } = page::expect_head(db, id)?;
                let entries = page::entries(db, id)?;
                Ok(slot.insert(Page {
                    before,
                    entries,
                    changed: false,
                }))
            }
        }
    }
}
