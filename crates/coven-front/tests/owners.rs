//! A front-end and several nodes: where operations go, what of whose output is written.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::cluster::Cluster;
use common::room::Room;
use common::server::message;
use common::until;
use coven_cluster::{Delivery, OperationId, ToFront, ToNode};
use coven_core::{Condition, Epoch, Origin, Refusal, StanzaKind, View};
use std::sync::Arc;

/// Operations so far: process, number, previous, base.
fn operation(message: &ToNode) -> Option<OperationId> {
    match message {
        ToNode::Operation(operation) => operation.id,
        _ => None,
    }
}

/// Events as if first committed under this epoch.
fn under(epoch: u64, deliveries: Vec<Delivery>) -> Vec<Delivery> {
    let first = |delivery| match delivery {
        Delivery::Event { record, history } => {
            let mut record = (*record).clone();
            record.first_epoch = Epoch(epoch);
            let record = Arc::new(record);
            Delivery::Event { record, history }
        }
        other => other,
    };
    deliveries.into_iter().map(first).collect()
}

fn refused(operation: Option<(coven_cluster::ProcessId, u64)>) -> Delivery {
    let origin = Origin {
        kind: StanzaKind::Message,
        from: "hag66@shakespeare.example/pda".into(),
        to: format!("coven@{}", common::DOMAIN).into(),
        id: Some("m".into()),
        lang: None,
        view: View::Muc,
        group: common::group(),
        payload: bytes::Bytes::new(),
    };
    Delivery::Refused {
        origin: Arc::new(origin),
        refusal: Box::new(Refusal::usual(Condition::Forbidden)),
        operation,
    }
}

#[tokio::test]
async fn il_20_a_new_owner_gets_what_is_unanswered_in_order() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let room = Room::new("coven");
    n0.owns(&room).await;
    for body in ["one", "two", "three"] {
        stream.send(&message("hag66", "coven", body)).await;
    }
    let first = n0.node.first(3, operation).await;
    assert_eq!((first[0].n, first[0].prev, first[0].base), (1, 0, 0));
    n0.says(ToFront::Done {
        channel: room.channel.clone(),
        n: 1,
    })
    .await;
    let n1 = cluster.node(101, 6);
    n1.owns(&room).await;
    let again = n1.node.first(2, operation).await;
    let chain: Vec<_> = again.iter().map(|id| (id.n, id.prev, id.base)).collect();
    assert_eq!(chain, [(2, 1, 1), (3, 2, 1)]);
}

#[tokio::test]
async fn i5_without_an_owner_an_operation_waits_and_is_then_refused() {
    let (cluster, _server, mut stream, _n0) = Cluster::held().await;
    stream.send(&message("hag66", "coven", "hello")).await;
    until("it waits", || cluster.handle.unanswered() == 1).await;
    let error = stream.stanza().await;
    assert!(error.contains("resource-constraint") && error.contains("type='error'"));
    assert_eq!(cluster.handle.unanswered(), 0);
}

#[tokio::test]
async fn i5_what_waits_for_an_owner_is_refused_before_its_stream_is_given_up() {
    let (cluster, _server, mut stream, _n0) = Cluster::held().await;
    stream.send(&message("hag66", "coven", "hello")).await;
    until("it waits", || cluster.handle.unanswered() == 1).await;
    let heard = cluster.gives_up(stream).await;
    let is_error = |s: &&String| s.contains("resource-constraint") && s.contains("type='error'");
    assert_eq!(heard.iter().filter(is_error).count(), 1, "{heard:?}");
    assert_eq!(cluster.handle.unanswered(), 0);
}

#[tokio::test]
async fn il_19_what_a_node_did_not_take_is_refused_here_and_never_sent_again() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let room = Room::new("coven");
    n0.owns(&room).await;
    stream.send(&message("hag66", "coven", "hello")).await;
    let id = n0.node.first(1, operation).await[0];
    n0.says(ToFront::NotTaken {
        channel: room.channel.clone(),
        id,
        refusal: Box::new(Refusal::usual(Condition::ResourceConstraint)),
    })
    .await;
    assert!(stream.stanza().await.contains("resource-constraint"));
    let n1 = cluster.node(101, 6);
    n1.owns(&room).await;
    assert_eq!(stream.drain().await, [""; 0]);
    assert!(n1.node.all(operation).is_empty());
}

#[tokio::test]
async fn il_03_il_04_what_is_rendered_stays_and_comes_once_whoever_sends_it_again() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    let start = room.head();
    n0.owns(&room).await;
    n0.sends(&room, 1, base).await;
    let said = under(5, room.say("hag66", "one"));
    n0.sends(&room, 2, said).await;
    until("it is rendered", || cluster.handle.snapshot().events == 1).await;
    drop(n0.seat);
    // The node is gone; another owns the shard and sends what is not acknowledged.
    let n1 = cluster.node(101, 6);
    n1.owns(&room).await;
    let again = under(5, room.again(start, &[]));
    n1.sends(&room, 0, again).await;
    let next = under(6, room.say("hag66", "two"));
    n1.sends(&room, 3, next).await;
    let heard = stream.drain().await;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].contains("one") && heard[1].contains("two"));
}

#[tokio::test]
async fn il_03_what_a_lost_link_has_left_behind_is_dropped_and_comes_by_the_next() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    let start = room.head();
    n0.owns(&room).await;
    n0.sends(&room, 1, base).await;
    // A new link to the same node: what the old one still delivers counts no more.
    let anew = cluster.node(100, 5);
    let said = room.say("hag66", "one");
    n0.sends(&room, 2, said).await;
    assert_eq!(stream.drain().await, [""; 0]);
    anew.owns(&room).await;
    anew.sends(&room, 0, room.again(start, &[])).await;
    assert!(stream.stanza().await.contains("one"));
}

#[tokio::test]
async fn il_07_il_26_events_of_an_older_owner_are_dropped_but_its_replies_are_not() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    n0.owns(&room).await;
    n0.sends(&room, 1, base).await;
    let n1 = cluster.node(101, 6);
    n1.owns(&room).await;
    let mut late = room.say("hag66", "ghost");
    late.push(refused(None));
    n0.sends(&room, 2, late).await;
    let heard = stream.drain().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("forbidden"));
}

#[tokio::test]
async fn il_08_il_09_a_repeat_is_dropped_and_another_event_in_its_place_is_written() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    let start = room.head();
    n0.owns(&room).await;
    n0.sends(&room, 1, base).await;
    let said = under(5, room.say("hag66", "kept"));
    n0.sends(&room, 2, said).await;
    let kept = under(5, room.again(start, &[]));
    let mut other = Room::with("coven", &["hag66"]).0;
    other.say("hag66", "kept");
    let said = under(5, room.say("hag66", "lost"));
    n0.sends(&room, 3, said).await;
    assert_eq!(stream.stanzas(2).await.len(), 2);
    // The store lost the last event with its owner; the next has another in its place.
    let n1 = cluster.node(101, 6);
    n1.owns(&room).await;
    n1.sends(&other, 0, kept).await;
    let said = under(6, other.say("hag66", "another"));
    n1.sends(&other, 4, said).await;
    let heard = stream.drain().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("another"));
}

#[tokio::test]
async fn a_refusal_that_comes_again_is_written_once() {
    let (cluster, _server, mut stream, n0) = Cluster::held().await;
    let room = Room::new("coven");
    n0.owns(&room).await;
    let name = Some((common::cluster::ME, 4));
    n0.sends(&room, 0, vec![refused(name), refused(name)]).await;
    assert_eq!(stream.drain().await.len(), 1);
    assert_eq!(cluster.handle.snapshot().refused_again, 1);
}

fn name(n: u64) -> Option<(coven_cluster::ProcessId, u64)> {
    Some((common::cluster::ME, n))
}

#[tokio::test]
async fn i5_il_10_a_stored_refusal_is_acknowledged_behind_its_barrier_only() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    let said = room.say("hag66", "one");
    node.sends(&room, 2, said).await;
    let up_to = |commit| {
        move |node: &common::node::Node| node.acknowledged().iter().any(|ack| ack.commit >= commit)
    };
    stream.serve_until(|| up_to(2)(&node.node)).await;
    stream.answers = false;
    node.sends(&room, 9, vec![refused(name(4))]).await;
    let heard = stream.until_barrier().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert!(!up_to(9)(&node.node), "the server may not have it");
    stream.answers = true;
    stream.release().await;
    stream.serve_until(|| up_to(9)(&node.node)).await;
    drop(cluster);
}

/// The node refuses what comes while the store does not give what it still has to send.
#[tokio::test]
async fn i5_what_was_not_done_is_refused_before_what_a_lost_stream_had_comes_again() {
    let (bench, mut server, mut stream) = common::Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    stream.answers = false;
    let said = room.say("hag66", "lost");
    bench.commit(&room, 1, said).await;
    stream.until_barrier().await;
    drop(stream);
    let mut stream = server.accept().await;
    until("it asks for what was lost", || {
        !bench.node.lost().is_empty()
    })
    .await;
    bench.send(&room, vec![refused(None)]).await;
    let heard = stream.stanza().await;
    assert!(heard.contains("type='error'"), "{heard}");
}

#[tokio::test]
async fn i5_il_10_a_stored_refusal_that_finds_no_stream_is_asked_for_again() {
    let (cluster, mut server, stream, node) = Cluster::held().await;
    let (room, base) = Room::with("coven", &["hag66"]);
    let head = room.head();
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    drop(stream);
    until("it is down", || !cluster.handle.connections()[0].is_up).await;
    node.sends(&room, 9, vec![refused(name(4))]).await;
    until("it was gone through", || {
        cluster.handle.snapshot().answers_lost == 1
    })
    .await;
    let mut stream = server.accept().await;
    stream.serve_until(|| !node.node.lost().is_empty()).await;
    assert!(node.node.acknowledged().iter().all(|ack| ack.commit < 9));
    let mut again = vec![room.base(head, &[])];
    again.push(refused(name(4)));
    node.sends(&room, 9, again).await;
    let told = || node.node.acknowledged().iter().any(|ack| ack.commit == 9);
    let heard = stream.serve_until(told).await;
    assert_eq!(heard.len(), 1, "{heard:?}");
}

fn read(stream_id: &str) -> String {
    format!(
        "<iq from='hag66@shakespeare.example/pda' to='coven@{}' type='get' id='{stream_id}'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        common::DOMAIN
    )
}

#[tokio::test]
async fn i5_an_answer_that_is_dropped_with_its_link_is_a_time_out_to_whoever_asked() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let room = Room::new("coven");
    node.owns(&room).await;
    stream.send(&read("lost")).await;
    let n = node.node.first(1, operation).await[0].n;
    // Nobody else runs in between: the answer waits for its worker when the link ends.
    let done = |n| ToFront::Done {
        channel: room.channel.clone(),
        n,
    };
    node.sends(&room, 0, vec![refused(name(n))]).await;
    node.says(done(n)).await;
    drop(node.seat);
    let heard = stream.drain().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("remote-server-timeout"), "{heard:?}");
    assert_eq!(cluster.handle.unanswered(), 0);

    let node = cluster.node(101, 6);
    node.owns(&room).await;
    stream.send(&read("answered")).await;
    let n = node.node.first(1, operation).await[0].n;
    node.sends(&room, 0, vec![refused(name(n))]).await;
    node.says(done(n)).await;
    until("it is done", || cluster.handle.unanswered() == 0).await;
    drop(node.seat);
    let heard = stream.drain().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("forbidden"), "{heard:?}");
}

#[tokio::test]
async fn i3_il_10_a_refusal_that_the_server_has_is_not_written_again_when_a_later_stream_is_lost() {
    let (cluster, mut server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    node.sends(&room, 2, vec![refused(name(4))]).await;
    let known = |commit| {
        let node = std::sync::Arc::clone(&node.node);
        move || node.acknowledged().iter().any(|ack| ack.commit >= commit)
    };
    let heard = stream.serve_until(known(2)).await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    // An event and a refusal behind it go with the stream; the first refusal has not.
    stream.answers = false;
    let start = room.head();
    let mut later = room.say("hag66", "one");
    later.push(refused(name(5)));
    node.sends(&room, 3, later).await;
    assert_eq!(stream.stanzas(2).await.len(), 2);
    drop(stream);
    let mut stream = server.accept().await;
    stream.serve_until(|| !node.node.lost().is_empty()).await;
    let mut again = vec![room.base(start, &[]), refused(name(4))];
    again.extend(room.again(start, &[]).split_off(1));
    again.push(refused(name(5)));
    node.sends(&room, 3, again).await;
    let heard = stream.serve_until(known(3)).await;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].contains("one") && heard[1].contains("forbidden"));
    assert_eq!(cluster.handle.snapshot().refused_again, 1);
}

#[tokio::test]
async fn il_25_a_server_that_takes_nothing_does_not_hold_up_what_nodes_say() {
    let (cluster, _server, stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    node.owns(&room).await;
    node.sends(&room, 1, base).await;
    let body = "x".repeat(60_000);
    let since = tokio::time::Instant::now();
    for commit in 2..600 {
        let said = room.say("hag66", &body);
        node.sends(&room, commit, said).await;
    }
    let waited = since.elapsed();
    let fell_behind = cluster.handle.snapshot().fell_behind;
    assert!(fell_behind > 0, "more than there was room for");
    // A server that takes nothing is given up after 10 s.
    assert!(waited < std::time::Duration::from_secs(9), "{waited:?}");
    drop(stream);
}

/// A client joins again while its connection lacks events: it gets everything once more when these have come.
#[tokio::test]
async fn i5_muc_enter_21_a_sync_waits_for_the_roster_and_is_not_lost() {
    let (cluster, _server, mut stream, node) = Cluster::held().await;
    let (mut room, base) = Room::with("coven", &["hag66", "wiccarocks"]);
    node.owns(&room).await;
    let known = room.head();
    // The base of a connection that has missed an event: nothing from the roster may be said yet.
    drop(base);
    let said = room.say("hag66", "one");
    node.sends(&room, 2, said).await;
    let sync = coven_cluster::Delivery::Sync {
        session: room.state.roster().sessions().next().unwrap().no,
        history: Vec::new(),
        altered: false,
        stanza_id: Some("again".into()),
        max_chars: None,
    };
    node.sends(&room, 2, vec![sync]).await;
    let asked = || !node.node.lost().is_empty();
    assert_eq!(stream.serve_until(asked).await, [""; 0]);
    node.sends(&room, 2, room.again(known, &[])).await;
    let mut heard = Vec::new();
    while !heard
        .iter()
        .any(|stanza: &String| stanza.contains("<subject"))
    {
        heard.push(stream.stanza().await);
    }
    assert!(
        heard.iter().filter(|s| s.starts_with("<presence")).count() >= 2,
        "{heard:?}"
    );
    drop(cluster);
}
