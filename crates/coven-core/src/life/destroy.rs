//! Destroying a channel, from either view (MUC-DEST, MIX-DES, MAP-41).

use crate::channel::{Channel, Decision, Facts};
use crate::command::{End, Sender};
use crate::event::Event;
use crate::people::affiliation::Affiliation;
use crate::query::Answer;
use crate::{Condition, Refusal};

/// Only owners, present or not, and administrators of the service (MIX-DES-01). Errors: `item-not-found`, `forbidden`,
/// `policy-violation` for texts too long (MUC-ERR-10).
pub(crate) fn decide(
    channel: &Channel,
    sender: &Sender,
    end: &End,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let owner = channel.affiliation(&sender.bare) == Affiliation::Owner;
    if !owner && !facts.service.is_admin(&sender.bare) {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    for text in [&end.alternate, &end.reason, &end.password] {
        facts.service.bounds(text.as_ref())?;
    }
    let event = Event::Destroyed {
        alternate: end.alternate.clone(),
        reason: end.reason.clone(),
        password: end.password.clone(),
    };
    Ok(Decision::event(event).and_answer(Answer::Destroyed))
}
