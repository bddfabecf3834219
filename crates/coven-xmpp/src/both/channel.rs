//! The bare address of a channel: `channel@domain`.
//!
//! What only one view understands goes to `muc` or `mix`; what both share (discovery, pings, archives, groupchat) is
//! taken here (MAP-02, 03, 05, 07).

use super::{bounce, disco, mam, post};
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Child, IqType, Kind, MessageType};
use crate::{mix, muc};
use coven_core::{Condition, Query, View};

/// What a stanza to the bare channel leads to.
pub(crate) fn dispatch(incoming: &Incoming<'_>) -> Inbound {
    match incoming.stanza.kind {
        Kind::Iq => iq(incoming),
        Kind::Message => message(incoming),
        Kind::Presence => presence(incoming),
    }
}

/// Presence to the bare channel is of MIX where MIX is spoken, except a join without nick (MUC-ENTER-06, MAP-02).
fn presence(incoming: &Incoming<'_>) -> Inbound {
    let is_join = incoming.stanza.payload.has(ns::MUC, "x");
    if incoming.domain.mix
        && !is_join
        && let Some(inbound) = mix::presence(incoming)
    {
        return inbound;
    }
    muc::presence(incoming, None)
}

/// Source: MAP-03, MUC-MSG-11, MUC-LEAVE-07.
fn message(incoming: &Incoming<'_>) -> Inbound {
    let kind = incoming.stanza.message_type();
    if kind == Some(MessageType::Groupchat) {
        return post::dispatch(incoming);
    }
    if incoming.domain.mix
        && let Some(inbound) = mix::message(incoming)
    {
        return inbound;
    }
    match kind {
        Some(MessageType::Error) => bounce::dispatch(incoming),
        Some(MessageType::Headline) => Inbound::Dropped("headline"),
        _ if incoming.domain.muc => incoming.refuse(Condition::BadRequest),
        _ => incoming.refuse(Condition::ServiceUnavailable),
    }
}

/// Source: MUC-COMP-05, 07, 08; MAP-05.
fn iq(incoming: &Incoming<'_>) -> Inbound {
    let kind = match incoming.stanza.iq_type() {
        Some(kind @ (IqType::Get | IqType::Set)) => kind,
        Some(_) => return Inbound::Dropped("iq-answer-to-nothing"),
        None => return incoming.refuse(Condition::BadRequest),
    };
    if incoming.domain.mix
        && let Some(inbound) = mix::iq(incoming)
    {
        return inbound;
    }
    let Some(child) = incoming.request_child() else {
        return incoming.refuse(Condition::BadRequest);
    };
    request(incoming, kind, &child)
}

fn request(incoming: &Incoming<'_>, kind: IqType, child: &Child<'_>) -> Inbound {
    let view = incoming.domain.usual_view();
    match (kind, child.namespace, child.name) {
        (IqType::Get, ns::DISCO_INFO, "query") => disco::info(incoming, child),
        (IqType::Get, ns::DISCO_ITEMS, "query") => disco::items(incoming, child),
        // The room has to exist; what is told then is read from the request again.
        (IqType::Get, ns::PING | ns::VERSION, _) | (IqType::Get, ns::MAM, "query") => {
            incoming.query(view, Query::Ping { relay: None })
        }
        (IqType::Set, ns::MAM, "query") => mam::query(incoming, child),
        (IqType::Get, ns::MAM, "metadata") => mam::bounds(incoming, child),
        (_, ns::MAM, "prefs") => incoming.refuse(Condition::FeatureNotImplemented),
        (_, ns::MIX_CORE, "join") => incoming.elsewhere(View::Mix, Condition::Redirect),
        _ if incoming.domain.muc => muc::iq(incoming, kind, child),
        _ => incoming.refuse(Condition::ServiceUnavailable),
    }
}
