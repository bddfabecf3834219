//! Reads: what is asked of a channel without changing it, and the answers.
//!
//! Answers carry data, not XML. They leave through the output gate like everything else (I2).

mod archive;
mod nodes;

use crate::channel::Channel;
use crate::event::{Message, Record, Subject};
use crate::people::participation::{Node, Nodes, Participation};
use crate::people::role::Role;
use crate::people::visibility::{self, Viewer, Visibility};
use crate::presence::{participate, selfping};
use crate::settings::config::Config;
use crate::settings::{form, service::Service};
use crate::{
    Affiliation, ArchiveId, BareJid, Condition, Nick, Person, Refusal, Sender, StableId, Timestamp,
    View,
};
use smol_str::SmolStr;
use std::sync::Arc;

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// disco#info on the channel: may the sender see it, and its properties ([`Answer::Info`]).
    Info {
        /// Which view's rules hold.
        view: View,
    },
    /// disco#items on the room (MUC-DISCO-24) or nodes of the channel (MIX-DSC-07).
    Items {
        /// Which view's rules hold.
        view: View,
    },
    /// The nick reserved for the sender (MUC-DISCO-26).
    ReservedNick,
    /// `muc#owner` get ([`Answer::Form`]).
    OwnerForm,
    /// Ping to the room, or from a session to its own or another occupant JID ([`crate::presence::selfping`]).
    Ping {
        /// To an occupant JID: the IQ, to be passed on if the occupant is somebody else. `None` to the room.
        relay: Option<Box<crate::command::Relay>>,
    },
    /// Items of a node (MIX-NODE-09).
    NodeItems {
        /// Which node.
        node: Node,
        /// Only these ids, if any are named.
        ids: Vec<SmolStr>,
        /// At most so many, the newest; 0 for no limit.
        max_items: u32,
        /// A page of what would be answered else (RSM, by item id).
        page: Option<DirectoryPage>,
    },
    /// The sender's subscriptions and affiliations per node (MIX-NODE-14).
    OwnSubscriptions,
    /// A page of the archive (MUC-MAM, MIX-MAM). The node reads the store after the core has allowed it.
    Archive(Box<ArchiveQuery>),
    /// First and last entry of the archive (`<metadata/>`).
    ArchiveBounds {
        /// Which view's rules hold.
        view: View,
    },
}

/// A page of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// Which view's rules and forms hold; `None`: decided by MAP-06.
    pub view: Option<View>,
    /// Only by this sender.
    pub with: Option<With>,
    /// Not before this.
    pub start: Option<Timestamp>,
    /// Not after this.
    pub end: Option<Timestamp>,
    /// Form field `before-id`.
    pub before_id: Option<ArchiveId>,
    /// Form field `after-id`.
    pub after_id: Option<ArchiveId>,
    /// Form field `ids`; empty for all.
    pub ids: Vec<ArchiveId>,
    /// RSM `<after/>`.
    pub after: Option<ArchiveId>,
    /// RSM `<before/>`: `Some(None)` is the empty one, the last page.
    pub before: Option<Option<ArchiveId>>,
    /// RSM `<max/>`; `None` if not given. The service caps it.
    pub max: Option<u32>,
    /// `<flip-page/>`.
    pub flip: bool,
}

/// Which page of a list: the directory, items of a node (RSM, XEP-0059).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectoryPage {
    /// `<after/>`: a localpart, or the id of an item.
    pub after: Option<SmolStr>,
    /// `<before/>`: `Some(None)` is the empty one, the last page.
    pub before: Option<Option<SmolStr>>,
    /// `<max/>`; the service caps it.
    pub max: Option<u32>,
}

/// A page of the directory, answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Localpart and name (empty for none) of each channel, in stable order.
    pub items: Vec<(SmolStr, SmolStr)>,
    /// How many there are.
    pub count: u64,
    /// The place of the first of this page.
    pub index: u64,
    /// Whether this page reaches the end.
    pub complete: bool,
}

/// A sender in an archive query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// `room@service/nick`.
    Nick(SmolStr),
    /// `channel/stableid` or `stableid#channel`.
    Id(StableId),
    /// A real bare JID: only for those entitled (MUC-MAM-20).
    Jid(BareJid),
}

/// The answer to a read, or the result of a command that was an IQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An empty result.
    Done,
    /// To [`Query::Info`].
    Info(Box<Info>),
    /// To [`Query::Items`] in the MUC view: occupants' nicks, empty when private.
    Occupants(Vec<SmolStr>),
    /// To [`Query::Items`] in the MIX view.
    Nodes(Nodes),
    /// To [`Query::ReservedNick`].
    ReservedNick(Option<Nick>),
    /// To [`Query::Ping`] of somebody else: the IQ, passed on. It goes to its own address, not to the requester.
    Relayed(Box<crate::content::relay::Relayed>),
    /// To [`Query::OwnerForm`].
    Form(Arc<Config>),
    /// To [`crate::Command::Participate`]: id, nodes in force, nick in force.
    Participating {
        /// Stable id.
        id: StableId,
        /// Nodes that the join subscribed to.
        nodes: Nodes,
        /// The nick in force.
        nick: Option<Nick>,
    },
    /// To [`crate::Command::Subscribe`]: what took effect.
    Subscribed {
        /// Added.
        added: Nodes,
        /// Taken away.
        removed: Nodes,
    },
    /// To [`crate::Command::Depart`].
    Departed,
    /// To [`crate::Command::SetNick`].
    NickSet(Nick),
    /// To [`crate::Command::Create`]: the channel of this localpart was made (the name of an ad hoc channel is not the
    /// requester's).
    Created(SmolStr),
    /// To [`crate::Command::Destroy`] of MIX.
    Destroyed,
    /// To [`crate::Command::PresenceSubscription`]: presence `subscribed` (true) or `unsubscribed` (MIX-PRES-11).
    PresenceSubscription(bool),
    /// To [`Query::NodeItems`].
    Items(NodeItems),
    /// To [`Query::OwnSubscriptions`].
    Own {
        /// Subscribed nodes; `None` if no participant.
        participation: Option<Arc<Participation>>,
        /// Affiliation.
        affiliation: Affiliation,
        /// Nodes that the sender may read.
        readable: Nodes,
    },
    /// To [`Query::Archive`]: filled in by the node.
    Archive(Box<ArchivePage>),
    /// Of the directory.
    Listing(Box<Listing>),
    /// To [`Query::ArchiveBounds`].
    Bounds(Option<((ArchiveId, Timestamp), (ArchiveId, Timestamp))>),
}

/// What disco#info tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Settings.
    pub config: Arc<Config>,
    /// The subject, if the requester may see it (MUC-DISCO-16).
    pub subject: Option<Arc<Subject>>,
    /// Number of occupants (nicks).
    pub occupants: usize,
    /// Contact addresses that may be shown (MUC-DISCO-19).
    pub contacts: Vec<BareJid>,
    /// Nodes present.
    pub nodes: Nodes,
}

/// Items of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeItems {
    /// Of the participants node.
    Participants {
        /// The page, in stable order.
        items: Vec<ParticipantItem>,
        /// How many there are in all.
        count: usize,
        /// The place of the first of this page.
        index: usize,
        /// Whether this page ends the list.
        complete: bool,
    },
    /// Of the info node: when it was last changed, settings, and the subject if the requester may see it.
    Info(Timestamp, Arc<Config>, Option<Arc<Subject>>),
    /// A node that holds nothing that can be read.
    Empty(Node),
}

/// An item of the participants node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantItem {
    /// Whose.
    pub person: Arc<Person>,
    /// Whether the real bare JID may be shown to this requester.
    pub jid_visible: bool,
}

/// A page of archive entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePage {
    /// Which view's form the entries take.
    pub view: View,
    /// Oldest first.
    pub entries: Vec<Arc<Record>>,
    /// The page reaches the end of what matches (in its direction).
    pub complete: bool,
    /// How many match in all, if cheap to tell. `Some(0)` by the core: nothing can match, the store need not be asked.
    pub count: Option<u64>,
    /// Place of the first entry among all that match, if cheap to tell.
    pub index: Option<u64>,
    /// Send newest first.
    pub flip: bool,
    /// Whether the requester may see real JIDs, of entries sent while these were visible to the same (MIX-MAM-15).
    pub sees_jids: bool,
    /// Visibility now.
    pub visibility: Visibility,
}

impl ArchivePage {
    /// Whether the reader may see whose message it was: by its rights now, and only of what was said while these reached as
    /// far (MAP-29, MUC-MAM-20).
    #[must_use]
    pub fn may_show_jid(&self, message: &Message) -> bool {
        let was_visible = message.visibility == Visibility::Visible;
        self.sees_jids && (was_visible || self.visibility != Visibility::Visible)
    }
}

/// Most items of a list in one answer; the rest is asked for by RSM (I9).
pub const PAGE: usize = 500;

/// The answer to a read, or why it is refused.
///
/// Cost: that of the answer. Pages of the archive are filled in by the node, which alone reads the store.
pub(crate) fn answer(
    channel: &Channel,
    sender: &Sender,
    query: &Query,
    service: &Service,
) -> Result<Answer, Refusal> {
    if !service.muc {
        not_concealed(channel, sender)?;
    }
    if let Query::Ping { relay } = query {
        return selfping::answer(channel, sender, relay.as_deref());
    }
    channel.must_exist_for(sender)?;
    match query {
        Query::Info { view } => info(channel, sender, *view),
        Query::Items { view: View::Muc } => Ok(Answer::Occupants(Vec::new())),
        Query::Items { view: View::Mix } => {
            admitted(channel, sender)?;
            Ok(Answer::Nodes(participate::SUBSCRIBABLE))
        }
        Query::ReservedNick => Ok(Answer::ReservedNick(reserved(channel, sender))),
        Query::OwnerForm => form::may_configure(channel, sender)
            .map(|()| Answer::Form(Arc::clone(channel.roster.config()))),
        Query::Ping { .. } => Ok(Answer::Done),
        Query::NodeItems {
            node,
            ids,
            max_items,
            page,
        } => {
            let wanted = nodes::Wanted {
                ids,
                max_items: *max_items,
                page: page.as_ref(),
            };
            nodes::items(channel, sender, *node, wanted).map(Answer::Items)
        }
        Query::OwnSubscriptions => nodes::own(channel, sender),
        Query::Archive(query) => archive::page(channel, sender, query, service),
        Query::ArchiveBounds { .. } => archive::bounds(channel, sender),
    }
}

/// Whether the sender could join (MIX-DSC-06); MIX does not know of locked rooms (MAP-40).
fn admitted(channel: &Channel, sender: &Sender) -> Result<(), Refusal> {
    channel.must_be_open()?;
    not_concealed(channel, sender)?;
    if barred(channel, sender) {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    Ok(())
}

/// An unlisted channel does not exist for those who may not join it (MIX-DSC-06, MIX-ERR-03). MUC tells them why they may
/// not enter, so where it is spoken as well only discovery asks here.
pub(crate) fn not_concealed(channel: &Channel, sender: &Sender) -> Result<(), Refusal> {
    if !channel.roster.config().public && barred(channel, sender) {
        return Err(Refusal::usual(Condition::ItemNotFound));
    }
    Ok(())
}

fn barred(channel: &Channel, sender: &Sender) -> bool {
    let affiliation = channel.affiliation(&sender.bare);
    let shut = channel.roster.config().members_only && affiliation < Affiliation::Member;
    affiliation == Affiliation::Outcast || shut
}

fn info(channel: &Channel, sender: &Sender, view: View) -> Result<Answer, Refusal> {
    if view == View::Mix {
        admitted(channel, sender)?;
    }
    Ok(Answer::Info(Box::new(Info {
        config: Arc::clone(channel.roster.config()),
        subject: subject(channel, sender),
        occupants: channel.roster.occupants(),
        contacts: Vec::new(),
        nodes: participate::SUBSCRIBABLE,
    })))
}

/// The subject, as far as the sender may see it: everybody in an open room, else people known there (MUC-DISCO-16).
fn subject(channel: &Channel, sender: &Sender) -> Option<Arc<Subject>> {
    let config = channel.roster.config();
    let open = config.public && !config.members_only && config.password.is_none();
    let known = channel
        .roster
        .person_of(&sender.bare)
        .is_some_and(|p| p.affiliation != Affiliation::Outcast);
    channel.roster.subject().filter(|_| open || known).cloned()
}

/// Source: MUC-DISCO-26, MAP-25: a participant's nick is as good as reserved.
fn reserved(channel: &Channel, sender: &Sender) -> Option<Nick> {
    let person = channel.roster.person_of(&sender.bare)?;
    let mix = channel
        .roster
        .participation(person.no)
        .and_then(|_| person.nick.clone());
    person.reserved.as_deref().cloned().or(mix)
}

/// Whether the sender, as what it is now, may see real JIDs; also of somebody the channel does not know.
fn sees_jids(channel: &Channel, sender: &Sender, view: View) -> bool {
    match channel.roster.person_of(&sender.bare) {
        Some(person) => channel.roster.sees_jids(person, view),
        None => visibility::sees_jids(
            channel.roster.config().visibility,
            Viewer {
                affiliation: channel.affiliation(&sender.bare),
                role: Role::None,
            },
        ),
    }
}
