//! Groupchat messages (XEP-0045 §7.4): live, from the history, and as the archive gives them out.

use super::Muc;
use super::occupant::{item, occupant_id};
use crate::both::datetime;
use crate::domains::Names;
use crate::ns;
use crate::render::{Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, Template, escape_attribute};
use coven_core::event::Message;
use coven_core::query::ArchivePage;
use coven_core::{ArchiveId, Event, Record, Roster, Sequence, Session, Timestamp, View};
use smol_str::{SmolStr, format_smolstr};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of the history whose templates are held.
const HISTORY: usize = 20;

/// Templates of the newest entries of the history: everybody who joins gets the same.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<(Sequence, ArchiveId, Template)>);

impl History {
    /// The entry as newcomers get it (MUC-HIST-01). `None` if it is no message.
    fn get(&mut self, room: &str, record: &Record) -> Option<Template> {
        let Event::Message(message) = &record.event else {
            return None;
        };
        let is_it = |entry: &&(Sequence, ArchiveId, Template)| {
            entry.0 == record.sequence && entry.1 == message.archive_id
        };
        if let Some((.., template)) = self.0.iter().find(is_it) {
            return Some(template.clone());
        }
        let kept = Kept {
            stamp: record.stamp,
            payload: None,
        };
        let template = template(room, message, Some(kept));
        if self.0.len() >= HISTORY {
            self.0.pop_front();
        }
        let entry = (record.sequence, message.archive_id, template.clone());
        self.0.push_back(entry);
        Some(template)
    }
}

impl Muc {
    /// To every session of every occupant, the sender's included (MUC-MSG-01).
    pub(super) fn message(&self, roster: &Roster, message: &Message, sink: &mut impl Sink) {
        let mut sessions = roster.sessions().filter(|s| s.view == View::Muc).peekable();
        if sessions.peek().is_none() {
            return;
        }
        let template = template(&self.room, message, None);
        for session in sessions {
            sink.send(&template, Recipient::session(session));
        }
    }

    /// The history of a newcomer, oldest first (MUC-HIST-03). `max_chars` counts whole stanzas as they are sent, from
    /// the newest back (MUC-HIST-05).
    pub(super) fn history(
        &mut self,
        history: &[Arc<Record>],
        max_chars: Option<u64>,
        to: &Session,
        sink: &mut impl Sink,
    ) {
        let entries = history.iter();
        let mut templates: Vec<Template> = entries
            .filter_map(|record| self.history.get(&self.room, record))
            .collect();
        if let Some(max) = max_chars {
            let fit = fitting(&templates, to, max);
            templates.drain(..templates.len() - fit);
        }
        for template in &templates {
            sink.send(template, Recipient::session(to));
        }
    }
}

/// How many of the newest stanzas have together at most `max` characters.
fn fitting(templates: &[Template], to: &Session, max: u64) -> usize {
    let (mut left, mut count) = (max, 0);
    for template in templates.iter().rev() {
        let mut xml = Vec::with_capacity(template.len_without_to() + to.jid.as_str().len());
        template.write_to(&mut xml, to.jid.as_str());
        let characters = String::from_utf8_lossy(&xml).chars().count() as u64;
        let Some(rest) = left.checked_sub(characters) else {
            break;
        };
        left = rest;
        count += 1;
    }
    count
}

/// What makes a message of the past of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    /// When it was said.
    pub(super) stamp: Timestamp,
    /// Only this of its payload.
    pub(super) payload: Option<&'a [u8]>,
}

/// The message as MUC sessions get it.
///
/// Source: XEP-0045 §7.4, §7.2.13; XEP-0359 §3; XEP-0421 §4. Requirements MUC-MSG-01 to 04, MUC-HIST-01, MUC-MAM-02, 03,
/// MUC-OCCID-02, MAP-26.
pub(super) fn template(room: &str, message: &Message, kept: Option<Kept<'_>>) -> Template {
    let mut xml = Builder::with_capacity(message.payload.len() + 384);
    match kept.and_then(|kept| kept.payload) {
        Some(payload) => {
            xml.raw(payload);
        }
        None => content(&mut xml, message),
    }
    marks(&mut xml, room, message);
    if let Some(kept) = kept {
        xml.open_ns("delay", ns::DELAY)
            .attr("from", room)
            .attr("stamp", &datetime::format(kept.stamp))
            .close();
    }
    let (from, id) = (address(room, message), message.muc_id());
    let head = Head {
        type_: Some("groupchat"),
        id: Some(&id),
        lang: message.lang.as_deref(),
        ..Head::new(Kind::Message, &from)
    };
    Template::new(&head, &xml.finish())
}

/// Writes the archived message as it stands inside of `<forwarded/>` (MUC-MAM-09, 19, 21).
pub(crate) fn archived(names: &Names, page: &ArchivePage, message: &Message, xml: &mut Builder) {
    let room = names.bare(View::Muc).unwrap_or_default();
    xml.open_ns("message", ns::CLIENT)
        .attr("from", &address(&room, message))
        .attr("type", "groupchat")
        .attr("id", &message.muc_id())
        .attr_opt("xml:lang", message.lang.as_deref());
    content(xml, message);
    if page.may_show_jid(message) {
        xml.open_ns("x", ns::MUC_USER);
        item(xml, message.affiliation, message.role)
            .attr("jid", message.jid.as_str())
            .close()
            .close();
    }
    marks(xml, &room, message);
    xml.close();
}

/// What the service adds to every message.
fn marks(xml: &mut Builder, room: &str, message: &Message) {
    if message.archived {
        xml.open_ns("stanza-id", ns::SID)
            .attr("id", message.archive_id.text().as_str())
            .attr("by", room)
            .close();
    }
    occupant_id(xml, message.id);
}

/// The payload; an id in it that means another message is that message's own id (MAP-26).
fn content(xml: &mut Builder, message: &Message) {
    let payload = &message.payload;
    let split = message
        .reference
        .as_ref()
        .and_then(|(reference, resolved)| {
            let before = payload.get(..reference.start as usize)?;
            let after = payload.get(reference.end as usize..)?;
            Some((before, &resolved.own_id, after))
        });
    let Some((before, id, after)) = split else {
        xml.raw(payload);
        return;
    };
    let mut changed = Vec::with_capacity(payload.len() + id.len());
    changed.extend_from_slice(before);
    escape_attribute(&mut changed, id);
    changed.extend_from_slice(after);
    xml.raw(&changed);
}

fn address(room: &str, message: &Message) -> SmolStr {
    format_smolstr!("{room}/{}", message.nick)
}
