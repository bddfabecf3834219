//! The service's own address: `domain`, without localpart.

use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::stanza::IqType;
use coven_core::Condition;
use smol_str::SmolStr;

/// What a stanza to the service leads to.
pub(crate) fn dispatch(incoming: &Incoming<'_>) -> Inbound {
    incoming.refuse(Condition::ServiceUnavailable)
}

/// What the upstream routes back to us: the ping barrier, and answers to it. Everything else would be a loop.
pub(crate) fn own(incoming: &Incoming<'_>) -> Inbound {
    let id = incoming.stanza.id.clone().unwrap_or_default();
    match incoming.stanza.iq_type() {
        Some(kind) if incoming.channel.local.is_empty() => own_iq(id, kind),
        _ => Inbound::Dropped("from-ourselves"),
    }
}

fn own_iq(id: SmolStr, kind: IqType) -> Inbound {
    Inbound::OwnIq {
        id,
        error: kind == IqType::Error,
    }
}
