//! Ghosts: sessions whose client is gone, recognised by the errors that come back (XEP-0045 §18.1.2; MUC-LEAVE-07..12).

use super::leave::ended;
use crate::channel::{Channel, Decision, Output};
use crate::command::{Bounce, Sender, View};
use crate::event::Cause;
use crate::{Condition, Refusal};
use bytes::Bytes;
use std::sync::Arc;

/// An error came back from a session. The bounce of a probe, whose id names the join, ends the session if the condition
/// says that it is gone and no newer one has taken its place; any other bounce only causes a probe. Never refused: errors are not answered (MUC-ERR-04).
pub fn decide(channel: &Channel, sender: &Sender, bounce: &Bounce) -> Result<Decision, Refusal> {
    let Some(full) = &sender.full else {
        return Ok(Decision::default());
    };
    if !means_gone(bounce) {
        return Ok(Decision::default());
    }
    let sessions = || {
        let views = [View::Muc, View::Mix].into_iter();
        views.filter_map(|view| channel.roster.session_of(view, full))
    };
    let Some(joined) = bounce.joined else {
        let outputs = sessions().map(|s| Output::Probe(Arc::clone(s))).collect();
        return Ok(Decision {
            events: Vec::new(),
            outputs,
        });
    };
    let gone = sessions().find(|s| s.joined <= joined);
    Ok(gone.map_or_else(Decision::default, |session| {
        ended(channel, session, Cause::Ghost, Bytes::new())
    }))
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
