//! What a copy costs: from a node's delivery to the socket, without a node and without a server's work.
//!
//! Processor time of the front-end's threads (from /proc, so Linux only), over everything that one copy needs: applying
//! the event, rendering, packing, writing, acknowledging. The other side reads and throws away.
//!
//!     cargo bench -p coven-front --bench fanout

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use common::room::Room;
use coven_cluster::link::{FrontLink, NodeLink};
use coven_cluster::{Delivery, Output, ToNode};
use coven_core::Epoch;
use coven_front::{Barrier, Handle, Options, Service, Upstream};
use coven_xmpp::domains::Domains;
use tokio_util::sync::CancellationToken;

/// Counts acknowledgements.
#[derive(Debug, Default)]
struct Node(AtomicU64);

impl NodeLink for Node {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        if let ToNode::Acknowledge(batch) = message {
            let sum = batch.iter().map(|ack| ack.commit).max().unwrap_or_default();
            self.0.fetch_max(sum, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("front")
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        ceiling(2_000_000);
        fanout(1, 1000, 2000).await;
        fanout(10, 100, 20_000).await;
        fanout(100, 20, 100_000).await;
        join(1000).await;
    });
}

/// What nothing can exceed on this machine at this moment: one ready stanza, only `to` differs, 64 KiB at a time.
fn ceiling(copies: usize) {
    let mut socket = std::net::TcpStream::connect(serve()).unwrap();
    let mut answer = [0; 1024];
    socket.write_all(b"<").unwrap();
    assert!(socket.read(&mut answer).unwrap() > 0);
    socket.write_all(b"<").unwrap();
    assert!(socket.read(&mut answer).unwrap() > 0);
    let (head, tail) = ("x".repeat(120), "x".repeat(214));
    let people: Vec<String> = (0..1000)
        .map(|n| format!("user{n}@shakespeare.example/pda"))
        .collect();
    let mut buffer = Vec::with_capacity(64 * 1024);
    let cpu = cpu_of("fanout");
    for n in 0..copies {
        if buffer.len() > 63 * 1024 {
            socket.write_all(&buffer).unwrap();
            buffer.clear();
        }
        buffer.extend_from_slice(head.as_bytes());
        buffer.extend_from_slice(people[n % 1000].as_bytes());
        buffer.extend_from_slice(tail.as_bytes());
    }
    let cpu = cpu_of("fanout") - cpu;
    println!(
        "{:18} {copies:8} copies of  364 bytes  {:6.3} us of CPU per copy",
        "ceiling",
        cpu * 1e6 / copies as f64
    );
}

/// Messages to rooms.
async fn fanout(rooms: usize, occupants: usize, messages: usize) {
    let bench = Bench::start().await;
    let people: Vec<String> = (0..occupants).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let mut outputs = Vec::new();
    let mut all: Vec<Room> = Vec::new();
    for n in 0..rooms {
        let (room, base) = Room::with(&format!("room{n}"), &names);
        bench.send(&room, 0, base).await;
        all.push(room);
    }
    let body = "x".repeat(64);
    for n in 0..messages {
        let room = &mut all[n % rooms];
        let said = room.say(names[n / rooms % occupants], &body);
        outputs.push((room.channel.clone(), said));
    }
    let count = messages as u64;
    let title = format!("fan-out {rooms} x {occupants}");
    bench
        .measure(&title, count, count * occupants as u64, outputs)
        .await;
}

/// People who join one room, one after the other.
async fn join(occupants: usize) {
    let bench = Bench::start().await;
    let mut room = Room::new("room");
    bench
        .send(&room, 0, vec![room.base(room.head(), &[])])
        .await;
    let mut outputs = Vec::new();
    for n in 0..occupants {
        let joined = room.join(&format!("user{n}"));
        outputs.push((room.channel.clone(), joined));
    }
    // Who made the room has configured it: its events come behind its join.
    outputs.truncate(1);
    let again = room.again(coven_core::Sequence(0), &[]);
    outputs[0].1 = again;
    let (joins, presences) = (occupants as u64, (occupants * occupants) as u64);
    bench.measure("join", joins, presences, outputs).await;
}

struct Bench {
    handle: Handle,
    node: Arc<Node>,
    stop: CancellationToken,
}

impl Bench {
    async fn start() -> Self {
        let options = Options {
            upstreams: vec![Upstream {
                barrier: Barrier::Off,
                ..upstream(serve())
            }],
            domains: Arc::new(Domains::new([common::domain(common::DOMAIN)])),
            shards: 1024,
            rates: None,
            workers: None,
        };
        let (service, handle) = Service::new(options).unwrap();
        let (node, stop) = (Arc::new(Node::default()), CancellationToken::new());
        tokio::spawn(service.run(node.clone(), stop.clone()));
        let mut status = handle.status();
        status.wait_for(coven_front::Status::is_up).await.unwrap();
        Self { handle, node, stop }
    }

    async fn send(&self, room: &Room, commit: u64, deliveries: Vec<Delivery>) {
        let channel = Some(room.channel.clone());
        let output = Output {
            channel,
            epoch: Epoch::default(),
            commit,
            deliveries,
            trace: None,
        };
        self.handle.send(output.into()).await;
    }

    async fn measure(
        self,
        title: &str,
        events: u64,
        copies: u64,
        outputs: Vec<(coven_cluster::Channel, Vec<Delivery>)>,
    ) {
        let before = self.handle.snapshot();
        let (start, cpu) = (Instant::now(), cpu());
        let last = outputs.len() as u64;
        for (commit, (channel, deliveries)) in (1..).zip(outputs) {
            let channel = Some(channel);
            let output = Output {
                channel,
                epoch: Epoch::default(),
                commit,
                deliveries,
                trace: None,
            };
            self.handle.send(output.into()).await;
        }
        while self.node.0.load(Ordering::Relaxed) < last {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let (wall, cpu) = (start.elapsed(), self::cpu() - cpu);
        let after = self.handle.snapshot();
        let written = after.copies - before.copies;
        assert!(written >= copies, "{written} of {copies}");
        let bytes = after.connections[0].bytes_written - before.connections[0].bytes_written;
        let writes = after.connections[0].writes - before.connections[0].writes;
        println!(
            "{title:18} {copies:8} copies of {:4} bytes  {:6.3} us of CPU per copy  {:8.2} us per event  \
             {:7.0} bytes per write  {:5.2} s",
            bytes / written,
            cpu * 1e6 / copies as f64,
            cpu * 1e6 / events as f64,
            bytes as f64 / writes as f64,
            wall.as_secs_f64(),
        );
        self.stop.cancel();
    }
}

fn upstream(address: SocketAddr) -> Upstream {
    Upstream {
        host: address.ip().to_string(),
        port: address.port(),
        domains: vec![common::DOMAIN.into()],
        secrets: common::secrets(&[common::SECRET]),
        group: common::group(),
        barrier: Barrier::OwnDomain,
        hosts: Vec::new(),
        slots: coven_front::Slots::default(),
        max_stanza_bytes: 256 * 1024,
        quirks: coven_front::Quirks::default(),
    }
}

/// A server that takes everything.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 20];
        assert!(socket.read(&mut buffer).unwrap() > 0);
        let header = "<stream:stream xmlns='jabber:component:accept' \
                      xmlns:stream='http://etherx.jabber.org/streams' id='1'>";
        socket.write_all(header.as_bytes()).unwrap();
        assert!(socket.read(&mut buffer).unwrap() > 0);
        socket.write_all(b"<handshake/>").unwrap();
        while socket.read(&mut buffer).is_ok_and(|read| read > 0) {}
    };
    let server = std::thread::Builder::new().name("server".to_owned());
    server.spawn(serving).unwrap();
    address
}

/// Processor time of the front-end's threads, in seconds.
fn cpu() -> f64 {
    cpu_of("front")
}

/// Processor time of the threads whose name begins like this.
fn cpu_of(of: &str) -> f64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
        let (name, rest) = stat.split_once(") ").unwrap();
        if name.split_once('(').unwrap().1.starts_with(of) {
            let fields: Vec<&str> = rest.split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks as f64 / 100.0
}
