//! How much memory loaded channels take: `cargo run --release -p coven-core --example memory [rooms]`.
//!
//! Rooms are made and entered as by clients, with bare JIDs, nicks and presences of usual length; a presence is an
//! allocation of its own, as it is when a stanza was read. What the process holds is read from Linux before and after,
//! so that the allocator's overhead counts. Prints one line of JSON: bytes of a room with its first occupant, and of each
//! further occupant.

#![allow(clippy::expect_used, reason = "a tool for developers")]

use bytes::Bytes;
use coven_core::channel::Facts;
use coven_core::command::{Command, Join, Sender};
use coven_core::presence::session::{Presence, Show};
use coven_core::{
    BareJid, Channel, ChannelName, Epoch, FullJid, Group, HistoryRequest, Service, Timestamp,
};
use std::sync::Arc;

const PRESENCE: &str = "<priority>1</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
                        node='https://client.example' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>";

fn main() {
    let rooms = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let rooms: usize = rooms.unwrap_or(20_000);
    let start = used();
    let mut channels: Vec<Channel> = (0..rooms).map(room).collect();
    let of_room = per(used() - start, rooms);
    let mut before = used();
    for occupant in 1..3 {
        for channel in &mut channels {
            join(channel, occupant);
        }
        let bytes = per(used() - before, rooms);
        println!("{{\"rooms\":{rooms},\"room\":{of_room},\"occupant\":{bytes}}}");
        before = used();
    }
    let crowd = 50_000;
    let before = used();
    let mut channel = room(0);
    for occupant in 1..crowd {
        join(&mut channel, occupant);
    }
    let bytes = per(used() - before, crowd);
    println!("{{\"rooms\":1,\"occupants\":{crowd},\"occupant\":{bytes}}}");
}

fn room(number: usize) -> Channel {
    let mut channel = Channel::new(ChannelName {
        space: "chat.example".into(),
        local: format!("room{number}").into(),
    });
    join(&mut channel, 0);
    act(&mut channel, 0, &Command::Configure(Box::default()));
    channel
}

fn join(channel: &mut Channel, occupant: usize) {
    let join = Join {
        nick: Some(format!("Nick of {occupant}").into()),
        password: None,
        history: HistoryRequest::default(),
        presence: Arc::new(Presence {
            show: Show::Available,
            payload: Bytes::copy_from_slice(PRESENCE.as_bytes()),
        }),
        stanza_id: None,
    };
    act(channel, occupant, &Command::Join(Box::new(join)));
}

fn act(channel: &mut Channel, occupant: usize, command: &Command) {
    let bare = BareJid::parse(&format!("user{occupant:06}@shakespeare.example")).expect("a JID");
    let sender = Sender {
        full: Some(FullJid::new(&bare, "gajim.A1B2C3D4")),
        bare,
        group: Group("main".into()),
    };
    let facts = Facts {
        now: Timestamp(1_800_000_000_000),
        random: [7; 32],
        service: Arc::new(Service::default()),
        resolved: None,
        owned: 0,
    };
    let decision = channel.decide(&sender, command, &facts).expect("allowed");
    for record in channel.records(decision.events, facts.now, Epoch(1)) {
        channel.apply(&record);
    }
}

/// Bytes that the process holds in memory.
fn used() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0usize) * 4096
}

const fn per(bytes: usize, of: usize) -> usize {
    bytes / of
}
