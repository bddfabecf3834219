//! Streams: the handshake, secrets, reconnecting, barriers, what a lost stream costs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::room::Room;
use common::server::{Server, handshake};
use common::{Bench, DOMAIN, Plan, secrets};
use coven_cluster::ToNode;
use coven_core::Sequence;
use coven_front::{Barrier, Down, UpstreamState};

#[tokio::test]
async fn muc_comp_01_stanzas_only_after_the_handshake() {
    let mut server = Server::start().await;
    let bench = Plan::new(&server).start();
    let (room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let mut stream = server.connection().await;
    assert_eq!(stream.begin().await, handshake("secret"));
    assert_eq!(stream.domain, DOMAIN);
    assert!(bench.status(|_| true).await.connections[0].state != UpstreamState::Up);
    stream.send("<handshake/>").await;
    bench.status(coven_front::Status::is_up).await;
}

#[tokio::test]
async fn muc_comp_02_the_next_secret_is_tried() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].secrets = secrets(&["newer", "secret"]);
    let bench = plan.start();
    assert_eq!(server.refuse("not-authorized").await, handshake("newer"));
    let _stream = server.accept().await;
    bench.status(coven_front::Status::is_up).await;
}

#[tokio::test]
async fn muc_comp_02_wrong_secrets_are_hopeless_but_tried_again() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].secrets = secrets(&["wrong"]);
    let bench = plan.start();
    server.refuse("not-authorized").await;
    let status = bench.status(coven_front::Status::is_hopeless).await;
    assert_eq!(
        status.connections[0].state,
        UpstreamState::Down(Down::NotAuthorized)
    );
    server.refuse("host-unknown").await;
    bench
        .status(|s| s.connections[0].state == UpstreamState::Down(Down::HostUnknown))
        .await;
}

#[tokio::test]
async fn muc_comp_02_a_refused_connection_is_tried_again_for_ever() {
    let mut server = Server::start().await;
    server.stop();
    let bench = Plan::new(&server).start();
    let down =
        |s: &coven_front::Status| s.connections[0].state == UpstreamState::Down(Down::Refused);
    let status = bench.status(down).await;
    assert!(!status.is_hopeless());
    server.restart().await;
    let stream = server.accept().await;
    bench.status(coven_front::Status::is_up).await;
    drop(stream);
    let status = bench.status(|s| !s.is_up()).await;
    assert!(status.connections[0].was_up);
    let _stream = server.accept().await;
    bench.status(coven_front::Status::is_up).await;
}

#[tokio::test]
async fn i3_what_a_barrier_passed_is_acknowledged_with_its_commit() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66", "crone1"]);
    stream.answers = false;
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.commit(&room, 7, said).await;
    let copies = stream.until_barrier().await;
    assert_eq!(copies.len(), 2);
    assert!(
        bench.node.acknowledged().is_empty(),
        "nothing before the barrier"
    );
    stream.release().await;
    let ack = bench.node.wait_acknowledged(room.head()).await;
    assert_eq!((ack.sequence, ack.commit, ack.all), (room.head(), 7, true));
    assert_eq!(ack.channel, room.channel);
    assert!(ack.connection.ends_with(DOMAIN) && ack.connection.starts_with("main/"));
}

#[tokio::test]
async fn without_barriers_what_is_written_is_acknowledged() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].barrier = Barrier::Off;
    let bench = plan.start();
    let mut stream = server.accept().await;
    bench.status(coven_front::Status::is_up).await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    bench.node.wait_acknowledged(room.head()).await;
    assert!(stream.stanza().await.contains("one"));
}

#[tokio::test]
async fn a_host_can_answer_barriers() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].barrier = Barrier::Host("shakespeare.example".into());
    let bench = plan.start();
    let mut stream = server.accept().await;
    stream.answers = false;
    bench.status(coven_front::Status::is_up).await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    stream.until_barrier().await;
    let ping = stream.held.pop().unwrap();
    assert!(ping.contains(" to='shakespeare.example'"), "{ping}");
    let id = common::server::attribute(&ping, "id").unwrap();
    // Only the host can answer: somebody else who knew the id could not.
    let answer = |from: &str| format!("<iq from='{from}' to='{DOMAIN}' type='result' id='{id}'/>");
    stream.send(&answer("hag66@shakespeare.example/pda")).await;
    stream.drain().await;
    assert!(bench.node.acknowledged().is_empty());
    stream.send(&answer("shakespeare.example")).await;
    bench.node.wait_acknowledged(room.head()).await;
}

#[tokio::test]
async fn i3_il_05_a_lost_stream_costs_only_what_no_barrier_passed() {
    let (bench, mut server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    assert!(stream.stanza().await.contains("one"));
    stream
        .serve_until(|| !bench.node.acknowledged().is_empty())
        .await;
    let safe = room.head();

    stream.answers = false;
    for body in ["two", "three"] {
        let said = room.say("hag66", body);
        bench.send(&room, said).await;
    }
    stream.until_barrier().await;
    drop(stream);
    let mut stream = server.accept().await;
    let lost = bench.node.first(1, |m| match m {
        ToNode::StreamLost { channels, .. } => Some(channels.clone()),
        _ => None,
    });
    assert_eq!(lost.await, [[room.channel.clone()]]);

    // What comes before the node has begun again would overtake: it waits for the base.
    let said = room.say("hag66", "four");
    bench.send(&room, said).await;
    assert_eq!(stream.drain().await, [""; 0]);
    let known = bench.node.acknowledged()[0].clone();
    let again = room.again(Sequence(0), &[(known.connection, safe)]);
    bench.send(&room, again).await;
    let bodies = stream.stanzas(3).await;
    for (stanza, body) in bodies.iter().zip(["two", "three", "four"]) {
        assert!(stanza.contains(body), "{stanza}");
    }
    stream
        .serve_until(|| {
            bench
                .node
                .acknowledged()
                .iter()
                .any(|a| a.sequence == room.head())
        })
        .await;
}

#[tokio::test]
async fn i3_channels_that_lost_nothing_go_on_at_once() {
    let (bench, mut server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    stream
        .serve_until(|| {
            bench
                .node
                .acknowledged()
                .iter()
                .any(|a| a.sequence == room.head())
        })
        .await;
    drop(stream);
    let mut stream = server.accept().await;
    bench.status(coven_front::Status::is_up).await;
    let said = room.say("hag66", "two");
    bench.send(&room, said).await;
    assert!(stream.stanza().await.contains("two"));
    assert!(bench.node.lost().is_empty());
}

#[tokio::test]
async fn i3_output_while_there_is_no_stream_comes_after_the_reconnect() {
    let mut server = Server::start().await;
    let bench = Plan::new(&server).start();
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "early");
    bench.send(&room, said).await;
    let mut stream = server.accept().await;
    stream
        .serve_until(|| bench.node.lost() == [[room.channel.clone()]])
        .await;
    bench.send(&room, room.again(Sequence(0), &[])).await;
    let all = stream
        .serve_until(|| !bench.node.acknowledged().is_empty())
        .await;
    assert!(
        all.last().is_some_and(|last| last.contains("early")),
        "{all:?}"
    );
}

#[tokio::test]
async fn a_barrier_counts_on_whatever_stream_it_comes_back() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.domains.push(common::domain("other.example"));
    plan.upstreams[0].domains.push("other.example".into());
    let bench = plan.start();
    let (one, two) = (server.accept().await, server.accept().await);
    bench.status(coven_front::Status::is_up).await;
    let (mut chat, mut other) = if one.domain == DOMAIN {
        (one, two)
    } else {
        (two, one)
    };
    chat.answers = false;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    chat.until_barrier().await;
    other.send(&chat.held.pop().unwrap()).await;
    bench.node.wait_acknowledged(room.head()).await;
}

#[tokio::test]
async fn i9_a_node_without_room_is_told_later() {
    let (bench, mut server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    bench.node.is_full(true);
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    stream.until_barrier().await;
    stream.drain().await;
    assert!(bench.node.acknowledged().is_empty());
    bench.node.is_full(false);
    bench.node.wait_acknowledged(room.head()).await;

    stream.answers = false;
    let said = room.say("hag66", "two");
    bench.send(&room, said).await;
    stream.until_barrier().await;
    bench.node.is_full(true);
    drop(stream);
    let mut stream = server.accept().await;
    // What comes by the new stream is decided behind the loss of the old one.
    stream
        .send(&common::server::message("hag66", "coven", "three"))
        .await;
    assert_eq!(stream.drain().await, [""; 0]);
    bench.node.is_full(false);
    bench.node.wait_commands(1).await;
    let kinds = bench.node.all(|message| match message {
        ToNode::StreamLost { .. } => Some("lost"),
        ToNode::Operation(_) => Some("operation"),
        _ => None,
    });
    assert_eq!(kinds, ["lost", "operation"]);
}

#[tokio::test]
async fn muc_leave_12_il_35_a_sweep_follows_start_and_reconnect() {
    let (bench, mut server, stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    drop(stream);
    let _stream = server.accept().await;
    common::until("another sweep", || bench.node.sweeps() == 2).await;
}
