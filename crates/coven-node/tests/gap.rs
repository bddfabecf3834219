//! The store has lost more commits than their owner still has (design §5.11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Front, Member, is_committed};
use common::held::HeldStore;
use common::{channel, is_joined, is_message, join, post, said};
use coven_cluster::{NodeLink, ToNode};
use coven_core::Command;
use coven_store::{ArchiveQuery, ChannelKey, ShardId, Store};
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "wiccarocks@shakespeare.example/laptop";

/// Longer than commits are kept.
const LONG: Duration = Duration::from_secs(100);

/// A room of which the store has lost all, and its owner has the last commit only. `before`: how much had changed before it.
async fn after_a_fall(store: &Arc<HeldStore>) -> (Member, Front) {
    let node = Member::owner(store, 1).await;
    let before = store.changes();
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.send("coven", WITCH, join("witch"), (3, 2, 0));
    front.until(is_joined).await;
    tokio::time::sleep(LONG).await;
    front.send("coven", HAG, post("kept"), (4, 3, 0));
    front.until(|d| is_message(d, "kept")).await;
    front.word(|w| is_committed(w, 4)).await;
    store.lose(before).await;
    (node, front)
}

async fn archived(store: &HeldStore, room: &str) -> usize {
    let shard = ShardId(channel(room).shard().0);
    let key = ChannelKey::new("chat.example", room);
    let all = ArchiveQuery {
        max: 100,
        ..ArchiveQuery::default()
    };
    let page = store.archive_page(shard, &key, all).await.unwrap();
    page.unwrap().entries.len()
}

#[tokio::test(start_paused = true)]
async fn il_16_i6_who_is_in_a_room_stays_in_it_over_a_gap_which_is_counted() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = after_a_fall(&store).await;
    front.send("coven", HAG, post("over"), (5, 4, 0));
    let all = front.until(|d| is_message(d, "over")).await;
    assert!(!said(&all).contains(&"kept".to_owned()), "{all:?}");
    front.word(|w| is_committed(w, 5)).await;
    assert_eq!(node.handle.health().snapshot().gaps, 1);
    front.send("coven", HAG, post("behind"), (6, 5, 0));
    front.until(|d| is_message(d, "behind")).await;
    // Both that were kept, and what was held meanwhile.
    assert_eq!(archived(&store, "coven").await, 3);
    node.kill();
    let next = Member::owner(&store, 2).await;
    let mut front = next.front(11, &[("c1", 2), ("c2", 2)]);
    front.send("coven", WITCH, post("still here"), (1, 0, 0));
    front.until(|d| is_message(d, "still here")).await;
}

#[tokio::test(start_paused = true)]
async fn i4_what_is_kept_of_outcomes_is_there_after_a_gap() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = after_a_fall(&store).await;
    front.send("coven", HAG, post("over"), (5, 4, 0));
    front.until(|d| is_message(d, "over")).await;
    front.word(|w| is_committed(w, 5)).await;
    node.kill();
    let next = Member::owner(&store, 2).await;
    let mut front = next.front(10, &[("c1", 2), ("c2", 2)]);
    front.send("coven", HAG, post("kept"), (4, 3, 3));
    front.send("coven", HAG, post("over"), (5, 4, 3));
    front.send("coven", HAG, post("new"), (6, 5, 3));
    let all = front.until(|d| is_message(d, "new")).await;
    assert_eq!(said(&all), ["new"], "done twice: {all:?}");
}

#[tokio::test(start_paused = true)]
async fn i2_i5_nothing_leaves_before_the_gap_is_bridged_and_a_store_that_is_full_is_waited_for() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = after_a_fall(&store).await;
    front.send("coven", HAG, post("over"), (5, 4, 0));
    store.full_for_gaps(true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (heard, _) = front.heard_by_now().await;
    assert_eq!(said(&heard), [""; 0]);
    store.full_for_gaps(false);
    front.until(|d| is_message(d, "over")).await;
    assert_eq!(node.handle.health().snapshot().gaps, 1);
}

/// Nobody knows any more how a room is that has left memory: what the store has of it counts.
#[tokio::test(start_paused = true)]
async fn i5_a_room_that_is_not_in_memory_begins_anew_from_what_the_store_has() {
    let store = Arc::new(HeldStore::default());
    let node = Member::owner(&store, 1).await;
    let before = store.changes();
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    let shard = channel("coven").shard();
    let mut names = (0..).map(|n| format!("room{n}"));
    let other = names.find(|name| channel(name).shard() == shard).unwrap();
    front.send(&other, HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send(&other, HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.send(&other, HAG, post("other"), (3, 2, 0));
    front.until(|d| is_message(d, "other")).await;
    front.word(|w| is_committed(w, 3)).await;
    front.acknowledge(&node, &other, "c1", 1);
    front.acknowledge(&node, &other, "c2", 1);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(node.handle.in_memory(), 0);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    let key = ChannelKey::new("chat.example", other.as_str());
    assert!(store.exists(ShardId(shard.0), &key).await.unwrap());
    store.lose(before).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.word(|w| is_committed(w, 2)).await;
    let exists = |room: &str| {
        let key = ChannelKey::new("chat.example", room);
        store.exists(ShardId(shard.0), &key)
    };
    assert!(exists("coven").await.unwrap());
    assert!(!exists(&other).await.unwrap());
    assert_eq!(node.handle.health().snapshot().gaps, 1);
}

/// The answer to a step is lost: it is found to be done.
#[tokio::test(start_paused = true)]
async fn il_16_a_step_over_a_gap_whose_answer_was_lost_is_done_once() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = after_a_fall(&store).await;
    store.mute_steps(2);
    front.send("coven", HAG, post("over"), (5, 4, 0));
    front.until(|d| is_message(d, "over")).await;
    assert_eq!(archived(&store, "coven").await, 2);
    assert_eq!(node.handle.health().snapshot().gaps, 1);
    drop(node);
}

/// A channel that sends again what a front-end lacks waits for what is held, and is asked all the same how it is.
#[tokio::test(start_paused = true)]
async fn il_16_i6_a_channel_that_waits_for_what_is_held_says_how_it_is() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = after_a_fall(&store).await;
    let mut events = node.handle.events();
    store.away(true);
    front.send("coven", HAG, post("over"), (5, 4, 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let lost = ToNode::StreamLost {
        connection: "c1".into(),
        channels: vec![channel("coven")],
    };
    assert!(front.seat.try_send(lost).is_ok());
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.away(false);
    front.until(|d| is_message(d, "over")).await;
    front.word(|w| is_committed(w, 5)).await;
    assert_eq!(node.handle.health().snapshot().gaps, 1);
    assert!(events.try_recv().is_err(), "the shard was let go");
}
