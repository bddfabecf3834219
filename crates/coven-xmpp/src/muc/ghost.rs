//! Sessions that may be gone, or never were (XEP-0045 §7.2.18, §18.1.2).

use super::occupant::{Item, Shape};
use crate::domains::Names;
use crate::ns;
use crate::render::{Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, Outgoing, Template};
use coven_core::{Affiliation, Origin, Role, Session, View};

/// Asks a session whether it is still there: a server bounces it where the resource is gone, a client never does.
///
/// Source: MUC-LEAVE-12.
pub(crate) fn probe(names: &Names, session: &Session, id: &str, sink: &mut impl Sink) {
    let Some(room) = names.bare(View::Muc) else {
        return;
    };
    let mut xml = Builder::with_capacity(64);
    xml.empty("x", ns::MUC_USER);
    let head = Head::new(Kind::Message, &room)
        .with_type("groupchat")
        .with_id(Some(id));
    let template = Template::new(&head, &xml.finish());
    sink.send(&template, Recipient::session(session));
}

/// The answer to presence of somebody who is not here: to its client this looks like being removed, so that it joins
/// again.
///
/// Source: XEP-0045 §7.2.18; MUC-ENTER-19, I-13. Presence to the bare room has no occupant to answer for.
pub(crate) fn not_joined(origin: &Origin, sink: &mut impl Sink) {
    let has_nick = origin
        .to
        .split_once('/')
        .is_some_and(|(_, r)| !r.is_empty());
    if !has_nick {
        return;
    }
    let item = Item {
        reason: Some("You are not in this room."),
        ..Item::new(Affiliation::None, Role::None)
    };
    let shape = Shape {
        statuses: &[110, 307, 333],
        ..Shape::unavailable(&origin.to, item)
    };
    let stanza = Outgoing {
        to: origin.from.clone(),
        template: shape.template(),
    };
    sink.answer(stanza, &origin.group);
}
