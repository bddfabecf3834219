//! Entering by MUC: a join, a further session, a full resync, a join that creates the room (XEP-0045 §7.2).
//!
//! The burst that a newcomer gets is made by the renderer from [`Event::Joined`] and [`Output::Sync`]; here is decided
//! who gets in, and under which nick.

use super::session::{self, Session};
use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::{Join, Sender, View};
use crate::event::{Entry, Event};
use crate::life::create;
use crate::people::affiliation::Affiliation;
use crate::people::nick::{Nick, allowed, free, imposed};
use crate::people::person::{self, Person};
use crate::{BareJid, Condition, ErrorType, Refusal};
use std::sync::Arc;

/// Decides a MUC join. Refusals in the order of MUC-ENTER-17.
pub fn decide(
    channel: &Channel,
    sender: &Sender,
    join: &Join,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let malformed = || Refusal::usual(Condition::JidMalformed);
    let raw = join.nick.as_deref().ok_or_else(malformed)?;
    if sender.full.is_none() {
        return Err(malformed());
    }
    let nick = allowed(raw, facts)?;
    join.presence.bounds()?;
    if !channel.roster.exists() {
        return create::by_join(channel, sender, join, nick, facts);
    }
    if let Some(session) = channel.muc_session(sender) {
        return resync(channel, session, join, nick, facts);
    }
    may_enter(channel, sender, join)?;
    let known = person::known(channel, &sender.bare, facts);
    let person = entrant(channel, &known, nick, facts)?;
    has_room(channel, sender, facts)?;
    session::has_place(channel, &sender.bare, facts)?;
    Ok(enter(channel, sender, join, raw, &known, person))
}

/// The events of somebody who enters. A participant without nick that gets one by this is renamed first: the MUC view
/// had shown it under a generated one (MAP-24).
fn enter(
    channel: &Channel,
    sender: &Sender,
    join: &Join,
    raw: &str,
    known: &Person,
    person: Person,
) -> Decision {
    let mut decision = Decision::default();
    if channel.roster.is_present(known.no) && known.nick != person.nick {
        decision.events.push(Event::Renamed {
            person: Arc::new(person.clone()),
            altered: false,
        });
    }
    let entry = Entry {
        altered: person.nick.as_ref().is_some_and(|n| n.differs_from(raw)),
        ..Entry::default()
    };
    let index = decision.events.len() as u64;
    let joined = joined(channel, sender, person, join, entry, index);
    decision.events.extend(joined);
    decision
}

/// The event of a session that begins; `index`: how many events of the decision come before it. `None` without full JID.
pub(crate) fn joined(
    channel: &Channel,
    sender: &Sender,
    person: Person,
    join: &Join,
    entry: Entry,
    index: u64,
) -> Option<Event> {
    let at = channel.sequence_of(index);
    let session = session::begun(channel, sender, person.no, View::Muc, &join.presence, at)?;
    let entry = Entry {
        history: join.history,
        stanza_id: join.stanza_id.clone(),
        ..entry
    };
    Some(Event::Joined {
        person: Arc::new(person),
        session: Arc::new(session),
        entry,
    })
}

/// Source: MUC-ENTER-08, 09, 10, 15.
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

/// Who enters, under which nick: that of a person already there holds (MUC-NICK-05, MAP-23), as does one that is imposed
/// (MUC-ENTER-27).
fn entrant(
    channel: &Channel,
    known: &Person,
    nick: Nick,
    facts: &Facts,
) -> Result<Person, Refusal> {
    if channel.roster.is_present(known.no) && known.nick.is_some() {
        return Ok(known.clone());
    }
    let nick = imposed(known, facts).cloned().unwrap_or(nick);
    free(channel, &nick, known)?;
    Ok(Person {
        nick: Some(nick),
        ..known.clone()
    })
}

/// Source: MUC-ENTER-12, 13; MAP-43: people with a client online take a place, administrators and owners may exceed the
/// limit by a reserve.
fn has_room(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<(), Refusal> {
    let Some(max) = channel.roster.config().max_users else {
        return Ok(());
    };
    let privileged = channel.affiliation(&sender.bare) >= Affiliation::Admin;
    let reserve = if privileged { facts.service.reserve } else { 0 };
    let places = max.saturating_add(reserve) as usize;
    if !is_online(channel, &sender.bare) && channel.roster.online() >= places {
        return Err(Refusal::new(Condition::ServiceUnavailable, ErrorType::Wait));
    }
    Ok(())
}

fn is_online(channel: &Channel, bare: &BareJid) -> bool {
    let person = channel.roster.person_of(bare);
    let view = person.and_then(|person| channel.roster.view(person.no));
    view.is_some_and(|view| !view.sessions.is_empty())
}

/// A join from a full JID that is already here: everything once more, perhaps under another nick (MUC-ENTER-21..24).
fn resync(
    channel: &Channel,
    session: &Session,
    join: &Join,
    nick: Nick,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let Some(person) = channel.roster.person(session.person) else {
        return Err(Refusal::usual(Condition::InternalServerError));
    };
    let mut decision = Decision::default();
    let nick = imposed(person, facts).cloned().unwrap_or(nick);
    let altered = join
        .nick
        .as_deref()
        .is_some_and(|raw| nick.differs_from(raw));
    if person.nick.as_ref().is_none_or(|old| *old != nick) {
        free(channel, &nick, person)?;
        let person = Person {
            nick: Some(nick),
            ..(**person).clone()
        };
        decision.events.push(Event::Renamed {
            person: Arc::new(person),
            altered,
        });
    }
    decision.events.push(session.begun_again(&join.presence));
    decision.outputs.push(Output::Sync {
        session: session.no,
        history: join.history,
        altered,
        stanza_id: join.stanza_id.clone(),
    });
    Ok(decision)
}
