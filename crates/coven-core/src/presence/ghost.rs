//! Ghosts: sessions whose client is gone, recognised by the errors that come back (XEP-0045 §18.1.2; MUC-LEAVE-07..12).
//!
//! Only the bounce of a probe ends a session: its id is one that nobody else can make ([`ProbeMark`]), so that a message
//! which its sender gave a probe's id, or which bounces for what is in it, throws nobody out.
//!
//! That `remote-server-*` must have held for a grace is known to the front-end, which says so in the command; when to
//! probe after a reconnect is the front-end's as well.

use crate::channel::{Channel, Decision, Output};
use crate::command::{Bounce, Sender, View};
use crate::event::{Cause, Event};
use crate::ids::ChannelKey;
use crate::life::persistence::{self, Ending};
use crate::{Condition, FullJid, ProbeMark, Refusal, Session};
use bytes::Bytes;
use std::sync::Arc;

/// A session to be asked whether it is still there (MUC-LEAVE-12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Which.
    pub session: Arc<Session>,
    /// What the bounce has to bring back.
    pub mark: ProbeMark,
}

impl Channel {
    /// A probe of a session as it is now.
    #[must_use]
    pub fn probe(&self, session: &Arc<Session>) -> Probe {
        let key = self.key.unwrap_or(ChannelKey([0; 32]));
        Probe {
            session: Arc::clone(session),
            mark: ProbeMark::of(&key, session.no, session.updated),
        }
    }
}

/// An error came back from a full JID. The bounce of a probe ends what sessions the full JID has in either view, if the
/// condition says that it is gone and they have shown nothing of themselves since the probe was made: a bounce may be
/// late, and its user back meanwhile. Any other bounce only causes a probe. Never refused: errors are not answered
/// (MUC-ERR-04). From somebody who is not here it is dropped (MUC-LEAVE-11).
pub fn decide(channel: &Channel, sender: &Sender, bounce: &Bounce) -> Result<Decision, Refusal> {
    let Some(full) = sender.full.as_ref().filter(|_| means_gone(bounce)) else {
        return Ok(Decision::default());
    };
    let mut sessions = sessions(channel, full);
    let Some(mark) = bounce.probed else {
        return Ok(Decision {
            outputs: sessions.map(|s| Output::Probe(channel.probe(s))).collect(),
            ..Decision::default()
        });
    };
    let probed = sessions.find(|s| channel.probe(s).mark == mark);
    Ok(Decision {
        events: probed.map_or_else(Vec::new, |probed| ended(channel, full, probed)),
        ..Decision::default()
    })
}

fn sessions<'a>(channel: &'a Channel, full: &FullJid) -> impl Iterator<Item = &'a Arc<Session>> {
    let views = [View::Muc, View::Mix].into_iter();
    views.filter_map(|view| channel.roster.session_of(view, full))
}

/// The session that was probed, and one in the other view that is not newer. Both are one person's.
fn ended(channel: &Channel, full: &FullJid, probed: &Session) -> Vec<Event> {
    let gone: Vec<_> = sessions(channel, full)
        .filter(|s| s.updated <= probed.updated)
        .collect();
    let left = |session: &&Arc<Session>| Event::Left {
        session: session.no,
        cause: Cause::Ghost,
        payload: Bytes::new(),
    };
    let nos: Vec<_> = gone.iter().map(|session| session.no).collect();
    let mut events: Vec<_> = gone.iter().map(left).collect();
    let ending = Ending::Sessions(probed.person, &nos);
    events.extend(persistence::after(channel, &[ending]));
    events
}

/// Source: MUC-LEAVE-07, 08, 09.
const fn means_gone(bounce: &Bounce) -> bool {
    match bounce.condition {
        Condition::Gone
        | Condition::ItemNotFound
        | Condition::RecipientUnavailable
        | Condition::Redirect
        | Condition::ServiceUnavailable
        | Condition::InternalServerError => true,
        // Of other stanzas it may be about what a user put into them.
        Condition::JidMalformed => bounce.probed.is_some(),
        Condition::RemoteServerNotFound | Condition::RemoteServerTimeout => bounce.confirmed,
        _ => false,
    }
}
