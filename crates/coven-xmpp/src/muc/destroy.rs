//! The end of a room (XEP-0045 §10.9; MUC-DEST-03, MUC-CREATE-07, MAP-41).

use super::Muc;
use super::occupant::{Destroy, Item, Shape};
use crate::render::{Change, Recipient, Sink};
use coven_core::{Affiliation, Event, Role, View};
use smol_str::format_smolstr;

impl Muc {
    /// Each session gets exactly one unavailable presence, from its own occupant JID.
    pub(super) fn destroyed(&mut self, change: &Change<'_>, sink: &mut impl Sink) {
        self.shrink();
        let Event::Destroyed {
            alternate,
            reason,
            password,
        } = &change.record.event
        else {
            return;
        };
        let alternate = alternate
            .as_ref()
            .map(|jid| self.names.in_view(jid, View::Muc));
        let destroy = Destroy {
            jid: alternate.as_deref(),
            password: password.as_deref(),
            reason: reason.as_deref(),
        };
        for view in &change.delta.everybody {
            let from = format_smolstr!("{}/{}", self.room, view.person.shown_nick());
            let shape = Shape {
                statuses: &[110],
                occupant: Some(view.person.id),
                destroy: Some(destroy),
                ..Shape::unavailable(&from, Item::new(Affiliation::None, Role::None))
            };
            let template = shape.template();
            for session in view.muc_sessions() {
                sink.send(&template, Recipient::session(session));
            }
        }
    }
}
