//! Channels that operators put in quarantine (I10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Member, is_committed};
use common::{is_joined, is_message, join, post};
use coven_cluster::ToFront;
use coven_core::{Command, Condition};
use coven_store::{ChannelKey, MemoryStore};
use std::collections::BTreeSet;
use std::sync::Arc;

const HAG: &str = "hag66@shakespeare.example/pda";

fn is_internal_error(word: &ToFront, n: u64) -> bool {
    matches!(word, ToFront::NotTaken { id, refusal, .. }
        if id.n == n && refusal.condition == Condition::InternalServerError)
}

#[tokio::test]
async fn i10_a_channel_in_quarantine_does_nothing_until_it_is_lifted() {
    let store = Arc::new(MemoryStore::new());
    let node = Member::owner(&store, 1).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    for room in ["coven", "heath"] {
        front.send(room, HAG, join("hag"), (1, 0, 0));
        front.until(is_joined).await;
        front.send(room, HAG, Command::Configure(Box::default()), (2, 1, 0));
    }
    front.send("coven", HAG, post("before"), (3, 2, 0));
    front.until(|d| is_message(d, "before")).await;
    front.word(|w| is_committed(w, 3)).await;

    let asked = BTreeSet::from([ChannelKey::new("chat.example", "coven")]);
    node.handle.quarantined(&asked);
    front.send("coven", HAG, post("meanwhile"), (4, 3, 0));
    front.word(|w| is_internal_error(w, 4)).await;
    front.send("heath", HAG, post("elsewhere"), (4, 2, 0));
    front.until(|d| is_message(d, "elsewhere")).await;
    assert!(node.handle.in_quarantine().is_empty(), "not by itself");

    // The next owner does as it is told as well.
    node.kill();
    let node = Member::start(&store, 2);
    node.handle.quarantined(&asked);
    node.take_all().await;
    let mut front = node.front(10, &[("c1", 2), ("c2", 2)]);
    front.send("coven", HAG, post("meanwhile"), (5, 0, 5));
    front.word(|w| is_internal_error(w, 5)).await;
    node.handle.quarantined(&BTreeSet::new());
    front.send("coven", HAG, post("after"), (6, 5, 5));
    front.until(|d| is_message(d, "after")).await;
}
