//! Refusals whose form depends on what was asked: of MIX and of its PubSub subset.

use super::addresses::split_encoded;
use super::answer::not_subscribed;
use super::request::named_nodes;
use crate::ns;
use crate::stanza::{Builder, Child, Stanza, StanzaError};
use bytes::Bytes;
use coven_core::{Condition, Refusal};

/// What a refusal says to who asked `stanza`.
pub(crate) fn refused(stanza: &Stanza, refusal: &Refusal) -> StanzaError {
    let Some(child) = stanza.payload.children().next() else {
        return refusal.into();
    };
    let of_nodes = refusal
        .specific
        .as_ref()
        .is_some_and(|s| s.name == "join" && s.namespace == ns::MIX_CORE);
    let not_allowed = refusal.condition == Condition::NotAllowed;
    let encoded = stanza
        .to
        .local()
        .is_some_and(|l| split_encoded(l).is_some());
    if of_nodes {
        StanzaError::from(refusal).with_detail(nodes(&child))
    } else if not_allowed && is_unsubscribe(&child) {
        not_subscribed()
    } else if not_allowed && encoded {
        Condition::Forbidden.into()
    } else {
        refusal.into()
    }
}

/// The nodes that a join asked for, all refused for the same reason (MIX-JOIN-07, X-11).
fn nodes(join: &Child<'_>) -> Bytes {
    let mut xml = Builder::with_capacity(256);
    xml.open_ns("join", ns::MIX_CORE);
    if let Ok(join) = join.to_element() {
        for node in named_nodes(&join, "subscribe").take(MAX_NAMED) {
            xml.open("subscribe").attr("node", node).close();
        }
    }
    xml.close();
    xml.finish()
}

fn is_unsubscribe(child: &Child<'_>) -> bool {
    let first = |e: minidom::Element| e.children().next().map(|c| c.name() == "unsubscribe");
    child.is(ns::PUBSUB, "pubsub") && child.to_element().ok().and_then(first) == Some(true)
}

/// Most nodes that an error names.
const MAX_NAMED: usize = 32;
