//! Reads one framed stanza.
//!
//! Owns what makes a stanza acceptable before anybody looks at its payload, and what is known of one that is not: as
//! long as kind, addresses, id and type can be read, an error can be answered (I5, I10).

use std::borrow::Cow;

use bytes::Bytes;
use smol_str::SmolStr;

use super::chars::{all_chars, decode};
use super::payload::Index;
use super::scan::{Fault, Scanner, Token};
use super::walk::{Scope, Start, Step, Walker};
use super::{
    Address, Condition, Echo, ErrorType, IqType, Kind, Outgoing, Payload, Stanza, StanzaError,
    error_reply,
};
use crate::ns;
use crate::stream::{Excess, Limits};

/// Bytes of an `id`, at most (S-10).
const MAX_ID_BYTES: usize = 1024;
/// Bytes of an address, at most: three parts of 1023 and what stands between them (RFC 7622 §3.1).
const MAX_ADDRESS_BYTES: usize = 3071;
/// Bytes of `xml:lang`; longer ones are ignored.
const MAX_LANG_BYTES: usize = 64;

/// A stanza that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What is wrong.
    pub reason: Reason,
    /// Its envelope, if enough of it could be read; the payload is empty if that is what could not be read.
    pub stanza: Option<Box<Stanza>>,
}

/// Why a stanza is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// No message, presence or IQ.
    #[error("not a stanza")]
    NotAStanza,
    /// No `from`, or an empty one: nobody to answer (S-07).
    #[error("no from")]
    NoFrom,
    /// No `to`, or an empty one (S-07).
    #[error("no to")]
    NoTo,
    /// An address longer than any may be (S-08); the upstream would not take it as `from` of an answer.
    #[error("address too long")]
    AddressTooLong,
    /// An `id` longer than 1 KiB (S-10).
    #[error("id too long")]
    IdTooLong,
    /// An IQ without `id`, of unknown type, or a get or set without exactly one child (MUC-COMP-06).
    #[error("iq breaks the rules for iqs")]
    BadIq,
    /// Its XML cannot be used, or is over a bound.
    #[error(transparent)]
    Xml(#[from] Fault),
}

impl Rejected {
    fn salvaged(reason: Reason, xml: &[u8], scope: &Scope) -> Self {
        let stanza = matches!(reason, Reason::Xml(_))
            .then(|| salvage(xml, scope))
            .flatten();
        Self {
            reason,
            stanza: stanza.map(Box::new),
        }
    }

    /// Of a stanza that was too large to be kept: `head` is its start tag, or empty if that was too large as well.
    #[must_use]
    pub fn oversized(head: &Bytes, scope: &Scope) -> Self {
        let reason = Reason::Xml(Fault::Excess(Excess::StanzaBytes));
        Self {
            reason,
            stanza: salvage(head, scope).map(Box::new),
        }
    }

    /// What the sender is told.
    ///
    /// Source: RFC 6120 §8.3.3, XEP-0045 §14.6. Requirements MUC-COMP-06, MUC-ERR-06.
    #[must_use]
    pub fn error(&self) -> StanzaError {
        match self.reason {
            Reason::Xml(Fault::Excess(excess)) => {
                StanzaError::new(ErrorType::Modify, Condition::PolicyViolation)
                    .with_text(excess.to_string())
            }
            _ => Condition::BadRequest.into(),
        }
    }

    /// The answer, if one can and may be given.
    #[must_use]
    pub fn reply(&self, echo: Echo) -> Option<Outgoing> {
        error_reply(self.stanza.as_deref()?, &self.error(), echo)
    }
}

impl Stanza {
    /// Reads one stanza, `xml` being all of it and nothing else; `scope` is what the stream header declares.
    ///
    /// The payload shares the memory of `xml` unless it has to be rewritten.
    ///
    /// Source: RFC 6120 §8, XEP-0114 §3. Requirements MUC-COMP-06, S-05, S-07, S-10.
    /// Cost: one pass; about a microsecond for a chat message.
    ///
    /// # Errors
    ///
    /// [`Rejected`], with the envelope where it can be answered.
    pub fn read(xml: &Bytes, scope: &Scope, limits: &Limits) -> Result<Self, Rejected> {
        let stanza =
            read(xml, scope, limits).map_err(|reason| Rejected::salvaged(reason, xml, scope))?;
        match broken_rule(&stanza) {
            None => Ok(stanza),
            Some(reason) => Err(Rejected {
                reason,
                stanza: Some(Box::new(stanza)),
            }),
        }
    }
}

fn read(xml: &Bytes, scope: &Scope, limits: &Limits) -> Result<Stanza, Reason> {
    if xml.len() > limits.stanza_bytes {
        return Err(Fault::Excess(Excess::StanzaBytes).into());
    }
    let source = std::str::from_utf8(xml).map_err(|_| Fault::Characters)?;
    if !all_chars(source) {
        return Err(Fault::Characters.into());
    }
    let mut walker = Walker::stanza(source, scope, limits);
    let Step::Start(root) = walker.next()? else {
        return Err(Reason::NotAStanza);
    };
    let kind = kind_of(&root).ok_or(Reason::NotAStanza)?;
    let mut fields = Fields::default();
    for attribute in walker.attributes() {
        fields.take(attribute.name.full, attribute.value)?;
    }
    let index = Index::read(&mut walker, source)?;
    let Step::Done = walker.next()? else {
        return Err(Fault::Syntax("more than one element").into());
    };
    fields.into_stanza(kind, Payload::of_stanza(xml, index, scope, limits)?)
}

/// What RFC 6120 §8.1.3 and §8.2.3 ask of a stanza whose XML is good.
fn broken_rule(stanza: &Stanza) -> Option<Reason> {
    if stanza.id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
        return Some(Reason::IdTooLong);
    }
    let is_good = match stanza.iq_type() {
        _ if stanza.kind != Kind::Iq => true,
        None => false,
        Some(IqType::Get | IqType::Set) => {
            stanza.id.is_some() && stanza.payload.children().count() == 1
        }
        Some(IqType::Result | IqType::Error) => stanza.id.is_some(),
    };
    (!is_good).then_some(Reason::BadIq)
}

fn kind_of(root: &Start<'_>) -> Option<Kind> {
    Kind::from_name(root.name.local).filter(|_| ns::is_stanza_namespace(&root.namespace))
}

/// The attributes of a stanza that mean something; others are dropped.
#[derive(Debug, Default)]
struct Fields {
    from: SmolStr,
    to: SmolStr,
    id: Option<SmolStr>,
    type_: Option<SmolStr>,
    lang: Option<SmolStr>,
}

impl Fields {
    fn take(&mut self, name: &str, raw: &str) -> Result<(), Fault> {
        if !matches!(name, "from" | "to" | "id" | "type" | "xml:lang") {
            return Ok(());
        }
        let value: SmolStr = decode(raw, true)
            .ok_or(Fault::Syntax("unknown reference"))?
            .into();
        match name {
            "from" => self.from = value,
            "to" => self.to = value,
            "id" => self.id = Some(value),
            "type" => self.type_ = Some(value),
            _ => self.lang = Some(value).filter(|lang| lang.len() <= MAX_LANG_BYTES),
        }
        Ok(())
    }

    fn into_stanza(self, kind: Kind, payload: Payload) -> Result<Stanza, Reason> {
        if self.from.is_empty() {
            return Err(Reason::NoFrom);
        }
        if self.to.is_empty() {
            return Err(Reason::NoTo);
        }
        if self.from.len() > MAX_ADDRESS_BYTES || self.to.len() > MAX_ADDRESS_BYTES {
            return Err(Reason::AddressTooLong);
        }
        let (from, to) = (Address::new(self.from), Address::new(self.to));
        Ok(Stanza {
            kind,
            from,
            to,
            id: self.id,
            type_: self.type_,
            lang: self.lang,
            payload,
        })
    }
}

/// The envelope of a stanza that cannot be read: what its start tag says, if that is whole.
///
/// Without the whole tag the type is not known, and an error might answer an error (MUC-ERR-04).
fn salvage(xml: &[u8], scope: &Scope) -> Option<Stanza> {
    let mut scanner = Scanner::new(longest_text(xml));
    let Token::Open { name, .. } = scanner.next().ok()? else {
        return None;
    };
    let kind = Kind::from_name(name.full)?;
    let mut namespace = Cow::Borrowed(scope.default_namespace());
    let mut fields = Fields::default();
    loop {
        match scanner.next().ok()? {
            Token::Attribute { name, value, .. } if name.full == "xmlns" => {
                namespace = decode(value, true)?
            }
            Token::Attribute { name, value, .. } => fields.take(name.full, value).ok()?,
            Token::OpenEnd { .. } => break,
            _ => return None,
        }
    }
    let stanza = fields.into_stanza(kind, Payload::empty()).ok()?;
    (ns::is_stanza_namespace(&namespace)
        && stanza.id.as_ref().is_none_or(|id| id.len() <= MAX_ID_BYTES))
    .then_some(stanza)
}

fn longest_text(xml: &[u8]) -> &str {
    let valid = match std::str::from_utf8(xml) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    xml.get(..valid)
        .and_then(|start| std::str::from_utf8(start).ok())
        .unwrap_or_default()
}
