//! `[domain.defaults]`: what new channels are like.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::Deserialize;

use super::value::{Later, from_text, one_of};

/// What new channels are like; their owners can change it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Defaults {
    /// Listed, so that everybody finds it (MUC-CFG-05).
    pub public: bool,
    /// Stays when the last occupant has left (MUC-CFG-04). A channel created by MIX always does.
    pub persistent: bool,
    /// For members only (MUC-CFG-06).
    pub members_only: bool,
    /// Who joins must be given voice before speaking (MUC-CFG-07).
    pub moderated: bool,
    /// Who sees the real JIDs of occupants: `"moderators"` or `"anyone"` (MUC-CFG-09).
    pub whois: Whois,
    /// Participants may change the subject, not moderators only (MUC-CFG-10).
    pub change_subject: bool,
    /// Not in this version: members may invite to a channel for members only (MUC-CFG-11).
    pub(crate) allow_invites: Option<Later>,
    /// Who may send private messages: `"anyone"`, `"participants"`, `"moderators"` or `"none"` (MUC-CFG-12).
    pub allow_pm: AllowPm,
    /// How many people may be in it at once (MUC-CFG-13). Unset: no limit.
    pub max_users: Option<NonZeroU32>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            public: true,
            persistent: false,
            members_only: false,
            moderated: false,
            whois: Whois::Moderators,
            change_subject: false,
            allow_invites: None,
            allow_pm: AllowPm::Anyone,
            max_users: None,
        }
    }
}

/// Who may send private messages. MUC-CFG-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AllowPm {
    /// Every occupant.
    Anyone,
    /// Role participant or more.
    Participants,
    /// Role moderator.
    Moderators,
    /// Nobody.
    None,
}

impl FromStr for AllowPm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("anyone", Self::Anyone),
            ("participants", Self::Participants),
            ("moderators", Self::Moderators),
            ("none", Self::None),
        ];
        one_of(text, &choices, &[])
    }
}

/// Who sees real JIDs. MUC-CFG-09.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Whois {
    /// The channel is semi-anonymous.
    Moderators,
    /// The channel is non-anonymous.
    Anyone,
}

impl FromStr for Whois {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[("moderators", Self::Moderators), ("anyone", Self::Anyone)],
            &[],
        )
    }
}

from_text!(Whois, AllowPm);
