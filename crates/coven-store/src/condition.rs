//! How a store is, apart from what single requests are answered.

use std::fmt;

/// Whether a store can be used now: for readiness, and for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is known against it.
    #[default]
    Good,
    /// It cannot be reached, or does not answer: waited for (design §5.12).
    Away(String),
    /// It is not the store that this process began with, or has been emptied: nothing is claimed or written until
    /// [`Store::accept`](crate::Store::accept) (design §5.15).
    Replaced(String),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("it works"),
            Self::Away(why) => write!(f, "it is away: {why}"),
            Self::Replaced(why) => write!(f, "it was replaced: {why}"),
        }
    }
}
