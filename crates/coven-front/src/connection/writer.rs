//! The way out of one stream: chunks of all lanes, in few large writes, with the barriers behind them.
//!
//! Owns the socket's writing half. Bounds (I9): a batch is at most [`BATCH_BYTES`] and one chunk; a server that takes
//! nothing for [`STALL`], or owes an answer for too long, loses the stream.
//!
//! The end of a stream is sealed by a barrier: once all that waits is written, nothing more is taken, and the stream is
//! closed when the server has answered for all of it. What is decided meanwhile was never written, and leaves with the
//! next start; so nothing comes twice.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use coven_xmpp::ns;
use coven_xmpp::stanza::{Builder, Head, Kind, Outgoing};
use coven_xmpp::stream::CHUNK_BYTES;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::barrier::{BarrierNo, Due, Ids};
use super::dial::WritingHalf;
use super::{Asked, Connection, MAX_WRITTEN};
use crate::fail;
use crate::options::Barrier;
use crate::status::Down;

/// Bytes that are written at once.
const BATCH_BYTES: usize = 256 * 1024;
/// Of these, what comes first: answers that are given here must not wait for a flood of messages.
const DIRECT_SHARE: usize = 64 * 1024;
/// Pieces that are written at once.
const BATCH_PIECES: usize = 64;
/// A server that takes nothing for so long is dead: channels that share a worker wait for it.
const STALL: Duration = Duration::from_secs(10);
/// At the end of a stream, the server is waited for no longer than this to answer for what was written.
pub(super) const SEAL: Duration = Duration::from_secs(3);
/// Ends our side of a stream.
const CLOSE: &[u8] = b"</stream:stream>";

/// Writes one stream to its end.
pub(super) struct Outflow {
    connection: Arc<Connection>,
    socket: WritingHalf,
    ids: Ids,
    /// For each lane the last chunk that was taken from it.
    chunks: Box<[u64]>,
    /// The lane that comes first, so that none starves.
    first: usize,
    batch: Vec<Bytes>,
    /// Since when nothing more is taken, because the stream ends.
    sealed: Option<Instant>,
}

impl Outflow {
    pub(super) fn new(connection: Arc<Connection>, socket: WritingHalf, ids: Ids) -> Self {
        Self {
            chunks: connection.lanes.iter().map(|_| 0).collect(),
            connection,
            socket,
            ids,
            first: 0,
            batch: Vec::new(),
            sealed: None,
        }
    }

    /// Writes until the stream breaks, or until `closing` and all that waits is written; tells why it ended.
    ///
    /// The socket stays whole until the server has closed its side too: Prosody and ejabberd drop what they have still to
    /// write when they read the end of the other direction (tried: 5,749 of 24,828 messages, and none without it).
    pub(super) async fn run(mut self, closing: CancellationToken) -> Down {
        match self.pump(&closing).await {
            Ok(()) => {
                self.socket.forget();
                Down::Drained
            }
            Err(down) => down,
        }
    }

    async fn pump(&mut self, closing: &CancellationToken) -> Result<(), Down> {
        loop {
            let is_open = self.connection.barriers().pace.is_open();
            let takes = is_open && self.sealed.is_none();
            let bytes = if takes { self.fill() } else { 0 };
            if takes && bytes == 0 && closing.is_cancelled() {
                self.sealed = Some(Instant::now());
            }
            let next = self.add_due(bytes, is_open)?;
            if !self.batch.is_empty() {
                self.write().await?;
                self.wrote();
            } else if self.is_over() {
                return self.close().await;
            } else {
                let woken = async {
                    tokio::select! {
                        () = self.connection.wake.notified() => {}
                        () = closing.cancelled(), if takes => {}
                    }
                };
                let _ = timeout_at(next.min(self.seal_ends(next)), woken).await;
            }
        }
    }

    /// Whether the stream may be closed: the server has answered for all of it, or has had its time.
    fn is_over(&self) -> bool {
        let ends = self.sealed.map(|since| since + SEAL);
        ends.is_some_and(|ends| {
            self.connection.barriers().pace.is_covered() || Instant::now() >= ends
        })
    }

    fn seal_ends(&self, otherwise: Instant) -> Instant {
        self.sealed.map_or(otherwise, |since| since + SEAL)
    }

    /// Takes what waits, up to the bound.
    fn fill(&mut self) -> usize {
        let mut held = 0;
        let direct = &self.connection.direct;
        direct.take(&mut self.batch, &mut held, DIRECT_SHARE);
        self.first += 1;
        for turn in 0..self.chunks.len() {
            let at = (self.first + turn) % self.chunks.len();
            let lane = self.connection.lanes.get(at);
            let taken = lane.and_then(|lane| lane.take(&mut self.batch, &mut held, BATCH_BYTES));
            if let (Some(taken), Some(last)) = (taken, self.chunks.get_mut(at)) {
                *last = taken;
            }
        }
        held
    }

    /// Adds what else is due behind `bytes` of stanzas; `is_open`: nothing was held back. Tells when something will be.
    fn add_due(&mut self, bytes: usize, is_open: bool) -> Result<Instant, Down> {
        let now = Instant::now();
        let heard = self.connection.heard();
        let mut barriers = self.connection.barriers();
        if bytes > 0 {
            barriers.pace.wrote(bytes, now);
        }
        let all = is_open && bytes == 0;
        let is_last = self.sealed.is_some() && !barriers.pace.is_covered();
        let wanted = is_last || all && barriers.wanted > *self.connection.passed.borrow();
        if wanted && self.connection.upstream.barrier == Barrier::Off {
            self.connection.pass(barriers.wanted);
        }
        match barriers.pace.due(now, heard, wanted) {
            Due::Dead => return Err(Down::Stalled),
            Due::Nothing(next) => return Ok(next),
            Due::Space => {
                barriers.pace.spaced(now);
                self.batch.push(Bytes::from_static(b" "));
            }
            Due::Ping => {
                let no = BarrierNo(barriers.last.0 + 1);
                barriers.last = no;
                barriers.pace.pinged(now);
                barriers.asked = Some(Asked {
                    no,
                    at: now,
                    chunks: self.chunks.clone(),
                    wish: if wanted { barriers.wanted } else { 0 },
                });
                drop(barriers);
                self.batch.push(self.ping(no));
            }
        }
        Ok(now)
    }

    /// The ping of a barrier (XEP-0199).
    fn ping(&self, no: BarrierNo) -> Bytes {
        let domain = self.connection.domain.as_str();
        let to = match &self.connection.upstream.barrier {
            Barrier::Host(host) => host,
            Barrier::OwnDomain | Barrier::Off => domain,
        };
        let id = self.ids.write(self.connection.index, no);
        let head = Head::new(Kind::Iq, domain)
            .with_type("get")
            .with_id(Some(&id));
        let mut payload = Builder::new();
        payload.empty("ping", ns::PING);
        Outgoing::new(&head, to, &payload.finish()).to_bytes()
    }

    async fn write(&mut self) -> Result<(), Down> {
        let mut batch: VecDeque<Bytes> = self.batch.drain(..).collect();
        fail::mid_write(&mut self.socket, &mut batch).await;
        while !batch.is_empty() {
            match self.try_write(&batch) {
                Ok(0) => return Err(Down::Closed),
                Ok(written) => {
                    let mut kept = self.connection.written();
                    advance(&mut batch, written, |piece| {
                        if piece.len() > CHUNK_BYTES / 2 && kept.len() < MAX_WRITTEN {
                            kept.push(piece);
                        }
                    });
                    drop(kept);
                    self.connection.hear(Instant::now());
                    self.connection.counters.writes.add(1);
                    let written = written as u64;
                    self.connection.counters.bytes_written.add(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(_) => return Err(Down::Closed),
            }
        }
        Ok(())
    }

    fn try_write(&self, batch: &VecDeque<Bytes>) -> io::Result<usize> {
        let pieces = batch.iter().take(BATCH_PIECES);
        let pieces: Vec<IoSlice<'_>> = pieces.map(|piece| IoSlice::new(piece)).collect();
        self.socket.try_write_vectored(&pieces)
    }

    /// Waits until the socket takes more, but not longer than a dead server is waited for.
    async fn writable(&self) -> Result<(), Down> {
        let now = Instant::now();
        let stalled = now + STALL;
        let (due, owes_an_answer) = {
            let barriers = self.connection.barriers();
            let due = barriers.pace.due(now, self.connection.heard(), false);
            (due, barriers.asked.is_some())
        };
        let dead = match due {
            Due::Dead => return Err(Down::Stalled),
            Due::Nothing(at) if owes_an_answer => at.min(stalled),
            _ => stalled,
        };
        match timeout_at(dead, self.socket.writable()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Down::Closed),
            Err(_) => Err(Down::Stalled),
        }
    }

    /// Where barriers are off, what the system took counts as taken in.
    fn wrote(&self) {
        fail::point("front-after-write-before-ack");
        if self.connection.upstream.barrier == Barrier::Off {
            self.connection.acknowledge(&self.chunks);
        }
    }

    async fn close(&mut self) -> Result<(), Down> {
        let closed = self.socket.write_all(CLOSE).await;
        closed.map_err(|_| Down::Closed)
    }
}

/// Takes `written` bytes from the front, and gives whole pieces to `done`.
fn advance(batch: &mut VecDeque<Bytes>, mut written: usize, mut done: impl FnMut(Bytes)) {
    while let Some(first) = batch.front_mut() {
        if written < first.len() {
            return first.advance(written);
        }
        written -= first.len();
        batch.pop_front().map(&mut done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_goes_on_where_it_stopped() {
        let mut batch = VecDeque::from([Bytes::from("abc"), Bytes::from("de")]);
        let mut done = Vec::new();
        let mut write = |batch: &mut _, bytes| advance(batch, bytes, |piece| done.push(piece));
        write(&mut batch, 1);
        assert_eq!(batch, ["bc", "de"]);
        write(&mut batch, 3);
        assert_eq!(batch, ["e"]);
        write(&mut batch, 1);
        assert!(batch.is_empty());
        assert_eq!(done, ["bc", "e"]);
    }
}
