//! What only the service may say: removed when a client says it.
//!
//! Owns the list of elements that a client may not put into what the service passes on (S-21 to S-29), as direct
//! children, all copies of them. What stands deeper is content and inert: it stays untouched (MUC-MSG-04, MIX-MSG-11), as
//! does what a client forwards by itself (S-25): nobody takes it for the service's without a copy or result around it.
//! It does not own what the service adds instead; [`SERVICE_ADDED`] names it, so that both lists can be held together.

use jid::BareJid;

use super::{Address, Child, Payload};
use crate::ns;

/// Addresses of ours that a forged element might claim to come from: the channel in each view, and its domains.
#[derive(Debug, Clone, Default)]
pub struct Ours {
    addresses: Vec<BareJid>,
}

impl Ours {
    /// A list of bare addresses and domains.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = BareJid>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
        }
    }

    /// Whether `raw` is one of ours in any spelling, its resource not looked at.
    #[must_use]
    pub fn is(&self, raw: &str) -> bool {
        Address::new(raw)
            .bare_jid()
            .is_ok_and(|bare| self.addresses.contains(&bare))
    }
}

/// What the service itself adds to stanzas that it passes on: nothing in these may come from a client.
pub const SERVICE_ADDED: &[(&str, &str)] = &[
    (ns::OCCUPANT_ID, "occupant-id"),
    (ns::SID, "stanza-id"),
    (ns::DELAY, "delay"),
    (ns::MUC_USER, "x"),
    (ns::MIX_CORE, "mix"),
    (ns::MIX_PRESENCE, "mix"),
    (ns::HATS, "hats"),
    (ns::MUC_AFFILIATIONS, "mav"),
    (ns::MODERATE, "moderated"),
    (ns::MMN, "mentions"),
];

/// Namespaces of which no element may come from a client, in any kind of stanza.
const OWNED: &[&str] = &[
    ns::OCCUPANT_ID,
    ns::MUC,
    ns::MUC_USER,
    ns::MIX_CORE,
    ns::MIX_CORE_0,
    ns::MIX_PRESENCE,
    ns::HATS,
    ns::ADDRESS,
    ns::MODERATE,
    ns::MODERATE_0,
    ns::MMN,
    ns::MUC_AFFILIATIONS,
    ns::MUC_PRESENCE_VERSIONING,
    ns::PRIVILEGE,
    ns::PRIVILEGE_1,
    ns::DELEGATION,
    ns::DELEGATION_1,
];

/// `payload` without what only the service may say.
///
/// Source: XEP-0045 §17.3, XEP-0359 §3, XEP-0421 §4, XEP-0313 §8, XEP-0425 §5, XEP-0203 §5. Requirements MUC-MSG-05,
/// MUC-MSG-06, MUC-PRES-10, MUC-PRES-11, MUC-PM-08, MIX-MSG-08, MIX-MSG-10, S-21 to S-29.
/// Cost: one look per child; a `by` or `from` is normalised only where there is one.
#[must_use]
pub fn strip(payload: &Payload, ours: &Ours) -> Payload {
    payload.without(|child| is_service_only(child, ours))
}

/// Whether only the service may say this.
#[must_use]
pub fn is_service_only(child: &Child<'_>, ours: &Ours) -> bool {
    match child.namespace {
        ns::SID => child.name == "stanza-id" && claims(child, "by", ours),
        ns::DELAY | ns::DELAY_LEGACY => claims(child, "from", ours),
        ns::CARBONS => matches!(child.name, "sent" | "received"),
        ns::RETRACT | ns::RETRACT_0 | ns::FASTEN => is_forged_moderation(child),
        namespace => is_archive(namespace) || OWNED.contains(&namespace),
    }
}

/// A retraction that says a moderator made it: the one nested element that changes who seems to speak (MUC-MSG-06).
fn is_forged_moderation(child: &Child<'_>) -> bool {
    let Ok(element) = child.to_element() else {
        return true;
    };
    element
        .children()
        .any(|inner| inner.has_ns(ns::MODERATE) || inner.has_ns(ns::MODERATE_0))
}

/// Results of an archive, of any version.
fn is_archive(namespace: &str) -> bool {
    namespace.starts_with("urn:xmpp:mam:")
}

fn claims(child: &Child<'_>, attribute: &str, ours: &Ours) -> bool {
    child.attr(attribute).is_some_and(|raw| ours.is(&raw))
}
