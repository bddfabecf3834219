//! Affiliations: the lasting relation of a bare JID (or a domain) to a channel (XEP-0045 §5.2; MAP-14..18).

/// What a bare JID or a domain is to the channel, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// Nothing in particular.
    #[default]
    None,
    /// On the member list; MIX: on the allowed node.
    Member,
    /// MIX: Administrator.
    Admin,
    /// MIX: Owner.
    Owner,
}

impl Affiliation {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Outcast,
            Self::None,
            Self::Member,
            Self::Admin,
            Self::Owner,
        ]
        .into_iter()
        .find(|a| a.as_str() == text)
    }
}
