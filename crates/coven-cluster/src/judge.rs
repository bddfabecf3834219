//! Who is dead (design §5.1).
//!
//! A session that is not there is dead only for who has watched for a full TTL without a break: after a fail-over of the
//! store all sessions are gone at once, and everybody needs that long to come back (IL-29). Once dead is dead for good:
//! sessions are drawn at random and never come again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coven_core::Epoch;
use coven_store::registry::Sight;
use coven_store::{Owner, SessionId};

use crate::clock::Moment;
use crate::{ProcessId, ShardId};

/// A shard to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// The shard.
    pub shard: ShardId,
    /// The owner that is known to be dead.
    pub judged_dead: Option<Owner>,
    /// The highest epoch of it that was heard of.
    pub known: Epoch,
}

/// Whether a session is known to be over.
#[must_use]
pub fn is_dead(session: SessionId, sight: &Sight, ttl: Duration) -> bool {
    sight.unbroken >= ttl && !sight.has(session)
}

/// How to take a shard whose token this is, and that this process does not own; `None` while its owner may live. `known`:
/// the highest epoch heard of. `own`: the sessions of this process: a token that names one of them is from a claim whose
/// answer was lost, or from a release that was: nobody's, and nobody else would ever judge it dead.
#[must_use]
pub fn take(
    shard: ShardId,
    stored: Option<Owner>,
    known: Epoch,
    own: &BTreeSet<SessionId>,
    (sight, ttl): (&Sight, Duration),
) -> Option<Take> {
    let is_over = |owner: Owner| own.contains(&owner.session) || is_dead(owner.session, sight, ttl);
    if stored.is_some_and(|owner| !is_over(owner)) {
        return None;
    }
    Some(Take {
        shard,
        judged_dead: stored,
        known,
    })
}

/// How an owner that was suspended takes its shard again under a new session; `None` when it has lost it. A stored token
/// of a lower epoch than its own is a loss by the store, whoever it names (IL-16).
#[must_use]
pub fn take_again(shard: ShardId, own: Owner, stored: Option<Owner>) -> Option<Take> {
    let is_mine = match stored {
        None => true,
        Some(owner) => owner == own || owner.epoch < own.epoch,
    };
    is_mine.then_some(Take {
        shard,
        judged_dead: stored,
        known: Epoch(own.epoch.0),
    })
}

/// Processes that are over, for who keeps something for them.
#[derive(Debug, Default)]
pub struct Departed {
    /// Those that were seen, with the moment since when they are dead.
    seen: BTreeMap<ProcessId, Option<Moment>>,
}

impl Departed {
    /// Takes in what is seen; answers the processes that have been dead for as long as `keep`. One with a link is not dead
    /// for who has it.
    pub fn update(
        &mut self,
        now: Moment,
        sight: &Sight,
        linked: &BTreeSet<ProcessId>,
        limits: (Duration, Duration),
    ) -> Vec<ProcessId> {
        let (ttl, keep) = limits;
        let there = sight.sessions.iter().map(|seen| seen.member.process);
        let there: BTreeSet<ProcessId> = there.chain(linked.iter().copied()).collect();
        for process in &there {
            self.seen.insert(*process, None);
        }
        let mut over = Vec::new();
        self.seen.retain(|process, dead| {
            if there.contains(process) || sight.unbroken < ttl {
                *dead = None;
                return true;
            }
            let is_over = now.since(*dead.get_or_insert(now)) >= keep;
            if is_over {
                over.push(*process);
            }
            !is_over
        });
        over
    }
}
