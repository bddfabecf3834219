//! Stanzas to a room or an occupant, as far as they are MUC's alone (MUC-COMP-04).

use super::{owner, private, relay};
use crate::both::bounce;
use crate::both::presence::{farewell, presence as presence_of};
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Child, IqType, Kind, PresenceType};
use coven_core::{Command, Condition, View};

/// A stanza to `room/nick`.
pub(crate) fn occupant(incoming: &Incoming<'_>, nick: &str) -> Inbound {
    match incoming.stanza.kind {
        Kind::Presence => presence(incoming, Some(nick)),
        _ if !incoming.domain.muc => incoming.refuse(Condition::ServiceUnavailable),
        Kind::Message => private::dispatch(incoming, nick),
        Kind::Iq => relay::dispatch(incoming, nick),
    }
}

/// Presence to `room/nick`, or to the bare room (`nick` = `None`) as far as it is not MIX's.
///
/// Source: XEP-0045 §7.2.1, §7.6, §7.7, §7.14, §17.3. Requirements MUC-ENTER-01, 06, 20; MUC-PRES-12, 14; MUC-LEAVE-04.
pub(crate) fn presence(incoming: &Incoming<'_>, nick: Option<&str>) -> Inbound {
    let is_join = incoming.stanza.payload.has(ns::MUC, "x");
    match incoming.stanza.presence_type() {
        Some(PresenceType::Available) if !incoming.domain.muc => match is_join {
            true => incoming.elsewhere(View::Muc, Condition::Gone),
            false => incoming.refuse(Condition::ServiceUnavailable),
        },
        Some(PresenceType::Available) if is_join => super::join::dispatch(incoming, nick),
        Some(PresenceType::Available) => {
            let update = Command::Update {
                nick: nick.map(Into::into),
                presence: presence_of(incoming),
            };
            incoming.command(View::Muc, update)
        }
        Some(PresenceType::Unavailable) if incoming.domain.muc => {
            let payload = farewell(incoming);
            incoming.command(View::Muc, Command::Leave { payload })
        }
        Some(PresenceType::Error) if incoming.domain.muc => bounce::dispatch(incoming),
        _ => Inbound::Dropped("presence-type"),
    }
}

/// IQ get or set to the bare room that is neither MIX's nor shared (MAP-05). What is unknown is not passed on to
/// occupants (MUC-COMP-07).
pub(crate) fn iq(incoming: &Incoming<'_>, kind: IqType, child: &Child<'_>) -> Inbound {
    match (child.namespace, child.name) {
        (ns::MUC_OWNER, "query") => owner::dispatch(incoming, kind, child),
        _ => incoming.refuse(Condition::ServiceUnavailable),
    }
}
