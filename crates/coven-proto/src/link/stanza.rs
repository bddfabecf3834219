//! Senders, envelopes, refusals, and what is passed on between occupants.

use crate::Error;
use crate::people::{session_from, session_to, smol, text, view_from, view_to};
use crate::wire::link as wire;
use bytes::Bytes;
use coven_core::content::relay::Relayed;
use coven_core::presence::ghost::Probe;
use coven_core::refusal::Specific;
use coven_core::{
    BareJid, Condition, ErrorType, FullJid, Group, Origin, ProbeMark, Refusal, Sender, StanzaKind,
};

/// Who asks.
#[must_use]
pub fn sender_to(sender: &Sender) -> wire::Sender {
    wire::Sender {
        bare: sender.bare.as_str().into(),
        full: sender.full.as_ref().map(|full| full.as_str().into()),
        group: sender.group.0.as_str().into(),
    }
}

/// What [`sender_to`] made.
pub fn sender_from(sender: Option<wire::Sender>) -> Result<Sender, Error> {
    let sender = sender.ok_or(Error::Missing("sender"))?;
    let full = |text: String| FullJid::from_normalised(&text).ok_or(Error::Invalid("full JID"));
    Ok(Sender {
        bare: BareJid::from_normalised(sender.bare),
        full: sender.full.map(full).transpose()?,
        group: Group(sender.group.into()),
    })
}

/// The envelope of a stanza.
#[must_use]
pub fn origin_to(origin: &Origin) -> wire::Origin {
    let kind = match origin.kind {
        StanzaKind::Message => wire::Stanza::Message,
        StanzaKind::Presence => wire::Stanza::Presence,
        StanzaKind::Iq => wire::Stanza::Iq,
    };
    wire::Origin {
        kind: kind.into(),
        from: origin.from.as_str().into(),
        to: origin.to.as_str().into(),
        id: text(origin.id.as_ref()),
        lang: text(origin.lang.as_ref()),
        view: view_to(origin.view),
        group: origin.group.0.as_str().into(),
        payload: origin.payload.clone(),
    }
}

/// What [`origin_to`] made.
pub fn origin_from(origin: Option<wire::Origin>) -> Result<Origin, Error> {
    let origin = origin.ok_or(Error::Missing("origin"))?;
    let kind = match origin.kind() {
        wire::Stanza::Message => StanzaKind::Message,
        wire::Stanza::Presence => StanzaKind::Presence,
        wire::Stanza::Iq => StanzaKind::Iq,
        wire::Stanza::Unknown => return Err(Error::Invalid("stanza kind")),
    };
    Ok(Origin {
        kind,
        from: origin.from.into(),
        to: origin.to.into(),
        id: smol(origin.id),
        lang: smol(origin.lang),
        view: view_from(origin.view)?,
        group: Group(origin.group.into()),
        payload: origin.payload,
    })
}

/// A stanza error.
#[must_use]
pub fn refusal_to(refusal: &Refusal) -> wire::Refusal {
    wire::Refusal {
        kind: refusal.kind.name().into(),
        condition: refusal.condition.name().into(),
        text: refusal.text.clone().into_owned(),
        uri: refusal.uri.clone(),
        specific: refusal.specific.as_ref().map(specific_to),
    }
}

/// What [`refusal_to`] made.
pub fn refusal_from(refusal: Option<wire::Refusal>) -> Result<Refusal, Error> {
    let refusal = refusal.ok_or(Error::Missing("refusal"))?;
    Ok(Refusal {
        kind: ErrorType::from_name(&refusal.kind).ok_or(Error::Invalid("error type"))?,
        condition: condition_from(&refusal.condition)?,
        text: refusal.text.into(),
        uri: refusal.uri,
        specific: refusal.specific.as_ref().and_then(specific_from),
    })
}

pub(super) fn condition_from(name: &str) -> Result<Condition, Error> {
    Condition::from_name(name).ok_or(Error::Invalid("condition"))
}

fn specific_to(specific: &Specific) -> wire::Specific {
    wire::Specific {
        namespace: specific.namespace.into(),
        name: specific.name.into(),
        attribute: specific.attribute.map(|(name, value)| wire::Attribute {
            name: name.into(),
            value: value.into(),
        }),
    }
}

/// One that this version does not know is left out: the error says what it says without it.
fn specific_from(specific: &wire::Specific) -> Option<Specific> {
    Specific::ALL
        .into_iter()
        .find(|known| specific_to(known) == *specific)
}

/// An IQ passed on.
#[must_use]
pub fn relayed_to(relayed: &Relayed) -> wire::Relayed {
    wire::Relayed {
        to: relayed.to.as_str().into(),
        group: relayed.group.0.as_str().into(),
        from_nick: relayed.from_nick.as_str().into(),
        kind: relayed.kind.as_str().into(),
        id: relayed.id.as_str().into(),
        payload: relayed.payload.clone(),
    }
}

/// What [`relayed_to`] made.
#[must_use]
pub fn relayed_from(relayed: wire::Relayed) -> Relayed {
    Relayed {
        to: relayed.to.into(),
        group: Group(relayed.group.into()),
        from_nick: relayed.from_nick.into(),
        kind: relayed.kind.into(),
        id: relayed.id.into(),
        payload: relayed.payload,
    }
}

/// A question to a session.
#[must_use]
pub fn probe_to(probe: &Probe) -> wire::Probe {
    wire::Probe {
        session: Some(session_to(&probe.session)),
        mark: mark_to(&probe.mark),
    }
}

/// What [`probe_to`] made.
pub fn probe_from(probe: wire::Probe) -> Result<Probe, Error> {
    Ok(Probe {
        session: session_from(probe.session)?,
        mark: mark_from(&probe.mark)?,
    })
}

pub(super) fn mark_to(mark: &ProbeMark) -> Bytes {
    Bytes::copy_from_slice(&mark.0)
}

pub(super) fn mark_from(mark: &[u8]) -> Result<ProbeMark, Error> {
    let mark = mark.try_into().map_err(|_| Error::Invalid("probe mark"))?;
    Ok(ProbeMark(mark))
}
