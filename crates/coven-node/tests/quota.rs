//! How many channels one person may own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::{Node, channel, is_joined, operation, record};
use coven_cluster::{Delivery, Request};
use coven_core::command::Grant;
use coven_core::{Affiliation, Command, Condition, Event, Service};
use coven_node::Options;
use coven_store::{ChannelKey, Listing, MemoryStore, ShardId, Store};
use std::sync::Arc;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

async fn start(store: Arc<dyn Store>) -> Node {
    let policies = Service {
        max_owned: Some(2),
        ..Service::default()
    };
    let mut options = Options {
        shards: 4,
        ..Options::default()
    };
    options
        .spaces
        .insert("chat.example".into(), Arc::new(policies));
    Node::with(store, options).await
}

/// Joins a room that is not there, and waits for what comes of it: whether it was made, else why not.
async fn creates(node: &mut Node, jid: &str, room: &str) -> Result<(), Condition> {
    node.join(room, jid, if jid == HAG { "hag" } else { "crone" });
    let came = |d: &Delivery| is_joined(d) || matches!(d, Delivery::Refused { .. });
    match node.until(came).await.last().unwrap() {
        Delivery::Refused { refusal, .. } => Err(refusal.condition),
        _ => Ok(()),
    }
}

async fn destroys(node: &mut Node, room: &str) {
    node.send(operation(room, HAG, Request::Command(destroy())));
    let ended = |d: &Delivery| {
        record(d).is_some_and(|record| matches!(record.event, Event::Destroyed { .. }))
    };
    node.until(ended).await;
}

fn destroy() -> Command {
    Command::Destroy(coven_core::command::End {
        alternate: None,
        reason: None,
        password: None,
    })
}

const TOO_MANY: Result<(), Condition> = Err(Condition::NotAllowed);

#[tokio::test]
async fn muc_err_09_who_owns_enough_creates_no_more_until_one_ends() {
    let mut node = start(Arc::new(MemoryStore::new())).await;
    assert_eq!(creates(&mut node, HAG, "one").await, Ok(()));
    assert_eq!(creates(&mut node, HAG, "two").await, Ok(()));
    assert_eq!(creates(&mut node, HAG, "three").await, TOO_MANY);
    assert_eq!(creates(&mut node, WITCH, "three").await, Ok(()));
    // to join is no creation
    node.unlock("three", WITCH);
    assert_eq!(creates(&mut node, HAG, "three").await, Ok(()));
    destroys(&mut node, "one").await;
    assert_eq!(creates(&mut node, HAG, "four").await, Ok(()));
    assert_eq!(creates(&mut node, HAG, "five").await, TOO_MANY);
}

#[tokio::test]
async fn muc_err_09_a_room_counts_for_its_owners_whoever_they_are() {
    let mut node = start(Arc::new(MemoryStore::new())).await;
    for room in ["one", "two"] {
        assert_eq!(creates(&mut node, HAG, room).await, Ok(()));
        for (jid, affiliation) in [(WITCH, Affiliation::Owner), (HAG, Affiliation::None)] {
            let grant = Grant {
                jid: coven_core::BareJid::parse(jid).unwrap(),
                affiliation,
                nick: None,
                reason: None,
            };
            let command = Command::SetAffiliation(grant);
            node.send(operation(room, HAG, Request::Command(command)));
        }
        node.say(room, HAG, room);
        node.until(|d| matches!(d, Delivery::Refused { .. })).await;
    }
    assert_eq!(creates(&mut node, WITCH, "three").await, TOO_MANY);
    assert_eq!(creates(&mut node, HAG, "three").await, Ok(()));
}

#[tokio::test]
async fn muc_err_09_a_restart_forgets_no_room() {
    let store = Arc::new(MemoryStore::new());
    let mut node = start(store.clone()).await;
    assert_eq!(creates(&mut node, HAG, "one").await, Ok(()));
    assert_eq!(creates(&mut node, HAG, "two").await, Ok(()));
    node.crash();

    let mut node = start(store).await;
    // what was not acknowledged comes again, from both
    node.until(is_joined).await;
    node.until(is_joined).await;
    assert_eq!(creates(&mut node, HAG, "three").await, TOO_MANY);
}

/// As a crash between the end of rooms and the directory leaves it.
#[tokio::test]
async fn muc_err_09_rooms_that_are_gone_do_not_count() {
    let store = Arc::new(MemoryStore::new());
    let mut node = start(store.clone()).await;
    for room in ["gone", "lost"] {
        let shard = ShardId(channel(room).shard().0);
        let epoch = store.owner(shard).await.unwrap().unwrap().epoch;
        let key = ChannelKey::new("hag66@shakespeare.example in chat.example", room);
        let listings = vec![(key, Some(Listing::default()))];
        store.list(shard, epoch, listings).await.unwrap();
    }
    assert_eq!(creates(&mut node, HAG, "one").await, Ok(()));
    assert_eq!(creates(&mut node, HAG, "two").await, Ok(()));
    assert_eq!(creates(&mut node, HAG, "three").await, TOO_MANY);
}
