//! The directory of channels (design §8a): derived from their states, written beside the commits, read by page for
//! disco#items on the service (MUC-DISCO-03..05, MIX-SVC-08, 09).

use crate::convert;
use crate::fronts::SeatState;
use crate::load;
use crate::shared::Shared;
use coven_cluster::link::DirectoryRequest;
use coven_cluster::{Channel, Delivery, ShardId, ToFront};
use coven_core::query::{DirectoryPage, Listing};
use coven_core::{Answer, Channel as State, ChannelName, Condition, Query, Refusal, Sender, View};
use coven_store::{self as store, ChannelKey, DirectoryQuery, Epoch};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// Most channels in one page.
const PAGE: u32 = 100;
/// Set in a listing's details when not everybody may join: then MIX asks the channel itself.
const RESTRICTED: &[u8] = b"restricted";

/// What the directory says of a channel; nothing if it is not to be in there.
pub(crate) type Listed = Option<store::Listing>;

/// Listings that are to be written: of each channel the latest, so their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    changed: Mutex<Changed>,
    /// One writes at a time: what an earlier one puts back must not come after what a later one has written.
    writing: tokio::sync::Mutex<()>,
}

/// By the shard under whose epoch it is written, and the key of the entry.
type Changed = BTreeMap<(ShardId, ChannelKey), Listed>;

impl Directory {
    /// Notes what the directory shall say about a channel from now on. Only of what is durable.
    pub(crate) fn note(&self, channel: &Channel, listing: Listed) {
        let key = (channel.shard(), convert::key(channel));
        self.lock().insert(key, listing);
    }

    /// Notes whether the channel is to be in another space of the directory ([`crate::quota`]).
    pub(crate) fn note_in(&self, space: &SmolStr, channel: &Channel, is_in: bool) {
        let key = ChannelKey {
            space: space.clone(),
            local: channel.name().local.clone(),
        };
        let entry = is_in.then(store::Listing::default);
        self.lock().insert((channel.shard(), key), entry);
    }

    /// Writes what has been noted. What the store does not take is written with the next call.
    pub(crate) async fn flush(&self, shared: &Shared) {
        let _alone = self.writing.lock().await;
        let changed = std::mem::take(&mut *self.lock());
        let mut shards: BTreeMap<ShardId, Vec<(ChannelKey, Listed)>> = BTreeMap::new();
        for ((shard, key), listing) in changed {
            if !shared.shards.owns(shard) {
                // Its new owner compares, and writes it down.
                continue;
            }
            let of_shard = shards.entry(shard).or_default();
            of_shard.push((key, listing));
        }
        // All are asked for before any is awaited: the store writes them together.
        let write = |(shard, listings): (ShardId, Vec<(ChannelKey, Listed)>)| {
            let epoch = Epoch(shared.epoch(shard).0);
            let copy = listings.clone();
            let written = shared.store.list(convert::shard(shard), epoch, copy);
            (shard, listings, written)
        };
        let writing: Vec<_> = shards.into_iter().map(write).collect();
        for (shard, listings, written) in writing {
            if let Err(error) = written.await {
                if matches!(error, store::Error::Fenced { .. }) {
                    continue;
                }
                warn!(shard = shard.0, %error, "the directory was not written yet");
                self.put_back(shard, listings);
            }
        }
    }

    fn put_back(&self, shard: ShardId, listings: Vec<(ChannelKey, Listed)>) {
        let mut changed = self.lock();
        for (key, listing) in listings {
            changed.entry((shard, key)).or_insert(listing);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers in a task of its own. Errors: gives the request back when too many reads are under way.
pub(crate) fn spawn_answer(
    shared: &Arc<Shared>,
    seat: &Arc<SeatState>,
    request: Box<DirectoryRequest>,
) -> Result<(), Box<DirectoryRequest>> {
    let Some(place) = shared.reads.listing() else {
        return Err(request);
    };
    let shared = Arc::clone(shared);
    let seat = Arc::clone(seat);
    tokio::spawn(async move {
        let _place = place;
        let origin = Arc::clone(&request.origin);
        let delivery = match answer(&shared, &request).await {
            Ok(listing) => Delivery::Answer {
                origin,
                answer: Box::new(Answer::Listing(Box::new(listing))),
                operation: None,
            },
            Err(refusal) => Delivery::Refused {
                origin,
                refusal: Box::new(refusal),
                operation: None,
            },
        };
        let output = shared.output(None, vec![delivery]);
        answer_to(&seat, output).await;
    });
    Ok(())
}

async fn answer_to(seat: &Arc<SeatState>, output: ToFront) {
    if seat.is_local {
        let _gone = seat.gone.run_until_cancelled(seat.send(output)).await;
    } else {
        seat.tell(output);
    }
}

/// Locked rooms never appear, hidden ones neither (MUC-DISCO-03).
pub(crate) fn listing(state: &State) -> Listed {
    let roster = state.roster();
    if !roster.exists() {
        return None;
    }
    let config = roster.config();
    let details = if config.members_only || roster.outcasts() > 0 {
        RESTRICTED
    } else {
        b""
    };
    Some(store::Listing {
        title: config.name.to_string(),
        occupants: u32::try_from(roster.occupants()).unwrap_or(u32::MAX),
        listed: config.public && state.lock().is_none(),
        details: bytes::Bytes::from_static(details),
    })
}

/// A page of what the requester may see. What it may not see is left out after a page was cut, so pages are read until there
/// is something in one, or the list ends: a page without entries is an end to whoever reads on from its last one.
async fn answer(shared: &Shared, request: &DirectoryRequest) -> Result<Listing, Refusal> {
    shared.directory.flush(shared).await;
    let mut query = query(&request.page);
    loop {
        let page = shared.store.directory(&request.space, query.clone()).await;
        let page = page.map_err(|_| crate::commit::wait())?;
        let page = page.map_err(|_| Refusal::usual(Condition::ItemNotFound))?;
        let items = visible(shared, request, &page.channels).await;
        let far_end = if query.from_end {
            page.channels.first()
        } else {
            page.channels.last()
        };
        match far_end {
            Some((local, _)) if items.is_empty() && !page.complete => go_on(&mut query, local),
            _ => return Ok(listed(&page, items)),
        }
    }
}

/// Behind that channel, in the direction of the query.
fn go_on(query: &mut DirectoryQuery, local: &SmolStr) {
    let place = if query.from_end {
        &mut query.before
    } else {
        &mut query.after
    };
    *place = Some(local.clone());
}

fn listed(page: &store::DirectoryPage, items: Vec<(SmolStr, SmolStr)>) -> Listing {
    Listing {
        items,
        count: page.count,
        index: page.index.unwrap_or_default(),
        complete: page.complete,
    }
}

/// Localpart and name of each channel that the requester may see.
async fn visible(
    shared: &Shared,
    request: &DirectoryRequest,
    channels: &[(SmolStr, store::Listing)],
) -> Vec<(SmolStr, SmolStr)> {
    let mut items = Vec::with_capacity(channels.len());
    for (local, listing) in channels {
        if request.origin.view == View::Muc || admits(shared, request, local, listing).await {
            items.push((local.clone(), listing.title.as_str().into()));
        }
    }
    items
}

fn query(page: &DirectoryPage) -> DirectoryQuery {
    DirectoryQuery {
        after: page.after.clone(),
        before: page.before.clone().flatten(),
        unlisted: false,
        max: page.max.unwrap_or(PAGE).min(PAGE) as usize,
        from_end: page.before.is_some(),
    }
}

/// Whether the requester could join (MIX-SVC-08).
async fn admits(
    shared: &Shared,
    request: &DirectoryRequest,
    local: &SmolStr,
    listing: &store::Listing,
) -> bool {
    if listing.details.is_empty() {
        return true;
    }
    let name = ChannelName {
        space: request.space.clone(),
        local: local.clone(),
    };
    let channel = Channel::new(name, shared.options.shards);
    let Ok(stored) = load::load(shared, &channel).await else {
        return false;
    };
    may_see(&stored.state, &request.sender, &shared.policies(&channel))
}

fn may_see(state: &State, sender: &Sender, policies: &coven_core::Service) -> bool {
    state
        .query(sender, &Query::Items { view: View::Mix }, policies)
        .is_ok()
}
