//! What a client says in an available presence, for both views.

use super::post::stripped;
use crate::incoming::Incoming;
use crate::stanza::strip::Place;
use bytes::Bytes;
use coven_core::presence::session::{Presence, Show};
use std::sync::Arc;

/// The presence without what only the service may say (MUC-PRES-09 to 11, MUC-ENTER-30).
pub(crate) fn presence(incoming: &Incoming<'_>) -> Arc<Presence> {
    let payload = stripped(incoming, Place::Presence);
    let show = match payload.text("show").as_deref().map(str::trim) {
        Some("chat") => Show::Chat,
        Some("away") => Show::Away,
        Some("dnd") => Show::Dnd,
        Some("xa") => Show::Xa,
        _ => Show::Available,
    };
    Arc::new(Presence {
        show,
        payload: Bytes::copy_from_slice(payload.bytes()),
    })
}
