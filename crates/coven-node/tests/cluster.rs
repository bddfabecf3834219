//! A node of a cluster: several front-ends, acknowledgements, and shards that come and go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Front, Member, is_base, is_committed, is_done, is_refused};
use common::held::HeldStore;
use common::{channel, eventually, is_joined, is_message, join, post, said};
use coven_cluster::{Delivery, NodeLink, ToFront, ToNode};
use coven_core::{Command, Epoch, Query, View};
use coven_node::NodeEvent;
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

/// A node that owns everything, a front-end with both connections, and a room with a message in it.
async fn with_room(store: &Arc<HeldStore>) -> (Member, Front) {
    let node = Member::owner(store, 1).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.send("coven", HAG, post("one"), (3, 2, 0));
    front.until(|d| is_message(d, "one")).await;
    (node, front)
}

fn acknowledge_all(node: &Member, front: &Front) {
    front.acknowledge(node, "coven", "c1", 1);
    front.acknowledge(node, "coven", "c2", 1);
}

/// Waits until the room's shard has no mark, or has one.
async fn marked(node: &Member, marked: bool) {
    let what = format!("the mark is {marked}");
    eventually(&what, async || node.unsent("coven").await == marked).await;
}

#[tokio::test]
async fn i3_all_front_ends_of_a_space_get_its_output_and_a_new_one_begins_with_base_and_journal() {
    let store = Arc::new(HeldStore::default());
    let node = Member::owner(&store, 1).await;
    let mut a = node.front(10, &[("c1", 1)]);
    let mut b = node.front(11, &[("c2", 1)]);
    let mut none = node.front(12, &[]);
    a.send("coven", HAG, join("hag"), (1, 0, 0));
    for front in [&mut a, &mut b] {
        let all = front.until(is_joined).await;
        assert_eq!(all.iter().filter(|d| is_base(d)).count(), 1, "{all:?}");
    }
    a.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    a.send("coven", HAG, post("one"), (3, 2, 0));
    for front in [&mut a, &mut b] {
        let all = front.until(|d| is_message(d, "one")).await;
        assert!(!all.iter().any(is_base), "the roster is there already");
    }
    drop(b);
    let mut late = node.front(13, &[("c2", 2)]);
    let all = late.until(|d| is_message(d, "one")).await;
    assert!(all.first().is_some_and(is_base) && all.iter().any(is_joined));
    assert!(none.heard_by_now().await.0.is_empty());
    assert!(
        !a.heard_by_now().await.0.iter().any(is_base),
        "sent to others again"
    );
}

#[tokio::test]
async fn i3_who_begins_to_hold_a_connection_gets_what_is_owed_and_of_other_channels_the_next_event()
{
    let store = Arc::new(HeldStore::default());
    let (node, front) = with_room(&store).await;
    acknowledge_all(&node, &front);
    marked(&node, false).await;
    let mut late = node.front(11, &[("c2", 2)]);
    assert!(late.heard_by_now().await.0.is_empty(), "nothing is owed");
    front.send("coven", HAG, post("two"), (4, 3, 3));
    let all = late.until(|d| is_message(d, "two")).await;
    assert!(all.first().is_some_and(is_base));
    assert_eq!(said(&all), ["two"]);
}

#[tokio::test]
async fn i9_a_front_end_that_takes_nothing_is_detached_and_holds_up_nobody() {
    let store = Arc::new(HeldStore::default());
    let node = Member::owner(&store, 1).await;
    let a = node.front(10, &[("c1", 1)]);
    let stuck = node.front(11, &[("c2", 1)]);
    // The ears of these tests take nothing of this room.
    a.send("stuck", HAG, join("hag"), (1, 0, 0));
    let body = "x".repeat(1024 * 1024);
    for n in 2..45 {
        a.send(
            "stuck",
            HAG,
            Command::Configure(Box::default()),
            (n * 2, n * 2 - 2, n * 2 - 1),
        );
        a.send("stuck", HAG, post(&body), (n * 2 + 1, n * 2, n * 2));
    }
    let detached = tokio::time::timeout(Duration::from_secs(90), stuck.seat.detached()).await;
    assert!(detached.is_ok());
    let mut c = node.front(12, &[("c1", 3)]);
    c.send("coven", HAG, join("hag"), (1, 0, 0));
    c.until(is_joined).await;
}

#[tokio::test]
async fn il_13_an_acknowledgement_of_an_older_lease_or_epoch_counts_for_nothing() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    front.acknowledge(&node, "coven", "c1", 1);
    front.holds(&[("c1", 1), ("c2", 2)]);
    front.acknowledge(&node, "coven", "c2", 1);
    front.acknowledge_under(Epoch(0), "coven", "c2", 2);
    front.heard_by_now().await;
    assert!(node.unsent("coven").await, "an old word was taken");
    front.acknowledge(&node, "coven", "c2", 2);
    marked(&node, false).await;
}

#[tokio::test]
async fn il_21_il_28_a_channel_is_done_when_all_connections_say_so_held_or_not_and_that_is_stored()
{
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    front.acknowledge(&node, "coven", "c1", 1);
    front.heard_by_now().await;
    assert!(node.unsent("coven").await, "c2 has not acknowledged");
    front.acknowledge(&node, "coven", "c2", 1);
    marked(&node, false).await;
    // Half a second later nobody gets it again, although the node is killed.
    node.kill();
    let node = Member::owner(&store, 2).await;
    let mut front = node.front(10, &[("c1", 3), ("c2", 3)]);
    assert!(front.heard_by_now().await.0.is_empty());
}

#[tokio::test]
async fn i9_il_25_what_made_events_is_done_when_they_are_durable_whoever_is_away() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    // The answers before are taken in; c2 is away from now on.
    acknowledge_all(&node, &front);
    front.word(|w| is_done(w, 3)).await;
    store.hold();
    front.send("coven", HAG, post("two"), (4, 3, 3));
    let (_, words) = front.heard_by_now().await;
    let is_of = |w: &ToFront| is_committed(w, 4) || is_done(w, 4);
    assert!(!words.iter().any(is_of), "{words:?}");
    store.let_go();
    front.word(|w| is_committed(w, 4)).await;
    front.word(|w| is_done(w, 4)).await;
}

#[tokio::test]
async fn il_02_a_repeat_of_what_made_events_is_answered_by_done_alone() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    // The answers before are taken in; what is behind them is not.
    acknowledge_all(&node, &front);
    front.word(|w| is_done(w, 3)).await;
    front.send("coven", HAG, post("two"), (4, 3, 3));
    front.until(|d| is_message(d, "two")).await;
    drop(front);
    node.kill();
    let node = Member::owner(&store, 2).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.until(|d| is_message(d, "two")).await;
    front.send("coven", HAG, post("two"), (4, 0, 0));
    front.word(|w| is_done(w, 4)).await;
    let (deliveries, _) = front.heard_by_now().await;
    assert!(deliveries.is_empty(), "{deliveries:?}");
    front.send("coven", HAG, post("two"), (4, 0, 0));
    front.word(|w| is_done(w, 4)).await;
    assert!(front.heard_by_now().await.0.is_empty());
}

#[tokio::test]
async fn il_01_a_refusal_to_a_remote_link_waits_for_its_outcome() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    store.hold();
    front.send("coven", WITCH, post("refused"), (4, 3, 0));
    let (deliveries, _) = front.heard_by_now().await;
    assert!(!deliveries.iter().any(is_refused), "{deliveries:?}");
    store.let_go();
    front.until(is_refused).await;
}

#[tokio::test]
async fn il_10_a_refusal_that_nobody_has_written_is_said_to_the_next_holder() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    acknowledge_all(&node, &front);
    marked(&node, false).await;
    front.send("coven", WITCH, post("refused"), (4, 3, 3));
    front.until(is_refused).await;
    drop(front);
    let named = |d: &Delivery| {
        let by = (coven_cluster::ProcessId(10), 4);
        matches!(d, Delivery::Refused { operation, .. } if *operation == Some(by))
    };
    let mut next = node.front(11, &[("c1", 2), ("c2", 2)]);
    next.until(named).await;
    // Also when the node is killed with it.
    drop(next);
    node.kill();
    let node = Member::owner(&store, 2).await;
    let mut next = node.front(12, &[("c1", 3), ("c2", 3)]);
    let all = next.until(named).await;
    assert!(all.first().is_some_and(is_base));
    acknowledge_all_under(&node, &next, 3);
    marked(&node, false).await;
}

fn acknowledge_all_under(node: &Member, front: &Front, lease: u64) {
    front.acknowledge(node, "coven", "c1", lease);
    front.acknowledge(node, "coven", "c2", lease);
}

#[tokio::test]
async fn il_20_a_new_owner_takes_an_operation_whose_forerunners_are_answered() {
    let store = Arc::new(HeldStore::default());
    let (node, front) = with_room(&store).await;
    node.kill();
    let node = Member::owner(&store, 2).await;
    let mut next = node.front(99, &[("c1", 2), ("c2", 2)]);
    drop(front);
    next.send("coven", HAG, post("late"), (9, 7, 5));
    next.word(|w| matches!(w, ToFront::Missing { after: 0, .. }))
        .await;
    next.send("coven", HAG, post("late"), (9, 8, 8));
    next.until(|d| is_message(d, "late")).await;
}

#[tokio::test(start_paused = true)]
async fn il_24_nothing_is_decided_while_the_store_is_away_and_what_was_refused_is_not_done_later() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    store.away(true);
    front.send("coven", HAG, post("decided"), (4, 3, 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    front.send("coven", HAG, post("refused"), (5, 4, 0));
    let words = front
        .word(|w| matches!(w, ToFront::NotTaken { id, .. } if id.n == 5))
        .await;
    assert!(
        !words
            .iter()
            .any(|w| matches!(w, ToFront::NotTaken { id, .. } if id.n == 4))
    );
    store.away(false);
    let all = front.until(|d| is_message(d, "decided")).await;
    assert_eq!(said(&all), ["decided"]);
    front.send("coven", HAG, post("after"), (6, 4, 4));
    let all = front.until(|d| is_message(d, "after")).await;
    assert_eq!(said(&all), ["after"]);
}

#[tokio::test(start_paused = true)]
async fn i5_a_store_that_is_away_for_three_seconds_costs_nobody_an_error() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    store.away(true);
    for n in 4..10 {
        front.send("coven", HAG, post(&n.to_string()), (n, n - 1, 0));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    store.away(false);
    let all = front.until(|d| is_message(d, "9")).await;
    assert_eq!(said(&all), ["4", "5", "6", "7", "8", "9"]);
    assert!(!all.iter().any(is_refused));
    let (_, words) = front.heard_by_now().await;
    assert!(!words.iter().any(|w| matches!(w, ToFront::NotTaken { .. })));
}

#[tokio::test(start_paused = true)]
async fn i4_a_commit_whose_answer_was_lost_takes_effect_once() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    store.mute(1);
    front.send("coven", HAG, post("two"), (4, 3, 0));
    front.send("coven", HAG, post("three"), (5, 4, 0));
    let all = front.until(|d| is_message(d, "three")).await;
    assert_eq!(said(&all), ["two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn il_16_a_living_owner_claims_over_a_token_that_the_store_has_brought_back() {
    let store = Arc::new(HeldStore::default());
    let old = Member::owner(&store, 1).await;
    let before = store.changes();
    old.kill();
    let (node, mut front) = with_room(&store).await;
    let epoch = node.handle.place(&channel("coven")).epoch;
    store.lose(before).await;
    front.send("coven", HAG, post("two"), (4, 3, 0));
    front.until(|d| is_message(d, "two")).await;
    assert!(node.handle.place(&channel("coven")).epoch > epoch);
    front.word(|w| matches!(w, ToFront::Owned(_))).await;
}

/// IL-18 as well: the refusal's commit has no event, and is missed by its number alone.
#[tokio::test(start_paused = true)]
async fn il_17_il_18_what_the_store_lost_is_appended_again_with_its_outcomes() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    let before = store.changes();
    front.send("coven", HAG, post("two"), (4, 3, 0));
    front.until(|d| is_message(d, "two")).await;
    front.send("coven", WITCH, post("refused"), (5, 4, 0));
    front.until(is_refused).await;
    store.lose(before).await;
    // It is found with the next commit.
    front.send("coven", HAG, post("three"), (6, 5, 0));
    front.until(|d| is_message(d, "three")).await;
    node.kill();
    let node = Member::owner(&store, 2).await;
    let mut next = node.front(10, &[("c1", 2), ("c2", 2)]);
    let all = next.until(|d| is_message(d, "three")).await;
    assert_eq!(said(&all), ["one", "two", "three"]);
    drop(front);
    next.send("coven", WITCH, join("witch"), (7, 6, 0));
    next.until(is_joined).await;
    next.send("coven", HAG, post("two"), (4, 0, 0));
    next.send("coven", WITCH, post("refused"), (5, 4, 0));
    let (deliveries, words) = next.heard_by_now().await;
    assert_eq!(
        said(&deliveries),
        [""; 0],
        "done twice, or although it was refused"
    );
    assert!(!words.iter().any(|w| matches!(w, ToFront::Missing { .. })));
}

#[tokio::test(start_paused = true)]
async fn i5_what_the_store_has_lost_for_good_costs_the_shard_and_is_counted() {
    let store = Arc::new(HeldStore::default());
    let node = Member::owner(&store, 1).await;
    let before = store.changes();
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.word(|w| is_committed(w, 2)).await;
    let mut events = node.handle.events();
    store.lose(before).await;
    front.send("coven", HAG, post("one"), (3, 2, 0));
    let lost = events.recv().await.unwrap();
    assert!(matches!(lost, NodeEvent::Lost { shard, .. } if shard == channel("coven").shard()));
    assert_eq!(node.handle.health().snapshot().gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn il_29_a_node_whose_session_is_lost_answers_nothing_and_goes_on_with_its_shards() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    node.handle.suspend();
    let info = Query::Info { view: View::Muc };
    let ask = common::operation("coven", HAG, coven_cluster::Request::Query(info));
    assert!(
        front
            .seat
            .try_send(ToNode::Operation(Box::new(ask)))
            .is_ok()
    );
    front.until(is_refused).await;
    front.send("coven", HAG, post("two"), (4, 3, 0));
    let (deliveries, _) = front.heard_by_now().await;
    assert!(said(&deliveries).is_empty(), "decided without a session");
    node.handle.resume(coven_store::SessionId(77)).await;
    front.until(|d| is_message(d, "two")).await;
    assert_eq!(node.handle.owned().len(), 4);
    let shard = coven_store::ShardId(channel("coven").shard().0);
    let owner = coven_store::Store::owner(&*store, shard)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(owner.session, coven_store::SessionId(77));
}

#[tokio::test(start_paused = true)]
async fn i1_a_node_that_was_replaced_drops_the_shard_and_says_so() {
    let store = Arc::new(HeldStore::default());
    let (old, mut front) = with_room(&store).await;
    let mut events = old.handle.events();
    let new = Member::owner(&store, 2).await;
    front.send("coven", HAG, post("ghost"), (4, 3, 0));
    let lost = events.recv().await.unwrap();
    assert!(matches!(lost, NodeEvent::Lost { shard, .. } if shard == channel("coven").shard()));
    front.word(|w| matches!(w, ToFront::Released(_))).await;
    front.send("coven", HAG, post("later"), (5, 4, 0));
    front
        .word(|w| matches!(w, ToFront::NotOwner { id, .. } if id.n == 5))
        .await;
    let (deliveries, _) = front.heard_by_now().await;
    assert!(said(&deliveries).is_empty(), "{deliveries:?}");
    // A new session does not help where somebody else owns it.
    old.handle.resume(coven_store::SessionId(3)).await;
    assert!(old.handle.owned().is_empty());
    let mut next = new.front(10, &[("c1", 2), ("c2", 2)]);
    next.send("coven", HAG, post("ghost"), (4, 3, 3));
    let all = next.until(|d| is_message(d, "ghost")).await;
    assert_eq!(said(&all), ["one", "ghost"]);
}

#[tokio::test(start_paused = true)]
async fn i6_a_shard_that_is_given_up_is_finished_first_and_goes_on_elsewhere() {
    let store = Arc::new(HeldStore::default());
    let (old, mut front) = with_room(&store).await;
    front.send("coven", HAG, post("two"), (4, 3, 0));
    let shard = channel("coven").shard();
    old.handle.give_up(vec![shard]).await;
    let all = front.until(|d| is_message(d, "two")).await;
    assert!(!all.iter().any(|d| matches!(d, Delivery::Forget)));
    front.word(|w| matches!(w, ToFront::Released(_))).await;
    assert_eq!(old.handle.owned().len(), 3);
    let store_shard = coven_store::ShardId(shard.0);
    let owner = coven_store::Store::owner(&*store, store_shard)
        .await
        .unwrap();
    assert!(owner.is_none(), "it is not released");

    let new = Member::start(&store, 2);
    let mut next = new.front(10, &[("c1", 1), ("c2", 1)]);
    let take = coven_node::Take {
        shard,
        judged_dead: None,
        known: Epoch::default(),
    };
    let taken = new.handle.take(vec![take], new.session).await;
    assert!(taken.iter().all(|(_, taken)| taken.is_ok()), "{taken:?}");
    next.word(|w| matches!(w, ToFront::Owned(owned) if owned.iter().any(|(of, _)| *of == shard)))
        .await;
    let all = next.until(|d| is_message(d, "two")).await;
    assert!(all.first().is_some_and(is_base));
    next.send("coven", HAG, post("three"), (5, 4, 4));
    let all = next.until(|d| is_message(d, "three")).await;
    assert_eq!(said(&all), ["three"]);
}

#[tokio::test]
async fn il_19_a_refusal_without_an_outcome_goes_to_the_front_end_whose_operation_it_is() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    store.full(true);
    front.send("coven", HAG, post("lost"), (4, 3, 0));
    front
        .word(|w| matches!(w, ToFront::NotTaken { id, .. } if id.n == 4))
        .await;
    let (deliveries, _) = front.heard_by_now().await;
    assert!(
        !deliveries.iter().any(is_refused),
        "said by another as well"
    );
    store.full(false);
}
