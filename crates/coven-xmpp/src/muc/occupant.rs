//! What is said of an occupant in a presence: the `<x/>`, its item, statuses and the occupant-id.
//!
//! Owns the form of every presence that the room sends (MUC-PRES-01, MUC-OCCID-02, MUC-STATUS-19). Who gets which is
//! decided in `change.rs` and `join.rs`.

use crate::ns;
use crate::stanza::{Builder, Head, Kind, Template};
use coven_core::event::By;
use coven_core::roster::Shown;
use coven_core::{Affiliation, Person, PersonView, Role, StableId};
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// `<item/>`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) affiliation: Affiliation,
    pub(super) role: Role,
    /// Only for those entitled, and for oneself.
    pub(super) jid: Option<&'a str>,
    /// The new nick, in a nick change.
    pub(super) nick: Option<&'a str>,
    pub(super) actor: Option<Actor<'a>>,
    pub(super) reason: Option<&'a str>,
}

/// `<actor/>`: by nick, and by address to those entitled (MUC-PRES-18, MUC-ANON-04).
#[derive(Debug, Clone, Copy)]
pub(super) struct Actor<'a> {
    pub(super) nick: Option<&'a str>,
    pub(super) jid: Option<&'a str>,
}

impl<'a> Item<'a> {
    /// With nothing but affiliation and role.
    pub(super) const fn new(affiliation: Affiliation, role: Role) -> Self {
        Self {
            affiliation,
            role,
            jid: None,
            nick: None,
            actor: None,
            reason: None,
        }
    }

    fn write(&self, xml: &mut Builder) {
        item(xml, self.affiliation, self.role)
            .attr_opt("jid", self.jid)
            .attr_opt("nick", self.nick);
        if let Some(actor) = &self.actor {
            xml.open("actor")
                .attr_opt("nick", actor.nick)
                .attr_opt("jid", actor.jid)
                .close();
        }
        if let Some(reason) = self.reason {
            xml.leaf("reason", reason);
        }
        xml.close();
    }
}

impl<'a> Actor<'a> {
    /// `None` if nothing of the actor may be told to this recipient.
    pub(super) fn of(by: Option<&'a By>, sees_jids: bool) -> Option<Self> {
        let by = by?;
        let actor = Self {
            nick: by.nick.as_deref(),
            jid: sees_jids.then(|| by.jid.as_str()),
        };
        (actor.nick.is_some() || actor.jid.is_some()).then_some(actor)
    }
}

/// Opens `<item/>` with what every item has.
pub(super) fn item(xml: &mut Builder, affiliation: Affiliation, role: Role) -> &mut Builder {
    xml.open("item")
        .attr("affiliation", affiliation.as_str())
        .attr("role", role.as_str())
}

/// `<occupant-id/>` (XEP-0421).
pub(super) fn occupant_id(xml: &mut Builder, id: StableId) {
    xml.open_ns("occupant-id", ns::OCCUPANT_ID)
        .attr("id", id.text().as_str())
        .close();
}

/// `<destroy/>` (MUC-DEST-03).
#[derive(Debug, Clone, Copy)]
pub(super) struct Destroy<'a> {
    pub(super) jid: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
}

/// A presence to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    /// Occupant JID.
    pub(super) from: &'a str,
    pub(super) unavailable: bool,
    pub(super) id: Option<&'a str>,
    /// Child elements of the client.
    pub(super) payload: &'a [u8],
    pub(super) item: Item<'a>,
    pub(super) statuses: &'a [u16],
    /// Whose; none where there is no occupant.
    pub(super) occupant: Option<StableId>,
    pub(super) destroy: Option<Destroy<'a>>,
}

impl<'a> Shape<'a> {
    /// An available presence with nothing but the item.
    pub(super) const fn available(from: &'a str, item: Item<'a>) -> Self {
        Self {
            from,
            unavailable: false,
            id: None,
            payload: &[],
            item,
            statuses: &[],
            occupant: None,
            destroy: None,
        }
    }

    /// An unavailable presence with nothing but the item.
    pub(super) const fn unavailable(from: &'a str, item: Item<'a>) -> Self {
        Self {
            unavailable: true,
            ..Self::available(from, item)
        }
    }

    /// The stanza.
    pub(super) fn template(&self) -> Template {
        let mut xml = Builder::with_capacity(self.payload.len() + 384);
        xml.raw(self.payload).open_ns("x", ns::MUC_USER);
        self.item.write(&mut xml);
        if let Some(destroy) = &self.destroy {
            xml.open("destroy").attr_opt("jid", destroy.jid);
            for (name, text) in [("password", destroy.password), ("reason", destroy.reason)] {
                if let Some(text) = text {
                    xml.leaf(name, text);
                }
            }
            xml.close();
        }
        for status in self.statuses {
            let mut text = [0; 3];
            xml.open("status")
                .attr("code", digits(*status, &mut text))
                .close();
        }
        xml.close();
        if let Some(id) = self.occupant {
            occupant_id(&mut xml, id);
        }
        let head = Head {
            type_: self.unavailable.then_some("unavailable"),
            id: self.id,
            ..Head::new(Kind::Presence, self.from)
        };
        Template::new(&head, &xml.finish())
    }
}

/// A status code is three digits.
fn digits(code: u16, text: &mut [u8; 3]) -> &str {
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or_default();
    *text = [digit(code / 100), digit(code / 10), digit(code)];
    std::str::from_utf8(text).unwrap_or_default()
}

/// What others see of somebody who is there.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) person: Arc<Person>,
    pub(super) role: Role,
    face: Shown,
}

impl Look {
    /// `None` for somebody who is no occupant.
    pub(super) fn of(view: &PersonView) -> Option<Self> {
        Some(Self {
            person: Arc::clone(&view.person),
            role: view.role,
            face: view.shown().filter(|_| view.present())?,
        })
    }

    /// The same person in another role.
    pub(super) fn with_role(&self, role: Role) -> Self {
        Self {
            role,
            ..self.clone()
        }
    }

    /// Occupant JID.
    pub(super) fn address(&self, room: &str) -> SmolStr {
        format_smolstr!("{room}/{}", self.person.shown_nick())
    }

    /// Real address, for those entitled: that of the session shown; bare while there is none (MUC-PRES-03, MAP-11).
    pub(super) fn jid(&self) -> &str {
        match &self.face {
            Shown::Session(session) => session.jid.as_str(),
            Shown::Absent { .. } => self.person.jid.as_str(),
        }
    }

    /// Child elements: the client's own, or a show for one who has no client online.
    pub(super) fn payload(&self) -> &[u8] {
        match &self.face {
            Shown::Session(session) => &session.presence.payload,
            Shown::Absent { xa: true } => b"<show>xa</show>",
            Shown::Absent { xa: false } => b"",
        }
    }

    /// With or without the address.
    pub(super) fn item(&self, sees_jids: bool) -> Item<'_> {
        Item {
            jid: sees_jids.then(|| self.jid()),
            ..Item::new(self.person.affiliation, self.role)
        }
    }

    /// The presence that everybody else gets, with nothing that only an event knows.
    pub(super) fn template(&self, room: &str, sees_jids: bool) -> Template {
        let from = self.address(room);
        let shape = Shape {
            payload: self.payload(),
            occupant: Some(self.person.id),
            ..Shape::available(&from, self.item(sees_jids))
        };
        shape.template()
    }

    /// Whether the occupant JID is the same.
    pub(super) fn same_nick(&self, other: &Self) -> bool {
        self.person.shown_nick() == other.person.shown_nick()
    }

    /// Whether a recipient sees no difference.
    pub(super) fn looks_like(&self, other: &Self, sees_jids: bool) -> bool {
        self.role == other.role
            && self.person.affiliation == other.person.affiliation
            && self.payload() == other.payload()
            && (!sees_jids || self.jid() == other.jid())
    }
}
