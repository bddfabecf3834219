//! Which shards a node claims, and which it gives up (design §5.2, §5.10).
//!
//! A plan from what is seen; safety is the store's epoch check alone, so that a plan may be wrong. Nodes tell which shards
//! they own; one that no living node names is free, and its preferred node claims it at once. The next in rank waits, so
//! that they do not race, and does it if the first does not: the preference is never trusted. A shard that an operator has
//! moved prefers its new node. A node that has just come cannot judge anybody dead ([`crate::judge`]): nobody waits for it to
//! claim what a dead one has left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coven_store::registry::{Role, ShardSet, Sight};

use crate::clock::Moment;
use crate::rendezvous::{Candidate, Thing, ranking};
use crate::{ProcessId, ShardId};

/// What bounds plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How much longer each node waits than the one before it in rank.
    pub rank_delay: Duration,
    /// How long a shard is left alone after a claim of it was refused.
    pub retry: Duration,
    /// How long nothing is rebalanced after nodes have come or gone.
    pub calm: Duration,
    /// Shards given up for balance per second.
    pub per_second: u32,
    /// How long a node has to be there until it may judge others dead: the life of a session.
    pub ripe: Duration,
    /// Shards claimed at a time.
    pub claims: usize,
    /// Shards given up at a time: few, since each is without an owner until all of them are released.
    pub releases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rank_delay: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            calm: Duration::from_secs(10),
            per_second: 16,
            ripe: Duration::from_secs(6),
            claims: 512,
            releases: 16,
        }
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Now.
    pub now: Moment,
    /// Who is there.
    pub sight: &'a Sight,
    /// The shards of this node.
    pub owned: &'a BTreeSet<ShardId>,
    /// Shards that are just being claimed or given up.
    pub busy: &'a BTreeSet<ShardId>,
    /// This node gives up what it has.
    pub draining: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Shards to be claimed, if their owner is dead.
    pub claim: Vec<ShardId>,
    /// Shards to be given up.
    pub give_up: Vec<ShardId>,
}

/// Plans for one node.
#[derive(Debug)]
pub struct Claims {
    me: ProcessId,
    shards: u16,
    limits: Limits,
    /// Since when a shard is free.
    free: BTreeMap<ShardId, Moment>,
    /// Until when a shard is left alone.
    refused: BTreeMap<ShardId, Moment>,
    /// Who was last seen to have a shard, if not this node.
    owners: BTreeMap<ShardId, ProcessId>,
    /// Since when a node is there.
    known: BTreeMap<ProcessId, Moment>,
    candidates: Vec<Candidate>,
    /// When nodes came or went last.
    changed: Moment,
    /// When the last shard was given up for balance.
    balanced: Moment,
}

impl Claims {
    /// Plans for this node, of so many shards.
    #[must_use]
    pub fn new(me: ProcessId, shards: u16, limits: Limits) -> Self {
        Self {
            me,
            shards,
            limits,
            free: BTreeMap::new(),
            refused: BTreeMap::new(),
            owners: BTreeMap::new(),
            known: BTreeMap::new(),
            candidates: Vec::new(),
            changed: Moment::default(),
            balanced: Moment::default(),
        }
    }

    /// A claim was refused, or failed: somebody has the shard, who may tell soon.
    pub fn refused(&mut self, shard: ShardId, now: Moment) {
        self.refused.insert(shard, now + self.limits.retry);
    }

    /// What to do now.
    pub fn plan(&mut self, view: View<'_>) -> Plan {
        self.look(view);
        if view.draining {
            return Plan {
                claim: Vec::new(),
                give_up: self.drained(view),
            };
        }
        Plan {
            claim: self.wanted(view),
            give_up: self.unbalanced(view),
        }
    }

    /// The shards that operators have moved away, and those that others should have, a few at a time.
    fn unbalanced(&mut self, view: View<'_>) -> Vec<ShardId> {
        let moved = |shard: &ShardId| view.sight.requests.moved.contains_key(&stored(*shard));
        let mine = view.owned.iter().copied();
        let elsewhere: Vec<ShardId> = mine
            .filter(|shard| !view.busy.contains(shard))
            .filter(|shard| {
                self.rank_of(*shard, view.sight)
                    .first()
                    .is_some_and(|first| *first != self.me)
            })
            .collect();
        let allowed = self.allowance(view);
        let asked = elsewhere.iter().copied().filter(moved);
        let others = elsewhere.iter().copied().filter(|shard| !moved(shard));
        let balanced: Vec<_> = others.take(allowed).collect();
        if !balanced.is_empty() {
            self.balanced = view.now;
        }
        let most = self.limits.releases;
        asked.take(most).chain(balanced).collect()
    }

    /// How many shards may be given up for balance now.
    fn allowance(&self, view: View<'_>) -> usize {
        let calm = view.now.since(self.changed).min(view.sight.unbroken);
        if calm < self.limits.calm {
            return 0;
        }
        let since = view.now.since(self.balanced).min(Duration::from_secs(1));
        let shards = since.as_millis() * u128::from(self.limits.per_second) / 1000;
        usize::try_from(shards).unwrap_or_default()
    }

    fn drained(&self, view: View<'_>) -> Vec<ShardId> {
        let under_way = view.owned.intersection(view.busy).count();
        let most = self.limits.releases.saturating_sub(under_way);
        view.owned
            .difference(view.busy)
            .copied()
            .take(most)
            .collect()
    }

    fn wanted(&self, view: View<'_>) -> Vec<ShardId> {
        let most = self.limits.claims.saturating_sub(view.busy.len());
        let free = self.free.iter();
        free.filter(|(shard, since)| {
            !view.busy.contains(shard) && self.may_claim(**shard, **since, view)
        })
        .map(|(shard, _)| *shard)
        .take(most)
        .collect()
    }

    fn may_claim(&self, shard: ShardId, since: Moment, view: View<'_>) -> bool {
        if self.refused.contains_key(&shard) {
            return false;
        }
        let mut ranks = self.rank_of(shard, view.sight);
        if self.is_of_dead(shard, view.sight) {
            ranks.sort_by_key(|process| !self.is_ripe(*process, view.now));
        }
        let Some(rank) = ranks.iter().position(|process| *process == self.me) else {
            return false;
        };
        let delay = self.limits.rank_delay * u32::try_from(rank).unwrap_or(u32::MAX);
        view.now.since(since) >= delay
    }

    /// Whether its last owner has not released it, but is gone.
    fn is_of_dead(&self, shard: ShardId, sight: &Sight) -> bool {
        let owner = self.owners.get(&shard);
        owner.is_some_and(|owner| sight.of(*owner).is_none())
    }

    fn is_ripe(&self, process: ProcessId, now: Moment) -> bool {
        let since = self.known.get(&process);
        since.is_some_and(|since| now.since(*since) >= self.limits.ripe)
    }

    /// Takes in what is seen.
    fn look(&mut self, view: View<'_>) {
        let candidates = candidates(view.sight, Role::Node);
        if candidates != self.candidates {
            self.candidates = candidates;
            self.changed = view.now;
        }
        self.known
            .retain(|process, _| view.sight.of(*process).is_some());
        for candidate in &self.candidates {
            self.known.entry(candidate.process).or_insert(view.now);
        }
        self.refused.retain(|_, until| *until > view.now);
        let mut taken = ShardSet::default();
        for seen in &view.sight.sessions {
            if seen.member.process != self.me {
                taken.extend(&seen.member.owned);
                let owned = seen.member.owned.iter();
                let owner = seen.member.process;
                self.owners
                    .extend(owned.map(|shard| (ShardId(shard.0), owner)));
            }
        }
        for shard in (0..self.shards).map(ShardId) {
            if taken.contains(stored(shard)) || view.owned.contains(&shard) {
                self.free.remove(&shard);
            } else {
                self.free.entry(shard).or_insert(view.now);
            }
        }
    }

    /// Who should have a shard, first choice first.
    fn rank_of(&self, shard: ShardId, sight: &Sight) -> Vec<ProcessId> {
        let mut ranks = ranking(Thing::number(shard.0), &self.candidates);
        let moved = sight.requests.moved.get(&stored(shard));
        // A stable sort: the others stay in their order.
        ranks.sort_by_key(|process| Some(process) != moved);
        ranks
    }
}

/// Processes of a role that take part, by process.
#[must_use]
pub fn candidates(sight: &Sight, role: Role) -> Vec<Candidate> {
    let mut all: Vec<_> = sight
        .sessions
        .iter()
        .map(|seen| &seen.member)
        .filter(|member| member.role == role && !member.draining && member.weight > 0)
        .filter(|member| !sight.requests.draining.contains(&member.process))
        .map(|member| Candidate {
            process: member.process,
            weight: member.weight,
        })
        .collect();
    all.sort_unstable();
    all.dedup_by_key(|candidate| candidate.process);
    all
}

const fn stored(shard: ShardId) -> coven_store::ShardId {
    coven_store::ShardId(shard.0)
}
