//! The MUC view (XEP-0045): stanzas to commands, events to stanzas.
//!
//! The way in begins in `incoming.rs`. On the way out [`Muc`] says which file renders which event; what an occupant's
//! presence is made of is in `occupant.rs`, what follows from a change of one person in `change.rs`.

mod change;
mod config;
mod destroy;
mod disco;
mod ghost;
mod incoming;
mod join;
mod message;
mod occupant;
mod owner;
mod presences;
mod private;
mod relay;
mod subject;

pub(crate) use disco::{reserved_nick, room_info, service_info};
pub(crate) use ghost::{not_joined, probe};
pub(crate) use incoming::{iq, occupant, presence};
pub(crate) use message::archived;
pub(crate) use owner::form as owner_form;
pub(crate) use relay::relay;

use crate::domains::Names;
use crate::render::{Change, Sink, Sync};
use coven_core::content::relay::Relayed;
use coven_core::event::Message;
use coven_core::{Event, Roster, View};
use presences::Presences;
use smol_str::SmolStr;

/// Renders one channel for its MUC sessions.
#[derive(Debug)]
pub(crate) struct Muc {
    names: Names,
    /// Bare address of the room.
    room: SmolStr,
    presences: Presences,
    history: message::History,
}

impl Muc {
    /// `None` where MUC is not spoken.
    pub(crate) fn new(names: &Names) -> Option<Self> {
        Some(Self {
            room: names.bare(View::Muc)?,
            names: names.clone(),
            presences: Presences::default(),
            history: message::History::default(),
        })
    }

    /// What MUC sessions get of an event.
    pub(crate) fn event(&mut self, change: &Change<'_>, sink: &mut impl Sink) {
        match &change.record.event {
            Event::Created { .. } | Event::Unlocked | Event::Announced => {}
            Event::Message(message) => self.message(change.roster, message, sink),
            Event::Private(message) => self.private(change.roster, message, sink),
            Event::Configured { .. } => self.configured(change, sink),
            Event::Destroyed { .. } => self.destroyed(change, sink),
            _ => self.changed(change, sink),
        }
    }

    /// The whole room once more (MUC-ENTER-21).
    pub(crate) fn sync(&mut self, roster: &Roster, sync: &Sync<'_>, sink: &mut impl Sink) {
        if let Some(session) = roster.session(sync.session) {
            let burst = join::Burst::again(sync);
            self.burst(roster, session, &burst, sink);
        }
    }

    /// A message that is not kept.
    pub(crate) fn passing(&mut self, roster: &Roster, message: &Message, sink: &mut impl Sink) {
        self.message(roster, message, sink);
    }

    /// An IQ between occupants.
    pub(crate) fn relay(&mut self, relayed: &Relayed, sink: &mut impl Sink) {
        relay(&self.names, relayed, sink);
    }

    /// Drops what can be made again.
    pub(crate) fn shrink(&mut self) {
        self.presences = Presences::default();
        self.history = message::History::default();
    }
}
