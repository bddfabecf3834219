//! Servers that take their time, or do not read: bounds on what waits, and on who waits for whom (I9).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::Duration;

use common::room::Room;
use common::server::Server;
use common::{Bench, DOMAIN, Plan, upstream};
use coven_cluster::Output;
use coven_cluster::link::FrontLink;
use coven_core::{Epoch, Group};
use coven_front::{Down, Status, UpstreamState};

#[tokio::test]
async fn i9_a_server_that_does_not_read_is_given_up_with_bounded_memory() {
    let (bench, mut server, stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let body = "x".repeat(100_000);
    let mut sent = 0;
    // Until the node has to wait: the server reads nothing.
    loop {
        let output = Output {
            channel: Some(room.channel.clone()),
            epoch: Epoch::default(),
            commit: 0,
            deliveries: room.say("hag66", &body),
            trace: None,
        };
        let sending = bench.handle.send(output.into());
        if tokio::time::timeout(Duration::from_millis(500), sending)
            .await
            .is_err()
        {
            break;
        }
        sent += 1;
        assert!(sent < 10_000, "somebody has to wait");
    }
    let waiting = bench.handle.snapshot().connections[0].waiting_bytes;
    assert!(waiting < 2 * 5 * 1024 * 1024, "{waiting} bytes wait");
    bench
        .status(|s| s.connections[0].state == UpstreamState::Down(Down::Stalled))
        .await;
    drop(stream);
    let _stream = server.accept().await;
    bench.status(Status::is_up).await;
}

#[tokio::test]
async fn i9_a_slow_server_does_not_hold_up_the_users_of_another() {
    let (mut slow, mut fast) = (Server::start().await, Server::start().await);
    let mut plan = Plan::new(&fast);
    plan.workers = 1;
    let mut other = upstream(&slow, &[DOMAIN]);
    other.group = Group("slow".into());
    plan.upstreams.push(other);
    let bench = plan.start();
    let (mut fast, mut slow) = (fast.accept().await, slow.accept().await);
    bench.status(Status::is_up).await;
    let mut far = Room::new("far");
    far.join_through("crone1", Group("slow".into()));
    let start = far.head();
    bench.send(&far, vec![far.base(start, &[])]).await;
    let (mut near, base) = Room::with("near", &["hag66"]);
    bench.send(&near, base).await;
    // It reads, but says nothing of it.
    slow.answers = false;
    let body = "x".repeat(100_000);
    let (mut slowest, mut held) = (Duration::ZERO, Duration::ZERO);
    for n in 0..100 {
        let said = far.say("crone1", &format!("<n>{n}</n>{body}"));
        bench.send(&far, said).await;
        let said = near.say("hag66", &format!("{n}"));
        bench.send(&near, said).await;
        let since = tokio::time::Instant::now();
        assert!(fast.stanza().await.contains(&format!("<body>{n}</body>")));
        slowest = slowest.max(since.elapsed());
        held += since.elapsed();
        if n == 0 {
            slow.until_barrier().await;
        }
    }
    // Whoever waited for the slow one would do so until that is given up, after 10 s.
    assert!(
        slowest < Duration::from_secs(8) && held < Duration::from_secs(9),
        "{slowest:?}, {held:?} in all"
    );
    let snapshot = bench.handle.snapshot();
    assert_eq!(snapshot.fell_behind, 1);
    assert!(snapshot.connections[1].waiting_bytes < 5 * 1024 * 1024);
    // It answers again, has room, and gets all of it, in order and once.
    slow.answers = true;
    slow.release().await;
    let head = far.head();
    let acknowledged = || {
        let all = bench.node.acknowledged();
        all.iter()
            .any(|a| a.sequence == head && a.channel == far.channel && a.all)
    };
    let (mut heard, mut asked) = (Vec::new(), 0);
    while !acknowledged() {
        let more = || bench.node.lost().len() > asked || acknowledged();
        heard.extend(slow.serve_until(more).await);
        if bench.node.lost().len() > asked {
            asked += 1;
            bench.send(&far, far.again(start, &[])).await;
        }
    }
    assert!((1..5).contains(&asked), "asked {asked} times");
    let numbers = heard.iter().filter_map(|stanza| {
        let (_, rest) = stanza.split_once("<n>")?;
        rest.split('<').next()?.parse().ok()
    });
    let first = 1; // the one before was read with the barrier
    assert_eq!(
        numbers.collect::<Vec<u32>>(),
        (first..100).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn i9_a_long_catch_up_waits_for_the_server() {
    let (bench, _server, stream) = Bench::attached().await;
    let (mut room, _) = Room::with("coven", &["hag66"]);
    let start = room.head();
    for _ in 0..200 {
        room.say("hag66", &"x".repeat(100_000));
    }
    bench.send(&room, room.again(start, &[])).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waiting = bench.handle.snapshot().connections[0].waiting_bytes;
    assert!(waiting < 5 * 1024 * 1024, "{waiting} bytes wait");
    drop(stream);
}

#[tokio::test]
async fn i9_a_silent_server_is_given_up() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    stream.answers = false;
    let said = room.say("hag66", "hello");
    bench.send(&room, said).await;
    stream.until_barrier().await;
    bench
        .status(|s| s.connections[0].state == UpstreamState::Down(Down::Stalled))
        .await;
}
