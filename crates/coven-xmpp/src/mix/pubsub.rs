//! The PubSub subset of channels (XEP-0369 §4.3, XEP-0060): reading nodes, direct subscriptions, and what is refused.

use crate::both::rsm::Wanted;
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Builder, Child, IqType, StanzaError};
use coven_core::people::participation::{Node, Nodes};
use coven_core::query::DirectoryPage;
use coven_core::{BareJid, Command, Condition, ErrorType, Query, View};
use minidom::Element;

/// A request of `pubsub` or `pubsub#owner` to a channel.
pub(crate) fn dispatch(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    let Ok(pubsub) = child.to_element() else {
        return incoming.refuse(Condition::BadRequest);
    };
    let Some(request) = pubsub.children().find(|c| !c.has_ns(ns::RSM)) else {
        return incoming.refuse(Condition::BadRequest);
    };
    let owner = is_owner(&pubsub);
    match (incoming.stanza.iq_type(), request.name()) {
        (Some(IqType::Get), "items") => items(incoming, &pubsub, request),
        (Some(IqType::Get), "subscriptions" | "affiliations") if !owner => {
            incoming.query(View::Mix, Query::OwnSubscriptions)
        }
        (Some(IqType::Set), "subscribe") => subscribe(incoming, request, true),
        (Some(IqType::Set), "unsubscribe") => subscribe(incoming, request, false),
        (Some(IqType::Set), name @ ("publish" | "retract" | "purge")) => {
            write(incoming, request, name)
        }
        (Some(IqType::Set), "create" | "delete") => incoming.refuse(Condition::NotAllowed),
        (_, name) => unsupported(incoming, feature(name, owner)),
    }
}

fn items(incoming: &Incoming<'_>, pubsub: &Element, request: &Element) -> Inbound {
    let Some(name) = request.attr("node") else {
        return bad_request(incoming, "nodeid-required");
    };
    let Some(node) = Node::parse(name) else {
        return incoming.refuse(Condition::ItemNotFound);
    };
    let ids = request.children().filter(|c| c.name() == "item");
    let max_items = request.attr("max_items").map_or(Ok(0), str::parse);
    let (Ok(max_items), Some(page)) = (max_items, page(pubsub)) else {
        return incoming.refuse(Condition::BadRequest);
    };
    incoming.query(
        View::Mix,
        Query::NodeItems {
            node,
            ids: ids.filter_map(|c| c.attr("id").map(Into::into)).collect(),
            max_items,
            page,
        },
    )
}

/// Items of a node by their ids, as discovery lists them (MIX-DSC-09).
pub(crate) fn list(incoming: &Incoming<'_>, node: Node, query: &Element) -> Inbound {
    let Some(page) = page(query) else {
        return incoming.refuse(Condition::BadRequest);
    };
    let query = Query::NodeItems {
        node,
        ids: Vec::new(),
        max_items: 0,
        page,
    };
    incoming.query(View::Mix, query)
}

/// The page that RSM asks for, if any. `None` if it asks for what cannot be.
fn page(query: &Element) -> Option<Option<DirectoryPage>> {
    if !query.has_child("set", ns::RSM) {
        return Some(None);
    }
    let wanted = Wanted::read(query).filter(|wanted| !wanted.index)?;
    Some(Some(DirectoryPage {
        after: wanted.after.map(Into::into),
        before: wanted.before.map(|id| id.map(Into::into)),
        max: wanted.max,
    }))
}

/// Source: MIX-NODE-12, 13.
fn subscribe(incoming: &Incoming<'_>, request: &Element, add: bool) -> Inbound {
    let own = |jid: &str| {
        let parsed = BareJid::parse(jid).filter(|_| !jid.contains('/'));
        parsed.is_some_and(|jid| jid == incoming.sender.bare)
    };
    if !request.attr("jid").is_some_and(own) {
        return bad_request(incoming, "invalid-jid");
    }
    let Some(node) = request.attr("node").and_then(Node::parse) else {
        return incoming.refuse(Condition::ItemNotFound);
    };
    let (one, none) = (Nodes::from_iter([node]), Nodes::default());
    let (add, remove) = if add { (one, none) } else { (none, one) };
    incoming.command(View::Mix, Command::Subscribe { add, remove })
}

/// Who takes part is written by joining alone, and what is said by saying it (MIX-NODE-08). What administrators write to
/// comes with a later step.
fn write(incoming: &Incoming<'_>, request: &Element, name: &str) -> Inbound {
    match request.attr("node").and_then(Node::parse) {
        Some(Node::Participants | Node::JidMap | Node::Messages | Node::Presence) => {
            incoming.refuse(Condition::Forbidden)
        }
        Some(Node::Info) => unsupported(incoming, feature(name, false)),
        _ => incoming.refuse(Condition::ItemNotFound),
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
        ("publish", _) => "publish",
        ("retract", _) => "retract-items",
        ("purge", _) => "purge-nodes",
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
