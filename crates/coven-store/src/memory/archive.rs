//! The archive in memory: a plain reading of what a query means.

use std::collections::BTreeMap;

use crate::{ArchiveBounds, ArchivePage, ArchiveQuery, Entry, Place, Sequence, UnknownPlace};

/// The page that `query` asks for.
pub(super) fn page(
    archive: &BTreeMap<Sequence, Entry>,
    query: &ArchiveQuery,
) -> Result<ArchivePage, UnknownPlace> {
    if let Some(unknown) = query.places().find(|place| !holds(archive, *place)) {
        return Err(UnknownPlace(unknown));
    }
    Ok(page_of(archive, query))
}

/// The page of an archive that holds all places that the query names, or at least all that it shows.
pub(crate) fn page_of(archive: &BTreeMap<Sequence, Entry>, query: &ArchiveQuery) -> ArchivePage {
    let all: Vec<&Entry> = archive
        .values()
        .filter(|entry| query.matches(entry))
        .collect();
    let from = all.partition_point(|entry| query.after.is_some_and(|after| entry.place() <= after));
    let to = all
        .partition_point(|entry| query.before.is_none_or(|before| entry.place() < before))
        .max(from);
    let first = if query.from_end {
        from.max(to.saturating_sub(query.max))
    } else {
        from
    };
    let last = first.saturating_add(query.max).min(to);
    let counted = query.is_counted();
    ArchivePage {
        entries: all
            .iter()
            .skip(first)
            .take(last - first)
            .map(|entry| (*entry).clone())
            .collect(),
        complete: if query.from_end {
            first == from
        } else {
            last == to
        },
        count: counted.then_some(all.len() as u64),
        index: (counted && first < last).then_some(first as u64),
    }
}

/// The oldest and the newest place.
pub(super) fn bounds(archive: &BTreeMap<Sequence, Entry>) -> Option<ArchiveBounds> {
    let (_, first) = archive.first_key_value()?;
    let (_, last) = archive.last_key_value()?;
    Some(ArchiveBounds {
        first: first.place(),
        last: last.place(),
    })
}

fn holds(archive: &BTreeMap<Sequence, Entry>, place: Place) -> bool {
    archive
        .get(&place.sequence)
        .is_some_and(|entry| entry.stamp == place.stamp)
}
