//! Self-ping (XEP-0410) and pings to the room (XEP-0199; MUC-PING-01..05, MUC-DISCO-33).

use crate::channel::Channel;
use crate::command::{Relay, Sender};
use crate::content::relay;
use crate::people::nick::Nick;
use crate::query::Answer;
use crate::{Condition, ErrorType, Refusal};

/// A ping to the room (`None`) or to an occupant JID.
///
/// The self-ping is answered here; a ping to another occupant is passed on like any IQ (MUC-PING-04). Errors:
/// `not-acceptable` from a full JID that is not joined, whatever nick it names; `item-not-found` for a nick that nobody
/// has.
pub fn answer(
    channel: &Channel,
    sender: &Sender,
    relay: Option<&Relay>,
) -> Result<Answer, Refusal> {
    let Some(relay) = relay else {
        channel.must_exist_for(sender)?;
        return Ok(Answer::Done);
    };
    let session = channel
        .muc_session(sender)
        .ok_or_else(|| Refusal::new(Condition::NotAcceptable, ErrorType::Cancel))?;
    let holder = Nick::new(&relay.nick).and_then(|nick| channel.roster.holder(&nick).cloned());
    match holder {
        Some(person) if person.no == session.person => Ok(Answer::Done),
        Some(_) => {
            relay::request(channel, sender, relay).map(|relayed| Answer::Relayed(Box::new(relayed)))
        }
        None => Err(Refusal::usual(Condition::ItemNotFound)),
    }
}
