//! Private messages (XEP-0045 §7.5; MUC-PM-01..08).

use super::Muc;
use super::occupant::occupant_id;
use crate::both::{bounce, post};
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::render::{Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, MessageType, StanzaError, Template};
use bytes::Bytes;
use coven_core::command::Private;
use coven_core::event::PrivateMessage;
use coven_core::{Command, Condition, Roster, View};
use smol_str::{SmolStr, format_smolstr};

/// A message to `room/nick`.
///
/// Errors that come back for a private message are passed on to its sender, those of other traffic say that a session
/// is gone: what came back tells which it was (MUC-PM-07, MUC-LEAVE-07).
pub(super) fn dispatch(incoming: &Incoming<'_>, nick: &str) -> Inbound {
    match incoming.stanza.message_type() {
        Some(MessageType::Groupchat) => incoming.refuse(Condition::BadRequest),
        Some(MessageType::Error) if !answers_private(incoming) => bounce::dispatch(incoming),
        Some(MessageType::Error) => command(incoming, nick, "error", plain_error(incoming)),
        Some(MessageType::Chat) => command(incoming, nick, "chat", payload(incoming)),
        Some(MessageType::Headline) => command(incoming, nick, "headline", payload(incoming)),
        _ => command(incoming, nick, "", payload(incoming)),
    }
}

fn command(incoming: &Incoming<'_>, nick: &str, kind: &'static str, payload: Bytes) -> Inbound {
    let private = Private {
        nick: nick.into(),
        kind: Some(SmolStr::new_static(kind)).filter(|kind| !kind.is_empty()),
        own_id: incoming.own_id(),
        lang: incoming.stanza.lang.clone(),
        payload,
        error: kind == "error",
    };
    incoming.command(View::Muc, Command::Private(Box::new(private)))
}

fn payload(incoming: &Incoming<'_>) -> Bytes {
    let payload = post::stripped(incoming);
    Bytes::copy_from_slice(payload.bytes())
}

/// Whether an error came back for a private message: servers repeat what they bounce, and copies of private messages, no
/// others, carry an empty `<x/>`. A condition that tells of a lost session is a bounce all the same.
fn answers_private(incoming: &Incoming<'_>) -> bool {
    let payload = &incoming.stanza.payload;
    let is_probe = incoming
        .stanza
        .id
        .as_ref()
        .is_some_and(|id| id.starts_with(crate::render::PROBE));
    !is_probe && payload.has(ns::MUC_USER, "x") && !tells_of_loss(bounce::condition(incoming))
}

/// Source: MUC-LEAVE-07, 08.
const fn tells_of_loss(condition: Condition) -> bool {
    matches!(
        condition,
        Condition::Gone
            | Condition::ItemNotFound
            | Condition::RecipientUnavailable
            | Condition::Redirect
            | Condition::RemoteServerNotFound
            | Condition::RemoteServerTimeout
            | Condition::ServiceUnavailable
            | Condition::InternalServerError
    )
}

/// The `<error/>` of the stanza without anything that a user could say by it: who may not send private messages may still
/// answer them by errors (MUC-PM-05, 07).
fn plain_error(incoming: &Incoming<'_>) -> Bytes {
    let error = StanzaError {
        text: None,
        detail: None,
        ..nameless_error(incoming)
    };
    written(&error)
}

/// The `<error/>` of the stanza, without what names the real address of the one who sends it (MUC-ANON-05): its `by`,
/// a new address, and any text or detail in which that address stands.
pub(super) fn anonymous_error(incoming: &Incoming<'_>) -> Bytes {
    written(&nameless_error(incoming))
}

fn nameless_error(incoming: &Incoming<'_>) -> StanzaError {
    let error = StanzaError::read(&incoming.stanza.payload)
        .unwrap_or_else(|| Condition::UndefinedCondition.into());
    let bare = incoming.sender.bare.as_str();
    let is_clean = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).to_lowercase();
        !text.contains(bare) && !text.contains(&incoming.stanza.from.bare().to_lowercase())
    };
    StanzaError {
        by: None,
        alternate: None,
        text: error.text.filter(|text| is_clean(text.as_bytes())),
        detail: error.detail.filter(|detail| is_clean(detail)),
        ..error
    }
}

fn written(error: &StanzaError) -> Bytes {
    let mut xml = Builder::with_capacity(256);
    error.write(&mut xml);
    xml.finish()
}

impl Muc {
    /// To all MUC sessions of the addressee, or to the one session that is meant (MUC-PM-01, 02, 08; MUC-MULTI-03).
    pub(super) fn private(&self, roster: &Roster, message: &PrivateMessage, sink: &mut impl Sink) {
        let Some(addressee) = roster.view(message.to) else {
            return;
        };
        let from = format_smolstr!("{}/{}", self.room, message.nick);
        let mut xml = Builder::with_capacity(message.payload.len() + 160);
        xml.raw(&message.payload).empty("x", ns::MUC_USER);
        occupant_id(&mut xml, message.id);
        let head = Head {
            type_: message.kind.as_deref(),
            id: message.own_id.as_deref(),
            lang: message.lang.as_deref(),
            ..Head::new(Kind::Message, &from)
        };
        let template = Template::new(&head, &xml.finish());
        let is_meant = |jid| message.session.as_ref().is_none_or(|only| only == jid);
        for session in addressee.muc_sessions().filter(|s| is_meant(&s.jid)) {
            sink.send(&template, Recipient::session(session));
        }
    }
}
