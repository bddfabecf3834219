//! Items of the nodes that every channel has, and who may read them (MIX-NODE-02..04, 09..11, 14).
//!
//! Info may be read by anybody who is not banned, participants by those who are there and by administrators; these are
//! also the rights to subscribe (MIX-NODE-10, MAP-64).

use super::{
    Answer, DirectoryPage, NodeItems, PAGE, ParticipantItem, not_concealed, sees_jids, subject,
};
use crate::channel::Channel;
use crate::people::participation::{Node, Nodes};
use crate::presence::participate;
use crate::{Affiliation, Condition, ErrorType, Person, Refusal, Sender, StableId, View};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Which of the items.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Only these ids, if any are named.
    pub ids: &'a [SmolStr],
    /// At most so many, the newest; 0 for no limit.
    pub max_items: u32,
    /// A page of these (RSM).
    pub page: Option<&'a DirectoryPage>,
}

/// Items of a node. Errors: `item-not-found` for a channel or node that does not exist, `forbidden` for the banned,
/// `not-allowed` with `closed-node` for those not entitled (MIX-NODE-11), `feature-not-implemented` for messages
/// (MIX-NODE-02).
pub(super) fn items(
    channel: &Channel,
    sender: &Sender,
    node: Node,
    wanted: Wanted<'_>,
) -> Result<NodeItems, Refusal> {
    channel.must_be_open()?;
    not_concealed(channel, sender)?;
    if channel.affiliation(&sender.bare) == Affiliation::Outcast {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    match node {
        Node::Info => Ok(NodeItems::Info(
            channel.roster.informed(),
            Arc::clone(channel.roster.config()),
            subject(channel, sender),
        )),
        Node::Participants if !entitled(channel, sender) => Err(closed_node()),
        Node::Participants => participants(channel, sender, wanted),
        Node::Messages => Err(Refusal::usual(Condition::FeatureNotImplemented).specific(
            PUBSUB_ERRORS,
            "unsupported",
            Some(("feature", "persistent-items")),
        )),
        Node::Presence => Err(Refusal::usual(Condition::Forbidden)),
        _ => Err(Refusal::usual(Condition::ItemNotFound)),
    }
}

/// The sender's own subscriptions and affiliations (MIX-NODE-14).
pub(super) fn own(channel: &Channel, sender: &Sender) -> Result<Answer, Refusal> {
    channel.must_be_open()?;
    not_concealed(channel, sender)?;
    let participant = participate::participant(channel, sender);
    let participation = participant.map(|(_, participation)| Arc::clone(participation));
    let affiliation = channel.affiliation(&sender.bare);
    let info = Nodes::default().with(Node::Info);
    let readable = match affiliation {
        Affiliation::Outcast => Nodes::default(),
        _ if participation.is_some() => participate::SUBSCRIBABLE,
        _ if entitled(channel, sender) => info.with(Node::Participants),
        _ => info,
    };
    Ok(Answer::Own {
        participation,
        affiliation,
        readable,
    })
}

fn entitled(channel: &Channel, sender: &Sender) -> bool {
    let person = channel.roster.person_of(&sender.bare);
    person.is_some_and(|p| p.affiliation >= Affiliation::Admin || channel.roster.is_present(p.no))
}

fn closed_node() -> Refusal {
    Refusal::new(Condition::NotAllowed, ErrorType::Cancel).specific(
        PUBSUB_ERRORS,
        "closed-node",
        None,
    )
}

/// One item per person that is there or has just left, in order of first contact (MIX-PART-07, 09; MAP-12). `max_items` means the newest;
/// with RSM a page of these.
fn participants(
    channel: &Channel,
    sender: &Sender,
    wanted: Wanted<'_>,
) -> Result<NodeItems, Refusal> {
    let named: BTreeSet<_> = wanted.ids.iter().map(|id| StableId::parse(id)).collect();
    let mut chosen = channel.roster.listed();
    chosen.retain(|p| wanted.ids.is_empty() || named.contains(&Some(p.id)));
    if wanted.max_items > 0 {
        chosen.drain(..chosen.len().saturating_sub(wanted.max_items as usize));
    }
    let page = match wanted.page {
        Some(page) => range(&chosen, page)?,
        None => 0..chosen.len().min(PAGE),
    };
    let jid_visible = sees_jids(channel, sender, View::Mix);
    let items = chosen.get(page.clone()).unwrap_or_default();
    Ok(NodeItems::Participants {
        items: items
            .iter()
            .map(|person| ParticipantItem {
                person: Arc::clone(person),
                jid_visible,
            })
            .collect(),
        count: chosen.len(),
        index: page.start,
        complete: page.end == chosen.len(),
    })
}

/// The places of a page. Errors: `item-not-found` for an item that is not there (XEP-0059 §2.2).
fn range(items: &[&Arc<Person>], page: &DirectoryPage) -> Result<Range<usize>, Refusal> {
    let most = page.max.map_or(PAGE, |max| PAGE.min(max as usize));
    let start = match &page.after {
        Some(id) => place(items, id)? + 1,
        None => 0,
    };
    let end = match &page.before {
        Some(Some(id)) => place(items, id)?,
        _ => items.len(),
    };
    if page.before.is_some() {
        return Ok(end.saturating_sub(most).max(start).min(end)..end);
    }
    Ok(start..end.min(start + most))
}

fn place(items: &[&Arc<Person>], id: &str) -> Result<usize, Refusal> {
    let id = StableId::parse(id);
    let at = items.iter().position(|person| Some(person.id) == id);
    at.ok_or_else(|| Refusal::usual(Condition::ItemNotFound))
}

const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
