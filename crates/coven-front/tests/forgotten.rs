//! Channels that leave the node's memory, and come back as they were or as others of the same name.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::Bench;
use common::room::Room;
use coven_cluster::Delivery;

#[tokio::test]
async fn i5_a_room_made_anew_under_its_old_name_begins_at_one() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut old, base) = Room::with("coven", &["hag66", "crone1"]);
    bench.send(&old, base).await;
    for body in ["one", "two", "three"] {
        let said = old.say("hag66", body);
        bench.commit(&old, 8, said).await;
    }
    let head = old.head();
    let acknowledged = || bench.node.acknowledged().iter().any(|a| a.sequence == head);
    stream.serve_until(acknowledged).await;
    // Something is still to be told when the old one is forgotten.
    bench.node.is_full(true);
    let told = bench.node.acknowledged().len();
    bench.commit(&old, 9, vec![Delivery::Forget]).await;
    let mut new = Room::new("coven");
    let start = new.head();
    new.join("wiccarocks");
    bench.commit(&new, 10, new.again(start, &[])).await;
    let own = stream.stanza().await;
    assert!(own.contains("<status code='201'/>"), "{own}");
    bench.node.is_full(false);
    let said = new.say("wiccarocks", "hello");
    bench.commit(&new, 11, said).await;
    let head = new.head();
    let of_new = || bench.node.acknowledged().split_off(told);
    stream
        .serve_until(|| of_new().iter().any(|a| a.commit == 11))
        .await;
    assert!(
        of_new()
            .iter()
            .all(|a| a.sequence <= head && a.least <= head)
    );
}

#[tokio::test]
async fn i3_a_forgotten_room_comes_back_without_a_repeat() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.commit(&room, 8, said).await;
    let head = room.head();
    let acknowledged = || bench.node.acknowledged().iter().any(|a| a.sequence == head);
    let before = stream.serve_until(acknowledged).await;
    assert_eq!(before.len(), 1, "{before:?}");
    bench.node.is_full(true);
    bench.commit(&room, 9, vec![Delivery::Forget]).await;
    let name = bench.node.acknowledged()[0].connection.clone();
    let again = room.again(coven_core::Sequence(1), &[(name, head)]);
    bench.commit(&room, 10, again).await;
    let said = room.say("hag66", "two");
    bench.commit(&room, 11, said).await;
    let next = stream.stanza().await;
    assert!(next.contains("two"), "{next}");
}
