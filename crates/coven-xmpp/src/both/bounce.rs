//! Errors that come back for what the channel sent: never answered (MUC-ERR-04).

use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::render::PROBE;
use crate::stanza::StanzaError;
use coven_core::command::Bounce;
use coven_core::{Command, Condition, ProbeMark};

/// A message or presence of type error, of a session.
///
/// Source: XEP-0045 §18.1.2; requirements MUC-LEAVE-07 to 12. A probe's id carries a mark of the session that it asked.
pub(crate) fn dispatch(incoming: &Incoming<'_>) -> Inbound {
    let probed = incoming
        .stanza
        .id
        .as_deref()
        .and_then(|id| ProbeMark::parse(id.strip_prefix(PROBE)?));
    let bounce = Bounce {
        probed,
        condition: condition(incoming),
        confirmed: false,
    };
    let view = incoming.domain.usual_view();
    incoming.command(view, Command::Bounce(bounce))
}

/// What the error says.
pub(crate) fn condition(incoming: &Incoming<'_>) -> Condition {
    StanzaError::read(&incoming.stanza.payload)
        .map_or(Condition::UndefinedCondition, |error| error.condition)
}
