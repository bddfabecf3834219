//! Nodes of a cluster: what becomes of shards when processes and the store fail.

use std::collections::BTreeSet;
use std::time::Duration;

use coven_cluster::agent::Event;
use coven_cluster::session::Suspended;
use coven_store::registry::{Registry, Request};
use coven_store::{ProcessId, Store, StoreId};
use tokio::time::sleep;

use super::cluster::{Cluster, Node, Process, SHARDS, ttl, until};

const A_WHILE: Duration = Duration::from_secs(60);

fn all() -> usize {
    usize::from(SHARDS)
}

/// How many shards the nodes serve together; none is served by two.
fn served(nodes: &[&Process<Node>]) -> usize {
    let mut all = BTreeSet::new();
    for node in nodes {
        for shard in node.control.serves() {
            assert!(all.insert(shard), "{shard:?} is served twice");
        }
    }
    all.len()
}

/// Three nodes that have shared the shards.
async fn three(cluster: &Cluster) -> [Process<Node>; 3] {
    let nodes = [
        cluster.node(1).await,
        cluster.node(2).await,
        cluster.node(3).await,
    ];
    sleep(A_WHILE).await;
    assert_eq!(served(&nodes.each_ref()), all());
    for node in &nodes {
        assert!(!node.control.serves().is_empty());
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn the_first_node_takes_all_and_shares_with_the_next() {
    let cluster = Cluster::new().await;
    let one = cluster.node(1).await;
    let took = until(|| one.control.serves().len() == all()).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let two = cluster.node(2).await;
    sleep(Duration::from_secs(9)).await;
    assert!(two.control.serves().is_empty(), "not right after a change");
    sleep(A_WHILE).await;
    assert_eq!(served(&[&one, &two]), all());
    assert!(two.control.serves().len() >= all() / 4);
    assert!(one.control.lost().is_empty());
}

/// Target of the design: kill -9 of a node, and its channels answer again within 7 s.
#[tokio::test(start_paused = true)]
async fn a_killed_node_is_replaced_within_seven_seconds() {
    for tenth in 0..20 {
        let cluster = Cluster::new().await;
        let [one, two, three] = three(&cluster).await;
        sleep(Duration::from_millis(100 * tenth)).await;
        three.kill();
        let took = until(|| served(&[&one, &two]) == all()).await;
        assert!(took <= Duration::from_millis(6800), "{took:?}");
        assert!(took >= Duration::from_secs(3), "judged too early: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_node_hands_over_at_once() {
    let cluster = Cluster::new().await;
    let [one, two, three] = three(&cluster).await;
    let mut events = three.handle.events();
    let took = three.stop().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let took = until(|| served(&[&one, &two]) == all()).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(event);
    }
    assert!(seen.contains(&Event::Draining) && seen.contains(&Event::Drained));
}

/// What is given up is followed by more at once, not with the next poll: the time goes by the store, not by the clock.
#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_polls() {
    let cluster = Cluster::new().await;
    let one = cluster.node(1).await;
    until(|| one.control.serves().len() == all()).await;
    sleep(A_WHILE).await;
    let took = one.stop().await;
    assert!(took < Duration::from_millis(80), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_drains_a_node_and_takes_it_back() {
    let cluster = Cluster::new().await;
    let [one, two, three] = three(&cluster).await;
    let drain = |request| cluster.registry.request(request);
    drain(Request::Drain(ProcessId(3))).await.unwrap();
    until(|| three.control.serves().is_empty()).await;
    until(|| served(&[&one, &two]) == all()).await;
    assert!(three.handle.health().borrow().drained);
    sleep(A_WHILE).await;
    assert!(three.control.serves().is_empty());
    drain(Request::Undrain(ProcessId(3))).await.unwrap();
    until(|| !three.control.serves().is_empty()).await;
    assert!(!three.handle.health().borrow().draining);
}

#[tokio::test(start_paused = true)]
async fn an_operator_moves_a_shard() {
    let cluster = Cluster::new().await;
    let [one, two, _three] = three(&cluster).await;
    let shard = *one.control.serves().first().unwrap();
    let moved = Request::Move(coven_store::ShardId(shard.0), Some(ProcessId(2)));
    cluster.registry.request(moved).await.unwrap();
    let took = until(|| two.control.serves().contains(&shard)).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    sleep(A_WHILE).await;
    assert!(two.control.serves().contains(&shard), "it stays there");
}

#[tokio::test(start_paused = true)]
async fn i7_what_a_node_cannot_read_goes_to_a_newer_one_and_stays() {
    let cluster = Cluster::new().await;
    let [one, two, three] = three(&cluster).await;
    let shard = *one.control.serves().first().unwrap();
    one.control.meet_newer(shard);
    sleep(A_WHILE).await;
    assert!(one.control.serves().contains(&shard), "nobody reads more");
    let newer = cluster.node_reading(4, 2).await;
    sleep(A_WHILE).await;
    let owner = *[&one, &two, &three]
        .iter()
        .find(|node| node.control.serves().contains(&shard))
        .unwrap_or(&&newer);
    owner.control.meet_newer(shard);
    until(|| newer.control.serves().contains(&shard)).await;
    sleep(A_WHILE).await;
    assert!(newer.control.serves().contains(&shard), "it stays there");
    assert_eq!(served(&[&one, &two, &three, &newer]), all());
}

#[tokio::test(start_paused = true)]
async fn i7_il_32_who_cannot_read_what_is_finalized_does_nothing_more() {
    let cluster = Cluster::new().await;
    let (older, newer) = (cluster.node(1).await, cluster.node_reading(2, 2).await);
    sleep(A_WHILE).await;
    assert!(!older.control.serves().is_empty());
    let store = cluster.store.identity().await.unwrap();
    assert!(cluster.registry.finalize(store, 2).await.unwrap());
    until(|| newer.control.serves().len() == all()).await;
    let health = older.handle.health().borrow().clone();
    assert_eq!((health.session, health.outdated), (None, Some(2)));
    assert!(
        health
            .reasons()
            .contains(&"the store is of a newer format".to_owned())
    );
    older.handle.accept_store().await.unwrap();
    sleep(A_WHILE).await;
    assert!(older.control.serves().is_empty(), "it cannot be accepted");
    assert_eq!(newer.handle.health().borrow().outdated, None);
}

/// SIGSTOP, or a cut from the store alone: it speaks for nothing past its deadline, and drops what others have by then.
#[tokio::test(start_paused = true)]
async fn a_node_cut_from_the_store_is_suspended_before_another_claims() {
    let cluster = Cluster::new().await;
    let [one, two, three] = three(&cluster).await;
    three.registry.cut();
    let took = until(|| three.control.serves().is_empty()).await;
    assert!(took <= ttl());
    assert!(!three.fence.is_open());
    // `served` sees to it that nobody serves what another does, at every step.
    until(|| served(&[&one, &two, &three]) == all()).await;
    three.registry.heal();
    until(|| three.handle.health().borrow().session.is_some()).await;
    sleep(A_WHILE).await;
    assert_eq!(served(&[&one, &two, &three]), all());
    assert!(
        !three.control.lost().is_empty(),
        "what it had is others' now"
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_is_not_noticed() {
    let cluster = Cluster::new().await;
    let [one, two, three] = three(&cluster).await;
    three.registry.cut();
    sleep(Duration::from_secs(3)).await;
    three.registry.heal();
    sleep(A_WHILE).await;
    assert_eq!(served(&[&one, &two, &three]), all());
    assert!(three.control.lost().is_empty());
}

/// A fail-over loses every session at once. Nobody's shards move.
#[tokio::test(start_paused = true)]
async fn il_29_a_fail_over_moves_nothing() {
    let cluster = Cluster::new().await;
    let nodes = three(&cluster).await;
    let before: Vec<_> = nodes.iter().map(|node| node.control.serves()).collect();
    let mut events = nodes[0].handle.events();
    cluster.registry.fail_over();
    // Two come back at once, the third a little later.
    nodes[2].registry.cut();
    sleep(Duration::from_secs(4)).await;
    nodes[2].registry.heal();
    sleep(A_WHILE).await;
    let after: Vec<_> = nodes.iter().map(|node| node.control.serves()).collect();
    assert_eq!(after, before);
    assert!(nodes.iter().all(|node| node.control.lost().is_empty()));
    let moved = Event::Suspended(Suspended::Moved);
    assert_eq!(events.try_recv().unwrap(), moved);
}

/// As before, but one of them died with the old primary: its shards go to the others after a full TTL of watching.
#[tokio::test(start_paused = true)]
async fn il_29_who_does_not_come_back_is_judged_after_a_ttl() {
    let cluster = Cluster::new().await;
    let [one, two, three] = three(&cluster).await;
    cluster.registry.fail_over();
    three.kill();
    let took = until(|| served(&[&one, &two]) == all()).await;
    assert!(
        took >= ttl() && took < ttl() + Duration::from_secs(2),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fail_over_gives_each_shard_a_new_epoch() {
    let cluster = Cluster::new().await;
    let node = cluster.node(1).await;
    until(|| node.control.serves().len() == all()).await;
    let before = node.control.owned();
    cluster.registry.fail_over();
    sleep(A_WHILE).await;
    for (shard, now) in node.control.owned() {
        let then = before[&shard];
        assert!(now.epoch > then.epoch && now.session != then.session);
    }
    assert!(node.control.lost().is_empty());
}

/// Redis comes back empty, or exchanged: nobody claims anything of it before an operator has looked.
#[tokio::test(start_paused = true)]
async fn il_31_nothing_is_done_with_another_store() {
    let cluster = Cluster::new().await;
    let node = cluster.node(1).await;
    until(|| node.control.serves().len() == all()).await;
    let mut events = node.handle.events();
    cluster.registry.replace(Some(StoreId(77)));
    until(|| node.handle.health().borrow().is_replaced()).await;
    assert!(node.control.serves().is_empty() && !node.fence.is_open());
    let reasons = node.handle.health().borrow().reasons();
    assert_eq!(reasons, ["the store is another one than before"]);
    let told = Event::StoreReplaced(Some(StoreId(77)));
    assert_eq!(events.try_recv().unwrap(), told);
    sleep(A_WHILE).await;
    assert!(node.control.serves().is_empty());
    let sight = cluster.registry.poll(None).await.unwrap();
    assert!(sight.sessions.is_empty(), "it does not even join");
    node.handle.accept_store().await.unwrap();
    until(|| node.control.serves().len() == all()).await;
    assert!(node.handle.health().borrow().reasons().is_empty());
}

/// What makes a new store in an emptied Redis is the same yes of an operator: the agent has not seen that one yet.
#[tokio::test(start_paused = true)]
async fn il_31_an_empty_redis_is_accepted_with_what_is_made_there() {
    let cluster = Cluster::new().await;
    let node = cluster.node(1).await;
    until(|| node.control.serves().len() == all()).await;
    cluster.registry.replace(None);
    until(|| node.handle.health().borrow().is_replaced()).await;
    node.handle.accept_store().await.unwrap();
    sleep(A_WHILE).await;
    assert!(node.handle.health().borrow().is_replaced());
    cluster.registry.replace(Some(StoreId(77)));
    until(|| node.control.serves().len() == all()).await;
    assert!(node.handle.health().borrow().reasons().is_empty());
    // It was said once: another one is not meant.
    cluster.registry.replace(Some(StoreId(78)));
    until(|| node.handle.health().borrow().is_replaced()).await;
}

#[tokio::test(start_paused = true)]
async fn il_31_the_right_store_is_taken_up_again() {
    let cluster = Cluster::new().await;
    let node = cluster.node(1).await;
    until(|| node.control.serves().len() == all()).await;
    let right = cluster.store.identity().await.unwrap();
    cluster.registry.replace(None);
    until(|| node.handle.health().borrow().is_replaced()).await;
    node.handle.accept_store().await.unwrap();
    sleep(A_WHILE).await;
    assert!(node.control.serves().is_empty(), "there is none to accept");
    cluster.registry.replace(Some(right));
    until(|| node.control.serves().len() == all()).await;
    assert!(node.control.lost().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_is_forgotten_ten_minutes_after_its_end() {
    let cluster = Cluster::new().await;
    let one = cluster.node(1).await;
    let two = cluster.node(2).await;
    sleep(A_WHILE).await;
    two.kill();
    sleep(Duration::from_secs(590)).await;
    assert_eq!(one.control.forgotten(), []);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(one.control.forgotten(), [ProcessId(2)]);
}
