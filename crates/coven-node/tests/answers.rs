//! What the sender of a command is told alone: as durable as what the command led to (I4, I5).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Front, Member, is_base, is_committed, is_done};
use common::held::HeldStore;
use common::{is_joined, is_message, join, post};
use coven_cluster::{Delivery, ProcessId};
use coven_core::{Answer, Command};
use std::sync::Arc;

const HAG: &str = "hag66@shakespeare.example/pda";

/// The result of the operation of this number.
fn is_answer(delivery: &Delivery, of: u64) -> bool {
    let name = (ProcessId(10), of);
    match delivery {
        Delivery::Answer {
            answer, operation, ..
        } => matches!(**answer, Answer::Done) && *operation == Some(name),
        _ => false,
    }
}

fn configure() -> Command {
    Command::Configure(Box::default())
}

/// A node that owns everything, a front-end with both connections, and a room whose configuration was answered.
async fn with_room(store: &Arc<HeldStore>) -> (Member, Front) {
    let node = Member::owner(store, 1).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, configure(), (2, 1, 0));
    front.until(|d| is_answer(d, 2)).await;
    (node, front)
}

#[tokio::test]
async fn i4_i5_the_answer_of_a_node_that_was_killed_is_given_once_by_the_next() {
    let store = Arc::new(HeldStore::default());
    let (node, front) = with_room(&store).await;
    // Nobody has taken it in.
    drop(front);
    node.kill();
    let node = Member::owner(&store, 2).await;
    let mut front = node.front(10, &[("c1", 2), ("c2", 2)]);
    front.send("coven", HAG, configure(), (2, 0, 0));
    let mut all = front.until(|d| is_answer(d, 2)).await;
    assert!(all.first().is_some_and(is_base), "{all:?}");
    front.send("coven", HAG, post("behind"), (3, 2, 0));
    all.extend(front.until(|d| is_message(d, "behind")).await);
    // By its name the front-end knows it for the same; it is not executed again.
    let records = all.iter().filter_map(|d| match d {
        Delivery::Event { record, .. } => Some(record.sequence),
        _ => None,
    });
    let mut sequences: Vec<_> = records.collect();
    sequences.dedup();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    front.word(|w| is_committed(w, 2)).await;
    for connection in ["c1", "c2"] {
        front.acknowledge(&node, "coven", connection, 2);
    }
    front.word(|w| is_done(w, 2)).await;
    // From now on it is done, and nobody is told again.
    front.send("coven", HAG, configure(), (2, 0, 0));
    front.word(|w| is_done(w, 2)).await;
    let (deliveries, _) = front.heard_by_now().await;
    assert!(
        !deliveries.iter().any(|d| is_answer(d, 2)),
        "{deliveries:?}"
    );
}

#[tokio::test]
async fn i5_an_answer_that_nobody_has_written_is_given_to_the_next_holder() {
    let store = Arc::new(HeldStore::default());
    let (node, front) = with_room(&store).await;
    drop(front);
    let mut next = node.front(11, &[("c1", 2), ("c2", 2)]);
    let all = next.until(|d| is_answer(d, 2)).await;
    assert!(all.first().is_some_and(is_base), "{all:?}");
}

#[tokio::test]
async fn i3_an_answer_that_was_taken_in_is_not_given_again() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    for connection in ["c1", "c2"] {
        front.acknowledge(&node, "coven", connection, 1);
    }
    front.word(|w| is_done(w, 2)).await;
    front.send("coven", HAG, post("owed"), (3, 2, 2));
    front.until(|d| is_message(d, "owed")).await;
    drop(front);
    let mut next = node.front(11, &[("c1", 2), ("c2", 2)]);
    let mut all = next.until(|d| is_message(d, "owed")).await;
    all.extend(next.heard_by_now().await.0);
    assert!(!all.iter().any(|d| is_answer(d, 2)), "{all:?}");
}
