//! One stream of a component: the server's side of XEP-0114.
//!
//! Owns the socket, the handshake, and what waits to be written. What the stanzas mean is `world.rs`; which stream is
//! used is `attach.rs`. A component that does not read is cut at 32 MiB, as Prosody does.

use crate::attach::{Attached, StreamNo};
use crate::tag;
use crate::world::{Shared, World};
use bytes::{Bytes, BytesMut};
use coven_xmpp::stream::{Frame, Framer, Limits};
use sha1::{Digest, Sha1};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// What may wait for a component that does not read.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// How long a component may take for its handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 * 1024;
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// The way out of a stream, and its switches.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: RefCell<Vec<u8>>,
    news: Notify,
    /// Nothing more is taken; what waits is written, then the stream is closed.
    ending: Cell<bool>,
    /// Wakes the reader, to end or to stand still.
    order: Notify,
    cut: Cell<bool>,
    stalled: Cell<Option<Instant>>,
}

impl Outbox {
    /// Sends a stanza; nothing after the end.
    pub(crate) fn push(&self, xml: &[u8]) {
        if self.ending.get() {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        waiting.extend_from_slice(xml);
        if waiting.len() > MAX_WAITING_BYTES {
            self.cut();
        }
        self.news.notify_one();
    }

    /// Says goodbye and closes the stream. What has come and was not looked at is dropped, as servers do.
    pub(crate) fn end(&self, condition: Option<&str>) {
        if let Some(condition) = condition {
            let error = format!("<stream:error><{condition} xmlns='{ERRORS}'/></stream:error>");
            self.push(error.as_bytes());
        }
        self.push(b"</stream:stream>");
        self.ending.set(true);
        self.news.notify_one();
        self.order.notify_one();
    }

    /// Breaks the connection where it is.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.ending.set(true);
        self.order.notify_one();
        self.news.notify_one();
    }

    /// Reads nothing until then.
    pub(crate) fn stall(&self, until: Instant) {
        self.stalled.set(Some(until));
        self.order.notify_one();
    }

    /// Bytes that the component has not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    async fn write_to(&self, mut socket: OwnedWriteHalf) -> io::Result<()> {
        loop {
            let chunk = std::mem::take(&mut *self.waiting.borrow_mut());
            if self.cut.get() {
                return Ok(());
            }
            if !chunk.is_empty() {
                socket.write_all(&chunk).await?;
            } else if self.ending.get() {
                return socket.shutdown().await;
            } else {
                self.news.notified().await;
            }
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(world: Shared, node: usize, socket: TcpStream) {
    // Its end is the stream's end, whatever it was: the component notices.
    let _ = serve_to_end(&world, node, socket).await;
}

async fn serve_to_end(world: &Shared, node: usize, socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (reader, writer) = socket.into_split();
    let outbox = Rc::new(Outbox::default());
    let to_write = Rc::clone(&outbox);
    let writing = tokio::task::spawn_local(async move { to_write.write_to(writer).await });
    let mut input = Input::new(reader);
    let outcome = match timeout(HANDSHAKE_TIME, begin(world, node, &mut input, &outbox)).await {
        Ok(Ok(Some(no))) => {
            let outcome = take_stanzas(world, no, &mut input, &outbox).await;
            World::detached(world, no);
            outcome
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) | Err(_) => Ok(()),
    };
    if !outbox.ending.get() {
        outbox.end(None);
    }
    if outbox.cut.get() {
        writing.abort();
    } else {
        // A component that never reads does not hold us up.
        let _ = timeout(Duration::from_secs(2), writing).await;
    }
    outcome
}

/// Header and handshake. `None`: it was refused.
async fn begin(
    world: &Shared,
    node: usize,
    input: &mut Input,
    outbox: &Rc<Outbox>,
) -> io::Result<Option<StreamNo>> {
    let Some(Frame::Open(header)) = input.frame().await? else {
        return Ok(None);
    };
    let domain = tag::Tag::read(&header)
        .map(|tag| tag.to.to_owned())
        .unwrap_or_default();
    let (served, secret, stream_id) = world.borrow().identity();
    outbox.push(
        format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' from='{domain}' id='{stream_id}'>"
        )
        .as_bytes(),
    );
    if domain != served {
        outbox.end(Some("host-unknown"));
        return Ok(None);
    }
    let Some(Frame::Stanza(handshake)) = input.frame().await? else {
        return Ok(None);
    };
    if tag::inner(&handshake, "handshake") != Some(digest(&stream_id, &secret).as_str()) {
        outbox.end(Some("not-authorized"));
        return Ok(None);
    }
    Ok(attach(world, node, outbox))
}

fn attach(world: &Shared, node: usize, outbox: &Rc<Outbox>) -> Option<StreamNo> {
    let (no, attached) = world.borrow_mut().attach(node, outbox);
    match attached {
        Attached::Kicks(old) => {
            if let Some(old) = old {
                world.borrow_mut().kick(old);
            }
            outbox.push(b"<handshake/>");
            Some(no)
        }
        Attached::Refused => {
            outbox.end(Some("conflict"));
            None
        }
    }
}

async fn take_stanzas(
    world: &Shared,
    no: StreamNo,
    input: &mut Input,
    outbox: &Outbox,
) -> io::Result<()> {
    loop {
        while let Some(frame) = input.next()? {
            match frame {
                Frame::Stanza(stanza) => world.borrow_mut().take(no, &stanza),
                Frame::Close => return Ok(()),
                Frame::Open(_) | Frame::Oversized(_) => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            if outbox.ending.get() {
                return Ok(());
            }
        }
        tokio::select! {
            read = input.read(), if outbox.stalled.get().is_none() => if read? == 0 { return Ok(()) },
            () = outbox.order.notified() => if outbox.ending.get() { return Ok(()) },
            () = wait_until(outbox.stalled.get()) => outbox.stalled.set(None),
        }
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn digest(stream_id: &str, secret: &str) -> String {
    let digest = Sha1::digest(format!("{stream_id}{secret}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The way in: bytes to frames.
struct Input {
    socket: OwnedReadHalf,
    framer: Framer,
    buffer: BytesMut,
    unread: Bytes,
}

impl Input {
    fn new(socket: OwnedReadHalf) -> Self {
        let limits = Limits {
            stanza_bytes: 16 * 1024 * 1024,
            ..Limits::default()
        };
        Self {
            socket,
            framer: Framer::new(&limits),
            buffer: BytesMut::with_capacity(READ_BYTES),
            unread: Bytes::new(),
        }
    }

    /// The next frame of what has been read.
    fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut rest = &self.unread[..];
        let before = rest.len();
        let frame = self.framer.next(&mut rest).map_err(io::Error::other)?;
        let taken = before - rest.len();
        let _ = self.unread.split_to(taken);
        Ok(frame)
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        let count = self.socket.read_buf(&mut self.buffer).await?;
        self.unread = self.buffer.split().freeze();
        Ok(count)
    }

    /// The next frame; `None` at the end.
    async fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.next()? {
                return Ok(Some(frame));
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }
}
