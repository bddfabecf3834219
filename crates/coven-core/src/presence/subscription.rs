//! Presence subscriptions between a person and the channel (XEP-0405 §2.9; MIX-PRES-11, 12; MUC-PRES-14).
//!
//! The channel has no presence of its own; a subscription is only the means by which participants' servers share the
//! presence of their clients. It never changes who takes part, nor any MUC session.

use crate::channel::{Channel, Decision};
use crate::command::Sender;
use crate::event::{Cause, Event};
use crate::query::Answer;
use bytes::Bytes;

/// A participant may subscribe, others not; without a subscription no client of the participant is online.
pub(crate) fn decide(channel: &Channel, sender: &Sender, wanted: bool) -> Decision {
    let person = channel.roster.person_of(&sender.bare);
    let view = person
        .and_then(|p| channel.roster.view(p.no))
        .filter(|view| view.participation.is_some());
    if wanted {
        return Decision::answer(Answer::PresenceSubscription(view.is_some()));
    }
    let clients = view.iter().flat_map(|view| view.mix_sessions());
    let left = clients.map(|session| Event::Left {
        session: session.no,
        cause: Cause::Left,
        payload: Bytes::new(),
    });
    Decision {
        events: left.collect(),
        ..Decision::default()
    }
}
