//! The way in of one stream: bytes to stanzas to the intake.
//!
//! The socket is always read: nothing here waits for a node (design §2 of the shell: refuse, do not block). One bad stanza
//! costs its sender an error, not the stream (I10).

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use coven_xmpp::stream::{Component, Event};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::dial::ReadingHalf;
use super::handshake::{READ_BYTES, ended};
use super::{Connection, StreamNo};
use crate::intake::Intake;
use crate::status::Down;

/// How long stanzas wait for the node to be told of the loss of the last stream.
const READY: Duration = Duration::from_secs(5);

/// Reads one stream to its end.
pub(super) struct Reader {
    pub(super) connection: Arc<Connection>,
    pub(super) intake: Arc<Intake>,
    pub(super) component: Component,
    pub(super) socket: ReadingHalf,
}

impl Reader {
    /// Reads until the stream ends; tells why it did. `events`: what came right behind the handshake.
    pub(super) async fn run(mut self, stream: StreamNo, mut events: Vec<Event>) -> Down {
        self.connection.all_ready(stream, READY).await;
        self.intake.attached(&self.connection);
        let mut input = BytesMut::with_capacity(READ_BYTES);
        loop {
            if let Some(down) = self.handle(&mut events) {
                return down;
            }
            match self.socket.read_buf(&mut input).await {
                Ok(0) | Err(_) => return Down::Closed,
                Ok(read) => self.connection.counters.bytes_read.add(read as u64),
            }
            self.connection.hear(Instant::now());
            let mut out = Vec::new();
            self.component.handle_bytes(&input, &mut events, &mut out);
            input.clear();
            self.say(&out);
        }
    }

    fn handle(&self, events: &mut Vec<Event>) -> Option<Down> {
        for event in events.drain(..) {
            if let Event::Stanza(stanza) = &event {
                self.intake.take(stanza, &self.connection);
            } else if let Some(down) = ended(&event) {
                return Some(down);
            }
        }
        None
    }

    /// What the stream itself has to say: an error, its end.
    fn say(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.connection.direct.push_raw(bytes);
            self.connection.wake();
        }
    }
}
