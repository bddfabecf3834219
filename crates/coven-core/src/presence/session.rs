//! A session: one full JID that is present, and what of its presence others see.

use crate::command::View;
use crate::ids::{PersonNo, Sequence, SessionNo};
use crate::jid::{FullJid, Group};
use bytes::Bytes;
use std::sync::Arc;

/// Availability, in the order in which the best of several sessions is chosen (MUC-MULTI-05, MAP-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Show {
    /// `<show>xa</show>`
    Xa,
    /// `<show>dnd</show>`
    Dnd,
    /// `<show>away</show>`
    Away,
    /// No `<show/>`.
    #[default]
    Available,
    /// `<show>chat</show>`
    Chat,
}

/// What a client said in an available presence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    /// Availability.
    pub show: Show,
    /// The child elements that are passed on (`<show/>`, `<status/>`, `<priority/>`, caps, ...): stripped, each
    /// self-contained in a stanza of the default stream namespace.
    pub payload: Bytes,
}

/// A full JID present in a channel. Shared between node and front-ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number in this channel, never used again.
    pub no: SessionNo,
    /// Whose session this is.
    pub person: PersonNo,
    /// The full JID.
    pub jid: FullJid,
    /// A MUC session, or a MIX client that shares presence.
    pub view: View,
    /// Where output for this full JID leaves.
    pub group: Group,
    /// The event that began it: bounces that name an older one are ignored (design §6).
    pub joined: Sequence,
    /// The event that set its presence: the most recent wins among equals.
    pub updated: Sequence,
    /// The presence.
    pub presence: Arc<Presence>,
}
