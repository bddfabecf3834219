//! Ghosts: sessions whose client is gone, recognised by the errors that come back (XEP-0045 §18.1.2; MUC-LEAVE-07..12).

use super::leave::ended;
use crate::channel::{Channel, Decision};
use crate::command::{Bounce, Sender, View};
use crate::event::Cause;
use crate::{Condition, Refusal};
use bytes::Bytes;

/// An error came back from a session. It ends that session if the condition says that it is gone and the error is not
/// about an earlier session of the same full JID. Never refused: errors are not answered (MUC-ERR-04).
pub fn decide(channel: &Channel, sender: &Sender, bounce: &Bounce) -> Result<Decision, Refusal> {
    let Some(full) = &sender.full else {
        return Ok(Decision::default());
    };
    if !means_gone(bounce) {
        return Ok(Decision::default());
    }
    let mut sessions = [View::Muc, View::Mix]
        .into_iter()
        .filter_map(|view| channel.roster.session_of(view, full));
    let session = sessions.find(|s| bounce.joined.is_none_or(|joined| s.joined <= joined));
    Ok(session.map_or_else(Decision::default, |session| {
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
