//! The bare address of a channel: `channel@domain`.

use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::stanza::Kind;
use crate::{mix, muc};

/// What a stanza to the bare channel leads to (MAP-02, 03, 05).
pub(crate) fn dispatch(incoming: &Incoming<'_>) -> Inbound {
    if incoming.domain.mix {
        let inbound = match incoming.stanza.kind {
            Kind::Iq => mix::iq(incoming),
            Kind::Message => mix::message(incoming),
            Kind::Presence => mix::presence(incoming),
        };
        if let Some(inbound) = inbound {
            return inbound;
        }
    }
    muc::dispatch(incoming, "")
}
