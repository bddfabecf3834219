//! Events, answers and refusals to stanzas, for all recipients that a [`Sink`] cares for.
//!
//! Owns what both views share on the way out: whom a stanza is for ([`Recipient`]), where it goes ([`Sink`]), and one
//! renderer per channel ([`Renderer`]) that follows the roster. What stanzas look like is in `muc` and `mix`; each gets
//! the same event and renders it for the recipients of its own view. Who may see real JIDs is asked of the roster
//! ([`Roster::sees_jids`], I8), nowhere decided here.

use crate::both;
use crate::domains::{Domains, Names};
use crate::incoming;
use crate::stanza::{Outgoing, Template};
use crate::{mix, muc};
use coven_core::content::relay::Relayed;
use coven_core::event::Message;
use coven_core::presence::ghost::Probe;
use coven_core::{
    Answer, Delta, Group, Origin, PersonNo, Record, Refusal, Roster, Session, SessionNo, View,
};
use smol_str::format_smolstr;
use std::sync::Arc;

/// Where rendered stanzas go.
pub trait Sink {
    /// A stanza to one of the many recipients of a template. Called in a plain loop, once per recipient.
    fn send(&mut self, template: &Template, to: Recipient<'_>);

    /// A stanza to one address: an answer, a refusal, a relayed IQ.
    fn answer(&mut self, stanza: Outgoing, group: &Group);

    /// Whether stanzas to this recipient leave through here. Asked before work for one recipient alone (a join's burst,
    /// a history); what is sent to others is dropped by [`Self::send`] anyway.
    fn wants(&self, _to: &Recipient<'_>) -> bool {
        true
    }

    /// What the recipient's server needs besides the standard.
    fn quirks(&self, _to: &Recipient<'_>) -> Quirks {
        Quirks::default()
    }

    /// Bytes of the largest stanza that this group's upstreams take (I9): lists are cut into pages below it.
    fn max_stanza(&self, _group: &Group) -> usize {
        MAX_STANZA
    }
}

/// Bytes of the largest stanza, where nothing else is configured.
pub const MAX_STANZA: usize = 256 * 1024;

/// What a recipient's server needs besides the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quirks {
    /// ejabberd's MIX-PAM looks for an empty `<mix/>` (MIX-PAMC-09).
    pub ejabberd_pam: bool,
}

/// Whom a stanza is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient<'a> {
    /// The address, unescaped: full, or bare.
    pub to: &'a str,
    /// Its bare JID: what decides over the connection.
    pub bare: &'a str,
    /// The group of upstreams that reaches it.
    pub group: &'a Group,
    /// The view in which the stanza is written.
    pub view: View,
}

impl<'a> Recipient<'a> {
    /// A session, by its full JID.
    #[must_use]
    pub fn session(session: &'a Session) -> Self {
        Self {
            to: session.jid.as_str(),
            bare: session.jid.bare_str(),
            group: &session.group,
            view: session.view,
        }
    }
}

/// An event with all that its rendering needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The roster after the event.
    pub(crate) roster: &'a Roster,
    /// What it changed.
    pub(crate) delta: &'a Delta,
    /// The event.
    pub(crate) record: &'a Record,
    /// What a newcomer gets, oldest first.
    pub(crate) history: &'a [Arc<Record>],
}

/// Everything once more for one session (MUC-ENTER-21).
#[derive(Debug, Clone, Copy, Default)]
pub struct Sync<'a> {
    /// To which session.
    pub session: SessionNo,
    /// Oldest first.
    pub history: &'a [Arc<Record>],
    /// Status 210.
    pub altered: bool,
    /// `id` of the join stanza.
    pub stanza_id: Option<&'a str>,
    /// At most so many characters of history (MUC-HIST-05); `None` for no limit.
    pub max_chars: Option<u64>,
}

/// Renders one channel for all recipients.
///
/// Holds templates of occupants' presences. They follow the roster as long as each event is given to [`Self::event`],
/// in order; after a jump, begin with a new renderer or call [`Self::shrink`].
#[derive(Debug)]
pub struct Renderer {
    muc: Option<muc::Muc>,
    mix: Option<mix::Mix>,
}

impl Renderer {
    /// A renderer for the channel of these names.
    #[must_use]
    pub fn new(names: &Names) -> Self {
        Self {
            muc: muc::Muc::new(names),
            mix: mix::Mix::new(names),
        }
    }

    /// What recipients of both views get of an event. `roster` is the one after the event, `delta` what applying it
    /// returned; `history` is for a joined event alone.
    pub fn event(
        &mut self,
        roster: &Roster,
        delta: &Delta,
        record: &Record,
        history: &[Arc<Record>],
        sink: &mut impl Sink,
    ) {
        let change = Change {
            roster,
            delta,
            record,
            history,
        };
        if let Some(muc) = &mut self.muc {
            muc.event(&change, sink);
        }
        if let Some(mix) = &mut self.mix {
            mix.event(&change, sink);
        }
    }

    /// The whole room once more, for one session (MUC-ENTER-21).
    pub fn sync(&mut self, roster: &Roster, sync: &Sync<'_>, sink: &mut impl Sink) {
        if let Some(muc) = &mut self.muc {
            muc.sync(roster, sync, sink);
        }
    }

    /// A message that is neither archived nor journaled, to everybody.
    pub fn passing(&mut self, roster: &Roster, message: &Message, sink: &mut impl Sink) {
        if let Some(muc) = &mut self.muc {
            muc.passing(roster, message, sink);
        }
        if let Some(mix) = &mut self.mix {
            mix.passing(roster, message, sink);
        }
    }

    /// All items of the presence node, to a participant (MIX-JOIN-18, MIX-SUB-03).
    pub fn presence_dump(&mut self, roster: &Roster, to: PersonNo, sink: &mut impl Sink) {
        if let Some(mix) = &mut self.mix {
            mix.presence_dump(roster, to, sink);
        }
    }

    /// An IQ between occupants (MUC-IQ-01).
    pub fn relay(&mut self, relayed: &Relayed, sink: &mut impl Sink) {
        if let Some(muc) = &mut self.muc {
            muc.relay(relayed, sink);
        }
    }

    /// Drops what can be made again: for when the channel is quiet.
    pub fn shrink(&mut self) {
        if let Some(muc) = &mut self.muc {
            muc.shrink();
        }
        if let Some(mix) = &mut self.mix {
            mix.shrink();
        }
    }
}

/// What an `id` of a probe begins with; the mark of the session follows (MUC-LEAVE-12). No copy of what a user sent has such
/// an id.
pub const PROBE: &str = "coven-probe-";

/// Asks a session whether it is still there: a groupchat message without body, whose id carries its mark (MUC-LEAVE-12).
pub fn probe(names: &Names, probe: &Probe, sink: &mut impl Sink) {
    let (session, id) = (&probe.session, format_smolstr!("{PROBE}{}", probe.mark));
    match session.view {
        View::Muc => muc::probe(names, session, &id, sink),
        View::Mix => mix::probe(names, session, &id, sink),
    }
}

/// The result of an IQ, or the answer to a read. Several stanzas for an archive's page, the result last (MUC-MAM-10).
pub fn answer(domains: &Domains, origin: &Origin, answer: &Answer, sink: &mut impl Sink) {
    both::answer(domains, origin, answer, sink);
}

/// The stanza error that says why a command was refused.
pub fn refused(domains: &Domains, origin: &Origin, refusal: &Refusal, sink: &mut impl Sink) {
    if let Some(error) = incoming::refusal(domains, origin, refusal) {
        sink.answer(error, &origin.group);
    }
}

/// The answer to presence of somebody who is not here (MUC-ENTER-19).
pub fn not_joined(origin: &Origin, sink: &mut impl Sink) {
    muc::not_joined(origin, sink);
}
