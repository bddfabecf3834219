//! Answers.

use super::command::{subscribe_from, subscribe_to};
use super::query::node_from;
use super::stanza::{relayed_from, relayed_to};
use super::{entry_id, nick_from, nick_to, nodes_from, person_id, records_from, records_to, size};
use crate::Error;
use crate::event::archive_id;
use crate::people::{
    affiliation_from, affiliation_to, participation_from, participation_to, person_from, person_to,
    stable_id, view_from, view_to,
};
use crate::settings::{config_from, config_to, visibility_from, visibility_to};
use crate::snapshot::{subject_from, subject_to};
use crate::wire::link as wire;
use crate::wire::link::answer::Body;
use crate::wire::link::items;
use coven_core::query::{ArchivePage, Info, Listing, NodeItems, ParticipantItem};
use coven_core::{Answer, ArchiveId, BareJid, Nick, Timestamp};

/// The answer to a read, or the result of a command.
#[must_use]
pub fn answer_to(answer: &Answer) -> wire::Answer {
    let body = match answer {
        Answer::Done => Body::Done(wire::Done {}),
        Answer::Info(info) => Body::Info(info_to(info)),
        Answer::Occupants(nicks) => Body::Occupants(wire::Names {
            names: nicks.iter().map(|nick| nick.as_str().into()).collect(),
        }),
        Answer::Nodes(nodes) => Body::Nodes(nodes.0.into()),
        Answer::ReservedNick(nick) => Body::ReservedNick(wire::SetNick {
            nick: nick_to(nick.as_ref()),
        }),
        Answer::Relayed(relayed) => Body::Relayed(relayed_to(relayed)),
        Answer::Form(config) => Body::Form(config_to(config)),
        Answer::Participating { id, nodes, nick } => Body::Participating(wire::Participating {
            id: person_id(id),
            nodes: nodes.0.into(),
            nick: nick_to(nick.as_ref()),
        }),
        Answer::Subscribed { added, removed } => Body::Subscribed(subscribe_to(*added, *removed)),
        Answer::Departed => Body::Departed(wire::Depart {}),
        Answer::NickSet(nick) => Body::NickSet(nick.as_str().into()),
        Answer::Created(local) => Body::Created(local.as_str().into()),
        Answer::Destroyed => Body::Destroyed(wire::Done {}),
        Answer::PresenceSubscription(wanted) => Body::PresenceSubscription(*wanted),
        Answer::Items(items) => Body::Items(items_to(items)),
        Answer::Own {
            participation,
            affiliation,
            readable,
        } => Body::Own(wire::Own {
            participation: participation.as_deref().map(participation_to),
            affiliation: affiliation_to(*affiliation),
            readable: readable.0.into(),
        }),
        Answer::Archive(page) => Body::Archive(page_to(page)),
        Answer::Listing(listing) => Body::Listing(listing_to(listing)),
        Answer::Bounds(bounds) => Body::Bounds(wire::Bounds {
            first: bounds.as_ref().map(|(first, _)| bound_to(first)),
            last: bounds.as_ref().map(|(_, last)| bound_to(last)),
        }),
    };
    wire::Answer { body: Some(body) }
}

/// What [`answer_to`] made.
pub fn answer_from(answer: Option<wire::Answer>) -> Result<Answer, Error> {
    let body = answer.and_then(|answer| answer.body);
    Ok(match body.ok_or(Error::Missing("answer"))? {
        Body::Done(_) => Answer::Done,
        Body::Info(info) => Answer::Info(Box::new(info_from(info)?)),
        Body::Occupants(nicks) => {
            Answer::Occupants(nicks.names.into_iter().map(Into::into).collect())
        }
        Body::Nodes(nodes) => Answer::Nodes(nodes_from(nodes)?),
        Body::ReservedNick(nick) => Answer::ReservedNick(nick_from(nick.nick)),
        Body::Relayed(relayed) => Answer::Relayed(Box::new(relayed_from(relayed))),
        Body::Form(config) => Answer::Form(config_from(Some(config))?),
        Body::Participating(p) => Answer::Participating {
            id: stable_id(&p.id)?,
            nodes: nodes_from(p.nodes)?,
            nick: nick_from(p.nick),
        },
        Body::Subscribed(subscribed) => {
            let (added, removed) = subscribe_from(&subscribed)?;
            Answer::Subscribed { added, removed }
        }
        Body::Departed(_) => Answer::Departed,
        Body::NickSet(nick) => Answer::NickSet(Nick::from_clean(&nick)),
        Body::Created(local) => Answer::Created(local.into()),
        Body::Destroyed(_) => Answer::Destroyed,
        Body::PresenceSubscription(wanted) => Answer::PresenceSubscription(wanted),
        Body::Items(items) => Answer::Items(items_from(items)?),
        Body::Own(own) => Answer::Own {
            participation: own.participation.map(participation_from).transpose()?,
            affiliation: affiliation_from(own.affiliation)?,
            readable: nodes_from(own.readable)?,
        },
        Body::Archive(page) => Answer::Archive(Box::new(page_from(page)?)),
        Body::Listing(listing) => Answer::Listing(Box::new(listing_from(listing))),
        Body::Bounds(bounds) => Answer::Bounds(bounds_from(bounds)?),
    })
}

fn info_to(info: &Info) -> wire::Info {
    wire::Info {
        config: Some(config_to(&info.config)),
        subject: info.subject.as_deref().map(subject_to),
        occupants: info.occupants as u64,
        contacts: info.contacts.iter().map(|c| c.as_str().into()).collect(),
        nodes: info.nodes.0.into(),
    }
}

fn info_from(info: wire::Info) -> Result<Info, Error> {
    let contacts = info.contacts.into_iter();
    Ok(Info {
        config: config_from(info.config)?,
        subject: info.subject.map(subject_from).transpose()?,
        occupants: size(info.occupants)?,
        contacts: contacts.map(BareJid::from_normalised).collect(),
        nodes: nodes_from(info.nodes)?,
    })
}

fn items_to(items: &NodeItems) -> wire::Items {
    let body = match items {
        NodeItems::Participants {
            items,
            count,
            index,
            complete,
        } => items::Body::Participants(wire::Participants {
            items: items.iter().map(item_to).collect(),
            count: *count as u64,
            index: *index as u64,
            complete: *complete,
        }),
        NodeItems::Info(stamp, config, subject) => items::Body::Info(wire::InfoItem {
            stamp: stamp.0,
            config: Some(config_to(config)),
            subject: subject.as_deref().map(subject_to),
        }),
        NodeItems::Empty(node) => items::Body::Empty(node.name().into()),
    };
    wire::Items { body: Some(body) }
}

fn items_from(items: wire::Items) -> Result<NodeItems, Error> {
    Ok(match items.body.ok_or(Error::Missing("items"))? {
        items::Body::Participants(p) => NodeItems::Participants {
            items: p
                .items
                .into_iter()
                .map(item_from)
                .collect::<Result<_, _>>()?,
            count: size(p.count)?,
            index: size(p.index)?,
            complete: p.complete,
        },
        items::Body::Info(info) => NodeItems::Info(
            Timestamp(info.stamp),
            config_from(info.config)?,
            info.subject.map(subject_from).transpose()?,
        ),
        items::Body::Empty(node) => NodeItems::Empty(node_from(&node)?),
    })
}

fn item_to(item: &ParticipantItem) -> wire::ParticipantItem {
    wire::ParticipantItem {
        person: Some(person_to(&item.person)),
        jid_visible: item.jid_visible,
    }
}

fn item_from(item: wire::ParticipantItem) -> Result<ParticipantItem, Error> {
    Ok(ParticipantItem {
        person: person_from(item.person)?,
        jid_visible: item.jid_visible,
    })
}

fn page_to(page: &ArchivePage) -> wire::ArchivePage {
    wire::ArchivePage {
        view: view_to(page.view),
        entries: records_to(&page.entries),
        complete: page.complete,
        count: page.count,
        index: page.index,
        flip: page.flip,
        sees_jids: page.sees_jids,
        visibility: visibility_to(page.visibility),
    }
}

fn page_from(page: wire::ArchivePage) -> Result<ArchivePage, Error> {
    Ok(ArchivePage {
        view: view_from(page.view)?,
        entries: records_from(page.entries)?,
        complete: page.complete,
        count: page.count,
        index: page.index,
        flip: page.flip,
        sees_jids: page.sees_jids,
        visibility: visibility_from(page.visibility)?,
    })
}

fn listing_to(listing: &Listing) -> wire::Listing {
    let items = listing
        .items
        .iter()
        .map(|(local, name)| wire::ListedChannel {
            local: local.as_str().into(),
            name: name.as_str().into(),
        });
    wire::Listing {
        items: items.collect(),
        count: listing.count,
        index: listing.index,
        complete: listing.complete,
    }
}

fn listing_from(listing: wire::Listing) -> Listing {
    let items = listing.items.into_iter();
    Listing {
        items: items.map(|i| (i.local.into(), i.name.into())).collect(),
        count: listing.count,
        index: listing.index,
        complete: listing.complete,
    }
}

type Bound = (ArchiveId, Timestamp);

fn bound_to((id, stamp): &Bound) -> wire::Entry {
    wire::Entry {
        id: entry_id(id),
        stamp: stamp.0,
    }
}

fn bounds_from(bounds: wire::Bounds) -> Result<Option<(Bound, Bound)>, Error> {
    let bound = |e: wire::Entry| Ok::<_, Error>((archive_id(&e.id)?, Timestamp(e.stamp)));
    match (bounds.first, bounds.last) {
        (Some(first), Some(last)) => Ok(Some((bound(first)?, bound(last)?))),
        (None, None) => Ok(None),
        _ => Err(Error::Missing("bound")),
    }
}
