//! The end of the service for good (MUC-LEAVE-13, I6).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, PATIENCE, is_message, record};
use coven_cluster::Delivery;
use coven_core::event::Cause;
use coven_core::{Condition, Event};
use coven_store::{ChannelKey, ShardId, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const CRONE: &str = "crone1@shakespeare.example/desktop";
const HAG: &str = "hag66@shakespeare.example/pda";
const ROOMS: [&str; 3] = ["coven", "heath", "cauldron"];

/// Rooms with two sessions each, of which everything is acknowledged.
async fn with_rooms(store: &Arc<HeldStore>) -> Node {
    let mut node = Node::start(Arc::clone(store) as _).await;
    for room in ROOMS {
        node.join(room, CRONE, "firstwitch");
        node.unlock(room, CRONE);
        node.join(room, HAG, "thirdwitch");
        node.say(room, HAG, room);
        let all = node.until(|d| is_message(d, room)).await;
        let last = all.last().and_then(record).unwrap().sequence;
        node.acknowledge(room, last.0, u64::MAX);
    }
    node
}

fn is_end(delivery: &Delivery) -> bool {
    record(delivery).is_some_and(
        |record| matches!(record.event, Event::Left { cause, .. } if cause == Cause::Shutdown),
    )
}

/// The ends of sessions among what has left by now.
fn ends_by_now(node: &mut Node) -> usize {
    let mut count = 0;
    while let Ok(output) = node.outputs.try_recv() {
        count += output.deliveries.iter().filter(|d| is_end(d)).count();
    }
    count
}

/// Waits until every session's end has left; gives what else has.
async fn all_told(node: &mut Node) -> Vec<Delivery> {
    let (mut told, mut others) = (0, Vec::new());
    while told < 2 * ROOMS.len() {
        let output = tokio::time::timeout(PATIENCE, node.outputs.recv()).await;
        let output = output.expect("everybody is told").unwrap();
        let (ends, rest): (Vec<_>, _) = output.deliveries.into_iter().partition(is_end);
        told += ends.len();
        others.extend(rest);
    }
    others
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let right = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let right = tokio::time::timeout(PATIENCE, right).await;
    right.expect("it comes to that");
}

/// Nothing that was sent is waited for.
async fn is_acknowledged(store: &HeldStore) -> bool {
    for shard in 0..4 {
        if !store.unsent(ShardId(shard)).await.unwrap().is_empty() {
            return false;
        }
    }
    true
}

fn begin_the_end(node: &Node) -> JoinHandle<usize> {
    let handle = node.handle.clone();
    tokio::spawn(async move { handle.end_sessions().await })
}

#[tokio::test]
async fn muc_leave_13_i6_every_session_ends_also_in_rooms_that_are_not_in_memory() {
    let store = Arc::new(HeldStore::default());
    let node = with_rooms(&store).await;
    until(async || is_acknowledged(&store).await).await;
    node.crash();
    let mut node = Node::start(Arc::clone(&store) as _).await;
    assert_eq!(node.handle.health().snapshot().loaded, 0);
    assert_eq!(node.handle.end_sessions().await, 0);
    all_told(&mut node).await;
    // It is durable, and the temporary rooms have ended with their last occupants.
    node.crash();
    let node = Node::start(Arc::clone(&store) as _).await;
    for room in ROOMS {
        let shard = ShardId(common::channel(room).shard().0);
        let key = ChannelKey::new("chat.example", room);
        assert!(!store.exists(shard, &key).await.unwrap(), "{room}");
    }
    assert_eq!(node.handle.end_sessions().await, 0);
}

#[tokio::test]
async fn i2_nobody_is_told_of_the_end_before_it_is_durable_and_nobody_comes_in_meanwhile() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_rooms(&store).await;
    store.hold();
    let ending = begin_the_end(&node);
    until(async || store.held() > 0).await;
    node.join("elsewhere", HAG, "thirdwitch");
    assert_eq!(ends_by_now(&mut node), 0);
    assert!(!ending.is_finished());
    store.let_go();
    assert_eq!(ending.await.unwrap(), 0);
    let mut others = all_told(&mut node).await;
    let is_refused = |d: &Delivery| matches!(d, Delivery::Refused { .. });
    if !others.iter().any(is_refused) {
        others = node.until(is_refused).await;
    }
    let refusals = others.iter().filter_map(|delivery| match delivery {
        Delivery::Refused { refusal, .. } => Some(refusal.condition),
        _ => None,
    });
    assert_eq!(
        refusals.collect::<Vec<_>>(),
        [Condition::ServiceUnavailable]
    );
}

#[tokio::test]
async fn muc_leave_13_a_store_that_refuses_is_asked_again() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_rooms(&store).await;
    store.full(true);
    let ending = begin_the_end(&node);
    until(async || store.refused() > 0).await;
    assert_eq!(ends_by_now(&mut node), 0);
    store.full(false);
    assert_eq!(ending.await.unwrap(), 0);
    all_told(&mut node).await;
}
