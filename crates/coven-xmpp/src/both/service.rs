//! The service's own address: `domain`, without localpart.

use super::{datetime, disco, items};
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::mix;
use crate::ns;
use crate::stanza::{Builder, Child, IqType, Kind, MessageType};
use bytes::Bytes;
use coven_core::life::create;
use coven_core::{Condition, Timestamp};
use smol_str::SmolStr;

/// The software's name (XEP-0092).
const NAME: &str = "coven";
/// The software's version (XEP-0092).
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a stanza to the service leads to.
///
/// Source: XEP-0045 §6.2, §6.3; RFC 6120 §8.2.3. Requirements MUC-COMP-05, 07, 08; MUC-PRES-14.
pub(crate) fn dispatch(incoming: &Incoming<'_>) -> Inbound {
    let stanza = incoming.stanza;
    match stanza.kind {
        Kind::Presence => Inbound::Dropped("presence-to-service"),
        Kind::Message => match stanza.message_type() {
            Some(MessageType::Headline) => Inbound::Dropped("message-to-service"),
            _ => incoming.refuse(Condition::ServiceUnavailable),
        },
        Kind::Iq => match stanza.iq_type() {
            Some(kind @ (IqType::Get | IqType::Set)) => request(incoming, kind),
            Some(kind) => own_iq(stanza.id.clone().unwrap_or_default(), kind),
            None => incoming.refuse(Condition::BadRequest),
        },
    }
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

fn request(incoming: &Incoming<'_>, kind: IqType) -> Inbound {
    if incoming.domain.mix
        && let Some(inbound) = mix::service(incoming)
    {
        return inbound;
    }
    let Some(child) = incoming.request_child() else {
        return incoming.refuse(Condition::BadRequest);
    };
    match (kind, child.namespace) {
        (IqType::Get, ns::DISCO_INFO) => info(incoming, &child),
        (IqType::Get, ns::DISCO_ITEMS) => items::directory(incoming, &child),
        (IqType::Get, ns::PING) => incoming.result(b""),
        (IqType::Get, ns::VERSION) => incoming.result(&version()),
        (IqType::Get, ns::TIME) => incoming.result(&time(incoming.context.now)),
        (IqType::Get, ns::MUC_UNIQUE) if incoming.domain.muc => unique(incoming),
        _ => incoming.refuse(Condition::ServiceUnavailable),
    }
}

/// Source: MUC-DISCO-01, 02, 28, 30.
fn info(incoming: &Incoming<'_>, query: &Child<'_>) -> Inbound {
    match query.attr("node") {
        None => {
            let may_create = incoming.domain.service.may_create(&incoming.sender.bare);
            incoming.result(&disco::service(incoming.domain, may_create))
        }
        Some(_) => incoming.refuse(Condition::ItemNotFound),
    }
}

/// A name for a room that the requester may then create; nothing is remembered of it (XEP-0307 §2; MUC-CREATE-12).
fn unique(incoming: &Incoming<'_>) -> Inbound {
    if !incoming.domain.service.may_create(&incoming.sender.bare) {
        return incoming.refuse(Condition::NotAllowed);
    }
    let name = create::fresh_name((incoming.context.random)());
    let mut xml = Builder::with_capacity(128);
    xml.open_ns("unique", ns::MUC_UNIQUE).text(&name).close();
    incoming.result(&xml.finish())
}

/// `<query/>` of XEP-0092 (MUC-DISCO-31). The operating system is not told.
pub(crate) fn version() -> Bytes {
    let mut xml = Builder::with_capacity(128);
    xml.open_ns("query", ns::VERSION)
        .leaf("name", NAME)
        .leaf("version", VERSION)
        .close();
    xml.finish()
}

/// `<time/>` of XEP-0202 (MUC-DISCO-32). The service lives in UTC.
fn time(now: Timestamp) -> Bytes {
    let mut xml = Builder::with_capacity(128);
    xml.open_ns("time", ns::TIME)
        .leaf("tzo", "Z")
        .leaf("utc", &datetime::format(now))
        .close();
    xml.finish()
}
