//! Presence of clients, to subscribers of the presence node (XEP-0403 §3.5, §4; MIX-PRES-02..05, MAP-73..79).
//!
//! What is sent follows from the difference of a person's sessions before and after; MUC sessions are clients as well
//! (MAP-75, MAP-76).

use super::addresses::Addresses;
use super::subscriber;
use crate::incoming::reread;
use crate::ns;
use crate::render::{Change, Sink};
use crate::stanza::{Builder, Child, Head, Kind, Template};
use bytes::Bytes;
use coven_core::people::participation::Node;
use coven_core::people::visibility::Visibility;
use coven_core::{Person, PersonNo, PersonView, Roster, Session};
use std::sync::Arc;

/// What subscribers of the presence node get when a person, or its sessions, changed.
pub(crate) fn changed(names: &Addresses, change: &Change<'_>, sink: &mut impl Sink) {
    if change.roster.subscribers(Node::Presence).next().is_none() {
        return;
    }
    let (before, after) = (change.delta.before.as_ref(), change.delta.after.as_ref());
    let renamed = before.map(|v| &v.person.nick) != after.map(|v| &v.person.nick);
    let lens = Lens::now(names, change.roster);
    for gone in sessions(before).filter(|s| !sessions(after).any(|t| t.no == s.no)) {
        if let Some(view) = before {
            lens.broadcast(&lens.unavailable(&view.person, gone), sink);
        }
    }
    for session in sessions(after) {
        let same = sessions(before).any(|s| s.no == session.no && s.presence == session.presence);
        if let Some(view) = after.filter(|_| !same || renamed) {
            lens.broadcast(&lens.available(&view.person, session), sink);
        }
    }
}

/// When who sees JIDs has changed, clients have other addresses: the old ones go, the new ones come (MAP-50).
pub(crate) fn revealed(
    names: &Addresses,
    roster: &Roster,
    before: Visibility,
    sink: &mut impl Sink,
) {
    let now = Lens::now(names, roster);
    let old = Lens {
        visible: before == Visibility::Visible,
        ..now
    };
    if old.visible == now.visible || roster.subscribers(Node::Presence).next().is_none() {
        return;
    }
    for session in roster.sessions() {
        if let Some(person) = roster.person(session.person) {
            now.broadcast(&old.unavailable(person, session), sink);
            now.broadcast(&now.available(person, session), sink);
        }
    }
}

/// Everything in the presence node, to one participant's bare JID (MIX-JOIN-18, MIX-SUB-03, MIX-PRES-06).
pub(crate) fn dump(names: &Addresses, roster: &Roster, to: PersonNo, sink: &mut impl Sink) {
    let (Some(person), Some(p)) = (roster.person(to), roster.participation(to)) else {
        return;
    };
    let to = subscriber(person, p);
    if !sink.wants(&to) {
        return;
    }
    let lens = Lens::now(names, roster);
    for session in roster.sessions() {
        if let Some(of) = roster.person(session.person) {
            sink.send(&lens.available(of, session), to);
        }
    }
}

/// The channel of this roster is gone: every client of it is unavailable (MIX-DES-04, MAP-41).
pub(crate) fn destroyed(names: &Addresses, ended: &Roster, sink: &mut impl Sink) {
    if ended.subscribers(Node::Presence).next().is_none() {
        return;
    }
    let lens = Lens::now(names, ended);
    for session in ended.sessions() {
        if let Some(of) = ended.person(session.person) {
            lens.broadcast(&lens.unavailable(of, session), sink);
        }
    }
}

/// In which roster clients are seen, and whether with their real addresses.
#[derive(Clone, Copy)]
struct Lens<'a> {
    names: &'a Addresses,
    roster: &'a Roster,
    visible: bool,
}

impl<'a> Lens<'a> {
    fn now(names: &'a Addresses, roster: &'a Roster) -> Self {
        Self {
            names,
            roster,
            visible: roster.config().visibility == Visibility::Visible,
        }
    }

    fn broadcast(&self, template: &Template, sink: &mut impl Sink) {
        for (person, p) in self.roster.subscribers(Node::Presence) {
            sink.send(template, subscriber(person, p));
        }
    }

    fn available(&self, person: &Person, session: &Session) -> Template {
        let mut xml = Builder::with_capacity(session.presence.payload.len() + 160);
        xml.raw(&passed(session, self.visible));
        self.mix(person, session, &mut xml);
        let from = self.from(person, session);
        Template::new(&Head::new(Kind::Presence, &from), &xml.finish())
    }

    fn unavailable(&self, person: &Person, session: &Session) -> Template {
        let mut xml = Builder::new();
        self.mix(person, session, &mut xml);
        let from = self.from(person, session);
        let head = Head::new(Kind::Presence, &from).with_type("unavailable");
        Template::new(&head, &xml.finish())
    }

    fn from(&self, person: &Person, session: &Session) -> smol_str::SmolStr {
        self.names
            .client(self.roster, person.id, session, self.visible)
    }

    /// Source: MIX-PRES-04. The JID is the client's full one.
    fn mix(&self, person: &Person, session: &Session, xml: &mut Builder) {
        xml.open_ns("mix", ns::MIX_PRESENCE);
        if let Some(nick) = &person.nick {
            xml.leaf("nick", nick.as_str());
        }
        if self.visible {
            xml.leaf("jid", session.jid.as_str());
        }
        xml.close();
    }
}

fn sessions(view: Option<&PersonView>) -> impl Iterator<Item = &Arc<Session>> {
    view.into_iter().flat_map(|view| &view.sessions)
}

/// The client's elements without its priority, and where JIDs are hidden without what names it (MIX-PRES-04,
/// MIX-ANON-09). Most presences have neither.
fn passed(session: &Session, visible: bool) -> Bytes {
    let payload = &session.presence.payload;
    let has = |name: &[u8]| memchr::memmem::find(payload, name).is_some();
    if !has(b"priority") && (visible || !has(b"delay")) {
        return payload.clone();
    }
    let dropped =
        |child: &Child<'_>| child.is(ns::CLIENT, "priority") || (!visible && names(child));
    reread(payload).without(dropped).bytes().clone()
}

/// A delay says who held the presence back: a server of the client, or the client itself.
fn names(child: &Child<'_>) -> bool {
    matches!(child.namespace, ns::DELAY | ns::DELAY_LEGACY) && child.attr("from").is_some()
}
