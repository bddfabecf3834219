//! Sessions that go while the store refuses (MUC-LEAVE-01, MUC-LEAVE-12): nobody is told, so the node tries again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use bytes::Bytes;
use common::cluster::{Front, Member, is_committed, is_refused};
use common::held::HeldStore;
use common::{Node, eventually, is_joined, is_message, join, operation, record};
use coven_cluster::{Delivery, NodeLink, Request, ToFront, ToNode};
use coven_core::command::Bounce;
use coven_core::event::Cause;
use coven_core::{Command, Condition, Event, Group, ProbeMark, Query, View};
use coven_store::Error;
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";
const WIT: &str = "wiccarocks@shakespeare.example/laptop";

const fn leave() -> Command {
    Command::Leave {
        payload: Bytes::new(),
    }
}

fn left(delivery: &Delivery) -> Option<Cause> {
    match &record(delivery)?.event {
        Event::Left { cause, .. } => Some(*cause),
        _ => None,
    }
}

fn is_left(delivery: &Delivery) -> bool {
    left(delivery).is_some()
}

fn is_answer(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Answer { .. } | Delivery::Refused { .. })
}

/// A room with two people.
async fn with_two(store: &Arc<HeldStore>) -> Node {
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.until(is_answer).await;
    node.join("coven", WITCH, "witch");
    node.until(is_joined).await;
    node
}

/// As a front-end makes it: presence of type unavailable and errors are answered with nothing.
fn gone(room: &str, jid: &str, command: Command) -> coven_cluster::Operation {
    let mut gone = operation(room, jid, Request::Command(command));
    let origin = Arc::make_mut(&mut gone.origin);
    origin.kind = coven_core::StanzaKind::Presence;
    origin.from = "".into();
    gone
}

/// Waits until the node has refused something.
async fn refused(node: &Node, more_than: u64) {
    let health = node.handle.health();
    let is_refused = async || health.snapshot().refused > more_than;
    eventually("it is refused", is_refused).await;
}

async fn people(node: &mut Node) -> usize {
    node.ask("coven", HAG, Query::Info { view: View::Muc });
    let all = node.until(is_answer).await;
    all.iter().filter(|d| is_left(d)).count()
}

#[tokio::test]
async fn muc_leave_01_who_leaves_while_the_store_refuses_is_gone_when_it_takes_commits_again() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_two(&store).await;
    store.full(true);
    node.send(gone("coven", WITCH, leave()));
    refused(&node, 0).await;
    store.full(false);
    let all = node.until(is_left).await;
    assert!(!all.iter().any(is_refused), "{all:?}");
}

#[tokio::test]
async fn muc_leave_01_who_leaves_while_the_channel_cannot_be_loaded_is_gone_when_it_can() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_two(&store).await;
    store.refuse_loads(Error::Busy("test"), 3);
    store.refuse_next(Error::Unknown("test".into()));
    node.say("coven", HAG, "unknown");
    node.until(is_refused).await;
    node.send(gone("coven", WITCH, leave()));
    let all = node.until(is_left).await;
    assert!(!all.iter().any(is_refused), "{all:?}");
}

/// Else a store that is away for long would be asked without end.
#[tokio::test]
async fn i9_a_channel_that_cannot_be_loaded_is_asked_for_with_pauses() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_two(&store).await;
    let many = 1000;
    store.refuse_loads(Error::Busy("test"), many);
    store.refuse_next(Error::Unknown("test".into()));
    node.say("coven", HAG, "unknown");
    node.until(is_refused).await;
    node.send(gone("coven", WITCH, leave()));
    // Past the first two trials.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = many - store.loads_left();
    assert!((2..20).contains(&asked), "{asked}");
}

/// What waits is done before anything that came after it, so that it ends no newer session.
#[tokio::test]
async fn muc_leave_12_who_comes_back_after_a_leave_that_was_refused_stays() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_two(&store).await;
    store.full(true);
    node.send(gone("coven", WITCH, leave()));
    node.join("coven", WITCH, "witch");
    node.until(is_refused).await;
    store.full(false);
    node.join("coven", WITCH, "witch");
    let all = node.until(is_joined).await;
    let events: Vec<bool> = all
        .iter()
        .filter(|d| is_left(d) || is_joined(d))
        .map(is_left)
        .collect();
    assert_eq!(events, [true, false], "{all:?}");
    // Longer than the first pause.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(people(&mut node).await, 0, "nobody has left since");
}

/// Says something until it is taken: a shard that is being put right takes nothing.
async fn gets_through(node: &mut Node, body: &str) {
    let is_said = |d: &Delivery| is_message(d, body);
    eventually("it is taken", async || {
        node.say("coven", HAG, body);
        let all = node.until(|d| is_said(d) || is_refused(d)).await;
        all.iter().any(is_said)
    })
    .await;
}

/// The store has both, the leave and the session that began after it, and the node knew of neither.
#[tokio::test]
async fn muc_leave_12_who_comes_back_after_a_leave_of_which_nothing_was_known_stays() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_two(&store).await;
    store.hold();
    node.send(gone("coven", WITCH, leave()));
    eventually("the leave is committed", async || store.held() == 1).await;
    node.join("coven", WITCH, "witch");
    eventually("the join is committed", async || store.held() == 2).await;
    store.take_held_unheard().await;
    node.until(is_refused).await;
    // The leave is tried again before that.
    gets_through(&mut node, "taken").await;
    node.say("coven", WITCH, "here");
    let is_said = |d: &Delivery| is_message(d, "here");
    let all = node.until(|d| is_said(d) || is_refused(d)).await;
    assert!(all.iter().any(is_said), "{all:?}");
}

#[tokio::test]
async fn muc_leave_12_a_probe_that_bounces_while_the_store_refuses_removes_later() {
    let store = Arc::new(HeldStore::default());
    let mut node = with_two(&store).await;
    let group = Group("main".into());
    assert!(node.seat.try_send(ToNode::Sweep { group }).is_ok());
    let mut mark: Option<ProbeMark> = None;
    while mark.is_none() {
        let probes = node.until(|d| matches!(d, Delivery::Probe(_))).await;
        mark = probes.iter().find_map(|d| match d {
            Delivery::Probe(probe) if probe.session.jid.as_str() == WITCH => Some(probe.mark),
            _ => None,
        });
    }
    store.full(true);
    let bounce = Bounce {
        condition: Condition::ServiceUnavailable,
        probed: mark,
        confirmed: false,
    };
    node.send(gone("coven", WITCH, Command::Bounce(bounce)));
    refused(&node, 0).await;
    store.full(false);
    let all = node.until(is_left).await;
    assert!(matches!(all.iter().find_map(left), Some(Cause::Ghost)));
}

/// What waits keeps its channel in memory only until it is done.
#[tokio::test]
async fn i9_a_channel_with_nothing_that_waits_leaves_memory() {
    let store = Arc::new(HeldStore::default());
    let options = coven_node::Options {
        shards: 4,
        idle_timeout: Duration::from_millis(100),
        ..coven_node::Options::default()
    };
    let mut node = Node::with(store.clone(), options).await;
    node.join("coven", HAG, "hag");
    node.until(is_joined).await;
    store.full(true);
    node.send(gone("coven", WIT, leave()));
    node.send(gone("coven", HAG, leave()));
    refused(&node, 0).await;
    store.full(false);
    node.until(is_left).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    node.acknowledge("coven", 99, 99);
    node.emptied().await;
}

async fn front_with_two(node: &Member) -> Front {
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.send("coven", WITCH, join("witch"), (3, 2, 0));
    front.until(is_joined).await;
    front.word(|w| is_committed(w, 3)).await;
    front
}

/// The front-end keeps it as long as nothing is said of it.
#[tokio::test]
async fn muc_leave_01_a_leave_of_a_remote_link_is_not_said_to_be_refused_and_is_done_later() {
    let store = Arc::new(HeldStore::default());
    let node = Member::owner(&store, 1).await;
    let mut front = front_with_two(&node).await;
    store.full(true);
    front.send("coven", WITCH, leave(), (4, 3, 3));
    eventually("it is refused", async || store.refused() > 0).await;
    store.full(false);
    let words = front.word(|w| is_committed(w, 4)).await;
    let is_refused = |word: &ToFront| matches!(word, ToFront::NotTaken { .. });
    assert!(!words.iter().any(is_refused), "{words:?}");
    front.until(is_left).await;
}
