//! Destroying a channel, from either view (MUC-DEST, MIX-DES, MAP-41).

use crate::channel::{Channel, Decision, Facts};
use crate::command::Sender;
use crate::event::Event;
use crate::people::affiliation::Affiliation;
use crate::query::Answer;
use crate::{Condition, Refusal};
use smol_str::SmolStr;

/// What an owner gives for the end of a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Where to go instead.
    pub alternate: Option<&'a SmolStr>,
    /// Text for people.
    pub reason: Option<&'a SmolStr>,
    /// Password of the alternative.
    pub password: Option<&'a SmolStr>,
}

/// Only owners, present or not, and administrators of the service (MIX-DES-01). Errors: `item-not-found`, `forbidden`, `policy-violation` for texts too long (MUC-ERR-10).
pub(crate) fn decide(
    channel: &Channel,
    sender: &Sender,
    wanted: Wanted<'_>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let owner = channel.affiliation(&sender.bare) == Affiliation::Owner;
    if !owner && !facts.service.is_admin(&sender.bare) {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    for text in [wanted.alternate, wanted.reason, wanted.password] {
        facts.service.bounds(text)?;
    }
    let event = Event::Destroyed {
        alternate: wanted.alternate.cloned(),
        reason: wanted.reason.cloned(),
        password: wanted.password.cloned(),
    };
    Ok(Decision::event(event).and_answer(Answer::Destroyed))
}
