//! What MIX adds to discovery (MIX-SVC-01..06, MIX-DSC-01..05).

use crate::both::disco::Disco;
use crate::domains::{Domain, Names};
use crate::ns;
use coven_core::query::Info;

/// PubSub features that channels really have (MIX-DSC-04).
const PUBSUB: [&str; 5] = [
    "http://jabber.org/protocol/pubsub#retrieve-items",
    "http://jabber.org/protocol/pubsub#persistent-items",
    "http://jabber.org/protocol/pubsub#subscribe",
    "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
    "http://jabber.org/protocol/pubsub#retrieve-affiliations",
];

/// On the service; `may_create`: for this requester, now (MIX-SVC-04).
pub(crate) fn service(domain: &Domain, may_create: bool, disco: &mut Disco) {
    disco.identity("conference", "mix", &domain.title);
    disco.features(&[ns::MIX_CORE, "urn:xmpp:mix:core:1#searchable"]);
    if may_create {
        disco.features(&["urn:xmpp:mix:core:1#create-channel"]);
    }
}

/// On a channel. One without a name is called by its localpart, as in the MUC view.
pub(crate) fn channel(names: &Names, info: &Info, disco: &mut Disco) {
    let name = &info.config.name;
    let name = if name.is_empty() { &names.local } else { name };
    disco.identity("conference", "mix", name);
    disco.features(&[
        ns::MIX_CORE,
        ns::MAM,
        ns::MAM_EXTENDED,
        ns::SID,
        ns::DISCO_INFO,
    ]);
    disco.features(&PUBSUB);
}
