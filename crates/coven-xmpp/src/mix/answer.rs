//! Results of IQs that only MIX has (XEP-0369 §7; MIX-JOIN-04, MIX-LEAVE-01, MIX-SUB-02, MIX-NICK-01, MIX-NODE-09, 14).

use super::addresses::Addresses;
use super::events::{info_item, participant_item};
use crate::both::page::fitting;
use crate::both::rsm::Page;
use crate::incoming::payload_of;
use crate::ns;
use crate::stanza::{Address, Builder};
use bytes::Bytes;
use coven_core::people::participation::{Node, Nodes, Participation};
use coven_core::query::{NodeItems, ParticipantItem};
use coven_core::{Affiliation, Answer, Nick, Origin, StableId};

/// The payload of the result; `None` where this view has none for it.
pub(crate) fn payload(
    names: &Addresses,
    origin: &Origin,
    answer: &Answer,
    max_stanza: usize,
) -> Option<Bytes> {
    Some(match answer {
        Answer::Participating { id, nodes, nick } => joined(names, *id, *nodes, nick.as_ref()),
        Answer::Departed => one(ns::MIX_CORE, "leave"),
        Answer::Subscribed { added, removed } => subscribed(origin, *added, *removed),
        Answer::NickSet(nick) => nick_set(nick),
        Answer::Created => created(names),
        Answer::Nodes(nodes) => node_list(names, origin, *nodes),
        Answer::Items(items) => node_items(items, max_stanza),
        Answer::Own {
            participation,
            affiliation,
            readable,
        } => own(origin, participation.as_deref(), *affiliation, *readable),
        Answer::Destroyed => Bytes::new(),
        _ => return None,
    })
}

fn one(namespace: &str, name: &'static str) -> Bytes {
    let mut xml = Builder::new();
    xml.empty(name, namespace);
    xml.finish()
}

/// With `jid` beside `id`, as older participants' servers read it (MIX-JOIN-05).
fn joined(names: &Addresses, id: StableId, nodes: Nodes, nick: Option<&Nick>) -> Bytes {
    let mut xml = Builder::new();
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

/// The answer has the form of the question: `update-subscription`, or PubSub's `<subscription/>`.
fn subscribed(origin: &Origin, added: Nodes, removed: Nodes) -> Bytes {
    let jid = Address::new(origin.from.clone()).bare().to_owned();
    let mut xml = Builder::new();
    if asked(origin).is_some_and(|(namespace, _)| namespace == ns::PUBSUB) {
        if let Some(node) = added.iter().next() {
            xml.open_ns("pubsub", ns::PUBSUB)
                .open("subscription")
                .attr("node", node.name())
                .attr("jid", &jid)
                .attr("subscription", "subscribed");
        }
        return xml.finish();
    }
    xml.open_ns("update-subscription", ns::MIX_CORE)
        .attr("jid", &jid);
    write_nodes(&mut xml, "subscribe", added);
    write_nodes(&mut xml, "unsubscribe", removed);
    xml.finish()
}

fn asked(origin: &Origin) -> Option<(String, String)> {
    let payload = payload_of(origin);
    let child = payload.children().next()?;
    let element = child.to_element().ok()?;
    let inner = element
        .children()
        .next()
        .map(|e| e.name().to_owned())
        .unwrap_or_default();
    Some((child.namespace.to_owned(), inner))
}

fn nick_set(nick: &Nick) -> Bytes {
    let mut xml = Builder::new();
    xml.open_ns("setnick", ns::MIX_CORE)
        .leaf("nick", nick.as_str());
    xml.finish()
}

fn created(names: &Addresses) -> Bytes {
    let mut xml = Builder::new();
    xml.open_ns("create", ns::MIX_CORE)
        .attr("channel", &names.local);
    xml.finish()
}

/// disco#items with node `mix` (MIX-DSC-07).
fn node_list(names: &Addresses, origin: &Origin, nodes: Nodes) -> Bytes {
    let payload = payload_of(origin);
    let node = payload
        .children()
        .next()
        .and_then(|c| c.attr("node").map(|n| n.into_owned()));
    let mut xml = Builder::new();
    xml.open_ns("query", ns::DISCO_ITEMS)
        .attr_opt("node", node.as_deref());
    for node in nodes.iter() {
        xml.open("item")
            .attr("jid", &names.bare)
            .attr("node", node.name())
            .close();
    }
    xml.finish()
}

fn node_items(items: &NodeItems, max_stanza: usize) -> Bytes {
    match items {
        NodeItems::Participants {
            items,
            count,
            index,
            complete,
        } => participants(items, *count, *index, *complete, max_stanza),
        NodeItems::Info(at, config) => {
            pubsub_items(Node::Info, &info_item(*at, config, None), None)
        }
        NodeItems::Empty(node) => pubsub_items(*node, b"", None),
    }
}

/// A page; with a `<set/>` when there is more, asked for or not (MIX-NODE-09, I9).
fn participants(
    items: &[ParticipantItem],
    count: usize,
    index: usize,
    complete: bool,
    max_stanza: usize,
) -> Bytes {
    let page = fitting(items, max_stanza, false, |xml, item| {
        participant_item(&item.person, item.jid_visible, xml);
    });
    let last = items
        .get(page.xml.len().wrapping_sub(1))
        .map(|i| i.person.id.to_string());
    let first = items.first().map(|i| i.person.id.to_string());
    let cut = !(complete && page.all) || index > 0;
    let ends = first.as_deref().zip(last.as_deref());
    let set = Page {
        ends,
        index: Some(index as u64),
        count: Some(count as u64),
    };
    pubsub_items(Node::Participants, &page.xml.concat(), cut.then_some(set))
}

fn pubsub_items(node: Node, items: &[u8], set: Option<Page<'_>>) -> Bytes {
    let mut xml = Builder::with_capacity(items.len() + 128);
    xml.open_ns("pubsub", ns::PUBSUB);
    xml.open("items")
        .attr("node", node.name())
        .raw(items)
        .close();
    if let Some(set) = set {
        set.write(&mut xml);
    }
    xml.finish()
}

/// The requester's own subscriptions or affiliations per node (MIX-NODE-14).
fn own(
    origin: &Origin,
    participation: Option<&Participation>,
    affiliation: Affiliation,
    readable: Nodes,
) -> Bytes {
    let jid = Address::new(origin.from.clone()).bare().to_owned();
    let affiliations = asked(origin).is_some_and(|(_, name)| name == "affiliations");
    let mut xml = Builder::new();
    xml.open_ns("pubsub", ns::PUBSUB);
    if affiliations {
        xml.open("affiliations");
        for node in Node::ALL {
            let word = word(affiliation, readable.has(node));
            if word != "none" {
                xml.open("affiliation")
                    .attr("node", node.name())
                    .attr("affiliation", word)
                    .close();
            }
        }
    } else {
        xml.open("subscriptions");
        for node in participation.map(|p| p.nodes).unwrap_or_default().iter() {
            xml.open("subscription")
                .attr("node", node.name())
                .attr("jid", &jid)
                .attr("subscription", "subscribed")
                .close();
        }
    }
    xml.finish()
}

const fn word(affiliation: Affiliation, readable: bool) -> &'static str {
    match affiliation {
        Affiliation::Owner => "owner",
        Affiliation::Outcast => "outcast",
        _ if readable => "member",
        _ => "none",
    }
}
