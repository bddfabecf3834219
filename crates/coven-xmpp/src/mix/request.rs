//! What MIX clients and their servers ask: stanzas of the MIX namespaces as commands and reads (XEP-0369 §7).

use super::addresses::split_encoded;
use super::pubsub;
use crate::both::presence::{farewell, presence as content};
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Address, Child, IqType, Kind, MessageType, PresenceType};
use coven_core::command::End;
use coven_core::life::create;
use coven_core::people::participation::{Node, Nodes};
use coven_core::{ChannelName, Command, Condition, Query, Sender, StableId, View};
use minidom::Element;
use smol_str::SmolStr;
use std::sync::Arc;

/// IQ to the bare channel; `None` if it is nothing of MIX (MAP-05).
pub(crate) fn iq(incoming: &Incoming<'_>) -> Option<Inbound> {
    let child = incoming.request_child()?;
    let of_mix = || is_of_mix(incoming, &child);
    match (child.namespace, child.name) {
        (ns::MIX_CORE, _) => Some(core(incoming, &child)),
        (ns::PUBSUB | ns::PUBSUB_OWNER, "pubsub") => Some(pubsub::dispatch(incoming, &child)),
        (ns::DISCO_INFO, "query") if of_mix() => {
            Some(get(incoming, || disco_info(incoming, &child)))
        }
        (ns::DISCO_ITEMS, "query") if of_mix() => {
            Some(get(incoming, || disco_items(incoming, &child)))
        }
        (ns::MIX_CORE_0 | ns::MIX_MISC | ns::MIX_ANON | ns::MIX_ADMIN, _) => {
            Some(incoming.refuse(Condition::FeatureNotImplemented))
        }
        _ => None,
    }
}

/// Message to the bare channel that is not groupchat. `None` if it is nothing of MIX (MIX-MSG-16, 17).
pub(crate) fn message(incoming: &Incoming<'_>) -> Option<Inbound> {
    match incoming.stanza.message_type()? {
        MessageType::Error if incoming.sender.full.is_none() => Some(bounce(incoming)),
        MessageType::Headline => Some(Inbound::Dropped("headline")),
        MessageType::Chat | MessageType::Normal if !incoming.domain.muc => {
            Some(incoming.refuse(Condition::BadRequest))
        }
        _ => None,
    }
}

/// Presence to the bare channel: of a client (full JID), a request for everybody's (bare JID, or a probe), a subscription
/// (MAP-02). Whether the sender is a participant at all is the core's to say.
pub(crate) fn presence(incoming: &Incoming<'_>) -> Option<Inbound> {
    let command = match incoming.stanza.presence_type()? {
        PresenceType::Available => Command::Online {
            presence: content(incoming),
        },
        PresenceType::Probe => return Some(refresh(incoming)),
        PresenceType::Unavailable => Command::Offline {
            payload: farewell(incoming),
        },
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

/// A probe asks as the bare JID does, whichever client it is sent for (MIX-PRES-06).
fn refresh(incoming: &Incoming<'_>) -> Inbound {
    let asked = incoming.command(
        View::Mix,
        Command::Online {
            presence: Arc::default(),
        },
    );
    match asked {
        Inbound::Channel {
            name,
            sender,
            request,
            origin,
        } => Inbound::Channel {
            name,
            sender: Sender {
                full: None,
                ..sender
            },
            request,
            origin,
        },
        other => other,
    }
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
/// rest to MUC, which refuses it where it is not spoken.
pub(crate) fn participant(incoming: &Incoming<'_>, resource: &str) -> Option<Inbound> {
    let kind = incoming.stanza.message_type()?;
    let spoke = StableId::parse(resource).is_some() && incoming.sender.full.is_none();
    match kind {
        MessageType::Error if spoke || !incoming.domain.muc => Some(bounce(incoming)),
        MessageType::Groupchat if !incoming.domain.muc => {
            Some(incoming.refuse(Condition::BadRequest))
        }
        _ => None,
    }
}

/// Stanza to `stableid#channel@domain` (MAP-04, MIX-ANON-06). The service answers discovery of it itself (MIX-DSC-10);
/// passing IQs and messages on comes with a later step.
pub(crate) fn encoded(incoming: &Incoming<'_>) -> Inbound {
    match incoming.stanza.kind {
        Kind::Iq => encoded_iq(incoming),
        Kind::Message => match incoming.stanza.message_type() {
            Some(MessageType::Error) => bounce(incoming),
            Some(MessageType::Headline) => Inbound::Dropped("headline"),
            Some(MessageType::Groupchat) => incoming.refuse(Condition::BadRequest),
            _ => incoming.refuse(Condition::ServiceUnavailable),
        },
        Kind::Presence => match incoming.stanza.presence_type() {
            Some(PresenceType::Error) => bounce(incoming),
            // No room has such a name (MIX-ANON-07, MAP-04).
            Some(PresenceType::Available) if incoming.stanza.payload.has(ns::MUC, "x") => {
                incoming.refuse(Condition::NotAcceptable)
            }
            _ => Inbound::Dropped("presence-to-participant"),
        },
    }
}

fn encoded_iq(incoming: &Incoming<'_>) -> Inbound {
    let is_about = |child: &Child<'_>| child.is(ns::DISCO_INFO, "query");
    match incoming.stanza.iq_type() {
        Some(IqType::Result | IqType::Error) => Inbound::Dropped("iq-answer-to-nothing"),
        Some(IqType::Get) if incoming.request_child().as_ref().is_some_and(is_about) => {
            about(incoming)
        }
        _ => incoming.refuse(Condition::ServiceUnavailable),
    }
}

/// Whether there is such a participant is for those to know who may read who takes part.
fn about(incoming: &Incoming<'_>) -> Inbound {
    let parts = split_encoded(&incoming.channel.local);
    let Some((id, local)) = parts.filter(|(id, _)| StableId::parse(id).is_some()) else {
        return incoming.refuse(Condition::ItemNotFound);
    };
    if incoming.resource().is_some() {
        return incoming.refuse(Condition::ServiceUnavailable);
    }
    let query = Query::NodeItems {
        node: Node::Participants,
        ids: vec![id.into()],
        max_items: 0,
        page: None,
    };
    of(channel(incoming, local), incoming.query(View::Mix, query))
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
    set(incoming, || {
        let command = match child.name {
            "join" => join(child),
            "leave" => Ok(Command::Depart),
            "update-subscription" => subscription(child),
            "setnick" => nick(child).map(|nick| Command::SetNick { nick }),
            "destroy" => return destroy_here(incoming, child),
            "create" => Err(Condition::BadRequest),
            _ => Err(Condition::FeatureNotImplemented),
        };
        match command {
            Ok(command) => incoming.command(View::Mix, command),
            Err(condition) => incoming.refuse(condition),
        }
    })
}

/// Only `set` changes things (MIX-ERR-04).
fn set(incoming: &Incoming<'_>, then: impl FnOnce() -> Inbound) -> Inbound {
    match incoming.stanza.iq_type() {
        Some(IqType::Set) => then(),
        _ => incoming.refuse(Condition::BadRequest),
    }
}

fn get(incoming: &Incoming<'_>, then: impl FnOnce() -> Inbound) -> Inbound {
    match incoming.stanza.iq_type() {
        Some(IqType::Get) => then(),
        _ => incoming.refuse(Condition::BadRequest),
    }
}

fn join(child: &Child<'_>) -> Result<Command, Condition> {
    Ok(Command::Participate {
        nodes: nodes(child, "subscribe")?,
        nick: nick(child)?,
    })
}

fn subscription(child: &Child<'_>) -> Result<Command, Condition> {
    let (add, remove) = (nodes(child, "subscribe")?, nodes(child, "unsubscribe")?);
    Ok(Command::Subscribe { add, remove })
}

/// The nodes named; those that no channel has as [`Nodes::UNKNOWN`].
fn nodes(child: &Child<'_>, name: &str) -> Result<Nodes, Condition> {
    let element = child.to_element().map_err(|_| Condition::BadRequest)?;
    Ok(
        named_nodes(&element, name).fold(Nodes::default(), |all, node| match Node::parse(node) {
            Some(node) => all.with(node),
            None => all.or(Nodes::UNKNOWN),
        }),
    )
}

/// The `node`s of children of this name. One without a node may hold more of them: so slixmpp writes a join without PAM.
pub(crate) fn named_nodes<'a>(
    element: &'a Element,
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    let direct = element.children().filter(move |c| c.is(name, ns::MIX_CORE));
    direct.flat_map(move |child| {
        let own = child.attr("node");
        let within = child
            .children()
            .filter(move |c| own.is_none() && c.is(name, ns::MIX_CORE));
        own.into_iter().chain(within.filter_map(|c| c.attr("node")))
    })
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
            Some(name) => of(name, incoming.command(View::Mix, Command::Create)),
            None => incoming.refuse(Condition::NotAcceptable),
        },
        None => {
            let name = create::fresh_name((incoming.context.random)());
            let name = channel(incoming, &name);
            of(name, incoming.command(View::Mix, Command::CreateAdHoc))
        }
    }
}

/// Source: MIX-DES-01, 03.
fn destroy(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("channel") {
        None => incoming.refuse(Condition::BadRequest),
        Some(name) => match named(incoming, &name) {
            Some(name) => of(name, incoming.command(View::Mix, destroyed())),
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
    Command::Destroy(End {
        alternate: None,
        reason: None,
        password: None,
    })
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

/// The same request to another channel than it was addressed to.
fn of(name: ChannelName, inbound: Inbound) -> Inbound {
    match inbound {
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

/// Discovery is of MIX with node `mix` or the name of a node, and where nothing else is spoken (MAP-01).
fn is_of_mix(incoming: &Incoming<'_>, child: &Child<'_>) -> bool {
    let named = |node: &str| node == "mix" || Node::parse(node).is_some();
    !incoming.domain.muc || child.attr("node").is_some_and(|node| named(&node))
}

fn disco_info(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    match child.attr("node").as_deref() {
        None | Some("mix") => incoming.query(View::Mix, Query::Info { view: View::Mix }),
        Some(_) => incoming.refuse(Condition::ItemNotFound),
    }
}

/// Source: MIX-DSC-07, 08, 09. Messages and presence have no items to be listed.
fn disco_items(incoming: &Incoming<'_>, child: &Child<'_>) -> Inbound {
    let Some(node) = child.attr("node") else {
        return incoming.refuse(Condition::FeatureNotImplemented);
    };
    match (&*node, Node::parse(&node)) {
        ("mix", _) | (_, Some(Node::Messages | Node::Presence)) => {
            incoming.query(View::Mix, Query::Items { view: View::Mix })
        }
        (_, Some(node)) => match child.to_element() {
            Ok(query) => pubsub::list(incoming, node, &query),
            Err(_) => incoming.refuse(Condition::BadRequest),
        },
        (_, None) => incoming.refuse(Condition::ItemNotFound),
    }
}
