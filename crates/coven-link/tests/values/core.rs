//! What links carry of the core's types: what occurs in several of them is here.
//!
//! Read next: `event.rs` (what is kept), `asked.rs` (what is asked and answered).

mod asked;
mod event;

pub(crate) use asked::{answers, commands, queries};
pub(crate) use event::{message, record, records, roster, session};

use super::random::Random;
use coven_core::command::Reference;
use coven_core::content::relay::Relayed;
use coven_core::people::participation::{Nodes, Participation};
use coven_core::people::visibility::Visibility;
use coven_core::presence::session::{Presence, Show};
use coven_core::query::DirectoryPage;
use coven_core::refusal::Specific;
use coven_core::settings::config::{Broadcast, PrivateMessages};
use coven_core::{
    Affiliation, ArchiveId, BareJid, Condition, Config, ErrorType, FullJid, Group, HistoryRequest,
    Nick, Origin, Person, PersonNo, Refusal, Role, Sender, Sequence, StableId, StanzaKind,
    Timestamp, View,
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

fn nodes(r: &mut Random) -> Nodes {
    Nodes(r.next() as u16)
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

fn participation(r: &mut Random) -> Arc<Participation> {
    Arc::new(Participation {
        nodes: nodes(r),
        group: Group(r.text()),
        since: Sequence(r.next()),
    })
}

fn reference(r: &mut Random) -> Reference {
    Reference {
        start: r.small(),
        end: r.small(),
        id: r.text(),
    }
}
