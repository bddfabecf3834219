//! Events as journal records.

use crate::people::{
    affiliation_from, affiliation_to, by_from, by_to, cause_from, cause_to, participation_from,
    participation_to, person_from, person_to, presence_from, presence_to, role_from, role_to,
    session_from, session_to, smol, stable_id, text, view_from, view_to,
};
use crate::settings::{config_from, config_to, visibility_from, visibility_to};
use crate::wire::event::Body;
use crate::{Error, wire};
use bytes::Bytes;
use coven_core::command::{HistoryRequest, Reference, Resolved, Traits};
use coven_core::event::{Entry, Event, Message, PrivateMessage};
use coven_core::ids::ChannelKey;
use coven_core::{ArchiveId, BareJid, FullJid, PersonNo, SessionNo, Timestamp};
use prost::Message as _;
use std::sync::Arc;

/// The kind of an event as the store keeps it: its number in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u32);

/// The record of an event, and its kind.
#[must_use]
pub fn encode_event(event: &Event) -> (Kind, Bytes) {
    let body = body_to(event);
    let kind = body.as_ref().map_or(Kind(0), kind_of);
    let wire = wire::Event {
        ignorable: body.is_none(),
        body,
    };
    (kind, wire.encode_to_vec().into())
}

/// The record of an event in a format that is finalized (I7), and its kind.
#[must_use]
pub fn encode_event_in(event: &Event, format: u32) -> (Kind, Bytes) {
    let (kind, record) = encode_event(event);
    (kind, crate::format::written(event, record, format))
}

/// The event of a record: [`Event::Unknown`] for a kind that this version does not know and may pass over.
pub fn decode_event(record: Bytes) -> Result<Event, Error> {
    let wire =
        wire::Event::decode(crate::format::read(record)).map_err(|source| Error::Format {
            what: "journal record",
            source,
        })?;
    match wire.body {
        Some(body) => body_from(body),
        None if wire.ignorable => Ok(Event::Unknown),
        None => Err(Error::Newer),
    }
}

const fn kind_of(body: &Body) -> Kind {
    Kind(match body {
        Body::Created(_) => 2,
        Body::Unlocked(_) => 3,
        Body::Joined(_) => 4,
        Body::Online(_) => 5,
        Body::Updated(_) => 6,
        Body::Left(_) => 7,
        Body::Renamed(_) => 8,
        Body::Participated(_) => 9,
        Body::Departed(_) => 10,
        Body::Changed(_) => 11,
        Body::Removed(_) => 12,
        Body::Message(_) => 13,
        Body::Private(_) => 14,
        Body::Configured(_) => 15,
        Body::Destroyed(_) => 16,
        Body::Announced(_) => 17,
    })
}

fn body_to(event: &Event) -> Option<Body> {
    Some(match event {
        Event::Unknown => return None,
        Event::Created {
            key,
            config,
            creator,
            locked_until,
            view,
        } => Body::Created(wire::Created {
            key: key.0.to_vec().into(),
            config: Some(config_to(config)),
            creator: Some(person_to(creator)),
            locked_until: locked_until.map(|t| t.0),
            view: view_to(*view),
        }),
        Event::Unlocked => Body::Unlocked(wire::Unlocked {}),
        Event::Joined {
            person,
            session,
            entry,
        } => Body::Joined(wire::Joined {
            person: Some(person_to(person)),
            session: Some(session_to(session)),
            created: entry.created,
            altered: entry.altered,
            history: Some(history_to(entry.history)),
            stanza_id: text(entry.stanza_id.as_ref()),
        }),
        Event::Online { session } => Body::Online(session_to(session)),
        Event::Updated { session, presence } => Body::Updated(wire::Updated {
            session: session.0,
            presence: Some(presence_to(presence)),
        }),
        Event::Left {
            session,
            cause,
            payload,
        } => Body::Left(wire::Left {
            session: session.0,
            cause: cause_to(*cause),
            payload: payload.clone(),
        }),
        Event::Renamed { person, altered } => Body::Renamed(wire::Renamed {
            person: Some(person_to(person)),
            altered: *altered,
        }),
        Event::Participated {
            person,
            participation,
        } => Body::Participated(wire::Participated {
            person: Some(person_to(person)),
            participation: Some(participation_to(participation)),
        }),
        Event::Departed { person, cause } => Body::Departed(wire::Departed {
            person: person.0,
            cause: cause_to(*cause),
        }),
        Event::Changed { person, by, reason } => Body::Changed(wire::Changed {
            person: Some(person_to(person)),
            by: by_to(by.as_ref()),
            reason: text(reason.as_ref()),
        }),
        Event::Removed {
            person,
            cause,
            by,
            reason,
        } => Body::Removed(wire::Removed {
            person: Some(person_to(person)),
            cause: cause_to(*cause),
            by: by_to(by.as_ref()),
            reason: text(reason.as_ref()),
        }),
        Event::Message(message) => Body::Message(message_to(message)),
        Event::Private(private) => Body::Private(private_to(private)),
        Event::Configured { config } => Body::Configured(config_to(config)),
        Event::Announced => Body::Announced(wire::Announced {}),
        Event::Destroyed {
            alternate,
            reason,
            password,
        } => Body::Destroyed(wire::Destroyed {
            alternate: text(alternate.as_ref()),
            reason: text(reason.as_ref()),
            password: text(password.as_ref()),
        }),
    })
}

fn body_from(body: Body) -> Result<Event, Error> {
    Ok(match body {
        Body::Created(e) => Event::Created {
            key: channel_key(&e.key)?,
            config: config_from(e.config)?,
            creator: person_from(e.creator)?,
            locked_until: e.locked_until.map(Timestamp),
            view: view_from(e.view)?,
        },
        Body::Unlocked(_) => Event::Unlocked,
        Body::Joined(e) => Event::Joined {
            person: person_from(e.person)?,
            session: session_from(e.session)?,
            entry: Entry {
                created: e.created,
                altered: e.altered,
                history: e.history.map(history_from).unwrap_or_default(),
                stanza_id: smol(e.stanza_id),
            },
        },
        Body::Online(session) => Event::Online {
            session: session_from(Some(session))?,
        },
        Body::Updated(e) => Event::Updated {
            session: SessionNo(e.session),
            presence: presence_from(e.presence)?,
        },
        Body::Left(e) => Event::Left {
            session: SessionNo(e.session),
            cause: cause_from(e.cause)?,
            payload: e.payload,
        },
        Body::Renamed(e) => Event::Renamed {
            person: person_from(e.person)?,
            altered: e.altered,
        },
        Body::Participated(e) => Event::Participated {
            person: person_from(e.person)?,
            participation: participation_from(
                e.participation.ok_or(Error::Missing("participation"))?,
            )?,
        },
        Body::Departed(e) => Event::Departed {
            person: PersonNo(e.person),
            cause: cause_from(e.cause)?,
        },
        Body::Changed(e) => Event::Changed {
            person: person_from(e.person)?,
            by: by_from(e.by),
            reason: smol(e.reason),
        },
        Body::Removed(e) => Event::Removed {
            person: person_from(e.person)?,
            cause: cause_from(e.cause)?,
            by: by_from(e.by),
            reason: smol(e.reason),
        },
        Body::Message(message) => Event::Message(Arc::new(message_from(message)?)),
        Body::Private(private) => Event::Private(Arc::new(private_from(private)?)),
        Body::Configured(config) => Event::Configured {
            config: config_from(Some(config))?,
        },
        Body::Announced(_) => Event::Announced,
        Body::Destroyed(e) => Event::Destroyed {
            alternate: smol(e.alternate),
            reason: smol(e.reason),
            password: smol(e.password),
        },
    })
}

pub(crate) fn channel_key(bytes: &[u8]) -> Result<ChannelKey, Error> {
    bytes
        .try_into()
        .map(ChannelKey)
        .map_err(|_| Error::Invalid("channel key"))
}

pub(crate) const fn history_to(h: HistoryRequest) -> wire::History {
    wire::History {
        max_chars: h.max_chars,
        max_stanzas: h.max_stanzas,
        seconds: h.seconds,
        since: match h.since {
            Some(stamp) => Some(stamp.0),
            None => None,
        },
    }
}

pub(crate) fn history_from(h: wire::History) -> HistoryRequest {
    HistoryRequest {
        max_chars: h.max_chars,
        max_stanzas: h.max_stanzas,
        seconds: h.seconds,
        since: h.since.map(Timestamp),
    }
}

pub(crate) fn message_to(m: &Message) -> wire::Message {
    wire::Message {
        person: m.person.0,
        id: m.id.0.to_vec().into(),
        nick: m.nick.to_string(),
        nick_chosen: m.nick_chosen,
        jid: m.jid.as_str().into(),
        affiliation: affiliation_to(m.affiliation),
        role: role_to(m.role),
        visibility: visibility_to(m.visibility),
        own_id: text(m.own_id.as_ref()),
        lang: text(m.lang.as_ref()),
        payload: m.payload.clone(),
        traits: m.traits.0.into(),
        archive_id: m.archive_id.0.to_vec().into(),
        archived: m.archived,
        subject: m.subject.clone(),
        reference: m
            .reference
            .as_ref()
            .map(|(reference, resolved)| wire::Reference {
                start: reference.start,
                end: reference.end,
                id: reference.id.to_string(),
                own_id: resolved.own_id.to_string(),
                archive_id: resolved.archive_id.0.to_vec().into(),
            }),
    }
}

pub(crate) fn message_from(m: wire::Message) -> Result<Message, Error> {
    Ok(Message {
        person: PersonNo(m.person),
        id: stable_id(&m.id)?,
        nick: m.nick.into(),
        nick_chosen: m.nick_chosen,
        jid: BareJid::from_normalised(m.jid),
        affiliation: affiliation_from(m.affiliation)?,
        role: role_from(m.role)?,
        visibility: visibility_from(m.visibility)?,
        own_id: smol(m.own_id),
        lang: smol(m.lang),
        payload: m.payload,
        traits: Traits(u16::try_from(m.traits).map_err(|_| Error::Invalid("traits"))?),
        archive_id: archive_id(&m.archive_id)?,
        archived: m.archived,
        subject: m.subject,
        reference: m.reference.map(reference_from).transpose()?,
    })
}

fn reference_from(r: wire::Reference) -> Result<(Reference, Resolved), Error> {
    let resolved = Resolved {
        own_id: r.own_id.into(),
        archive_id: archive_id(&r.archive_id)?,
    };
    Ok((
        Reference {
            start: r.start,
            end: r.end,
            id: r.id.into(),
        },
        resolved,
    ))
}

pub(crate) fn archive_id(bytes: &[u8]) -> Result<ArchiveId, Error> {
    bytes
        .try_into()
        .map(ArchiveId)
        .map_err(|_| Error::Invalid("archive id"))
}

fn private_to(p: &PrivateMessage) -> wire::Private {
    wire::Private {
        id: p.id.0.to_vec().into(),
        nick: p.nick.to_string(),
        to: p.to.0,
        session: p.session.as_ref().map(|s| s.as_str().into()),
        kind: text(p.kind.as_ref()),
        own_id: text(p.own_id.as_ref()),
        lang: text(p.lang.as_ref()),
        payload: p.payload.clone(),
    }
}

fn private_from(p: wire::Private) -> Result<PrivateMessage, Error> {
    Ok(PrivateMessage {
        id: stable_id(&p.id)?,
        nick: p.nick.into(),
        to: PersonNo(p.to),
        session: p.session.as_deref().and_then(FullJid::from_normalised),
        kind: smol(p.kind),
        own_id: smol(p.own_id),
        lang: smol(p.lang),
        payload: p.payload,
    })
}
