//! Addresses of the MIX view: the channel, `channel/stableid` of messages, `stableid#channel` of clients' presence.
//!
//! Source: XEP-0369 §7.1.6, XEP-0403 §3.2, XEP-0404 §2.4; MIX-MSG-04, MIX-PRES-03, MIX-ANON-06.

use coven_core::ids::ChannelKey;
use coven_core::{Session, StableId};
use smol_str::{SmolStr, format_smolstr};

/// A channel's addresses in the MIX view.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) local: SmolStr,
    /// `channel@domain`
    pub(crate) bare: SmolStr,
}

impl Addresses {
    pub(crate) fn new(local: &SmolStr, domain: &SmolStr) -> Self {
        let bare = format_smolstr!("{local}@{domain}");
        Self {
            local: local.clone(),
            bare,
        }
    }

    /// `channel@domain/stableid`: who said something.
    pub(crate) fn speaker(&self, id: StableId) -> SmolStr {
        format_smolstr!("{}/{id}", self.bare)
    }

    /// `stableid#channel@domain`: a participant.
    pub(crate) fn participant(&self, id: StableId) -> SmolStr {
        format_smolstr!("{id}#{}", self.bare)
    }

    /// `stableid#channel@domain/resource`: a client. Where JIDs are hidden the resource is made up, always the same for
    /// the same session (MAP-51).
    pub(crate) fn client(&self, id: StableId, session: &Session, visible: bool) -> SmolStr {
        if visible {
            return format_smolstr!("{id}#{}/{}", self.bare, session.jid.resource());
        }
        let key = ChannelKey(seed(id));
        let mac = key.mac(&session.no.0.to_be_bytes());
        let made: String = mac.iter().take(8).map(|b| format!("{b:02x}")).collect();
        format_smolstr!("{id}#{}/{made}", self.bare)
    }
}

fn seed(id: StableId) -> [u8; 32] {
    let mut seed = [0; 32];
    for (slot, byte) in seed.iter_mut().zip(id.0) {
        *slot = byte;
    }
    seed
}

/// The parts of `stableid#channel`, split at the first `#` (MIX-ANON-06).
pub(crate) fn split_encoded(local: &str) -> Option<(&str, &str)> {
    local.split_once('#')
}
