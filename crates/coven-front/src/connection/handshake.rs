//! Opens a stream: name, TCP (`dial.rs`), XEP-0114 header and handshake, within bounded time.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use coven_xmpp::stream::{Broken, Component, Event};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::Connection;
use super::dial::{Dial, Socket};
use crate::status::Down;

/// For name and TCP.
const CONNECT: Duration = Duration::from_secs(5);
/// For header and handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes read at once.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// A stream on which stanzas may be sent.
pub(super) struct Opened {
    pub(super) socket: Socket,
    pub(super) component: Component,
    /// What came right behind the handshake.
    pub(super) events: Vec<Event>,
}

/// Opens a stream.
///
/// Source: XEP-0114 §3. Requirement MUC-COMP-01. Errors: why it cannot be opened now.
pub(super) async fn open(
    connection: &Connection,
    secret: &SecretString,
    dial: &dyn Dial,
) -> Result<Opened, Down> {
    let host = connection.bind_soon().await.ok_or(Down::NoServerNode)?;
    let port = connection.upstream().port;
    let socket = timeout(CONNECT, dial.dial(&host, port)).await;
    let socket = socket.map_err(|_| Down::Timeout)?;
    let socket = socket.map_err(|error| Down::from(&error))?;
    let limits = connection.limits().clone();
    let mut out = Vec::new();
    let secret = secret.expose_secret();
    let component = Component::open(connection.domain(), secret, limits, &mut out);
    let opened = timeout(HANDSHAKE, shake_hands(socket, component, out)).await;
    opened.map_err(|_| Down::Timeout)?
}

async fn shake_hands(
    mut socket: Socket,
    mut component: Component,
    mut out: Vec<u8>,
) -> Result<Opened, Down> {
    let (mut events, mut input) = (Vec::new(), BytesMut::with_capacity(READ_BYTES));
    loop {
        let written = socket.writing.write_all(&out).await;
        out.clear();
        // A server that closes at once may have said why: that is read first.
        let read = socket.reading.read_buf(&mut input).await.unwrap_or(0);
        component.handle_bytes(&input, &mut events, &mut out);
        input.clear();
        if let Some(at) = events.iter().position(|event| *event == Event::Ready) {
            events.drain(..=at);
            return Ok(Opened {
                socket,
                component,
                events,
            });
        }
        if let Some(down) = events.iter().find_map(ended) {
            let _ = socket.writing.write_all(&out).await;
            return Err(down);
        }
        if read == 0 || written.is_err() {
            return Err(Down::Closed);
        }
    }
}

/// Why the stream is over, if this event ends it.
pub(super) fn ended(event: &Event) -> Option<Down> {
    match event {
        Event::Closed => Some(Down::Closed),
        Event::Broken(Broken::Refused(error)) => Some(Down::from(&error.condition)),
        Event::Broken(Broken::NotAComponentStream) => Some(Down::NotAComponentPort),
        Event::Broken(other) => Some(Down::Stream(other.to_string())),
        Event::Opened { .. } | Event::Ready | Event::Stanza(_) => None,
    }
}

impl From<&io::Error> for Down {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Unresolved,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Closed,
        }
    }
}
