//! Private messages between occupants (XEP-0045 §7.5; MUC-PM-01..08). Across the views they come with a later step.

use crate::channel::{Channel, Decision};
use crate::command::{Private, Sender};
use crate::event::{Event, PrivateMessage};
use crate::people::nick::Nick;
use crate::people::{person::Person, role::Role};
use crate::settings::config::PrivateMessages;
use crate::{Condition, ErrorType, PersonNo, Refusal};
use std::sync::Arc;

/// From an occupant to all MUC sessions of another. The sender is checked first (MUC-PM-04). Never archived (MUC-PM-06).
///
/// Errors: `not-acceptable`, `item-not-found` (MUC-PM-04), `forbidden` (MUC-PM-05), `service-unavailable` for a participant
/// without MUC session. An answer of type error is passed on or dropped, never refused (MUC-PM-07, MUC-LEAVE-11); one that
/// makes its sender a ghost is a [`crate::command::Bounce`] instead.
pub fn decide(channel: &Channel, sender: &Sender, private: &Private) -> Result<Decision, Refusal> {
    let message = addressed(channel, sender, private);
    if private.error {
        return Ok(message.map_or_else(|_| Decision::default(), passed));
    }
    message.map(passed)
}

fn passed(message: PrivateMessage) -> Decision {
    Decision::event(Event::Private(Arc::new(message)))
}

fn addressed(
    channel: &Channel,
    sender: &Sender,
    private: &Private,
) -> Result<PrivateMessage, Refusal> {
    let from = speaker(channel, sender)?;
    let to = addressee(channel, &private.nick)?;
    if !private.error && to != from.no && !allowed(channel, from) {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    Ok(PrivateMessage {
        id: from.id,
        nick: from.shown_nick().as_ref().into(),
        to,
        session: None,
        kind: private.kind.clone(),
        own_id: private.own_id.clone(),
        lang: private.lang.clone(),
        payload: private.payload.clone(),
    })
}

fn speaker<'a>(channel: &'a Channel, sender: &Sender) -> Result<&'a Arc<Person>, Refusal> {
    let session = channel.muc_session(sender);
    match session.and_then(|s| channel.roster.person(s.person)) {
        Some(person) => Ok(person),
        None => {
            channel.must_exist_for(sender)?;
            Err(Refusal::new(Condition::NotAcceptable, ErrorType::Cancel))
        }
    }
}

fn addressee(channel: &Channel, nick: &str) -> Result<PersonNo, Refusal> {
    let person = Nick::new(nick).and_then(|nick| channel.roster.holder(&nick));
    let view = person.and_then(|p| channel.roster.view(p.no));
    let view = view.ok_or_else(|| Refusal::usual(Condition::ItemNotFound))?;
    if view.muc_sessions().next().is_none() {
        return Err(Refusal::usual(Condition::ServiceUnavailable));
    }
    Ok(view.person.no)
}

/// Source: MUC-PM-05.
fn allowed(channel: &Channel, person: &Person) -> bool {
    let role = channel.roster.role(person);
    match channel.roster.config().private_messages {
        PrivateMessages::Anyone => true,
        PrivateMessages::Participants => role >= Role::Participant,
        PrivateMessages::Moderators => role >= Role::Moderator,
        PrivateMessages::None => false,
    }
}
