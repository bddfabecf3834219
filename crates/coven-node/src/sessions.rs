//! The sessions that this process has had (design §5.1): a token that names any of them is this node's own, also where the
//! answer to its claim was lost and there is another session by now (I3, IL-16).
//!
//! Who opens sessions and judges them is the agent of the cluster (`coven_cluster::agent`).

use coven_store::SessionId;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sessions that are remembered: one is lost once in a fail-over, and a token is renewed with the next.
const KEPT: usize = 64;

/// The sessions of this process, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<VecDeque<SessionId>>);

impl Sessions {
    /// There is this session now. Tells whether it may be claimed with: one that was followed by another may not.
    pub(crate) fn begin(&self, session: SessionId) -> bool {
        let mut known = self.lock();
        if known.contains(&session) {
            return known.back() == Some(&session);
        }
        if known.len() == KEPT {
            known.pop_front();
        }
        known.push_back(session);
        true
    }

    /// The one that claims are for.
    pub(crate) fn newest(&self) -> SessionId {
        self.lock().back().copied().unwrap_or_default()
    }

    /// Whether this process has had it.
    pub(crate) fn is_own(&self, session: SessionId) -> bool {
        self.lock().contains(&session)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SessionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
