//! What was acknowledged of channels that are not in memory when the store falls back (design §5.11, I3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Front, Member, is_committed};
use common::held::HeldStore;
use common::{channel, eventually, is_joined, is_message, join, post, record};
use coven_cluster::{Delivery, ToFront};
use coven_core::{Command, Sequence};
use coven_node::Options;
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";

/// A node whose rooms soon leave memory, and a room of which everything is acknowledged.
async fn with_room(store: &Arc<HeldStore>) -> (Member, Front) {
    let options = Options {
        idle_timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let node = Member::with(store, 1, options);
    node.take_all().await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    said_and_taken_in(&node, &mut front, "one", (3, 2, 0)).await;
    (node, front)
}

async fn said_and_taken_in(node: &Member, front: &mut Front, id: &str, name: (u64, u64, u64)) {
    front.send("coven", HAG, post(id), name);
    front.until(|d| is_message(d, id)).await;
    front.word(|w| is_committed(w, name.0)).await;
    front.acknowledge(node, "coven", "c1", 1);
    front.acknowledge(node, "coven", "c2", 1);
    unmarked(node).await;
}

async fn unmarked(node: &Member) {
    eventually("no mark", async || !node.unsent("coven").await).await;
}

/// The same room, which is not in memory when the store falls back to before "two", that all connections have taken in.
async fn with_room_fallen_back(store: &Arc<HeldStore>) -> (Member, Front) {
    let (node, mut front) = with_room(store).await;
    let before = store.changes();
    said_and_taken_in(&node, &mut front, "two", (4, 3, 3)).await;
    let is_empty = async || node.handle.in_memory() == 0;
    eventually("it leaves memory", is_empty).await;
    store.lose(before).await;
    (node, front)
}

/// Each event that comes again stands behind a roster which says that both connections have it.
fn is_known_to_all(all: &[Delivery], id: &str) -> bool {
    let mut known: Vec<Sequence> = Vec::new();
    for delivery in all {
        if let Delivery::Base { acknowledged, .. } = delivery {
            known = acknowledged.iter().map(|(_, at)| *at).collect();
        }
        if is_message(delivery, id) {
            let at = record(delivery).unwrap().sequence;
            return known.len() == 2 && known.iter().all(|known| *known >= at);
        }
    }
    true
}

#[tokio::test(start_paused = true)]
async fn i3_a_room_that_is_loaded_from_a_store_that_fell_back_sends_nothing_twice() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room_fallen_back(&store).await;
    // Decided on what the store has, where "two" is missing.
    front.send("coven", HAG, post("three"), (5, 4, 4));
    let is_refused = |word: &ToFront| matches!(word, ToFront::NotTaken { .. });
    front.word(is_refused).await;
    front.send("coven", HAG, post("three"), (6, 4, 4));
    let all = front.until(|d| is_message(d, "three")).await;
    assert!(is_known_to_all(&all, "two"), "{all:?}");
}

/// Another room finds out that the store has fallen back.
#[tokio::test(start_paused = true)]
async fn i3_what_was_acknowledged_of_a_room_not_in_memory_is_stored_anew() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room_fallen_back(&store).await;
    let shard = channel("coven").shard();
    let mut names = (0..).map(|n| format!("room{n}"));
    let other = names.find(|name| channel(name).shard() == shard).unwrap();
    front.send(&other, HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.acknowledge(&node, &other, "c1", 1);
    front.acknowledge(&node, &other, "c2", 1);
    unmarked(&node).await;
    node.kill();
    let next = Member::owner(&store, 2).await;
    let mut front = next.front(10, &[("c1", 2), ("c2", 2)]);
    front.send("coven", HAG, post("three"), (6, 4, 4));
    let all = front.until(|d| is_message(d, "three")).await;
    assert!(!all.iter().any(|d| is_message(d, "two")), "{all:?}");
}
