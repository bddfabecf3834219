//! Front-ends of a cluster: who holds which connection when processes and links fail.

use std::collections::BTreeSet;
use std::time::Duration;

use coven_cluster::leases::{Attach, Connection};
use coven_store::ConnectionId;
use coven_store::ProcessId;
use coven_store::registry::{Registry, Request};
use tokio::time::sleep;

use super::cluster::{Cluster, Front, Process, connections, ttl, until};

const A_WHILE: Duration = Duration::from_secs(60);

/// The connections that front-ends hold and may write to; none is held by two.
fn held(fronts: &[&Process<Front>]) -> usize {
    let mut all = BTreeSet::new();
    for front in fronts.iter().filter(|front| front.fence.is_open()) {
        for connection in front.control.held().into_keys() {
            assert!(
                all.insert(connection.clone()),
                "{connection:?} is held twice"
            );
        }
    }
    all.len()
}

async fn two(cluster: &Cluster, all: &[Connection]) -> (Process<Front>, Process<Front>) {
    let (one, two) = (cluster.front(1, all).await, cluster.front(2, all).await);
    sleep(A_WHILE).await;
    assert_eq!(held(&[&one, &two]), all.len());
    (one, two)
}

/// The one that holds the only connection, and the other.
fn holder(one: Process<Front>, two: Process<Front>) -> (Process<Front>, Process<Front>) {
    match one.control.held().is_empty() {
        true => (two, one),
        false => (one, two),
    }
}

#[tokio::test(start_paused = true)]
async fn standby_has_one_holder_and_a_stop_is_a_planned_change() {
    let cluster = Cluster::new().await;
    let all = connections(1, Attach::Standby);
    let (one, two) = two(&cluster, &all).await;
    let (holder, other) = holder(one, two);
    let lease = holder.control.held()[&all[0].id];
    let control = holder.control.clone();
    holder.stop().await;
    assert_eq!((control.held().len(), control.barriers()), (0, 1));
    let took = until(|| held(&[&other]) == 1).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(other.control.held()[&all[0].id] > lease);
}

#[tokio::test(start_paused = true)]
async fn a_killed_holder_is_replaced_after_its_session() {
    let cluster = Cluster::new().await;
    let all = connections(1, Attach::Standby);
    let (one, two) = two(&cluster, &all).await;
    let (holder, other) = holder(one, two);
    holder.kill();
    let took = until(|| held(&[&other]) == 1).await;
    assert!(
        took > Duration::from_secs(3) && took < Duration::from_secs(7),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn connections_are_spread_over_front_ends_that_come() {
    let cluster = Cluster::new().await;
    let all = connections(4, Attach::Spread);
    let one = cluster.front(1, &all).await;
    until(|| held(&[&one]) == 4).await;
    let two = cluster.front(2, &all).await;
    sleep(A_WHILE).await;
    assert_eq!(held(&[&one, &two]), 4);
    assert_eq!((one.control.held().len(), two.control.held().len()), (2, 2));
    assert_eq!(
        one.control.barriers(),
        2,
        "a planned change passes a barrier"
    );
}

/// A is cut from Redis alone: its links live. It is mute for a TTL, and not for as long as the cut lasts.
#[tokio::test(start_paused = true)]
async fn il_15_a_holder_cut_from_the_store_is_replaced() {
    let cluster = Cluster::new().await;
    let all = connections(1, Attach::Standby);
    let (one, two) = two(&cluster, &all).await;
    let (holder, other) = holder(one, two);
    let lease = holder.control.held()[&all[0].id];
    holder.registry.cut();
    until(|| !other.control.held().is_empty()).await;
    assert!(!holder.fence.is_open(), "it writes nothing any more");
    holder.registry.heal();
    until(|| holder.control.held().is_empty()).await;
    sleep(A_WHILE).await;
    assert_eq!(held(&[&holder, &other]), 1);
    assert!(other.control.held()[&all[0].id] > lease);
}

#[tokio::test(start_paused = true)]
async fn il_29_a_fail_over_changes_no_holder() {
    let cluster = Cluster::new().await;
    let all = connections(4, Attach::Spread);
    let (one, two) = two(&cluster, &all).await;
    let names = |front: &Process<Front>| -> Vec<ConnectionId> {
        front.control.held().into_keys().collect()
    };
    let before = (names(&one), names(&two));
    let lease = one.control.held()[&before.0[0]];
    cluster.registry.fail_over();
    sleep(A_WHILE).await;
    assert_eq!((names(&one), names(&two)), before);
    assert!(
        one.control.held()[&before.0[0]] > lease,
        "under a new number"
    );
    assert_eq!(one.control.barriers() + two.control.barriers(), 0);
}

/// N0 does not reach A, others do: all nodes learn of the change from the one lease (two writers without it).
#[tokio::test(start_paused = true)]
async fn il_14_a_node_without_a_link_asks_for_the_lease() {
    let cluster = Cluster::new().await;
    let all = connections(1, Attach::Standby);
    let node = cluster.node(9).await;
    let (one, two) = two(&cluster, &all).await;
    node.control.link(1);
    node.control.link(2);
    sleep(A_WHILE).await;
    let (holder, other) = holder(one, two);
    let me = holder.handle.health().borrow().sight.clone().unwrap();
    let lease = me.lease(&all[0].id).unwrap().clone();
    let process = me
        .sessions
        .iter()
        .find(|seen| Some(seen.session) == lease.holder);
    node.control.unlink(process.unwrap().member.process.0);
    sleep(Duration::from_millis(5500)).await;
    let sight = cluster.registry.poll(None).await.unwrap();
    assert_eq!(sight.lease(&all[0].id).unwrap().asked_by, None);
    sleep(Duration::from_secs(2)).await;
    let sight = cluster.registry.poll(None).await.unwrap();
    assert_eq!(
        sight.lease(&all[0].id).unwrap().asked_by,
        Some(ProcessId(9))
    );
    // The holder's own link to the node is up, as far as it knows: it is not the one that is cut off.
    assert_eq!(held(&[&holder, &other]), 1);
}

/// Between two streams people's words come back to them: one that drains waits until the others look often.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_given_up_by_plan_is_taken_at_once() {
    let cluster = Cluster::new().await;
    let all = connections(1, Attach::Standby);
    let (one, two) = two(&cluster, &all).await;
    let (holder, other) = holder(one, two);
    holder.stop().await;
    let took = until(|| held(&[&other]) == 1).await;
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kicked_holder_stands_by() {
    let cluster = Cluster::new().await;
    let all = connections(1, Attach::Standby);
    let (one, two) = two(&cluster, &all).await;
    let (holder, other) = holder(one, two);
    holder.handle.kicked(all[0].id.clone()).await.unwrap();
    let took = until(|| held(&[&other]) == 1).await;
    assert!(took < Duration::from_secs(4), "{took:?}");
    sleep(A_WHILE).await;
    assert_eq!((held(&[&holder]), held(&[&other])), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_operator_drains_a_front_end() {
    let cluster = Cluster::new().await;
    let all = connections(4, Attach::Spread);
    let (one, two) = two(&cluster, &all).await;
    let drain = Request::Drain(ProcessId(1));
    cluster.registry.request(drain).await.unwrap();
    until(|| held(&[&two]) == 4).await;
    assert!(one.handle.health().borrow().drained);
    assert_eq!(one.control.barriers(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_front_end_dials_the_nodes_that_are_there() {
    let cluster = Cluster::new().await;
    let node = cluster.node(9).await;
    let front = cluster.front(1, &connections(1, Attach::Standby)).await;
    sleep(Duration::from_secs(1)).await;
    let health = front.handle.health();
    assert!(health.borrow().unlinked.is_empty());
    node.stop().await;
    sleep(ttl()).await;
    assert!(health.borrow().unlinked.is_empty());
}
