//! The output gate (I2), refused commits (I5), and operations that are sent again (I4).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, is_joined, is_message, join, named, operation, post, said};
use coven_cluster::{Delivery, Request, ToFront};
use coven_core::{Command, Condition, ErrorType, Query, View};
use coven_store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

fn answered(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Answer { .. } | Delivery::Refused { .. })
}

/// Fails when the gate is taken out: outputs would leave with the decision.
#[tokio::test]
async fn i2_nothing_leaves_before_its_commit_neither_events_nor_answers_nor_refusals() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(answered).await;
    store.hold();
    node.say("coven", HAG, "one");
    node.ask("coven", HAG, Query::Info { view: View::Muc });
    node.say("coven", WITCH, "refused");
    let early = tokio::time::timeout(Duration::from_millis(200), node.outputs.recv()).await;
    assert!(early.is_err(), "left before it was durable: {early:?}");
    assert!(store.held() > 0);
    store.let_go();
    let all = node.until(|d| matches!(d, Delivery::Refused { .. })).await;
    assert_eq!(said(&all), ["one"]);
    assert!(matches!(
        all.as_slice(),
        [.., Delivery::Answer { .. }, Delivery::Refused { .. }]
    ));
}

/// A commit with several outputs of a room is acknowledged by the last of them alone: who acknowledges less and is gone has
/// not taken in all of it, and what follows is still owed.
#[tokio::test]
async fn i3_i5_only_the_last_output_of_a_commit_stands_for_it() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(answered).await;
    store.hold();
    let bodies: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for body in &bodies {
        node.say("coven", HAG, body);
    }
    while store.held() == 0 {
        tokio::task::yield_now().await;
    }
    store.let_go();
    let mut outputs = Vec::new();
    while outputs.len() < bodies.len() {
        outputs.push(node.outputs.recv().await.unwrap());
    }
    let (parts, ends): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.commit == 0);
    let commits: Vec<u64> = ends.iter().map(|output| output.commit).collect();
    assert!(commits.is_sorted_by(|a, b| a < b), "{commits:?}");
    assert!(!parts.is_empty(), "no two in one commit: nothing was tried");
    assert_ne!(outputs.last().unwrap().commit, 0);
}

#[tokio::test]
async fn muc_err_11_i5_a_refused_commit_is_an_error_and_did_not_happen() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(answered).await;
    store.full(true);
    node.say("coven", HAG, "lost");
    let all = node.until(answered).await;
    let Some(Delivery::Refused { refusal, .. }) = all.last() else {
        panic!("{all:?}")
    };
    assert_eq!(
        (refusal.condition, refusal.kind),
        (Condition::ResourceConstraint, ErrorType::Wait)
    );
    assert!(said(&all).is_empty());
    assert!(!node.handle.health().snapshot().store_up);

    store.full(false);
    node.say("coven", HAG, "kept");
    let all = node.until(|d| is_message(d, "kept")).await;
    assert_eq!(said(&all), ["kept"]);
    assert!(node.handle.health().snapshot().store_up);
}

/// Fails when the check of operations is taken out: the message would be there twice.
#[tokio::test]
async fn i4_an_operation_sent_again_takes_effect_once() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::start(store.clone()).await;
    node.send(named(
        operation("coven", HAG, Request::Command(join("hag"))),
        1,
        0,
        0,
    ));
    node.unlock("coven", HAG);
    node.send(named(
        operation("coven", HAG, Request::Command(post("one"))),
        2,
        1,
        0,
    ));
    node.send(named(
        operation("coven", HAG, Request::Command(post("one"))),
        2,
        1,
        0,
    ));
    node.send(named(
        operation("coven", HAG, Request::Command(post("two"))),
        3,
        2,
        0,
    ));
    let all = node.until(|d| is_message(d, "two")).await;
    assert_eq!(said(&all), ["one", "two"]);
    node.crash();

    let mut node = Node::start(store).await;
    node.send(named(
        operation("coven", HAG, Request::Command(post("two"))),
        3,
        2,
        0,
    ));
    node.send(named(
        operation("coven", HAG, Request::Command(post("three"))),
        4,
        3,
        0,
    ));
    let all = node.until(|d| is_message(d, "three")).await;
    assert_eq!(
        said(&all),
        ["one", "two", "three"],
        "replayed once, the repeat not again"
    );
}

/// IL-01, IL-18: a refusal to a remote link is kept with its outcome, and the same is said again.
#[tokio::test]
async fn i4_il_01_a_refused_operation_sent_again_is_refused_again_whatever_has_changed() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.send(named(
        operation("coven", HAG, Request::Command(post("early"))),
        1,
        0,
        0,
    ));
    node.until(answered).await;
    node.send(named(
        operation("coven", HAG, Request::Command(join("hag"))),
        2,
        1,
        0,
    ));
    node.until(is_joined).await;
    node.send(named(
        operation("coven", HAG, Request::Command(post("early"))),
        1,
        0,
        0,
    ));
    let all = node.until(answered).await;
    assert!(said(&all).is_empty());
    let Some(Delivery::Refused { refusal, .. }) = all.last() else {
        panic!("{all:?}")
    };
    assert_eq!(refusal.condition, Condition::ItemNotFound);
}

/// It will still be done, so an error to its sender would be a lie: the link is asked for what is missing.
#[tokio::test]
async fn i5_an_operation_that_comes_too_early_is_no_error_to_its_sender() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.send(named(
        operation("coven", HAG, Request::Command(post("late"))),
        3,
        2,
        0,
    ));
    let mut word = node.words.recv().await;
    while matches!(word, Some(ToFront::Owned(_))) {
        word = node.words.recv().await;
    }
    assert!(
        matches!(word, Some(ToFront::Missing { after: 0, .. })),
        "{word:?}"
    );
    assert!(
        node.outputs.try_recv().is_err(),
        "nothing is said to the sender"
    );
}

/// An error stanza, a result or a farewell: its origin leads nowhere.
#[tokio::test]
async fn muc_err_04_i5_what_may_not_be_answered_gets_no_error_neither_refused_nor_undone() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    let silent = |jid: &str, command: Command| {
        let mut silent = operation("coven", jid, Request::Command(command));
        Arc::make_mut(&mut silent.origin).from = "".into();
        silent
    };
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(answered).await;
    node.send(silent(WITCH, post("refused")));
    store.full(true);
    let payload = bytes::Bytes::new();
    node.send(silent(HAG, Command::Leave { payload }));
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.full(false);
    node.ask("coven", HAG, Query::Info { view: View::Muc });
    let all = node.until(answered).await;
    assert!(
        matches!(all.as_slice(), [Delivery::Answer { .. }]),
        "{all:?}"
    );
}

#[tokio::test]
async fn i9_a_decision_beyond_four_mebibytes_is_refused() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(answered).await;
    node.say("coven", HAG, &"x".repeat(5 * 1024 * 1024));
    let all = node.until(answered).await;
    let Some(Delivery::Refused { refusal, .. }) = all.last() else {
        panic!("it was not refused")
    };
    assert_eq!(refusal.condition, Condition::ResourceConstraint);
    node.say("coven", HAG, "small");
    node.until(|d| is_message(d, "small")).await;
}

#[tokio::test]
async fn i9_a_full_mailbox_gives_operations_back() {
    use coven_cluster::{NodeLink, ToNode};
    let store = Arc::new(HeldStore::default());
    let options = coven_node::Options {
        shards: 4,
        mailbox: 8,
        ..Default::default()
    };
    let node = Node::with(store, options).await;
    let refused = (0..64).filter(|n| {
        let message = operation("coven", HAG, Request::Command(post(&n.to_string())));
        node.seat
            .try_send(ToNode::Operation(Box::new(message)))
            .is_err()
    });
    assert!(refused.count() > 0);
}
