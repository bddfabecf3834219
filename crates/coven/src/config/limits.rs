//! `[limits]`: rates and quotas.
//!
//! Rates count all sessions of a bare JID together (MUC-ERR-07) and are kept per front-end. What exceeds a rate is
//! answered with a stanza error of type `wait`; an unavailable presence is never refused (MUC-ERR-08). Bounds on the
//! size and depth of stanzas are not here: they cannot be turned off.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::value::Rate;

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// `false` turns off everything in this section, for tests and benchmarks.
    pub enabled: bool,
    /// Messages that one person may send, to all channels together, in the long run.
    pub message_rate: Rate,
    /// How many messages may come at once before the rate counts.
    pub message_burst: NonZeroU32,
    /// Changes of presence by one person in the long run. Joining and leaving are not counted here.
    pub presence_rate: Rate,
    /// How many changes of presence may come at once.
    pub presence_burst: NonZeroU32,
    /// Joins by one person in the long run. Joining again where one is in counts as well.
    pub join_rate: Rate,
    /// How many joins may come at once: a client with many bookmarks joins them all when it connects.
    pub join_burst: NonZeroU32,
    /// Channels that one person may create in the long run.
    pub create_rate: Rate,
    /// How many channels may be created at once.
    pub create_burst: NonZeroU32,
    /// Rooms that one person may be in at once, in all sessions together (MUC-ERR-09). Participants by MIX alone are not
    /// counted.
    pub joined_per_user: NonZeroU32,
    /// Channels of one space that one person may own: more are not created (MUC-ERR-09). Administrators may exceed it.
    pub rooms_per_user: NonZeroU32,
    /// Pages of archives that one person may read in the long run.
    pub archive_page_rate: Rate,
    /// How many pages may be read at once.
    pub archive_page_burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            message_rate: rate(10, 10),
            message_burst: at_most(20),
            presence_rate: rate(5, 10),
            presence_burst: at_most(10),
            join_rate: rate(5, 1),
            join_burst: at_most(100),
            create_rate: rate(10, 60 * 60),
            create_burst: at_most(10),
            joined_per_user: at_most(100),
            rooms_per_user: at_most(100),
            archive_page_rate: rate(30, 60),
            archive_page_burst: at_most(30),
        }
    }
}

fn rate(count: u32, seconds: u64) -> Rate {
    Rate {
        count,
        per: Duration::from_secs(seconds),
    }
}

fn at_most(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}
