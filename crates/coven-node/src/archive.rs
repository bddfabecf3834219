//! Reads of a channel's archive: pages for MAM, the tail for history, the message that a correction means.
//!
//! A page is read beside the actor: behind everything that the channel has decided so far, but without holding it up.

use crate::actor::{Room, Soundness};
use crate::commit::wait;
use crate::convert;
use crate::entry;
use crate::reads::Place;
use crate::shared::Shared;
use coven_cluster::{Channel, Delivery, Operation, OperationId};
use coven_core::command::{Post, Resolved};
use coven_core::content::archive::Ids;
use coven_core::content::history::{MAX_ENTRIES, history_message};
use coven_core::event::Message;
use coven_core::ids::ChannelKey;
use coven_core::query::{ArchivePage, ArchiveQuery, With};
use coven_core::{
    Answer, ArchiveId, Condition, Event, Nick, Origin, Query, Record, Refusal, Sender, StableId,
};
use coven_store as store;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::error;

/// How many of a sender's newest messages a correction may mean (MAP-26).
const CORRECTABLE: usize = 100;

/// Whether the answer needs the archive.
pub(crate) const fn is_read(query: &Query) -> bool {
    matches!(query, Query::Archive(_) | Query::ArchiveBounds { .. })
}

/// A read beside the channel's actor.
struct Read {
    shared: Arc<Shared>,
    channel: Channel,
    key: ChannelKey,
    query: Query,
    origin: Arc<Origin>,
    id: Option<OperationId>,
    _place: Place,
}

/// Reads and answers in a task of its own. Errors: `resource-constraint` when too many are under way.
pub(crate) async fn spawn_read(
    room: &mut Room,
    operation: &Operation,
    query: &Query,
    answer: Answer,
) {
    let Soundness::Sound(state) = &room.condition else {
        return;
    };
    let Some(place) = room.shared.reads.archive() else {
        return room.refused(operation, wait()).await;
    };
    let Some(key) = state.key().copied() else {
        return room.refused(operation, internal()).await;
    };
    let read = Read {
        shared: Arc::clone(&room.shared),
        channel: room.channel.clone(),
        key,
        query: own_by_id(query.clone(), &key, &operation.sender),
        origin: Arc::clone(&operation.origin),
        id: operation.id,
        _place: place,
    };
    let passed = room.barrier().await;
    tokio::spawn(read.run(passed, answer));
}

impl Read {
    /// Reads once what was decided before is durable, and answers.
    async fn run(self, passed: oneshot::Receiver<()>, answer: Answer) {
        let read = match passed.await {
            Ok(()) => self.read(answer).await,
            Err(_) => Err(wait()),
        };
        let is_suspended = self.shared.shards.is_suspended(self.channel.shard());
        self.tell(match read {
            // Meanwhile somebody else may own the channel, and have gone on (design §5.1).
            Ok(_) if is_suspended => Err(wait()),
            read => read,
        })
        .await;
    }

    async fn read(&self, answer: Answer) -> Result<Answer, Refusal> {
        let (shared, channel) = (&self.shared, &self.channel);
        match (&self.query, answer) {
            (Query::Archive(query), Answer::Archive(page)) => {
                let page = read_page(shared, channel, &self.key, query, *page).await?;
                Ok(Answer::Archive(Box::new(page)))
            }
            (Query::ArchiveBounds { .. }, _) => bounds(shared, channel).await,
            (_, answer) => Ok(answer),
        }
    }

    async fn tell(self, answer: Result<Answer, Refusal>) {
        let origin = self.origin;
        let delivery = match answer {
            Ok(answer) => Delivery::Answer {
                origin,
                answer: Box::new(answer),
                operation: None,
            },
            Err(refusal) => Delivery::Refused {
                origin,
                refusal: Box::new(refusal),
                operation: self.id.map(|id| id.name()),
            },
        };
        let channel = Some(self.channel.clone());
        self.shared.say(channel, vec![delivery]).await;
        // Behind the answer: the front-end waits for nothing more (I5).
        if let Some(id) = self.id {
            self.shared.passed(&self.channel, id);
        }
    }
}

async fn read_page(
    shared: &Shared,
    channel: &Channel,
    key: &ChannelKey,
    query: &ArchiveQuery,
    page: ArchivePage,
) -> Result<ArchivePage, Refusal> {
    // The core has decided that this requester finds nothing (MUC-MAM-20).
    if page.count == Some(0) {
        return Ok(page);
    }
    let wanted = store::ArchiveQuery {
        filter: filter(query.with.as_ref(), &page),
        ..store_query(key, query, shared.options.page)
    };
    let shard = convert::shard(channel.shard());
    let read = shared
        .store
        .archive_page(shard, &convert::key(channel), wanted)
        .await;
    let read = read.map_err(|error| unreadable(shared, channel, &error))?;
    let read = read.map_err(|_| Refusal::usual(Condition::ItemNotFound))?;
    let entries = decode_all(&read.entries).map_err(|error| damaged(shared, channel, &error))?;
    let (complete, count, index) = (read.complete, read.count, read.index);
    Ok(ArchivePage {
        entries,
        complete,
        count,
        index,
        ..page
    })
}

/// The core's question in the store's words (MUC-MAM-11..14).
fn store_query(key: &ChannelKey, query: &ArchiveQuery, most: u32) -> store::ArchiveQuery {
    let ids = Ids::new(key);
    let place = |id: ArchiveId| convert::place(ids.decode(id));
    let after = latest(query.after.map(place), query.after_id.map(place));
    let before = earliest(
        query.before.flatten().map(place),
        query.before_id.map(place),
    );
    let max = query.max.unwrap_or(most).min(most) as usize;
    let named = [
        query.after,
        query.before.flatten(),
        query.after_id,
        query.before_id,
    ];
    store::ArchiveQuery {
        after,
        before,
        start: query.start.map(convert::stamp),
        end: query.end.map(convert::stamp),
        sender: sender(key, query.with.as_ref()),
        ids: (!query.ids.is_empty()).then(|| query.ids.iter().copied().map(place).collect()),
        must_exist: named.into_iter().flatten().map(place).collect(),
        filter: None,
        max,
        from_end: query.before.is_some(),
    }
}

fn latest(a: Option<store::Place>, b: Option<store::Place>) -> Option<store::Place> {
    a.max(b)
}

fn earliest(a: Option<store::Place>, b: Option<store::Place>) -> Option<store::Place> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn sender(key: &ChannelKey, with: Option<&With>) -> Option<store::SenderId> {
    match with? {
        With::Id(id) => Some(convert::sender(*id)),
        With::Jid(jid) => Some(convert::sender(StableId::of(key, jid.as_str()))),
        With::Nick(_) => None,
    }
}

/// One's own messages are asked for by one's id: nothing is to be hidden of them.
fn own_by_id(mut query: Query, key: &ChannelKey, sender: &Sender) -> Query {
    if let Query::Archive(archive) = &mut query
        && let Some(With::Jid(jid)) = &archive.with
        && *jid == sender.bare
    {
        archive.with = Some(With::Id(StableId::of(key, jid.as_str())));
    }
    query
}

/// What the store cannot tell: the nick at the time, and whether the reader would be shown whose message it was when it
/// asks for somebody's real JID (MUC-MAM-20, MIX-MAM-13). The entries have to be looked at.
fn filter(with: Option<&With>, page: &ArchivePage) -> Option<store::Filter> {
    match with? {
        With::Nick(nick) => {
            let key = Nick::new(nick).map(|nick| nick.key().clone());
            let is_it = move |m: &Message| key.as_ref() == Some(Nick::from_clean(&m.nick).key());
            Some(messages(is_it))
        }
        With::Jid(_) => {
            let page = page.clone();
            Some(messages(move |m| page.may_show_jid(m)))
        }
        With::Id(_) => None,
    }
}

fn messages(wanted: impl Fn(&Message) -> bool + Send + Sync + 'static) -> store::Filter {
    Arc::new(move |entry: &store::Entry| {
        let record = entry::decode(entry).ok();
        match record.as_deref().map(|r| &r.event) {
            Some(Event::Message(message)) => wanted(message),
            _ => false,
        }
    })
}

async fn bounds(shared: &Shared, channel: &Channel) -> Result<Answer, Refusal> {
    let (shard, name) = (convert::shard(channel.shard()), convert::key(channel));
    let bounds = shared
        .store
        .archive_bounds(shard, &name)
        .await
        .map_err(|error| unreadable(shared, channel, &error))?;
    let Some(bounds) = bounds else {
        return Ok(Answer::Bounds(None));
    };
    let mut ends = Vec::new();
    for place in [bounds.first, bounds.last] {
        let query = store::ArchiveQuery {
            ids: Some(vec![place]),
            max: 1,
            ..store::ArchiveQuery::default()
        };
        let page = shared
            .store
            .archive_page(shard, &name, query)
            .await
            .map_err(|error| unreadable(shared, channel, &error))?;
        let entry = page
            .ok()
            .and_then(|p| p.entries.into_iter().next())
            .ok_or_else(wait)?;
        let record = entry::decode(&entry).map_err(|_| internal())?;
        let id = message_id(&record).ok_or_else(internal)?;
        ends.push((id, convert::core_place(place).stamp));
    }
    Ok(match ends.as_slice() {
        [first, last] => Answer::Bounds(Some((*first, *last))),
        _ => Answer::Bounds(None),
    })
}

fn message_id(record: &Record) -> Option<ArchiveId> {
    match &record.event {
        Event::Message(m) => Some(m.archive_id),
        _ => None,
    }
}

fn decode_all(entries: &[store::Entry]) -> Result<Vec<Arc<Record>>, coven_proto::Error> {
    entries.iter().map(entry::decode).collect()
}

/// Fills the history tail of a channel that was loaded, at the first time it is needed.
pub(crate) async fn fill_tail(room: &mut Room) {
    let Soundness::Sound(state) = &room.condition else {
        return;
    };
    if state.tail().filled() {
        return;
    }
    let in_history = |entry: &store::Entry| {
        let record = entry::decode(entry).ok();
        record.is_some_and(|r| history_message(&r).is_some())
    };
    let query = store::ArchiveQuery {
        filter: Some(Arc::new(in_history)),
        max: MAX_ENTRIES,
        from_end: true,
        ..store::ArchiveQuery::default()
    };
    let shard = convert::shard(room.channel.shard());
    let page = room
        .shared
        .store
        .archive_page(shard, &convert::key(&room.channel), query)
        .await;
    // After an error the tail stays as it is: the next newcomer asks again.
    let older = match page.map(Result::unwrap_or_default) {
        Ok(page) => match decode_all(&page.entries) {
            Ok(older) => older,
            Err(error) => return drop(damaged(&room.shared, &room.channel, &error)),
        },
        Err(error) => return drop(unreadable(&room.shared, &room.channel, &error)),
    };
    if let Soundness::Sound(state) = &mut room.condition {
        state.tail_mut().fill(older);
    }
}

/// Both names of the message that a post refers to, if it is one of the sender's own (MAP-26, MIX-MSG-15).
pub(crate) async fn resolve(room: &mut Room, sender: &Sender, post: &Post) -> Option<Resolved> {
    let reference = post.reference.as_ref()?;
    let Soundness::Sound(state) = &room.condition else {
        return None;
    };
    let key = *state.key()?;
    let id = StableId::of(&key, sender.bare.as_str());
    let matches = |record: &Record| match &record.event {
        Event::Message(m) if m.id == id => m.called(&reference.id),
        _ => None,
    };
    if let Some(found) = state.tail().entries().rev().find_map(|r| matches(r)) {
        return Some(found);
    }
    let query = store::ArchiveQuery {
        sender: Some(convert::sender(id)),
        max: CORRECTABLE,
        from_end: true,
        ..store::ArchiveQuery::default()
    };
    room.settle().await;
    let shard = convert::shard(room.channel.shard());
    let page = room
        .shared
        .store
        .archive_page(shard, &convert::key(&room.channel), query)
        .await;
    let entries = page.ok()?.ok()?.entries;
    decode_all(&entries)
        .ok()?
        .iter()
        .rev()
        .find_map(|r| matches(r))
}

/// What is answered when the store cannot read.
fn unreadable(shared: &Shared, channel: &Channel, error: &store::Error) -> Refusal {
    match error {
        store::Error::Corrupt(_) => damaged(shared, channel, error),
        _ => wait(),
    }
}

/// Damage stays until somebody does something about it: said once for each channel, answered as what it is.
fn damaged(shared: &Shared, channel: &Channel, error: &dyn std::fmt::Display) -> Refusal {
    if shared.health.damaged(channel) {
        error!(
            %channel,
            %error,
            "the archive of this channel is damaged: stop coven, run `coven check-store` and restore a backup"
        );
    }
    internal()
}

fn internal() -> Refusal {
    Refusal::usual(Condition::InternalServerError)
}
