//! Which view a stanza belongs to, and what it asks for (MAP-01 to MAP-07, MUC-COMP-04).
//!
//! Owns the way from one read stanza to one [`Inbound`]: by address form first, then by kind and namespace. What the
//! parts of a request mean is in `muc`, `mix` and `both`. It decides nothing about rooms: whether a sender may do
//! something is the core's. Read next: `incoming.rs`, then `both/service.rs` and `both/channel.rs`.

use crate::domains::Domains;
use crate::incoming::{self, Incoming};
use crate::stanza::{Address, Outgoing, Stanza};
use crate::{both, mix, muc};
use coven_core::query::DirectoryPage;
use coven_core::{ChannelName, Command, Condition, Group, Origin, Query, Sender, Timestamp};
use smol_str::SmolStr;
use std::sync::Arc;

/// What a stanza leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// For a channel.
    Channel {
        /// Which channel.
        name: ChannelName,
        /// Who asks.
        sender: Sender,
        /// What.
        request: Request,
        /// Where an answer goes.
        origin: Arc<Origin>,
    },
    /// For the directory: disco#items on a service.
    Directory {
        /// Which space.
        space: SmolStr,
        /// Who asks.
        sender: Sender,
        /// RSM.
        page: DirectoryPage,
        /// Where the answer goes; its view says whose rules hold.
        origin: Arc<Origin>,
    },
    /// Answered here and now.
    Answer(Outgoing),
    /// The answer to an IQ that this process asked, or that IQ itself, routed back to us: a ping barrier.
    OwnIq {
        /// Its `id`.
        id: SmolStr,
        /// It is of type error.
        error: bool,
    },
    /// What a MIX participant's server did not take: absorbed (MIX-MSG-16), counted by condition.
    MixBounce {
        /// The domain that bounced.
        domain: SmolStr,
        /// Its condition.
        condition: Condition,
    },
    /// Dropped without an answer; the reason is for a counter.
    Dropped(&'static str),
}

/// What is asked of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Changes something.
    Command(Command),
    /// Reads.
    Query(Query),
}

/// What a stanza's meaning depends on besides the stanza.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What we serve.
    pub domains: &'a Domains,
    /// The group of upstreams it came through.
    pub group: &'a Group,
    /// The time, for those who ask for it (XEP-0202).
    pub now: Timestamp,
    /// Gives fresh random bytes, for names of ad hoc channels (MIX-CRE-03).
    pub random: fn() -> [u8; 32],
}

/// What `stanza` leads to.
///
/// Source: XEP-0045 §3, §17; XEP-0408 §2. Requirements MUC-COMP-04, MAP-01 to MAP-07.
/// Cost: about a microsecond where addresses are plain lower-case ASCII; more where they have to be prepared.
#[must_use]
pub fn dispatch(stanza: &Stanza, context: &Context<'_>) -> Inbound {
    let Some(domain) = context.domains.get(stanza.to.domain()) else {
        return respelled(stanza, context);
    };
    match Incoming::new(stanza, context, domain) {
        Ok(incoming) => route(&incoming),
        Err(condition) => incoming::refuse(stanza, condition.into()),
    }
}

/// The domain is not written as we write it, or it is not ours. Whatever we answer has to come from a domain of ours as
/// the upstream knows it, or the upstream closes the stream: so the spelling is changed first, and what is meant for
/// others gets no answer.
fn respelled(stanza: &Stanza, context: &Context<'_>) -> Inbound {
    let to = &stanza.to;
    let domain = to.normal_domain().ok();
    let Some(domain) = domain.and_then(|name| context.domains.get(&name)) else {
        return Inbound::Dropped("not-our-domain");
    };
    let part = |part: Option<&str>, before: &str, after: &str| {
        part.map(|part| format!("{before}{part}{after}"))
            .unwrap_or_default()
    };
    let (local, resource) = (part(to.local(), "", "@"), part(to.resource(), "/", ""));
    let to = Address::new(format!("{local}{}{resource}", domain.name));
    dispatch(
        &Stanza {
            to,
            ..stanza.clone()
        },
        context,
    )
}

fn route(incoming: &Incoming<'_>) -> Inbound {
    if incoming.is_from_us() {
        return both::service::own(incoming);
    }
    match (incoming.channel.local.as_str(), incoming.resource()) {
        ("", _) => both::service::dispatch(incoming),
        (local, _) if local.contains('#') && incoming.domain.mix => mix::encoded(incoming),
        (_, None) => both::channel::dispatch(incoming),
        (_, Some(resource)) => occupant(incoming, resource),
    }
}

/// `channel/resource`: an occupant, or a participant where only MIX is spoken, or a bounce of what one was sent.
fn occupant(incoming: &Incoming<'_>, resource: &str) -> Inbound {
    if incoming.domain.mix
        && let Some(inbound) = mix::participant(incoming, resource)
    {
        return inbound;
    }
    muc::occupant(incoming, resource)
}
