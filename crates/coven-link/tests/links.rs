//! Links over real sockets: order, silence, what does not read, what is no message, who may talk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod pair;

use coven_cluster::{Delivery, FrontLink, Held, LeaseNumber, Output, ToFront, ToNode};
use coven_core::roster::Parts;
use coven_core::{Affiliation, BareJid, Epoch, FullJid, Group, Nick, Person, PersonNo, Roster};
use coven_core::{Sequence, Session, SessionNo, StableId, View};
use coven_link::{Broken, Limits, Security, State};
use pair::{Certificates, Front, Node, Wall, is, me_front, me_node, quick, within};
use std::sync::Arc;
use std::time::Duration;

fn holds(lease: u64) -> ToNode {
    ToNode::Holds(vec![Held {
        connection: "main/a/0".into(),
        lease: LeaseNumber(lease),
        space: "chat.example".into(),
    }])
}

/// One of some kilobytes.
fn large_holds(lease: u64) -> ToNode {
    let ToNode::Holds(mut held) = holds(lease) else {
        panic!("another message");
    };
    held[0].space = "x".repeat(16 * 1024).into();
    ToNode::Holds(held)
}

fn lease(message: &ToNode) -> u64 {
    match message {
        ToNode::Holds(held) => held[0].lease.0,
        _ => u64::MAX,
    }
}

fn output(commit: u64, deliveries: Vec<Delivery>) -> ToFront {
    ToFront::Output(Arc::new(Output {
        channel: None,
        epoch: Epoch(1),
        commit,
        deliveries,
        trace: None,
    }))
}

fn commit(message: &ToFront) -> u64 {
    match message {
        ToFront::Output(output) => output.commit,
        _ => u64::MAX,
    }
}

#[tokio::test]
async fn i3_both_directions_keep_order_under_load() {
    const MESSAGES: u64 = 20_000;
    let node = Node::start(quick(Limits::node())).await;
    let mut front = Front::start(&node, quick(Limits::front()));
    let (mut at_node, to_node) = (node.seat().await, front.seat().await);
    let down = at_node.link.clone();
    let sending = tokio::spawn(async move {
        for n in 0..MESSAGES {
            down.send(output(n, vec![Delivery::Forget])).await;
        }
    });
    let saying = tokio::spawn(async move {
        for n in 0..MESSAGES {
            let mut message = holds(n);
            while let Err(back) = to_node.link.try_send(message) {
                message = back;
                tokio::task::yield_now().await;
            }
        }
        to_node
    });
    for n in 0..MESSAGES {
        assert_eq!(lease(&within(at_node.heard.recv()).await.unwrap()), n);
    }
    let mut to_node = saying.await.unwrap();
    for n in 0..MESSAGES {
        assert_eq!(commit(&within(to_node.heard.recv()).await.unwrap()), n);
    }
    sending.await.unwrap();
    let counted = node.stats.snapshot();
    assert!(counted.frames_out < MESSAGES, "nothing was put together");
}

#[tokio::test]
async fn a_roster_of_ten_thousand_sessions_arrives_whole_and_in_its_place() {
    let node = Node::start(Limits::node()).await;
    let mut front = Front::start(
        &node,
        Limits {
            silence: Duration::from_secs(20),
            ..Limits::front()
        },
    );
    let (at_node, mut to_node) = (node.seat().await, front.seat().await);
    let roster = huge_roster(10_000);
    let parts = roster.parts();
    let base = Delivery::Base {
        roster: Box::new(roster),
        acknowledged: vec![("main/a/0".into(), Sequence(7))],
    };
    at_node.link.send(output(1, vec![Delivery::Forget])).await;
    at_node.link.send(output(2, vec![base])).await;
    at_node.link.send(output(3, vec![Delivery::Forget])).await;
    for n in 1..=3 {
        let message = within(to_node.heard.recv()).await.unwrap();
        assert_eq!(commit(&message), n);
        if let (2, ToFront::Output(output)) = (n, message) {
            let Delivery::Base { roster, .. } = &output.deliveries[0] else {
                panic!("not a roster");
            };
            assert!(roster.parts() == parts, "the roster is another");
        }
    }
}

fn huge_roster(sessions: u32) -> Roster {
    let jid = |no: u32| BareJid::from_normalised(format!("u{no}@example.org"));
    let person = |no: u32| {
        let person = Person {
            no: PersonNo(no),
            jid: jid(no),
            id: StableId([7; 20]),
            nick: Some(Nick::from_clean(&format!("nick {no}"))),
            reserved: None,
            affiliation: Affiliation::None,
            granted: None,
        };
        (Arc::new(person), None)
    };
    let session = |no: u32| {
        Arc::new(Session {
            no: SessionNo(no),
            person: PersonNo(no),
            jid: FullJid::new(&jid(no), "client"),
            view: View::Muc,
            group: Group("main".into()),
            joined: Sequence(no.into()),
            updated: Sequence(no.into()),
            presence: Arc::default(),
        })
    };
    Roster::from_parts(Parts {
        people: (1..=sessions).map(person).collect(),
        sessions: (1..=sessions).map(session).collect(),
        ..Parts::default()
    })
}

#[tokio::test]
async fn i9_a_full_queue_gives_the_message_back_and_loses_none_of_those_taken() {
    let patient = |limits| Limits {
        silence: Duration::from_secs(30),
        stall: Duration::from_secs(30),
        ..quick(limits)
    };
    let node = Node::start(patient(Limits::node())).await;
    let wall = Wall::before(&node).await;
    let limits = Limits {
        queue_bytes: 64 * 1024,
        ..patient(Limits::front())
    };
    let mut front = Front::at(wall.address, limits);
    let (mut at_node, to_node) = (node.seat().await, front.seat().await);
    wall.stop();
    let mut taken = 0;
    while to_node.link.try_send(large_holds(taken)).is_ok() {
        taken += 1;
        tokio::task::yield_now().await;
    }
    wall.go();
    for n in 0..taken {
        assert_eq!(lease(&within(at_node.heard.recv()).await.unwrap()), n);
    }
}

#[tokio::test]
async fn a_link_that_is_silent_ends_on_both_sides_and_a_new_one_begins() {
    let node = Node::start(quick(Limits::node())).await;
    let wall = Wall::before(&node).await;
    let mut front = Front::at(wall.address, quick(Limits::front()));
    let (mut at_node, mut to_node) = (node.seat().await, front.seat().await);
    wall.stop();
    assert!(within(to_node.heard.recv()).await.is_none());
    assert!(within(at_node.heard.recv()).await.is_none());
    assert_eq!(front.stats.snapshot().broken.get("silent"), Some(&1));
    wall.go();
    let (mut at_node, to_node) = (node.seat().await, front.seat().await);
    to_node.link.try_send(holds(9)).unwrap();
    assert_eq!(lease(&within(at_node.heard.recv()).await.unwrap()), 9);
}

#[tokio::test]
async fn a_quiet_link_stays_up_by_signs_of_life() {
    let node = Node::start(quick(Limits::node())).await;
    let mut front = Front::start(&node, quick(Limits::front()));
    let (_at_node, _to_node) = (node.seat().await, front.seat().await);
    tokio::time::sleep(quick(Limits::node()).silence * 3 / 2).await;
    let (node, front) = (node.stats.snapshot(), front.stats.snapshot());
    assert_eq!((node.up, node.opened), (1, 1));
    assert_eq!((front.up, front.opened), (1, 1));
}

#[tokio::test]
async fn a_front_end_that_does_not_read_is_cut_off_and_holds_nobody_up_for_long() {
    let limits = Limits {
        queue_bytes: 256 * 1024,
        silence: Duration::from_secs(30),
        ..quick(Limits::node())
    };
    let node = Node::start(limits).await;
    let mut front = Front::start(&node, quick(Limits::front()));
    let (mut at_node, to_node) = (node.seat().await, front.seat().await);
    to_node.stop_reading();
    let link = at_node.link.clone();
    let sending = tokio::spawn(async move {
        for n in 0..20_000 {
            link.send(output(n, vec![Delivery::Forget; 200])).await;
        }
    });
    assert!(within(at_node.heard.recv()).await.is_none());
    within(sending).await.unwrap();
    assert_eq!(node.stats.snapshot().broken.get("stalled"), Some(&1));
}

#[tokio::test]
async fn i9_the_link_of_a_front_end_that_the_node_has_detached_ends_and_a_new_one_begins() {
    let node = Node::start(quick(Limits::node())).await;
    let mut front = Front::start(&node, quick(Limits::front()));
    let (mut at_node, mut to_node) = (node.seat().await, front.seat().await);
    at_node.gone.cancel();
    assert!(within(at_node.heard.recv()).await.is_none());
    assert!(within(to_node.heard.recv()).await.is_none());
    let (_at_node, to_node) = (node.seat().await, front.seat().await);
    to_node.link.try_send(holds(9)).unwrap();
    assert_eq!(node.stats.snapshot().broken.get("stalled"), Some(&1));
}

#[tokio::test]
async fn an_operation_in_the_name_of_another_process_closes_the_link() {
    let node = Node::start(quick(Limits::node())).await;
    let mut front = Front::start(&node, quick(Limits::front()));
    let (mut at_node, to_node) = (node.seat().await, front.seat().await);
    let mine = me_front(1).process.0;
    to_node.link.try_send(pair::operation(mine, 1)).unwrap();
    assert!(within(at_node.heard.recv()).await.is_some());
    to_node.link.try_send(pair::operation(4711, 2)).unwrap();
    assert!(within(at_node.heard.recv()).await.is_none());
    assert_eq!(node.stats.snapshot().broken.get("malformed"), Some(&1));
}

#[tokio::test]
async fn i9_many_small_things_in_one_message_close_the_link() {
    let node = Node::start(quick(Limits::node())).await;
    // Connections that say nothing: two bytes each.
    let held: Vec<u8> = [1 << 3 | 2, 0].repeat(70_000);
    let field = |number: u8, bytes: &[u8]| {
        let mut all = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut all);
        all.extend(bytes);
        all
    };
    let frame = field(2, &field(1, &held));
    let status = pair::raw_call(&node, &me_front(1).versions, Some(frame)).await;
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("too many"), "{status:?}");
}

#[tokio::test]
async fn i10_what_is_no_message_closes_the_link_and_is_counted() {
    let node = Node::start(quick(Limits::node())).await;
    for bytes in [
        vec![0xff; 30],
        // An operation without anything in it.
        vec![2 << 3 | 2, 2, 2 << 3 | 2, 0],
        // A second hello.
        vec![1 << 3 | 2, 0],
    ] {
        let status = pair::raw_call(&node, &me_front(1).versions, Some(bytes)).await;
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    }
    assert_eq!(node.stats.snapshot().broken.get("malformed"), Some(&3));
    let mut front = Front::start(&node, quick(Limits::front()));
    front.seat().await;
}

#[tokio::test]
async fn a_peer_that_speaks_no_version_of_ours_is_refused_and_told_why() {
    let node = Node::start(quick(Limits::node())).await;
    let status = pair::raw_call(&node, &(7..=8), None).await;
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert!(status.message().contains("versions 7 to 8"), "{status:?}");
    assert_eq!(node.stats.snapshot().broken.get("refused"), Some(&1));
}

#[tokio::test]
async fn i7_a_newer_and_an_older_build_speak_what_both_know() {
    for (of_node, of_front, spoken) in [(1..=2, 2..=3, 2), (2..=3, 1..=2, 2), (1..=2, 1..=1, 1)] {
        let mut me = me_node(1);
        me.versions = of_node;
        let node = Node::of(
            me,
            Security::Plain { anywhere: false },
            quick(Limits::node()),
        )
        .await;
        let mut me = me_front(1);
        me.versions = of_front;
        let front = Front::of(&node.address(), me, Security::Plain { anywhere: false });
        let mut state = front.client.state();
        let up = within(state.wait_for(|state| matches!(state, State::Up(_)))).await;
        assert!(matches!(&*up.unwrap(), State::Up(peer) if peer.version == spoken));
        assert_eq!(within(node.seat()).await.peer.version, spoken);
    }
}

#[tokio::test]
async fn a_node_that_has_started_anew_at_the_same_address_is_not_taken_for_the_one_before() {
    let node = Node::start(quick(Limits::node())).await;
    is_refused_for_the_one_before(&node).await;
}

/// A link of the first front-end that is meant for another process than this node.
async fn is_refused_for_the_one_before(node: &Node) {
    let security = Security::Plain { anywhere: false };
    let mut target = Front::target(&node.address(), me_front(1), security);
    target.process = Some(coven_cluster::ProcessId(4711));
    let front = Front::to(target);
    let mut state = front.client.state();
    let down = within(state.wait_for(|state| matches!(state, State::Down(_)))).await;
    assert_eq!(*down.unwrap(), State::Down(Broken::OtherProcess));
}

#[tokio::test]
async fn a_link_that_is_meant_for_the_node_before_does_not_replace_the_one_to_this_node() {
    let node = Node::start(quick(Limits::node())).await;
    let mut first = Front::start(&node, quick(Limits::front()));
    let (mut there, at) = (node.seat().await, first.seat().await);
    is_refused_for_the_one_before(&node).await;
    at.link.try_send(holds(7)).unwrap();
    assert_eq!(lease(&within(there.heard.recv()).await.unwrap()), 7);
}

#[tokio::test]
async fn a_newer_link_of_the_same_front_end_replaces_the_older_one() {
    let node = Node::start(quick(Limits::node())).await;
    let mut first = Front::start(&node, quick(Limits::front()));
    let mut older = node.seat().await;
    first.seat().await;
    let mut second = Front::start(
        &node,
        Limits {
            min_backoff: Duration::from_secs(60),
            ..quick(Limits::front())
        },
    );
    second.seat().await;
    assert!(within(older.heard.recv()).await.is_none());
    within(async {
        while !node.stats.snapshot().broken.contains_key("replaced") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_node_is_told_to_its_front_ends() {
    let node = Node::start(quick(Limits::node())).await;
    let mut front = Front::start(&node, quick(Limits::front()));
    let (_at_node, mut to_node) = (node.seat().await, front.seat().await);
    within(node.server.shutdown()).await;
    assert!(within(to_node.heard.recv()).await.is_none());
}

#[tokio::test]
async fn certificates_of_the_cluster_and_the_right_role_open_a_link() {
    let certificates = Certificates::new();
    let node = Node::of(
        me_node(1),
        certificates.of("node.coven"),
        quick(Limits::node()),
    )
    .await;
    let mut front = Front::of(&node.address(), me_front(1), certificates.of("front.coven"));
    let (mut at_node, to_node) = (node.seat().await, front.seat().await);
    to_node.link.try_send(holds(3)).unwrap();
    assert_eq!(lease(&within(at_node.heard.recv()).await.unwrap()), 3);
}

#[tokio::test]
async fn i9_who_connects_and_says_nothing_keeps_out_nobody_else() {
    let certificates = Certificates::new();
    let limits = Limits {
        max_links: 8,
        connect: Duration::from_secs(60),
        ..quick(Limits::node())
    };
    let node = Node::of(me_node(1), certificates.of("node.coven"), limits).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let address = node.address().parse().unwrap();
        silent.push(within(socket.connect(address)).await.unwrap());
    }
    let mut front = Front::of(&node.address(), me_front(1), certificates.of("front.coven"));
    front.seat().await;
}

#[tokio::test]
async fn a_wrong_role_a_strange_ca_or_no_certificate_open_none() {
    let (certificates, strange) = (Certificates::new(), Certificates::new());
    let node = Node::of(
        me_node(1),
        certificates.of("node.coven"),
        quick(Limits::node()),
    )
    .await;
    for security in [
        certificates.of("node.coven"),
        strange.of("front.coven"),
        Security::Plain { anywhere: false },
    ] {
        let front = Front::of(&node.address(), me_front(1), security);
        let mut state = front.client.state();
        let down = within(state.wait_for(|state| matches!(state, State::Down(_)))).await;
        assert!(down.is_ok());
    }
    let false_node = Node::of(
        me_node(2),
        certificates.of("front.coven"),
        quick(Limits::node()),
    )
    .await;
    let front = Front::of(
        &false_node.address(),
        me_front(1),
        certificates.of("front.coven"),
    );
    let mut state = front.client.state();
    let down = within(state.wait_for(|state| matches!(state, State::Down(_)))).await;
    assert!(is(&down.unwrap(), "untrusted"));
    assert_eq!(
        node.stats.snapshot().opened + false_node.stats.snapshot().opened,
        0
    );
}

#[tokio::test]
async fn certificates_are_read_again_when_they_have_changed() {
    let certificates = Certificates::new();
    let node = Node::of(
        me_node(1),
        certificates.of("node.coven"),
        quick(Limits::node()),
    )
    .await;
    let files = certificates.files("renewed");
    certificates.write("node.coven", &files);
    let mut front = Front::of(
        &node.address(),
        me_front(1),
        Security::Mutual(files.clone()),
    );
    let mut state = front.client.state();
    let down = within(state.wait_for(|state| matches!(state, State::Down(_)))).await;
    drop(down.unwrap());
    certificates.write("front.coven", &files);
    front.seat().await;
}

#[tokio::test]
async fn plain_links_are_for_loopback_unless_it_is_said_otherwise() {
    let anywhere = "192.0.2.1".parse().unwrap();
    let loopback = "::1".parse().unwrap();
    assert!(
        Security::Plain { anywhere: false }
            .permits(loopback)
            .is_ok()
    );
    assert!(
        Security::Plain { anywhere: false }
            .permits(anywhere)
            .is_err()
    );
    assert!(Security::Plain { anywhere: true }.permits(anywhere).is_ok());
}
