//! A groupchat message to the bare channel (XEP-0045 §7.4, XEP-0369 §7.1.6): which view it belongs to is the core's to
//! decide, by the sender's sessions (MAP-03).

use crate::dispatch::Inbound;
use crate::incoming::{Incoming, reread};
use crate::ns;
use crate::stanza::strip::{self, Ours};
use crate::stanza::{Builder, Child, Payload, unescape};
use bytes::{Bytes, BytesMut};
use coven_core::command::{Post, Reference, Traits};
use coven_core::{Command, Condition};
use jid::BareJid;

/// The message as a command.
///
/// Errors: `bad-request` where nothing but what only the service may say is in it (MUC-MSG-06).
///
/// Source: XEP-0045 §7.4, §17.3. Requirements MUC-MSG-04 to 06, 12, 18; MUC-SUBJ-01; MUC-COMP-13, 14.
pub(crate) fn dispatch(incoming: &Incoming<'_>) -> Inbound {
    let stanza = incoming.stanza;
    if incoming.has_long_id() {
        return incoming.refuse(Condition::PolicyViolation);
    }
    let payload = stripped(incoming);
    if payload.is_empty() && !stanza.payload.is_empty() {
        return incoming.refuse(Condition::BadRequest);
    }
    let content = Content::of(&payload);
    let domain = incoming.domain;
    let post = Post {
        view: (!domain.muc || !domain.mix).then(|| domain.usual_view()),
        own_id: incoming.own_id(),
        lang: stanza.lang.clone(),
        traits: content.traits,
        subject: content.subject.map(BytesMut::freeze),
        reference: content.reference,
        payload: Bytes::copy_from_slice(payload.bytes()),
    };
    let view = incoming.domain.usual_view();
    incoming.command(view, Command::Post(Box::new(post)))
}

/// The stanza's payload without what only the service may say.
pub(crate) fn stripped(incoming: &Incoming<'_>) -> Payload {
    let payload = &incoming.stanza.payload;
    let ours = if payload.children().any(|child| may_claim(&child)) {
        ours(incoming)
    } else {
        Ours::default()
    };
    without_holders(&strip::strip(payload, &ours))
}

/// Delays stay (MUC-MSG-15), but none says by whose real address it was: who may see that is not for a payload to decide
/// (MUC-ANON-02, MIX-ANON-09). What a delay says otherwise is its stamp.
fn without_holders(payload: &Payload) -> Payload {
    if !payload.children().any(|child| names_holder(&child)) {
        return payload.clone();
    }
    let mut xml = Builder::with_capacity(payload.bytes().len());
    for child in payload.children() {
        if names_holder(&child) {
            let is_legacy = child.namespace == ns::DELAY_LEGACY;
            let (name, namespace) = match is_legacy {
                true => ("x", ns::DELAY_LEGACY),
                false => ("delay", ns::DELAY),
            };
            let stamp = child.attr("stamp");
            xml.open_ns(name, namespace)
                .attr_opt("stamp", stamp.as_deref())
                .close();
        } else {
            xml.raw(child.xml);
        }
    }
    reread(&xml.finish())
}

/// Whether a delay names somebody's address, not only a server's.
fn names_holder(child: &Child<'_>) -> bool {
    let is_delay = matches!(child.namespace, ns::DELAY | ns::DELAY_LEGACY);
    is_delay
        && child
            .attr("from")
            .is_some_and(|from| from.contains(['@', '/']))
}

/// Whether the element might claim to be from an address of ours.
fn may_claim(child: &Child<'_>) -> bool {
    match child.namespace {
        ns::SID => child.name == "stanza-id",
        ns::DELAY | ns::DELAY_LEGACY => true,
        _ => false,
    }
}

fn ours(incoming: &Incoming<'_>) -> Ours {
    let names = incoming.context.domains.names(&incoming.channel);
    let domains = [names.muc_domain, names.mix_domain].into_iter().flatten();
    let local = &names.local;
    let addresses = domains.flat_map(|domain| [format!("{local}@{domain}"), domain.to_string()]);
    Ours::new(addresses.filter_map(|address| BareJid::new(&address).ok()))
}

/// What a message consists of, as far as anybody decides by it.
#[derive(Debug, Default)]
struct Content {
    /// What the archive and the history are decided by (MUC-MAM-06, 07; MUC-HIST-10).
    traits: Traits,
    /// The `<subject/>` elements alone, in all languages.
    subject: Option<BytesMut>,
    /// The message that this one corrects (MAP-26). The first one counts. A receipt names what somebody else said, which is
    /// not looked for: it passes as it stands.
    reference: Option<Reference>,
}

impl Content {
    fn of(payload: &Payload) -> Self {
        let mut content = Self::default();
        for child in payload.children() {
            content.traits = content.traits.with(of_child(&child));
            match (child.namespace, child.name) {
                (ns::CLIENT, "subject") => {
                    let subject = content.subject.get_or_insert_default();
                    subject.extend_from_slice(child.xml);
                }
                (ns::CORRECT, "replace") => {
                    content.reference = content.reference.or_else(|| reference(payload, &child));
                }
                _ => {}
            }
        }
        content
    }
}

fn of_child(child: &Child<'_>) -> Traits {
    match (child.namespace, child.name) {
        (ns::CLIENT, "body") => Traits::BODY,
        (ns::CLIENT, "thread") => Traits::THREAD,
        (ns::HINTS, "store") => Traits::STORE,
        (ns::HINTS, "no-store" | "no-permanent-store") => Traits::NO_STORE,
        (ns::EME, "encryption") => Traits::ENCRYPTED,
        (ns::CHAT_MARKERS, "received" | "displayed" | "acknowledged")
        | (ns::REACTIONS, "reactions") => Traits::MARKER,
        (ns::RETRACT | ns::RETRACT_0, "retract") => Traits::RETRACTION,
        (ns::FASTEN, "apply-to") if fastens_retraction(child) => Traits::RETRACTION,
        (ns::CORRECT, "replace") => Traits::CORRECTION,
        _ => Traits::default(),
    }
}

fn fastens_retraction(child: &Child<'_>) -> bool {
    let element = child.to_element();
    element.is_ok_and(|e| e.has_child("retract", ns::RETRACT_0))
}

/// Where in the payload the id stands.
fn reference(payload: &Payload, named: &Child<'_>) -> Option<Reference> {
    let raw = named.raw_attr("id").filter(|id| !id.is_empty())?;
    let start = (raw.as_ptr() as usize).checked_sub(payload.bytes().as_ptr() as usize)?;
    Some(Reference {
        start: u32::try_from(start).ok()?,
        end: u32::try_from(start + raw.len()).ok()?,
        id: unescape(raw).as_ref().into(),
    })
}
