//! What a node plans to claim and to give up.

use std::collections::BTreeSet;
use std::time::Duration;

use coven_cluster::claims::{Claims, Limits, Plan, View};
use coven_cluster::rendezvous::{Candidate, Thing, ranking};
use coven_cluster::{Moment, ProcessId, ShardId};
use coven_store::registry::{Role, Sight};
use proptest::prelude::*;

use super::world::{at, nobody, nodes, seen};

const SHARDS: u16 = 64;

/// A node, with what its agent knows.
struct Node {
    claims: Claims,
    owned: BTreeSet<ShardId>,
    busy: BTreeSet<ShardId>,
    draining: bool,
}

impl Node {
    fn new(me: u128) -> Self {
        Self {
            claims: Claims::new(ProcessId(me), SHARDS, Limits::default()),
            owned: BTreeSet::new(),
            busy: BTreeSet::new(),
            draining: false,
        }
    }

    fn owning(me: u128, shards: impl IntoIterator<Item = u16>) -> Self {
        let mut node = Self::new(me);
        node.owned = shards.into_iter().map(ShardId).collect();
        node
    }

    fn plan(&mut self, now: Moment, sight: &Sight) -> Plan {
        self.claims.plan(View {
            now,
            sight,
            owned: &self.owned,
            busy: &self.busy,
            draining: self.draining,
        })
    }
}

/// The ranking of a shard over nodes 1 to `count`.
fn ranks(shard: u16, count: u128) -> Vec<u128> {
    let all: Vec<_> = (1..=count)
        .map(|process| Candidate {
            process: ProcessId(process),
            weight: 1,
        })
        .collect();
    let ranks = ranking(Thing::number(shard), &all);
    ranks.into_iter().map(|process| process.0).collect()
}

/// The shards of which a node is so far down in rank.
fn ranked(me: u128, rank: usize, count: u128) -> Vec<ShardId> {
    let all = 0..SHARDS;
    all.filter(|shard| ranks(*shard, count)[rank] == me)
        .map(ShardId)
        .collect()
}

#[test]
fn the_preferred_node_claims_at_once_and_the_next_waits() {
    let sight = nodes(&[(1, &[]), (2, &[])]);
    let mut node = Node::new(1);
    assert_eq!(node.plan(at(0.0), &sight).claim, ranked(1, 0, 2));
    assert_eq!(node.plan(at(0.9), &sight).claim, ranked(1, 0, 2));
    // Node 2 did not take what is its own: the preference is not trusted.
    let all: Vec<_> = (0..SHARDS).map(ShardId).collect();
    assert_eq!(node.plan(at(1.0), &sight).claim, all);
}

#[test]
fn what_a_living_node_names_is_not_claimed() {
    let mine: Vec<u16> = ranked(1, 0, 2).iter().map(|shard| shard.0).collect();
    let sight = nodes(&[(1, &[]), (2, &mine)]);
    let mut node = Node::new(1);
    assert_eq!(node.plan(at(0.0), &sight).claim, []);
    let gone = nodes(&[(1, &[])]);
    let claim = node.plan(at(1.0), &gone).claim;
    assert_eq!(claim.len(), usize::from(SHARDS), "node 2 is gone");
}

#[test]
fn nobody_waits_for_a_node_that_cannot_judge_to_claim_what_a_dead_one_has_left() {
    let all: Vec<u16> = (0..SHARDS).collect();
    let mut node = Node::new(1);
    node.plan(at(0.0), &nodes(&[(1, &[]), (2, &all)]));
    // Node 2 was killed, and node 3 has come in its place.
    node.plan(at(7.0), &nodes(&[(1, &[]), (2, &all), (3, &[])]));
    let gone = nodes(&[(1, &[]), (3, &[])]);
    let claim = node.plan(at(10.0), &gone).claim;
    assert_eq!(
        claim.len(),
        usize::from(SHARDS),
        "node 3 has watched for 3 s only"
    );
    // Where it was released, node 3 takes its part as well.
    let mut node = Node::new(1);
    node.plan(at(0.0), &nodes(&[(1, &[]), (2, &all)]));
    let released = nodes(&[(1, &[]), (2, &[]), (3, &[])]);
    assert_eq!(node.plan(at(7.0), &released).claim, ranked(1, 0, 3));
    // After a while it is as good as any.
    let mut node = Node::new(1);
    node.plan(at(0.0), &nodes(&[(1, &[]), (2, &all), (3, &[])]));
    let claim = node.plan(at(7.0), &gone).claim;
    assert!(claim.len() < usize::from(SHARDS), "{claim:?}");
}

#[test]
fn what_is_under_way_is_not_planned_again() {
    let sight = nodes(&[(1, &[])]);
    let mut node = Node::new(1);
    node.busy = (0..60).map(ShardId).collect();
    let claim = node.plan(at(0.0), &sight).claim;
    assert_eq!(claim, (60..64).map(ShardId).collect::<Vec<_>>());
    node.busy.clear();
    node.claims.refused(ShardId(0), at(0.1));
    assert!(!node.plan(at(1.0), &sight).claim.contains(&ShardId(0)));
    assert!(node.plan(at(1.2), &sight).claim.contains(&ShardId(0)));
}

#[test]
fn a_node_that_drains_or_weighs_nothing_claims_nothing() {
    let mut sight = nodes(&[(1, &[]), (2, &[])]);
    let mut node = Node::owning(1, 0..3);
    node.draining = true;
    sight.sessions[0].member.draining = true;
    let plan = node.plan(at(0.0), &sight);
    assert_eq!(plan.claim, []);
    assert_eq!(plan.give_up, [0, 1, 2].map(ShardId));
    let mut other = Node::new(2);
    assert_eq!(other.plan(at(0.0), &sight).claim.len(), usize::from(SHARDS));
    let mut sight = nodes(&[(1, &[])]);
    sight.sessions[0].member.weight = 0;
    let mut node = Node::new(1);
    assert_eq!(node.plan(at(9.0), &sight).claim, []);
}

#[test]
fn a_drain_is_bounded() {
    let sight = nodes(&[(1, &[])]);
    let mut node = Node::owning(1, 0..SHARDS);
    node.claims = Claims::new(
        ProcessId(1),
        SHARDS,
        Limits {
            releases: 8,
            ..Limits::default()
        },
    );
    node.draining = true;
    let first = node.plan(at(0.0), &sight).give_up;
    assert_eq!(first.len(), 8);
    node.busy = first.into_iter().collect();
    assert_eq!(node.plan(at(0.1), &sight).give_up, []);
}

#[test]
fn rebalancing_is_slow_and_not_right_after_a_change() {
    let alone = nodes(&[(1, &[])]);
    let both = nodes(&[(1, &[]), (2, &[])]);
    let mut node = Node::owning(1, 0..SHARDS);
    assert_eq!(node.plan(at(0.0), &alone), Plan::default());
    assert_eq!(node.plan(at(20.0), &both), Plan::default());
    assert_eq!(node.plan(at(29.9), &both), Plan::default());
    let moved = node.plan(at(30.0), &both).give_up;
    assert_eq!(moved.len(), 16);
    assert!(moved.iter().all(|shard| ranked(2, 0, 2).contains(shard)));
    assert_eq!(node.plan(at(30.0), &both).give_up, []);
    assert!(node.plan(at(30.5), &both).give_up.len() <= 8);
}

#[test]
fn il_29_nothing_is_rebalanced_right_after_a_fail_over() {
    let mut both = nodes(&[(1, &[]), (2, &[])]);
    let mut node = Node::owning(1, 0..SHARDS);
    node.plan(at(0.0), &both);
    both.unbroken = Duration::from_secs(9);
    assert_eq!(node.plan(at(50.0), &both).give_up, []);
    both.unbroken = Duration::from_secs(10);
    assert_ne!(node.plan(at(50.0), &both).give_up, []);
}

#[test]
fn a_moved_shard_goes_at_once_and_stays() {
    let mut sight = nodes(&[(1, &[]), (2, &[])]);
    let shard = ranked(1, 0, 2)[0];
    let stored = coven_store::ShardId(shard.0);
    let mut node = Node::owning(1, 0..SHARDS);
    node.plan(at(0.0), &sight);
    sight.requests.moved.insert(stored, ProcessId(2));
    assert_eq!(node.plan(at(0.1), &sight).give_up, [shard]);
    let mut other = Node::new(2);
    assert!(other.plan(at(0.0), &sight).claim.contains(&shard));
    let mut owner = Node::owning(2, [shard.0]);
    assert_eq!(owner.plan(at(100.0), &sight).give_up, []);
    // The node is gone: the shard belongs to the preferred one again.
    let mut alone = nodes(&[(1, &[])]);
    alone.requests = sight.requests;
    let mut node = Node::new(1);
    assert!(node.plan(at(0.0), &alone).claim.contains(&shard));
}

proptest! {
    /// Every free shard has exactly one node that claims it at once, whoever is there.
    #[test]
    fn one_node_claims_each_free_shard(
        ids in proptest::collection::btree_set(1_u128..100, 1..6),
        weights in proptest::collection::vec(1_u32..4, 6),
    ) {
        let mut sight = nobody();
        for (id, weight) in ids.iter().zip(weights) {
            let mut node = seen(*id, Role::Node);
            node.member.weight = weight;
            sight.sessions.push(node);
        }
        let mut all: Vec<ShardId> = Vec::new();
        for id in &ids {
            all.extend(Node::new(*id).plan(at(0.0), &sight).claim);
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..SHARDS).map(ShardId).collect::<Vec<_>>());
    }
}
