//! Who may see whose real JID (I8): one function decides, every renderer asks it.
//!
//! Source: MUC-PRES-15, MAP-47..51, MIX-ANON-06, 07.

use super::role::Role;
use crate::people::affiliation::Affiliation;

/// The channel's `JID Visibility` (MIX) and `whois` (MUC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Visibility {
    /// Non-anonymous; `jid-mandatory-visible`.
    Visible,
    /// Semi-anonymous; `jid-hidden`.
    #[default]
    Hidden,
    /// Semi-anonymous for MUC; `jid-optionally-visible`.
    Optional,
}

/// What the one who looks is, at that sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Viewer {
    /// Lasting affiliation.
    pub affiliation: Affiliation,
    /// Role in the MUC view; [`Role::None`] for someone who looks through MIX.
    pub role: Role,
}

/// Whether `viewer` may see the real JIDs of others in a channel with this visibility.
#[must_use]
pub fn sees_jids(visibility: Visibility, viewer: Viewer) -> bool {
    match visibility {
        Visibility::Visible => viewer.affiliation != Affiliation::Outcast,
        Visibility::Hidden | Visibility::Optional => {
            viewer.role == Role::Moderator || viewer.affiliation >= Affiliation::Admin
        }
    }
}
