//! Reads.

use super::command::{relay_from, relay_to};
use super::entry_id;
use crate::Error;
use crate::event::archive_id;
use crate::people::{smol, stable_id, text, view_from, view_to};
use crate::wire::link as wire;
use crate::wire::link::query::Body;
use crate::wire::link::with::Who;
use bytes::Bytes;
use coven_core::people::participation::Node;
use coven_core::query::{ArchiveQuery, DirectoryPage, With};
use coven_core::{ArchiveId, BareJid, Query, Timestamp, View};

/// What somebody wants to read.
#[must_use]
pub fn query_to(query: &Query) -> wire::Query {
    let body = match query {
        Query::Info { view } => Body::Info(of_view(*view)),
        Query::Items { view } => Body::Items(of_view(*view)),
        Query::ReservedNick => Body::ReservedNick(wire::ReservedNick {}),
        Query::OwnerForm => Body::OwnerForm(wire::OwnerForm {}),
        Query::Ping { relay } => Body::Ping(wire::Ping {
            relay: relay.as_deref().map(relay_to),
        }),
        Query::NodeItems {
            node,
            ids,
            max_items,
            page,
        } => Body::NodeItems(wire::NodeItems {
            node: node.name().into(),
            ids: ids.iter().map(|id| id.as_str().into()).collect(),
            max_items: *max_items,
            page: page.as_ref().map(page_to),
        }),
        Query::OwnSubscriptions => Body::OwnSubscriptions(wire::OwnSubscriptions {}),
        Query::Archive(query) => Body::Archive(archive_to(query)),
        Query::ArchiveBounds { view } => Body::ArchiveBounds(of_view(*view)),
    };
    wire::Query { body: Some(body) }
}

/// What [`query_to`] made.
pub fn query_from(query: wire::Query) -> Result<Query, Error> {
    Ok(match query.body.ok_or(Error::Missing("query"))? {
        Body::Info(of) => Query::Info {
            view: view_from(of.view)?,
        },
        Body::Items(of) => Query::Items {
            view: view_from(of.view)?,
        },
        Body::ReservedNick(_) => Query::ReservedNick,
        Body::OwnerForm(_) => Query::OwnerForm,
        Body::Ping(ping) => Query::Ping {
            relay: ping.relay.map(|relay| Box::new(relay_from(relay))),
        },
        Body::NodeItems(items) => Query::NodeItems {
            node: node_from(&items.node)?,
            ids: items.ids.into_iter().map(Into::into).collect(),
            max_items: items.max_items,
            page: items.page.map(page_from),
        },
        Body::OwnSubscriptions(_) => Query::OwnSubscriptions,
        Body::Archive(query) => Query::Archive(Box::new(archive_from(query)?)),
        Body::ArchiveBounds(of) => Query::ArchiveBounds {
            view: view_from(of.view)?,
        },
    })
}

const fn of_view(view: View) -> wire::OfView {
    wire::OfView {
        view: view_to(view),
    }
}

pub(super) fn node_from(name: &str) -> Result<Node, Error> {
    Node::parse(name).ok_or(Error::Invalid("node"))
}

/// A page of a list.
#[must_use]
pub fn page_to(page: &DirectoryPage) -> wire::Page {
    wire::Page {
        after: text(page.after.as_ref()),
        before: page.before.as_ref().map(|id| wire::Before {
            id: text(id.as_ref()),
        }),
        max: page.max,
    }
}

/// What [`page_to`] made.
#[must_use]
pub fn page_from(page: wire::Page) -> DirectoryPage {
    DirectoryPage {
        after: smol(page.after),
        before: page.before.map(|before| smol(before.id)),
        max: page.max,
    }
}

fn archive_to(q: &ArchiveQuery) -> wire::ArchiveQuery {
    wire::ArchiveQuery {
        view: q.view.map(view_to),
        with: q.with.as_ref().map(with_to),
        start: q.start.map(|stamp| stamp.0),
        end: q.end.map(|stamp| stamp.0),
        before_id: q.before_id.as_ref().map(entry_id),
        after_id: q.after_id.as_ref().map(entry_id),
        ids: q.ids.iter().map(entry_id).collect(),
        after: q.after.as_ref().map(entry_id),
        before: q.before.as_ref().map(|id| wire::BeforeEntry {
            id: id.as_ref().map(entry_id),
        }),
        max: q.max,
        flip: q.flip,
    }
}

fn archive_from(q: wire::ArchiveQuery) -> Result<ArchiveQuery, Error> {
    let ids: Result<_, Error> = q.ids.iter().map(|id| archive_id(id)).collect();
    let before = q.before.map(|before| entry_from(before.id));
    Ok(ArchiveQuery {
        view: q.view.map(view_from).transpose()?,
        with: q.with.map(with_from).transpose()?,
        start: q.start.map(Timestamp),
        end: q.end.map(Timestamp),
        before_id: entry_from(q.before_id)?,
        after_id: entry_from(q.after_id)?,
        ids: ids?,
        after: entry_from(q.after)?,
        before: before.transpose()?,
        max: q.max,
        flip: q.flip,
    })
}

fn entry_from(id: Option<Bytes>) -> Result<Option<ArchiveId>, Error> {
    id.as_deref().map(archive_id).transpose()
}

fn with_to(with: &With) -> wire::With {
    let who = match with {
        With::Nick(nick) => Who::Nick(nick.as_str().into()),
        With::Id(id) => Who::Id(super::person_id(id)),
        With::Jid(jid) => Who::Jid(jid.as_str().into()),
    };
    wire::With { who: Some(who) }
}

fn with_from(with: wire::With) -> Result<With, Error> {
    Ok(match with.who.ok_or(Error::Missing("with"))? {
        Who::Nick(nick) => With::Nick(nick.into()),
        Who::Id(id) => With::Id(stable_id(&id)?),
        Who::Jid(jid) => With::Jid(BareJid::from_normalised(jid)),
    })
}
