//! A stanza with what is known of its addresses, and the ways to answer it.
//!
//! Owns the normalised sender and channel, the [`Origin`] that travels with a command, and error replies, both to a
//! stanza at hand and later to its origin (MUC-ERR-01 to 04).

use crate::dispatch::{Context, Inbound, Request};
use crate::domains::{Domain, Domains};
use crate::mix;
use crate::ns;
use crate::render::PROBE;
use crate::stanza::{
    Address, Child, Echo, ErrorType, Kind, Outgoing, Payload, Stanza, StanzaError, error_reply,
    escape_attribute, may_be_answered_by_error, result_reply,
};
use crate::stream::Limits;
use bytes::Bytes;
use coven_core::{
    BareJid, ChannelName, Command, Condition, FullJid, Group, Origin, Query, Refusal, Sender,
    StanzaKind, View,
};
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// Bytes of payload that an error repeats at most (MUC-ERR-03).
const MAX_ECHO: usize = 64 * 1024;

/// Bytes of a message's id at most, as it is written into copies.
const MAX_WRITTEN_ID: usize = 512;

/// A stanza with what is known of its addresses.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) stanza: &'a Stanza,
    pub(crate) context: Context<'a>,
    pub(crate) domain: &'a Domain,
    pub(crate) sender: Sender,
    /// The channel it is addressed to; an empty localpart for the service itself.
    pub(crate) channel: ChannelName,
}

impl<'a> Incoming<'a> {
    /// A stanza to `domain`. Errors: `jid-malformed` for addresses that break the rules.
    pub(crate) fn new(
        stanza: &'a Stanza,
        context: &Context<'a>,
        domain: &'a Domain,
    ) -> Result<Self, Condition> {
        let malformed = |_| Condition::JidMalformed;
        let local = normal_local(&stanza.to).map_err(malformed)?;
        let sender = sender(&stanza.from, context.group).map_err(malformed)?;
        Ok(Self {
            stanza,
            context: *context,
            domain,
            sender,
            channel: ChannelName {
                space: domain.space.clone(),
                local: local.unwrap_or_default(),
            },
        })
    }

    /// The resource of the address; an empty one is none.
    pub(crate) fn resource(&self) -> Option<&'a str> {
        self.stanza.to.resource().filter(|r| !r.is_empty())
    }

    /// The sender's id of a message, for those who get copies. None that passes for a probe's: what bounces it is no
    /// answer to a probe (MUC-LEAVE-12).
    pub(crate) fn own_id(&self) -> Option<SmolStr> {
        let id = self.stanza.id.as_ref()?;
        (!id.starts_with(PROBE)).then(|| id.clone())
    }

    /// Whether the id, written anew in a copy, takes more than there is room for below `max-stanza` (I9): references make
    /// six bytes of one, and corrections name the id once more.
    pub(crate) fn has_long_id(&self) -> bool {
        let mut written = Vec::new();
        let id = self.stanza.id.as_deref().unwrap_or_default();
        escape_attribute(&mut written, id);
        written.len() > MAX_WRITTEN_ID
    }

    /// The payload of an IQ get or set: its one child.
    pub(crate) fn request_child(&self) -> Option<Child<'a>> {
        self.stanza.payload.children().next()
    }

    /// Whether the stanza comes from an address of ours, routed back by the upstream.
    pub(crate) fn is_from_us(&self) -> bool {
        let domains = self.context.domains;
        domains.get(self.sender.bare.domain()).is_some()
    }

    /// For the channel: a change.
    pub(crate) fn command(&self, view: View, command: Command) -> Inbound {
        self.request(view, Request::Command(command))
    }

    /// For the channel: a read.
    pub(crate) fn query(&self, view: View, query: Query) -> Inbound {
        self.request(view, Request::Query(query))
    }

    fn request(&self, view: View, request: Request) -> Inbound {
        Inbound::Channel {
            name: self.channel.clone(),
            sender: self.sender.clone(),
            request,
            origin: self.origin(view),
        }
    }

    /// Where an answer goes.
    pub(crate) fn origin(&self, view: View) -> Arc<Origin> {
        let stanza = self.stanza;
        Arc::new(Origin {
            kind: match stanza.kind {
                Kind::Message => StanzaKind::Message,
                Kind::Presence => StanzaKind::Presence,
                Kind::Iq => StanzaKind::Iq,
            },
            from: if is_answerable(stanza) {
                stanza.from.raw().into()
            } else {
                SmolStr::default()
            },
            to: stanza.to.raw().into(),
            id: stanza.id.clone(),
            lang: stanza.lang.clone(),
            view,
            group: self.context.group.clone(),
            payload: stanza.payload.bytes().clone(),
        })
    }

    /// The bare address of the channel as its domain's view knows it: `by` of its errors (MUC-ERR-02).
    pub(crate) fn room(&self) -> SmolStr {
        room(&self.channel.local, &self.domain.name)
    }

    /// Answered by an error.
    pub(crate) fn refuse(&self, error: impl Into<StanzaError>) -> Inbound {
        let error = error.into().with_by(self.room());
        refuse(self.stanza, error)
    }

    /// Answered by an error that names the address where this view is spoken (MAP-83).
    pub(crate) fn elsewhere(&self, view: View, condition: Condition) -> Inbound {
        let names = self.context.domains.names(&self.channel);
        match names.bare(view) {
            Some(address) => self.refuse(
                StanzaError::from(condition).with_alternate(format_smolstr!("xmpp:{address}?join")),
            ),
            None => self.refuse(Condition::ServiceUnavailable),
        }
    }

    /// Answered by the result of an IQ.
    pub(crate) fn result(&self, payload: &[u8]) -> Inbound {
        match result_reply(self.stanza, payload) {
            Some(answer) => Inbound::Answer(answer),
            None => Inbound::Dropped("no-request"),
        }
    }
}

/// Whether an error may be sent to whom it comes from, also later: whoever says farewell is not there any more.
fn is_answerable(stanza: &Stanza) -> bool {
    let farewell = stanza.kind == Kind::Presence && stanza.type_.as_deref() == Some("unavailable");
    may_be_answered_by_error(stanza) && !farewell
}

/// Answered by an error, where one may be given.
pub(crate) fn refuse(stanza: &Stanza, error: StanzaError) -> Inbound {
    match error_reply(stanza, &error, echo(stanza)) {
        Some(answer) => Inbound::Answer(answer),
        None => Inbound::Dropped("error-not-answered"),
    }
}

/// Requests of MIX are not repeated: participants' servers understand errors of one child alone (MIX-PAMC-04).
fn echo(stanza: &Stanza) -> Echo {
    if stanza.kind == Kind::Iq && stanza.payload.has_namespace(ns::MIX_CORE) {
        return Echo::Nothing;
    }
    Echo::UpTo(MAX_ECHO)
}

/// The error reply to a command that came from `origin`.
pub(crate) fn refusal(domains: &Domains, origin: &Origin, refusal: &Refusal) -> Option<Outgoing> {
    if !origin.is_answerable() {
        return None;
    }
    let stanza = stanza_of(origin);
    let mut error = adjusted(origin, &stanza, refusal);
    if let Some((domain, local)) = address_of(domains, origin) {
        let names = domains.names(&ChannelName {
            space: domain.space.clone(),
            local: local.clone(),
        });
        let there = |jid: SmolStr| uri_to_join(&names.in_view(&jid, origin.view));
        error.alternate = error.alternate.map(there);
        error = error.with_by(room(&local, &domain.name));
    }
    let echo = match origin.view {
        View::Muc => Echo::UpTo(MAX_ECHO),
        View::Mix => Echo::Nothing,
    };
    error_reply(&stanza, &error, echo)
}

/// The domain and localpart that a command was addressed to, normalised.
pub(crate) fn address_of<'d>(
    domains: &'d Domains,
    origin: &Origin,
) -> Option<(&'d Domain, SmolStr)> {
    let to = Address::new(origin.to.clone());
    let domain = domains.get(to.domain())?;
    let local = normal_local(&to).ok()?.unwrap_or_default();
    Some((domain, local))
}

/// What a refusal is where the sender's question, not the core, decides over its form.
fn adjusted(origin: &Origin, stanza: &Stanza, refusal: &Refusal) -> StanzaError {
    let disco = |child: Child<'_>| matches!(child.namespace, ns::DISCO_INFO | ns::DISCO_ITEMS);
    let is_disco = || stanza.payload.children().next().is_some_and(disco);
    // A non-occupant's discovery of an occupant (MUC-DISCO-25, I-09).
    if origin.kind == StanzaKind::Iq
        && refusal.condition == Condition::NotAcceptable
        && stanza.to.resource().is_some()
        && is_disco()
    {
        return Condition::BadRequest.into();
    }
    if is_undecided_ping(origin, stanza, refusal) {
        return StanzaError::new(ErrorType::Wait, Condition::RemoteServerTimeout);
    }
    match origin.view {
        View::Muc => refusal.into(),
        View::Mix => mix::refused(stanza, refusal),
    }
}

/// A self-ping that cannot be answered now: anything else would say that the room has lost the client (MUC-PING-05).
fn is_undecided_ping(origin: &Origin, stanza: &Stanza, refusal: &Refusal) -> bool {
    let is_ping = |child: Child<'_>| child.namespace == ns::PING;
    origin.kind == StanzaKind::Iq
        && refusal.condition == Condition::ResourceConstraint
        && stanza.to.resource().is_some()
        && stanza.payload.children().next().is_some_and(is_ping)
}

/// The stanza that `origin` tells of: enough to answer it.
pub(crate) fn stanza_of(origin: &Origin) -> Stanza {
    let kind = match origin.kind {
        StanzaKind::Message => Kind::Message,
        StanzaKind::Presence => Kind::Presence,
        StanzaKind::Iq => Kind::Iq,
    };
    Stanza {
        kind,
        from: Address::new(origin.from.clone()),
        to: Address::new(origin.to.clone()),
        id: origin.id.clone(),
        type_: (kind == Kind::Iq).then(|| SmolStr::new_static("get")),
        lang: origin.lang.clone(),
        payload: payload_of(origin),
    }
}

/// The payload of a command.
pub(crate) fn payload_of(origin: &Origin) -> Payload {
    reread(&origin.payload)
}

/// A payload read again: it was read once, so nothing is wrong with it.
pub(crate) fn reread(xml: &Bytes) -> Payload {
    let limits = Limits {
        attributes: 256,
        namespaces: 256,
        stanza_bytes: usize::MAX,
        ..Limits::default()
    };
    Payload::read(xml.clone(), &limits).unwrap_or_default()
}

/// Where to go instead: a JID as a URI to join it (MAP-41), a URI as it stands.
pub(crate) fn uri_to_join(address: &str) -> SmolStr {
    if address.contains(':') {
        return address.into();
    }
    format_smolstr!("xmpp:{address}?join")
}

fn room(local: &str, domain: &str) -> SmolStr {
    if local.is_empty() {
        return domain.into();
    }
    format_smolstr!("{local}@{domain}")
}

fn normal_local(to: &Address) -> Result<Option<SmolStr>, crate::stanza::Malformed> {
    match to.local() {
        Some(local) if is_plain(local, |b| matches!(b, b'.' | b'_')) => Ok(Some(local.into())),
        _ => to.normal_local(),
    }
}

/// The sender, its addresses normalised. Most are plain already.
fn sender(from: &Address, group: &Group) -> Result<Sender, crate::stanza::Malformed> {
    let resource = from.resource().filter(|r| !r.is_empty());
    let bare = if is_plain_bare(from) {
        BareJid::from_normalised(from.bare())
    } else {
        BareJid::from_normalised(from.bare_jid()?.as_str())
    };
    let full = match resource {
        None => None,
        Some(r) if r.bytes().all(|b| b.is_ascii_graphic()) && r.len() < 1024 => {
            Some(FullJid::new(&bare, r))
        }
        // A server vouches for resources that the profile refuses: they are taken as they stand.
        Some(r) => Some(FullJid::parse(from.raw()).unwrap_or_else(|| FullJid::new(&bare, r))),
    };
    Ok(Sender {
        bare,
        full,
        group: group.clone(),
    })
}

/// Whether localpart and domain need no preparation: lower-case ASCII letters, digits, and little else.
fn is_plain_bare(from: &Address) -> bool {
    let local = from
        .local()
        .is_none_or(|local| is_plain(local, |b| matches!(b, b'.' | b'_')));
    let domain = from.domain();
    local && domain.len() < 254 && domain.split('.').all(is_plain_label)
}

fn is_plain_label(label: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    let bytes = label.as_bytes();
    is_plain(label, |_| false)
        && label.len() < 64
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.get(2..4) != Some(b"--")
}

fn is_plain(part: &str, also: impl Fn(u8) -> bool) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || also(b);
    !part.is_empty() && part.len() < 1024 && part.bytes().all(plain)
}
