//! A person: one bare JID known to a channel, with its stable id, nick and affiliation.

use super::{affiliation::Affiliation, nick::Nick, role, role::Role};
use crate::ids::{PersonNo, StableId};
use crate::jid::BareJid;
use crate::settings::config::Config;

/// A bare JID known to the channel (or a domain, for bans and members by domain). Shared between node and front-ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its number in this channel, never used again.
    pub no: PersonNo,
    /// The bare JID.
    pub jid: BareJid,
    /// Occupant-id and MIX participant id (MAP-09).
    pub id: StableId,
    /// The one nick of the person, in both views (MAP-10); `None` before one was chosen.
    pub nick: Option<Nick>,
    /// Nick reserved by registration or member list, kept while away (MUC-NICK-13).
    pub reserved: Option<Nick>,
    /// The lasting affiliation.
    pub affiliation: Affiliation,
    /// A role set by a moderator; ends with the last session (MAP-20).
    pub granted: Option<Role>,
}

impl Person {
    /// The role while present, with these settings.
    #[must_use]
    pub fn role(&self, config: &Config) -> Role {
        match (self.affiliation, self.granted) {
            (Affiliation::Owner | Affiliation::Admin, _) => Role::Moderator,
            (Affiliation::Outcast, _) => Role::None,
            (affiliation, granted) => granted.unwrap_or_else(|| role::initial(affiliation, config)),
        }
    }

    /// The nick as others see it. A participant without one has a generated resource (MAP-24).
    #[must_use]
    pub fn shown_nick(&self) -> std::borrow::Cow<'_, str> {
        match &self.nick {
            Some(nick) => nick.as_str().into(),
            None => format!("user-{}", self.id.to_string().split_at(8).0).into(),
        }
    }

    /// Whether the channel has a lasting reason to remember the person when nobody of it is there.
    #[must_use]
    pub const fn lasting(&self) -> bool {
        !matches!(self.affiliation, Affiliation::None) || self.reserved.is_some()
    }
}
