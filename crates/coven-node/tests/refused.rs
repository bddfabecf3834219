//! Commits that the store refuses, and front-ends that take nothing: what it costs, and whom (I5, I9).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, channel, eventually, is_joined, is_message, said};
use coven_cluster::Delivery;
use coven_core::{Condition, ErrorType, Query, Refusal, View};
use coven_store::{
    ChannelKey, CommitNumber, DirectoryQuery, Error, Listing, MemoryStore, ShardId, Store,
};
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

fn refusal(delivery: &Delivery) -> Option<&Refusal> {
    match delivery {
        Delivery::Refused { refusal, .. } => Some(refusal),
        _ => None,
    }
}

fn is_answer(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Answer { .. } | Delivery::Refused { .. })
}

async fn with_hag(store: &Arc<HeldStore>) -> Node {
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(is_answer).await;
    node
}

/// A room whose shard is not that of `of`.
fn elsewhere(of: &str) -> String {
    let mut names = (0..).map(|n| format!("room{n}"));
    let shard = channel(of).shard();
    names.find(|name| channel(name).shard() != shard).unwrap()
}

/// Fails when answers are dropped with the commit whose state they were made from.
#[tokio::test]
async fn i5_answers_and_refusals_beside_a_refused_commit_are_errors_and_do_not_vanish() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_hag(&store).await;
    store.hold();
    node.say("coven", HAG, "lost");
    node.ask("coven", HAG, Query::Info { view: View::Muc });
    node.say("coven", WITCH, "refused");
    eventually("it is committed", async || store.held() > 0).await;
    // The query and the refusal are behind the commit as soon as the next one of the same shard is.
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.refuse_held();
    let mut all = Vec::new();
    while all.len() < 3 {
        all.extend(node.until(is_answer).await);
    }
    let waits = all
        .iter()
        .filter_map(refusal)
        .map(|r| (r.condition, r.kind));
    let wait = (Condition::ResourceConstraint, ErrorType::Wait);
    assert_eq!(waits.collect::<Vec<_>>(), [wait; 3]);
}

/// Only this process commits under its epoch: a number that is taken says that an earlier sending was done.
#[tokio::test(start_paused = true)]
async fn i5_a_commit_whose_number_is_taken_is_not_said_to_have_failed() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_hag(&store).await;
    let shard = ShardId(channel("coven").shard().0);
    store.refuse_next(Error::Diverged {
        shard,
        number: CommitNumber(7),
        stored: CommitNumber(7),
    });
    node.say("coven", HAG, "perhaps");
    let all = node.until(is_answer).await;
    let said = all.last().and_then(refusal).unwrap();
    assert_eq!(said.condition, Condition::RemoteServerTimeout);
}

#[tokio::test(start_paused = true)]
async fn i9_a_shard_that_cannot_be_claimed_holds_up_nobody_else() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_hag(&store).await;
    let other = elsewhere("coven");
    node.join(&other, WITCH, "witch");
    node.until(is_joined).await;
    store.no_claims(3);
    store.refuse_next(Error::Unknown("test".into()));
    let began = tokio::time::Instant::now();
    node.say("coven", HAG, "unknown");
    let all = node.until(is_answer).await;
    let last = all.last().and_then(refusal).unwrap();
    assert_eq!(last.condition, Condition::RemoteServerTimeout);
    node.unlock(&other, WITCH);
    node.say(&other, WITCH, "one");
    node.until(|d| is_message(d, "one")).await;
    assert!(began.elapsed() < Duration::from_millis(100));

    // The shard comes back by itself.
    tokio::time::sleep(Duration::from_secs(5)).await;
    node.say("coven", HAG, "known");
    let all = node.until(|d| is_message(d, "known")).await;
    assert_eq!(said(&all), ["known"]);
}

#[tokio::test]
async fn i9_a_full_store_is_not_claimed_and_found_to_be_well_again_without_a_writer() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_hag(&store).await;
    let claims = store.claims();
    store.full(true);
    node.say("coven", HAG, "lost");
    node.until(is_answer).await;
    assert!(!node.handle.health().snapshot().store_up);
    store.full(false);
    let health = node.handle.health();
    eventually("the store is up", async || health.snapshot().store_up).await;
    assert_eq!(store.claims(), claims);
}

/// The base roster of a refused join is not taken for known: the next join brings it.
#[tokio::test]
async fn i7_a_roster_that_was_dropped_with_a_refused_commit_is_sent_again() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    store.full(true);
    node.join("coven", HAG, "hag");
    node.until(is_answer).await;
    store.full(false);
    node.join("coven", HAG, "hag");
    let all = node.until(is_joined).await;
    let is_base = |d: &Delivery| matches!(d, Delivery::Base { .. });
    assert!(all.iter().any(is_base), "{all:?}");
}

#[tokio::test]
async fn i9_a_front_end_that_takes_nothing_of_one_room_does_not_hold_up_others() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    let other = elsewhere("stuck");
    node.join("stuck", HAG, "hag");
    node.join(&other, HAG, "hag");
    node.unlock(&other, HAG);
    for n in 0..2000 {
        node.say("stuck", HAG, &n.to_string());
        tokio::task::yield_now().await;
    }
    node.say(&other, HAG, "one");
    node.until(|d| is_message(d, "one")).await;
}

async fn listed(store: &HeldStore) -> Vec<String> {
    let all = DirectoryQuery {
        max: 10,
        ..DirectoryQuery::default()
    };
    let page = store.directory(&"chat.example".into(), all).await;
    let channels = page.unwrap().unwrap().channels;
    channels
        .into_iter()
        .map(|(local, _)| local.to_string())
        .collect()
}

/// The directory is derived from what is durable, and what the store did not take of it is not lost.
#[tokio::test]
async fn muc_disco_03_the_directory_says_what_is_durable_also_after_a_full_store() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    store.hold();
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(
        listed(&store).await,
        [""; 0],
        "listed before it was durable"
    );
    store.let_go();
    node.until(is_answer).await;
    store.full(true);
    tokio::time::sleep(Duration::from_millis(700)).await;
    store.full(false);
    eventually("it is listed", async || listed(&store).await == ["coven"]).await;
}

/// As a crash between a commit and the directory leaves it: one channel is missing, one is in there that is not.
#[tokio::test]
async fn muc_disco_03_the_directory_is_put_right_after_a_start() {
    let store = Arc::new(HeldStore::default());
    let node = with_hag(&store).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    node.acknowledge("coven", 99, 99);
    tokio::time::sleep(Duration::from_millis(50)).await;
    node.crash();
    let key = |local: &str| ChannelKey {
        space: "chat.example".into(),
        local: local.into(),
    };
    let ghost = Listing {
        listed: true,
        ..Listing::default()
    };
    for (local, listing) in [("coven", None), ("ghost", Some(ghost))] {
        let shard = ShardId(channel(local).shard().0);
        let epoch = store.owner(shard).await.unwrap().unwrap().epoch;
        let listings = vec![(key(local), listing)];
        store.list(shard, epoch, listings).await.unwrap();
    }
    assert_eq!(listed(&store).await, ["ghost"]);
    let _node = Node::start(store.clone()).await;
    eventually("it is put right", async || {
        listed(&store).await == ["coven"]
    })
    .await;
}
