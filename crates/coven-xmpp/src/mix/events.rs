//! PubSub notifications: participants and info (XEP-0369 §4.7, §7.1; MIX-NODE-19, MIX-PART-01, 08, MIX-LEAVE-02, 06).
//!
//! What of the participants node is told when is the core's ([`coven_core::presence::listing`]).

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
use coven_core::presence::listing::Told;
use coven_core::presence::participate::SUBSCRIBABLE;
use coven_core::{Config, Person, Roster, StableId, Timestamp};
use std::sync::Arc;

/// What subscribers of the participants node are told of those who came, left, or have another nick (MAP-12). One
/// notification holds either items or retracts (XEP-0060, schema of `#event`): of both there are two, what is gone first.
pub(crate) fn told(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    let roster = change.roster;
    let gone = change.delta.told.iter().filter_map(|told| match told {
        Told::Gone(id) => Some(retract(*id)),
        Told::Is(_) => None,
    });
    items(names, roster, gone, sink);
    let are = change.delta.told.iter().filter_map(|told| match told {
        Told::Is(person) => Some(person),
        Told::Gone(_) => None,
    });
    publish(names, roster, are, sink);
}

/// Who is removed by another's act is told at once, subscribed or not: nothing else tells it (MIX-LEAVE-06).
pub(crate) fn removed(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    let by_others = match change.record.event {
        Event::Removed { .. } => true,
        Event::Departed { cause, .. } => cause != Cause::Left,
        _ => false,
    };
    let Some(before) = change.delta.before.as_ref().filter(|_| by_others) else {
        return;
    };
    if let Some(p) = &before.participation {
        let retract = retract(before.person.id);
        let event = notification(names, Node::Participants, &retract);
        sink.send(&event, subscriber(&before.person, p));
    }
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
        let listed = change.roster.listed();
        publish(names, change.roster, listed.into_iter(), sink);
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
    xml.open("item").attr("id", person.id.text().as_str());
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

fn retract(id: StableId) -> Bytes {
    let mut xml = Builder::new();
    xml.open("retract").attr("id", &id.to_string()).close();
    xml.finish()
}

/// Items of these people, as they are now, to the subscribers of participants.
fn publish<'a>(
    names: &Addresses,
    roster: &Roster,
    people: impl Iterator<Item = &'a Arc<Person>>,
    sink: &mut impl Sink,
) {
    let visible = roster.config().visibility == Visibility::Visible;
    let xml = people.map(|person| {
        let mut xml = Builder::new();
        participant_item(person, visible, &mut xml);
        xml.finish()
    });
    items(names, roster, xml, sink);
}

/// All of these in as few notifications as stanzas may be large.
fn items(
    names: &Addresses,
    roster: &Roster,
    all: impl Iterator<Item = Bytes>,
    sink: &mut impl Sink,
) {
    let node = Node::Participants;
    let mut batch = Vec::new();
    for item in all {
        if !batch.is_empty() && batch.len() + item.len() > BATCH_BYTES {
            send(&notification(names, node, &batch), roster, node, sink);
            batch.clear();
        }
        batch.extend_from_slice(&item);
    }
    if !batch.is_empty() {
        send(&notification(names, node, &batch), roster, node, sink);
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

/// Bytes of the items of one notification: with the rest below the smallest bound of a stanza that can be configured
/// (10,000; I9).
const BATCH_BYTES: usize = 8 * 1024;

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
