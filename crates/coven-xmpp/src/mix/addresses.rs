//! Addresses of the MIX view: the channel, `channel/stableid` of messages, `stableid#channel` of clients' presence.
//!
//! Source: XEP-0369 §7.1.6, XEP-0403 §3.2, XEP-0404 §2.4; MIX-MSG-04, MIX-PRES-03, MIX-ANON-06.

use crate::domains::Names;
use coven_core::{Roster, Session, StableId};
use smol_str::{SmolStr, format_smolstr};

/// A channel's addresses in the MIX view.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// `channel@domain`
    pub(crate) bare: SmolStr,
    /// In both views.
    pub(crate) of: Names,
}

impl Addresses {
    /// `channel@domain/stableid`: who said something.
    pub(crate) fn speaker(&self, id: StableId) -> SmolStr {
        format_smolstr!("{}/{id}", self.bare)
    }

    /// `stableid#channel@domain`: a participant.
    pub(crate) fn participant(&self, id: StableId) -> SmolStr {
        format_smolstr!("{id}#{}", self.bare)
    }

    /// `stableid#channel@domain/resource`: a client, with its own resource only where JIDs are visible (MIX-ANON-08,
    /// MAP-51).
    pub(crate) fn client(
        &self,
        roster: &Roster,
        id: StableId,
        session: &Session,
        visible: bool,
    ) -> SmolStr {
        if visible {
            return format_smolstr!("{id}#{}/{}", self.bare, session.jid.resource());
        }
        let made = roster.generated_resource(session.no);
        format_smolstr!("{id}#{}/{made}", self.bare)
    }
}

/// The parts of `stableid#channel`, split at the first `#` (MIX-ANON-06).
pub(crate) fn split_encoded(local: &str) -> Option<(&str, &str)> {
    local.split_once('#')
}
