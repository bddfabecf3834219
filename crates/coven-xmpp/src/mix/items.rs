//! Items of a node, as PubSub (XEP-0060 §6.5) or as discovery lists them (MIX-NODE-09, MIX-DSC-09).

use super::addresses::Addresses;
use super::answer::Asked;
use super::events::{info_item, participant_item};
use crate::both::datetime;
use crate::both::page::fitting;
use crate::both::rsm::{Page, Wanted};
use crate::ns;
use crate::stanza::Builder;
use bytes::Bytes;
use coven_core::people::participation::Node;
use coven_core::query::{NodeItems, ParticipantItem};

/// The payload of the result.
pub(crate) fn payload(
    names: &Addresses,
    asked: &Asked,
    items: &NodeItems,
    max_stanza: usize,
) -> Bytes {
    let form = Form::of(names, asked);
    match items {
        NodeItems::Participants {
            items,
            count,
            index,
            complete,
        } => {
            let place = Place {
                count: *count,
                index: *index,
                complete: *complete,
            };
            participants(&form, asked, items, place, max_stanza)
        }
        NodeItems::Info(at, config, subject) => {
            let item = match &form {
                Form::PubSub => info_item(*at, config, subject.as_ref()),
                Form::Disco { .. } => form.name(&datetime::format(*at)),
            };
            form.write(Node::Info, &item, None)
        }
        NodeItems::Empty(node) => form.write(*node, b"", None),
    }
}

/// Where a page stands in the node.
#[derive(Clone, Copy)]
struct Place {
    count: usize,
    index: usize,
    complete: bool,
}

/// A page; with a `<set/>` if one was asked for, or if there is more (MIX-NODE-09, I9).
fn participants(
    form: &Form<'_>,
    asked: &Asked,
    items: &[ParticipantItem],
    place: Place,
    max_stanza: usize,
) -> Bytes {
    let wanted = asked
        .element
        .as_ref()
        .filter(|e| e.has_child("set", ns::RSM));
    let wanted = wanted.and_then(Wanted::read);
    let backwards = wanted.as_ref().is_some_and(|w| w.before.is_some());
    let page = fitting(items, max_stanza, backwards, |xml, item| match form {
        Form::PubSub => participant_item(&item.person, item.jid_visible, xml),
        Form::Disco { .. } => {
            xml.raw(&form.name(&item.person.id.to_string()));
        }
    });
    let shown = items.iter().skip(page.skipped).take(page.xml.len());
    let mut ids = shown.map(|item| item.person.id.to_string());
    let first = ids.next();
    let last = ids.next_back().or_else(|| first.clone());
    let set = Page {
        ends: first.as_deref().zip(last.as_deref()),
        index: Some((place.index + page.skipped) as u64),
        count: Some(place.count as u64),
    };
    let whole = place.complete && page.all && place.index == 0;
    let set = (wanted.is_some() || !whole).then_some(set);
    form.write(Node::Participants, &page.xml.concat(), set)
}

/// In which form items were asked for.
enum Form<'a> {
    PubSub,
    Disco { channel: &'a str },
}

impl<'a> Form<'a> {
    fn of(names: &'a Addresses, asked: &Asked) -> Self {
        if asked.is_of(ns::DISCO_ITEMS) {
            return Self::Disco {
                channel: &names.bare,
            };
        }
        Self::PubSub
    }

    /// An item of discovery: its name is the item's id (XEP-0060 §5.5).
    fn name(&self, id: &str) -> Bytes {
        let mut xml = Builder::new();
        if let Self::Disco { channel } = self {
            xml.open("item")
                .attr("jid", channel)
                .attr("name", id)
                .close();
        }
        xml.finish()
    }

    fn write(&self, node: Node, items: &[u8], set: Option<Page<'_>>) -> Bytes {
        let mut xml = Builder::with_capacity(items.len() + 512);
        match self {
            Self::PubSub => {
                xml.open_ns("pubsub", ns::PUBSUB);
                xml.open("items").attr("node", node.name());
                xml.raw(items).close();
            }
            Self::Disco { .. } => {
                xml.open_ns("query", ns::DISCO_ITEMS);
                xml.attr("node", node.name()).raw(items);
            }
        }
        if let Some(set) = set {
            set.write(&mut xml);
        }
        xml.finish()
    }
}
