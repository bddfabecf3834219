//! The end of the service for good: everybody is out, and is told so (XEP-0045 §11.2; MUC-LEAVE-13, I6).
//!
//! Not for a restart, a roll-out or the end of one process of several: then sessions live on, and nobody is told anything
//! (MUC-LEAVE-14). Participations, affiliations and persistent channels stay as they are.

use crate::channel::{Channel, Decision};
use crate::event::{Cause, Event};
use crate::ids::{PersonNo, SessionNo};
use crate::life::persistence::{self, Ending};
use bytes::Bytes;
use std::collections::BTreeMap;

impl Channel {
    /// Ends sessions of either view, `most` at a time, and what goes with them: a temporary room ends with its last occupant
    /// (MUC-LEAVE-06). Nothing when nobody is left: until then it is asked again.
    #[must_use]
    pub fn shut_down(&self, most: usize) -> Decision {
        let mut ended: BTreeMap<PersonNo, Vec<SessionNo>> = BTreeMap::new();
        for session in self.roster.sessions().take(most) {
            ended.entry(session.person).or_default().push(session.no);
        }
        let mut events: Vec<Event> = ended.values().flatten().copied().map(left).collect();
        let endings: Vec<_> = ended
            .iter()
            .map(|(person, sessions)| Ending::Sessions(*person, sessions))
            .collect();
        if !endings.is_empty() {
            events.extend(persistence::after(self, &endings));
        }
        Decision {
            events,
            ..Decision::default()
        }
    }
}

const fn left(session: SessionNo) -> Event {
    Event::Left {
        session,
        cause: Cause::Shutdown,
        payload: Bytes::new(),
    }
}
