//! The way out: order, bounds, who gets what by which connection.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::room::{Room, sender};
use common::server::{Server, attribute};
use common::{Bench, DOMAIN, Plan, domain, upstream};
use coven_cluster::link::FrontLink;
use coven_cluster::{Delivery, Output};
use coven_core::command::{Command, View};
use coven_core::query::{Answer, Listing};
use coven_core::{Condition, Epoch, Group, Origin, Refusal, Sequence, StanzaKind};
use coven_front::Status;
use std::sync::Arc;

#[tokio::test]
async fn muc_comp_11_i3_each_channel_keeps_its_order() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let mut rooms: Vec<Room> = Vec::new();
    for n in 0..10 {
        let (room, base) = Room::with(&format!("room{n}"), &["hag66"]);
        bench.send(&room, base).await;
        rooms.push(room);
    }
    for turn in 0..50 {
        for room in &mut rooms {
            let said = room.say("hag66", &format!("{turn}"));
            bench.send(room, said).await;
        }
    }
    let mut heard = std::collections::BTreeMap::<String, Vec<String>>::new();
    for stanza in stream.stanzas(500).await {
        let from = attribute(&stanza, "from").unwrap();
        let body = stanza.split("<body>").nth(1).unwrap();
        let body = body.split('<').next().unwrap().to_owned();
        heard.entry(from).or_default().push(body);
    }
    let order: Vec<String> = (0..50).map(|turn| turn.to_string()).collect();
    assert_eq!(heard.len(), 10);
    assert!(heard.values().all(|bodies| *bodies == order));
}

#[tokio::test]
async fn muc_enter_02_a_newcomer_gets_the_room_before_what_is_said() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66", "crone1"]);
    bench.send(&room, base).await;
    let joined = room.join("wiccarocks");
    bench.send(&room, joined).await;
    let said = room.say("hag66", "hello");
    bench.send(&room, said).await;
    let mut hers = Vec::new();
    while !hers
        .last()
        .is_some_and(|last: &String| last.contains("hello"))
    {
        let stanza = stream.stanza().await;
        if attribute(&stanza, "to").is_some_and(|to| to.starts_with("wiccarocks")) {
            hers.push(stanza);
        }
    }
    let own = hers
        .iter()
        .position(|s| s.contains("status code='110'"))
        .unwrap();
    assert_eq!(own, 2, "others first, then her own presence: {hers:?}");
}

#[tokio::test]
async fn i3_a_repeat_on_the_same_stream_is_written_once() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", "one");
    bench.send(&room, said).await;
    bench.send(&room, room.again(Sequence(0), &[])).await;
    let said = room.say("hag66", "two");
    bench.send(&room, said).await;
    let heard = stream.stanzas(2).await;
    assert!(
        heard[0].contains("one") && heard[1].contains("two"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_gap_in_the_events_makes_the_front_end_ask() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    room.say("hag66", "lost on the way");
    let said = room.say("hag66", "two");
    bench.send(&room, said).await;
    stream
        .serve_until(|| bench.node.lost() == [[room.channel.clone()]])
        .await;
    let base = room.journal.len() as u64 - 2;
    bench.send(&room, room.again(Sequence(base), &[])).await;
    let heard = stream.stanzas(2).await;
    assert!(heard[0].contains("lost on the way") && heard[1].contains("two"));
    assert_eq!(bench.handle.snapshot().gaps, 1);
}

#[tokio::test]
async fn i9_a_stanza_over_the_bound_is_never_written() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].max_stanza_bytes = 20_000;
    let bench = plan.start();
    let mut stream = server.accept().await;
    bench.status(Status::is_up).await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let said = room.say("hag66", &"x".repeat(20_000));
    bench.send(&room, said).await;
    let said = room.say("hag66", "small");
    bench.send(&room, said).await;
    assert!(stream.stanza().await.contains("small"));
    stream
        .serve_until(|| !bench.node.acknowledged().is_empty())
        .await;
    let snapshot = bench.handle.snapshot();
    assert_eq!((snapshot.oversized, snapshot.asked_again), (1, 0));
}

#[tokio::test]
async fn i9_an_answer_that_cannot_be_cut_becomes_an_error() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].max_stanza_bytes = 10_000;
    let bench = plan.start();
    let mut stream = server.accept().await;
    bench.status(Status::is_up).await;
    let (room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let config = coven_core::Config {
        description: "x".repeat(20_000).into(),
        ..coven_core::Config::default()
    };
    let answer = Answer::Form(Arc::new(config));
    let get = "<query xmlns='http://jabber.org/protocol/muc#owner'/>";
    bench
        .send(&room, vec![answered("coven", get, answer)])
        .await;
    let stanza = stream.stanza().await;
    assert!(
        stanza.starts_with("<iq") && stanza.contains("type='error'"),
        "{stanza}"
    );
    assert!(stanza.contains("<resource-constraint "), "{stanza}");
}

#[tokio::test]
async fn refusals_and_answers_keep_the_order_of_their_channel() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let mut deliveries = room.say("hag66", "before");
    deliveries.push(Delivery::Refused {
        origin: origin("coven", "<query xmlns='jabber:iq:version'/>"),
        refusal: Box::new(Refusal::usual(Condition::Forbidden)),
        operation: None,
    });
    deliveries.extend(room.say("hag66", "after"));
    bench.send(&room, deliveries).await;
    let heard = stream.stanzas(3).await;
    assert!(
        heard[0].contains("before") && heard[2].contains("after"),
        "{heard:?}"
    );
    assert!(heard[1].contains("<forbidden "), "{heard:?}");
}

#[tokio::test]
async fn muc_leave_12_a_probe_needs_no_roster() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let (room, _) = Room::with("coven", &["hag66"]);
    let session = room.state.roster().sessions().next().unwrap().clone();
    let probe = room.state.probe(&session);
    let id = format!("coven-probe-{}", probe.mark);
    bench.send(&room, vec![Delivery::Probe(probe)]).await;
    let stanza = stream.stanza().await;
    assert_eq!(attribute(&stanza, "id").unwrap(), id);
    assert_eq!(
        attribute(&stanza, "to").unwrap(),
        "hag66@shakespeare.example/pda"
    );
}

#[tokio::test]
async fn the_directory_answers_through_the_group_that_asked() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let mut origin = (*origin("coven", items)).clone();
    origin.to = DOMAIN.into();
    let listing = Listing {
        items: vec![("coven".into(), "The Coven".into())],
        count: 1,
        complete: true,
        ..Listing::default()
    };
    let output = Output {
        channel: None,
        epoch: Epoch::default(),
        commit: 0,
        deliveries: vec![Delivery::Answer {
            origin: Arc::new(origin),
            answer: Box::new(Answer::Listing(Box::new(listing))),
            operation: None,
        }],
        trace: None,
    };
    bench.handle.send(output.into()).await;
    assert!(stream.stanza().await.contains("jid='coven@chat.example'"));
}

#[tokio::test]
async fn each_recipient_is_reached_through_its_own_group() {
    let (mut near, mut far) = (Server::start().await, Server::start().await);
    let mut plan = Plan::new(&near);
    let mut other = upstream(&far, &[DOMAIN]);
    other.group = Group("other".into());
    other.hosts = vec!["elsewhere.example".into()];
    plan.upstreams.push(other);
    let bench = plan.start();
    let (mut near, mut far) = (near.accept().await, far.accept().await);
    bench.status(Status::is_up).await;
    let (mut room, base) = Room::with("coven", &["hag66"]);
    bench.send(&room, base).await;
    let joined = room.join_through("crone1", Group("other".into()));
    bench.send(&room, joined).await;
    let said = room.say("hag66", "hello");
    bench.send(&room, said).await;
    for (stream, who) in [(&mut near, "hag66"), (&mut far, "crone1")] {
        let mut heard = String::new();
        while !heard.contains("hello") {
            heard = stream.stanza().await;
            assert!(attribute(&heard, "to").unwrap().starts_with(who), "{heard}");
        }
    }
    let (mut far_barrier, head) = (false, room.head());
    near.serve_until(|| bench.node.acknowledged().iter().any(|a| a.sequence == head))
        .await;
    assert!(
        !bench
            .node
            .acknowledged()
            .iter()
            .any(|a| a.sequence == head && a.all)
    );
    while !far_barrier {
        far_barrier = far.until_barrier().await.is_empty();
    }
    bench.node.wait_acknowledged(head).await;
}

#[tokio::test]
async fn two_servers_of_a_group_share_its_people() {
    let (mut one, mut two) = (Server::start().await, Server::start().await);
    let mut plan = Plan::new(&one);
    plan.upstreams.push(upstream(&two, &[DOMAIN]));
    let bench = plan.start();
    let (mut one, mut two) = (one.accept().await, two.accept().await);
    bench.status(Status::is_up).await;
    let people: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let (mut room, base) = Room::with("coven", &names);
    bench.send(&room, base).await;
    for body in ["first", "second"] {
        let said = room.say("p0", body);
        bench.send(&room, said).await;
    }
    let mut homes = std::collections::BTreeMap::<String, Vec<usize>>::new();
    for (home, stream) in [&mut one, &mut two].into_iter().enumerate() {
        for stanza in stream.drain().await {
            homes
                .entry(attribute(&stanza, "to").unwrap())
                .or_default()
                .push(home);
        }
    }
    assert_eq!(homes.len(), 40);
    assert!(
        homes.values().all(|h| h.len() == 2 && h[0] == h[1]),
        "everybody stays where it is"
    );
    let on_first = homes.values().filter(|home| home[0] == 0).count();
    assert!(
        (8..=32).contains(&on_first),
        "{on_first} of 40 on the first"
    );
}

#[tokio::test]
async fn map_81_mirrored_domains_have_a_stream_each() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.domains = vec![domain("muc.example"), domain("mix.example")];
    plan.domains[0].mix = false;
    plan.domains[1].muc = false;
    for (own, mirror) in [(0, "mix.example"), (1, "muc.example")] {
        plan.domains[own].space = "space".into();
        plan.domains[own].mirror = Some(mirror.into());
    }
    plan.upstreams = vec![upstream(&server, &["muc.example", "mix.example"])];
    let bench = plan.start();
    let (one, two) = (server.accept().await, server.accept().await);
    let (mut muc, mut mix) = if one.domain == "muc.example" {
        (one, two)
    } else {
        (two, one)
    };
    bench.status(Status::is_up).await;
    let mut room = Room::in_space("space", "coven");
    room.join("hag66");
    let participate = Command::Participate {
        nodes: coven_core::people::participation::Node::ALL
            .into_iter()
            .collect(),
        nick: Some("crone".into()),
    };
    room.act(&sender("crone1", common::group()), &participate);
    bench.send(&room, vec![room.base(room.head(), &[])]).await;
    let said = room.say("hag66", "hello");
    bench.send(&room, said).await;
    let (in_muc, in_mix) = (muc.stanza().await, mix.stanza().await);
    assert!(
        attribute(&in_muc, "from")
            .unwrap()
            .starts_with("coven@muc.example/"),
        "{in_muc}"
    );
    assert!(
        attribute(&in_mix, "from")
            .unwrap()
            .starts_with("coven@mix.example"),
        "{in_mix}"
    );
}

#[tokio::test]
async fn mix_pamc_09_the_quirk_is_for_the_servers_own_users_only() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.domains[0].muc = false;
    plan.upstreams[0].quirks.ejabberd_pam = true;
    let bench = plan.start();
    let mut stream = server.accept().await;
    bench.status(Status::is_up).await;
    let mut room = Room::new("coven");
    let nodes = coven_core::people::participation::Node::ALL
        .into_iter()
        .collect();
    let create = Command::Create;
    room.act(&sender("hag66", common::group()), &create);
    for (nick, bare) in [
        ("hag", "hag66@shakespeare.example"),
        ("crone", "crone1@elsewhere.example"),
    ] {
        let mut who = sender("hag66", common::group());
        who.bare = coven_core::BareJid::from_normalised(bare);
        who.full = None;
        let nick = Some(nick.into());
        room.act(&who, &Command::Participate { nodes, nick });
    }
    bench.send(&room, vec![room.base(room.head(), &[])]).await;
    let said = room.say("hag66", "hello");
    bench.send(&room, said).await;
    for stanza in stream.stanzas(2).await {
        let own = attribute(&stanza, "to")
            .unwrap()
            .ends_with("shakespeare.example");
        assert_eq!(stanza.contains("<mix xmlns=''/>"), own, "{stanza}");
    }
}

fn answered(room: &str, payload: &'static str, answer: Answer) -> Delivery {
    Delivery::Answer {
        origin: origin(room, payload),
        answer: Box::new(answer),
        operation: None,
    }
}

fn origin(room: &str, payload: &'static str) -> Arc<Origin> {
    Arc::new(Origin {
        kind: StanzaKind::Iq,
        from: "hag66@shakespeare.example/pda".into(),
        to: format!("{room}@{DOMAIN}").into(),
        id: Some("q".into()),
        lang: None,
        view: View::Muc,
        group: common::group(),
        payload: payload.into(),
    })
}
