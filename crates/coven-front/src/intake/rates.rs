//! How much people may send: rates of each bare JID, over all its sessions and channels, counted per front-end.

use std::time::Duration;

/// So many in the long run, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many ...
    pub count: u32,
    /// ... in this time, in the long run.
    pub per: Duration,
    /// How many at once after a time of rest.
    pub burst: u32,
}

/// What one bare JID may send.
///
/// Source: XEP-0045 §14.6. Requirements MUC-ERR-07 to 09.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Messages and IQs to channels and occupants.
    pub messages: Rate,
    /// Changes of presence. Leaving is always free.
    pub presence: Rate,
    /// Joins, in either view. To join again where one has joined is free.
    pub joins: Rate,
    /// New channels.
    pub creations: Rate,
    /// Pages of archives.
    pub archive_pages: Rate,
}
