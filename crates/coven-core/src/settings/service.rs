//! Policies of a space that channels decide by: who may create, defaults, limits, protocols. Configuration, not state.

use super::config::Config;
use crate::{BareJid, Condition, Refusal, View};
use smol_str::SmolStr;

/// Who may create channels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Creation {
    /// Everybody.
    #[default]
    Anyone,
    /// The service's administrators.
    Admins,
    /// These bare JIDs and domains, and the administrators.
    Listed(Vec<BareJid>),
}

/// Policies of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The MUC view is served.
    pub muc: bool,
    /// The MIX view is served.
    pub mix: bool,
    /// Both views share one domain (XEP-0408 fully integrated).
    pub one_domain: bool,
    /// Who may create.
    pub creation: Creation,
    /// Most channels that one person owns, when creating another; administrators may exceed it. `None` for no limit.
    pub max_owned: Option<u32>,
    /// Administrators of the service.
    pub admins: Vec<BareJid>,
    /// Settings of new channels.
    pub defaults: Config,
    /// After how many milliseconds an unconfigured room is destroyed; `None`: rooms are created unlocked (MUC-CREATE-11).
    pub lock_timeout_ms: Option<i64>,
    /// Most messages of history on joining.
    pub max_history: u32,
    /// So many administrators and owners enter a full room (MUC-ENTER-12).
    pub reserve: u32,
    /// Nicks are locked down: nobody changes the nick while being there, and who has reserved one enters with it
    /// (MUC-NICK-06, MUC-ENTER-27).
    pub lock_nicks: bool,
    /// Most sessions of one person in a channel (I9).
    pub max_sessions: usize,
    /// Most people that a channel remembers: occupants, affiliations, bans, reservations (I9).
    pub max_people: usize,
    /// Longest localpart of a channel in bytes (MUC-ERR-10, MIX-CRE-05).
    pub max_name_bytes: usize,
    /// Longest nick in bytes.
    pub max_nick_bytes: usize,
    /// Longest subject in bytes.
    pub max_subject_bytes: usize,
    /// Longest name, description, reason in bytes.
    pub max_text_bytes: usize,
}

impl Service {
    /// Whether this bare JID administers the service.
    #[must_use]
    pub fn is_admin(&self, bare: &BareJid) -> bool {
        self.admins.contains(bare)
    }

    /// Whether this bare JID may create channels (MUC-CREATE-03, MIX-SVC-04).
    #[must_use]
    pub fn may_create(&self, bare: &BareJid) -> bool {
        match &self.creation {
            Creation::Anyone => true,
            Creation::Admins => self.is_admin(bare),
            Creation::Listed(list) => {
                self.is_admin(bare)
                    || list
                        .iter()
                        .any(|j| j == bare || j.as_str() == bare.domain())
            }
        }
    }

    /// Whether somebody who owns so many channels may have another (MUC-ERR-09).
    pub(crate) fn may_own_more(&self, bare: &BareJid, owned: u32) -> bool {
        self.max_owned.is_none_or(|max| owned < max) || self.is_admin(bare)
    }

    /// Refuses a text for people that is too long: `policy-violation` (MUC-ERR-10).
    pub(crate) fn bounds(&self, text: Option<&SmolStr>) -> Result<(), Refusal> {
        if text.is_some_and(|text| text.len() > self.max_text_bytes) {
            return Err(Refusal::usual(Condition::PolicyViolation).text("this text is too long"));
        }
        Ok(())
    }

    /// Whether a channel has one address for both views, so that not the domain says which view a stanza belongs to.
    #[must_use]
    pub const fn shares_address(&self) -> bool {
        self.muc && self.mix && self.one_domain
    }

    /// Whether this view is served.
    #[must_use]
    pub const fn serves(&self, view: View) -> bool {
        match view {
            View::Muc => self.muc,
            View::Mix => self.mix,
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            muc: true,
            mix: true,
            one_domain: true,
            creation: Creation::Anyone,
            max_owned: None,
            admins: Vec::new(),
            defaults: Config::default(),
            lock_timeout_ms: Some(3_600_000),
            max_history: 20,
            reserve: 20,
            lock_nicks: false,
            max_sessions: 64,
            max_people: 100_000,
            max_name_bytes: 256,
            max_nick_bytes: 256,
            max_subject_bytes: 4096,
            max_text_bytes: 4096,
        }
    }
}
