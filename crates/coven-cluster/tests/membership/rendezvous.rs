//! Rendezvous hashing.

use std::collections::BTreeMap;

use coven_cluster::ProcessId;
use coven_cluster::rendezvous::{Candidate, Thing, ranking};
use proptest::prelude::*;

fn candidates(processes: impl IntoIterator<Item = (u128, u32)>) -> Vec<Candidate> {
    let candidate = |(process, weight)| Candidate {
        process: ProcessId(process),
        weight,
    };
    processes.into_iter().map(candidate).collect()
}

fn first(thing: u16, candidates: &[Candidate]) -> ProcessId {
    ranking(Thing::number(thing), candidates)[0]
}

/// Processes of several versions have to agree.
#[test]
fn vectors_never_change() {
    let three = candidates([(1, 1), (2, 1), (3, 2)]);
    let chosen: Vec<u128> = (0..16).map(|shard| first(shard, &three).0).collect();
    assert_eq!(chosen, VECTORS);
    let named = ranking(Thing::name("chat.example at 127.0.0.1:5347"), &three);
    assert_eq!(named.iter().map(|it| it.0).collect::<Vec<_>>(), NAMED);
}

const VECTORS: [u128; 16] = [3, 3, 2, 3, 3, 3, 3, 3, 3, 1, 3, 3, 3, 3, 3, 3];
const NAMED: [u128; 3] = [3, 1, 2];

#[test]
fn shares_follow_weights() {
    let four = candidates([(11, 1), (12, 1), (13, 2), (14, 0)]);
    let mut counts: BTreeMap<u128, u32> = BTreeMap::new();
    for shard in 0..4096 {
        *counts.entry(first(shard, &four).0).or_default() += 1;
    }
    assert_eq!(counts.get(&14), None);
    for (process, expected) in [(11, 1024_i32), (12, 1024), (13, 2048)] {
        let found = i32::try_from(counts[&process]).unwrap();
        assert!((found - expected).abs() < 128, "{process}: {found}");
    }
}

proptest! {
    /// One candidate less moves only what it had; the others keep their order.
    #[test]
    fn only_what_the_lost_one_had_moves(
        ids in proptest::collection::btree_set(any::<u128>(), 2..8),
        weights in proptest::collection::vec(1_u32..5, 8),
        lost in any::<prop::sample::Index>(),
        shard in any::<u16>(),
    ) {
        let all = candidates(ids.into_iter().zip(weights));
        let mut fewer = all.clone();
        let lost = fewer.remove(lost.index(all.len())).process;
        let before = ranking(Thing::number(shard), &all);
        let after = ranking(Thing::number(shard), &fewer);
        let expected: Vec<_> = before.into_iter().filter(|it| *it != lost).collect();
        prop_assert_eq!(after, expected);
    }

    /// The order in which candidates are named does not matter.
    #[test]
    fn everybody_agrees(
        ids in proptest::collection::btree_set(any::<u128>(), 2..8),
        shard in any::<u16>(),
    ) {
        let one = candidates(ids.iter().map(|id| (*id, 1)));
        let other = candidates(ids.iter().rev().map(|id| (*id, 1)));
        let thing = Thing::number(shard);
        prop_assert_eq!(ranking(thing, &one), ranking(thing, &other));
    }
}
