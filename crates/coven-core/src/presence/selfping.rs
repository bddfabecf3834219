//! Self-ping (XEP-0410) and pings to the room (XEP-0199; MUC-PING-01..05, MUC-DISCO-33).

use crate::channel::Channel;
use crate::command::Sender;
use crate::people::nick::Nick;
use crate::query::Answer;
use crate::{Condition, Refusal};

/// A ping to the room (`nick` = `None`) or to an occupant JID.
///
/// Only the self-ping is answered here; a ping to another occupant is a relayed IQ. Errors: `not-acceptable` from a full
/// JID that is not joined, whatever nick it names; `item-not-found` for a nick that nobody has.
pub fn answer(channel: &Channel, sender: &Sender, nick: Option<&str>) -> Result<Answer, Refusal> {
    let Some(raw) = nick else {
        channel.must_exist_for(sender)?;
        return Ok(Answer::Done);
    };
    let session = channel
        .muc_session(sender)
        .ok_or_else(|| Refusal::usual(Condition::NotAcceptable))?;
    let holder = Nick::new(raw).and_then(|nick| channel.roster.holder(&nick).cloned());
    match holder {
        Some(person) if person.no == session.person => Ok(Answer::Done),
        Some(_) => Err(Refusal::usual(Condition::FeatureNotImplemented)),
        None => Err(Refusal::usual(Condition::ItemNotFound)),
    }
}

/// Whether a ping by `sender` to `raw` is a self-ping or its refusal, that is: not to be relayed.
#[must_use]
pub fn is_own(channel: &Channel, sender: &Sender, raw: &str) -> bool {
    let Some(session) = channel.muc_session(sender) else {
        return true;
    };
    Nick::new(raw)
        .and_then(|nick| channel.roster.holder(&nick))
        .is_none_or(|person| person.no == session.person)
}
