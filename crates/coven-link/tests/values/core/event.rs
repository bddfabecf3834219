//! What is kept of a channel: its events, and the roster that they make.

use super::{
    affiliation, bare, config, entry_id, full, history, participation, person, presence, reference,
    role, stamp, view, visibility,
};
use crate::values::random::Random;
use coven_core::command::{Resolved, Traits};
use coven_core::event::{By, Cause, Entry, Event, Message, PrivateMessage, Subject};
use coven_core::ids::ChannelKey;
use coven_core::presence::listing::Untold;
use coven_core::roster::Parts;
use coven_core::{Epoch, Group, PersonNo, Record, Roster, Sequence, Session, SessionNo, StableId};
use std::sync::Arc;

fn cause(r: &mut Random) -> Cause {
    r.one_of(&[
        Cause::Left,
        Cause::Ghost,
        Cause::Kicked,
        Cause::Banned,
        Cause::AffiliationLost,
        Cause::MembersOnly,
        Cause::Shutdown,
    ])
}

pub(crate) fn session(r: &mut Random) -> Arc<Session> {
    let (no, person) = (r.small(), r.small());
    session_of(r, no, person)
}

fn session_of(r: &mut Random, no: u32, person: u32) -> Arc<Session> {
    Arc::new(Session {
        no: SessionNo(no),
        person: PersonNo(person),
        jid: full(r),
        view: view(r),
        group: Group(r.text()),
        joined: Sequence(r.next()),
        updated: Sequence(r.next()),
        presence: presence(r),
    })
}

pub(crate) fn message(r: &mut Random) -> Message {
    let reference = |r: &mut Random| {
        let resolved = Resolved {
            own_id: r.text(),
            archive_id: entry_id(r),
        };
        (self::reference(r), resolved)
    };
    Message {
        person: PersonNo(r.small()),
        id: StableId(r.bytes()),
        nick: r.text(),
        nick_chosen: r.flip(),
        jid: bare(r),
        affiliation: affiliation(r),
        role: role(r),
        visibility: visibility(r),
        own_id: r.maybe(Random::text),
        lang: r.maybe(Random::text),
        payload: r.payload(),
        traits: Traits(r.next() as u16),
        archive_id: entry_id(r),
        archived: r.flip(),
        subject: r.maybe(Random::payload),
        reference: r.maybe(reference),
    }
}

pub(super) fn subject(r: &mut Random) -> Arc<Subject> {
    Arc::new(Subject {
        stamp: stamp(r),
        message: Arc::new(message(r)),
    })
}

fn by(r: &mut Random) -> By {
    By {
        nick: r.maybe(Random::text),
        jid: bare(r),
    }
}

/// Every kind of event.
pub(crate) fn records(r: &mut Random) -> Vec<Arc<Record>> {
    let events = vec![
        Event::Unknown,
        Event::Created {
            key: ChannelKey(r.bytes()),
            config: config(r),
            creator: person(r, 1),
            locked_until: r.maybe(stamp),
            view: view(r),
        },
        Event::Unlocked,
        Event::Joined {
            person: person(r, 2),
            session: session(r),
            entry: Entry {
                created: r.flip(),
                altered: r.flip(),
                history: history(r),
                stanza_id: r.maybe(Random::text),
            },
        },
        Event::Online {
            session: session(r),
        },
        Event::Updated {
            session: SessionNo(r.small()),
            presence: presence(r),
        },
        Event::Left {
            session: SessionNo(r.small()),
            cause: cause(r),
            payload: r.payload(),
        },
        Event::Renamed {
            person: person(r, 3),
            altered: r.flip(),
        },
        Event::Participated {
            person: person(r, 4),
            participation: participation(r),
        },
        Event::Departed {
            person: PersonNo(r.small()),
            cause: cause(r),
        },
        Event::Changed {
            person: person(r, 5),
            by: r.maybe(by),
            reason: r.maybe(Random::text),
        },
        Event::Removed {
            person: person(r, 6),
            cause: cause(r),
            by: r.maybe(by),
            reason: r.maybe(Random::text),
        },
        Event::Message(Arc::new(message(r))),
        Event::Private(Arc::new(PrivateMessage {
            id: StableId(r.bytes()),
            nick: r.text(),
            to: PersonNo(r.small()),
            session: r.maybe(full),
            kind: r.maybe(Random::text),
            own_id: r.maybe(Random::text),
            lang: r.maybe(Random::text),
            payload: r.payload(),
        })),
        Event::Configured { config: config(r) },
        Event::Announced,
        Event::Destroyed {
            alternate: r.maybe(Random::text),
            reason: r.maybe(Random::text),
            password: r.maybe(Random::text),
        },
    ];
    let place = |event| {
        Arc::new(Record {
            sequence: Sequence(r.next()),
            first_epoch: Epoch(r.next()),
            stamp: stamp(r),
            event,
        })
    };
    events.into_iter().map(place).collect()
}

/// Some event.
pub(crate) fn record(r: &mut Random) -> Arc<Record> {
    let mut all = records(r);
    let at = r.small() as usize % all.len();
    all.swap_remove(at)
}

/// A roster with people, sessions and what else it may have.
pub(crate) fn roster(r: &mut Random) -> Roster {
    let people = (1..=r.small() % 5)
        .map(|no| (person(r, no), r.maybe(participation)))
        .collect::<Vec<_>>();
    let sessions = people
        .iter()
        .map(|(person, _)| (person.no.0, person.no.0))
        .collect::<Vec<_>>();
    let sessions = sessions
        .into_iter()
        .map(|(no, person)| session_of(r, no, person))
        .collect();
    let untold = |r: &mut Random| Untold {
        id: StableId(r.bytes()),
        jid: bare(r),
        known: r.maybe(|r| person(r, 1)),
        since: stamp(r),
    };
    Roster::from_parts(Parts {
        at: Sequence(r.next()),
        stamp: stamp(r),
        exists: r.flip(),
        config: config(r),
        configured: stamp(r),
        subject: r.maybe(subject),
        alternate: r.maybe(Random::text),
        resource_key: r.maybe(|r| ChannelKey(r.bytes())),
        people,
        sessions,
        untold: r.maybe(untold).into_iter().collect(),
        next_person: r.small(),
        next_session: r.small(),
    })
}
