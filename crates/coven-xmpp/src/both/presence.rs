//! What a client says in an available presence, for both views.

use super::post::stripped;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Payload, escape_attribute};
use bytes::Bytes;
use coven_core::presence::session::{Presence, Show};
use std::sync::Arc;

/// The presence without what only the service may say (MUC-PRES-09 to 11, MUC-ENTER-30).
pub(crate) fn presence(incoming: &Incoming<'_>) -> Arc<Presence> {
    let payload = stripped(incoming);
    let show = match payload.text("show").as_deref().map(str::trim) {
        Some("chat") => Show::Chat,
        Some("away") => Show::Away,
        Some("dnd") => Show::Dnd,
        Some("xa") => Show::Xa,
        _ => Show::Available,
    };
    Arc::new(Presence {
        show,
        payload: in_its_language(incoming, &payload),
    })
}

/// What a client says in an unavailable presence: mostly `<status/>` (MUC-LEAVE-02).
pub(crate) fn farewell(incoming: &Incoming<'_>) -> Bytes {
    let payload = stripped(incoming);
    in_its_language(incoming, &payload)
}

/// The payload with memory of its own. The language of the stanza is written into the text that it is about, since
/// presences of an occupant are put together anew (MUC-COMP-13).
fn in_its_language(incoming: &Incoming<'_>, payload: &Payload) -> Bytes {
    let Some(lang) = incoming.stanza.lang.as_deref() else {
        return Bytes::copy_from_slice(payload.bytes());
    };
    let mut xml = Vec::with_capacity(payload.bytes().len() + lang.len() + 16);
    for child in payload.children() {
        let rest = child.xml.strip_prefix(b"<status".as_slice());
        match rest.filter(|_| child.is(ns::CLIENT, "status") && child.lang().is_none()) {
            Some(rest) => {
                xml.extend_from_slice(b"<status xml:lang='");
                escape_attribute(&mut xml, lang);
                xml.push(b'\'');
                xml.extend_from_slice(rest);
            }
            None => xml.extend_from_slice(child.xml),
        }
    }
    xml.into()
}
