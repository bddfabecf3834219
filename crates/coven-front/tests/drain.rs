//! The end: what was taken in is answered, what was answered is with the server, all within bounded time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::Bench;
use common::room::Room;
use common::server::{Server, message};

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
        begin.elapsed() < Duration::from_secs(9),
        "{:?}",
        begin.elapsed()
    );
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

#[expect(clippy::disallowed_methods, reason = "how long the end takes")]
fn now() -> Instant {
    Instant::now()
}
