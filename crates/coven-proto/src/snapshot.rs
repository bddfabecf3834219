//! A channel's state as a snapshot.

use crate::event::{channel_key, message_from, message_to};
use crate::people::{participation_from, participation_to, person_from, person_to};
use crate::people::{session_from, session_to, smol, stable_id, text};
use crate::settings::{config_from, config_to};
use crate::{Error, wire};
use bytes::Bytes;
use coven_core::event::Subject;
use coven_core::ids::ChannelKey;
use coven_core::people::participation::Participation;
use coven_core::presence::listing::Untold;
use coven_core::roster::Parts;
use coven_core::settings::lock::Lock;
use coven_core::{BareJid, Person, PersonNo, Roster, Sequence, Timestamp};
use prost::Message as _;
use std::sync::Arc;

/// What a snapshot holds.
#[derive(Debug, Clone)]
pub struct State {
    /// People, sessions, settings.
    pub roster: Roster,
    /// The secret, while the channel exists.
    pub key: Option<ChannelKey>,
    /// The lock of a room not yet configured.
    pub lock: Option<Lock>,
}

/// The bytes of a channel's state.
#[must_use]
pub fn encode_snapshot(roster: &Roster, key: Option<&ChannelKey>, lock: Option<&Lock>) -> Bytes {
    let snapshot = wire::Snapshot {
        key: key.map(|k| k.0.to_vec().into()).unwrap_or_default(),
        lock: lock.map(|l| wire::Lock {
            creator: l.creator.0,
            until: l.until.0,
        }),
        ..parts_to(&roster.parts())
    };
    snapshot.encode_to_vec().into()
}

/// A roster alone: without the secrets that only the channel knows.
pub(crate) fn parts_to(parts: &Parts) -> wire::Snapshot {
    let member = |(person, participation): &(Arc<_>, Option<Arc<_>>)| wire::Member {
        person: Some(person_to(person)),
        participation: participation.as_deref().map(participation_to),
    };
    wire::Snapshot {
        at: parts.at.0,
        stamp: parts.stamp.0,
        exists: parts.exists,
        key: Bytes::new(),
        config: Some(config_to(&parts.config)),
        configured: parts.configured.0,
        subject: parts.subject.as_deref().map(subject_to),
        alternate: text(parts.alternate.as_ref()),
        people: parts.people.iter().map(member).collect(),
        sessions: parts.sessions.iter().map(|s| session_to(s)).collect(),
        untold: parts.untold.iter().map(untold_to).collect(),
        next_person: parts.next_person,
        next_session: parts.next_session,
        lock: None,
    }
}

/// The state of a snapshot's bytes.
pub fn decode_snapshot(bytes: Bytes) -> Result<State, Error> {
    let mut s = wire::Snapshot::decode(bytes).map_err(|source| Error::Format {
        what: "snapshot",
        source,
    })?;
    let key = match std::mem::take(&mut s.key) {
        empty if empty.is_empty() => None,
        key => Some(channel_key(&key)?),
    };
    let lock = s.lock.take().map(|l| Lock {
        creator: PersonNo(l.creator),
        until: Timestamp(l.until),
    });
    let resources = key.as_ref().map(ChannelKey::of_resources);
    Ok(State {
        roster: roster_from(s, resources)?,
        key,
        lock,
    })
}

/// The roster of a snapshot, with the key of its generated resources.
pub(crate) fn roster_from(
    s: wire::Snapshot,
    resource_key: Option<ChannelKey>,
) -> Result<Roster, Error> {
    let people: Result<_, Error> = s.people.into_iter().map(member_from).collect();
    let sessions: Result<_, Error> = s
        .sessions
        .into_iter()
        .map(|session| session_from(Some(session)))
        .collect();
    let untold: Result<_, Error> = s.untold.into_iter().map(untold_from).collect();
    Ok(Roster::from_parts(Parts {
        at: Sequence(s.at),
        stamp: Timestamp(s.stamp),
        exists: s.exists,
        config: config_from(s.config)?,
        configured: Timestamp(s.configured),
        subject: s.subject.map(subject_from).transpose()?,
        alternate: smol(s.alternate),
        resource_key,
        people: people?,
        sessions: sessions?,
        untold: untold?,
        next_person: s.next_person,
        next_session: s.next_session,
    }))
}

fn member_from(member: wire::Member) -> Result<(Arc<Person>, Option<Arc<Participation>>), Error> {
    let participation = member.participation.map(participation_from);
    Ok((person_from(member.person)?, participation.transpose()?))
}

pub(crate) fn subject_to(subject: &Subject) -> wire::Subject {
    wire::Subject {
        stamp: subject.stamp.0,
        message: Some(message_to(&subject.message)),
    }
}

fn untold_to(untold: &Untold) -> wire::Untold {
    wire::Untold {
        id: untold.id.0.to_vec().into(),
        jid: untold.jid.as_str().into(),
        known: untold.known.as_deref().map(person_to),
        since: untold.since.0,
    }
}

fn untold_from(untold: wire::Untold) -> Result<Untold, Error> {
    Ok(Untold {
        id: stable_id(&untold.id)?,
        jid: BareJid::from_normalised(untold.jid),
        known: untold
            .known
            .map(|person| person_from(Some(person)))
            .transpose()?,
        since: Timestamp(untold.since),
    })
}

pub(crate) fn subject_from(s: wire::Subject) -> Result<Arc<Subject>, Error> {
    let message = message_from(s.message.ok_or(Error::Missing("subject message"))?)?;
    Ok(Arc::new(Subject {
        stamp: Timestamp(s.stamp),
        message: Arc::new(message),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use coven_core::{Affiliation, Nick, StableId};

    #[test]
    fn map_12_i7_what_is_not_told_yet_is_part_of_a_snapshot() {
        let jid = BareJid::from_normalised("hag66@shakespeare.example");
        let person = Person {
            no: PersonNo(7),
            jid: jid.clone(),
            id: StableId([7; 20]),
            nick: Some(Nick::from_clean("thirdwitch")),
            reserved: None,
            affiliation: Affiliation::None,
            granted: None,
        };
        let untold = |n, known| Untold {
            id: StableId([n; 20]),
            jid: jid.clone(),
            known,
            since: Timestamp(1_800_000_000_000 + i64::from(n)),
        };
        let parts = Parts {
            untold: vec![untold(1, None), untold(7, Some(Arc::new(person)))],
            ..Parts::default()
        };
        let bytes = encode_snapshot(&Roster::from_parts(parts.clone()), None, None);
        assert_eq!(decode_snapshot(bytes).unwrap().roster.parts(), parts);
    }
}
