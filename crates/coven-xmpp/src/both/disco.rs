//! Discovery (XEP-0030): what the service, a room or channel says of itself.
//!
//! Owns the parts that hold for both views, and which request asks for what (MAP-01). What only one view says is added
//! by `muc/disco.rs` and `mix`; each identity and feature stands in the answer once (MAP-80).

use super::form::{Kind, Writer};
use crate::dispatch::Inbound;
use crate::domains::{Domain, Names};
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Builder, Child};
use crate::{mix, muc};
use bytes::Bytes;
use coven_core::query::Info;
use coven_core::{Condition, Query, View};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// The node that asks a channel of both views for what it is to MIX (XEP-0408 §2).
const NODE_MIX: &str = "mix";
/// The node that asks a room for the requester's reserved nick (MUC-DISCO-26).
const NODE_NICK: &str = "x-roomuser-item";

/// What a disco#info result holds.
#[derive(Debug, Default)]
pub(crate) struct Disco {
    identities: Vec<Identity>,
    features: BTreeSet<&'static str>,
    forms: Vec<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    category: &'static str,
    kind: &'static str,
    name: SmolStr,
}

impl Disco {
    /// Adds an identity, unless one of that category and type is there.
    pub(crate) fn identity(&mut self, category: &'static str, kind: &'static str, name: &str) {
        let is_same = |i: &Identity| i.category == category && i.kind == kind;
        if self.identities.iter().any(is_same) {
            return;
        }
        self.identities.push(Identity {
            category,
            kind,
            name: name.into(),
        });
    }

    /// Adds features.
    pub(crate) fn features(&mut self, features: &[&'static str]) {
        self.features.extend(features);
    }

    /// Adds a data form of type `result`, as an element.
    pub(crate) fn form(&mut self, form: Bytes) {
        self.forms.push(form);
    }

    /// The `<query/>`.
    pub(crate) fn write(&self, node: Option<&str>) -> Bytes {
        let mut xml = Builder::with_capacity(3072);
        xml.open_ns("query", ns::DISCO_INFO).attr_opt("node", node);
        for identity in &self.identities {
            let name = Some(identity.name.as_str()).filter(|name| !name.is_empty());
            xml.open("identity")
                .attr("category", identity.category)
                .attr("type", identity.kind)
                .attr_opt("name", name)
                .close();
        }
        for feature in &self.features {
            xml.open("feature").attr("var", feature).close();
        }
        for form in &self.forms {
            xml.raw(form);
        }
        xml.close();
        xml.finish()
    }
}

/// disco#info on the bare channel (MAP-01).
///
/// Source: XEP-0045 §6.4, §7.12, §18.1.1. Requirements MUC-DISCO-07, 26, 27, 28.
pub(crate) fn info(incoming: &Incoming<'_>, query: &Child<'_>) -> Inbound {
    let domain = incoming.domain;
    match query.attr("node").as_deref() {
        None => {
            let view = domain.usual_view();
            incoming.query(view, Query::Info { view })
        }
        Some(NODE_MIX) if domain.mix => {
            let view = View::Mix;
            incoming.query(view, Query::Info { view })
        }
        Some(NODE_NICK) if domain.muc => incoming.query(View::Muc, Query::ReservedNick),
        Some(ns::MUC_TRAFFIC) if domain.muc => incoming.refuse(Condition::ServiceUnavailable),
        Some(_) => incoming.refuse(Condition::ItemNotFound),
    }
}

/// disco#items on the bare channel (MAP-01, MUC-DISCO-24, 28).
pub(crate) fn items(incoming: &Incoming<'_>, query: &Child<'_>) -> Inbound {
    let domain = incoming.domain;
    let view = match query.attr("node").as_deref() {
        None => domain.usual_view(),
        Some(NODE_MIX) if domain.mix => View::Mix,
        Some(_) => return incoming.refuse(Condition::ItemNotFound),
    };
    incoming.query(view, Query::Items { view })
}

/// The `<query/>` of the service; `may_create`: this requester, now (MIX-SVC-04) (MUC-DISCO-01, 02, 30).
pub(crate) fn service(domain: &Domain, may_create: bool) -> Bytes {
    let mut disco = Disco::default();
    if domain.muc {
        muc::service_info(domain, &mut disco);
    }
    if domain.mix {
        mix::service_info(domain, may_create, &mut disco);
    }
    disco.features(&[
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::PING,
        ns::VERSION,
        ns::TIME,
        ns::RSM,
    ]);
    if !domain.contacts.is_empty() {
        disco.form(contacts(&domain.contacts));
    }
    mirror(domain, &mut disco);
    disco.write(None)
}

/// The `<query/>` of a channel: what it is to the asked view, or to both (MAP-01).
pub(crate) fn channel(
    domain: &Domain,
    names: &Names,
    view: View,
    info: &Info,
    node: Option<&str>,
) -> Bytes {
    let mut disco = Disco::default();
    if view == View::Muc {
        muc::room_info(domain, names, info, &mut disco);
    }
    if domain.mix {
        mix::channel_info(names, info, &mut disco);
    }
    disco.features(&[
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::PING,
        ns::VERSION,
        ns::RSM,
        ns::MAM,
        ns::MAM_EXTENDED,
        ns::SID,
    ]);
    mirror(domain, &mut disco);
    disco.write(node)
}

/// Of a mirrored pair each domain points to the other one (MIX-MUC-06, 07; MUC-MIX-04; MAP-80).
fn mirror(domain: &Domain, disco: &mut Disco) {
    let Some(other) = &domain.mirror else { return };
    let (form_type, field) = if domain.muc {
        (ns::MIX_MIRROR, "mix-mirror")
    } else {
        (ns::MUC_MIRROR, "muc-mirror")
    };
    let mut xml = Builder::with_capacity(384);
    let mut form = Writer::begin(&mut xml, Kind::Result, form_type);
    form.field(field, "jid-single", None, &[other]);
    form.end();
    disco.form(xml.finish());
}

/// The form of XEP-0157: a field for each kind of contact that is configured (MUC-DISCO-30).
fn contacts(kinds: &[(&'static str, Vec<String>)]) -> Bytes {
    let mut xml = Builder::with_capacity(512);
    let mut form = Writer::begin(&mut xml, Kind::Result, ns::SERVERINFO);
    for (kind, addresses) in kinds {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        form.field(kind, "list-multi", None, &addresses);
    }
    form.end();
    xml.finish()
}
