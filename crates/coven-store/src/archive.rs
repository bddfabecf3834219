//! Questions to the archive and their answers (XEP-0313).
//!
//! Archive ids are not known here: the caller turns an id into a [`Place`] and back (design §7).

use std::fmt;
use std::sync::Arc;

use crate::{Entry, SenderId, Sequence, Timestamp};

/// Where an archived message stands. Places order like the archive: stamps never go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it was committed.
    pub stamp: Timestamp,
    /// Its event.
    pub sequence: Sequence,
}

/// Looks at an entry and says whether it belongs to the result. Runs on a reader thread: must not block.
pub type Filter = Arc<dyn Fn(&Entry) -> bool + Send + Sync>;

/// Which archived messages, and how many of them.
#[derive(Clone, Default)]
pub struct ArchiveQuery {
    /// Only what comes after this place; the place must exist.
    pub after: Option<Place>,
    /// Only what comes before this place; the place must exist.
    pub before: Option<Place>,
    /// Only from this moment on.
    pub start: Option<Timestamp>,
    /// Only up to and including this moment.
    pub end: Option<Timestamp>,
    /// Only what this one sent.
    pub sender: Option<SenderId>,
    /// Only these places, each of which must exist.
    pub ids: Option<Vec<Place>>,
    /// Further places that must exist, without other effect.
    pub must_exist: Vec<Place>,
    /// Only what this lets through. Called only for entries that match the rest.
    pub filter: Option<Filter>,
    /// At most this many; 0 asks for the count only.
    pub max: usize,
    /// The last `max` of the matching entries, not the first. The page is in order all the same.
    pub from_end: bool,
}

impl ArchiveQuery {
    /// All places that must exist.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let ids = self.ids.iter().flatten();
        self.after
            .iter()
            .chain(&self.before)
            .chain(&self.must_exist)
            .chain(ids)
            .copied()
    }

    /// Whether `entry` belongs to the result, without regard to `after` and `before`.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        self.ids
            .as_ref()
            .is_none_or(|ids| ids.contains(&entry.place()))
            && self.admits(entry)
    }

    /// Whether `entry` belongs to the result, without regard to places that the query names.
    pub(crate) fn admits(&self, entry: &Entry) -> bool {
        self.start.is_none_or(|start| entry.stamp >= start)
            && self.end.is_none_or(|end| entry.stamp <= end)
            && self.sender.is_none_or(|sender| {
                entry
                    .archive
                    .is_some_and(|meta| meta.sender == Some(sender))
            })
            && self
                .ids
                .as_ref()
                .is_none_or(|ids| ids.contains(&entry.place()))
            && self.filter.as_ref().is_none_or(|filter| filter(entry))
    }

    /// Whether only time and place decide what matches: then counting needs no look at the entries.
    pub(crate) const fn is_plain(&self) -> bool {
        self.sender.is_none() && self.ids.is_none() && self.filter.is_none()
    }

    /// Whether the page says how many entries match.
    pub(crate) const fn is_counted(&self) -> bool {
        self.max == 0 || self.is_plain()
    }
}

impl fmt::Debug for ArchiveQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveQuery")
            .field("after", &self.after)
            .field("before", &self.before)
            .field("start", &self.start)
            .field("end", &self.end)
            .field("sender", &self.sender)
            .field("ids", &self.ids)
            .field("must_exist", &self.must_exist)
            .field("filter", &self.filter.is_some())
            .field("max", &self.max)
            .field("from_end", &self.from_end)
            .finish()
    }
}

/// A page of the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivePage {
    /// The entries, oldest first, with what rewrites made of them.
    pub entries: Vec<Entry>,
    /// Nothing that matches was cut off at the far end: after the page, or before it with `from_end`.
    /// Source: XEP-0313 §4.3.2 (`complete`).
    pub complete: bool,
    /// How many entries match without regard to `after` and `before` (XEP-0059 `count`). Always there where `max` is 0;
    /// else only where it is cheap, which is: no `sender`, no `ids`, no `filter`.
    pub count: Option<u64>,
    /// How many of those stand before the first entry of the page (XEP-0059 `index`). As cheap as `count`, and only
    /// where the page is not empty.
    pub index: Option<u64>,
}

/// A place that a query names is not in the archive (never was, or has expired): `item-not-found` (MUC-MAM-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no archived message at stamp {} with sequence {}", .0.stamp, .0.sequence)]
pub struct UnknownPlace(pub Place);

/// The oldest and the newest place of an archive (XEP-0313 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveBounds {
    /// Place of the oldest message.
    pub first: Place,
    /// Place of the newest message.
    pub last: Place,
}

/// What the archive of each channel keeps: only the oldest messages ever go (MUC-MAM-22).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Messages before this moment go.
    pub not_before: Option<Timestamp>,
    /// Of more than this many, the oldest go.
    pub max_count: Option<u64>,
}
