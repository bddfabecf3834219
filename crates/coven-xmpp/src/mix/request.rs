//! What MIX clients and their servers ask: stanzas of the MIX namespaces as commands and reads (XEP-0369 §7).

use super::pubsub;
use crate::both::presence::presence as content;
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Address, Child, IqType, MessageType, PresenceType, StanzaError};
use coven_core::life::create;
use coven_core::people::participation::{Node, Nodes};
use coven_core::{ChannelName, Command, Condition, ErrorType, Query, StableId, View};
use smol_str::SmolStr;

/// IQ to the bare channel; `None` if it is nothing of MIX (MAP-05).
pub(crate) fn iq(incoming: &Incoming<'_>) -> Option<Inbound> {
    let child = incoming.request_child()?;
    match (child.namespace, child.name) {
        (ns::MIX_CORE, _) => Some(core(incoming, &child)),
        (ns::PUBSUB | ns::PUBSUB_OWNER, "pubsub") => Some(pubsub::dispatch(incoming, &child)),
        (ns::DISCO_INFO, "query") if is_mix_node(&child) || !incoming.domain.muc => {
            Some(disco_info(incoming, &child))
        }
        (ns::DISCO_ITEMS, "query") if is_mix_node(&child) || !incoming.domain.muc => {
            Some(disco_items(incoming, &child))
        }
        (ns::MIX_MISC | ns::MIX_ANON | ns::MIX_ADMIN, _) => {
            Some(incoming.refuse(Condition::FeatureNotImplemented))
        }
        _ => None,
    }
}

/// Message to the bare channel that is not groupchat. `None` if it is nothing of MIX.
pub(crate) fn message(incoming: &Incoming<'_>) -> Option<Inbound> {
    match incoming.stanza.message_type()? {
        MessageType::Error if incoming.sender.full.is_none() => Some(bounce(incoming)),
        MessageType::Headline => Some(Inbound::Dropped("headline")),
        MessageType::Chat | MessageType::Normal => Some(incoming.refuse(Condition::BadRequest)),
        _ => None,
    }
}

/// Presence to the bare channel: of a client (full JID), a request for everybody's (bare JID), a subscription (MAP-02).
/// Whether the sender is a participant at all is the core's to say.
pub(crate) fn presence(incoming: &Incoming<'_>) -> Option<Inbound> {
    let command = match incoming.stanza.presence_type()? {
        PresenceType::Available | PresenceType::Probe => Command::Online {
            presence: content(incoming),
        },
        PresenceType::Unavailable => Command::Offline,
        PresenceType::Error => return Some(bounce(incoming)),
        PresenceType::Subscribe => Command::PresenceSubscription { wanted: true },
        PresenceType::Unsubscribe | PresenceType::Unsubscribed => {
            Command::PresenceSubscription { wanted: false }
        }
        PresenceType::Subscribed => return Some(Inbound::Dropped("subscribed")),
        PresenceType::Unknown => return Some(Inbound::Dropped("presence-of-unknown-type")),
    };
    Some(incoming.command(View::Mix, command))
}

/// IQ to the service: `<create/>`, `<destroy/>`, and what belongs to channels. `None` if it is nothing of MIX.
pub(crate) fn service(incoming: &Incoming<'_>) -> Option<Inbound> {
    let child = incoming.request_child()?;
    match (child.namespace, child.name) {
        (ns::MIX_CORE, "create") => Some(set(incoming, || created(incoming, &child))),
        (ns::MIX_CORE, "destroy") => Some(set(incoming, || destroy(incoming, &child))),
        (ns::MIX_CORE, "join" | "leave" | "setnick" | "update-subscription") => {
            Some(incoming.refuse(Condition::BadRequest))
        }
        (ns::MIX_CORE, _) => Some(incoming.refuse(Condition::FeatureNotImplemented)),
        _ => None,
    }
}

/// Stanza to `channel/resource`: the bounce of a message from `channel/stableid` comes from a bare JID. `None` leaves the
/// rest to MUC, or refuses it where only MIX is spoken (MIX-MSG-19).
pub(crate) fn participant(incoming: &Incoming<'_>, resource: &str) -> Option<Inbound> {
    let kind = incoming.stanza.message_type();
    if kind == Some(MessageType::Error)
        && incoming.sender.full.is_none()
        && StableId::parse(resource).is_some()
    {
        return Some(bounce(incoming));
    }
    if incoming.domain.muc {
        return None;
    }
    Some(match kind {
        Some(MessageType::Groupchat) => incoming.refuse(Condition::BadRequest),
        Some(MessageType::Error) => bounce(incoming),
        None if incoming.stanza.payload.has(ns::MUC, "x") => {
            incoming.elsewhere(View::Muc, Condition::Gone)
        }
        _ => incoming.refuse(Condition::ServiceUnavailable),
    })
}

/// Stanza to `stableid#channel@domain` (MAP-04, MIX-ANON-06). The service answers discovery of it itself (MIX-DSC-10);
/// passing IQs and messages on comes with a later step.
pub(crate) fn encoded(incoming: &Incoming<'_>) -> Inbound {
    if incoming.stanza.message_type() == Some(MessageType::Error)
        || incoming.stanza.presence_type() == Some(PresenceType::Error)
    {
        return bounce(incoming);
    }
    let Some((id, _)) = super::addresses::split_encoded(&incoming.channel.local) else {
        return incoming.refuse(Condition::ItemNotFound);
    };
    match (incoming.stanza.iq_type(), StableId::parse(id)) {
        (Some(IqType::Get), Some(_)) if incoming.resource().is_none() => about(incoming),
        (Some(IqType::Result | IqType::Error), _) => Inbound::Dropped("iq-answer-to-nothing"),
        _ => incoming.refuse(Condition::ServiceUnavailable),
    }
}

fn about(incoming: &Incoming<'_>) -> Inbound {
    let asked = incoming.request_child();
    if !asked.is_some_and(|child| child.is(ns::DISCO_INFO, "query")) {
        return incoming.refuse(Condition::ServiceUnavailable);
    }
    let mut disco = crate::both::disco::Disco::default();
    disco.identity("account", "registered", "");
    disco.features(&[ns::DISCO_INFO]);
    incoming.result(&disco.write(None))
}

/// What a participant's server did not take is absorbed (MIX-MSG-16); that of one client counts as its absence.
fn bounce(incoming: &Incoming<'_>) -> Inbound {
    if incoming.sender.full.is_some() {
        return crate::both::bounce::dispatch(incoming);
    }
    Inbound::MixBounce {
        domain: incoming.sender.bare.domain().into(),
        condition: crate::both::bounce::condition(incoming),
    }
}

fn core(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    let command = match child.name {
        "join" => join(child),
        "leave" => Ok(Command::Depart),
        "update-subscription" => subscription(child),
        "setnick" => nick(child).map(|nick| Command::SetNick { nick }),
        "destroy" => return set(incoming, || destroy_here(incoming, child)),
        "create" => Err(Condition::BadRequest),
        _ => Err(Condition::FeatureNotImplemented),
    };
    set(incoming, || match command {
        Ok(command) => incoming.command(View::Mix, command),
        Err(condition) => incoming.refuse(condition),
    })
}

/// Only `set` changes things (MIX-ERR-04).
fn set(incoming: &Incoming<'_>, then: impl FnOnce() -> Inbound) -> Inbound {
    match incoming.stanza.iq_type() {
        Some(IqType::Set) => then(),
        _ => incoming.refuse(Condition::BadRequest),
    }
}

fn join(child: &Child<'_>) -> Result<Command, Condition> {
    let (nodes, unknown) = nodes(child, "subscribe")?;
    if unknown && nodes == Nodes::default() {
        return Err(Condition::ItemNotFound);
    }
    Ok(Command::Participate {
        nodes,
        nick: nick(child)?,
    })
}

fn subscription(child: &Child<'_>) -> Result<Command, Condition> {
    let ((add, _), (remove, _)) = (nodes(child, "subscribe")?, nodes(child, "unsubscribe")?);
    Ok(Command::Subscribe { add, remove })
}

/// The nodes named, and whether any is one that no channel has.
fn nodes(child: &Child<'_>, name: &str) -> Result<(Nodes, bool), Condition> {
    let element = child.to_element().map_err(|_| Condition::BadRequest)?;
    let named = element.children().filter(|c| c.is(name, ns::MIX_CORE));
    let parsed: Vec<_> = named
        .map(|c| c.attr("node").and_then(Node::parse))
        .collect();
    Ok((
        parsed.iter().flatten().copied().collect(),
        parsed.contains(&None),
    ))
}

fn nick(child: &Child<'_>) -> Result<Option<SmolStr>, Condition> {
    let element = child.to_element().map_err(|_| Condition::BadRequest)?;
    Ok(element
        .get_child("nick", ns::MIX_CORE)
        .map(|nick| nick.text().into()))
}

/// Source: MIX-CRE-01, 03, 05. A name must be given as it will be.
fn created(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("channel") {
        Some(name) => match named(incoming, &name) {
            Some(name) => elsewhere_command(incoming, name, Command::Create),
            None => incoming.refuse(Condition::NotAcceptable),
        },
        None => {
            let name = create::ad_hoc_name((incoming.context.random)());
            let name = channel(incoming, &name);
            elsewhere_command(incoming, name, Command::CreateAdHoc)
        }
    }
}

/// Source: MIX-DES-01, 03.
fn destroy(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("channel") {
        None => incoming.refuse(Condition::BadRequest),
        Some(name) => match named(incoming, &name) {
            Some(name) => elsewhere_command(incoming, name, destroyed()),
            None => incoming.refuse(Condition::ItemNotFound),
        },
    }
}

/// The same, sent to the channel (MIX-DES-02).
fn destroy_here(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("channel") {
        Some(name) if *name != *incoming.channel.local => incoming.refuse(Condition::BadRequest),
        _ => incoming.command(View::Mix, destroyed()),
    }
}

const fn destroyed() -> Command {
    Command::Destroy {
        alternate: None,
        reason: None,
        password: None,
    }
}

fn named(incoming: &Incoming<'_>, name: &str) -> Option<ChannelName> {
    let address = Address::new(format!("{name}@{}", incoming.domain.name));
    let prepared = address.normal_local().ok()??;
    let fits = prepared == name && !name.is_empty() && !name.contains('#');
    fits.then(|| channel(incoming, name))
}

fn channel(incoming: &Incoming<'_>, local: &str) -> ChannelName {
    ChannelName {
        space: incoming.domain.space.clone(),
        local: local.into(),
    }
}

fn elsewhere_command(incoming: &Incoming<'_>, name: ChannelName, command: Command) -> Inbound {
    match incoming.command(View::Mix, command) {
        Inbound::Channel {
            sender,
            request,
            origin,
            ..
        } => Inbound::Channel {
            name,
            sender,
            request,
            origin,
        },
        other => other,
    }
}

fn is_mix_node(child: &Child<'_>) -> bool {
    child
        .attr("node")
        .is_some_and(|node| node == "mix" || Node::parse(&node).is_some())
}

fn disco_info(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("node").as_deref() {
        None | Some("mix") => incoming.query(View::Mix, Query::Info { view: View::Mix }),
        Some(_) => incoming.refuse(Condition::ItemNotFound),
    }
}

/// Source: MIX-DSC-07, 08.
fn disco_items(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("node").as_deref() {
        Some("mix") => incoming.query(View::Mix, Query::Items { view: View::Mix }),
        None => {
            let condition = Condition::FeatureNotImplemented;
            incoming.refuse(StanzaError::new(ErrorType::Cancel, condition))
        }
        Some(_) => incoming.refuse(Condition::ItemNotFound),
    }
}
