//! Entering a room (XEP-0045 §7.2): the join stanza, and all of the room for the newcomer.

use super::Muc;
use super::change::own_item;
use super::occupant::Look;
use crate::both::datetime;
use crate::both::presence::presence;
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::render::{Recipient, Sink, Sync};
use coven_core::command::Join;
use coven_core::event::Entry;
use coven_core::people::visibility::Visibility;
use coven_core::{Command, HistoryRequest, Record, Roster, Session, View};
use minidom::Element;
use smol_str::SmolStr;
use std::sync::Arc;

/// Presence with the `muc` `<x/>`.
///
/// Source: XEP-0045 §7.2.1, §7.2.5, §7.2.14. Requirements MUC-ENTER-01, 05, 06, 08, 30; MUC-HIST-04 to 09.
pub(super) fn dispatch(incoming: &Incoming<'_>, nick: Option<&str>) -> Inbound {
    let x = incoming.stanza.payload.child(ns::MUC, "x");
    let x = x.and_then(|x| x.to_element().ok());
    let join = Join {
        nick: nick.map(SmolStr::from),
        password: x.as_ref().and_then(password),
        history: x.as_ref().map(history).unwrap_or_default(),
        presence: presence(incoming),
        stanza_id: incoming.stanza.id.clone(),
    };
    incoming.command(View::Muc, Command::Join(Box::new(join)))
}

fn password(x: &Element) -> Option<SmolStr> {
    x.get_child("password", ns::MUC)
        .map(|password| password.text().into())
}

/// Each attribute counts for itself: what cannot be read is as if it were not there (MUC-HIST-09).
fn history(x: &Element) -> HistoryRequest {
    let Some(history) = x.get_child("history", ns::MUC) else {
        return HistoryRequest::default();
    };
    let number = |name| history.attr(name)?.trim().parse().ok();
    HistoryRequest {
        max_chars: number("maxchars"),
        max_stanzas: number("maxstanzas"),
        seconds: number("seconds"),
        since: history.attr("since").and_then(datetime::parse),
    }
}

/// What a newcomer gets besides the occupants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst<'a> {
    created: bool,
    altered: bool,
    stanza_id: Option<&'a str>,
    history: &'a [Arc<Record>],
    max_chars: Option<u64>,
}

impl<'a> Burst<'a> {
    /// For a session that has just begun.
    pub(super) fn first(entry: &'a Entry, history: &'a [Arc<Record>]) -> Self {
        Self {
            created: entry.created,
            altered: entry.altered,
            stanza_id: entry.stanza_id.as_deref(),
            history,
            max_chars: entry.history.max_chars,
        }
    }

    /// For a session that has lost track.
    pub(super) const fn again(sync: &Sync<'a>) -> Self {
        Self {
            created: false,
            altered: sync.altered,
            stanza_id: sync.stanza_id,
            history: sync.history,
            max_chars: sync.max_chars,
        }
    }
}

impl Muc {
    /// Occupants, self-presence, history, subject, in this order and with nothing between them.
    ///
    /// Source: XEP-0045 §7.1, §7.2.2. Requirements MUC-ENTER-02, 04, 05, 29; MUC-CREATE-02.
    pub(super) fn burst(
        &mut self,
        roster: &Roster,
        session: &Session,
        burst: &Burst<'_>,
        sink: &mut impl Sink,
    ) {
        if !sink.wants(&Recipient::session(session)) {
            return;
        }
        let view = roster.view(session.person);
        let Some(look) = view.as_ref().and_then(Look::of) else {
            return;
        };
        self.occupants(roster, session, sink);
        let statuses: Vec<u16> = statuses(roster, burst).collect();
        let item = own_item(&look, session);
        self.self_presence(&look, session, item, &statuses, burst.stanza_id, sink);
        self.history(burst.history, burst.max_chars, session, sink);
        self.subject(roster, session, sink);
    }

    /// The presence of every other occupant that the room shows, as this session may see it (MUC-PRES-05, 15).
    pub(super) fn occupants(&mut self, roster: &Roster, to: &Session, sink: &mut impl Sink) {
        let recipient = Recipient::session(to);
        let person = roster.person(to.person);
        let sees_jids = person.is_some_and(|person| roster.sees_jids(person, View::Muc));
        let broadcast = roster.config().broadcast;
        let room = &self.room;
        if !self.presences.pays(roster) {
            let looks = roster.people().filter_map(|view| Look::of(&view));
            let shown = looks.filter(|l| l.person.no != to.person && broadcast.shows(l.role));
            return shown.for_each(|look| sink.send(&look.template(room, sees_jids), recipient));
        }
        for (no, entry) in self.presences.all(roster) {
            if no == to.person || !broadcast.shows(entry.role) {
                continue;
            }
            let make = || {
                let view = roster.view(no);
                let look = view.as_ref().and_then(Look::of);
                look.map(|look| look.template(room, sees_jids))
            };
            if let Some(template) = entry.variants.get_or_try(sees_jids, make) {
                sink.send(template, recipient);
            }
        }
    }
}

/// Status codes of a self-presence on entering (MUC-STATUS-01, 05, 06, 10, 11).
fn statuses(roster: &Roster, burst: &Burst<'_>) -> impl Iterator<Item = u16> {
    let config = roster.config();
    let visible = config.visibility == Visibility::Visible;
    [
        (true, 110),
        (visible, 100),
        (config.logging, 170),
        (burst.created, 201),
        (burst.altered, 210),
    ]
    .into_iter()
    .filter_map(|(said, code)| said.then_some(code))
}
