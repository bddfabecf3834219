//! Answers archive queries from a [`View`].

use std::ops::{ControlFlow, Range};

use super::view::View;
use crate::{ArchivePage, ArchiveQuery, Entry, Error, Place, UnknownPlace};

/// The page that `query` asks for.
pub(super) fn page(
    view: &View<'_>,
    query: &ArchiveQuery,
) -> Result<Result<ArchivePage, UnknownPlace>, Error> {
    let mut places = Vec::new();
    for place in query.places() {
        let Some(position) = view.locate(place)? else {
            return Ok(Err(UnknownPlace(place)));
        };
        places.push((place, position));
    }
    let position = |place: Place| {
        places
            .iter()
            .find(|(other, _)| *other == place)
            .map(|(_, position)| *position)
    };
    let after = query.after.and_then(position).map_or(0, |after| after + 1);
    let before = query.before.and_then(position).unwrap_or(u64::MAX);
    let period = period(view, query)?;
    let from = period.start.max(after).min(period.end);
    let asked = from..period.end.min(before).max(from);
    if query.is_plain() {
        plain(view, query, &period, &asked).map(Ok)
    } else {
        // The ids are what the list of places ends with.
        let others = places.len() - query.ids.as_ref().map_or(0, Vec::len);
        let mut ids: Vec<u64> = places
            .into_iter()
            .skip(others)
            .map(|(_, position)| position)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        filtered(view, query, &Sought { period, asked, ids }).map(Ok)
    }
}

/// The page of a channel without archive.
pub(super) fn nothing(query: &ArchiveQuery) -> Result<ArchivePage, UnknownPlace> {
    match query.places().next() {
        Some(unknown) => Err(UnknownPlace(unknown)),
        None => Ok(ArchivePage {
            complete: true,
            count: query.is_counted().then_some(0),
            ..ArchivePage::default()
        }),
    }
}

/// Positions within the query's time.
fn period(view: &View<'_>, query: &ArchiveQuery) -> Result<Range<u64>, Error> {
    let start = match query.start {
        Some(start) => view.rank(|place| place.stamp < start)?,
        None => 0,
    };
    let end = match query.end {
        Some(end) => view.rank(|place| place.stamp <= end)?,
        None => view.len(),
    };
    Ok(start..end.max(start))
}

/// A page where only time and place decide: its positions are known before anything is read.
fn plain(
    view: &View<'_>,
    query: &ArchiveQuery,
    period: &Range<u64>,
    asked: &Range<u64>,
) -> Result<ArchivePage, Error> {
    let max = query.max as u64;
    let first = if query.from_end {
        asked.start.max(asked.end.saturating_sub(max))
    } else {
        asked.start
    };
    let last = first.saturating_add(max).min(asked.end);
    let mut entries = Vec::new();
    view.scan(first..last, false, None, &mut |entry| {
        entries.push(entry.clone());
        ControlFlow::Continue(())
    })?;
    Ok(ArchivePage {
        entries,
        complete: if query.from_end {
            first == asked.start
        } else {
            last == asked.end
        },
        count: Some(period.end - period.start),
        index: (first < last).then(|| first - period.start),
    })
}

/// What a query that looks at messages looks at.
struct Sought {
    /// Positions within its time.
    period: Range<u64>,
    /// Those of them after `after` and before `before`.
    asked: Range<u64>,
    /// The positions of its ids, in order.
    ids: Vec<u64>,
}

fn filtered(view: &View<'_>, query: &ArchiveQuery, sought: &Sought) -> Result<ArchivePage, Error> {
    let mut entries = Vec::new();
    let mut complete = true;
    walk(view, query, sought, sought.asked.clone(), &mut |entry| {
        if entries.len() == query.max {
            complete = false;
            return ControlFlow::Break(());
        }
        entries.push(entry.clone());
        ControlFlow::Continue(())
    })?;
    if query.from_end {
        entries.reverse();
    }
    let count = if query.max == 0 {
        Some(count(view, query, sought)?)
    } else {
        None
    };
    Ok(ArchivePage {
        entries,
        complete,
        count,
        index: None,
    })
}

fn count(view: &View<'_>, query: &ArchiveQuery, sought: &Sought) -> Result<u64, Error> {
    let mut count = 0;
    walk(view, query, sought, sought.period.clone(), &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// Shows `visit` what matches at `positions`, in the query's direction.
fn walk(
    view: &View<'_>,
    query: &ArchiveQuery,
    sought: &Sought,
    positions: Range<u64>,
    visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut matching = |entry: &Entry| {
        if query.admits(entry) {
            visit(entry)
        } else {
            ControlFlow::Continue(())
        }
    };
    if query.ids.is_none() {
        view.scan(positions, query.from_end, query.sender, &mut matching)?;
        return Ok(());
    }
    let mut ids: Vec<u64> = sought
        .ids
        .iter()
        .copied()
        .filter(|id| positions.contains(id))
        .collect();
    if query.from_end {
        ids.reverse();
    }
    for id in ids {
        if view.scan(id..id + 1, false, None, &mut matching)? {
            break;
        }
    }
    Ok(())
}
