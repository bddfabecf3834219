//! Ghosts: sessions whose client is gone, recognised by the errors that come back (XEP-0045 §18.1.2; MUC-LEAVE-07..12).
//!
//! That `remote-server-*` must have held for a grace is known to the front-end, which says so in the command; when to
//! probe after a reconnect is the front-end's as well.

use crate::channel::{Channel, Decision, Output};
use crate::command::{Bounce, Sender, View};
use crate::event::{Cause, Event};
use crate::life::persistence::{self, Ending};
use crate::{Condition, FullJid, Refusal, Session};
use bytes::Bytes;
use std::sync::Arc;

/// An error came back from a full JID. The bounce of a probe ends what sessions the full JID has in either view, if the
/// condition says that it is gone and they have shown nothing of themselves since the probe was made: a bounce may be
/// late, and its user back meanwhile. Any other bounce only causes a probe. Never refused: errors are not answered (MUC-ERR-04). From somebody who is not here it is dropped
/// (MUC-LEAVE-11).
pub fn decide(channel: &Channel, sender: &Sender, bounce: &Bounce) -> Result<Decision, Refusal> {
    let Some(full) = sender.full.as_ref().filter(|_| means_gone(bounce)) else {
        return Ok(Decision::default());
    };
    let sessions = sessions(channel, full);
    let Some(probed) = bounce.probed else {
        return Ok(Decision {
            outputs: sessions.map(|s| Output::Probe(Arc::clone(s))).collect(),
            ..Decision::default()
        });
    };
    let gone: Vec<_> = sessions.filter(|s| s.updated <= probed).collect();
    Ok(Decision {
        events: ended(channel, &gone),
        ..Decision::default()
    })
}

fn sessions<'a>(channel: &'a Channel, full: &FullJid) -> impl Iterator<Item = &'a Arc<Session>> {
    let views = [View::Muc, View::Mix].into_iter();
    views.filter_map(|view| channel.roster.session_of(view, full))
}

/// All of these belong to one full JID, so to one person.
fn ended(channel: &Channel, gone: &[&Arc<Session>]) -> Vec<Event> {
    let Some(first) = gone.first() else {
        return Vec::new();
    };
    let left = |session: &&Arc<Session>| Event::Left {
        session: session.no,
        cause: Cause::Ghost,
        payload: Bytes::new(),
    };
    let nos: Vec<_> = gone.iter().map(|session| session.no).collect();
    let mut events: Vec<_> = gone.iter().map(left).collect();
    let ending = Ending::Sessions(first.person, &nos);
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
        | Condition::InternalServerError
        | Condition::JidMalformed => true,
        Condition::RemoteServerNotFound | Condition::RemoteServerTimeout => bounce.confirmed,
        _ => false,
    }
}
