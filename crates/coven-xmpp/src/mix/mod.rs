//! The MIX view (XEP-0369 family): stanzas to commands, events to stanzas.
//!
//! The functions here are all that the rest of the crate asks of this view.

use crate::both::disco::Disco;
use crate::dispatch::Inbound;
use crate::domains::{Domain, Names};
use crate::incoming::Incoming;
use crate::render::{Change, Sink};
use crate::stanza::Builder;
use coven_core::event::Message;
use coven_core::query::{ArchivePage, Info};
use coven_core::{Answer, Origin, PersonNo, Record, Roster, Session};

/// Renders one channel for its MIX participants.
#[derive(Debug)]
pub(crate) struct Mix {}

impl Mix {
    /// `None` where MIX is not spoken.
    pub(crate) fn new(names: &Names) -> Option<Self> {
        names.mix_domain.as_ref().map(|_| Self {})
    }

    /// What subscribers and sharing clients get of an event.
    pub(crate) fn event(&mut self, _change: &Change<'_>, _sink: &mut impl Sink) {}

    /// A message that is neither archived nor journaled.
    pub(crate) fn passing(&mut self, _roster: &Roster, _message: &Message, _sink: &mut impl Sink) {}

    /// All items of the presence node, to a participant's bare JID (MIX-JOIN-18, MIX-SUB-03).
    pub(crate) fn presence_dump(&mut self, _roster: &Roster, _to: PersonNo, _sink: &mut impl Sink) {
    }

    /// Drops what can be made again.
    pub(crate) fn shrink(&mut self) {}
}

/// IQ to the bare channel; `None` if it is nothing of MIX (MAP-05).
pub(crate) fn iq(_incoming: &Incoming<'_>) -> Option<Inbound> {
    None
}

/// Message to the bare channel that is not groupchat (that is shared, see `both/post.rs`): retraction, bounces. `None` if
/// it is nothing of MIX.
pub(crate) fn message(_incoming: &Incoming<'_>) -> Option<Inbound> {
    None
}

/// Presence to the bare channel (MAP-02). `None` leaves it to MUC (MUC-PRES-12): the core cannot be asked from here, so
/// on a shared domain [`coven_core::Command::Online`] decides by participation.
pub(crate) fn presence(_incoming: &Incoming<'_>) -> Option<Inbound> {
    None
}

/// IQ to the service: `<create/>`, `<destroy/>`, `<register/>`. `None` if it is nothing of MIX.
pub(crate) fn service(_incoming: &Incoming<'_>) -> Option<Inbound> {
    None
}

/// Stanza to `channel/resource`: what concerns a participant, as bounces of messages from `channel/stableid`. `None`
/// leaves it to MUC.
pub(crate) fn participant(_incoming: &Incoming<'_>, _resource: &str) -> Option<Inbound> {
    None
}

/// Stanza to `id#channel@domain` (MAP-04).
pub(crate) fn encoded(incoming: &Incoming<'_>) -> Inbound {
    incoming.refuse(coven_core::Condition::ServiceUnavailable)
}

/// What MIX adds to disco#info on the service (MIX-SVC).
pub(crate) fn service_info(_domain: &Domain, _disco: &mut Disco) {}

/// What MIX adds to disco#info on a channel: all of it with node `mix`, its part of the merged one without (MIX-DSC,
/// MIX-MUC-04).
pub(crate) fn channel_info(_names: &Names, _info: &Info, _disco: &mut Disco) {}

/// Answers that only MIX has, of IQs ([`crate::both::result`] sends one) and of presence subscriptions.
pub(crate) fn answer(_names: &Names, origin: &Origin, _answer: &Answer, sink: &mut impl Sink) {
    crate::both::result(origin, b"", sink);
}

/// Writes the archived message as it stands inside of `<forwarded/>`: one `<message xmlns='jabber:client'/>`
/// (MIX-MAM-10..15).
pub(crate) fn archived(_names: &Names, _page: &ArchivePage, _record: &Record, _xml: &mut Builder) {}

/// See [`crate::render::probe`].
pub(crate) fn probe(_names: &Names, _session: &Session, _id: &str, _sink: &mut impl Sink) {}
