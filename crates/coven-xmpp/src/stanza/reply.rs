//! Answers: errors and results, to the address that a stanza came from.
//!
//! Owns when an answer may be given at all (MUC-COMP-05, MUC-ERR-04) and what it repeats of the stanza (MUC-ERR-03).
//! Addresses are swapped as they stood: many that servers hand over cannot be normalised.

use super::{Builder, Child, Head, IqType, Kind, Outgoing, Stanza, StanzaError};
use crate::ns;

/// What an error reply repeats of the stanza that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Nothing but the error (MIX-PAMC-04).
    Nothing,
    /// The payload, unless it has more bytes than this; never a password or a secret (S-16).
    UpTo(usize),
}

/// The error reply to `stanza`, or `None` where none may be given: to errors, and to IQ results.
///
/// Presence gets an empty `<x/>` of MUC instead of its payload, if it could have been a join.
///
/// Source: RFC 6120 §8.3.1, XEP-0045 §7.2. Requirements MUC-ERR-01, MUC-ERR-03, MUC-ERR-04, MUC-COMP-05.
#[must_use]
pub fn error_reply(stanza: &Stanza, error: &StanzaError, echo: Echo) -> Option<Outgoing> {
    if !may_be_answered_by_error(stanza) {
        return None;
    }
    let mut xml = Builder::with_capacity(256);
    write_echo(&mut xml, stanza, echo);
    error.write(&mut xml);
    Some(answer(stanza, "error", &xml.finish()))
}

/// The result of an IQ get or set, or `None` if `stanza` is neither.
///
/// Source: RFC 6120 §8.2.3. Requirement MUC-COMP-05.
#[must_use]
pub fn result_reply(stanza: &Stanza, payload: &[u8]) -> Option<Outgoing> {
    let asked = matches!(stanza.iq_type(), Some(IqType::Get | IqType::Set));
    asked.then(|| answer(stanza, "result", payload))
}

fn answer(stanza: &Stanza, type_: &str, payload: &[u8]) -> Outgoing {
    let head = Head::new(stanza.kind, stanza.to.raw())
        .with_type(type_)
        .with_id(stanza.id.as_deref());
    Outgoing::new(&head, stanza.from.raw(), payload)
}

pub(crate) fn may_be_answered_by_error(stanza: &Stanza) -> bool {
    match stanza.type_.as_deref() {
        Some("error") => false,
        Some("result") => stanza.kind != Kind::Iq,
        _ => true,
    }
}

fn write_echo(xml: &mut Builder, stanza: &Stanza, echo: Echo) {
    let Echo::UpTo(max_bytes) = echo else { return };
    if stanza.kind == Kind::Presence {
        if stanza.to.resource().is_some() || stanza.payload.has(ns::MUC, "x") {
            xml.empty("x", ns::MUC);
        }
    } else if stanza.payload.bytes().len() <= max_bytes {
        xml.raw(stanza.payload.without(is_not_echoed).bytes());
    }
}

/// A reply has one `<error/>`, ours (MUC-ERR-01), and repeats no secret.
fn is_not_echoed(child: &Child<'_>) -> bool {
    child.is(ns::CLIENT, "error") || carries_secret(child)
}

/// Passwords stand in forms and in requests to register or to join; elsewhere the word is only a word.
fn carries_secret(child: &Child<'_>) -> bool {
    let namespace = child.namespace;
    let may_carry = namespace == ns::MUC
        || namespace == ns::MUC_OWNER
        || namespace == ns::MUC_USER
        || namespace == ns::REGISTER
        || namespace == ns::CONFERENCE
        || namespace == ns::COMMANDS
        || namespace == ns::DATA_FORMS;
    may_carry && (contains(child.xml, b"password") || contains(child.xml, b"roomsecret"))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
