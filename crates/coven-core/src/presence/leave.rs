//! Leaving by MUC (XEP-0045 §7.14): one session ends; the occupant leaves with its last.

use crate::channel::{Channel, Decision};
use crate::command::Sender;
use crate::event::{Cause, Event};
use crate::life::persistence::{self, Ending};
use crate::presence::session::MAX_PAYLOAD_BYTES;
use crate::{Refusal, Session};
use bytes::Bytes;

/// Unavailable presence. From a full JID that is not here it is ignored (MUC-LEAVE-03); the nick does not matter
/// (MUC-LEAVE-05). Words of farewell beyond the bound of a presence are left out: nobody is kept for them.
pub fn decide(channel: &Channel, sender: &Sender, payload: &Bytes) -> Result<Decision, Refusal> {
    let Some(session) = channel.muc_session(sender) else {
        return Ok(Decision::default());
    };
    let fits = payload.len() <= MAX_PAYLOAD_BYTES;
    let payload = if fits { payload.clone() } else { Bytes::new() };
    Ok(ended(channel, session, Cause::Left, payload))
}

/// A session ends; with it perhaps a temporary or unconfigured room (MUC-LEAVE-06, MUC-CREATE-08).
pub(crate) fn ended(
    channel: &Channel,
    session: &Session,
    cause: Cause,
    payload: Bytes,
) -> Decision {
    let mut decision = Decision::event(Event::Left {
        session: session.no,
        cause,
        payload,
    });
    let ending = Ending::Sessions(session.person, &[session.no]);
    decision
        .events
        .extend(persistence::after(channel, &[ending]));
    decision
}
