//! A room of both views, and Hecate, who takes part by MIX.

use crate::common::{HAG, ROOM, Stanzas, World};
use coven_xmpp::ns;

/// A person that takes part by MIX.
pub(super) const HECATE: &str = "hecate@shakespeare.example";
/// A client of hers.
pub(super) const CAVE: &str = "hecate@shakespeare.example/cave";
pub(super) const ALL: [&str; 4] = ["messages", "participants", "info", "presence"];

pub(super) fn mix_join(w: &mut World, to: &str, from: &str, nick: &str, nodes: &[&str]) -> Stanzas {
    let nodes: String = nodes
        .iter()
        .map(|node| format!("<subscribe node='urn:xmpp:mix:nodes:{node}'/>"))
        .collect();
    let join = format!("<join xmlns='urn:xmpp:mix:core:1'>{nodes}<nick>{nick}</nick></join>");
    w.iq_to(to, from, "set", &join)
}

pub(super) fn mix_leave(w: &mut World, from: &str) -> Stanzas {
    w.iq(from, "set", "<leave xmlns='urn:xmpp:mix:core:1'/>")
}

pub(super) fn presence(w: &mut World, from: &str, attributes: &str, children: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}' {attributes}>{children}</presence>"
    ))
}

/// A room of both views with an owner and a MUC occupant.
pub(super) fn witches() -> World {
    let mut w = World::both().with_room();
    w.join(HAG, "thirdwitch");
    w
}

/// The same, and Hecate takes part by MIX.
pub(super) fn with_hecate() -> World {
    let mut w = witches();
    mix_join(&mut w, ROOM, HECATE, "hecate", &ALL);
    w
}

pub(super) fn show(stanza: &crate::common::Sent) -> Option<String> {
    stanza.child("show", ns::CLIENT).map(minidom::Element::text)
}
