//! What one copy costs: a message to a room of 1000, and a join into one, from the event to the bytes in the buffer.
//!
//! `cargo bench -p coven-xmpp`. Targets: below 0.2 us for a copy of a message, below 0.3 us for a presence (design §10).

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use bytes::Bytes;
use coven_core::command::Join;
use coven_core::presence::session::{Presence, Show};
use coven_core::{
    BareJid, Channel, ChannelName, Command, Delta, Epoch, Facts, FullJid, Group, Record, Sender,
    Service, Timestamp,
};
use coven_xmpp::dispatch::{Context, Inbound, Request, dispatch};
use coven_xmpp::domains::{Domain, Domains};
use coven_xmpp::render::{Recipient, Renderer, Sink};
use coven_xmpp::stanza::{Outgoing, Scope, Stanza, Template};
use coven_xmpp::stream::{Limits, Writer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

struct Buffer(Writer);

impl Sink for Buffer {
    fn send(&mut self, template: &Template, to: Recipient<'_>) {
        self.0.push(template, to.to).unwrap();
        while let Some(chunk) = self.0.take_full() {
            black_box(chunk);
        }
    }

    fn answer(&mut self, stanza: Outgoing, _group: &Group) {
        self.0.push_outgoing(&stanza).unwrap();
    }
}

struct Room {
    channel: Channel,
    renderer: Renderer,
    service: Arc<Service>,
    buffer: Buffer,
}

fn sender(n: usize) -> Sender {
    let full = FullJid::parse(&format!("user{n}@host{}.example/resource-{n:06}", n % 7)).unwrap();
    Sender {
        bare: BareJid::parse(full.as_str()).unwrap(),
        full: Some(full),
        group: Group("main".into()),
    }
}

fn domains() -> Domains {
    Domains::new([Domain {
        name: "chat.example".into(),
        space: "chat.example".into(),
        muc: true,
        mix: true,
        mirror: None,
        title: String::new(),
        contacts: Vec::new(),
        service: Arc::new(Service::default()),
    }])
}

impl Room {
    fn of(occupants: usize) -> Self {
        let name = ChannelName {
            space: "chat.example".into(),
            local: "coven".into(),
        };
        let mut room = Self {
            renderer: Renderer::new(&domains().names(&name)),
            channel: Channel::new(name),
            service: Arc::new(Service {
                lock_timeout_ms: None,
                ..Service::default()
            }),
            buffer: Buffer(Writer::new("chat.example", 256 * 1024)),
        };
        for n in 0..occupants {
            room.render_all(&sender(n), &join(n));
        }
        room
    }

    fn records(&self, sender: &Sender, command: &Command) -> Vec<Arc<Record>> {
        let facts = Facts {
            now: Timestamp(1_767_268_800_000),
            random: [7; 32],
            service: Arc::clone(&self.service),
            resolved: None,
            owned: 0,
        };
        let decision = self.channel.decide(sender, command, &facts).unwrap();
        self.channel.records(decision.events, facts.now, Epoch(1))
    }

    fn render(&mut self, delta: &Delta, record: &Record) {
        let roster = self.channel.roster();
        self.renderer
            .event(roster, delta, record, &[], &mut self.buffer);
    }

    fn render_all(&mut self, sender: &Sender, command: &Command) {
        for record in self.records(sender, command) {
            let delta = self.channel.apply(&record);
            self.render(&delta, &record);
        }
    }
}

fn join(n: usize) -> Command {
    let caps = "<show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' \
                ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>";
    Command::Join(Box::new(Join {
        nick: Some(format!("user{n}").into()),
        password: None,
        history: coven_core::HistoryRequest::default(),
        presence: Arc::new(Presence {
            show: Show::Away,
            payload: Bytes::from_static(caps.as_bytes()),
        }),
        stanza_id: None,
    }))
}

fn leave() -> Command {
    Command::Leave {
        payload: Bytes::new(),
    }
}

const MESSAGE: &str = "<message from='user1@host1.example/resource-000001' to='coven@chat.example' type='groupchat' \
     id='5b1c9a52-2d3c-4bd5-9f0e-3f3c6f6b1a11'><body>When shall we three meet again?</body>\
     <origin-id xmlns='urn:xmpp:sid:0' id='5b1c9a52-2d3c-4bd5-9f0e-3f3c6f6b1a11'/></message>";

fn inbound() -> Inbound {
    let bytes = Bytes::from_static(MESSAGE.as_bytes());
    let stanza = Stanza::read(&bytes, &Scope::default(), &Limits::default()).unwrap();
    let (domains, group) = (domains(), Group("main".into()));
    let context = Context {
        domains: &domains,
        group: &group,
        now: Timestamp(0),
        random: || [0; 32],
    };
    dispatch(&stanza, &context)
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("message");
    let Inbound::Channel {
        request: Request::Command(post),
        ..
    } = inbound()
    else {
        unreachable!()
    };
    for occupants in [20, 1000] {
        let mut room = Room::of(occupants);
        let records = room.records(&sender(1), &post);
        let record = records.first().unwrap();
        group.throughput(Throughput::Elements(occupants as u64));
        group.bench_function(format!("{occupants} copies"), |b| {
            b.iter(|| room.render(&Delta::default(), record));
        });
    }
    group.finish();
}

fn joins(c: &mut Criterion) {
    let mut group = c.benchmark_group("join");
    for occupants in [3, 1000] {
        let mut room = Room::of(occupants);
        let newcomer = sender(occupants);
        group.throughput(Throughput::Elements(2 * occupants as u64));
        group.bench_function(format!("and leave, {occupants} occupants"), |b| {
            b.iter(|| {
                room.render_all(&newcomer, &join(occupants));
                room.render_all(&newcomer, &leave());
            });
        });
    }
    group.finish();
}

fn way_in(c: &mut Criterion) {
    let bytes = Bytes::from_static(MESSAGE.as_bytes());
    let (domains, group, limits) = (domains(), Group("main".into()), Limits::default());
    let context = Context {
        domains: &domains,
        group: &group,
        now: Timestamp(0),
        random: || [0; 32],
    };
    let scope = Scope::default();
    c.bench_function("read a message", |b| {
        b.iter(|| Stanza::read(black_box(&bytes), &scope, &limits).unwrap());
    });
    let stanza = Stanza::read(&bytes, &scope, &limits).unwrap();
    c.bench_function("dispatch a message", |b| {
        b.iter(|| dispatch(black_box(&stanza), &context));
    });
}

criterion_group!(benches, fan_out, joins, way_in);
criterion_main!(benches);
