//! A channel's life in a node: decided, committed, sent, sent again, forgotten, loaded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, eventually, is_destroyed, is_joined, is_message, operation, record, said};
use coven_cluster::{Delivery, Request};
use coven_core::command::{Relay, Settings};
use coven_core::people::visibility::Visibility;
use coven_core::query::{ArchivePage, ArchiveQuery, With};
use coven_core::{Answer, BareJid, Command, Condition, Query, View};
use coven_node::Options;
use coven_store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

fn ping() -> Query {
    let relay = Relay {
        nick: "hag".into(),
        kind: "get".into(),
        id: "p".into(),
        payload: bytes::Bytes::from_static(b"<ping xmlns='urn:xmpp:ping'/>"),
        to_bare: false,
    };
    Query::Ping {
        relay: Some(Box::new(relay)),
    }
}

fn answered(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Answer { .. } | Delivery::Refused { .. })
}

#[tokio::test]
async fn events_leave_in_order_behind_the_roster_they_build_on() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    for n in 0..20 {
        node.say("coven", HAG, &format!("m{n}"));
    }
    let all = node.until(|d| is_message(d, "m19")).await;
    assert!(matches!(all.first(), Some(Delivery::Base { .. })));
    assert_eq!(
        said(&all),
        (0..20).map(|n| format!("m{n}")).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn muc_leave_15_sessions_outlive_a_crash_and_what_was_not_acknowledged_is_sent_again() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.say("coven", HAG, "one");
    node.until(|d| is_message(d, "one")).await;
    node.crash();

    let mut node = Node::start(store).await;
    let again = node.until(|d| is_message(d, "one")).await;
    assert!(matches!(again.first(), Some(Delivery::Base { .. })));
    assert!(again.iter().any(is_joined));
    node.ask("coven", HAG, ping());
    let answer = node.until(answered).await;
    assert!(
        matches!(answer.last(), Some(Delivery::Answer { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_was_acknowledged_is_not_sent_again() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.say("coven", HAG, "one");
    node.until(|d| is_message(d, "one")).await;
    node.acknowledge("coven", 4, 99);
    tokio::task::yield_now().await;
    node.crash();

    let mut node = Node::start(store).await;
    node.say("coven", HAG, "two");
    let all = node.until(|d| is_message(d, "two")).await;
    assert_eq!(said(&all), ["two"]);
}

#[tokio::test]
async fn idle_channels_leave_memory_with_their_occupants_and_come_back() {
    let idle_timeout = Duration::from_millis(1);
    let options = Options {
        shards: 4,
        idle_timeout,
        ..Options::default()
    };
    let mut node = Node::with(Arc::new(MemoryStore::new()), options).await;
    node.join("coven", HAG, "hag");
    let unlock = Command::Configure(Box::default());
    node.send(operation("coven", HAG, Request::Command(unlock)));
    node.say("coven", HAG, "one");
    node.until(|d| is_message(d, "one")).await;
    node.acknowledge("coven", 4, 99);
    node.until(|d| matches!(d, Delivery::Forget)).await;
    node.ask("coven", HAG, ping());
    assert!(matches!(
        node.until(answered).await.last(),
        Some(Delivery::Answer { .. })
    ));

    node.join("coven", WITCH, "witch");
    let all = node.until(is_joined).await;
    let Some(Delivery::Base { roster, .. }) = all.first() else {
        panic!("{all:?}")
    };
    assert_eq!(roster.sessions().len(), 1);
    let Some(Delivery::Event { history, .. }) = all.last() else {
        panic!("{all:?}")
    };
    assert_eq!(history.len(), 1, "the history comes from the archive");
}

/// After a take-over a channel is in nobody's memory, and everybody in it asks (XEP-0410).
#[tokio::test]
async fn muc_ping_05_i6_all_who_ask_at_once_whether_they_are_in_are_told() {
    let options = Options {
        shards: 4,
        idle_timeout: Duration::from_millis(1),
        reads: 2,
        ..Options::default()
    };
    let mut node = Node::with(Arc::new(MemoryStore::new()), options).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.say("coven", HAG, "one");
    node.until(|d| is_message(d, "one")).await;
    node.acknowledge("coven", 4, 99);
    node.until(|d| matches!(d, Delivery::Forget)).await;
    node.emptied().await;
    for _ in 0..500 {
        node.ask("coven", HAG, ping());
    }
    for _ in 0..500 {
        let all = node.until(answered).await;
        let is_answer = matches!(all.last(), Some(Delivery::Answer { .. }));
        assert!(is_answer, "{all:?}");
    }
}

/// The store forgets a destroyed channel with its last acknowledgement, and takes no snapshot of it.
#[tokio::test]
async fn i9_a_destroyed_channel_leaves_memory_once_it_is_acknowledged() {
    let idle_timeout = Duration::from_millis(1);
    let options = Options {
        shards: 4,
        idle_timeout,
        ..Options::default()
    };
    let mut node = Node::with(Arc::new(MemoryStore::new()), options).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.destroy("coven", HAG);
    let all = node.until(is_destroyed).await;
    let last = record(all.last().unwrap()).map_or(4, |r| r.sequence.0);
    node.acknowledge("coven", last, 99);
    node.until(|d| matches!(d, Delivery::Forget)).await;
    node.emptied().await;
}

/// What is on its way in any shard is durable and leaves before the store is closed.
#[tokio::test]
async fn i5_the_end_waits_for_what_was_decided_in_every_shard() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    let rooms = ["a", "b", "c", "d", "e", "f", "g", "h"];
    store.hold();
    for room in rooms {
        node.join(room, HAG, "hag");
    }
    let shards = rooms.len().min(4);
    eventually("all is committed", async || store.held() >= shards).await;
    let ended = tokio::spawn(node.service.shutdown());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!ended.is_finished(), "something is on its way");
    store.let_go();
    ended.await.unwrap();
    let mut joined = 0;
    while let Ok(output) = node.outputs.try_recv() {
        joined += output.deliveries.iter().filter(|d| is_joined(d)).count();
    }
    assert_eq!(joined, rooms.len());
}

#[tokio::test]
async fn muc_mam_08_a_page_holds_what_was_said_before_it_was_asked_for() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    for n in 0..5 {
        node.say("coven", HAG, &format!("m{n}"));
    }
    node.until(answered).await;
    let page = page(&mut node, HAG, None, 2).await;
    assert_eq!(page.entries.len(), 2);
    assert!(!page.complete);
}

/// The newest of what somebody said.
async fn page(node: &mut Node, by: &str, with: Option<With>, max: u32) -> ArchivePage {
    let query = ArchiveQuery {
        view: Some(View::Muc),
        with,
        start: None,
        end: None,
        before_id: None,
        after_id: None,
        ids: Vec::new(),
        after: None,
        before: Some(None),
        max: Some(max),
        flip: false,
    };
    node.ask("coven", by, Query::Archive(Box::new(query)));
    let all = node.until(answered).await;
    let Some(Delivery::Answer { answer, .. }) = all.last() else {
        panic!("{all:?}")
    };
    let Answer::Archive(page) = &**answer else {
        panic!("{answer:?}")
    };
    (**page).clone()
}

#[tokio::test]
async fn muc_mam_20_mix_mam_13_who_said_what_while_jids_were_hidden_stays_hidden() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(answered).await;
    node.join("coven", WITCH, "witch");
    node.say("coven", WITCH, "hidden");
    let visible = Settings {
        visibility: Some(Visibility::Visible),
        ..Settings::default()
    };
    let configure = Command::Configure(Box::new(visible));
    node.send(operation("coven", HAG, Request::Command(configure)));
    node.until(answered).await;
    node.say("coven", WITCH, "seen");
    let jid = |full: &str| With::Jid(BareJid::from_normalised(full.split('/').next().unwrap()));
    for (by, count) in [(HAG, 1), (WITCH, 2)] {
        let found = page(&mut node, by, Some(jid(WITCH)), 9).await;
        assert_eq!(found.entries.len(), count, "{by}");
    }
}

#[tokio::test]
async fn muc_msg_08_a_refusal_leaves_behind_what_came_before_it() {
    let mut node = Node::start(Arc::new(MemoryStore::new())).await;
    node.join("coven", HAG, "hag");
    node.say("coven", WITCH, "no");
    let all = node.until(answered).await;
    assert!(all.iter().any(is_joined));
    let Some(Delivery::Refused { refusal, .. }) = all.last() else {
        panic!("{all:?}")
    };
    // The room is locked until its creator has configured it.
    assert_eq!(refusal.condition, Condition::ItemNotFound);
}
