//! What somebody asks of a channel, in neither protocol's words. Translators in `coven-xmpp` make these.
//!
//! Commands change something and go through [`crate::Channel::decide`]; reads are [`crate::Query`].

use crate::jid::{BareJid, FullJid, Group};
use crate::people::participation::Nodes;
use crate::people::{affiliation::Affiliation, role::Role};
use crate::presence::session::Presence;
use crate::settings::config::Config;
use crate::{ArchiveId, ProbeMark, Timestamp};
use bytes::Bytes;
use smol_str::SmolStr;
use std::sync::Arc;

/// Through which protocol something is said or seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// XEP-0045.
    Muc,
    /// XEP-0369 family.
    Mix,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Normalised bare JID.
    pub bare: BareJid,
    /// Normalised full JID, if the stanza came from one.
    pub full: Option<FullJid>,
    /// The group of upstreams it came through.
    pub group: Group,
}

/// What a command leads to is in the feature's file, named at each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// MUC: presence with the `muc` `<x/>` ([`crate::presence::join`]).
    Join(Box<Join>),
    /// MUC: available presence without it: an update or a nick change ([`crate::presence::update`]).
    Update {
        /// Resource of the address; `None` for the bare room (MUC-PRES-12).
        nick: Option<SmolStr>,
        /// The new presence.
        presence: Arc<Presence>,
    },
    /// MUC: unavailable presence ([`crate::presence::leave`]).
    Leave {
        /// Child elements to pass on (`<status/>`).
        payload: Bytes,
    },
    /// An error that came back for something the channel sent ([`crate::presence::ghost`]).
    Bounce(Bounce),
    /// A groupchat message to the channel, in either view ([`crate::content::message`], [`crate::content::subject`]).
    Post(Box<Post>),
    /// A message to one occupant (`MUC-PM`; later step adds the MIX side) ([`crate::content::private`]).
    Private(Box<Private>),
    /// An IQ to one occupant, or its answer, to be passed on ([`crate::content::relay`]).
    Relay(Box<Relay>),
    /// MIX: join, or a second join as an update ([`crate::presence::participate`]).
    Participate {
        /// Nodes asked for.
        nodes: Nodes,
        /// Nick asked for.
        nick: Option<SmolStr>,
    },
    /// MIX: `update-subscription`, or a direct PubSub subscribe or unsubscribe.
    Subscribe {
        /// Nodes to add.
        add: Nodes,
        /// Nodes to take away.
        remove: Nodes,
    },
    /// MIX: leave.
    Depart,
    /// MIX: `setnick`.
    SetNick {
        /// `None` asks the service to choose (MIX-NICK-02).
        nick: Option<SmolStr>,
    },
    /// MIX: presence of a client, to the bare channel ([`crate::presence::update`]).
    Online {
        /// The presence.
        presence: Arc<Presence>,
    },
    /// MIX: the client went offline, or shares its presence no longer.
    Offline {
        /// What it said, as in [`Self::Leave`].
        payload: Bytes,
    },
    /// MIX: create this channel ([`crate::life::create`]).
    Create,
    /// MIX: create an ad hoc channel of this generated name: closed to strangers, not listed (MIX-CRE-03). The name is
    /// made by [`crate::life::create::fresh_name`].
    CreateAdHoc,
    /// MIX: presence of type `subscribe` (`wanted`), or `unsubscribe` and `unsubscribed`, to the channel
    /// ([`crate::presence::subscription`]). `subscribed` is nobody's business.
    PresenceSubscription {
        /// Whether the channel is asked for its presence, or sharing ends.
        wanted: bool,
    },
    /// Destroy, from either view ([`crate::life::destroy`]).
    Destroy(End),
    /// MUC owner form, submitted ([`crate::settings::form`]).
    Configure(Box<Settings>),
    /// MUC owner form, cancelled (MUC-CREATE-07, MUC-CONF-05).
    CancelConfiguration,
    /// Set the affiliation of a bare JID or domain ([`crate::people::rights`]). On the wire with a later step.
    SetAffiliation(Grant),
    /// Set the role of an occupant ([`crate::people::rights`]). On the wire with a later step.
    SetRole(RoleChange),
    /// A deadline of [`crate::Channel::next_timer`] has passed.
    Timer,
}

/// What an owner gives for the end of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Where to go instead: a bare JID as the client gave it.
    pub alternate: Option<SmolStr>,
    /// Text for people.
    pub reason: Option<SmolStr>,
    /// Password of the alternative.
    pub password: Option<SmolStr>,
}

/// A new affiliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub jid: BareJid,
    /// To what.
    pub affiliation: Affiliation,
    /// The nick to reserve for it, raw; an empty one ends the reservation, `None` leaves it (MUC-NICK-14).
    pub nick: Option<SmolStr>,
    /// Text for people.
    pub reason: Option<SmolStr>,
}

/// A new role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    /// Whose: the nick, raw.
    pub nick: SmolStr,
    /// To what; [`Role::None`] kicks.
    pub role: Role,
    /// Text for people.
    pub reason: Option<SmolStr>,
}

/// MUC join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Resource of the address, raw; `None` if there was none (MUC-ENTER-06).
    pub nick: Option<SmolStr>,
    /// `<password/>`.
    pub password: Option<SmolStr>,
    /// `<history/>`.
    pub history: HistoryRequest,
    /// First presence.
    pub presence: Arc<Presence>,
    /// `id` of the stanza, for the self-presence (MUC-ENTER-05).
    pub stanza_id: Option<SmolStr>,
}

/// What of the history a joining client wants (MUC-HIST-04..09). `None` = no limit from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryRequest {
    /// At most so many characters of whole stanzas.
    pub max_chars: Option<u64>,
    /// At most so many messages.
    pub max_stanzas: Option<u64>,
    /// Only of the last so many seconds.
    pub seconds: Option<u64>,
    /// Only at or after this.
    pub since: Option<Timestamp>,
}

/// A stanza of type error from somebody the channel had sent something to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// For the bounce of a probe: what its id brings back. A session that has shown itself since is not meant.
    pub probed: Option<ProbeMark>,
    /// The condition.
    pub condition: crate::Condition,
    /// `remote-server-*` that has held for its grace (MUC-LEAVE-07); the front-end keeps that time.
    pub confirmed: bool,
}

/// What a translator saw in a message: enough to decide on archive and history without XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Traits(pub u16);

impl Traits {
    /// Has a `<body/>`.
    pub const BODY: Self = Self(1);
    /// Has a `<thread/>`.
    pub const THREAD: Self = Self(2);
    /// Hint `<store/>`.
    pub const STORE: Self = Self(4);
    /// Hint `<no-store/>` or `<no-permanent-store/>`.
    pub const NO_STORE: Self = Self(8);
    /// `urn:xmpp:eme:0`.
    pub const ENCRYPTED: Self = Self(16);
    /// Marker (0333) or reaction (0444).
    pub const MARKER: Self = Self(32);
    /// Retraction (0424) or moderation (0425).
    pub const RETRACTION: Self = Self(64);
    /// Correction (0308).
    pub const CORRECTION: Self = Self(128);

    /// Whether any of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// With `other` set as well.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A groupchat message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// The view of the address it was sent to; `None` where both share it, so that the sender's sessions decide (MAP-03).
    pub view: Option<View>,
    /// `id` of the stanza.
    pub own_id: Option<SmolStr>,
    /// `xml:lang` of the stanza.
    pub lang: Option<SmolStr>,
    /// The child elements, stripped of what nobody but the service may add.
    pub payload: Bytes,
    /// What they are.
    pub traits: Traits,
    /// The `<subject/>` elements alone, if the message has any (MUC-SUBJ-01 decides whether it is a change).
    pub subject: Option<Bytes>,
    /// A message that this one refers to by the id its sender saw (`<replace/>`, MAP-26).
    pub reference: Option<Reference>,
}

/// An id inside a payload that means another message, and which each view writes in its own way (MAP-26).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where in the payload the id's text (escaped, without quotes) begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// The id as the sender wrote it: own id in MUC, archive id in MIX.
    pub id: SmolStr,
}

/// Both names of the message that a [`Reference`] means. Found by the node before `decide`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What the MUC view says: the sender's own id, or the archive id where it gave none.
    pub own_id: SmolStr,
    /// The archive id: what the MIX view says.
    pub archive_id: ArchiveId,
}

/// A message to one occupant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// The nick it is for, raw.
    pub nick: SmolStr,
    /// `type` of the stanza: `chat`, `normal`, or none.
    pub kind: Option<SmolStr>,
    /// `id` of the stanza.
    pub own_id: Option<SmolStr>,
    /// `xml:lang` of the stanza.
    pub lang: Option<SmolStr>,
    /// The child elements, stripped.
    pub payload: Bytes,
    /// It is of type error: an answer to an earlier one (MUC-PM-07).
    pub error: bool,
}

/// An IQ to one occupant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The nick it is for, raw.
    pub nick: SmolStr,
    /// `get`, `set`, `result` or `error`.
    pub kind: SmolStr,
    /// `id` of the stanza.
    pub id: SmolStr,
    /// The child elements.
    pub payload: Bytes,
    /// To the addressee's bare JID: vCard and PubSub (MUC-IQ-03).
    pub to_bare: bool,
}

/// Changes of the configuration: `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// See [`Config::name`].
    pub name: Option<SmolStr>,
    /// See [`Config::description`].
    pub description: Option<SmolStr>,
    /// See [`Config::public`].
    pub public: Option<bool>,
    /// See [`Config::persistent`].
    pub persistent: Option<bool>,
    /// See [`Config::members_only`].
    pub members_only: Option<bool>,
    /// See [`Config::moderated`].
    pub moderated: Option<bool>,
    /// `muc#roomconfig_passwordprotectedroom`.
    pub password_protected: Option<bool>,
    /// `muc#roomconfig_roomsecret`; empty turns protection off.
    pub password: Option<SmolStr>,
    /// See [`Config::visibility`].
    pub visibility: Option<crate::people::visibility::Visibility>,
    /// Fields that have no form yet, set by commands (tests, later steps).
    pub all: Option<Box<Config>>,
}
