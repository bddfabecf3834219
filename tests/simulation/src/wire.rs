//! A TCP connection in memory: bytes in both directions, with a bound, that can be cut at any byte.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use coven_front::{Outward, Socket};
use tokio::io::{AsyncRead, ReadBuf};

/// Both ends of a connection; the server's methods are its own, the front-end has a [`Socket`].
#[derive(Debug, Clone)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// From the front-end to the server, up to `room` bytes.
    outward: VecDeque<u8>,
    room: usize,
    /// From the server to the front-end.
    inward: VecDeque<u8>,
    /// The front-end has closed its direction, or is gone.
    front_closed: bool,
    front_gone: bool,
    left_open: bool,
    /// The server has closed its direction.
    server_closed: bool,
    /// Nothing goes through any more, in either direction.
    cut: bool,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Wire {
    /// A new connection; the system of the front-end holds `room` bytes that the server has not taken.
    #[must_use]
    pub fn new(room: usize) -> (Self, Socket) {
        let state = State {
            room,
            ..State::default()
        };
        let wire = Self(Arc::new(Mutex::new(state)));
        let (reading, writing) = (Reading(wire.clone()), Writing(wire.clone()));
        (wire, Socket::other(Box::new(reading), Box::new(writing)))
    }

    /// What the server reads: at most so many bytes.
    #[must_use]
    pub fn take(&self, most: usize) -> Vec<u8> {
        let mut state = self.state();
        let most = most.min(state.outward.len());
        let taken = state.outward.drain(..most).collect();
        wake(&mut state.writer);
        taken
    }

    /// What the server writes. Nothing if the connection is cut.
    pub fn give(&self, bytes: &[u8]) {
        let mut state = self.state();
        if !state.cut && !state.server_closed {
            state.inward.extend(bytes);
            wake(&mut state.reader);
        }
    }

    /// The server closes its direction.
    pub fn close(&self) {
        let mut state = self.state();
        state.server_closed = true;
        wake(&mut state.reader);
    }

    /// The connection breaks: of what was under way from the front-end `kept` bytes still arrive.
    pub fn cut(&self, kept: usize) {
        let mut state = self.state();
        state.cut = true;
        state.outward.truncate(kept);
        state.inward.clear();
        wake(&mut state.reader);
        wake(&mut state.writer);
    }

    /// Bytes that the server has not read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().outward.len()
    }

    /// Whether the front-end will send nothing more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.outward.is_empty() && (state.front_closed || state.cut)
    }

    /// Whether the front-end has let go of it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state().front_gone
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[derive(Debug)]
struct Reading(Wire);

#[derive(Debug)]
struct Writing(Wire);

impl AsyncRead for Reading {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if state.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let most = into.remaining().min(state.inward.len());
        if most == 0 && !state.server_closed {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let bytes: Vec<u8> = state.inward.drain(..most).collect();
        into.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl Outward for Writing {
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.cut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut written = 0;
        for piece in pieces {
            let room = state.room.saturating_sub(state.outward.len());
            let part = &piece[..piece.len().min(room)];
            state.outward.extend(part);
            written += part.len();
        }
        if written == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    fn forget(self: Box<Self>) {
        self.0.state().left_open = true;
    }

    fn writable<'a>(&'a self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(poll_fn(|context| {
            let mut state = self.0.state();
            if state.cut || state.outward.len() < state.room {
                return Poll::Ready(Ok(()));
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        }))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.front_gone, state.front_closed) = (true, true);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.front_closed |= !state.left_open;
    }
}
