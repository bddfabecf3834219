//! A change of the configuration, as occupants see it (XEP-0045 §10.2.1; MUC-CONF-10, 12, 13; MAP-71).

use super::Muc;
use super::change::own_item;
use super::occupant::{Item, Look, Shape};
use super::presences::Variants;
use crate::ns;
use crate::render::{Change, Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, Template};
use coven_core::people::visibility::{self, Viewer, Visibility};
use coven_core::settings::config::Config;
use coven_core::{Person, Role, Roster, Session, View};
use std::sync::Arc;

/// A MUC session, and whether its person saw real JIDs before and sees them now.
struct Watcher<'a> {
    session: &'a Arc<Session>,
    saw: bool,
    sees: bool,
}

/// An occupant before and after: settings change roles, and which roles are shown.
struct Turn {
    was: Look,
    is: Look,
    was_shown: bool,
    is_shown: bool,
}

impl Watcher<'_> {
    /// Whether it sees real JIDs from now on.
    const fn is_new(&self) -> bool {
        self.sees && !self.saw
    }
}

impl Turn {
    /// Whether anybody sees a difference, addresses apart.
    fn is_visible(&self) -> bool {
        self.was.role != self.is.role || self.was_shown != self.is_shown
    }
}

impl Muc {
    /// One message with all codes (I-61), then the presences of those that now look otherwise.
    pub(super) fn configured(&mut self, change: &Change<'_>, sink: &mut impl Sink) {
        let Some(old) = &change.delta.config_before else {
            return;
        };
        self.presences.clear();
        let roster = change.roster;
        let watchers = watchers(roster, old);
        if watchers.is_empty() {
            return;
        }
        let codes = codes(old, roster.config());
        if !codes.is_empty() {
            let notice = self.notice(&codes);
            for watcher in &watchers {
                sink.send(&notice, Recipient::session(watcher.session));
            }
        }
        let revealed = watchers.iter().any(Watcher::is_new);
        for view in roster.people() {
            let Some(is) = Look::of(&view) else { continue };
            let turn = Turn {
                was: is.with_role(view.person.role(old)),
                was_shown: old.broadcast.shows(view.person.role(old)),
                is_shown: roster.config().broadcast.shows(is.role),
                is,
            };
            if turn.is_visible() || revealed {
                self.turned(&turn, &watchers, sink);
            }
        }
    }

    fn notice(&self, codes: &[u16]) -> Template {
        let mut xml = Builder::with_capacity(192);
        xml.open_ns("x", ns::MUC_USER);
        for code in codes {
            xml.open("status").attr("code", &code.to_string()).close();
        }
        xml.close();
        let head = Head::new(Kind::Message, &self.room).with_type("groupchat");
        Template::new(&head, &xml.finish())
    }

    fn turned(&self, turn: &Turn, watchers: &[Watcher<'_>], sink: &mut impl Sink) {
        let role_changed = turn.was.role != turn.is.role;
        let (shown, hidden) = (Variants::default(), Variants::default());
        for watcher in watchers {
            let recipient = Recipient::session(watcher.session);
            if watcher.session.person == turn.is.person.no {
                if role_changed {
                    let item = own_item(&turn.is, watcher.session);
                    self.self_presence(&turn.is, watcher.session, item, &[110], None, sink);
                }
            } else if turn.is_shown {
                if role_changed || !turn.was_shown || watcher.is_new() {
                    let make = || turn.is.template(&self.room, watcher.sees);
                    sink.send(shown.get(watcher.sees, make), recipient);
                }
            } else if turn.was_shown {
                let make = || self.hidden(&turn.is, watcher.sees);
                sink.send(hidden.get(watcher.sees, make), recipient);
            }
        }
    }

    /// Its role is no longer shown: gone for the others, without a status (MUC-PRES-07).
    fn hidden(&self, look: &Look, sees_jids: bool) -> Template {
        let from = look.address(&self.room);
        let item = Item {
            role: Role::None,
            ..look.item(sees_jids)
        };
        let shape = Shape {
            occupant: Some(look.person.id),
            ..Shape::unavailable(&from, item)
        };
        shape.template()
    }
}

fn watchers<'a>(roster: &'a Roster, old: &Config) -> Vec<Watcher<'a>> {
    let sessions = roster.sessions().filter(|s| s.view == View::Muc);
    sessions
        .filter_map(|session| {
            let person = roster.person(session.person)?;
            Some(Watcher {
                session,
                saw: saw_jids(person, old),
                sees: roster.sees_jids(person, View::Muc),
            })
        })
        .collect()
}

fn saw_jids(person: &Person, old: &Config) -> bool {
    let viewer = Viewer {
        affiliation: person.affiliation,
        role: person.role(old),
    };
    visibility::sees_jids(old.visibility, viewer)
}

/// What changed, in the codes of the room's notice; nothing if only what occupants cannot see.
///
/// Source: XEP-0045 §10.2.1. Requirements MUC-CONF-10, MUC-STATUS-04, 06 to 09.
fn codes(old: &Config, new: &Config) -> Vec<u16> {
    let mut codes = Vec::new();
    if old.logging != new.logging {
        codes.push(if new.logging { 170 } else { 171 });
    }
    let open = |config: &Config| config.visibility == Visibility::Visible;
    if open(old) != open(new) {
        codes.push(if open(new) { 172 } else { 173 });
    }
    let rest = Config {
        logging: new.logging,
        visibility: new.visibility,
        ..old.clone()
    };
    if rest != *new {
        codes.push(104);
    }
    codes
}
