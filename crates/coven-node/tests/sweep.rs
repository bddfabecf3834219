//! The sweep for ghosts: who is probed, how often, and that no channel is loaded for it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Node, is_message, record};
use coven_cluster::{Delivery, NodeLink, ToNode};
use coven_core::Group;
use coven_node::Options;
use coven_store::MemoryStore;

const CRONE: &str = "crone1@shakespeare.example/desktop";
const HAG: &str = "hag66@shakespeare.example/pda";

/// A node that has just started over rooms with two sessions each.
async fn restarted(rooms: usize, sweep_rate: u32) -> Node {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::start(Arc::clone(&store) as _).await;
    for n in 0..rooms {
        let room = format!("room{n:03}");
        node.join(&room, CRONE, "firstwitch");
        node.unlock(&room, CRONE);
        node.join(&room, HAG, "thirdwitch");
        node.say(&room, HAG, &room);
        let all = node.until(|d| is_message(d, &room)).await;
        let last = all.last().and_then(record).unwrap().sequence;
        node.acknowledge(&room, last.0, u64::MAX);
    }
    tokio::task::yield_now().await;
    node.crash();
    let options = Options {
        shards: 4,
        sweep_rate,
        ..Options::default()
    };
    Node::with(store, options).await
}

fn sweep(node: &Node, group: &str) {
    let group = Group(group.into());
    assert!(node.seat.try_send(ToNode::Sweep { group }).is_ok());
}

/// How often each session of each room was probed, by the time nothing comes any more.
async fn probes(node: &mut Node) -> BTreeMap<(String, String), usize> {
    let mut probes = BTreeMap::new();
    while let Ok(Some(output)) =
        tokio::time::timeout(Duration::from_secs(2), node.outputs.recv()).await
    {
        let channel = output.channel.map(|c| c.name().local.to_string());
        for delivery in output.deliveries {
            if let Delivery::Probe(probe) = delivery {
                let place = (channel.clone().unwrap(), probe.session.jid.to_string());
                *probes.entry(place).or_default() += 1;
            }
        }
    }
    probes
}

#[tokio::test]
async fn muc_leave_12_il_35_every_session_is_probed_once_and_no_channel_is_loaded() {
    let mut node = restarted(300, 1_000_000).await;
    let loaded = node.handle.health().snapshot().loaded;
    sweep(&node, "main");
    let probes = probes(&mut node).await;
    assert_eq!(probes.len(), 600);
    assert!(probes.values().all(|times| *times == 1), "{probes:?}");
    assert_eq!(node.handle.health().snapshot().loaded, loaded);
}

#[tokio::test]
async fn muc_leave_12_another_groups_sessions_are_left_alone() {
    let mut node = restarted(2, 1_000_000).await;
    sweep(&node, "other");
    assert!(probes(&mut node).await.is_empty());
}

/// The stream was lost again: what the first sweep has sent is lost with it, and what it had still to send is the second
/// one's.
#[tokio::test]
async fn muc_leave_12_a_newer_sweep_takes_the_place_of_the_one_under_way() {
    let mut node = restarted(20, 200).await;
    sweep(&node, "main");
    node.until(|d| matches!(d, Delivery::Probe(_))).await;
    sweep(&node, "main");
    let probes = probes(&mut node).await;
    assert_eq!(probes.len(), 40);
    let twice = probes.values().filter(|times| **times > 1).count();
    assert!(twice <= 4, "both went on: {probes:?}");
}
