//! Deadlines of channels: what the core has to do by itself is done in time, after crashes and refused commits too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, eventually, is_joined, is_message, operation, record};
use coven_cluster::{Delivery, Request};
use coven_core::people::participation::Nodes;
use coven_core::presence::listing::TOGETHER_MS;
use coven_core::{Command, Event};
use coven_store::MemoryStore;
use std::sync::Arc;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

fn is_announced(delivery: &Delivery) -> bool {
    record(delivery).is_some_and(|record| matches!(record.event, Event::Announced))
}

/// A channel with a participant, which somebody has just joined by MUC.
async fn news(node: &mut Node) -> Vec<Delivery> {
    let participate = Command::Participate {
        nodes: Nodes::default(),
        nick: Some("crone".into()),
    };
    for command in [Command::Create, participate] {
        node.send(operation("coven", WITCH, Request::Command(command)));
    }
    node.join("coven", HAG, "hag");
    node.until(is_joined).await
}

fn stamp_of(all: &[Delivery], is: fn(&Delivery) -> bool) -> i64 {
    let delivery = all.iter().find(|d| is(d)).unwrap();
    record(delivery).unwrap().stamp.0
}

#[tokio::test]
async fn map_12_news_is_told_when_its_time_has_come() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    let mut all = news(&mut node).await;
    all.extend(node.until(is_announced).await);
    let waited = stamp_of(&all, is_announced) - stamp_of(&all, is_joined);
    assert!(waited >= TOGETHER_MS, "{waited} ms");
}

#[tokio::test]
async fn map_12_i6_news_that_a_crash_left_is_told_once() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::start(store.clone()).await;
    news(&mut node).await;
    node.crash();

    let mut node = Node::start(store).await;
    node.until(is_announced).await;
    node.say("coven", HAG, "one");
    let all = node.until(|d| is_message(d, "one")).await;
    assert!(!all.iter().any(is_announced), "{all:?}");
}

/// Fails when a deadline whose commit was refused is not set again.
#[tokio::test]
async fn map_12_news_that_a_full_store_refused_is_told_later() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    news(&mut node).await;
    store.full(true);
    eventually("it is refused", async || store.refused() > 0).await;
    store.full(false);
    node.until(is_announced).await;
}
