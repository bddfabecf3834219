//! What a node does with a record of a newer version that it may not pass over (I7).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::cluster::{Member, is_committed};
use common::{channel, is_joined, join, post};
use coven_cluster::{ShardId, ToFront};
use coven_store::{
    ChannelCommit, ChannelKey, Claim, Commit, CommitNumber, Entry, MemoryStore, Sequence,
    SessionId, Store,
};
use std::collections::BTreeSet;
use std::sync::Arc;

const HAG: &str = "hag66@shakespeare.example/pda";

/// A newer version owns the room, and says something in it that nobody here knows.
async fn a_newer_version_goes_on(store: &Arc<MemoryStore>, room: &str) {
    let shard = coven_store::ShardId(channel(room).shard().0);
    let claim = Claim {
        session: SessionId(77),
        judged_dead: store.owner(shard).await.unwrap(),
        known: coven_store::Epoch(0),
    };
    let owned = store.claim(shard, claim).await.unwrap();
    let key = ChannelKey::new("chat.example", room);
    let loaded = store.load(shard, &key).await.unwrap().unwrap();
    let last = loaded.journal.last().unwrap().clone();
    let entry = Entry {
        sequence: Sequence(loaded.head.0 + 1),
        archive: None,
        kind: 1023,
        // Field 1023, empty, and no word that it may be ignored.
        record: vec![0xfa, 0x3f, 0x00].into(),
        ..last
    };
    let commit = Commit {
        number: CommitNumber(owned.last_commit.0 + 1),
        channels: vec![ChannelCommit {
            entries: vec![entry],
            ..ChannelCommit::new(key, loaded.head)
        }],
        ..Commit::default()
    };
    store.commit(shard, owned.epoch, commit).await.unwrap();
    store.release(shard, owned.epoch).await.unwrap();
}

#[tokio::test]
async fn i7_what_a_node_cannot_read_is_neither_damaged_nor_decided_on() {
    let store = Arc::new(MemoryStore::new());
    let node = Member::owner(&store, 1).await;
    let mut front = node.front(10, &[("c1", 1), ("c2", 1)]);
    front.send("coven", HAG, join("hag"), (1, 0, 0));
    front.until(is_joined).await;
    front.word(|w| is_committed(w, 1)).await;
    node.kill();
    a_newer_version_goes_on(&store, "coven").await;

    let node = Member::owner(&store, 2).await;
    let mut front = node.front(10, &[("c1", 2), ("c2", 2)]);
    front.send("coven", HAG, post("one"), (2, 1, 0));
    front
        .word(|w| matches!(w, ToFront::NotTaken { id, .. } if id.n == 2))
        .await;
    let shard: ShardId = channel("coven").shard();
    assert_eq!(node.handle.beyond(), BTreeSet::from([shard]));
    assert_eq!(node.handle.health().snapshot().quarantined, 0);
    // Others in the same node go on.
    let other = (0..)
        .map(|n| format!("room{n}"))
        .find(|name| channel(name).shard() != shard)
        .unwrap();
    front.send(&other, HAG, join("hag"), (3, 0, 0));
    front.until(is_joined).await;
}
