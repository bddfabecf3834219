//! What the threads of one store share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::Connection;
use tracing::{error, info};

use super::checkpoint::Signal;
use super::index::{Index, Overlay, Span};
use super::log;
use super::moments::Moments;
use super::row::Core;
use super::{Options, rows};
use crate::{Entry, Error};

/// What the threads of one store share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) options: Options,
    pub(super) checkpoints: Signal,
    pub(super) counters: Counters,
    pub(super) moments: Moments,
    /// Nothing can be written.
    fails: AtomicBool,
    index: Mutex<Index>,
}

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) transactions: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) checkpoints: AtomicU64,
}

impl Shared {
    pub(super) fn new(options: Options, index: Index) -> Self {
        Self {
            path: options.path.clone(),
            options,
            checkpoints: Signal::default(),
            counters: Counters::default(),
            moments: Moments::default(),
            fails: AtomicBool::new(false),
            index: Mutex::new(index),
        }
    }

    /// The index. Hold it for microseconds only; never over a write to the database.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once that nothing can be written and what to do, however often it is tried.
    pub(super) fn writing_failed(&self, error: &Error) {
        Self::count(&self.counters.failures);
        if !self.fails.swap(true, Ordering::Relaxed) {
            error!(path = %self.path.display(), %error, "the store cannot be written: {}", advice(error));
        }
    }

    /// Says that writing works again, if it did not.
    pub(super) fn writing_succeeded(&self) {
        if self.fails.load(Ordering::Relaxed) && self.fails.swap(false, Ordering::Relaxed) {
            info!(path = %self.path.display(), "the store can be written again");
        }
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the operator has to do.
const fn advice(error: &Error) -> &'static str {
    match error {
        Error::Full(_) => "make room on its disk; until then everybody is told to wait",
        Error::Locked { .. } => "another process has opened it: stop one of the two",
        Error::Corrupt(_) => "stop coven and run `coven check-store`",
        _ => "look after its disk; until then everybody is told to wait",
    }
}

/// A copy of what the index says of a channel, with those blobs that were in memory.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) core: Core,
    spans: Vec<(Span, Option<Bytes>)>,
    overlay: Vec<Overlay>,
}

impl Trace {
    /// Of a channel that is not in the index.
    pub(super) const fn cold(core: Core) -> Self {
        Self {
            core,
            spans: Vec::new(),
            overlay: Vec::new(),
        }
    }

    /// Copies the spans that `needed` chooses.
    pub(super) fn copy(
        index: &Index,
        live: &super::index::Live,
        needed: impl Fn(&Span) -> bool,
    ) -> Self {
        let spans = live.spans.iter().filter(|span| needed(span));
        Self {
            core: live.core.clone(),
            spans: spans
                .map(|span| (*span, index.log.cached(span.log)))
                .collect(),
            overlay: live.overlay.clone(),
        }
    }

    /// Copies what holds messages that are in no page.
    pub(super) fn unpacked(index: &Index, live: &super::index::Live) -> Self {
        let packed = live.core.packed();
        Self::copy(index, live, |span| span.archived > 0 && span.last > packed)
    }

    /// The entries after the snapshot.
    pub(super) fn journal(&self, db: &Connection) -> Result<Vec<Entry>, Error> {
        let (covered, kept) = (self.core.covered(), self.core.kept());
        let mut journal = match self.core.row {
            Some(row) if self.core.held > covered => rows::read_held(db, row, self.core.held)?,
            _ => Vec::new(),
        };
        journal.retain(|entry| entry.sequence > covered);
        let logged = self.entries(db)?.into_iter();
        journal.extend(logged.filter(|entry| entry.sequence > kept));
        Ok(journal)
    }

    /// The oldest entries in the log that are in no snapshot and not held apart: whole sections, until they have so
    /// many bytes.
    pub(super) fn front(&self, db: &Connection, bytes: usize) -> Result<Vec<Entry>, Error> {
        let (kept, mut taken, mut front) = (self.core.kept(), 0, Vec::new());
        for (span, cached) in &self.spans {
            let blob = match cached {
                Some(blob) => blob.clone(),
                None => rows::read_log(db, span.log)?,
            };
            let entries = log::entries_in(&blob, span.log, span.offset)?.into_iter();
            for entry in entries.filter(|entry| entry.sequence > kept) {
                taken += entry.record.len();
                front.push(entry);
            }
            if taken >= bytes {
                break;
            }
        }
        Ok(front)
    }

    /// The visible archived messages that are in no page, with their newest records.
    pub(super) fn tail(&self, db: &Connection) -> Result<Vec<Entry>, Error> {
        let packed = self.core.packed();
        let mut entries = self.entries(db)?;
        entries.retain(|entry| entry.archive.is_some() && entry.sequence > packed);
        for Overlay { rewrite, .. } in &self.overlay {
            if let Ok(at) = entries.binary_search_by_key(&rewrite.sequence, |entry| entry.sequence)
                && let Some(entry) = entries.get_mut(at)
            {
                entry.kind = rewrite.kind;
                entry.record = rewrite.record.clone();
            }
        }
        Ok(entries)
    }

    fn entries(&self, db: &Connection) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut recent: Option<(i64, Bytes)> = None;
        for (span, cached) in &self.spans {
            let blob = match (cached, recent.take()) {
                (Some(blob), _) => blob.clone(),
                (None, Some((id, blob))) if id == span.log => blob,
                (None, _) => rows::read_log(db, span.log)?,
            };
            entries.extend(log::entries_in(&blob, span.log, span.offset)?);
            recent = Some((span.log, blob));
        }
        Ok(entries)
    }
}
