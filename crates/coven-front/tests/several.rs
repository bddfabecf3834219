//! Several connections of one domain to one server: by the addresses of its name, and by number (design §6).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::room::Room;
use common::server::{Server, Stream, message};
use common::{Bench, DOMAIN, Plan, SOON, until};
use coven_core::Group;
use coven_front::{Barrier, Dial, Dialing, Resolving, Slots, Status, Tcp};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use tokio::time::timeout;

/// Three nodes of a server, each with an address of its own at the same port.
#[derive(Debug)]
struct Names(Mutex<Vec<IpAddr>>);

impl Dial for Names {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a> {
        Tcp.dial(host, port)
    }

    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(found) })
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

fn slots(server_nodes: u16, each: u16) -> Slots {
    Slots {
        server_nodes: NonZeroU16::new(server_nodes).unwrap(),
        each: NonZeroU16::new(each).unwrap(),
    }
}

fn plan(server: &Server, slots: Slots) -> Plan {
    let mut plan = Plan::new(server);
    plan.upstreams[0].host = "chat-server.example".to_owned();
    plan.upstreams[0].slots = slots;
    plan
}

/// Nodes of a server at 127.0.0.2 and so on, all at the same port.
async fn server_nodes(count: u8) -> Vec<Server> {
    'port: loop {
        let mut servers = vec![Server::at(address(2), 0).await.unwrap()];
        for last in 3..2 + count {
            match Server::at(address(last), servers[0].address.port()).await {
                Ok(server) => servers.push(server),
                Err(_) => continue 'port,
            }
        }
        return servers;
    }
}

#[tokio::test]
async fn each_node_of_a_server_gets_one_stream() {
    let mut servers = server_nodes(3).await;
    let names = Arc::new(Names(Mutex::new([2, 3, 4].map(address).into())));
    let bench = plan(&servers[0], slots(3, 1)).start_with(names);
    let mut streams = Vec::new();
    for server in &mut servers {
        streams.push(server.accept().await);
    }
    bench.status(Status::is_up).await;
    let at = |bench: &Bench| -> Vec<String> {
        let all = bench.handle.connections().into_iter();
        let mut at: Vec<_> = all.map(|it| it.server_node.to_string()).collect();
        at.sort();
        at
    };
    let port = servers[0].address.port();
    assert_eq!(
        at(&bench),
        [2, 3, 4].map(|last| format!("127.0.0.{last}:{port}"))
    );
    // Each person is reached by one of them.
    let people: Vec<_> = (0..30).map(|n| format!("u{n}")).collect();
    let all: Vec<&str> = people.iter().map(String::as_str).collect();
    let (mut room, base) = Room::with("coven", &all);
    bench.send(&room, base).await;
    let said = room.say("u1", "hello");
    bench.commit(&room, 1, said).await;
    let mut heard = Vec::new();
    for stream in &mut streams {
        let part = stream.drain().await;
        assert!(!part.is_empty(), "nobody at one of them");
        heard.extend(part);
    }
    while heard.len() < 30 {
        for stream in &mut streams {
            heard.extend(stream.drain().await);
        }
    }
    assert_eq!(heard.len(), 30);
}

#[tokio::test]
async fn what_a_lost_node_had_not_taken_in_goes_to_the_one_in_its_place() {
    let mut servers = server_nodes(3).await;
    let names = Arc::new(Names(Mutex::new([2, 3].map(address).into())));
    let bench = plan(&servers[0], slots(2, 1)).start_with(names.clone());
    let mut first = servers[0].accept().await;
    let mut second = servers[1].accept().await;
    bench.status(Status::is_up).await;
    let (mut room, base) = Room::with("coven", &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let known = room.head();
    bench.send(&room, base).await;
    (first.answers, second.answers) = (false, false);
    let said = room.say("a", "hello");
    bench.commit(&room, 1, said).await;
    let lost = second.until_barrier().await.len();
    let kept = first.until_barrier().await.len();
    assert_eq!(lost + kept, 8);
    first.answers = true;
    first.release().await;
    // Its node goes, and another takes its place.
    *names.0.lock().unwrap() = [2, 4].map(address).into();
    servers[1].stop();
    drop(second);
    let mut third = servers[2].accept().await;
    let asked = || !bench.node.lost().is_empty();
    until("it asks for what was lost", asked).await;
    let again = room.again(known, &[]);
    bench.commit(&room, 1, again).await;
    assert_eq!(third.stanzas(lost).await.len(), lost);
    assert_eq!(first.drain().await, [""; 0], "nobody there hears it twice");
}

async fn balanced(each: u16) -> (Bench, Server, Vec<Stream>) {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams[0].slots = slots(1, each);
    plan.upstreams[0].barrier = Barrier::Off;
    let bench = plan.start();
    let mut streams = Vec::new();
    for _ in 0..each {
        streams.push(server.accept().await);
    }
    bench.status(Status::is_up).await;
    (bench, server, streams)
}

#[tokio::test]
async fn balanced_has_several_streams_to_one_node() {
    let (bench, _server, _streams) = balanced(3).await;
    let names = bench.handle.connections();
    let names: Vec<_> = names.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names.len(), 3);
    assert!(
        names[2].contains("#2/chat.example") && !names[0].contains('#'),
        "{names:?}"
    );
    assert_eq!(bench.handle.connections()[1].group, Group("main".into()));
}

#[tokio::test]
async fn a_server_that_spreads_one_sender_over_streams_is_counted_and_another_is_not() {
    let (bench, _server, mut streams) = balanced(2).await;
    let reordered = || bench.handle.snapshot().reordered;
    for body in ["one", "two", "three"] {
        streams[0].send(&message("hag66", "coven", body)).await;
        streams[1].send(&message("wiccarocks", "coven", body)).await;
    }
    let read = |count| {
        let handle = bench.handle.clone();
        async move { until("it is read", || handle.snapshot().stanzas_read >= count).await }
    };
    read(6).await;
    assert_eq!(reordered(), 0);
    let spread = async {
        for stream in [1, 0].into_iter().cycle() {
            let before = bench.handle.snapshot().stanzas_read;
            streams[stream].send(&message("hag66", "coven", "x")).await;
            read(before + 1).await;
            if reordered() > 0 {
                break;
            }
        }
    };
    timeout(SOON, spread).await.unwrap();
}

/// A barrier that is not answered yet: a word of a room to somebody goes out on one of the streams.
async fn a_barrier(bench: &Bench, stream: &mut Stream) -> String {
    let (mut room, base) = Room::with("coven", &["a", "b", "c", "d", "e", "f", "g", "h"]);
    bench.send(&room, base).await;
    let said = room.say("a", "hello");
    bench.commit(&room, 1, said).await;
    stream.until_barrier().await;
    stream.held.remove(0)
}

#[tokio::test]
async fn a_barrier_answered_on_another_stream_of_its_domain_is_counted() {
    let mut servers = server_nodes(2).await;
    let names = Arc::new(Names(Mutex::new([2, 3].map(address).into())));
    let bench = plan(&servers[0], slots(2, 1)).start_with(names);
    let mut first = servers[0].accept().await;
    let mut second = servers[1].accept().await;
    bench.status(Status::is_up).await;
    first.answers = false;
    let barrier = a_barrier(&bench, &mut first).await;
    second.send(&barrier).await;
    let counted = || bench.handle.snapshot().reordered == 1;
    until("it is counted", counted).await;
}

/// The set-up of ejabberd with `global_routes: true` has a warning of its own.
#[tokio::test]
async fn map_27_a_barrier_answered_on_the_stream_of_another_domain_is_not_counted() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.upstreams = vec![common::upstream(&server, &[DOMAIN, OTHER])];
    plan.domains.push(common::domain(OTHER));
    let bench = plan.start();
    let (one, two) = (server.accept().await, server.accept().await);
    bench.status(Status::is_up).await;
    let (mut asked, mut other) = if one.domain == DOMAIN {
        (one, two)
    } else {
        (two, one)
    };
    asked.answers = false;
    let barrier = a_barrier(&bench, &mut asked).await;
    other.send(&barrier).await;
    let answered = || !bench.node.acknowledged().is_empty();
    until("it counts as answered", answered).await;
    assert_eq!(bench.handle.snapshot().reordered, 0);
}

const OTHER: &str = "mix.chat.example";
