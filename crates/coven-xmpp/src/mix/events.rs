//! PubSub notifications: participants and info (XEP-0369 §4.7, §7.1; MIX-NODE-19, MIX-PART-01, 08, MIX-LEAVE-02, 06).
//!
//! What participants are told follows from the difference of what the participants node showed before and shows after.

use super::addresses::Addresses;
use crate::both::datetime;
use crate::ns;
use crate::render::{Change, Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, Template};
use bytes::Bytes;
use coven_core::event::{Cause, Event, Subject};
use coven_core::people::participation::Node;
use coven_core::people::visibility::Visibility;
use coven_core::{Config, Person, PersonView, Roster, Timestamp, View};
use std::sync::Arc;

/// What subscribers of the participants node get of an event.
pub(crate) fn participants(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    let listed = |view: &Option<PersonView>| view.clone().filter(PersonView::present);
    let visible = change.roster.config().visibility == Visibility::Visible;
    let items = match (listed(&change.delta.before), listed(&change.delta.after)) {
        (Some(before), None) => retract(&before.person),
        (None, Some(after)) => publish(&after.person, visible),
        (Some(before), Some(after)) if before.person.nick != after.person.nick => {
            publish(&after.person, visible)
        }
        _ => return,
    };
    let event = notification(names, Node::Participants, &items);
    send(&event, change.roster, Node::Participants, sink);
    removed_too(change, &event, sink);
}

/// Name, description, subject: subscribers of the info node get the item anew. A change of who sees JIDs republishes
/// every participant (MAP-50).
pub(crate) fn settings(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    let (Some(before), now) = (&change.delta.config_before, change.roster.config()) else {
        return;
    };
    if before.name != now.name || before.description != now.description {
        let (at, subject) = (change.roster.configured(), change.roster.subject());
        let event = notification(names, Node::Info, &info_item(at, now, subject));
        send(&event, change.roster, Node::Info, sink);
    }
    if before.visibility != now.visibility {
        republish(names, change.roster, sink);
    }
}

/// The channel is gone: its nodes are deleted (MIX-DES-04).
pub(crate) fn destroyed(names: &Addresses, everybody: &[PersonView], sink: &mut impl Sink) {
    for node in Node::ALL {
        let mut xml = Builder::new();
        xml.open("delete").attr("node", node.name()).close();
        let event = message(names, &xml.finish());
        for view in everybody {
            let Some(p) = view.participation.as_ref().filter(|p| p.nodes.has(node)) else {
                continue;
            };
            let bare = view.person.jid.as_str();
            sink.send(
                &event,
                Recipient {
                    to: bare,
                    bare,
                    group: &p.group,
                    view: View::Mix,
                },
            );
        }
    }
}

/// `<item/>` of a participant.
pub(crate) fn participant_item(person: &Person, visible: bool, xml: &mut Builder) {
    xml.open("item").attr("id", &person.id.to_string());
    xml.open_ns("participant", ns::MIX_CORE);
    if let Some(nick) = &person.nick {
        xml.leaf("nick", nick.as_str());
    }
    if visible {
        xml.leaf("jid", person.jid.as_str());
    }
    xml.close().close();
}

/// `<item/>` of the info node: its id is when it was changed (MIX-NODE-03); with the subject for who reads it there
/// (MAP-28).
pub(crate) fn info_item(at: Timestamp, config: &Config, subject: Option<&Arc<Subject>>) -> Bytes {
    let mut xml = Builder::new();
    xml.open("item").attr("id", &datetime::format(at));
    xml.open_ns("x", ns::DATA_FORMS).attr("type", "result");
    hidden(&mut xml, "FORM_TYPE", ns::MIX_CORE);
    field(&mut xml, "Name", &config.name);
    field(&mut xml, "Description", &config.description);
    if let Some(text) = subject.and_then(subject_text) {
        field(&mut xml, "muc#roominfo_subject", &text);
    }
    xml.close().close();
    xml.finish()
}

fn subject_text(subject: &Arc<Subject>) -> Option<String> {
    let elements = subject.message.subject.clone()?;
    let payload = crate::stanza::Payload::read(elements, &crate::stream::Limits::default()).ok()?;
    payload.text("subject").map(|text| text.into_owned())
}

fn field(xml: &mut Builder, var: &str, value: &str) {
    if !value.is_empty() {
        xml.open("field")
            .attr("var", var)
            .leaf("value", value)
            .close();
    }
}

fn hidden(xml: &mut Builder, var: &str, value: &str) {
    xml.open("field")
        .attr("var", var)
        .attr("type", "hidden")
        .leaf("value", value)
        .close();
}

fn publish(person: &Person, visible: bool) -> Bytes {
    let mut xml = Builder::new();
    participant_item(person, visible, &mut xml);
    xml.finish()
}

fn retract(person: &Person) -> Bytes {
    let mut xml = Builder::new();
    xml.open("retract")
        .attr("id", &person.id.to_string())
        .close();
    xml.finish()
}

fn republish(names: &Addresses, roster: &Roster, sink: &mut impl Sink) {
    let visible = roster.config().visibility == Visibility::Visible;
    for view in roster.people().filter(PersonView::present) {
        let event = notification(names, Node::Participants, &publish(&view.person, visible));
        send(&event, roster, Node::Participants, sink);
    }
}

/// Somebody removed by another's act is told as well, though no longer subscribed (MIX-LEAVE-06).
fn removed_too(change: &Change<'_>, event: &Template, sink: &mut impl Sink) {
    let by_others = match change.record.event {
        Event::Removed { .. } => true,
        Event::Departed { cause, .. } => cause != Cause::Left,
        _ => false,
    };
    let Some(before) = change.delta.before.as_ref().filter(|_| by_others) else {
        return;
    };
    let Some(p) = before
        .participation
        .as_ref()
        .filter(|p| p.nodes.has(Node::Participants))
    else {
        return;
    };
    let bare = before.person.jid.as_str();
    sink.send(
        event,
        Recipient {
            to: bare,
            bare,
            group: &p.group,
            view: View::Mix,
        },
    );
}

fn notification(names: &Addresses, node: Node, items: &[u8]) -> Template {
    let mut xml = Builder::with_capacity(items.len() + 128);
    xml.open("items")
        .attr("node", node.name())
        .raw(items)
        .close();
    message(names, &xml.finish())
}

/// Of type normal, not to be stored nor copied: who was away reads the node when back (MIX-NODE-19, MIX-PAMC-08).
fn message(names: &Addresses, event: &[u8]) -> Template {
    let mut xml = Builder::with_capacity(event.len() + 160);
    xml.open_ns("event", ns::PUBSUB_EVENT).raw(event).close();
    xml.empty("no-store", ns::HINTS).empty("no-copy", ns::HINTS);
    Template::new(&Head::new(Kind::Message, &names.bare), &xml.finish())
}

fn send(event: &Template, roster: &Roster, node: Node, sink: &mut impl Sink) {
    for (person, p) in roster.subscribers(node) {
        let bare = person.jid.as_str();
        sink.send(
            event,
            Recipient {
                to: bare,
                bare,
                group: &p.group,
                view: View::Mix,
            },
        );
    }
}
