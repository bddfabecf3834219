//! Roles: what an occupant may do while present (XEP-0045 §5.1). Derived, unless a moderator has set one.

use super::affiliation::Affiliation;
use crate::settings::config::Config;

/// A role, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Role {
    /// Not present.
    #[default]
    None,
    /// May read.
    Visitor,
    /// May speak.
    Participant,
    /// May keep order.
    Moderator,
}

impl Role {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::None,
            Self::Visitor,
            Self::Participant,
            Self::Moderator,
        ]
        .into_iter()
        .find(|r| r.as_str() == text)
    }
}

/// The role that someone of this affiliation has on entering, with these settings.
///
/// Source: XEP-0045 §5.1.2; MUC-ENTER-25, MAP-15.
#[must_use]
pub const fn initial(affiliation: Affiliation, config: &Config) -> Role {
    match affiliation {
        Affiliation::Owner | Affiliation::Admin => Role::Moderator,
        Affiliation::Member => Role::Participant,
        Affiliation::None if config.moderated => Role::Visitor,
        Affiliation::None => Role::Participant,
        Affiliation::Outcast => Role::None,
    }
}
