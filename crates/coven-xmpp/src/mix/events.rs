//! PubSub notifications: participants and info (XEP-0369 §4.7, §7.1; MIX-NODE-19, MIX-PART-01, 08, MIX-LEAVE-02, 06).
//!
//! What participants are told follows from the difference of what the participants node showed before and shows after.

use super::addresses::Addresses;
use super::subscriber;
use crate::both::datetime;
use crate::both::form::{Kind as Form, Writer};
use crate::incoming::{reread, uri_to_join};
use crate::ns;
use crate::render::{Change, Sink};
use crate::stanza::{Builder, Head, Kind, Template};
use bytes::Bytes;
use coven_core::event::{Cause, Event, Subject};
use coven_core::people::participation::Node;
use coven_core::people::visibility::Visibility;
use coven_core::presence::participate::SUBSCRIBABLE;
use coven_core::{Config, Person, PersonView, Roster, Timestamp};
use std::sync::Arc;

/// What subscribers of the participants node get when a person changed.
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

/// What the settings changed: the info node has a new item, and if others see real JIDs now, every item of participants
/// is another (MIX-PART-08, MAP-50).
pub(crate) fn settings(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    let (Some(before), now) = (&change.delta.config_before, change.roster.config()) else {
        return;
    };
    let told = |c: &Config| (c.name.clone(), c.description.clone(), c.visibility);
    if told(before) != told(now) {
        info(names, change.roster, sink);
    }
    let visible = |c: &Config| c.visibility == Visibility::Visible;
    if visible(before) != visible(now) {
        republish(names, change.roster, sink);
    }
}

/// The info node has a new item: settings or the subject changed (MAP-28).
pub(crate) fn info(names: &Addresses, roster: &Roster, sink: &mut impl Sink) {
    let item = info_item(roster.informed(), roster.config(), roster.subject());
    let event = notification(names, Node::Info, &item);
    send(&event, roster, Node::Info, sink);
}

/// The channel of this roster is gone: its nodes are deleted (MIX-DES-04), perhaps for others elsewhere (MAP-41).
pub(crate) fn destroyed(
    names: &Addresses,
    ended: &Roster,
    alternate: Option<&str>,
    sink: &mut impl Sink,
) {
    for node in SUBSCRIBABLE.iter() {
        let mut xml = Builder::new();
        xml.open("delete").attr("node", node.name());
        if let Some(jid) = alternate {
            let uri = uri_to_join(jid);
            xml.open("redirect").attr("uri", &uri).close();
        }
        xml.close();
        send(&message(names, &xml.finish()), ended, node, sink);
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
/// (MAP-28), and with who sees JIDs, for those who think of joining.
pub(crate) fn info_item(at: Timestamp, config: &Config, subject: Option<&Arc<Subject>>) -> Bytes {
    let mut xml = Builder::with_capacity(768);
    xml.open("item").attr("id", &datetime::format(at));
    let mut form = Writer::begin(&mut xml, Form::Result, ns::MIX_CORE);
    for (var, value) in [("Name", &config.name), ("Description", &config.description)] {
        if !value.is_empty() {
            form.field(var, "text-single", None, &[value]);
        }
    }
    let visibility = visibility(config.visibility);
    form.field("JID Visibility", "text-single", None, &[visibility]);
    if let Some(text) = subject.and_then(|subject| subject_text(subject)) {
        form.field("muc#roominfo_subject", "text-single", None, &[&text]);
    }
    form.end();
    xml.finish()
}

/// Source: X-24.
const fn visibility(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Visible => "jid-mandatory-visible",
        Visibility::Optional => "jid-optionally-visible",
        Visibility::Hidden => "jid-hidden",
    }
}

fn subject_text(subject: &Subject) -> Option<String> {
    let payload = reread(subject.message.subject.as_ref()?);
    payload.text("subject").map(|text| text.into_owned())
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

/// Who is removed by another's act is told as well, subscribed or not: nothing else tells it (MIX-LEAVE-06).
fn removed_too(change: &Change<'_>, event: &Template, sink: &mut impl Sink) {
    let by_others = match change.record.event {
        Event::Removed { .. } => true,
        Event::Departed { cause, .. } => cause != Cause::Left,
        _ => false,
    };
    let Some(before) = change.delta.before.as_ref().filter(|_| by_others) else {
        return;
    };
    if let Some(p) = &before.participation {
        sink.send(event, subscriber(&before.person, p));
    }
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
        sink.send(event, subscriber(person, p));
    }
}
