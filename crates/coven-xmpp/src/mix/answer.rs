//! Results of IQs that only MIX has (XEP-0369 §7; MIX-JOIN-04, MIX-LEAVE-01, MIX-SUB-02, MIX-NICK-01, MIX-DSC-07..10).
//!
//! An answer takes the form of the question, which is read once more from its [`Origin`]: the same change may have been
//! asked for by MIX or by PubSub, the same items by PubSub or by discovery.

use super::addresses::{Addresses, split_encoded};
use super::items;
use crate::both::disco::Disco;
use crate::incoming::payload_of;
use crate::ns;
use crate::stanza::{Address, Builder, StanzaError};
use bytes::Bytes;
use coven_core::people::participation::{Nodes, Participation};
use coven_core::presence::participate::SUBSCRIBABLE;
use coven_core::query::NodeItems;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Nick, Origin, StableId};
use minidom::Element;

/// The payload of the result, or why there is none.
pub(crate) fn payload(
    names: &Addresses,
    origin: &Origin,
    answer: &Answer,
    max_stanza: usize,
) -> Result<Bytes, StanzaError> {
    let asked = Asked::read(origin);
    Ok(match answer {
        Answer::Participating { id, nodes, nick } => joined(names, *id, *nodes, nick.as_ref()),
        Answer::Departed => one(ns::MIX_CORE, "leave"),
        Answer::Subscribed { added, removed } => return subscribed(&asked, *added, *removed),
        Answer::NickSet(nick) => nick_set(nick),
        Answer::Created(name) => created(name),
        Answer::Nodes(nodes) => node_list(names, &asked, *nodes),
        Answer::Items(items) if asked.is_encoded => return about(items),
        Answer::Items(items) => items::payload(names, &asked, items, max_stanza),
        Answer::Own {
            participation,
            affiliation,
            readable,
        } => own(&asked, participation.as_deref(), *affiliation, *readable),
        _ => Bytes::new(),
    })
}

/// What was asked.
pub(crate) struct Asked {
    /// Bare JID of who asked, as it came.
    pub(crate) by: String,
    /// The payload.
    pub(crate) element: Option<Element>,
    /// Of `stableid#channel@domain`.
    is_encoded: bool,
}

impl Asked {
    fn read(origin: &Origin) -> Self {
        let payload = payload_of(origin);
        let to = Address::new(origin.to.clone());
        Self {
            by: Address::new(origin.from.clone()).bare().to_owned(),
            element: payload.children().next().and_then(|c| c.to_element().ok()),
            is_encoded: to.local().is_some_and(|l| split_encoded(l).is_some()),
        }
    }

    /// Whether the payload is of this namespace.
    pub(crate) fn is_of(&self, namespace: &str) -> bool {
        self.element.as_ref().is_some_and(|e| e.has_ns(namespace))
    }

    /// What a PubSub request is about: its first child.
    fn request(&self) -> Option<&Element> {
        self.element.as_ref()?.children().next()
    }

    /// `node` of the payload itself: of discovery.
    pub(crate) fn node(&self) -> Option<&str> {
        self.element.as_ref()?.attr("node")
    }
}

fn one(namespace: &str, name: &'static str) -> Bytes {
    let mut xml = Builder::new();
    xml.empty(name, namespace);
    xml.finish()
}

/// With `jid` beside `id`, as older participants' servers read it (MIX-JOIN-05).
fn joined(names: &Addresses, id: StableId, nodes: Nodes, nick: Option<&Nick>) -> Bytes {
    let mut xml = Builder::with_capacity(512);
    xml.open_ns("join", ns::MIX_CORE)
        .attr("id", &id.to_string())
        .attr("jid", &names.participant(id));
    write_nodes(&mut xml, "subscribe", nodes);
    if let Some(nick) = nick {
        xml.leaf("nick", nick.as_str());
    }
    xml.close();
    xml.finish()
}

fn write_nodes(xml: &mut Builder, name: &'static str, nodes: Nodes) {
    for node in nodes.iter() {
        xml.open(name).attr("node", node.name()).close();
    }
}

/// `update-subscription` names what took effect (MIX-SUB-02); one subscription by PubSub took effect or not (MIX-NODE-13).
fn subscribed(asked: &Asked, added: Nodes, removed: Nodes) -> Result<Bytes, StanzaError> {
    if asked.is_of(ns::PUBSUB) {
        return match asked.request().map(Element::name) {
            Some("unsubscribe") if removed.is_empty() => Err(not_subscribed()),
            Some("unsubscribe") => Ok(Bytes::new()),
            _ if added.is_empty() => Err(Condition::ItemNotFound.into()),
            _ => Ok(subscription(asked, added)),
        };
    }
    let mut xml = Builder::with_capacity(512);
    xml.open_ns("update-subscription", ns::MIX_CORE)
        .attr("jid", &asked.by);
    write_nodes(&mut xml, "subscribe", added);
    write_nodes(&mut xml, "unsubscribe", removed);
    Ok(xml.finish())
}

fn subscription(asked: &Asked, nodes: Nodes) -> Bytes {
    let mut xml = Builder::with_capacity(256);
    xml.open_ns("pubsub", ns::PUBSUB);
    write_subscriptions(&mut xml, asked, nodes);
    xml.finish()
}

fn write_subscriptions(xml: &mut Builder, asked: &Asked, nodes: Nodes) {
    for node in nodes.iter() {
        xml.open("subscription")
            .attr("node", node.name())
            .attr("jid", &asked.by)
            .attr("subscription", "subscribed")
            .close();
    }
}

/// Source: MIX-NODE-13, XEP-0060 §6.2.3.2.
pub(crate) fn not_subscribed() -> StanzaError {
    let error = StanzaError::new(ErrorType::Cancel, Condition::UnexpectedRequest);
    error.with_detail(one(ns::PUBSUB_ERRORS, "not-subscribed"))
}

fn nick_set(nick: &Nick) -> Bytes {
    let mut xml = Builder::new();
    xml.open_ns("setnick", ns::MIX_CORE)
        .leaf("nick", nick.as_str());
    xml.finish()
}

fn created(name: &str) -> Bytes {
    let mut xml = Builder::new();
    xml.open_ns("create", ns::MIX_CORE).attr("channel", name);
    xml.finish()
}

/// disco#items with node `mix` (MIX-DSC-07); with the name of a node whose items are nobody's to list, none (MIX-DSC-09).
fn node_list(names: &Addresses, asked: &Asked, nodes: Nodes) -> Bytes {
    let mut xml = Builder::with_capacity(512);
    xml.open_ns("query", ns::DISCO_ITEMS)
        .attr_opt("node", asked.node());
    let listed = asked.node() == Some("mix");
    for node in nodes.iter().filter(|_| listed) {
        xml.open("item")
            .attr("jid", &names.bare)
            .attr("node", node.name())
            .close();
    }
    xml.finish()
}

/// disco#info on `stableid#channel@domain` (MIX-DSC-10), if there is such a participant. Nothing is relayed yet, so
/// nothing else is offered.
fn about(items: &NodeItems) -> Result<Bytes, StanzaError> {
    if !matches!(items, NodeItems::Participants { items, .. } if !items.is_empty()) {
        return Err(Condition::ItemNotFound.into());
    }
    let mut disco = Disco::default();
    disco.identity("account", "registered", "");
    disco.features(&[ns::DISCO_INFO]);
    Ok(disco.write(None))
}

/// The requester's own subscriptions or affiliations, of all nodes or of the one named (MIX-NODE-14).
fn own(
    asked: &Asked,
    participation: Option<&Participation>,
    affiliation: Affiliation,
    readable: Nodes,
) -> Bytes {
    let request = asked.request();
    let node = request.and_then(|r| r.attr("node"));
    let named: Nodes = SUBSCRIBABLE
        .iter()
        .filter(|n| node.is_none_or(|node| node == n.name()))
        .collect();
    let mut xml = Builder::with_capacity(512);
    xml.open_ns("pubsub", ns::PUBSUB);
    if request.is_some_and(|r| r.name() == "affiliations") {
        xml.open("affiliations");
        write_affiliations(&mut xml, named, affiliation, readable);
    } else {
        xml.open("subscriptions");
        let nodes = participation.map(|p| p.nodes).unwrap_or_default();
        write_subscriptions(&mut xml, asked, nodes.and(named));
    }
    xml.finish()
}

fn write_affiliations(xml: &mut Builder, nodes: Nodes, affiliation: Affiliation, readable: Nodes) {
    for node in nodes.iter() {
        let word = match affiliation {
            Affiliation::Owner => "owner",
            Affiliation::Outcast => "outcast",
            _ if readable.has(node) => "member",
            _ => "none",
        };
        xml.open("affiliation")
            .attr("node", node.name())
            .attr("affiliation", word)
            .close();
    }
}
