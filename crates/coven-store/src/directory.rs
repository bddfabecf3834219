//! The directory: which channels there are, for service discovery. Derived by their owners, outside of commits.

use bytes::Bytes;
use smol_str::SmolStr;

/// What the directory says about a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its title; may be empty.
    pub title: String,
    /// How many occupants it has.
    pub occupants: u32,
    /// Whether it is shown to everybody.
    pub listed: bool,
    /// What else a search shows, encoded by the caller.
    pub details: Bytes,
}

/// Which channels of a space, in order of localpart (MUC-DISCO-05: stable while channels come and go).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryQuery {
    /// Only after this localpart, which must be in the directory.
    pub after: Option<SmolStr>,
    /// Only before this localpart, which must be in the directory.
    pub before: Option<SmolStr>,
    /// Also those that are not listed.
    pub unlisted: bool,
    /// At most this many; 0 asks for the count only.
    pub max: usize,
    /// The last `max`, not the first. The page is in order all the same.
    pub from_end: bool,
}

/// A page of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryPage {
    /// Localparts and what is said about them, in order of localpart.
    pub channels: Vec<(SmolStr, Listing)>,
    /// Nothing was cut off at the far end.
    pub complete: bool,
    /// How many channels there are without regard to `after` and `before`.
    pub count: u64,
    /// How many of those stand before the first of the page; `None` where the page is empty.
    pub index: Option<u64>,
}

/// A channel that a query names is not in the directory: `item-not-found` (MUC-DISCO-05).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {0:?} is not in the directory")]
pub struct UnknownChannel(pub SmolStr);
