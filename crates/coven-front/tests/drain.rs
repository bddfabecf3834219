//! The end: what was taken in is answered, what was answered is with the server, all within bounded time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::Bench;
use common::room::Room;
use common::server::{Server, message};
use coven_front::{Down, UpstreamState};
use tokio::time::timeout;

#[tokio::test]
async fn a_drain_answers_what_still_comes_in_and_closes_the_stream() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    bench.stop();
    stream.send(&message("hag66", "coven", "last words")).await;
    stream
        .serve_until(|| bench.node.commands().len() == 1)
        .await;
    let said = room.say("hag66", "last words");
    bench.commit(&room, 3, said).await;
    let mut heard = Vec::new();
    while let Some(stanza) = stream.next().await {
        heard.push(stanza);
    }
    assert!(
        heard.len() == 1 && heard.first().unwrap().contains("last words"),
        "{heard:?}"
    );
    let node = bench.node.clone();
    drop(stream);
    bench.ended().await.unwrap();
    let ack = node.acknowledged().pop().unwrap();
    assert_eq!((ack.sequence, ack.commit, ack.all), (room.head(), 3, true));
}

#[tokio::test]
async fn a_drain_is_bounded_when_the_server_answers_nothing() {
    let (bench, _server, mut stream) = Bench::attached().await;
    stream.answers = false;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "unheard");
    bench.send(&room, said).await;
    stream.until_barrier().await;
    let begin = now();
    bench.stop();
    bench.ended().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
}

/// The node goes on while the front-end drains, as under load: all that the server was given is acknowledged, so none of
/// it comes again after the next start; the rest was never given.
#[tokio::test]
async fn i3_what_is_written_before_the_end_is_acknowledged_and_nothing_after() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    bench.stop();
    let (node, mut heard) = (bench.node.clone(), 0);
    let talk = async {
        while !bench.has_ended() {
            let said = room.say("hag66", "and on");
            bench.commit(&room, room.head().0, said).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let listen = async {
        stream.answers = false;
        let mut answered = now();
        loop {
            match timeout(ANSWERS, stream.next()).await {
                Ok(Some(_)) => heard += 1,
                Ok(None) => return drop(stream),
                Err(_) => {}
            }
            if answered.elapsed() >= ANSWERS {
                stream.release().await;
                answered = now();
            }
        }
    };
    tokio::join!(talk, listen);
    let first = Room::with("coven", &["hag66"]).0.head().0;
    let acknowledged = node.acknowledged().pop().unwrap();
    assert!(heard > 10, "{heard}");
    let given = first + heard;
    assert_eq!(
        (acknowledged.sequence.0, acknowledged.commit),
        (given, given)
    );
    assert!(room.head().0 > given, "nothing was left out");
    bench.ended().await.unwrap();
}

/// What the server has still to write when it reads our close is read: it would drop it if the connection were half closed.
#[tokio::test]
async fn i5_what_the_server_still_writes_is_read_until_it_closes() {
    let (bench, _server, mut stream) = Bench::attached().await;
    bench.stop();
    assert_eq!(stream.next().await, None);
    stream.send(&message("hag66", "coven", "last words")).await;
    let ended = timeout(Duration::from_millis(200), stream.is_ended()).await;
    assert!(ended.is_err(), "the connection is half closed");
    assert_eq!(bench.node.wait_commands(1).await.len(), 1);
    stream.send("</stream:stream>").await;
    drop(stream);
    bench.ended().await.unwrap();
}

#[tokio::test]
async fn without_a_stream_the_end_comes_at_once() {
    let mut server = Server::start().await;
    server.stop();
    let bench = common::Plan::new(&server).start();
    let begin = now();
    bench.stop();
    bench.ended().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}

/// A server that is away, or was about to let it in, is nothing to wait for or to be warned of any more.
#[tokio::test]
async fn a_drain_opens_no_stream() {
    let mut server = Server::start().await;
    let bench = common::Plan::new(&server).start();
    let attempt = server.connection().await;
    bench.stop();
    drop(attempt);
    let is_starting = |state: &UpstreamState| *state == UpstreamState::Starting;
    let status = bench
        .status(|status| !status.connections.iter().any(|one| is_starting(&one.state)))
        .await;
    let drained = UpstreamState::Down(Down::Drained);
    assert_eq!(status.connections.first().unwrap().state, drained);
    bench.ended().await.unwrap();
}

/// How long a busy server takes to answer a barrier.
const ANSWERS: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "how long the end takes")]
fn now() -> Instant {
    Instant::now()
}
