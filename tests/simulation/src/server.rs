//! An XMPP server as components and clients see it: nodes with one component listener each, and the users' sessions.
//!
//! Owns the server's side of XEP-0114 (one stream per node for the one domain), the routing of stanzas between streams and
//! users, and what a server does by itself: bounces to sessions that are gone, and from users while nothing is attached. A
//! server takes in a stream's bytes in order and at its own pace; what it has taken in is with the user.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coven_front::{Dial, Dialing, Socket};
use coven_xmpp::stream::{Frame, Framer, Limits};
use sha1::{Digest, Sha1};

use crate::rng::Rng;
use crate::stanza::{attribute, name};
use crate::wire::Wire;

/// The domain of the component.
pub const DOMAIN: &str = "chat.example";
/// What it is attached with.
pub const SECRET: &str = "secret";
/// The port of the first node's listener; the others follow.
pub const FIRST_PORT: u16 = 5000;
const STREAM_ID: &str = "3BF96D32";

/// Numbers the streams of all nodes.
pub type StreamNo = u64;

/// All nodes of the server.
#[derive(Debug)]
pub struct Server {
    nodes: Vec<Node>,
    dialled: Arc<Mutex<Dialled>>,
    streams: StreamNo,
    /// A second stream of a domain does not end the first for so long (ejabberd takes both); 0: it does (Prosody).
    keeps: u64,
    rng: Rng,
}

#[derive(Debug, Default)]
struct Node {
    stream: Option<Stream>,
    /// Streams that another front-end has taken the place of: what they have sent is taken in until then.
    lingering: Vec<(u64, Stream)>,
    /// Nothing is read before this time.
    stalled_until: u64,
    /// Streams taken in before, which have still something to say.
    last_given: u64,
}

#[derive(Debug)]
struct Stream {
    no: StreamNo,
    /// Where its front-end is.
    place: usize,
    wire: Wire,
    framer: Framer,
    phase: Phase,
    /// What the server writes, and when.
    giving: VecDeque<(u64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Shaking,
    Ready,
    Over,
}

#[derive(Debug, Default)]
struct Dialled {
    /// Which listeners take connections.
    open: Vec<bool>,
    /// Connections that were made: from which place, to which node.
    made: Vec<(usize, usize, Wire)>,
}

/// The front-ends' way to the server.
#[derive(Debug, Clone)]
pub struct Network {
    dialled: Arc<Mutex<Dialled>>,
    /// Where the front-end is.
    place: usize,
}

impl Network {
    /// As a front-end at this place has it.
    #[must_use]
    pub fn of(&self, place: usize) -> Self {
        let dialled = Arc::clone(&self.dialled);
        Self { dialled, place }
    }
}

/// What the server did.
#[derive(Debug, PartialEq, Eq)]
pub enum Did {
    /// A stream is ready, on this node.
    Up(usize, StreamNo),
    /// A stream is over.
    Down(StreamNo),
    /// A stanza from the component reached the server.
    Took(usize, StreamNo, String),
}

impl Dial for Network {
    fn dial<'a>(&'a self, _host: &'a str, port: u16) -> Dialing<'a> {
        Box::pin(async move {
            let mut dialled = lock(&self.dialled);
            let node = usize::from(port - FIRST_PORT);
            if !dialled.open.get(node).copied().unwrap_or_default() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (wire, socket): (Wire, Socket) = Wire::new(16 * 1024);
            dialled.made.push((self.place, node, wire));
            Ok(socket)
        })
    }
}

impl Server {
    /// A server of so many nodes, all listening.
    #[must_use]
    pub fn new(nodes: usize, rng: Rng) -> Self {
        let dialled = Dialled {
            open: vec![true; nodes],
            made: Vec::new(),
        };
        Self {
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            dialled: Arc::new(Mutex::new(dialled)),
            streams: 0,
            keeps: 0,
            rng,
        }
    }

    /// Second streams of a domain do not end first ones for so long.
    pub fn keep_both(&mut self, micros: u64) {
        self.keeps = micros;
    }

    /// The way to it.
    #[must_use]
    pub fn network(&self) -> Network {
        Network {
            dialled: Arc::clone(&self.dialled),
            place: 0,
        }
    }

    /// Accepts, reads, writes.
    pub fn step(&mut self, now: u64) -> Vec<Did> {
        let mut did = Vec::new();
        let made = std::mem::take(&mut lock(&self.dialled).made);
        for (place, node, wire) in made {
            self.accept((place, node), wire, now, &mut did);
        }
        for node in 0..self.nodes.len() {
            self.linger(node, now, &mut did);
            self.read(node, now, &mut did);
            self.write(node, now);
        }
        did
    }

    /// The stream of a node breaks; of what is under way the server still takes in a part.
    pub fn cut(&mut self, node: usize) {
        let Some(stream) = self.nodes[node].stream.as_ref() else {
            return;
        };
        let kept = self.rng.range(0, stream.wire.waiting() as u64 + 1) as usize;
        stream.wire.cut(kept);
    }

    /// The listener of a node takes no connections, or does again.
    pub fn listen(&mut self, node: usize, open: bool) {
        lock(&self.dialled).open[node] = open;
    }

    /// A node reads nothing until then.
    pub fn stall(&mut self, node: usize, until: u64) {
        self.nodes[node].stalled_until = until;
    }

    /// The stream that stanzas of a user of this node go by.
    #[must_use]
    pub fn way(&self, node: usize) -> Option<StreamNo> {
        let ready = |node: &Node| {
            let stream = node.stream.as_ref()?;
            (stream.phase == Phase::Ready).then_some(stream.no)
        };
        let own = self.nodes.get(node).and_then(ready);
        own.or_else(|| self.nodes.iter().find_map(ready))
    }

    /// A stanza for the component, by this stream.
    pub fn give(&mut self, stream: StreamNo, now: u64, xml: String) {
        let usual = self.rng.skewed(4_000, 60_000);
        let nodes = self.nodes.iter_mut();
        for node in nodes {
            let last = node.last_given;
            if let Some(found) = node.stream.as_mut().filter(|s| s.no == stream) {
                let at = last.max(now + usual);
                node.last_given = at;
                found.giving.push_back((at, xml));
                return;
            }
        }
    }

    fn accept(&mut self, (place, node): (usize, usize), wire: Wire, now: u64, did: &mut Vec<Did>) {
        self.streams += 1;
        let limits = Limits {
            stanza_bytes: 16 * 1024 * 1024,
            ..Limits::default()
        };
        let stream = Stream {
            no: self.streams,
            place,
            wire,
            framer: Framer::new(&limits),
            phase: Phase::Opening,
            giving: VecDeque::new(),
        };
        let before = self.nodes[node].stream.replace(stream);
        if let Some(before) = before {
            if self.keeps == 0 {
                conflict(&before);
            }
            did.push(Did::Down(before.no));
            if before.place != place && before.phase == Phase::Ready {
                let until = now + self.keeps.max(self.rng.skewed(20_000, 100_000));
                self.nodes[node].lingering.push((until, before));
            }
        }
    }

    /// Takes in what came by streams that are kicked: a server's part that reads is not the one that kicks.
    fn linger(&mut self, node: usize, now: u64, did: &mut Vec<Did>) {
        let mut lingering = std::mem::take(&mut self.nodes[node].lingering);
        lingering.retain(|(until, _)| now < *until);
        for (_, stream) in &mut lingering {
            let bytes = stream.wire.take(16 * 1024);
            let mut rest = bytes.as_slice();
            while let Ok(Some(frame)) = stream.framer.next(&mut rest) {
                if let Frame::Stanza(xml) = frame {
                    let xml = String::from_utf8_lossy(&xml).into_owned();
                    if attribute(&xml, "to") == Some(DOMAIN) {
                        stream.wire.give(xml.as_bytes());
                    } else {
                        did.push(Did::Took(node, stream.no, xml));
                    }
                }
            }
        }
        self.nodes[node].lingering = lingering;
    }

    fn read(&mut self, node: usize, now: u64, did: &mut Vec<Did>) {
        if now < self.nodes[node].stalled_until {
            return;
        }
        let Some(mut stream) = self.nodes[node].stream.take() else {
            return;
        };
        let bytes = stream
            .wire
            .take(self.rng.skewed(8 * 1024, 64 * 1024) as usize + 1);
        let mut rest = bytes.as_slice();
        while let Ok(Some(frame)) = stream.framer.next(&mut rest) {
            self.frame(&mut stream, node, now, frame, did);
        }
        if stream.wire.is_over() || stream.phase == Phase::Over {
            stream.wire.close();
            did.push(Did::Down(stream.no));
            return;
        }
        self.nodes[node].stream = Some(stream);
    }

    fn frame(
        &mut self,
        stream: &mut Stream,
        node: usize,
        now: u64,
        frame: Frame,
        did: &mut Vec<Did>,
    ) {
        match (frame, stream.phase) {
            (Frame::Open(_), _) => {
                stream.phase = Phase::Shaking;
                stream.wire.give(header().as_bytes());
            }
            (Frame::Stanza(xml), Phase::Shaking) if xml == handshake() => {
                stream.phase = Phase::Ready;
                stream.wire.give(b"<handshake/>");
                did.push(Did::Up(node, stream.no));
            }
            (Frame::Stanza(xml), Phase::Ready) => {
                let xml = String::from_utf8_lossy(&xml).into_owned();
                if attribute(&xml, "to") == Some(DOMAIN) {
                    let takes = self.rng.skewed(3_000, 30_000);
                    let last = self.nodes[node].last_given;
                    let at = last.max(now + takes);
                    self.nodes[node].last_given = at;
                    stream.giving.push_back((at, xml));
                } else {
                    did.push(Did::Took(node, stream.no, xml));
                }
            }
            (Frame::Close, _) => {
                // What it has still to say is said before its own end.
                for (_, xml) in stream.giving.drain(..) {
                    stream.wire.give(xml.as_bytes());
                }
                stream.wire.give(b"</stream:stream>");
                stream.phase = Phase::Over;
            }
            _ => {}
        }
    }

    fn write(&mut self, node: usize, now: u64) {
        let Some(stream) = self.nodes[node].stream.as_mut() else {
            return;
        };
        while stream.giving.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, xml)) = stream.giving.pop_front() {
                stream.wire.give(xml.as_bytes());
            }
        }
    }
}

/// The bounce of a stanza to a session that is gone; `None` where servers say nothing.
#[must_use]
pub fn bounce(xml: &str) -> Option<String> {
    let kind = name(xml);
    let type_ = attribute(xml, "type").unwrap_or_default();
    let bounces = match kind {
        "message" => type_ != "error",
        "iq" => matches!(type_, "get" | "set"),
        _ => false,
    };
    let (from, to) = (attribute(xml, "from")?, attribute(xml, "to")?);
    let id = attribute(xml, "id").map_or(String::new(), |id| format!(" id='{id}'"));
    bounces.then(|| {
        format!(
            "<{kind} type='error' from='{to}' to='{from}'{id}><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></{kind}>"
        )
    })
}

fn conflict(stream: &Stream) {
    stream.wire.give(
        b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
    );
    stream.wire.close();
}

fn header() -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' from='{DOMAIN}' id='{STREAM_ID}'>"
    )
}

fn handshake() -> String {
    let digest = Sha1::digest(format!("{STREAM_ID}{SECRET}"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("<handshake>{hex}</handshake>")
}

fn lock(dialled: &Mutex<Dialled>) -> MutexGuard<'_, Dialled> {
    dialled.lock().unwrap_or_else(PoisonError::into_inner)
}
