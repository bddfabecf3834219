//! Entering by MUC: a join, a further session, a full resync, a join that creates the room (XEP-0045 §7.2).
//!
//! The burst that a newcomer gets is made by the renderer from [`Event::Joined`] and [`Output::Sync`]; here is decided
//! who gets in, and under which nick.

use super::session::Session;
use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::{Join, Sender, View};
use crate::event::{Entry, Event};
use crate::ids::{PersonNo, StableId};
use crate::life::create;
use crate::people::nick::Nick;
use crate::people::{affiliation::Affiliation, person::Person};
use crate::roster::PersonView;
use crate::{BareJid, Condition, ErrorType, FullJid, Refusal};
use std::sync::Arc;

/// Decides a MUC join. Refusals in the order of MUC-ENTER-17.
pub fn decide(
    channel: &Channel,
    sender: &Sender,
    join: &Join,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let full = sender
        .full
        .as_ref()
        .ok_or_else(|| Refusal::usual(Condition::JidMalformed))?;
    let raw = join
        .nick
        .as_deref()
        .ok_or_else(|| Refusal::usual(Condition::JidMalformed))?;
    let nick = nick_of(raw, facts)?;
    if !channel.roster.exists() {
        return create::by_join(channel, sender, full, join, nick, facts);
    }
    if let Some(session) = channel.muc_session(sender) {
        return resync(channel, session, join, raw, nick);
    }
    may_enter(channel, sender, join)?;
    let person = entrant(channel, &sender.bare, nick, facts)?;
    has_room(channel, sender, &person)?;
    let altered = person.nick.as_ref().is_some_and(|n| n.differs_from(raw));
    Ok(Decision::event(joined(
        channel,
        sender,
        full,
        person,
        join,
        Entry {
            altered,
            ..Entry::default()
        },
        0,
    )))
}

/// A nick that may be used at all. Errors: `jid-malformed` (MUC-ENTER-07), `not-acceptable` when too long (MUC-ERR-10).
pub(crate) fn nick_of(raw: &str, facts: &Facts) -> Result<Nick, Refusal> {
    let nick = Nick::new(raw).ok_or_else(|| Refusal::usual(Condition::JidMalformed))?;
    if nick.as_str().len() > facts.service.max_nick_bytes {
        return Err(Refusal::usual(Condition::NotAcceptable).text("this nickname is too long"));
    }
    Ok(nick)
}

/// Refuses a nick that somebody else holds or has reserved. Source: MUC-ENTER-11, MAP-22.
pub(crate) fn nick_free(channel: &Channel, nick: &Nick, for_bare: &BareJid) -> Result<(), Refusal> {
    let other = |person: Option<&Arc<Person>>| person.is_some_and(|p| p.jid != *for_bare);
    if other(channel.roster.holder(nick)) || other(channel.roster.reserver(nick)) {
        return Err(Refusal::usual(Condition::Conflict));
    }
    Ok(())
}

/// The record of a person known to the channel, or a new one.
pub(crate) fn person_of(channel: &Channel, bare: &BareJid, facts: &Facts) -> Person {
    match channel.roster.person_of(bare) {
        Some(person) => (**person).clone(),
        None => new_person(channel, channel.roster.next_person(), bare, facts),
    }
}

pub(crate) fn new_person(channel: &Channel, no: PersonNo, bare: &BareJid, facts: &Facts) -> Person {
    let key = channel.key.unwrap_or(crate::ids::ChannelKey(facts.random));
    Person {
        no,
        jid: bare.clone(),
        id: StableId::of(&key, bare.as_str()),
        nick: None,
        reserved: None,
        affiliation: Affiliation::None,
        granted: None,
    }
}

/// The event of a session that begins; `index`: how many events of the decision come before it.
pub(crate) fn joined(
    channel: &Channel,
    sender: &Sender,
    full: &FullJid,
    person: Person,
    join: &Join,
    entry: Entry,
    index: u64,
) -> Event {
    let at = channel.sequence_of(index);
    let session = Session {
        no: channel.roster.next_session(),
        person: person.no,
        jid: full.clone(),
        view: View::Muc,
        group: sender.group.clone(),
        joined: at,
        updated: at,
        presence: Arc::clone(&join.presence),
    };
    let entry = Entry {
        history: join.history,
        stanza_id: join.stanza_id.clone(),
        ..entry
    };
    Event::Joined {
        person: Arc::new(person),
        session: Arc::new(session),
        entry,
    }
}

fn may_enter(channel: &Channel, sender: &Sender, join: &Join) -> Result<(), Refusal> {
    let config = channel.roster.config();
    if channel.locked_for(sender) {
        return Err(Refusal::usual(Condition::ItemNotFound));
    }
    let affiliation = channel.affiliation(&sender.bare);
    if affiliation == Affiliation::Outcast {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    if config.members_only && affiliation < Affiliation::Member {
        return Err(Refusal::usual(Condition::RegistrationRequired));
    }
    if config.password.is_some() && join.password != config.password {
        return Err(Refusal::usual(Condition::NotAuthorized));
    }
    Ok(())
}

/// Who enters, under which nick: that of a person already there holds (MUC-NICK-05, MAP-23).
fn entrant(
    channel: &Channel,
    bare: &BareJid,
    nick: Nick,
    facts: &Facts,
) -> Result<Person, Refusal> {
    let person = person_of(channel, bare, facts);
    let there = channel
        .roster
        .view(person.no)
        .is_some_and(|view| view.present());
    if there && person.nick.is_some() {
        return Ok(person);
    }
    nick_free(channel, &nick, bare)?;
    Ok(Person {
        nick: Some(nick),
        ..person
    })
}

/// Source: MUC-ENTER-12, 13; MAP-43: people with a client online take a place, administrators and owners never lack one.
fn has_room(channel: &Channel, sender: &Sender, person: &Person) -> Result<(), Refusal> {
    let Some(max) = channel.roster.config().max_users else {
        return Ok(());
    };
    let online = |view: &PersonView| !view.sessions.is_empty();
    let already = channel
        .roster
        .view(person.no)
        .is_some_and(|view| online(&view));
    if already || channel.affiliation(&sender.bare) >= Affiliation::Admin {
        return Ok(());
    }
    if channel.roster.people().filter(online).count() >= max as usize {
        return Err(Refusal::new(Condition::ServiceUnavailable, ErrorType::Wait));
    }
    Ok(())
}

/// A join from a full JID that is already here: everything once more, perhaps under another nick (MUC-ENTER-21..24).
fn resync(
    channel: &Channel,
    session: &Session,
    join: &Join,
    raw: &str,
    nick: Nick,
) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let Some(person) = channel.roster.person(session.person) else {
        return Err(Refusal::usual(Condition::InternalServerError));
    };
    if *session.presence != *join.presence {
        decision.events.push(Event::Updated {
            session: session.no,
            presence: Arc::clone(&join.presence),
        });
    }
    let altered = nick.differs_from(raw);
    if person.nick.as_ref().is_none_or(|old| *old != nick) {
        nick_free(channel, &nick, &person.jid)?;
        let person = Person {
            nick: Some(nick),
            ..(**person).clone()
        };
        decision.events.push(Event::Renamed {
            person: Arc::new(person),
            altered,
        });
    }
    let stanza_id = join.stanza_id.clone();
    decision.outputs.push(Output::Sync {
        session: session.no,
        history: join.history,
        altered,
        stanza_id,
    });
    Ok(decision)
}
