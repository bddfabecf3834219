//! Destroying a channel, from either view (MUC-DEST, MIX-DES, MAP-41).

use crate::channel::{Channel, Decision};
use crate::command::Sender;
use crate::event::Event;
use crate::people::affiliation::Affiliation;
use crate::query::Answer;
use crate::{Condition, Refusal};
use smol_str::SmolStr;

/// Only owners. Errors: `item-not-found`, `forbidden`.
pub fn decide(
    channel: &Channel,
    sender: &Sender,
    alternate: Option<&SmolStr>,
    reason: Option<&SmolStr>,
    password: Option<&SmolStr>,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    if channel.affiliation(&sender.bare) != Affiliation::Owner {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    let event = Event::Destroyed {
        alternate: alternate.cloned(),
        reason: reason.cloned(),
        password: password.cloned(),
    };
    Ok(Decision::event(event).and_answer(Answer::Destroyed))
}
