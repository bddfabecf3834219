//! Answers and refusals: they need no roster, and come once.

use coven_cluster::{Delivery, ProcessId};
use coven_core::{Answer, Origin, Refusal};
use coven_xmpp::render;

use super::stage::Fanout;

/// Answers and refusals: they need no roster.
pub(crate) fn reply(delivery: Delivery, sink: &mut Fanout<'_>) {
    match delivery {
        Delivery::Answer {
            origin,
            answer,
            operation,
        } => once(operation, sink, |sink| answered(&origin, &answer, sink)),
        Delivery::Refused {
            origin,
            refusal,
            operation,
        } => once(operation, sink, |sink| refused(&origin, &refusal, sink)),
        Delivery::NotJoined { origin, operation } => {
            once(operation, sink, |sink| render::not_joined(&origin, sink));
        }
        _ => sink.without_roster(),
    }
}

/// What cannot be cut is `resource-constraint` to the requester (I9).
fn answered(origin: &Origin, answer: &Answer, sink: &mut Fanout<'_>) {
    let domains = sink.domains();
    render::answer(&domains, origin, answer, sink);
    if sink.oversized_iq {
        let refusal = Refusal::usual(coven_core::Condition::ResourceConstraint);
        refused(origin, &refusal.text("the answer is too large"), sink);
    }
}

/// What is told to the sender of an operation of a remote link may come again: it is written once (design §3.6).
fn once<'a>(
    operation: Option<(ProcessId, u64)>,
    sink: &mut Fanout<'a>,
    render: impl FnOnce(&mut Fanout<'a>),
) {
    if let Some(operation) = operation {
        sink.refuses(operation);
    }
    render(sink);
    sink.has_refused();
}

fn refused(origin: &Origin, refusal: &Refusal, sink: &mut Fanout<'_>) {
    let domains = sink.domains();
    render::refused(&domains, origin, refusal, sink);
}
