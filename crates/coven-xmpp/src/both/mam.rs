//! Archives (XEP-0313): queries and pages, in the form of either view.
//!
//! Owns the query, paging and the order of stanzas; what an archived message looks like is each view's. What may be read
//! is the core's, what is there the node's.

use super::datetime;
use super::form::{Form, Kind, Writer};
use super::rsm::{Page, Wanted};
use crate::dispatch::Inbound;
use crate::domains::Names;
use crate::incoming::{Incoming, payload_of};
use crate::ns;
use crate::render::Sink;
use crate::stanza::{Address, Builder, Child, Head, Kind as StanzaKind, Outgoing, StanzaError};
use crate::{mix, muc};
use bytes::Bytes;
use coven_core::event::Message;
use coven_core::query::{ArchivePage, ArchiveQuery, With};
use coven_core::{
    ArchiveId, BareJid, Condition, ErrorType, Event, Origin, Query, Record, StableId, Timestamp,
    View,
};
use minidom::Element;
use std::sync::Arc;

/// Fields of the query form.
const FIELDS: [&str; 7] = [
    "FORM_TYPE",
    "with",
    "start",
    "end",
    "before-id",
    "after-id",
    "ids",
];

/// Most ids in one `ids` field (I9).
const MAX_IDS: usize = 500;
/// Most bytes of a `queryid`, which every result repeats (I9).
const MAX_QUERY_ID: usize = 1024;

/// A query of the archive.
///
/// Source: XEP-0313 §4. Requirements MUC-MAM-08, 11 to 15; MIX-MAM-02, 03, 08, 10; MAP-06, MAP-84.
pub(crate) fn query(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    let view = match child.attr("node").as_deref() {
        None if incoming.domain.muc && incoming.domain.mix => None,
        None => Some(incoming.domain.usual_view()),
        Some(ns::MIX_NODE_MESSAGES) if incoming.domain.mix => Some(View::Mix),
        Some(_) => return incoming.refuse(Condition::ItemNotFound),
    };
    let Ok(element) = child.to_element() else {
        return incoming.refuse(Condition::BadRequest);
    };
    if child
        .attr("queryid")
        .is_some_and(|id| id.len() > MAX_QUERY_ID)
    {
        return incoming.refuse(Condition::PolicyViolation);
    }
    match read(incoming, &element) {
        Ok(query) => {
            let query = Query::Archive(Box::new(ArchiveQuery { view, ..query }));
            incoming.query(view.unwrap_or(View::Muc), query)
        }
        Err(condition) => incoming.refuse(error(condition)),
    }
}

/// `<metadata/>` (MUC-MAM-16).
pub(crate) fn bounds(incoming: &Incoming<'_>, _child: &Child<'_>) -> Inbound {
    let view = incoming.domain.usual_view();
    incoming.query(view, Query::ArchiveBounds { view })
}

fn error(condition: Condition) -> StanzaError {
    match condition {
        Condition::BadRequest => StanzaError::new(ErrorType::Modify, condition),
        _ => condition.into(),
    }
}

/// Errors: `bad-request`, `feature-not-implemented` (MUC-MAM-12), `item-not-found` (MUC-MAM-13).
fn read(incoming: &Incoming<'_>, element: &Element) -> Result<ArchiveQuery, Condition> {
    let wanted = Wanted::read(element).ok_or(Condition::BadRequest)?;
    if wanted.index {
        return Err(Condition::FeatureNotImplemented);
    }
    let mut query = ArchiveQuery {
        view: None,
        with: None,
        start: None,
        end: None,
        before_id: None,
        after_id: None,
        ids: Vec::new(),
        after: id(wanted.after.as_deref())?,
        before: match wanted.before {
            None => None,
            Some(before) => Some(id(before.as_deref())?),
        },
        max: wanted.max,
        flip: element.has_child("flip-page", ns::MAM),
    };
    if let Some(form) = Form::within(element) {
        filter(incoming, &form, &mut query)?;
    }
    Ok(query)
}

fn filter(incoming: &Incoming<'_>, form: &Form, query: &mut ArchiveQuery) -> Result<(), Condition> {
    if form.kind != Some(Kind::Submit) || form.form_type() != Some(ns::MAM) {
        return Err(Condition::BadRequest);
    }
    if form
        .fields
        .iter()
        .any(|f| !FIELDS.contains(&f.var.as_str()))
    {
        return Err(Condition::FeatureNotImplemented);
    }
    let value = |var| form.value(var).filter(|value| !value.is_empty());
    query.start = time(value("start"))?;
    query.end = time(value("end"))?;
    query.before_id = id(value("before-id"))?;
    query.after_id = id(value("after-id"))?;
    query.with = match value("with") {
        None => None,
        Some(jid) => with(incoming, jid)?,
    };
    for value in form.field("ids").iter().flat_map(|f| &f.values) {
        query.ids.extend(id(Some(value))?);
    }
    if query.ids.len() > MAX_IDS {
        return Err(Condition::PolicyViolation);
    }
    Ok(())
}

fn time(text: Option<&str>) -> Result<Option<Timestamp>, Condition> {
    text.map(|text| datetime::parse(text).ok_or(Condition::BadRequest))
        .transpose()
}

/// Ids of ours decode; anything else is no entry of this archive.
fn id(text: Option<&str>) -> Result<Option<ArchiveId>, Condition> {
    text.filter(|text| !text.is_empty())
        .map(|text| ArchiveId::parse(text).ok_or(Condition::ItemNotFound))
        .transpose()
}

/// Whose messages: of a nick, a stable id, or a real address; the room itself means everybody.
fn with(incoming: &Incoming<'_>, text: &str) -> Result<Option<With>, Condition> {
    let address = Address::new(text);
    let bare = address.bare_jid().map_err(|_| Condition::BadRequest)?;
    let names = incoming.context.domains.names(&incoming.channel);
    let resource = address.resource().filter(|r| !r.is_empty());
    if names.is(bare.as_str()) {
        return Ok(resource.map(|resource| of_resource(incoming, resource)));
    }
    let encoded = bare.as_str().split_once('#');
    if let Some((id, channel)) = encoded
        && names.is(channel)
    {
        let id = StableId::parse(id).ok_or(Condition::BadRequest)?;
        return Ok(Some(With::Id(id)));
    }
    let bare = BareJid::from_normalised(bare.as_str());
    Ok(Some(With::Jid(bare)))
}

fn of_resource(incoming: &Incoming<'_>, resource: &str) -> With {
    match StableId::parse(resource).filter(|_| incoming.domain.mix) {
        Some(id) => With::Id(id),
        None => With::Nick(resource.into()),
    }
}

/// The query form (MUC-MAM-11).
pub(crate) fn form() -> Bytes {
    let mut xml = Builder::with_capacity(1024);
    xml.open_ns("query", ns::MAM);
    let mut form = Writer::begin(&mut xml, Kind::Form, ns::MAM);
    form.field("with", "jid-single", None, &[]);
    for text in ["start", "end", "before-id", "after-id"] {
        form.field(text, "text-single", None, &[]);
    }
    form.open_list("ids");
    form.end();
    xml.close();
    xml.finish()
}

/// `<metadata/>` with the ends of the archive (MUC-MAM-16).
pub(crate) fn metadata(ends: Option<((ArchiveId, Timestamp), (ArchiveId, Timestamp))>) -> Bytes {
    let mut xml = Builder::with_capacity(256);
    xml.open_ns("metadata", ns::MAM);
    if let Some((first, last)) = ends {
        for (name, (id, time)) in [("start", first), ("end", last)] {
            xml.open(name)
                .attr("id", id.text().as_str())
                .attr("timestamp", &datetime::format(time))
                .close();
        }
    }
    xml.close();
    xml.finish()
}

/// A page: one message for each entry, then the result of the IQ (MUC-MAM-10).
///
/// Errors: `resource-constraint` where an entry with all that is around it is larger than a stanza may be: a page that
/// left it out would say that it was never there.
pub(crate) fn page(
    names: &Names,
    origin: &Origin,
    page: &ArchivePage,
    sink: &mut impl Sink,
) -> Result<Bytes, Condition> {
    let max = sink.max_stanza(&origin.group);
    let mut stanzas = results(names, origin, page);
    if stanzas
        .iter()
        .any(|s| s.template.len_without_to() + 6 * s.to.len() > max)
    {
        return Err(Condition::ResourceConstraint);
    }
    if page.flip {
        stanzas.reverse();
    }
    for stanza in stanzas {
        sink.answer(stanza, &origin.group);
    }
    Ok(fin(page))
}

/// The messages of a page, oldest first.
fn results(names: &Names, origin: &Origin, page: &ArchivePage) -> Vec<Outgoing> {
    let room = names.bare(page.view).unwrap_or_default();
    let payload = payload_of(origin);
    let asked = payload.children().next();
    let query_id = asked.and_then(|query| query.attr("queryid"));
    let result = |record: &Arc<Record>| {
        let query_id = query_id.as_deref();
        result(names, &room, origin, query_id, page, record)
    };
    page.entries.iter().filter_map(result).collect()
}

/// One entry as a message (MUC-MAM-08, 09).
fn result(
    names: &Names,
    room: &str,
    origin: &Origin,
    query_id: Option<&str>,
    page: &ArchivePage,
    record: &Record,
) -> Option<Outgoing> {
    let message = message(record)?;
    let mut xml = Builder::with_capacity(message.payload.len() + 768);
    xml.open_ns("result", ns::MAM)
        .attr_opt("queryid", query_id)
        .attr("id", message.archive_id.text().as_str());
    xml.open_ns("forwarded", ns::FORWARD);
    xml.open_ns("delay", ns::DELAY)
        .attr("stamp", &datetime::format(record.stamp))
        .close();
    match page.view {
        View::Muc => muc::archived(names, page, message, &mut xml),
        View::Mix => mix::archived(names, page, record, &mut xml),
    }
    let head = Head::new(StanzaKind::Message, room);
    Some(Outgoing::new(&head, &origin.from, &xml.finish()))
}

/// The `<fin/>` of a page (MUC-MAM-10).
fn fin(page: &ArchivePage) -> Bytes {
    let ids: Vec<String> = [page.entries.first(), page.entries.last()]
        .into_iter()
        .flatten()
        .filter_map(|record| message(record))
        .map(|message| message.archive_id.to_string())
        .collect();
    let ends = ids.first().zip(ids.last());
    let mut xml = Builder::with_capacity(384);
    xml.open_ns("fin", ns::MAM);
    if page.complete {
        xml.attr("complete", "true");
    }
    let set = Page {
        ends: ends.map(|(first, last)| (first.as_str(), last.as_str())),
        index: page.index,
        count: page.count,
    };
    set.write(&mut xml);
    xml.close();
    xml.finish()
}

fn message(record: &Record) -> Option<&Message> {
    match &record.event {
        Event::Message(message) => Some(message),
        _ => None,
    }
}
