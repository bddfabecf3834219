//! When channels are written down, whatever connections acknowledge or not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, channel, eventually, is_joined, is_message};
use coven_cluster::Delivery;
use coven_core::query::ArchiveQuery;
use coven_core::{Condition, Query, View};
use coven_node::Options;
use coven_store::sqlite::{self, SqliteStore};
use coven_store::{ChannelKey, Loaded, MemoryStore, ShardId, Store};
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";

fn options() -> Options {
    Options {
        shards: 4,
        ..Options::default()
    }
}

/// A room in which so many messages were said; answers its head.
async fn talkative(node: &mut Node, messages: u64) -> u64 {
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    for number in 1..=messages {
        node.say("coven", HAG, &number.to_string());
    }
    let all = node.until(|d| is_message(d, &messages.to_string())).await;
    let head = all.iter().filter_map(common::record).map(|r| r.sequence.0);
    head.max().unwrap()
}

async fn loaded(store: &dyn Store) -> Loaded {
    let shard = ShardId(channel("coven").shard().0);
    let key = ChannelKey::new("chat.example", "coven");
    store.load(shard, &key).await.unwrap().unwrap()
}

/// Waits until the store has what is looked for.
async fn comes(store: &dyn Store, what: &str, looked_for: impl Fn(&Loaded) -> bool) {
    eventually(what, async || looked_for(&loaded(store).await)).await;
}

fn snapshot_at(loaded: &Loaded) -> u64 {
    loaded.snapshot.as_ref().map_or(0, |s| s.sequence.0)
}

#[tokio::test]
async fn i9_a_busy_channel_is_written_down_though_something_is_always_pending() {
    let store = Arc::new(MemoryStore::new());
    let every = Options {
        snapshot_every: 10,
        ..options()
    };
    let mut node = Node::with(Arc::clone(&store) as Arc<dyn Store>, every).await;
    let head = talkative(&mut node, 30).await;
    node.acknowledge_on("coven", "c", head - 10, head - 10);
    node.say("coven", HAG, "more");
    node.until(|d| is_message(d, "more")).await;
    node.acknowledge_on("coven", "c", head, head);
    comes(&*store, "no snapshot", |l| snapshot_at(l) == head).await;
}

#[tokio::test]
async fn i9_a_connection_that_is_away_holds_a_snapshot_up_for_so_many_events_only() {
    let store = Arc::new(MemoryStore::new());
    let few = Options {
        owed_events: 20,
        ..options()
    };
    let mut node = Node::with(Arc::clone(&store) as Arc<dyn Store>, few).await;
    let head = talkative(&mut node, 30).await;
    node.acknowledge_on("coven", "away", 2, 2);
    node.acknowledge_on("coven", "here", head - 20, 2);
    assert_eq!(snapshot_at(&loaded(&*store).await), 0);
    node.acknowledge_on("coven", "here", head, 2);
    comes(&*store, "no snapshot", |l| snapshot_at(l) == head).await;
    let left = loaded(&*store).await.acks;
    let left: Vec<_> = left.iter().map(|ack| ack.connection.0.as_str()).collect();
    assert_eq!(left, ["here"], "what it lacks is not in the journal");
}

#[tokio::test]
async fn i9_a_channel_whose_connections_are_all_away_leaves_memory_after_a_while() {
    let store = Arc::new(MemoryStore::new());
    let short = Options {
        idle_timeout: Duration::from_millis(1),
        owed_for: Duration::from_millis(50),
        ..options()
    };
    let mut node = Node::with(Arc::clone(&store) as Arc<dyn Store>, short).await;
    let head = talkative(&mut node, 3).await;
    node.until(|d| matches!(d, Delivery::Forget)).await;
    let loaded = loaded(&*store).await;
    assert_eq!((snapshot_at(&loaded), loaded.unsent), (head, None));
}

/// A store that is full for a moment forgets no acknowledgement: a restart would repeat what it was for.
#[tokio::test]
async fn il_28_an_acknowledgement_that_could_not_be_stored_is_stored_later() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::with(Arc::clone(&store) as Arc<dyn Store>, options()).await;
    let head = talkative(&mut node, 3).await;
    store.deaf(true);
    node.acknowledge("coven", head, 99);
    tokio::task::yield_now().await;
    assert_eq!(loaded(&*store).await.acks, []);
    store.deaf(false);
    let stored = |l: &Loaded| l.acks.iter().any(|ack| ack.sequence.0 == head);
    comes(&*store, "no acknowledgement", stored).await;
    assert_eq!(loaded(&*store).await.unsent, None);
}

/// Damage is an error that lasts, not one to wait for; and no newcomer is told that there was nothing.
#[tokio::test]
async fn i5_a_damaged_archive_is_not_taken_for_an_empty_one() {
    let store = Arc::new(HeldStore::default());
    let restless = Options {
        idle_timeout: Duration::from_millis(1),
        ..options()
    };
    let mut node = Node::with(Arc::clone(&store) as Arc<dyn Store>, restless).await;
    let head = talkative(&mut node, 3).await;
    node.acknowledge("coven", head, 99);
    // With a snapshot its history comes from the archive.
    node.until(|d| matches!(d, Delivery::Forget)).await;
    node.crash();

    store.damaged(true);
    let mut node = Node::with(Arc::clone(&store) as Arc<dyn Store>, options()).await;
    node.ask("coven", HAG, page());
    let refused = |d: &Delivery| matches!(d, Delivery::Refused { .. });
    let all = node.until(refused).await;
    let Some(Delivery::Refused { refusal, .. }) = all.last() else {
        panic!("{all:?}")
    };
    assert_eq!(refusal.condition, Condition::InternalServerError);
    node.join("coven", "crone1@shakespeare.example/desktop", "first");
    assert_eq!(history(node.until(is_joined).await), 0);
    store.damaged(false);
    node.join("coven", "wiccarocks@shakespeare.example/laptop", "second");
    assert_eq!(history(node.until(is_joined).await), 3);
}

fn page() -> Query {
    Query::Archive(Box::new(ArchiveQuery {
        view: Some(View::Muc),
        with: None,
        start: None,
        end: None,
        before_id: None,
        after_id: None,
        ids: Vec::new(),
        after: None,
        before: None,
        max: None,
        flip: false,
    }))
}

/// How many messages the newcomer gets.
fn history(deliveries: Vec<Delivery>) -> usize {
    match deliveries.last() {
        Some(Delivery::Event { history, .. }) => history.len(),
        other => panic!("{other:?}"),
    }
}

/// What is acknowledged is written down at the end; what is not waits for nobody, and leaves with the next start.
#[tokio::test]
async fn i3_the_end_writes_down_what_is_acknowledged_and_does_not_wait_for_the_rest() {
    let folder = tempfile::TempDir::new().unwrap();
    let open = || {
        let options = sqlite::Options {
            shards: 4,
            ..sqlite::Options::new(folder.path().join("coven.db"))
        };
        Arc::new(SqliteStore::open(options).unwrap())
    };
    let mut node = Node::with(open(), options()).await;
    let head = talkative(&mut node, 3).await;
    node.acknowledge("coven", head, u64::MAX);
    node.join("heath", HAG, "hag");
    node.until(is_joined).await;
    // Whoever waits does so for 5 s.
    let ended = tokio::time::timeout(Duration::from_secs(4), node.service.shutdown());
    assert!(ended.await.is_ok(), "it waits for what will not come");

    let store = open();
    assert_eq!(snapshot_at(&loaded(&*store).await), head);
    let mut node = Node::with(store, options()).await;
    let again = node.until(is_joined).await;
    assert!(
        !again.iter().any(|d| is_message(d, "3")),
        "the coven's is not repeated"
    );
}
