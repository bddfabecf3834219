//! The PubSub subset of channels (XEP-0369 §4.3, XEP-0060): reading nodes, direct subscriptions, and what is refused.

use crate::both::rsm::Wanted;
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Builder, Child, IqType, StanzaError};
use coven_core::people::participation::{Node, Nodes};
use coven_core::{BareJid, Command, Condition, ErrorType, Query, View};
use minidom::Element;

/// A request of `pubsub` or `pubsub#owner` to a channel.
pub(crate) fn dispatch(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    let Ok(pubsub) = child.to_element() else {
        return incoming.refuse(Condition::BadRequest);
    };
    let Some(request) = pubsub.children().next() else {
        return incoming.refuse(Condition::BadRequest);
    };
    match (incoming.stanza.iq_type(), request.name()) {
        (Some(IqType::Get), "items") => items(incoming, &pubsub, request),
        (Some(IqType::Get), "subscriptions" | "affiliations") if !is_owner(&pubsub) => {
            incoming.query(View::Mix, Query::OwnSubscriptions)
        }
        (Some(IqType::Set), "subscribe") => subscribe(incoming, request, true),
        (Some(IqType::Set), "unsubscribe") => subscribe(incoming, request, false),
        (Some(IqType::Set), "publish" | "retract" | "purge") => write(incoming, request),
        (Some(IqType::Set), "create" | "delete") => {
            incoming.refuse(StanzaError::new(ErrorType::Cancel, Condition::NotAllowed))
        }
        (_, name) => unsupported(incoming, feature(name, is_owner(&pubsub))),
    }
}

fn items(incoming: &Incoming<'_>, pubsub: &Element, request: &Element) -> Inbound {
    let Some(name) = request.attr("node") else {
        return bad_request(incoming, "nodeid-required");
    };
    let Some(node) = Node::parse(name) else {
        return incoming.refuse(Condition::ItemNotFound);
    };
    let Some(wanted) = Wanted::read(pubsub) else {
        return incoming.refuse(Condition::BadRequest);
    };
    let ids = request.children().filter(|c| c.name() == "item");
    let max = request.attr("max_items").and_then(|n| n.parse().ok());
    let query = Query::NodeItems {
        node,
        ids: ids.filter_map(|c| c.attr("id").map(Into::into)).collect(),
        max_items: max.or(wanted.max).unwrap_or(0),
        after: wanted.after.map(Into::into),
    };
    incoming.query(View::Mix, query)
}

/// Source: MIX-NODE-12, 13.
fn subscribe(incoming: &Incoming<'_>, request: &Element, add: bool) -> Inbound {
    let own = |jid: &str| BareJid::parse(jid).is_some_and(|jid| jid == incoming.sender.bare);
    if !request.attr("jid").is_some_and(own) {
        return bad_request(incoming, "invalid-jid");
    }
    let Some(node) = request.attr("node").and_then(Node::parse) else {
        return incoming.refuse(Condition::ItemNotFound);
    };
    let (one, none) = (Nodes::default().with(node), Nodes::default());
    let (add, remove) = if add { (one, none) } else { (none, one) };
    incoming.command(View::Mix, Command::Subscribe { add, remove })
}

/// Nobody writes to nodes here: people by joining, settings by the administrators' nodes of a later step (MIX-NODE-08).
fn write(incoming: &Incoming<'_>, request: &Element) -> Inbound {
    match request.attr("node").and_then(Node::parse) {
        Some(_) => incoming.refuse(StanzaError::new(ErrorType::Auth, Condition::Forbidden)),
        None => incoming.refuse(Condition::ItemNotFound),
    }
}

fn is_owner(pubsub: &Element) -> bool {
    pubsub.ns() == ns::PUBSUB_OWNER
}

/// Source: MIX-NODE-15, 23.
fn feature(request: &str, owner: bool) -> &'static str {
    match (request, owner) {
        ("affiliations", true) => "modify-affiliations",
        ("subscriptions", true) => "manage-subscriptions",
        ("configure", _) => "config-node",
        ("default", _) => "retrieve-default",
        ("options", _) => "subscription-options",
        _ => "persistent-items",
    }
}

fn unsupported(incoming: &Incoming<'_>, feature: &str) -> Inbound {
    let mut detail = Builder::new();
    detail
        .open_ns("unsupported", ns::PUBSUB_ERRORS)
        .attr("feature", feature)
        .close();
    let error = StanzaError::new(ErrorType::Cancel, Condition::FeatureNotImplemented);
    incoming.refuse(error.with_detail(detail.finish()))
}

fn bad_request(incoming: &Incoming<'_>, detail: &'static str) -> Inbound {
    let mut xml = Builder::new();
    xml.empty(detail, ns::PUBSUB_ERRORS);
    let error = StanzaError::new(ErrorType::Modify, Condition::BadRequest);
    incoming.refuse(error.with_detail(xml.finish()))
}
