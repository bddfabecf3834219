//! What a message costs a node: by the number of occupants, and by the number of front-ends that are to have it (design §10).
//!
//! Processor time of the node's thread (from /proc, so Linux only): deciding, committing to memory, encoding, writing to
//! links over loopback, taking acknowledgements. Front-ends run on a thread of their own: each decodes what it gets,
//! acknowledges it and throws it away. Rendering is none of a node's work, and not measured.
//!
//!     cargo bench -p coven --bench links

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coven_cluster::link::Acknowledged;
use coven_cluster::{
    Channel, Delivery, FrontLink, Held, LeaseNumber, NodeLink, Operation, OperationId, Output,
    ProcessId, Request, ShardId, ToFront, ToNode,
};
use coven_core::command::{Join, Post, Traits};
use coven_core::{
    ChannelName, Command, Epoch, FullJid, Group, HistoryRequest, Origin, Sender, Sequence,
    StanzaKind, View,
};
use coven_link::{
    Client, Fronts, Limits, Me, Nodes, Peer, Role, Security, Server, ServerOptions, Stats, Target,
    ToFrontEnd,
};
use coven_node::{Handle, Options, Seat, Service, Take};
use coven_store::{MemoryStore, SessionId};
use tokio::runtime::{Builder, Runtime};

const SPACE: &str = "chat.example";
const MESSAGES: u64 = 4000;
/// Messages that are under way at a time: the same in all runs, so that commits hold about as many.
const WINDOW: u64 = 16;

fn main() {
    let mut base = 0.0;
    for (occupants, links) in [(10, 1), (10_000, 1), (10_000, 2), (10_000, 4), (10, 4)] {
        let micros = measure(occupants, links);
        base = if base == 0.0 { micros } else { base };
        let share = micros / base;
        println!(
            "{occupants:6} occupants  {links} links  {micros:7.1} us of a node's CPU per message  x {share:.2}"
        );
    }
}

fn measure(occupants: u64, links: u64) -> f64 {
    let (node, fronts) = (runtime("node"), runtime("front"));
    let (address, _running) = node.block_on(node.spawn(serve())).unwrap();
    let room = Arc::new(Room::new());
    let _clients: Vec<Client> = fronts.block_on(async {
        let all = (1..=links).map(|no| front(no, &address, &room));
        all.collect()
    });
    fronts.block_on(room.until("links", |room| {
        room.links.lock().unwrap().len() as u64 == links
    }));
    fronts.block_on(room.fill(occupants));
    fronts.block_on(room.talk(MESSAGES / 10));
    let before = cpu_of("node");
    fronts.block_on(room.talk(MESSAGES));
    let micros = (cpu_of("node") - before) * 1e6 / MESSAGES as f64;
    fronts.shutdown_background();
    node.shutdown_background();
    micros
}

/// One thread of this name.
fn runtime(name: &str) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(1).thread_name(name).enable_all();
    builder.build().unwrap()
}

/// A node that owns everything, and takes links.
async fn serve() -> (String, (Service, Server)) {
    let store = Arc::new(MemoryStore::new());
    let names = (1..=4).map(|no| connection(no).into()).collect();
    let options = Options {
        shards: 4,
        connections: HashMap::from([(SPACE.into(), names)]),
        spaces: HashMap::from([(SPACE.into(), Arc::default())]),
        ..Options::default()
    };
    let (handle, service) = Service::start(store, options);
    let take = |shard| Take {
        shard: ShardId(shard),
        judged_dead: None,
        known: Epoch::default(),
    };
    for (_, taken) in handle.take((0..4).map(take).collect(), SessionId(1)).await {
        taken.unwrap();
    }
    let options = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        security: Security::Plain { anywhere: false },
        me: me(1, Role::Node),
        limits: Limits::node(),
        stats: Stats::default(),
    };
    let server = Server::start(options, Arc::new(Chairs(handle)))
        .await
        .unwrap();
    (server.address().to_string(), (service, server))
}

struct Chairs(Handle);

impl Fronts for Chairs {
    type Seat = Seat;

    fn attach(&self, front: &Peer, link: ToFrontEnd) -> Arc<Seat> {
        self.0.attach(front.process, link)
    }

    async fn detached(&self, place: &Seat) {
        place.detached().await;
    }
}

fn me(process: u128, role: Role) -> Me {
    Me {
        process: ProcessId(process),
        role,
        versions: coven_link::hello::VERSIONS,
        formats: 1..=1,
        cluster: "bench".into(),
        shards: 4,
    }
}

fn connection(no: u64) -> String {
    format!("c{no}")
}

/// A front-end that holds one connection.
fn front(no: u64, address: &str, room: &Arc<Room>) -> Client {
    let target = Target {
        address: address.to_owned(),
        process: None,
        security: Security::Plain { anywhere: false },
        me: me(100 + u128::from(no), Role::Front),
        limits: Limits::front(),
        stats: Stats::default(),
    };
    let room = Arc::clone(room);
    Client::start(target, Arc::new(Desk { no, room }))
}

struct Desk {
    no: u64,
    room: Arc<Room>,
}

impl Nodes for Desk {
    type Seat = Ear;

    fn up(&self, _: &Peer, link: Arc<dyn NodeLink>) -> Arc<Ear> {
        let held = Held {
            connection: connection(self.no).into(),
            lease: LeaseNumber(1),
            space: SPACE.into(),
        };
        link.try_send(ToNode::Holds(vec![held])).unwrap();
        let mut links = self.room.links.lock().unwrap();
        links.push((self.no, Arc::clone(&link)));
        Arc::new(Ear {
            no: self.no,
            link,
            room: Arc::clone(&self.room),
            told: AtomicU64::new(0),
        })
    }
}

/// Hears for one front-end, and acknowledges.
#[derive(Debug)]
struct Ear {
    no: u64,
    link: Arc<dyn NodeLink>,
    room: Arc<Room>,
    told: AtomicU64,
}

impl FrontLink for Ear {
    async fn send(&self, message: ToFront) {
        if let ToFront::Output(output) = message {
            self.take(&output);
        }
    }
}

impl Ear {
    fn take(&self, output: &Output) {
        let event = |delivery: &Delivery| match delivery {
            Delivery::Event { record, .. } => Some(record.sequence),
            _ => None,
        };
        let Some(last) = output.deliveries.iter().filter_map(event).max() else {
            return;
        };
        self.room.heard(self.no, last);
        // As a front-end does: not for each event.
        if last.0.saturating_sub(self.told.load(Ordering::Relaxed)) < WINDOW {
            return;
        }
        self.told.store(last.0, Ordering::Relaxed);
        let acknowledged = Acknowledged {
            channel: self.room.channel.clone(),
            connection: connection(self.no).into(),
            lease: LeaseNumber(1),
            epoch: output.epoch,
            sequence: last,
            least: last,
            commit: output.commit,
            all: true,
        };
        let _ = self.link.try_send(ToNode::Acknowledge(vec![acknowledged]));
    }
}

/// The room, as front-ends have heard of it.
#[derive(Debug)]
struct Room {
    channel: Channel,
    links: Mutex<Vec<(u64, Arc<dyn NodeLink>)>>,
    /// The last event that each front-end has heard.
    heard: Mutex<HashMap<u64, Sequence>>,
    n: AtomicU64,
}

impl Room {
    fn new() -> Self {
        let name = ChannelName {
            space: SPACE.into(),
            local: "coven".into(),
        };
        Self {
            channel: Channel::new(name, 4),
            links: Mutex::default(),
            heard: Mutex::default(),
            n: AtomicU64::new(0),
        }
    }

    fn heard(&self, front: u64, last: Sequence) {
        self.heard.lock().unwrap().insert(front, last);
    }

    /// The last event that all have heard.
    fn least(&self) -> u64 {
        let links = self.links.lock().unwrap().len();
        let heard = self.heard.lock().unwrap();
        match heard.len() == links {
            true => heard.values().map(|at| at.0).min().unwrap_or_default(),
            false => 0,
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(300), waiting).await;
        waited.unwrap_or_else(|_| panic!("{what}"));
    }

    /// Lets people in.
    async fn fill(&self, occupants: u64) {
        for no in 0..occupants {
            let before = self.least();
            self.send(no, join(no));
            if no == 0 {
                self.send(0, Command::Configure(Box::default()));
            }
            if no % WINDOW == 0 {
                self.until("joins", |room| room.least() > before).await;
            }
        }
        self.until("all joins", |room| room.least() >= occupants)
            .await;
        self.settle().await;
    }

    /// Waits until nothing more comes.
    async fn settle(&self) {
        loop {
            let before = self.least();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if self.least() == before {
                return;
            }
        }
    }

    async fn talk(&self, messages: u64) {
        let begun = self.least();
        for no in 0..messages {
            self.send(1, post(no));
            self.until("messages", |room| room.least() + WINDOW > begun + no)
                .await;
        }
        self.until("all messages", |room| room.least() >= begun + messages)
            .await;
    }

    fn send(&self, who: u64, command: Command) {
        let n = self.n.fetch_add(1, Ordering::Relaxed) + 1;
        let jid = format!("user{who}@shakespeare.example/pda");
        let full = FullJid::parse(&jid).unwrap();
        let origin = Origin {
            kind: StanzaKind::Message,
            from: jid.as_str().into(),
            to: format!("coven@{SPACE}").into(),
            id: Some("id".into()),
            lang: None,
            view: View::Muc,
            group: Group("main".into()),
            payload: bytes::Bytes::new(),
        };
        let operation = Operation {
            channel: self.channel.clone(),
            sender: Sender {
                bare: full.bare(),
                full: Some(full),
                group: Group("main".into()),
            },
            request: Request::Command(command),
            origin: Arc::new(origin),
            id: Some(OperationId {
                process: 101,
                n,
                prev: n - 1,
                base: n - 1,
            }),
            trace: None,
        };
        let links = self.links.lock().unwrap();
        let (_, first) = links.iter().find(|(no, _)| *no == 1).unwrap();
        first
            .try_send(ToNode::Operation(Box::new(operation)))
            .unwrap();
    }
}

fn join(no: u64) -> Command {
    Command::Join(Box::new(Join {
        nick: Some(format!("nick{no}").into()),
        password: None,
        history: HistoryRequest::default(),
        presence: Arc::default(),
        stanza_id: None,
    }))
}

fn post(no: u64) -> Command {
    let payload = format!("<body>message {no}: {}</body>", "x".repeat(100));
    Command::Post(Box::new(Post {
        view: None,
        own_id: Some(format!("m{no}").into()),
        lang: None,
        payload: payload.into(),
        traits: Traits::BODY,
        subject: None,
        reference: None,
    }))
}

/// Seconds of processor time that threads of this name have used.
fn cpu_of(of: &str) -> f64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.split_once(") ").unwrap();
        if name.split_once('(').unwrap().1.starts_with(of) {
            let fields: Vec<&str> = rest.split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks as f64 / 100.0
}
