//! The list of channels, page by page (XEP-0030 §4, XEP-0059).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::held::HeldStore;
use common::{Node, is_joined, operation, sender};
use coven_cluster::link::DirectoryRequest;
use coven_cluster::{Delivery, NodeLink, Request, ToNode};
use coven_core::command::Settings;
use coven_core::query::{DirectoryPage, Listing, Query};
use coven_core::{Answer, Command, Origin, View};
use coven_store::MemoryStore;
use std::sync::Arc;

const HAG: &str = "hag66@shakespeare.example/pda";
const WITCH: &str = "crone1@shakespeare.example/desktop";

fn listing(delivery: &Delivery) -> Option<Listing> {
    match delivery {
        Delivery::Answer { answer, .. } => match &**answer {
            Answer::Listing(listing) => Some((**listing).clone()),
            _ => None,
        },
        _ => None,
    }
}

fn request(jid: &str, page: DirectoryPage) -> ToNode {
    let any = operation("any", jid, Request::Command(Command::Depart)).origin;
    ToNode::Directory(Box::new(DirectoryRequest {
        space: "chat.example".into(),
        sender: sender(jid),
        page,
        origin: Arc::new(Origin {
            view: View::Mix,
            ..(*any).clone()
        }),
    }))
}

/// A page of the list as MIX shows it.
async fn list(node: &mut Node, jid: &str, page: DirectoryPage) -> Vec<String> {
    let sent = node.seat.try_send(request(jid, page));
    assert!(sent.is_ok());
    let all = node.until(|d| listing(d).is_some()).await;
    let items = all.iter().find_map(listing).unwrap().items;
    items.into_iter().map(|(local, _)| local.into()).collect()
}

/// Channels of `HAG` that only members may join, `open` and `zoo` excepted.
async fn start() -> Node {
    let mut node = Node::start(Arc::new(MemoryStore::default())).await;
    for room in ["a", "b", "c", "d", "open", "p", "q", "r", "zoo"] {
        node.join(room, HAG, "hag");
        let settings = Settings {
            members_only: Some(room.len() == 1),
            ..Settings::default()
        };
        let configure = Command::Configure(Box::new(settings));
        node.send(operation(room, HAG, Request::Command(configure)));
        node.until(|d| matches!(d, Delivery::Answer { .. })).await;
    }
    node
}

#[tokio::test]
async fn mix_svc_08_the_list_does_not_end_where_a_page_holds_nothing_for_the_requester() {
    let mut node = start().await;
    let page = |after: Option<&str>, before: Option<Option<&str>>| DirectoryPage {
        after: after.map(Into::into),
        before: before.map(|id| id.map(Into::into)),
        max: Some(2),
    };
    assert_eq!(list(&mut node, HAG, page(None, None)).await, ["a", "b"]);
    assert_eq!(list(&mut node, WITCH, page(None, None)).await, ["open"]);
    let second = list(&mut node, WITCH, page(Some("open"), None)).await;
    assert_eq!(second, ["zoo"]);
    assert!(
        list(&mut node, WITCH, page(Some("zoo"), None))
            .await
            .is_empty()
    );
    let back = list(&mut node, WITCH, page(None, Some(Some("r")))).await;
    assert_eq!(back, ["open"]);
    let back = list(&mut node, WITCH, page(None, Some(Some("open")))).await;
    assert!(back.is_empty());
}

#[tokio::test]
async fn i10_who_browses_channels_holds_up_no_read_of_an_archive() {
    let store = Arc::new(HeldStore::default());
    let mut node = Node::start(store.clone()).await;
    node.join("coven", HAG, "hag");
    node.until(is_joined).await;
    store.unlisted();
    for _ in 0..200 {
        let _full = node.seat.try_send(request(WITCH, DirectoryPage::default()));
    }
    let bounds = Query::ArchiveBounds { view: View::Mix };
    node.ask("coven", HAG, bounds);
    let is_own = |d: &Delivery| match d {
        Delivery::Answer { answer, .. } => matches!(**answer, Answer::Bounds(_)),
        Delivery::Refused { origin, .. } => origin.view != View::Mix,
        _ => false,
    };
    let all = node.until(is_own).await;
    assert!(
        matches!(all.last(), Some(Delivery::Answer { .. })),
        "{all:?}"
    );
}
