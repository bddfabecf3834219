//! Presence of somebody who is here: a new availability, a nick change (XEP-0045 §7.6, §7.7), and that of MIX clients
//! (XEP-0403 §4).

use super::leave::{self, ended};
use super::session::{self, Presence, Session};
use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::{Sender, View};
use crate::event::{Cause, Event};
use crate::people::nick::{allowed, changeable, free};
use crate::people::participation::{Node, Participation};
use crate::people::person::Person;
use crate::presence::participate::participant;
use crate::{Condition, Refusal};
use bytes::Bytes;
use std::sync::Arc;

/// Available presence without the `muc` `<x/>`: an update, a nick change, or somebody who is not here (MUC-ENTER-19).
/// To the bare room (`nick` is `None`) it is as in [`bare`], or, where MIX is not spoken there, an update (MUC-PRES-12).
pub fn muc(
    channel: &Channel,
    sender: &Sender,
    nick: Option<&str>,
    presence: &Arc<Presence>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let Some(raw) = nick else {
        return if facts.service.shares_address() {
            bare(channel, sender, presence, facts)
        } else {
            of_muc(channel, sender, presence)
        };
    };
    let Some(session) = channel.muc_session(sender) else {
        return Ok(Decision::output(Output::NotJoined));
    };
    presence.bounds()?;
    let mut decision = Decision::default();
    decision
        .events
        .extend(rename(channel, session, raw, facts)?);
    decision.events.extend(session.changed_to(presence));
    Ok(decision)
}

/// Presence to the bare channel: of a participant's client (MIX-PRES-01), or of a MUC session of somebody who is no
/// participant (MUC-PRES-12, MAP-02), where both views share the address. Of anybody else it is ignored (MIX-PRES-07).
///
/// From a bare JID it asks for the presence of everybody else, and a probe is translated to the same (MIX-PRES-06).
pub fn bare(
    channel: &Channel,
    sender: &Sender,
    presence: &Arc<Presence>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let Some((person, participation)) = participant(channel, sender) else {
        return if facts.service.shares_address() {
            of_muc(channel, sender, presence)
        } else {
            Ok(Decision::default())
        };
    };
    if sender.full.is_none() {
        return Ok(refresh(person, participation));
    }
    online(channel, sender, person, presence, facts)
}

/// Unavailable presence to the bare channel: a participant's client went offline; for others as in [`bare`].
pub fn offline(
    channel: &Channel,
    sender: &Sender,
    payload: &Bytes,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    if participant(channel, sender).is_none() {
        return if facts.service.shares_address() {
            leave::decide(channel, sender, payload)
        } else {
            Ok(Decision::default())
        };
    }
    let session = sender
        .full
        .as_ref()
        .and_then(|full| channel.roster.session_of(View::Mix, full));
    Ok(session.map_or_else(Decision::default, |session| {
        ended(channel, session, Cause::Left, Bytes::new())
    }))
}

/// An update of the sender's MUC session, if it has one.
fn of_muc(
    channel: &Channel,
    sender: &Sender,
    presence: &Arc<Presence>,
) -> Result<Decision, Refusal> {
    let Some(session) = channel.muc_session(sender) else {
        return Ok(Decision::default());
    };
    presence.bounds()?;
    let changed = session.changed_to(presence);
    Ok(changed.map_or_else(Decision::default, Decision::event))
}

/// All presence, to the bare JID of a subscriber of the presence node.
fn refresh(person: &Person, participation: &Participation) -> Decision {
    if participation.nodes.has(Node::Presence) {
        Decision::output(Output::PresenceDump { to: person.no })
    } else {
        Decision::default()
    }
}

/// A client of a participant: a new item of the presence node, or a replaced one.
fn online(
    channel: &Channel,
    sender: &Sender,
    person: &Person,
    presence: &Arc<Presence>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    presence.bounds()?;
    let full = sender.full.as_ref();
    if let Some(session) = full.and_then(|full| channel.roster.session_of(View::Mix, full)) {
        return Ok(Decision::event(session.begun_again(presence)));
    }
    session::has_place(channel, &sender.bare, facts)?;
    let at = channel.sequence_of(0);
    let begun = session::begun(channel, sender, person.no, View::Mix, presence, at);
    Ok(begun.map_or_else(Decision::default, |session| {
        Decision::event(Event::Online {
            session: Arc::new(session),
        })
    }))
}

/// Source: MUC-NICK-01, 04, 06, 07, 08; MUC-MULTI-10. `None` when the nick is the present one.
fn rename(
    channel: &Channel,
    session: &Session,
    raw: &str,
    facts: &Facts,
) -> Result<Option<Event>, Refusal> {
    let Some(person) = channel.roster.person(session.person) else {
        return Err(Refusal::usual(Condition::InternalServerError));
    };
    let present = person.nick.as_ref();
    if present.is_some_and(|old| !old.differs_from(raw)) {
        return Ok(None);
    }
    let nick = allowed(raw, facts)?;
    if present == Some(&nick) {
        return Ok(None);
    }
    changeable(person, &nick, facts)?;
    free(channel, &nick, person)?;
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
