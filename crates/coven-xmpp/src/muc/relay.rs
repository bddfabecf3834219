//! IQs between occupants (XEP-0045 §17.4; MUC-IQ-01..06, MUC-PING).

use super::private::anonymous_error;
use crate::dispatch::Inbound;
use crate::domains::Names;
use crate::incoming::Incoming;
use crate::ns;
use crate::render::Sink;
use crate::stanza::{Head, IqType, Kind, Outgoing};
use bytes::Bytes;
use coven_core::command::Relay;
use coven_core::content::relay::Relayed;
use coven_core::{Command, Condition, Query, View};
use smol_str::format_smolstr;

/// Bytes of an id at most, so that the id made of it (core `relay`) is still one that comes back.
const MAX_ID_BYTES: usize = 512;

/// An IQ to `room/nick`: passed on, except the self-ping (MUC-PING-01), which the core tells from other pings.
pub(super) fn dispatch(incoming: &Incoming<'_>, nick: &str) -> Inbound {
    let stanza = incoming.stanza;
    let (Some(kind), Some(id)) = (stanza.iq_type(), stanza.id.clone()) else {
        return incoming.refuse(Condition::BadRequest);
    };
    let asks = matches!(kind, IqType::Get | IqType::Set);
    if asks && id.len() > MAX_ID_BYTES {
        return incoming.refuse(Condition::PolicyViolation);
    }
    let child = incoming.request_child();
    let namespace = child.map_or("", |child| child.namespace);
    let payload = match kind {
        IqType::Error => anonymous_error(incoming),
        _ => Bytes::copy_from_slice(stanza.payload.bytes()),
    };
    let relay = Box::new(Relay {
        nick: nick.into(),
        kind: stanza.type_.clone().unwrap_or_default(),
        id,
        payload,
        to_bare: matches!(namespace, ns::VCARD_TEMP | ns::VCARD4 | ns::PUBSUB),
    });
    if kind == IqType::Get && namespace == ns::PING {
        return incoming.query(View::Muc, Query::Ping { relay: Some(relay) });
    }
    incoming.command(View::Muc, Command::Relay(relay))
}

/// The IQ as its addressee gets it: from the other's occupant JID (MUC-IQ-01).
pub(crate) fn relay(names: &Names, relayed: &Relayed, sink: &mut impl Sink) {
    let Some(room) = names.bare(View::Muc) else {
        return;
    };
    let from = format_smolstr!("{room}/{}", relayed.from_nick);
    let head = Head::new(Kind::Iq, &from)
        .with_type(&relayed.kind)
        .with_id(Some(&relayed.id));
    let stanza = Outgoing::new(&head, &relayed.to, &relayed.payload);
    sink.answer(stanza, &relayed.group);
}
