//! A channel's archive as one ordered list: its pages, then the tail of the log.
//!
//! Positions count visible messages from the oldest. Finding one costs a search over page columns and one page.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use rusqlite::Connection;

use super::page::{self, Head};
use super::row::Core;
use crate::{ArchiveBounds, Entry, Error, Place, SenderId, Sequence};

/// The archive of one channel at one moment.
pub(super) struct View<'a> {
    db: &'a Connection,
    row: i64,
    pages: Range<u32>,
    /// Messages that the columns of pages count, and that have expired.
    cut: u64,
    /// Messages in pages.
    paged: u64,
    floor: Sequence,
    tail: Vec<Entry>,
    /// The page that was read last.
    recent: RefCell<Option<(u32, Rc<[Entry]>)>>,
}

impl<'a> View<'a> {
    /// The archive of a channel whose archived messages outside of pages are `tail`.
    pub(super) fn new(db: &'a Connection, core: &Core, tail: Vec<Entry>) -> Result<Self, Error> {
        let pages = core
            .row
            .map_or(0..0, |_| core.paging.first..core.paging.next);
        let (row, floor) = (core.row.unwrap_or_default(), core.state.floor);
        let mut view = Self {
            db,
            row,
            pages,
            cut: 0,
            paged: 0,
            floor,
            tail,
            recent: RefCell::default(),
        };
        if !view.pages.is_empty() {
            view.cut = view.hidden()?;
            view.paged = view.head(view.pages.end - 1)?.end() - view.cut;
        }
        Ok(view)
    }

    /// How many messages there are.
    pub(super) const fn len(&self) -> u64 {
        self.paged + self.tail.len() as u64
    }

    /// The oldest and the newest place.
    pub(super) fn bounds(&self) -> Result<Option<ArchiveBounds>, Error> {
        let Some(newest) = self.len().checked_sub(1) else {
            return Ok(None);
        };
        let (first, last) = (self.get(0)?, self.get(newest)?);
        Ok(first.zip(last).map(|(first, last)| ArchiveBounds {
            first: first.place(),
            last: last.place(),
        }))
    }

    /// The message at a position.
    pub(super) fn get(&self, position: u64) -> Result<Option<Entry>, Error> {
        let mut found = None;
        self.scan(position..position + 1, false, None, &mut |entry| {
            found = Some(entry.clone());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// How many messages stand before the first that is not `early`. Places have to go from early to not early.
    pub(super) fn rank(&self, early: impl Fn(Place) -> bool) -> Result<u64, Error> {
        if self.tail.first().is_some_and(|entry| early(entry.place())) {
            let within = self.tail.partition_point(|entry| early(entry.place()));
            return Ok(self.paged + within as u64);
        }
        let after = self.search(|head| early(head.first))?;
        if after == self.pages.start {
            return Ok(0);
        }
        let head = self.head(after - 1)?;
        let within = if early(head.last) {
            head.count
        } else {
            self.page(after - 1)?
                .partition_point(|entry| early(entry.place())) as u64
        };
        Ok((head.before + within).saturating_sub(self.cut))
    }

    /// The position of a place, if there is a message.
    pub(super) fn locate(&self, place: Place) -> Result<Option<u64>, Error> {
        let position = self.rank(|other| other < place)?;
        let found = self
            .get(position)?
            .is_some_and(|entry| entry.place() == place);
        Ok(found.then_some(position))
    }

    /// The number of the page with the message at a position, or the number after the last page.
    pub(super) fn page_of(&self, position: u64) -> Result<u32, Error> {
        self.search(|head| head.end() <= position + self.cut)
    }

    /// Shows `visit` the messages at `positions`, newest first if `backwards`, until it breaks off. Given a sender,
    /// pages without this sender are passed over; messages of others may be shown all the same.
    /// Answers whether it was broken off.
    pub(super) fn scan(
        &self,
        positions: Range<u64>,
        backwards: bool,
        sender: Option<SenderId>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<bool, Error> {
        let positions = positions.start..positions.end.min(self.len());
        let from_tail = self.tail_part(&positions);
        if backwards && visit_all(from_tail.iter().rev(), visit).is_break() {
            return Ok(true);
        }
        if self.scan_pages(&positions, backwards, sender, visit)? {
            return Ok(true);
        }
        Ok(!backwards && visit_all(from_tail.iter(), visit).is_break())
    }

    fn scan_pages(
        &self,
        positions: &Range<u64>,
        backwards: bool,
        sender: Option<SenderId>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<bool, Error> {
        let end = positions.end.min(self.paged);
        if positions.start >= end {
            return Ok(false);
        }
        let (first, last) = (self.page_of(positions.start)?, self.page_of(end - 1)?);
        for step in 0..=last - first {
            let number = if backwards { last - step } else { first + step };
            let head = self.head(number)?;
            if sender.is_some_and(|sender| !head.may_hold(sender)) {
                continue;
            }
            let entries = self.page(number)?;
            let within = part(
                &entries,
                (positions.start + self.cut, end + self.cut),
                head.before,
            );
            let went = if backwards {
                visit_all(within.iter().rev(), visit)
            } else {
                visit_all(within.iter(), visit)
            };
            if went.is_break() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tail_part(&self, positions: &Range<u64>) -> &[Entry] {
        part(&self.tail, (positions.start, positions.end), self.paged)
    }

    /// The first page whose columns do not satisfy `early`. Pages have to go from early to not early.
    fn search(&self, early: impl Fn(&Head) -> bool) -> Result<u32, Error> {
        let Range {
            start: mut low,
            end: mut high,
        } = self.pages;
        while low < high {
            let middle = low + (high - low) / 2;
            if early(&self.head(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Messages before the first visible one, as the columns of pages count.
    fn hidden(&self) -> Result<u64, Error> {
        let head = self.head(self.pages.start)?;
        if self.floor < head.first.sequence {
            return Ok(head.before);
        }
        let entries = self.page(self.pages.start)?;
        Ok(head.before + entries.partition_point(|entry| entry.sequence <= self.floor) as u64)
    }

    fn head(&self, number: u32) -> Result<Head, Error> {
        page::expect_head(self.db, page::id(self.row, number))
    }

    fn page(&self, number: u32) -> Result<Rc<[Entry]>, Error> {
        if let Some((_, entries)) = self
            .recent
            .borrow()
            .as_ref()
            .filter(|(recent, _)| *recent == number)
        {
            return Ok(Rc::clone(entries));
        }
        let entries: Rc<[Entry]> = page::entries(self.db, page::id(self.row, number))?.into();
        *self.recent.borrow_mut() = Some((number, Rc::clone(&entries)));
        Ok(entries)
    }
}

/// The entries at positions from `start` to before `end`, where the first of `entries` is at `offset`.
fn part(entries: &[Entry], (start, end): (u64, u64), offset: u64) -> &[Entry] {
    let index =
        |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX);
    let end = index(end).min(entries.len());
    entries.get(index(start).min(end)..end).unwrap_or_default()
}

fn visit_all<'e>(
    mut entries: impl Iterator<Item = &'e Entry>,
    visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
) -> ControlFlow<()> {
    entries.try_for_each(visit)
}
