//! Presence of clients, to subscribers of the presence node (XEP-0403 §3.5, §4; MIX-PRES-02..05, MAP-73..79).
//!
//! What is sent follows from the difference of a person's sessions before and after; MUC sessions are clients as well
//! (MAP-75).

use super::addresses::Addresses;
use crate::ns;
use crate::render::{Change, Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, Payload, Template};
use crate::stream::Limits;
use coven_core::people::participation::{Node, Participation};
use coven_core::people::visibility::Visibility;
use coven_core::{Person, PersonNo, PersonView, Roster, Session, View};
use std::sync::Arc;

/// What subscribers of the presence node get of an event.
pub(crate) fn changed(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    if change.roster.subscribers(Node::Presence).next().is_none() {
        return;
    }
    let (before, after) = (change.delta.before.as_ref(), change.delta.after.as_ref());
    let renamed = before.map(|v| &v.person.nick) != after.map(|v| &v.person.nick);
    let visible = change.roster.config().visibility == Visibility::Visible;
    for gone in sessions(before).filter(|s| !sessions(after).any(|t| t.no == s.no)) {
        if let Some(view) = before {
            broadcast(
                &unavailable(names, &view.person, gone, visible),
                change.roster,
                sink,
            );
        }
    }
    for session in sessions(after) {
        let same = sessions(before).any(|s| s.no == session.no && s.presence == session.presence);
        if let Some(view) = after.filter(|_| !same || renamed) {
            broadcast(
                &available(names, &view.person, session, visible),
                change.roster,
                sink,
            );
        }
    }
}

/// Everything in the presence node, to one participant's bare JID (MIX-JOIN-18, MIX-SUB-03, MIX-PRES-06).
pub(crate) fn dump(names: &Addresses, roster: &Roster, to: PersonNo, sink: &mut impl Sink) {
    let (Some(person), Some(p)) = (roster.person(to), roster.participation(to)) else {
        return;
    };
    let visible = roster.config().visibility == Visibility::Visible;
    for session in roster.sessions() {
        if let Some(of) = roster.person(session.person) {
            sink.send(
                &available(names, of, session, visible),
                recipient(person, p),
            );
        }
    }
}

/// The channel is gone: every client of it is unavailable (MIX-DES-04).
pub(crate) fn destroyed(names: &Addresses, everybody: &[PersonView], sink: &mut impl Sink) {
    let subscribed = |view: &&PersonView| {
        view.participation
            .as_ref()
            .is_some_and(|p| p.nodes.has(Node::Presence))
    };
    for of in everybody {
        for session in &of.sessions {
            let template = unavailable(names, &of.person, session, false);
            for to in everybody.iter().filter(subscribed) {
                if let Some(p) = &to.participation {
                    sink.send(&template, recipient(&to.person, p));
                }
            }
        }
    }
}

fn sessions(view: Option<&PersonView>) -> impl Iterator<Item = &Arc<Session>> {
    view.into_iter().flat_map(|view| &view.sessions)
}

fn broadcast(template: &Template, roster: &Roster, sink: &mut impl Sink) {
    for (person, p) in roster.subscribers(Node::Presence) {
        sink.send(template, recipient(person, p));
    }
}

fn recipient<'a>(person: &'a Person, participation: &'a Participation) -> Recipient<'a> {
    let bare = person.jid.as_str();
    Recipient {
        to: bare,
        bare,
        group: &participation.group,
        view: View::Mix,
    }
}

fn available(names: &Addresses, person: &Person, session: &Session, visible: bool) -> Template {
    let from = names.client(person.id, session, visible);
    let mut xml = Builder::with_capacity(session.presence.payload.len() + 160);
    xml.raw(&without_priority(session));
    mix(person, session, visible, &mut xml);
    Template::new(&Head::new(Kind::Presence, &from), &xml.finish())
}

fn unavailable(names: &Addresses, person: &Person, session: &Session, visible: bool) -> Template {
    let from = names.client(person.id, session, visible);
    let mut xml = Builder::new();
    mix(person, session, visible, &mut xml);
    Template::new(
        &Head::new(Kind::Presence, &from).with_type("unavailable"),
        &xml.finish(),
    )
}

/// Source: MIX-PRES-04. The JID is the client's full one.
fn mix(person: &Person, session: &Session, visible: bool, xml: &mut Builder) {
    xml.open_ns("mix", ns::MIX_PRESENCE);
    if let Some(nick) = &person.nick {
        xml.leaf("nick", nick.as_str());
    }
    if visible {
        xml.leaf("jid", session.jid.as_str());
    }
    xml.close();
}

fn without_priority(session: &Session) -> bytes::Bytes {
    let payload = session.presence.payload.clone();
    if memchr::memmem::find(&payload, b"<priority").is_none() {
        return payload;
    }
    match Payload::read(payload.clone(), &Limits::default()) {
        Ok(read) => read
            .without(|c| c.is(ns::CLIENT, "priority"))
            .bytes()
            .clone(),
        Err(_) => payload,
    }
}
