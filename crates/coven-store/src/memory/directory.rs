//! The directory in memory.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::{ChannelKey, DirectoryPage, DirectoryQuery, Listing, UnknownChannel};

/// The page that `query` asks for.
pub(super) fn page(
    directory: &BTreeMap<ChannelKey, Listing>,
    space: &SmolStr,
    query: &DirectoryQuery,
) -> Result<DirectoryPage, UnknownChannel> {
    let shown = |listing: &Listing| query.unlisted || listing.listed;
    let known = |local: &SmolStr| {
        directory
            .get(&ChannelKey::new(space.clone(), local.clone()))
            .is_some_and(shown)
    };
    if let Some(unknown) = query
        .after
        .iter()
        .chain(&query.before)
        .find(|local| !known(local))
    {
        return Err(UnknownChannel(unknown.clone()));
    }
    let all: Vec<_> = directory
        .iter()
        .filter(|(key, listing)| key.space == *space && shown(listing))
        .collect();
    let from = all.partition_point(|(key, _)| {
        query
            .after
            .as_ref()
            .is_some_and(|after| key.local <= *after)
    });
    let to = all
        .partition_point(|(key, _)| {
            query
                .before
                .as_ref()
                .is_none_or(|before| key.local < *before)
        })
        .max(from);
    let first = if query.from_end {
        from.max(to.saturating_sub(query.max))
    } else {
        from
    };
    let last = first.saturating_add(query.max).min(to);
    let channels = all.iter().skip(first).take(last - first);
    Ok(DirectoryPage {
        channels: channels
            .map(|(key, listing)| (key.local.clone(), (*listing).clone()))
            .collect(),
        complete: if query.from_end {
            first == from
        } else {
            last == to
        },
        count: all.len() as u64,
        index: (first < last).then_some(first as u64),
    })
}
