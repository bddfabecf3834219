//! What is asked for again, and what is sent again by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Front, Member, is_base, is_committed, is_refused};
use common::held::HeldStore;
use common::{is_joined, is_message, join, operation, post};
use coven_cluster::{Clock, Delivery, Fence, NodeLink, Request, ToFront, ToNode, TokioClock};
use coven_core::{Command, Query, View};
use coven_store::Error;
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";

/// A node that owns everything, a front-end with both connections, and a room with a message in it.
async fn with_room(store: &Arc<HeldStore>) -> (Member, Front) {
    let node = Member::owner(store, 1).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.send("coven", HAG, post("one"), (3, 2, 0));
    front.until(|d| is_message(d, "one")).await;
    (node, front)
}

#[tokio::test(start_paused = true)]
async fn il_28_what_a_new_holder_is_owed_comes_although_the_store_was_busy() {
    let store = Arc::new(HeldStore::default());
    let (node, front) = with_room(&store).await;
    drop(front);
    store.refuse_loads(Error::Unknown("test".into()), 3);
    let mut next = node.front(11, &[("c1", 2), ("c2", 2)]);
    // Nobody says anything in the room.
    let all = next.until(|d| is_message(d, "one")).await;
    assert!(all.first().is_some_and(is_base), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn i3_nothing_is_decided_before_a_new_holder_has_what_it_is_owed() {
    let store = Arc::new(HeldStore::default());
    let (node, front) = with_room(&store).await;
    drop(front);
    store.refuse_loads(Error::Unknown("test".into()), 3);
    let mut next = node.front(10, &[("c1", 2), ("c2", 2)]);
    next.send("coven", HAG, post("two"), (4, 3, 3));
    next.word(|w| matches!(w, ToFront::NotTaken { id, .. } if id.n == 4))
        .await;
    next.until(|d| is_message(d, "one")).await;
    next.send("coven", HAG, post("three"), (5, 3, 3));
    let all = next.until(|d| is_message(d, "three")).await;
    assert!(!all.iter().any(|d| is_message(d, "two")), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn i9_what_is_missing_is_asked_for_once() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    // The fourth found no room.
    for n in 5..50 {
        front.send("coven", HAG, post("early"), (n, n - 1, 3));
    }
    let (_, words) = front.heard_by_now().await;
    let is_missing = |w: &&ToFront| matches!(w, ToFront::Missing { after: 3, .. });
    assert_eq!(words.iter().filter(is_missing).count(), 1, "{words:?}");
    for n in 4..50 {
        front.send("coven", HAG, post("again"), (n, n - 1, 3));
    }
    front.word(|w| is_committed(w, 49)).await;
}

#[tokio::test(start_paused = true)]
async fn i1_nothing_is_read_past_the_deadline_of_the_session() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    let clock = Arc::new(TokioClock::new());
    let fence = Fence::new(Arc::clone(&clock) as Arc<dyn Clock>);
    fence.set(clock.now() + Duration::from_secs(6));
    node.handle.keep_to(fence);
    let ask = || {
        let info = Query::Info { view: View::Muc };
        ToNode::Operation(Box::new(operation("coven", HAG, Request::Query(info))))
    };
    let is_end = |d: &Delivery| matches!(d, Delivery::Answer { .. }) || is_refused(d);
    assert!(front.seat.try_send(ask()).is_ok());
    let before = front.until(is_end).await;
    assert!(!before.iter().any(is_refused), "{before:?}");
    // The process was stopped; its agent has not looked yet.
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(front.seat.try_send(ask()).is_ok());
    let after = front.until(is_end).await;
    assert!(after.iter().any(is_refused), "{after:?}");
}
