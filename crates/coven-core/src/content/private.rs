//! Private messages between occupants (XEP-0045 §7.5; MUC-PM-01..08). Across the views they come with a later step.

use crate::channel::{Channel, Decision};
use crate::command::{Private, Sender};
use crate::event::{Event, PrivateMessage};
use crate::people::nick::Nick;
use crate::people::{person::Person, role::Role};
use crate::settings::config::PrivateMessages;
use crate::{Condition, Refusal};
use std::sync::Arc;

/// From an occupant to all MUC sessions of another. The sender is checked first (MUC-PM-04).
pub fn decide(channel: &Channel, sender: &Sender, private: &Private) -> Result<Decision, Refusal> {
    let person = match channel
        .muc_session(sender)
        .and_then(|s| channel.roster.person(s.person))
    {
        Some(person) => person,
        None if private.error => return Ok(Decision::default()),
        None => {
            channel.must_exist_for(sender)?;
            return Err(Refusal::new(
                Condition::NotAcceptable,
                crate::ErrorType::Cancel,
            ));
        }
    };
    let to = Nick::new(&private.nick).and_then(|nick| channel.roster.holder(&nick));
    let Some(to) = to.filter(|p| channel.roster.view(p.no).is_some_and(|v| v.present())) else {
        return if private.error {
            Ok(Decision::default())
        } else {
            Err(Refusal::usual(Condition::ItemNotFound))
        };
    };
    if !private.error && to.no != person.no && !allowed(channel, person) {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    Ok(Decision::event(Event::Private(Arc::new(PrivateMessage {
        id: person.id,
        nick: person.shown_nick().as_ref().into(),
        to: to.no,
        session: None,
        kind: private.kind.clone(),
        own_id: private.own_id.clone(),
        lang: private.lang.clone(),
        payload: private.payload.clone(),
    }))))
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
