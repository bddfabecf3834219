//! The server's side of XEP-0114, by script: accepts streams, reads or does not, answers barriers or does not.

use super::{DOMAIN, SECRET, SOON};
use bytes::{Bytes, BytesMut};
use coven_xmpp::stream::{Frame, Framer, Limits};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A server that listens.
pub struct Server {
    pub address: SocketAddr,
    listener: Option<TcpListener>,
}

/// One stream that it has accepted.
pub struct Stream {
    socket: TcpStream,
    framer: Framer,
    input: BytesMut,
    frames: VecDeque<Frame>,
    pub domain: String,
    /// Whether barriers are answered as soon as they are read.
    pub answers: bool,
    /// Barriers that were read and not answered.
    pub held: Vec<String>,
}

const STREAM_ID: &str = "3BF96D32";

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            listener: Some(listener),
        }
    }

    /// At this address and port.
    pub async fn at(address: IpAddr, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((address, port)).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
        })
    }

    /// From now on connections are refused.
    pub fn stop(&mut self) {
        self.listener = None;
    }

    /// Listens again at the same place.
    pub async fn restart(&mut self) {
        self.listener = Some(TcpListener::bind(self.address).await.unwrap());
    }

    /// A connection on which nothing was said yet.
    pub async fn connection(&mut self) -> Stream {
        let listener = self.listener.as_mut().expect("the server listens");
        let (socket, _) = timeout(SOON, listener.accept())
            .await
            .expect("a connection")
            .unwrap();
        let limits = Limits {
            stanza_bytes: 16 * 1024 * 1024,
            ..Limits::default()
        };
        Stream {
            socket,
            framer: Framer::new(&limits),
            input: BytesMut::new(),
            frames: VecDeque::new(),
            domain: String::new(),
            answers: true,
            held: Vec::new(),
        }
    }

    /// A stream after a good handshake.
    pub async fn accept(&mut self) -> Stream {
        let mut stream = self.connection().await;
        let given = stream.begin().await;
        assert_eq!(given, handshake(SECRET), "secret");
        stream.send("<handshake/>").await;
        stream
    }

    /// Refuses one attempt with a stream error after the handshake. Tells the handshake that was given.
    pub async fn refuse(&mut self, condition: &str) -> String {
        let mut stream = self.connection().await;
        let given = stream.begin().await;
        let error = format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        );
        stream.send(&error).await;
        given
    }
}

impl Stream {
    /// Header and handshake; tells the latter.
    pub async fn begin(&mut self) -> String {
        let Frame::Open(header) = self.frame().await.expect("a header") else {
            panic!("no header");
        };
        self.domain = attribute(&text(&header), "to").unwrap_or_default();
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' from='{}' id='{STREAM_ID}'>",
            self.domain
        );
        self.send(&header).await;
        match self.frame().await.expect("a handshake") {
            Frame::Stanza(handshake) => text(&handshake),
            other => panic!("{other:?}"),
        }
    }

    /// The next stanza that is no barrier.
    pub async fn stanza(&mut self) -> String {
        self.next().await.expect("a stanza")
    }

    /// The next stanzas that are no barriers.
    pub async fn stanzas(&mut self, count: usize) -> Vec<String> {
        let mut stanzas = Vec::new();
        while stanzas.len() < count {
            stanzas.push(self.stanza().await);
        }
        stanzas
    }

    /// The next stanza that is no barrier; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match self.frame().await? {
                Frame::Stanza(stanza) if is_barrier(&stanza) => self.barrier(text(&stanza)).await,
                Frame::Stanza(stanza) => return Some(text(&stanza)),
                Frame::Close => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next stanza with this id, barrier or not in its look.
    pub async fn stanza_with(&mut self, id: &str) -> String {
        loop {
            match self.frame().await.expect("a stanza") {
                Frame::Stanza(stanza) if text(&stanza).contains(id) => return text(&stanza),
                Frame::Stanza(stanza) if is_barrier(&stanza) => self.barrier(text(&stanza)).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until the other side sends nothing more, going past what it does.
    pub async fn is_ended(&mut self) {
        while self.socket.read_buf(&mut self.input).await.unwrap_or(0) > 0 {}
    }

    /// Whatever comes within a moment.
    pub async fn drain(&mut self) -> Vec<String> {
        let mut stanzas = Vec::new();
        while let Ok(Some(stanza)) = timeout(Duration::from_millis(300), self.next()).await {
            stanzas.push(stanza);
        }
        stanzas
    }

    /// Waits for a barrier that is not answered, going past stanzas. Tells these.
    pub async fn until_barrier(&mut self) -> Vec<String> {
        let mut stanzas = Vec::new();
        loop {
            match self.frame().await.expect("a barrier") {
                Frame::Stanza(stanza) if is_barrier(&stanza) => {
                    self.barrier(text(&stanza)).await;
                    return stanzas;
                }
                Frame::Stanza(stanza) => stanzas.push(text(&stanza)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Answers the barriers that were held.
    pub async fn release(&mut self) {
        for barrier in std::mem::take(&mut self.held) {
            self.send(&barrier).await;
        }
    }

    pub async fn send(&mut self, xml: &str) {
        let sent = self.socket.write_all(xml.as_bytes());
        timeout(SOON, sent)
            .await
            .expect("the front-end reads")
            .unwrap();
    }

    /// Answers only barriers, until something holds.
    pub async fn serve_until(&mut self, mut holds: impl FnMut() -> bool) -> Vec<String> {
        let mut stanzas = Vec::new();
        let serving = async {
            while !holds() {
                let next = timeout(Duration::from_millis(5), self.next()).await;
                if let Ok(Some(stanza)) = next {
                    stanzas.push(stanza);
                }
            }
        };
        timeout(SOON, serving).await.expect("what was waited for");
        stanzas
    }

    /// A self-addressed IQ comes back, as real servers route it.
    async fn barrier(&mut self, barrier: String) {
        if self.answers {
            self.send(&barrier).await;
        } else {
            self.held.push(barrier);
        }
    }

    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let mut input = self.input.split().freeze();
            let mut rest = &input[..];
            while let Some(frame) = self.framer.next(&mut rest).expect("well-formed output") {
                self.frames.push_back(frame);
            }
            input.clear();
            if self.frames.is_empty() {
                let read = timeout(SOON, self.socket.read_buf(&mut self.input)).await;
                if read.expect("the front-end writes").unwrap_or(0) == 0 {
                    return None;
                }
            }
        }
    }
}

pub fn handshake(secret: &str) -> String {
    use sha1::{Digest, Sha1};
    let digest = Sha1::digest(format!("{STREAM_ID}{secret}"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("<handshake>{hex}</handshake>")
}

fn is_barrier(stanza: &Bytes) -> bool {
    let text = text(stanza);
    text.starts_with("<iq") && text.contains(" id='coven-barrier-")
}

fn text(xml: &Bytes) -> String {
    String::from_utf8(xml.to_vec()).unwrap()
}

/// The value of an attribute of the first tag.
pub fn attribute(xml: &str, name: &str) -> Option<String> {
    let tag = xml.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}='"))?;
    Some(rest.split('\'').next()?.to_owned())
}

/// A message to the room, as a server hands it over.
pub fn message(from: &str, room: &str, body: &str) -> String {
    format!(
        "<message from='{from}@shakespeare.example/pda' to='{room}@{DOMAIN}' type='groupchat' id='m'>\
         <body>{body}</body></message>"
    )
}
