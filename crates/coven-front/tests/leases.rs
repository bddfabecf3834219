//! A front-end of a cluster: connections by lease, acknowledgements, the fence, answers to barriers on any stream.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::cluster::{Cluster, ME};
use common::room::Room;
use common::server::{Server, message};
use common::{DOMAIN, SOON, until};
use coven_cluster::link::Relay;
use coven_cluster::{LeaseNumber, ProcessId, ToFront, ToNode};
use coven_core::{Epoch, Sequence};
use coven_front::Happened;
use std::time::Duration;
use tokio::time::timeout;

fn holds(message: &ToNode) -> Option<Vec<LeaseNumber>> {
    match message {
        ToNode::Holds(held) => Some(held.iter().map(|held| held.lease).collect()),
        _ => None,
    }
}

#[tokio::test]
async fn who_holds_nothing_stands_by_and_attaches_when_it_is_granted() {
    let mut server = Server::start().await;
    let cluster = Cluster::start(&server);
    let node = cluster.node(100, 5);
    let attempt = timeout(Duration::from_millis(300), server.connection()).await;
    assert!(attempt.is_err(), "nothing is attempted");
    assert!(cluster.grant(3) && !cluster.grant(3) && !cluster.grant(2));
    let _stream = server.accept().await;
    until("all is told", || {
        node.node.all(holds) == [vec![], vec![LeaseNumber(3)]]
    })
    .await;
}

#[tokio::test]
async fn il_13_acknowledgements_name_lease_and_owner() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    let said = room_says(&mut room, "one");
    node.sends(&room, 2, said).await;
    let known = || node.node.acknowledged();
    stream.serve_until(|| !known().is_empty()).await;
    let told = known().remove(0);
    assert_eq!((told.lease, told.epoch), (LeaseNumber(1), Epoch(5)));
    // The same connection under another number goes on, stream and all.
    assert!(cluster.grant(2));
    let said = room_says(&mut room, "two");
    node.sends(&room, 3, said).await;
    let told = || known().iter().any(|a| a.lease == LeaseNumber(2));
    let heard = stream.serve_until(told).await;
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[tokio::test]
async fn i3_what_is_given_up_is_acknowledged_before_nodes_learn_of_it() {
    let (cluster, mut server, stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    let said = room_says(&mut room, "one");
    node.sends(&room, 2, said).await;
    until("it is rendered", || cluster.handle.snapshot().events == 1).await;
    let heard = cluster.gives_up(stream).await;
    assert!(heard.iter().any(|stanza| stanza.contains("one")));
    let order = node.node.all(|message| match message {
        ToNode::Acknowledge(batch) => Some(batch.iter().any(|a| a.sequence == room.head())),
        ToNode::Holds(held) if held.is_empty() => Some(false),
        _ => None,
    });
    assert_eq!(order.last(), Some(&false), "released last: {order:?}");
    assert!(order.contains(&true), "after it was acknowledged");
    let attempt = timeout(Duration::from_millis(500), server.connection()).await;
    assert!(attempt.is_err(), "it stands by");
    let status = cluster.handle.status();
    until("it is ready as one that stands by", || {
        status.borrow().is_up()
    })
    .await;
}

#[tokio::test]
async fn who_was_kicked_does_not_fight_until_it_is_granted_anew() {
    let (cluster, mut server, mut stream, _node) = Cluster::held().await;
    let mut events = cluster.handle.connection_events();
    stream
        .send(
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
             </stream:stream>",
        )
        .await;
    let event = timeout(SOON, events.recv()).await.unwrap().unwrap();
    assert_eq!(event.happened, Happened::Kicked);
    let attempt = timeout(Duration::from_secs(1), server.connection()).await;
    assert!(attempt.is_err(), "it stands by");
    assert!(cluster.grant(2));
    let _stream = server.accept().await;
}

#[tokio::test]
async fn il_06_il_27_a_connection_begins_where_it_was_acknowledged_not_where_others_are() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, _) = Room::with("coven", &["hag66"]);
    let known = room.head();
    for body in ["one", "two"] {
        room_says(&mut room, body);
    }
    node.owns(&room).await;
    // A base for others, which had come further: what it skips would be lost.
    let told = [(cluster.name.clone(), known)];
    node.sends(&room, 0, vec![room.base(room.head(), &told)])
        .await;
    let lost = || !node.node.lost().is_empty();
    assert_eq!(stream.serve_until(lost).await, [""; 0], "it asks");
    node.sends(&room, 0, room.again(known, &told)).await;
    let heard = stream.stanzas(2).await;
    assert!(heard[0].contains("one") && heard[1].contains("two"));
}

#[tokio::test]
async fn il_15_il_23_il_33_past_its_session_nothing_of_a_node_is_written() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    let safe = room.head();
    let said = room_says(&mut room, "before");
    node.sends(&room, 2, said).await;
    let known = || node.node.acknowledged();
    stream.serve_until(|| !known().is_empty()).await;

    cluster.session(false);
    let told = known().len();
    let said = room_says(&mut room, "late");
    node.sends(&room, 3, said).await;
    assert_eq!(stream.drain().await, [""; 0]);
    // Its own words go on: the node cannot be asked now.
    stream.send(&message("hag66", "coven", "hello")).await;
    let error = stream.stanza().await;
    assert!(error.contains("resource-constraint"), "{error}");
    assert_eq!(known().len(), told, "nodes are told nothing");

    cluster.session(true);
    let asked = || !node.node.lost().is_empty();
    assert_eq!(stream.serve_until(asked).await, [""; 0]);
    let acknowledged = [(cluster.name.clone(), Sequence(safe.0 + 1))];
    node.sends(&room, 0, room.again(safe, &acknowledged)).await;
    let heard = stream.drain().await;
    assert_eq!(heard.len(), 1, "once: {heard:?}");
    assert!(heard[0].contains("late"));
}

#[tokio::test]
async fn a_barrier_of_another_front_end_is_passed_on_to_it() {
    let (_cluster, _server, mut stream, node) = Cluster::held().await;
    let id = format!("coven-barrier-{:032x}-0-3", 9);
    let answer = format!("<iq from='{DOMAIN}' to='{DOMAIN}' type='result' id='{id}'/>");
    stream.send(&answer).await;
    let relayed = node.node.first(1, |message| match message {
        ToNode::Relay { to, relay } => Some((*to, relay.clone())),
        _ => None,
    });
    let (to, relay) = relayed.await.remove(0);
    assert_eq!((to, relay.id.as_str()), (ProcessId(9), id.as_str()));
}

/// Not every node reaches the other front-end.
#[tokio::test]
async fn a_barrier_of_another_front_end_is_passed_on_by_every_node() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let other = cluster.node(101, 5);
    let id = format!("coven-barrier-{:032x}-0-3", 9);
    let answer = format!("<iq from='{DOMAIN}' to='{DOMAIN}' type='result' id='{id}'/>");
    stream.send(&answer).await;
    for linked in [&node, &other] {
        let relays = |message: &ToNode| matches!(message, ToNode::Relay { .. }).then_some(());
        linked.node.first(1, relays).await;
    }
}

#[tokio::test]
async fn a_barrier_counts_that_came_back_on_another_front_ends_stream() {
    let (_cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    stream.answers = false;
    let said = room_says(&mut room, "one");
    node.sends(&room, 2, said).await;
    stream.until_barrier().await;
    let held = stream.held.remove(0);
    let id = common::server::attribute(&held, "id").unwrap();
    assert!(id.contains(&format!("{:032x}", ME.0)));
    let relay = Relay {
        id: id.into(),
        from: DOMAIN.into(),
    };
    node.says(ToFront::Relay(relay)).await;
    node.node.wait_acknowledged(room.head()).await;
}

fn room_says(room: &mut Room, body: &str) -> Vec<coven_cluster::Delivery> {
    room.say("hag66", body)
}

#[tokio::test]
async fn i5_what_people_send_is_no_barrier_whatever_its_id() {
    let (_cluster, _server, mut stream, node) = Cluster::held().await;
    for process in [9, ME.0] {
        let id = format!("coven-barrier-{process:032x}-0-3");
        let ping = format!(
            "<iq from='hag66@shakespeare.example/pda' to='{DOMAIN}' type='get' id='{id}'>\
             <ping xmlns='urn:xmpp:ping'/></iq>"
        );
        stream.send(&ping).await;
        let answer = timeout(SOON, stream.stanza_with(&id)).await.unwrap();
        assert!(answer.contains("hag66@shakespeare.example/pda"), "{answer}");
    }
    let relays = |message: &ToNode| matches!(message, ToNode::Relay { .. }).then_some(());
    assert!(node.node.all(relays).is_empty());
}

#[tokio::test]
async fn who_was_kicked_says_so_until_it_is_granted_anew() {
    let (cluster, mut server, mut stream, _node) = Cluster::held().await;
    let barred = || cluster.handle.connections()[0].is_barred;
    assert!(!barred());
    stream
        .send(
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
             </stream:stream>",
        )
        .await;
    until("it is barred", barred).await;
    assert!(cluster.grant(2) && !barred());
    let _stream = server.accept().await;
}

#[tokio::test]
async fn il_23_what_waits_is_not_written_under_another_session() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    let body = "x".repeat(60_000);
    for commit in 2..200 {
        let said = room_says(&mut room, &body);
        node.sends(&room, commit, said).await;
    }
    let fenced = || cluster.handle.snapshot().fenced_bytes;
    until("it waits", || cluster.handle.snapshot().fell_behind > 0).await;
    assert_eq!(fenced(), 0);
    // The next session is there before the writer has looked.
    cluster.session(false);
    cluster.session(true);
    while fenced() == 0 {
        assert!(stream.next().await.is_some(), "all of it was written");
    }
}
