//! Presence subscriptions between a person and the channel (XEP-0405 §2.9; MIX-PRES-11, 12; MUC-PRES-14).
//!
//! The channel has no presence of its own; a subscription is only the means by which participants' servers share the
//! presence of their clients. It never changes who takes part, nor any MUC session.

use super::leave::ended;
use crate::channel::{Channel, Decision};
use crate::command::Sender;
use crate::event::Cause;
use crate::query::Answer;
use bytes::Bytes;

/// A participant may subscribe, others not; without a subscription no client of the participant is online.
pub(crate) fn decide(channel: &Channel, sender: &Sender, wanted: bool) -> Decision {
    let person = channel.roster.person_of(&sender.bare);
    let view = person
        .and_then(|p| channel.roster.view(p.no))
        .filter(|view| view.participation.is_some() && channel.lock.is_none());
    if wanted {
        return Decision::answer(Answer::PresenceSubscription(view.is_some()));
    }
    let mut decision = Decision::default();
    for session in view.iter().flat_map(|view| view.mix_sessions()) {
        let left = ended(channel, session, Cause::Left, Bytes::new());
        decision.events.extend(left.events);
    }
    decision
}
