//! Stanzas that are answered without a node: service discovery, errors of form, refusals at a bound.
//!
//! Bound: [`DIRECT_BYTES`]. What comes when that much waits is dropped and counted: whoever floods and does not read gets
//! no answers, and nobody waits for it (I9).

use std::sync::{Mutex, MutexGuard, PoisonError};

use coven_xmpp::stanza::Outgoing;
use coven_xmpp::stream::{Refused, Writer};

use super::lane::{Piece, pieces};

/// Bytes that may wait.
pub(crate) const DIRECT_BYTES: usize = 4 * 1024 * 1024;

/// Stanzas to one connection from whoever has one to send.
#[derive(Debug)]
pub(crate) struct Direct(Mutex<State>);

#[derive(Debug)]
struct State {
    is_up: bool,
    writer: Writer,
}

/// Why a stanza was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no stream.
    Down,
    /// Too much waits already.
    Full,
    /// It would break the stream.
    Refused(Refused),
}

impl Direct {
    pub(crate) fn new(domain: &str, max_stanza_bytes: usize) -> Self {
        Self(Mutex::new(State {
            is_up: false,
            writer: Writer::new(domain, max_stanza_bytes),
        }))
    }

    /// Takes one stanza.
    pub(crate) fn push(&self, stanza: &Outgoing) -> Result<(), NotTaken> {
        let mut state = self.state();
        if !state.is_up {
            return Err(NotTaken::Down);
        }
        if state.writer.pending() >= DIRECT_BYTES {
            return Err(NotTaken::Full);
        }
        state
            .writer
            .push_outgoing(stanza)
            .map_err(NotTaken::Refused)
    }

    /// Takes bytes of the stream itself: its errors, its end.
    pub(crate) fn push_raw(&self, bytes: &[u8]) {
        self.state().writer.push_raw(bytes);
    }

    /// Moves what waits into `batch` until that has `max` bytes.
    pub(crate) fn take(&self, batch: &mut Vec<Piece>, held: &mut usize, max: usize) {
        let mut state = self.state();
        while *held < max
            && let Some(chunk) = state.writer.take()
        {
            *held += chunk.len();
            batch.extend(pieces(chunk, None));
        }
    }

    /// Begins or ends a stream: what waits is dropped.
    pub(crate) fn switch(&self, is_up: bool) {
        let mut state = self.state();
        state.is_up = is_up;
        state.writer.clear();
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.state().writer.pending()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coven_xmpp::stanza::{Head, Kind};

    fn stanza(bytes: usize) -> Outgoing {
        let head = Head::new(Kind::Message, "chat.example");
        Outgoing::new(&head, "hag66@shakespeare.example", &vec![b'x'; bytes])
    }

    #[test]
    fn i9_what_is_too_much_is_dropped() {
        let direct = Direct::new("chat.example", usize::MAX);
        assert_eq!(direct.push(&stanza(1)), Err(NotTaken::Down));
        direct.switch(true);
        assert_eq!(direct.push(&stanza(DIRECT_BYTES)), Ok(()));
        assert_eq!(direct.push(&stanza(1)), Err(NotTaken::Full));
        direct.switch(true);
        assert_eq!(direct.bytes(), 0);
    }

    #[test]
    fn muc_comp_03_a_foreign_from_is_not_taken() {
        let direct = Direct::new("other.example", usize::MAX);
        direct.switch(true);
        let refused = direct.push(&stanza(1));
        assert!(matches!(refused, Err(NotTaken::Refused(_))));
    }
}
