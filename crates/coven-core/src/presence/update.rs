//! Presence of somebody who is here: a new availability, a nick change (XEP-0045 §7.6, §7.7), and that of MIX clients
//! (XEP-0403 §4).

use super::join::{nick_free, nick_of};
use super::session::{Presence, Session};
use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::{Sender, View};
use crate::event::{Cause, Event};
use crate::people::person::Person;
use crate::{Condition, Refusal};
use bytes::Bytes;
use std::sync::Arc;

/// Available presence without the `muc` `<x/>`: an update, a nick change, or somebody who is not here (MUC-ENTER-19).
pub fn muc(
    channel: &Channel,
    sender: &Sender,
    nick: Option<&str>,
    presence: &Arc<Presence>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let Some(session) = channel.muc_session(sender) else {
        return Ok(Decision::output(Output::NotJoined));
    };
    let mut decision = Decision::default();
    if let Some(raw) = nick {
        decision
            .events
            .extend(rename(channel, session, raw, facts)?);
    }
    if *session.presence != **presence {
        decision.events.push(Event::Updated {
            session: session.no,
            presence: Arc::clone(presence),
        });
    }
    Ok(decision)
}

/// Presence of a MIX client to the channel (MIX-PRES-01..06). Only participants have one.
pub fn mix(
    channel: &Channel,
    sender: &Sender,
    presence: &Arc<Presence>,
) -> Result<Decision, Refusal> {
    let Some(full) = &sender.full else {
        return Ok(Decision::default());
    };
    let Some(person) = channel.roster.person_of(&sender.bare) else {
        return Ok(Decision::default());
    };
    if channel.roster.participation(person.no).is_none() {
        return Ok(Decision::default());
    }
    if let Some(session) = channel.roster.session_of(View::Mix, full) {
        let same = *session.presence == **presence;
        let update = Event::Updated {
            session: session.no,
            presence: Arc::clone(presence),
        };
        return Ok(if same {
            Decision::default()
        } else {
            Decision::event(update)
        });
    }
    let at = channel.sequence_of(0);
    let session = Session {
        no: channel.roster.next_session(),
        person: person.no,
        jid: full.clone(),
        view: View::Mix,
        group: sender.group.clone(),
        joined: at,
        updated: at,
        presence: Arc::clone(presence),
    };
    Ok(Decision::event(Event::Online {
        session: Arc::new(session),
    }))
}

/// A MIX client went offline; unavailable from somebody unknown is ignored.
pub fn offline(channel: &Channel, sender: &Sender) -> Result<Decision, Refusal> {
    let session = sender
        .full
        .as_ref()
        .and_then(|full| channel.roster.session_of(View::Mix, full));
    Ok(session.map_or_else(Decision::default, |session| {
        Decision::event(Event::Left {
            session: session.no,
            cause: Cause::Left,
            payload: Bytes::new(),
        })
    }))
}

/// Source: MUC-NICK-01, 04, 07, 08; MUC-MULTI-10. `None` when the nick is the present one.
fn rename(
    channel: &Channel,
    session: &Session,
    raw: &str,
    facts: &Facts,
) -> Result<Option<Event>, Refusal> {
    let Some(person) = channel.roster.person(session.person) else {
        return Err(Refusal::usual(Condition::InternalServerError));
    };
    if person
        .nick
        .as_ref()
        .is_some_and(|old| !old.differs_from(raw))
    {
        return Ok(None);
    }
    let nick = nick_of(raw, facts)?;
    if person.nick.as_ref() == Some(&nick) {
        return Ok(None);
    }
    nick_free(channel, &nick, &person.jid)?;
    let altered = nick.differs_from(raw);
    let person = Person {
        nick: Some(nick),
        ..(**person).clone()
    };
    Ok(Some(Event::Renamed {
        person: Arc::new(person),
        altered,
    }))
}
