//! Who is dead, and what that allows.

use std::collections::BTreeSet;
use std::time::Duration;

use coven_cluster::judge::{Departed, Take, is_dead, take, take_again};
use coven_cluster::{ProcessId, ShardId};
use coven_core::Epoch;
use coven_store::{Owner, SessionId};

use super::world::{TTL, at, nodes};

const SHARD: ShardId = ShardId(7);

fn owner(epoch: u64, session: u128) -> Owner {
    Owner {
        epoch: coven_store::Epoch(epoch),
        session: SessionId(session),
    }
}

/// A fail-over loses all sessions: who is back first has to wait a full TTL before it judges anybody.
#[test]
fn il_29_nobody_is_dead_before_a_full_ttl_of_watching() {
    let mut sight = nodes(&[(1, &[])]);
    sight.unbroken = TTL - Duration::from_millis(1);
    assert!(!is_dead(SessionId(2), &sight, TTL));
    let token = Some(owner(5, 2));
    assert_eq!(
        take(SHARD, token, Epoch(0), &BTreeSet::new(), (&sight, TTL)),
        None
    );
    sight.unbroken = TTL;
    assert!(is_dead(SessionId(2), &sight, TTL));
    assert!(!is_dead(SessionId(1), &sight, TTL));
}

#[test]
fn a_shard_is_taken_from_the_dead_and_from_nobody() {
    let sight = nodes(&[(1, &[]), (2, &[])]);
    let known = Epoch(9);
    let wish = |judged_dead| {
        Some(Take {
            shard: SHARD,
            judged_dead,
            known,
        })
    };
    assert_eq!(
        take(SHARD, None, known, &BTreeSet::new(), (&sight, TTL)),
        wish(None)
    );
    assert_eq!(
        take(
            SHARD,
            Some(owner(5, 2)),
            known,
            &BTreeSet::new(),
            (&sight, TTL)
        ),
        None
    );
    let dead = Some(owner(5, 3));
    assert_eq!(
        take(SHARD, dead, known, &BTreeSet::new(), (&sight, TTL)),
        wish(dead)
    );
    // A release or the answer to a claim was lost: nobody else would ever take it.
    let own = Some(owner(5, 2));
    let mine = BTreeSet::from([SessionId(2)]);
    assert_eq!(take(SHARD, own, known, &mine, (&sight, TTL)), wish(own));
}

/// N0 claimed e2 and users have seen what it committed; the store lost the claim. The living owner goes on.
#[test]
fn il_16_a_lower_stored_epoch_is_a_loss_by_the_store() {
    let own = owner(20, 1);
    let older = Some(owner(10, 9));
    let again = take_again(SHARD, own, older).unwrap();
    assert_eq!((again.judged_dead, again.known), (older, Epoch(20)));
    let again = take_again(SHARD, own, None).unwrap();
    assert_eq!((again.judged_dead, again.known), (None, Epoch(20)));
    let again = take_again(SHARD, own, Some(own)).unwrap();
    assert_eq!(again.judged_dead, Some(own));
    assert_eq!(take_again(SHARD, own, Some(owner(30, 9))), None);
    assert_eq!(take_again(SHARD, own, Some(owner(20, 9))), None);
}

#[test]
fn il_15_a_process_with_a_link_is_not_departed() {
    let limits = (TTL, Duration::from_secs(600));
    let mut departed = Departed::default();
    let link = BTreeSet::from([ProcessId(2)]);
    let both = nodes(&[(1, &[]), (2, &[]), (3, &[])]);
    let one = nodes(&[(1, &[])]);
    assert!(departed.update(at(0.0), &both, &link, limits).is_empty());
    assert!(departed.update(at(1.0), &one, &link, limits).is_empty());
    assert!(departed.update(at(600.9), &one, &link, limits).is_empty());
    let over = departed.update(at(601.0), &one, &link, limits);
    assert_eq!(over, [ProcessId(3)]);
    assert!(
        departed
            .update(at(602.0), &one, &BTreeSet::new(), limits)
            .is_empty()
    );
    let over = departed.update(at(1202.0), &one, &BTreeSet::new(), limits);
    assert_eq!(over, [ProcessId(2)], "its link has been down for long");
}

#[test]
fn il_29_nobody_departs_by_a_fail_over() {
    let limits = (TTL, Duration::ZERO);
    let mut departed = Departed::default();
    let both = nodes(&[(1, &[]), (2, &[])]);
    let mut one = nodes(&[(1, &[])]);
    one.unbroken = Duration::from_secs(5);
    let none = BTreeSet::new();
    assert!(departed.update(at(0.0), &both, &none, limits).is_empty());
    assert!(departed.update(at(5.0), &one, &none, limits).is_empty());
    assert!(departed.update(at(6.0), &both, &none, limits).is_empty());
}
