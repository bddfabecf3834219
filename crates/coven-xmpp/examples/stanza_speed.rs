//! Prints what one stanza costs on its way in and one copy on its way out: `cargo run --release --example stanza_speed`.
//! With a part of a line's name it does that line once: for counting instructions.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring tool"
)]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use coven_xmpp::stanza::strip::{Ours, strip};
use coven_xmpp::stanza::{Address, Head, Kind, Scope, Stanza, Template};
use coven_xmpp::stream::{Frame, Framer, Limits, Writer};
use rxml::{Event, Parse, Parser};

const MESSAGE: &str = "<message from='hag66@shakespeare.example/pda-4f1c' to='coven@chat.shakespeare.example' \
     type='groupchat' id='a7b1c2d3-1e2f' xml:lang='en'><body>Harpier cries: &apos;tis time, &apos;tis time.</body>\
     <origin-id xmlns='urn:xmpp:sid:0' id='a7b1c2d3-1e2f'/></message>";
const PRESENCE: &str = "<presence from='hag66@shakespeare.example/pda-4f1c' to='coven@chat.shakespeare.example/thirdwitch'>\
     <x xmlns='http://jabber.org/protocol/muc'/></presence>";

fn main() {
    println!(
        "message {} bytes, presence {} bytes",
        MESSAGE.len(),
        PRESENCE.len()
    );
    for (name, xml) in [("message", MESSAGE), ("presence", PRESENCE)] {
        framing(name, xml);
        reading(name, xml);
        by_rxml(name, xml);
    }
    stripping();
    writing();
}

/// The best of ten rounds: the machine may have other work.
fn measure(what: &str, times: u32, mut work: impl FnMut()) {
    let only = std::env::args().nth(1);
    if only
        .as_ref()
        .is_some_and(|only| !what.contains(only.as_str()))
    {
        return;
    }
    let rounds = if only.is_some() { 1 } else { 10 };
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let started = Instant::now();
        for _ in 0..times {
            work();
        }
        best = best.min(started.elapsed().as_nanos() as f64 / f64::from(times));
    }
    println!("{what:<45} {best:>8.0} ns");
}

fn framing(name: &str, xml: &str) {
    let limits = Limits::default();
    let chunk = xml.repeat(200);
    let mut framer = Framer::new(&limits);
    framer.next(&mut &b"<stream:stream>"[..]).expect("a header");
    let mut count = 0_u32;
    measure(
        &format!("{name}: framing, 200 in a chunk, x200"),
        50,
        || {
            let mut input = chunk.as_bytes();
            while let Ok(Some(Frame::Stanza(stanza))) = framer.next(&mut input) {
                count += u32::from(!black_box(stanza).is_empty());
            }
        },
    );
}

fn reading(name: &str, xml: &str) {
    let (scope, limits) = (Scope::default(), Limits::default());
    let bytes = Bytes::copy_from_slice(xml.as_bytes());
    measure(&format!("{name}: reading"), 20_000, || {
        black_box(Stanza::read(black_box(&bytes), &scope, &limits).expect("a stanza"));
    });
}

fn by_rxml(name: &str, xml: &str) {
    measure(&format!("{name}: rxml, for comparison"), 5_000, || {
        let mut parser = Parser::new();
        let mut input = xml.as_bytes();
        while let Ok(Some(event)) = parser.parse(&mut input, true) {
            black_box::<Event>(event);
        }
    });
}

fn stripping() {
    let (scope, limits) = (Scope::default(), Limits::default());
    let bytes = Bytes::copy_from_slice(MESSAGE.as_bytes());
    let stanza = Stanza::read(&bytes, &scope, &limits).expect("a stanza");
    let ours = Ours::new([Address::new("coven@chat.shakespeare.example")
        .bare_jid()
        .expect("an address")]);
    measure("message: stripping", 20_000, || {
        black_box(strip(black_box(&stanza.payload), &ours));
    });
    measure("address: preparing", 20_000, || {
        black_box(black_box(&stanza.from).bare_jid().expect("an address"));
    });
}

fn writing() {
    let payload = "<body>Harpier cries: 'tis time, 'tis time.</body><occupant-id xmlns='urn:xmpp:occupant-id:0' id='x'/>";
    let head = Head::new(Kind::Message, "coven@chat.shakespeare.example/thirdwitch")
        .with_type("groupchat");
    let template = Template::new(&head, payload.as_bytes());
    let mut writer = Writer::new("chat.shakespeare.example", 262_144);
    measure("template: one copy", 200_000, || {
        writer
            .push(&template, "wiccarocks@shakespeare.example/laptop")
            .expect("room");
        while writer.take_full().is_some() {}
    });
}
