//! What becomes of a shard whose claims, releases and sessions do not go as they should: the node goes on where nobody else
//! had a say, and nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Front, Member, is_base, is_committed, is_done, is_refused};
use common::held::HeldStore;
use common::{Node, channel, is_joined, is_message, join, named, operation, post, said};
use coven_cluster::{Delivery, NodeLink, Request, ShardId, ToFront, ToNode};
use coven_core::query::ArchiveQuery;
use coven_core::{Command, Epoch, Query, View};
use coven_node::NodeEvent;
use coven_store::{Error, SessionId, Store};
use std::sync::Arc;
use std::time::Duration;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

async fn with_room(store: &Arc<HeldStore>) -> (Member, Front) {
    let node = Member::owner(store, 1).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.send("coven", HAG, Command::Configure(Box::default()), (2, 1, 0));
    front.send("coven", HAG, post("one"), (3, 2, 0));
    front.until(|d| is_message(d, "one")).await;
    front.word(|w| is_committed(w, 3)).await;
    (node, front)
}

fn acknowledge_all(node: &Member, front: &Front) {
    front.acknowledge(node, "coven", "c1", 1);
    front.acknowledge(node, "coven", "c2", 1);
}

/// Somebody else judges the node dead, takes everything, says something, and gives all of it up.
async fn another_comes_and_goes(store: &Arc<HeldStore>) {
    let other = Member::owner(store, 2).await;
    let mut front = other.front(10, &[("c1", 2), ("c2", 2)]);
    front.until(|d| is_message(d, "one")).await;
    front.send("coven", HAG, post("other"), (4, 3, 3));
    front.until(|d| is_message(d, "other")).await;
    let all = (0..4).map(ShardId).collect();
    other.handle.give_up(all).await;
}

async fn stored(store: &Arc<HeldStore>) -> Vec<String> {
    let next = Member::owner(store, 9).await;
    let mut front = next.front(99, &[("c1", 9), ("c2", 9)]);
    front.send("coven", HAG, post("last"), (1, 0, 0));
    said(&front.until(|d| is_message(d, "last")).await)
}

#[tokio::test(start_paused = true)]
async fn i1_i2_who_comes_back_does_not_go_on_where_another_was_meanwhile() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    let mut events = node.handle.events();
    another_comes_and_goes(&store).await;
    front.send("coven", HAG, post("ghost"), (4, 3, 0));
    let lost = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
    let lost = lost.expect("it goes on").unwrap();
    assert!(matches!(lost, NodeEvent::Lost { shard, .. } if shard == channel("coven").shard()));
    let (deliveries, words) = front.heard_by_now().await;
    assert!(said(&deliveries).is_empty(), "{deliveries:?}");
    assert!(!words.iter().any(|w| is_committed(w, 4)), "{words:?}");
    assert_eq!(stored(&store).await, ["one", "other", "last"]);
}

#[tokio::test(start_paused = true)]
async fn i1_a_new_session_does_not_bring_back_what_another_has_had_and_released() {
    let store = Arc::new(HeldStore::default());
    let (node, _front) = with_room(&store).await;
    another_comes_and_goes(&store).await;
    node.handle.suspend();
    node.handle.resume(SessionId(77)).await;
    assert!(node.handle.owned().is_empty(), "it goes on as it was");
}

#[tokio::test(start_paused = true)]
async fn i3_a_lost_answer_to_a_claim_of_an_earlier_session_costs_nothing() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    node.handle.suspend();
    store.mute_claims(4);
    let handle = node.handle.clone();
    let first = tokio::spawn(async move { handle.resume(SessionId(77)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.away(true);
    let handle = node.handle.clone();
    let second = tokio::spawn(async move { handle.resume(SessionId(78)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.away(false);
    first.await.unwrap();
    second.await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(node.handle.owned().len(), 4, "lost to itself");
    front.send("coven", HAG, post("two"), (4, 3, 0));
    front.until(|d| is_message(d, "two")).await;
    let shard = coven_store::ShardId(channel("coven").shard().0);
    let owner = store.owner(shard).await.unwrap().unwrap();
    assert_eq!(owner.session, SessionId(78), "the token names a dead one");
}

#[tokio::test(start_paused = true)]
async fn an_older_session_takes_nothing_any_more() {
    let store = Arc::new(HeldStore::default());
    let node = Member::start(&store, 1);
    node.handle.resume(SessionId(1)).await;
    node.handle.resume(SessionId(2)).await;
    let take = coven_node::Take {
        shard: ShardId(0),
        judged_dead: None,
        known: Epoch::default(),
    };
    assert!(node.handle.take(vec![take], SessionId(1)).await.is_empty());
    assert!(node.handle.owned().is_empty());
}

/// All outputs of the room until a message; each that is of a higher epoch than those before has to begin with a roster.
async fn based(front: &mut Front, id: &str, mut epoch: Epoch) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let output = tokio::time::timeout(Duration::from_secs(30), front.outputs.recv()).await;
        let output = output.expect("nothing comes").unwrap();
        if output.epoch > epoch {
            let first = output.deliveries.first();
            assert!(first.is_some_and(is_base), "{output:?}");
        }
        assert!(output.epoch >= epoch, "{output:?}");
        epoch = epoch.max(output.epoch);
        let found = output.deliveries.iter().any(|d| is_message(d, id));
        all.extend(output.deliveries);
        if found {
            return all;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i5_under_a_new_epoch_the_first_output_of_a_quiet_channel_begins_with_its_roster() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    acknowledge_all(&node, &front);
    let epoch = node.handle.place(&channel("coven")).epoch.unwrap();
    node.handle.suspend();
    node.handle.resume(SessionId(77)).await;
    assert!(node.handle.place(&channel("coven")).epoch > Some(epoch));
    front.send("coven", HAG, post("two"), (4, 3, 3));
    let all = based(&mut front, "two", epoch).await;
    assert!(all.first().is_some_and(is_base), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn i5_what_was_held_while_a_shard_was_claimed_again_is_said_under_the_old_epoch() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    acknowledge_all(&node, &front);
    let epoch = node.handle.place(&channel("coven")).epoch.unwrap();
    store.away(true);
    front.send("coven", HAG, post("held"), (4, 3, 3));
    tokio::time::sleep(Duration::from_millis(50)).await;
    node.handle.suspend();
    store.away(false);
    node.handle.resume(SessionId(77)).await;
    let all = based(&mut front, "held", epoch).await;
    assert_eq!(said(&all), ["held"]);
    assert!(!all.iter().any(is_base), "{all:?}");
    front.send("coven", HAG, post("next"), (5, 4, 4));
    based(&mut front, "next", epoch).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_the_store_does_not_take_is_repeated() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    store.no_releases(3);
    let shard = channel("coven").shard();
    node.handle.give_up(vec![shard]).await;
    front.word(|w| matches!(w, ToFront::Released(_))).await;
    let token = store.owner(coven_store::ShardId(shard.0)).await.unwrap();
    assert_eq!(token, None, "in everybody's way");
}

#[tokio::test(start_paused = true)]
async fn i9_a_shard_that_is_not_answered_for_holds_up_no_other() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    let coven = channel("coven").shard();
    let other = ShardId((coven.0 + 1) % 4);
    node.handle.suspend();
    store.dumb(coven_store::ShardId(other.0));
    node.handle.resume(SessionId(77)).await;
    front.send("coven", HAG, post("two"), (4, 3, 0));
    front.until(|d| is_message(d, "two")).await;
    let info = Query::Info { view: View::Muc };
    let ask = Box::new(operation("coven", HAG, Request::Query(info)));
    assert!(front.seat.try_send(ToNode::Operation(ask)).is_ok());
    front.until(|d| matches!(d, Delivery::Answer { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn i9_shards_that_are_taken_are_announced_as_they_come() {
    let store = Arc::new(HeldStore::default());
    store.dumb(coven_store::ShardId(0));
    let node = Member::start(&store, 1);
    let mut front = node.front(10, &[("c1", 1)]);
    let takes = (0..4).map(|shard| coven_node::Take {
        shard: ShardId(shard),
        judged_dead: None,
        known: Epoch::default(),
    });
    let (handle, takes) = (node.handle.clone(), takes.collect());
    let _never = tokio::spawn(async move { handle.take(takes, SessionId(1)).await });
    for shard in 1..4 {
        let is_it = |owned: &[(ShardId, Epoch)]| owned.iter().any(|(of, _)| of.0 == shard);
        front
            .word(|w| matches!(w, ToFront::Owned(owned) if is_it(owned)))
            .await;
    }
}

/// While a channel's actor is held up, its shard is lost and taken again.
#[tokio::test(start_paused = true)]
async fn il_26_an_actor_of_an_earlier_ownership_answers_nothing_for_the_next() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    let shard = channel("coven").shard();
    let epoch = node.handle.place(&channel("coven")).epoch.unwrap();
    node.handle.suspend();
    front.send("coven", HAG, post("waits"), (4, 3, 0));
    tokio::time::sleep(Duration::from_millis(10)).await;
    node.handle.heard_of(shard, Epoch(epoch.0 + 1)).await;
    node.take_all().await;
    let again = node.handle.place(&channel("coven")).epoch.unwrap();
    assert!(again > epoch);
    front.send("coven", HAG, post("four"), (5, 3, 3));
    tokio::time::sleep(Duration::from_millis(10)).await;
    node.handle.resume(SessionId(77)).await;
    let all = front.until(|d| is_message(d, "four")).await;
    assert!(all.iter().any(is_base), "{all:?}");
    let (_, words) = front.heard_by_now().await;
    let of_this = |w: &ToFront| matches!(w, ToFront::NotOwner { epoch, .. } if *epoch >= again);
    assert!(!words.iter().any(of_this), "{words:?}");
}

#[tokio::test]
async fn i5_a_refusal_is_done_when_it_is_taken_in_and_what_follows_it_after_that() {
    let store = Arc::new(HeldStore::default());
    let (node, mut front) = with_room(&store).await;
    front.send("coven", WITCH, post("refused"), (4, 3, 3));
    front.send("coven", HAG, post("two"), (5, 4, 3));
    front.until(|d| is_message(d, "two")).await;
    let words = front.word(|w| is_committed(w, 5)).await;
    let (_, more) = front.heard_by_now().await;
    let is_early = |w: &ToFront| is_done(w, 4) || is_done(w, 5);
    assert!(!words.iter().chain(&more).any(is_early), "{more:?}");
    acknowledge_all(&node, &front);
    front.word(|w| is_done(w, 4)).await;
    front.word(|w| is_done(w, 5)).await;
}

#[tokio::test]
async fn i5_each_read_of_an_archive_ends_in_one_done_behind_its_answer() {
    let store = Arc::new(HeldStore::default());
    let (_node, mut front) = with_room(&store).await;
    let page = Query::Archive(Box::new(ArchiveQuery {
        view: Some(View::Muc),
        with: None,
        start: None,
        end: None,
        before_id: None,
        after_id: None,
        ids: Vec::new(),
        after: None,
        before: None,
        max: Some(10),
        flip: false,
    }));
    let bounds = Query::ArchiveBounds { view: View::Mix };
    for (n, query) in [(4, page.clone()), (5, bounds), (6, page)] {
        store.damaged(n == 6);
        let mut ask = named(operation("coven", HAG, Request::Query(query)), n, 3, 3);
        if let Some(id) = &mut ask.id {
            id.process = 10;
        }
        assert!(
            front
                .seat
                .try_send(ToNode::Operation(Box::new(ask)))
                .is_ok()
        );
        let is_end = |d: &Delivery| matches!(d, Delivery::Answer { .. }) || is_refused(d);
        front.until(is_end).await;
        let mut words = front.word(|w| is_done(w, n)).await;
        words.extend(front.heard_by_now().await.1);
        assert_eq!(words.iter().filter(|w| is_done(w, n)).count(), 1);
    }
}

/// One process: the store takes a commit and a claim, and both answers are lost.
#[tokio::test(start_paused = true)]
async fn i5_alone_a_claim_whose_answer_was_lost_is_claimed_over() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(Arc::clone(&store) as Arc<dyn Store>).await;
    node.join("coven", HAG, "hag");
    node.until(is_joined).await;
    node.unlock("coven", HAG);
    store.mute(1);
    store.mute_claims(1);
    node.say("coven", HAG, "one");
    tokio::time::sleep(Duration::from_secs(10)).await;
    node.say("coven", HAG, "two");
    let two = tokio::time::timeout(Duration::from_secs(5), node.until(|d| is_message(d, "two")));
    assert!(two.await.is_ok(), "the shard is nobody's");
}

#[tokio::test(start_paused = true)]
async fn i3_alone_a_commit_that_was_stored_without_an_answer_is_sent_by_itself() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(Arc::clone(&store) as Arc<dyn Store>).await;
    node.join("coven", HAG, "hag");
    node.unlock("coven", HAG);
    node.say("coven", HAG, "one");
    node.until(|d| is_message(d, "one")).await;
    store.mute(1);
    node.say("coven", HAG, "two");
    let all = node.until(|d| is_message(d, "two")).await;
    assert!(all.iter().any(is_base), "under a new epoch: {all:?}");
}

#[tokio::test(start_paused = true)]
async fn i10_a_load_without_an_answer_is_tried_again() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(Arc::clone(&store) as Arc<dyn Store>).await;
    store.refuse_loads(Error::Unknown("test".into()), 2);
    node.join("coven", HAG, "hag");
    node.until(is_refused).await;
    node.join("coven", HAG, "hag");
    node.until(is_joined).await;
    assert_eq!(node.handle.health().snapshot().quarantined, 0);
}
