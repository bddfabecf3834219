//! Sweeps: after each reconnect, and after our own start, all sessions of a group are probed (MUC-LEAVE-12, IL-35): both
//! hide who has left meanwhile.
//!
//! Owns when a sweep is asked for: once all connections of the group are up, so that probes of both views get through, or
//! after some time without the others. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use coven_core::Group;
use tokio::time::Instant;

/// How long a sweep waits for the other connections of the group.
const PATIENCE: Duration = Duration::from_secs(10);

/// Groups that are to be swept. Bounded by the number of groups.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(BTreeMap<Group, Instant>);

impl Sweeps {
    /// A connection of a group is up.
    pub(crate) fn want(&mut self, group: &Group, now: Instant) {
        self.0.entry(group.clone()).or_insert(now + PATIENCE);
    }

    /// Groups that are to be swept now.
    pub(crate) fn due(&self, now: Instant, is_whole: impl Fn(&Group) -> bool) -> Vec<Group> {
        let due = self
            .0
            .iter()
            .filter(|(group, at)| **at <= now || is_whole(group));
        due.map(|(group, _)| group.clone()).collect()
    }

    /// A sweep was asked for.
    pub(crate) fn done(&mut self, group: &Group) {
        self.0.remove(group);
    }

    /// Whether none is to be swept.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn il_35_one_sweep_when_the_group_is_whole_or_after_a_while() {
        let (mut sweeps, now) = (Sweeps::default(), Instant::now());
        let group = Group("main".into());
        sweeps.want(&group, now);
        sweeps.want(&group, now + PATIENCE / 2);
        assert_eq!(sweeps.due(now, |_| false), []);
        assert_eq!(sweeps.due(now, |_| true), std::slice::from_ref(&group));
        assert_eq!(
            sweeps.due(now + PATIENCE, |_| false),
            std::slice::from_ref(&group)
        );
        sweeps.done(&group);
        assert!(sweeps.is_empty());
    }
}
