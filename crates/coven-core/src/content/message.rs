//! Groupchat messages (XEP-0045 §7.4, XEP-0369 §7.1.6): who may speak, and as whom. A subject is one of them.

use super::archive::{self, Ids, Place};
use super::subject;
use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::{Post, Sender, View};
use crate::event::{Event, Message};
use crate::ids::ChannelKey;
use crate::people::{person::Person, role::Role};
use crate::presence::participate::participant;
use crate::{Condition, Refusal};
use std::sync::Arc;

/// A message from an occupant with voice goes to everybody; kept ones are events, the rest passes (MUC-MAM-03, 07).
pub fn decide(
    channel: &Channel,
    sender: &Sender,
    post: &Post,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_be_open()?;
    let person = speaker(channel, sender, post.view)?;
    let subject = subject::change(channel, person, post, facts)?;
    if subject.is_none() && channel.roster.role(person) < Role::Participant {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    let archived = subject.is_some() || archive::is_kept(post.traits);
    let message = Arc::new(Message {
        archived,
        subject,
        ..message(channel, person, post, facts)
    });
    Ok(if archived {
        Decision::event(Event::Message(message))
    } else {
        Decision::output(Output::Passing(message))
    })
}

/// The person that speaks: by a MUC session, or as a participant from any client (MAP-03).
///
/// Errors: `not-acceptable` (MUC-MSG-08); `forbidden` where only MIX is spoken (MIX-MSG-02).
fn speaker<'a>(
    channel: &'a Channel,
    sender: &Sender,
    view: Option<View>,
) -> Result<&'a Arc<Person>, Refusal> {
    let session = channel
        .muc_session(sender)
        .filter(|_| view != Some(View::Mix));
    if let Some(session) = session {
        return channel
            .roster
            .person(session.person)
            .ok_or_else(|| Refusal::usual(Condition::InternalServerError));
    }
    let participant = participant(channel, sender).filter(|_| view != Some(View::Muc));
    match (participant, view) {
        (Some((person, _)), _) => Ok(person),
        (None, Some(View::Mix)) => Err(Refusal::usual(Condition::Forbidden)),
        (None, _) => Err(Refusal::new(
            Condition::NotAcceptable,
            crate::ErrorType::Cancel,
        )),
    }
}

fn message(channel: &Channel, person: &Person, post: &Post, facts: &Facts) -> Message {
    let place = Place {
        stamp: facts.now,
        sequence: channel.sequence_of(0),
    };
    let [a, b, c, ..] = facts.random;
    let ids = channel
        .ids
        .unwrap_or_else(|| Ids::new(&ChannelKey(facts.random)));
    Message {
        person: person.no,
        id: person.id,
        nick: person.shown_nick().as_ref().into(),
        nick_chosen: person.nick.is_some(),
        jid: person.jid.clone(),
        affiliation: person.affiliation,
        role: channel.roster.role(person),
        visibility: channel.roster.config().visibility,
        own_id: post.own_id.clone(),
        lang: post.lang.clone(),
        payload: post.payload.clone(),
        traits: post.traits,
        archive_id: ids.encode(place, [a, b, c]),
        archived: false,
        subject: None,
        reference: post.reference.clone().zip(facts.resolved.clone()),
    }
}
