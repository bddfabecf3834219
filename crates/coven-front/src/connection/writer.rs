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

use super::barrier::{BarrierNo, Due};
use super::dial::WritingHalf;
use super::lane::Piece;
use super::{Asked, Connection, MAX_WRITTEN};
use crate::fail;
use crate::front::Front;
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
    front: Arc<Front>,
    /// For each lane the last chunk that was taken from it.
    chunks: Box<[u64]>,
    /// The lane that comes first, so that none starves.
    first: usize,
    batch: Vec<Piece>,
    /// Since when nothing more is taken, because the stream ends.
    sealed: Option<Instant>,
    /// The number of the session when the fence was last looked at.
    session: u64,
    /// How often the connection had been somebody else's when the stream began.
    losses: u64,
}

impl Outflow {
    pub(super) fn new(connection: Arc<Connection>, socket: WritingHalf, front: Arc<Front>) -> Self {
        Self {
            chunks: connection.lanes.iter().map(|_| 0).collect(),
            session: front.fence.number(),
            losses: connection.losses(),
            connection,
            socket,
            front,
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
            self.look()?;
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

    /// Whether what waits may not be written: the session is over, or is another than when it was handed over (IL-23).
    fn is_fenced(&mut self) -> bool {
        let pass = self.front.fence.pass();
        let is_same = pass == Some(self.session);
        self.session = pass.unwrap_or_else(|| self.front.fence.number());
        !is_same
    }

    /// Errors: nothing at all may be written to this stream any more.
    fn look(&self) -> Result<(), Down> {
        if self.connection.losses() != self.losses {
            return Err(Down::Closed);
        }
        if self.connection.is_cut() {
            return Err(Down::Fenced);
        }
        Ok(())
    }

    /// Takes what waits, up to the bound.
    fn fill(&mut self) -> usize {
        let mut held = 0;
        let direct = &self.connection.direct;
        direct.take(&mut self.batch, &mut held, DIRECT_SHARE);
        if self.is_fenced() {
            self.drop_waiting(&[]);
            return held;
        }
        self.first += 1;
        for turn in 0..self.chunks.len() {
            let at = (self.first + turn) % self.chunks.len();
            let lane = self.connection.lanes.get(at);
            let taken =
                lane.and_then(|lane| lane.take(at, &mut self.batch, &mut held, BATCH_BYTES));
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
                self.batch.push(own(Bytes::from_static(b" ")));
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
                self.batch.push(own(self.ping(no)));
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
        let id = self.front.ids.write(self.connection.index, no);
        let head = Head::new(Kind::Iq, domain)
            .with_type("get")
            .with_id(Some(&id));
        let mut payload = Builder::new();
        payload.empty("ping", ns::PING);
        Outgoing::new(&head, to, &payload.finish()).to_bytes()
    }

    async fn write(&mut self) -> Result<(), Down> {
        let mut batch: VecDeque<Piece> = self.batch.drain(..).collect();
        let mut last = None;
        fail::mid_write(&mut self.socket, &mut batch).await;
        loop {
            self.look()?;
            if self.is_fenced() {
                self.cut_out(&mut batch, last)?;
            }
            if batch.is_empty() {
                return Ok(());
            }
            match self.try_write(&batch) {
                Ok(0) => return Err(Down::Closed),
                Ok(written) => {
                    let mut kept = self.connection.written();
                    last = advance(&mut batch, written, |piece| {
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
    }

    /// The process's session is over: what nodes have sent is written no more (design §5.9). `last`: whose bytes were written
    /// last; if the rest of them is still here, the stream ends within a stanza.
    fn cut_out(
        &mut self,
        batch: &mut VecDeque<Piece>,
        last: Option<(usize, u64)>,
    ) -> Result<(), Down> {
        let first = batch.front().and_then(|piece| piece.of);
        if first.is_some() && first == last {
            return Err(Down::Fenced);
        }
        let (dropped, own): (Vec<Piece>, Vec<Piece>) =
            batch.drain(..).partition(|piece| piece.of.is_some());
        batch.extend(own);
        self.drop_waiting(&dropped);
        Ok(())
    }

    /// Drops what waits in the lanes, and these pieces that were taken from there; barriers stand for them no more.
    fn drop_waiting(&mut self, taken: &[Piece]) {
        let mut bytes = taken.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        let mut barriers = self.connection.barriers();
        for (at, lane) in self.connection.lanes.iter().enumerate() {
            let of_lane = |piece: &Piece| piece.of.filter(|of| of.0 == at).map(|of| of.1);
            let first = taken.iter().find_map(of_lane);
            bytes += lane.tear(first);
            let asked = barriers.asked.as_mut();
            let asked = asked.and_then(|asked| asked.chunks.get_mut(at));
            for chunk in [asked, self.chunks.get_mut(at)].into_iter().flatten() {
                *chunk = first.map_or(*chunk, |first| first.saturating_sub(1).min(*chunk));
            }
        }
        drop(barriers);
        if bytes > 0 {
            self.front.counters.fenced_bytes.add(bytes as u64);
            self.connection.wake_workers();
        }
    }

    fn try_write(&self, batch: &VecDeque<Piece>) -> io::Result<usize> {
        let pieces = batch.iter().take(BATCH_PIECES);
        let pieces: Vec<IoSlice<'_>> = pieces.map(|piece| IoSlice::new(&piece.bytes)).collect();
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

/// What the front-end says itself.
const fn own(bytes: Bytes) -> Piece {
    Piece { bytes, of: None }
}

/// Takes `written` bytes from the front, and gives whole pieces to `done`. Tells whose the last byte was.
fn advance(
    batch: &mut VecDeque<Piece>,
    mut written: usize,
    mut done: impl FnMut(Bytes),
) -> Option<(usize, u64)> {
    let mut last = None;
    while written > 0
        && let Some(first) = batch.front_mut()
    {
        last = first.of;
        if written < first.bytes.len() {
            first.bytes.advance(written);
            return last;
        }
        written -= first.bytes.len();
        if let Some(piece) = batch.pop_front() {
            done(piece.bytes);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_goes_on_where_it_stopped() {
        let piece = |text: &'static str, chunk| Piece {
            bytes: Bytes::from(text),
            of: Some((0, chunk)),
        };
        let mut batch = VecDeque::from([piece("abc", 1), piece("de", 2)]);
        let mut done = Vec::new();
        let mut write = |batch: &mut _, bytes| advance(batch, bytes, |piece| done.push(piece));
        assert_eq!(write(&mut batch, 1), Some((0, 1)));
        assert_eq!(batch, [piece("bc", 1), piece("de", 2)]);
        assert_eq!(write(&mut batch, 3), Some((0, 2)));
        assert_eq!(batch, [piece("e", 2)]);
        write(&mut batch, 1);
        assert!(batch.is_empty());
        assert_eq!(done, ["bc", "e"]);
    }
}
