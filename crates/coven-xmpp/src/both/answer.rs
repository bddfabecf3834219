//! Answers to IQs: which part of the crate writes the result of what.

use super::{disco, items, mam, service};
use crate::domains::{Domain, Domains, Names};
use crate::incoming::{address_of, payload_of, stanza_of};
use crate::ns;
use crate::render::Sink;
use crate::stanza::{Echo, error_reply, result_reply};
use crate::{mix, muc};
use bytes::Bytes;
use coven_core::{Answer, ChannelName, Condition, Origin, View};

/// See [`crate::render::answer`].
pub(crate) fn answer(domains: &Domains, origin: &Origin, answer: &Answer, sink: &mut impl Sink) {
    let Some((domain, local)) = address_of(domains, origin) else {
        return;
    };
    let names = domains.names(&ChannelName {
        space: domain.space.clone(),
        local,
    });
    match answer {
        Answer::Relayed(relayed) => muc::relay(&names, relayed, sink),
        Answer::Archive(page) => match mam::page(&names, origin, page, sink) {
            Ok(fin) => result(origin, &fin, sink),
            Err(condition) => refuse(origin, condition, sink),
        },
        _ => match payload(domain, &names, origin, answer, sink) {
            Some(payload) => result(origin, &payload, sink),
            None => mix::answer(&names, origin, answer, sink),
        },
    }
}

/// Sends the result of an IQ.
pub(crate) fn result(origin: &Origin, payload: &[u8], sink: &mut impl Sink) {
    if let Some(stanza) = result_reply(&stanza_of(origin), payload) {
        sink.answer(stanza, &origin.group);
    }
}

fn refuse(origin: &Origin, condition: Condition, sink: &mut impl Sink) {
    let error = error_reply(&stanza_of(origin), &condition.into(), Echo::Nothing);
    if let Some(error) = error {
        sink.answer(error, &origin.group);
    }
}

/// The payload of what MUC or both views answer; `None` for what is MIX's.
fn payload(
    domain: &Domain,
    names: &Names,
    origin: &Origin,
    answer: &Answer,
    sink: &mut impl Sink,
) -> Option<Bytes> {
    let is_muc = origin.view == View::Muc;
    Some(match answer {
        Answer::Done => done(origin),
        Answer::Destroyed if is_muc => Bytes::new(),
        Answer::Info(info) => {
            disco::channel(domain, names, origin.view, info, node(origin).as_deref())
        }
        Answer::Occupants(nicks) => {
            let room = names.bare(View::Muc).unwrap_or_default();
            items::occupants(&room, nicks, node(origin).as_deref())
        }
        Answer::ReservedNick(nick) => muc::reserved_nick(nick.as_ref(), node(origin).as_deref()),
        Answer::Form(config) => muc::owner_form(config),
        Answer::Listing(listing) => {
            let max = sink.max_stanza(&origin.group);
            items::listing(&domain.name, origin, listing, max)
        }
        Answer::Bounds(ends) => mam::metadata(*ends),
        _ => return None,
    })
}

/// What was asked of a room that exists, and needs nothing else of it.
fn done(origin: &Origin) -> Bytes {
    let payload = payload_of(origin);
    let Some(child) = payload.children().next() else {
        return Bytes::new();
    };
    match (child.namespace, child.name) {
        (ns::VERSION, "query") => service::version(),
        (ns::MAM, "query") => mam::form(),
        _ => Bytes::new(),
    }
}

/// The `node` of the request: mirrored in the answer (MUC-DISCO-28).
fn node(origin: &Origin) -> Option<String> {
    let payload = payload_of(origin);
    let child = payload.children().next()?;
    child.attr("node").map(std::borrow::Cow::into_owned)
}
