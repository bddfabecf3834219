//! The MUC view (XEP-0045): stanzas to commands, events to stanzas.

use crate::dispatch::Inbound;
use crate::domains::Names;
use crate::incoming::Incoming;
use crate::render::{Change, Sink, Sync};
use coven_core::content::relay::Relayed;
use coven_core::event::Message;
use coven_core::{Condition, Origin, Roster, Session};

/// Renders one channel for its MUC sessions.
#[derive(Debug)]
pub(crate) struct Muc {}

impl Muc {
    /// `None` where MUC is not spoken.
    pub(crate) fn new(names: &Names) -> Option<Self> {
        names.muc_domain.as_ref().map(|_| Self {})
    }

    pub(crate) fn event(&mut self, _change: &Change<'_>, _sink: &mut impl Sink) {}

    pub(crate) fn sync(&mut self, _roster: &Roster, _sync: &Sync<'_>, _sink: &mut impl Sink) {}

    pub(crate) fn passing(&mut self, _roster: &Roster, _message: &Message, _sink: &mut impl Sink) {}

    pub(crate) fn relay(&mut self, _relayed: &Relayed, _sink: &mut impl Sink) {}

    pub(crate) fn shrink(&mut self) {}
}

/// Stanzas to an occupant, or to the bare room as far as MIX does not take them.
pub(crate) fn dispatch(incoming: &Incoming<'_>, _resource: &str) -> Inbound {
    incoming.refuse(Condition::ServiceUnavailable)
}

/// See [`crate::render::probe`].
pub(crate) fn probe(_names: &Names, _session: &Session, _id: &str, _sink: &mut impl Sink) {}

/// See [`crate::render::not_joined`].
pub(crate) fn not_joined(_origin: &Origin, _sink: &mut impl Sink) {}
