//! A person: one bare JID known to a channel, with its stable id, nick and affiliation.

use super::{affiliation::Affiliation, nick::Nick, role, role::Role};
use crate::channel::{Channel, Facts};
use crate::ids::{ChannelKey, PersonNo, StableId};
use crate::jid::BareJid;
use crate::settings::config::Config;
use crate::{Condition, Refusal};

/// A bare JID known to the channel (or a domain, for bans and members by domain). Shared between node and front-ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its number in this channel, never used again.
    pub no: PersonNo,
    /// The bare JID.
    pub jid: BareJid,
    /// Occupant-id and MIX participant id (MAP-09).
    pub id: StableId,
    /// The one nick of the person while it is there, in both views (MAP-10); `None` for a participant that has chosen none.
    pub nick: Option<Nick>,
    /// Nick reserved by registration or member list, kept while away (MUC-NICK-13). Boxed: few have one.
    pub reserved: Option<Box<Nick>>,
    /// The lasting affiliation.
    pub affiliation: Affiliation,
    /// A role set by a moderator, where it is not that of the affiliation. Ends when the person is no longer there; that of
    /// a moderator with its last session (MAP-20).
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

/// The record of a person known to the channel, or a new one.
pub(crate) fn known(channel: &Channel, bare: &BareJid, facts: &Facts) -> Person {
    match channel.roster.person_of(bare) {
        Some(person) => (**person).clone(),
        None => new(channel, bare, facts),
    }
}

/// Somebody the channel has not heard of. The stable id is the same at every first contact (MUC-OCCID-04, MIX-PART-06).
pub(crate) fn new(channel: &Channel, bare: &BareJid, facts: &Facts) -> Person {
    let key = channel.key.unwrap_or(ChannelKey(facts.random));
    Person {
        no: channel.roster.next_person(),
        jid: bare.clone(),
        id: StableId::of(&key, bare.as_str()),
        nick: None,
        reserved: None,
        affiliation: Affiliation::None,
        granted: None,
    }
}

/// Refuses people beyond what a channel remembers (I9): `resource-constraint`.
pub(crate) fn has_place(channel: &Channel, bare: &BareJid, facts: &Facts) -> Result<(), Refusal> {
    let roster = &channel.roster;
    let many = roster.persons().len() >= facts.service.max_people;
    let spent = roster.next_person().0 == u32::MAX;
    if (many || spent) && roster.person_of(bare).is_none() {
        return Err(Refusal::usual(Condition::ResourceConstraint));
    }
    Ok(())
}
