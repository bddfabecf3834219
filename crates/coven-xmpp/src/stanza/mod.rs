//! What every stanza shares: envelope, payload, errors, escaping.
//!
//! Owns the reading of one framed stanza ([`Stanza`]), the opaque payload ([`Payload`]), the list of what only the
//! service may say ([`strip`]), stanza errors and replies, and the writing of XML ([`Builder`], [`Template`]). It does
//! not know rooms, channels or what a payload means.
//!
//! Read next: `envelope.rs`, then `payload.rs`; `xml.rs` and `template.rs` for writing.

mod chars;
mod element;
mod envelope;
mod error;
mod escape;
mod payload;
mod read;
mod reply;
mod rewrite;
mod scan;
pub mod strip;
mod template;
mod walk;
mod xml;

pub use envelope::{Address, IqType, Kind, Malformed, MessageType, PresenceType, Stanza};
pub use error::{Condition, ErrorType, StanzaError};
pub use escape::{attribute as escape_attribute, text as escape_text, unescape};
pub use payload::{Child, Payload};
pub use read::{Reason, Rejected};
pub use reply::{Echo, error_reply, result_reply};
pub use scan::Fault;
pub use template::{Head, Outgoing, Template};
pub use walk::Scope;
pub use xml::Builder;

pub(crate) use chars::decode;
pub(crate) use reply::may_be_answered_by_error;
pub(crate) use scan::{Scanner, Token};
pub(crate) use walk::{Step, Walker};
