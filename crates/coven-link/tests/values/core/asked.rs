//! What a channel is asked to do, and what it answers.

use super::event::{record, subject};
use super::{
    affiliation, bare, config, entry_id, history, nick, nodes, page, participation, person,
    presence, reference, relayed, role, stamp, view, visibility,
};
use crate::values::random::Random;
use coven_core::command::{
    Bounce, End, Grant, Join, Post, Private, Relay, RoleChange, Settings, Traits,
};
use coven_core::people::participation::Node;
use coven_core::query::{
    ArchivePage, ArchiveQuery, Info, Listing, NodeItems, ParticipantItem, With,
};
use coven_core::{Answer, Command, Condition, ProbeMark, Query, StableId};
use std::sync::Arc;

fn node(r: &mut Random) -> Node {
    r.one_of(&Node::ALL)
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
