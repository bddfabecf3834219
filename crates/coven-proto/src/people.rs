//! People, sessions, presence and participations.

use crate::{Error, wire};
use coven_core::command::View;
use coven_core::event::{By, Cause};
use coven_core::people::participation::{Nodes, Participation};
use coven_core::presence::session::{Presence, Show};
use coven_core::{
    Affiliation, BareJid, FullJid, Group, Nick, Person, PersonNo, Role, Sequence, Session,
    SessionNo, StableId,
};
use smol_str::SmolStr;
use std::sync::Arc;

/// Two enums with the same names: `pair!(to_wire, from_wire, Core, Wire, [A, B])`. What is not known is `Invalid`.
macro_rules! pair {
    ($to:ident, $from:ident, $core:ty, $wire:ty, $what:literal, [$($name:ident),+]) => {
        pub(crate) const fn $to(value: $core) -> i32 {
            match value {
                $(<$core>::$name => <$wire>::$name as i32,)+
            }
        }

        pub(crate) fn $from(value: i32) -> Result<$core, Error> {
            match <$wire>::try_from(value) {
                $(Ok(<$wire>::$name) => Ok(<$core>::$name),)+
                Err(_) => Err(Error::Invalid($what)),
            }
        }
    };
}
pub(crate) use pair;

pair!(view_to, view_from, View, wire::View, "view", [Muc, Mix]);
pair!(
    affiliation_to,
    affiliation_from,
    Affiliation,
    wire::Affiliation,
    "affiliation",
    [None, Outcast, Member, Admin, Owner]
);
pair!(
    role_to,
    role_from,
    Role,
    wire::Role,
    "role",
    [None, Visitor, Participant, Moderator]
);
pair!(
    show_to,
    show_from,
    Show,
    wire::Show,
    "show",
    [Available, Chat, Away, Dnd, Xa]
);
pair!(
    cause_to,
    cause_from,
    Cause,
    wire::Cause,
    "cause",
    [
        Left,
        Ghost,
        Kicked,
        Banned,
        AffiliationLost,
        MembersOnly,
        Shutdown
    ]
);

pub(crate) fn text(value: Option<&SmolStr>) -> Option<String> {
    value.map(ToString::to_string)
}

pub(crate) fn smol(value: Option<String>) -> Option<SmolStr> {
    value.map(SmolStr::from)
}

pub(crate) fn stable_id(bytes: &[u8]) -> Result<StableId, Error> {
    bytes
        .try_into()
        .map(StableId)
        .map_err(|_| Error::Invalid("stable id"))
}

pub(crate) fn person_to(person: &Person) -> wire::Person {
    wire::Person {
        no: person.no.0,
        jid: person.jid.as_str().into(),
        id: person.id.0.to_vec().into(),
        nick: person.nick.as_ref().map(|n| n.as_str().into()),
        reserved: person.reserved.as_ref().map(|n| n.as_str().into()),
        affiliation: affiliation_to(person.affiliation),
        granted: person.granted.map(role_to),
    }
}

fn boxed_nick(text: &str) -> Box<Nick> {
    Box::new(Nick::from_clean(text))
}

pub(crate) fn person_from(person: Option<wire::Person>) -> Result<Arc<Person>, Error> {
    let person = person.ok_or(Error::Missing("person"))?;
    Ok(Arc::new(Person {
        no: PersonNo(person.no),
        jid: BareJid::from_normalised(person.jid),
        id: stable_id(&person.id)?,
        nick: person.nick.as_deref().map(Nick::from_clean),
        reserved: person.reserved.as_deref().map(boxed_nick),
        affiliation: affiliation_from(person.affiliation)?,
        granted: person.granted.map(role_from).transpose()?,
    }))
}

pub(crate) fn session_to(session: &Session) -> wire::Session {
    wire::Session {
        no: session.no.0,
        person: session.person.0,
        jid: session.jid.as_str().into(),
        view: view_to(session.view),
        group: session.group.0.as_str().into(),
        joined: session.joined.0,
        updated: session.updated.0,
        presence: Some(presence_to(&session.presence)),
    }
}

pub(crate) fn session_from(session: Option<wire::Session>) -> Result<Arc<Session>, Error> {
    let session = session.ok_or(Error::Missing("session"))?;
    Ok(Arc::new(Session {
        no: SessionNo(session.no),
        person: PersonNo(session.person),
        jid: FullJid::from_normalised(&session.jid).ok_or(Error::Invalid("full JID"))?,
        view: view_from(session.view)?,
        group: Group(session.group.into()),
        joined: Sequence(session.joined),
        updated: Sequence(session.updated),
        presence: presence_from(session.presence)?,
    }))
}

pub(crate) fn presence_to(presence: &Presence) -> wire::Presence {
    wire::Presence {
        show: show_to(presence.show),
        payload: presence.payload.clone(),
    }
}

pub(crate) fn presence_from(presence: Option<wire::Presence>) -> Result<Arc<Presence>, Error> {
    let presence = presence.ok_or(Error::Missing("presence"))?;
    Ok(Arc::new(Presence {
        show: show_from(presence.show)?,
        payload: presence.payload,
    }))
}

pub(crate) fn participation_to(participation: &Participation) -> wire::Participation {
    wire::Participation {
        nodes: participation.nodes.0.into(),
        group: participation.group.0.as_str().into(),
        since: participation.since.0,
    }
}

pub(crate) fn participation_from(wire: wire::Participation) -> Result<Arc<Participation>, Error> {
    let nodes = u16::try_from(wire.nodes).map_err(|_| Error::Invalid("nodes"))?;
    Ok(Arc::new(Participation {
        nodes: Nodes(nodes),
        group: Group(wire.group.into()),
        since: Sequence(wire.since),
    }))
}

pub(crate) fn by_to(by: Option<&By>) -> Option<wire::By> {
    by.map(|by| wire::By {
        nick: text(by.nick.as_ref()),
        jid: by.jid.as_str().into(),
    })
}

pub(crate) fn by_from(by: Option<wire::By>) -> Option<By> {
    by.map(|by| By {
        nick: smol(by.nick),
        jid: BareJid::from_normalised(by.jid),
    })
}
