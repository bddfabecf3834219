//! Where a command came from: what an answer or an error must be addressed to. Carried by nodes, read by translators;
//! the core never looks at it.

use crate::View;
use bytes::Bytes;
use smol_str::SmolStr;

/// The kind of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words of RFC 6120 §8.2")]
pub enum StanzaKind {
    Message,
    Presence,
    Iq,
}

/// The envelope of the stanza that a command or query was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which kind.
    pub kind: StanzaKind,
    /// Its `from`, raw: answers go there. Empty where none may be given: to errors, results and farewells
    /// (RFC 6120 §8.3.1, MUC-ERR-04).
    pub from: SmolStr,
    /// Its `to`, raw: answers come from there.
    pub to: SmolStr,
    /// Its `id`.
    pub id: Option<SmolStr>,
    /// Its `xml:lang`.
    pub lang: Option<SmolStr>,
    /// The view it belongs to.
    pub view: View,
    /// The stream it came through: answers leave there.
    pub group: crate::Group,
    /// Its child elements as they came, to be echoed in errors and read again for the answer; empty if of no use.
    pub payload: Bytes,
}

impl Origin {
    /// Whether an error may be sent there.
    #[must_use]
    pub fn is_answerable(&self) -> bool {
        !self.from.is_empty()
    }
}
