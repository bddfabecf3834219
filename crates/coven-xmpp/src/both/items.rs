//! disco#items (XEP-0030 §4): channels of a service, occupants of a room.

use super::page;
use super::rsm::{Page, Wanted};
use crate::dispatch::Inbound;
use crate::incoming::{Incoming, payload_of};
use crate::ns;
use crate::stanza::{Builder, Child};
use bytes::Bytes;
use coven_core::query::{DirectoryPage, Listing};
use coven_core::{Condition, Origin};
use smol_str::{SmolStr, format_smolstr};

/// disco#items on the service: a page of the directory.
///
/// Source: XEP-0045 §6.3, XEP-0059 §2. Requirements MUC-DISCO-03 to 06, 28.
pub(crate) fn directory(incoming: &Incoming<'_>, query: &Child<'_>) -> Inbound {
    if query.attr("node").is_some() {
        return incoming.refuse(Condition::ItemNotFound);
    }
    let Some(wanted) = query.to_element().ok().as_ref().and_then(Wanted::read) else {
        return incoming.refuse(Condition::BadRequest);
    };
    if wanted.index {
        return incoming.refuse(Condition::FeatureNotImplemented);
    }
    Inbound::Directory {
        space: incoming.domain.space.clone(),
        sender: incoming.sender.clone(),
        page: DirectoryPage {
            after: wanted.after.map(SmolStr::from),
            before: wanted.before.map(|id| id.map(SmolStr::from)),
            max: wanted.max,
        },
        origin: incoming.origin(incoming.domain.usual_view()),
    }
}

/// The `<query/>` of a page of the directory: as much of it as fits into a stanza.
///
/// A `<set/>` is there if one was asked for, or if the list goes on (MUC-DISCO-04).
pub(crate) fn listing(
    domain: &str,
    origin: &Origin,
    listing: &Listing,
    max_stanza: usize,
) -> Bytes {
    let wanted = wanted(origin);
    let backwards = wanted.as_ref().is_some_and(|w| w.before.is_some());
    let fit = page::fitting(
        &listing.items,
        max_stanza,
        backwards,
        |xml, (local, name)| {
            xml.open("item")
                .attr("jid", &format_smolstr!("{local}@{domain}"))
                .attr_opt("name", Some(name.as_str()).filter(|n| !n.is_empty()))
                .close();
        },
    );
    let mut xml = Builder::with_capacity(512 + fit.xml.iter().map(Bytes::len).sum::<usize>());
    xml.open_ns("query", ns::DISCO_ITEMS);
    for item in &fit.xml {
        xml.raw(item);
    }
    let shown = listing.items.iter().skip(fit.skipped).take(fit.xml.len());
    let ends = shown.clone().next().zip(shown.clone().next_back());
    if wanted.is_some() || !fit.all || (fit.xml.len() as u64) < listing.count {
        let page = Page {
            ends: ends.map(|((first, _), (last, _))| (first.as_str(), last.as_str())),
            index: Some(listing.index + fit.skipped as u64),
            count: Some(listing.count),
        };
        page.write(&mut xml);
    }
    xml.close();
    xml.finish()
}

/// The `<query/>` of a room's occupants: empty unless the room publishes them (MUC-DISCO-24).
pub(crate) fn occupants(room: &str, nicks: &[SmolStr], node: Option<&str>) -> Bytes {
    let mut xml = Builder::with_capacity(128 + nicks.len() * 96);
    xml.open_ns("query", ns::DISCO_ITEMS).attr_opt("node", node);
    for nick in nicks {
        xml.open("item")
            .attr("jid", &format_smolstr!("{room}/{nick}"))
            .close();
    }
    xml.close();
    xml.finish()
}

/// The `<set/>` of the request, if it had one.
fn wanted(origin: &Origin) -> Option<Wanted> {
    let payload = payload_of(origin);
    let query = payload.children().next()?.to_element().ok()?;
    query.get_child("set", ns::RSM)?;
    Wanted::read(&query)
}
