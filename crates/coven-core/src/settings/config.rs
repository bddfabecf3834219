//! The configuration of a channel, the same for both views (MUC-CFG-01..25, MAP-53..71).

use crate::people::{role::Role, visibility::Visibility};
use smol_str::SmolStr;

/// Who may send private messages (`muc#roomconfig_allowpm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PrivateMessages {
    /// Every occupant.
    #[default]
    Anyone,
    /// Role participant or more.
    Participants,
    /// Role moderator.
    Moderators,
    /// Nobody.
    None,
}

/// Roles whose presence others see (`muc#roomconfig_presencebroadcast`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the roles")]
pub struct Broadcast {
    pub moderators: bool,
    pub participants: bool,
    pub visitors: bool,
}

impl Broadcast {
    /// Whether the presence of an occupant of this role is shown to others.
    #[must_use]
    pub const fn shows(self, role: Role) -> bool {
        match role {
            Role::Moderator => self.moderators,
            Role::Participant => self.participants,
            Role::Visitor => self.visitors,
            Role::None => false,
        }
    }
}

impl Default for Broadcast {
    fn default() -> Self {
        Self {
            moderators: true,
            participants: true,
            visitors: true,
        }
    }
}

/// The configuration of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Human name; empty for none.
    pub name: SmolStr,
    /// Description; empty for none.
    pub description: SmolStr,
    /// Language tag of the discussion; empty for none.
    pub lang: SmolStr,
    /// Listed in disco#items (MAP-44).
    pub public: bool,
    /// Survives the last leave (MAP-42).
    pub persistent: bool,
    /// Only members enter; MIX: the allowed node exists (MAP-16).
    pub members_only: bool,
    /// People without voice read only.
    pub moderated: bool,
    /// Needed to enter by MUC (MAP-39).
    pub password: Option<SmolStr>,
    /// Who sees real JIDs.
    pub visibility: Visibility,
    /// Participants may change the subject.
    pub change_subject: bool,
    /// Who may send private messages.
    pub private_messages: PrivateMessages,
    /// Members may invite.
    pub allow_invites: bool,
    /// Most occupants; `None` for no limit.
    pub max_users: Option<u32>,
    /// Most messages of history on joining; at most the service's limit.
    pub max_history: u32,
    /// Roles whose presence is shown.
    pub broadcast: Broadcast,
    /// Public logging.
    pub logging: bool,
    /// MIX: participants must have a nick.
    pub mandatory_nicks: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: SmolStr::default(),
            description: SmolStr::default(),
            lang: SmolStr::default(),
            public: true,
            persistent: false,
            members_only: false,
            moderated: false,
            password: None,
            visibility: Visibility::Hidden,
            change_subject: false,
            private_messages: PrivateMessages::Anyone,
            allow_invites: false,
            max_users: None,
            max_history: 20,
            broadcast: Broadcast::default(),
            logging: false,
            mandatory_nicks: true,
        }
    }
}
