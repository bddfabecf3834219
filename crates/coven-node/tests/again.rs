//! What a node does again by itself: output after a crash or a lost stream, deadlines, loads of a busy store (I5, I9).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, channel, eventually, is_destroyed, is_joined, is_message, said};
use coven_cluster::{Delivery, NodeLink, Output, ToNode};
use coven_core::{Condition, Query, Service as Policies, View};
use coven_node::Options;
use coven_store::{Error, MemoryStore};
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";

fn is_base(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Base { .. })
}

fn answered(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Answer { .. } | Delivery::Refused { .. })
}

fn stream_lost(node: &Node) {
    let lost = ToNode::StreamLost {
        connection: "c".into(),
        channels: vec![channel("coven")],
    };
    assert!(node.seat.try_send(lost).is_ok());
}

/// The front-end in this process reads on as soon as the node has been told: what is asked then is answered behind the roster,
/// also where many rooms were told of. Without it the front-end would drop the answer.
#[tokio::test]
async fn i5_after_a_lost_stream_nothing_is_answered_before_the_roster() {
    const ROOMS: usize = 150;
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    let rooms: Vec<String> = (0..ROOMS).map(|n| format!("r{n}")).collect();
    for room in &rooms {
        node.join(room, HAG, "hag");
        node.until(is_joined).await;
    }
    let lost = ToNode::StreamLost {
        connection: "c".into(),
        channels: rooms.iter().map(|room| channel(room)).collect(),
    };
    assert!(node.seat.try_send(lost).is_ok());
    let last = rooms.last().unwrap();
    node.ask(last, HAG, Query::Info { view: View::Muc });
    let of_last = |output: &Output| output.channel.as_ref() == Some(&channel(last));
    let mut heard: Vec<Delivery> = Vec::new();
    while !heard.iter().any(answered) {
        let output = node.outputs.recv().await.unwrap();
        if of_last(&output) {
            heard.extend(output.deliveries);
        }
    }
    assert!(is_base(heard.first().unwrap()), "{heard:?}");
}

/// A front-end can look after other channels in between, and nothing before the last page counts as the commit's output.
#[tokio::test]
async fn i9_a_long_journal_is_sent_again_in_pages() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    for n in 0..500 {
        node.say("coven", HAG, &n.to_string());
        node.until(|d| is_message(d, &n.to_string())).await;
    }
    node.crash();

    let mut node = Node::start(store).await;
    let mut pages: Vec<Output> = Vec::new();
    while !pages
        .iter()
        .any(|p| said(&p.deliveries).last().is_some_and(|id| id == "499"))
    {
        pages.push(node.outputs.recv().await.unwrap());
    }
    assert!(pages.len() > 2, "{}", pages.len());
    assert!(pages.iter().all(|p| p.deliveries.len() <= 200));
    let again: Vec<_> = pages.iter().flat_map(|p| said(&p.deliveries)).collect();
    assert_eq!(again, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
    let last = pages.pop().unwrap();
    assert!(last.commit > 0);
    assert!(pages.iter().all(|p| p.commit == 0));
}

#[tokio::test]
async fn i5_what_was_not_acknowledged_is_sent_again_although_the_store_was_busy_at_the_start() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.until(is_joined).await;
    node.crash();

    store.refuse_loads(Error::Busy("test"), 5);
    let mut node = Node::start(store).await;
    node.until(is_joined).await;
}

#[tokio::test]
async fn muc_create_11_a_deadline_is_kept_although_its_commit_was_refused() {
    let store = Arc::new(HeldStore::default());
    let mut options = Options {
        shards: 4,
        ..Options::default()
    };
    let policies = Policies {
        lock_timeout_ms: Some(200),
        ..Policies::default()
    };
    options
        .spaces
        .insert("chat.example".into(), policies.into());
    let mut node = Node::with(store.clone(), options).await;
    node.join("coven", HAG, "hag");
    node.until(is_joined).await;
    store.full(true);
    let health = node.handle.health();
    eventually("the deadline passes", async || {
        health.snapshot().refused > 0
    })
    .await;
    store.full(false);
    node.until(is_destroyed).await;
}

/// A connection that waits for a base writes nothing of the channel: without one no error would reach anybody.
#[tokio::test]
async fn i5_a_quarantined_channel_answers_with_errors_after_a_lost_stream_as_well() {
    let store = Arc::new(HeldStore::default());
    store.refuse_loads(Error::Corrupt("test".into()), 1);
    let mut node = Node::start(store).await;
    node.say("coven", HAG, "one");
    node.until(answered).await;
    stream_lost(&node);
    node.until(is_base).await;
    node.say("coven", HAG, "two");
    let all = node.until(answered).await;
    let Some(Delivery::Refused { refusal, .. }) = all.last() else {
        panic!("{all:?}")
    };
    assert_eq!(refusal.condition, Condition::InternalServerError);
}

#[tokio::test]
async fn a_node_whose_store_has_ended_says_so() {
    let store = Arc::new(HeldStore::default());
    let node = Node::start(store.clone()).await;
    store.refuse_next(Error::Closed);
    node.join("coven", HAG, "hag");
    let failed = tokio::time::timeout(Duration::from_secs(60), node.service.failed()).await;
    assert_eq!(failed.unwrap().to_string(), "the store has ended");
}
