//! A session: one full JID that is present, and what of its presence others see.

use crate::channel::{Channel, Facts};
use crate::command::{Sender, View};
use crate::event::Event;
use crate::ids::{PersonNo, Sequence, SessionNo};
use crate::jid::{BareJid, FullJid, Group};
use crate::people::person;
use crate::{Condition, Refusal};
use bytes::Bytes;
use std::sync::Arc;

/// Availability, in the order in which the best of several sessions is chosen (MUC-MULTI-05, MAP-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Show {
    /// `<show>xa</show>`
    Xa,
    /// `<show>dnd</show>`
    Dnd,
    /// `<show>away</show>`
    Away,
    /// No `<show/>`.
    #[default]
    Available,
    /// `<show>chat</show>`
    Chat,
}

/// What a client said in an available presence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    /// Availability.
    pub show: Show,
    /// The child elements that are passed on (`<show/>`, `<status/>`, `<priority/>`, caps, ...): stripped, each
    /// self-contained in a stanza of the default stream namespace.
    pub payload: Bytes,
}

/// Bytes of a presence's payload at most: it is held for as long as the session lasts, and everybody who enters gets it. A
/// hard bound (I9), far above what clients send, and far enough below `max-stanza` for all that is written around it.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

impl Presence {
    /// Refuses a presence over [`MAX_PAYLOAD_BYTES`]: `policy-violation`.
    pub(crate) fn bounds(&self) -> Result<(), Refusal> {
        if self.payload.len() > MAX_PAYLOAD_BYTES {
            let refusal = Refusal::usual(Condition::PolicyViolation);
            return Err(refusal.text("this presence is too large"));
        }
        Ok(())
    }
}

/// A full JID present in a channel. Shared between node and front-ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number in this channel, never used again.
    pub no: SessionNo,
    /// Whose session this is.
    pub person: PersonNo,
    /// The full JID.
    pub jid: FullJid,
    /// A MUC session, or a MIX client that shares presence.
    pub view: View,
    /// Where output for this full JID leaves.
    pub group: Group,
    /// The event that began it.
    pub joined: Sequence,
    /// The event that set its presence: the most recent wins among equals. Probes name it, and bounces of probes that
    /// name an older one are ignored (MUC-LEAVE-12).
    pub updated: Sequence,
    /// The presence.
    pub presence: Arc<Presence>,
}

impl Session {
    /// The event of a new presence, if it is one (MUC-ENTER-22).
    pub(crate) fn changed_to(&self, presence: &Arc<Presence>) -> Option<Event> {
        (*self.presence != **presence).then(|| Event::Updated {
            session: self.no,
            presence: Arc::clone(presence),
        })
    }

    /// The event of a session that begins again where it is known already: after this, what is still on its way for the
    /// time before does not end it (MUC-LEAVE-12). Others see nothing if the presence is the same (MUC-ENTER-22).
    pub(crate) fn begun_again(&self, presence: &Arc<Presence>) -> Event {
        Event::Updated {
            session: self.no,
            presence: Arc::clone(presence),
        }
    }
}

/// A session of the sender that begins at this sequence. `None` if the stanza came from no full JID.
pub(crate) fn begun(
    channel: &Channel,
    sender: &Sender,
    person: PersonNo,
    view: View,
    presence: &Arc<Presence>,
    at: Sequence,
) -> Option<Session> {
    Some(Session {
        no: channel.roster.next_session(),
        person,
        jid: sender.full.clone()?,
        view,
        group: sender.group.clone(),
        joined: at,
        updated: at,
        presence: Arc::clone(presence),
    })
}

/// Refuses sessions beyond what a channel holds (I9): `resource-constraint`.
pub(crate) fn has_place(channel: &Channel, bare: &BareJid, facts: &Facts) -> Result<(), Refusal> {
    person::has_place(channel, bare, facts)?;
    let roster = &channel.roster;
    let view = roster.person_of(bare).and_then(|p| roster.view(p.no));
    let many = view.is_some_and(|view| view.sessions.len() >= facts.service.max_sessions);
    if many || roster.next_session().0 == u32::MAX {
        return Err(Refusal::usual(Condition::ResourceConstraint));
    }
    Ok(())
}
