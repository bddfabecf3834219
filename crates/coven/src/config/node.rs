//! `[node]`: channels in memory.

use std::time::Duration;

use serde::Deserialize;

use super::check::Checker;
use super::value::Period;

/// `[node]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Node {
    /// How long after the last command a channel leaves memory, with people in it or not. It comes back with the next
    /// command. Shorter saves memory, longer saves loading. At least one second.
    pub idle_timeout: Period,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            idle_timeout: Period(Duration::from_secs(10 * 60)),
        }
    }
}

impl Node {
    /// Checks the section.
    pub(super) fn check(&self, checker: &mut Checker<'_>) {
        if self.idle_timeout.0 < Duration::from_secs(1) {
            checker.refuse("node.idle-timeout", "shorter than one second");
        }
    }
}
