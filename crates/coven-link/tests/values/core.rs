//! What links carry of the core's types.

use super::random::Random;
use coven_core::command::{
    Bounce, End, Grant, Join, Post, Private, Reference, Relay, Resolved, RoleChange, Settings,
    Traits,
};
use coven_core::content::relay::Relayed;
use coven_core::event::{By, Cause, Entry, Event, Message, PrivateMessage, Subject};
use coven_core::ids::ChannelKey;
use coven_core::people::participation::{Node, Nodes, Participation};
use coven_core::people::visibility::Visibility;
use coven_core::presence::listing::Untold;
use coven_core::presence::session::{Presence, Show};
use coven_core::query::{
    ArchivePage, ArchiveQuery, DirectoryPage, Info, Listing, NodeItems, ParticipantItem, With,
};
use coven_core::refusal::Specific;
use coven_core::roster::Parts;
use coven_core::settings::config::{Broadcast, PrivateMessages};
use coven_core::{
    Affiliation, Answer, ArchiveId, BareJid, Command, Condition, Config, Epoch, ErrorType, FullJid,
    Group, HistoryRequest, Nick, Origin, Person, PersonNo, ProbeMark, Query, Record, Refusal, Role,
    Roster, Sender, Sequence, Session, SessionNo, StableId, StanzaKind, Timestamp, View,
};
use std::sync::Arc;

fn bare(r: &mut Random) -> BareJid {
    BareJid::from_normalised(format!("u{}@example.org", r.small()))
}

fn full(r: &mut Random) -> FullJid {
    FullJid::new(&bare(r), &format!("r/{}", r.text()))
}

fn view(r: &mut Random) -> View {
    r.one_of(&[View::Muc, View::Mix])
}

fn affiliation(r: &mut Random) -> Affiliation {
    use Affiliation as A;
    r.one_of(&[A::None, A::Outcast, A::Member, A::Admin, A::Owner])
}

fn role(r: &mut Random) -> Role {
    r.one_of(&[
        Role::None,
        Role::Visitor,
        Role::Participant,
        Role::Moderator,
    ])
}

fn visibility(r: &mut Random) -> Visibility {
    r.one_of(&[
        Visibility::Hidden,
        Visibility::Visible,
        Visibility::Optional,
    ])
}

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

fn nodes(r: &mut Random) -> Nodes {
    Nodes(r.next() as u16)
}

fn node(r: &mut Random) -> Node {
    r.one_of(&Node::ALL)
}

fn stamp(r: &mut Random) -> Timestamp {
    Timestamp(r.signed())
}

fn entry_id(r: &mut Random) -> ArchiveId {
    ArchiveId(r.bytes())
}

fn nick(r: &mut Random) -> Nick {
    Nick::from_clean(&format!("n{}", r.text()))
}

pub(crate) fn sender(r: &mut Random) -> Sender {
    Sender {
        bare: bare(r),
        full: r.maybe(full),
        group: Group(r.text()),
    }
}

pub(crate) fn origin(r: &mut Random) -> Origin {
    Origin {
        kind: r.one_of(&[StanzaKind::Message, StanzaKind::Presence, StanzaKind::Iq]),
        from: r.text(),
        to: r.text(),
        id: r.maybe(Random::text),
        lang: r.maybe(Random::text),
        view: view(r),
        group: Group(r.text()),
        payload: r.payload(),
    }
}

pub(crate) fn refusal(r: &mut Random) -> Refusal {
    Refusal {
        kind: r.one_of(&ErrorType::ALL),
        condition: r.one_of(&Condition::ALL),
        text: r.text().to_string().into(),
        uri: r.maybe(|r| r.text().to_string()),
        specific: r.maybe(|r| r.one_of(&Specific::ALL)),
    }
}

pub(crate) fn relayed(r: &mut Random) -> Relayed {
    Relayed {
        to: r.text(),
        group: Group(r.text()),
        from_nick: r.text(),
        kind: r.text(),
        id: r.text(),
        payload: r.payload(),
    }
}

pub(crate) fn page(r: &mut Random) -> DirectoryPage {
    DirectoryPage {
        after: r.maybe(Random::text),
        before: r.maybe(|r| r.maybe(Random::text)),
        max: r.maybe(Random::small),
    }
}

fn presence(r: &mut Random) -> Arc<Presence> {
    use Show as S;
    Arc::new(Presence {
        show: r.one_of(&[S::Xa, S::Dnd, S::Away, S::Available, S::Chat]),
        payload: r.payload(),
    })
}

fn history(r: &mut Random) -> HistoryRequest {
    HistoryRequest {
        max_chars: r.maybe(Random::next),
        max_stanzas: r.maybe(Random::next),
        seconds: r.maybe(Random::next),
        since: r.maybe(stamp),
    }
}

fn config(r: &mut Random) -> Arc<Config> {
    use PrivateMessages as P;
    Arc::new(Config {
        name: r.text(),
        description: r.text(),
        lang: r.text(),
        public: r.flip(),
        persistent: r.flip(),
        members_only: r.flip(),
        moderated: r.flip(),
        password: r.maybe(Random::text),
        visibility: visibility(r),
        change_subject: r.flip(),
        private_messages: r.one_of(&[P::Anyone, P::Participants, P::Moderators, P::None]),
        allow_invites: r.flip(),
        max_users: r.maybe(Random::small),
        max_history: r.small(),
        broadcast: Broadcast {
            moderators: r.flip(),
            participants: r.flip(),
            visitors: r.flip(),
        },
        logging: r.flip(),
        mandatory_nicks: r.flip(),
    })
}

fn person(r: &mut Random, no: u32) -> Arc<Person> {
    Arc::new(Person {
        no: PersonNo(no),
        jid: bare(r),
        id: StableId(r.bytes()),
        nick: r.maybe(nick),
        reserved: r.maybe(|r| Box::new(nick(r))),
        affiliation: affiliation(r),
        granted: r.maybe(role),
    })
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

fn participation(r: &mut Random) -> Arc<Participation> {
    Arc::new(Participation {
        nodes: nodes(r),
        group: Group(r.text()),
        since: Sequence(r.next()),
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

fn reference(r: &mut Random) -> Reference {
    Reference {
        start: r.small(),
        end: r.small(),
        id: r.text(),
    }
}

fn subject(r: &mut Random) -> Arc<Subject> {
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

/// Every command.
pub(crate) fn commands(r: &mut Random) -> Vec<Command> {
    vec![
        Command::Join(Box::new(Join {
            nick: r.maybe(Random::text),
            password: r.maybe(Random::text),
            history: history(r),
            presence: presence(r),
            stanza_id: r.maybe(Random::text),
        })),
        Command::Update {
            nick: r.maybe(Random::text),
            presence: presence(r),
        },
        Command::Leave {
            payload: r.payload(),
        },
        Command::Bounce(Bounce {
            probed: r.maybe(|r| ProbeMark(r.bytes())),
            condition: r.one_of(&Condition::ALL),
            confirmed: r.flip(),
        }),
        Command::Post(Box::new(Post {
            view: r.maybe(view),
            own_id: r.maybe(Random::text),
            lang: r.maybe(Random::text),
            payload: r.payload(),
            traits: Traits(r.next() as u16),
            subject: r.maybe(Random::payload),
            reference: r.maybe(reference),
        })),
        Command::Private(Box::new(Private {
            nick: r.text(),
            kind: r.maybe(Random::text),
            own_id: r.maybe(Random::text),
            lang: r.maybe(Random::text),
            payload: r.payload(),
            error: r.flip(),
        })),
        Command::Relay(Box::new(relay(r))),
        Command::Participate {
            nodes: nodes(r),
            nick: r.maybe(Random::text),
        },
        Command::Subscribe {
            add: nodes(r),
            remove: nodes(r),
        },
        Command::Depart,
        Command::SetNick {
            nick: r.maybe(Random::text),
        },
        Command::Online {
            presence: presence(r),
        },
        Command::Offline {
            payload: r.payload(),
        },
        Command::Create,
        Command::CreateAdHoc,
        Command::PresenceSubscription { wanted: r.flip() },
        Command::Destroy(End {
            alternate: r.maybe(Random::text),
            reason: r.maybe(Random::text),
            password: r.maybe(Random::text),
        }),
        Command::Configure(Box::new(Settings {
            name: r.maybe(Random::text),
            description: r.maybe(Random::text),
            public: r.maybe(Random::flip),
            persistent: r.maybe(Random::flip),
            members_only: r.maybe(Random::flip),
            moderated: r.maybe(Random::flip),
            password_protected: r.maybe(Random::flip),
            password: r.maybe(Random::text),
            visibility: r.maybe(visibility),
            all: r.maybe(|r| Box::new(Arc::unwrap_or_clone(config(r)))),
        })),
        Command::CancelConfiguration,
        Command::SetAffiliation(Grant {
            jid: bare(r),
            affiliation: affiliation(r),
            nick: r.maybe(Random::text),
            reason: r.maybe(Random::text),
        }),
        Command::SetRole(RoleChange {
            nick: r.text(),
            role: role(r),
            reason: r.maybe(Random::text),
        }),
        Command::Timer,
    ]
}

fn relay(r: &mut Random) -> Relay {
    Relay {
        nick: r.text(),
        kind: r.text(),
        id: r.text(),
        payload: r.payload(),
        to_bare: r.flip(),
    }
}

/// Every query.
pub(crate) fn queries(r: &mut Random) -> Vec<Query> {
    let with = [
        With::Nick(r.text()),
        With::Id(StableId(r.bytes())),
        With::Jid(bare(r)),
    ];
    let mut all = vec![
        Query::Info { view: view(r) },
        Query::Items { view: view(r) },
        Query::ReservedNick,
        Query::OwnerForm,
        Query::Ping {
            relay: r.maybe(|r| Box::new(relay(r))),
        },
        Query::NodeItems {
            node: node(r),
            ids: r.some(Random::text),
            max_items: r.small(),
            page: r.maybe(page),
        },
        Query::OwnSubscriptions,
        Query::ArchiveBounds { view: view(r) },
    ];
    for with in with.into_iter().map(Some).chain([None]) {
        all.push(Query::Archive(Box::new(ArchiveQuery {
            view: r.maybe(view),
            with,
            start: r.maybe(stamp),
            end: r.maybe(stamp),
            before_id: r.maybe(entry_id),
            after_id: r.maybe(entry_id),
            ids: r.some(entry_id),
            after: r.maybe(entry_id),
            before: r.maybe(|r| r.maybe(entry_id)),
            max: r.maybe(Random::small),
            flip: r.flip(),
        })));
    }
    all
}

/// Every answer.
pub(crate) fn answers(r: &mut Random) -> Vec<Answer> {
    let mut all = vec![
        Answer::Done,
        Answer::Info(Box::new(Info {
            config: config(r),
            subject: r.maybe(subject),
            occupants: r.small() as usize,
            contacts: r.some(bare),
            nodes: nodes(r),
        })),
        Answer::Occupants(r.some(Random::text)),
        Answer::Nodes(nodes(r)),
        Answer::ReservedNick(r.maybe(nick)),
        Answer::Relayed(Box::new(relayed(r))),
        Answer::Form(config(r)),
        Answer::Participating {
            id: StableId(r.bytes()),
            nodes: nodes(r),
            nick: r.maybe(nick),
        },
        Answer::Subscribed {
            added: nodes(r),
            removed: nodes(r),
        },
        Answer::Departed,
        Answer::NickSet(nick(r)),
        Answer::Created(r.text()),
        Answer::Destroyed,
        Answer::PresenceSubscription(r.flip()),
        Answer::Own {
            participation: r.maybe(participation),
            affiliation: affiliation(r),
            readable: nodes(r),
        },
        Answer::Archive(Box::new(ArchivePage {
            view: view(r),
            entries: r.some(record),
            complete: r.flip(),
            count: r.maybe(Random::next),
            index: r.maybe(Random::next),
            flip: r.flip(),
            sees_jids: r.flip(),
            visibility: visibility(r),
        })),
        Answer::Listing(Box::new(Listing {
            items: r.some(|r| (r.text(), r.text())),
            count: r.next(),
            index: r.next(),
            complete: r.flip(),
        })),
        Answer::Bounds(r.maybe(|r| ((entry_id(r), stamp(r)), (entry_id(r), stamp(r))))),
    ];
    all.extend(items(r).into_iter().map(Answer::Items));
    all
}

fn items(r: &mut Random) -> Vec<NodeItems> {
    let item = |r: &mut Random| ParticipantItem {
        person: person(r, 9),
        jid_visible: r.flip(),
    };
    vec![
        NodeItems::Participants {
            items: r.some(item),
            count: r.small() as usize,
            index: r.small() as usize,
            complete: r.flip(),
        },
        NodeItems::Info(stamp(r), config(r), r.maybe(subject)),
        NodeItems::Empty(node(r)),
    ]
}
