//! What has happened in a channel: the journal's entries, and what views are rendered from.
//!
//! An event that changes a person carries the whole new record; an event names sessions by number. Encoding is in
//! `coven-proto`. What an event changes is in [`crate::roster`] and [`crate::channel`].

use crate::command::{HistoryRequest, Reference, Resolved, Traits, View};
use crate::ids::ChannelKey;
use crate::jid::{BareJid, FullJid};
use crate::people::participation::Participation;
use crate::people::visibility::Visibility;
use crate::presence::session::Presence;
use crate::settings::config::Config;
use crate::{
    Affiliation, ArchiveId, Epoch, Person, PersonNo, Role, Sequence, Session, SessionNo, StableId,
    Timestamp,
};
use bytes::Bytes;
use smol_str::SmolStr;
use std::sync::Arc;

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the channel.
    pub sequence: Sequence,
    /// The epoch under which it was first committed.
    pub first_epoch: Epoch,
    /// When; never earlier than that of the event before.
    pub stamp: Timestamp,
    /// What.
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of a kind that this version does not know and may pass over: it changes nothing, but has its place (I7).
    Unknown,
    /// The channel began.
    Created {
        /// The channel's secret.
        key: ChannelKey,
        /// Its first configuration.
        config: Arc<Config>,
        /// The owner.
        creator: Arc<Person>,
        /// When an unconfigured room ends; `None` if it is not locked.
        locked_until: Option<Timestamp>,
        /// Through which view.
        view: View,
    },
    /// The creator has configured the room: it exists for everybody.
    Unlocked,
    /// A MUC session began. Carries what its join burst needs besides the roster.
    Joined {
        /// Whose; perhaps new, perhaps with a new nick.
        person: Arc<Person>,
        /// The session.
        session: Arc<Session>,
        /// How it came about.
        entry: Entry,
    },
    /// A MIX client is online and shares its presence.
    Online {
        /// The session.
        session: Arc<Session>,
    },
    /// A session's presence changed.
    Updated {
        /// Which session.
        session: SessionNo,
        /// The new presence.
        presence: Arc<Presence>,
    },
    /// A session ended, in either view.
    Left {
        /// Which session.
        session: SessionNo,
        /// Why.
        cause: Cause,
        /// Child elements to pass on.
        payload: Bytes,
    },
    /// A person has a new nick.
    Renamed {
        /// The new record.
        person: Arc<Person>,
        /// The service altered what was asked for (status 210).
        altered: bool,
    },
    /// A person became a MIX participant, or its subscriptions changed.
    Participated {
        /// Whose; perhaps new, perhaps with a new nick.
        person: Arc<Person>,
        /// The participation as it is now.
        participation: Arc<Participation>,
    },
    /// A participation ended.
    Departed {
        /// Whose.
        person: PersonNo,
        /// Why.
        cause: Cause,
    },
    /// A person's affiliation, role or reservation changed.
    Changed {
        /// The new record.
        person: Arc<Person>,
        /// By whom.
        by: Option<By>,
        /// Text for people.
        reason: Option<SmolStr>,
    },
    /// All sessions of a person, and its participation, ended by somebody else's act.
    Removed {
        /// The record that holds afterwards.
        person: Arc<Person>,
        /// Why.
        cause: Cause,
        /// By whom.
        by: Option<By>,
        /// Text for people.
        reason: Option<SmolStr>,
    },
    /// A groupchat message.
    Message(Arc<Message>),
    /// A private message, or the error that came back for one.
    Private(Arc<PrivateMessage>),
    /// The configuration changed.
    Configured {
        /// As it is now.
        config: Arc<Config>,
    },
    /// Subscribers of the participants node are told what has changed there until now ([`crate::presence::listing`]).
    Announced,
    /// The channel ended.
    Destroyed {
        /// Where to go instead.
        alternate: Option<SmolStr>,
        /// Text for people.
        reason: Option<SmolStr>,
        /// Password of the alternative.
        password: Option<SmolStr>,
    },
}

/// How a MUC session came about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// By this join the room was created (status 201).
    pub created: bool,
    /// The service altered the nick (status 210).
    pub altered: bool,
    /// What of the history the client wants.
    pub history: HistoryRequest,
    /// `id` of the join stanza.
    pub stanza_id: Option<SmolStr>,
}

/// Why a session, a participation or a person's presence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// By its own act.
    Left,
    /// An error came back (status 333).
    Ghost,
    /// Status 307.
    Kicked,
    /// Status 301.
    Banned,
    /// Lost its affiliation in a members-only room (status 321).
    AffiliationLost,
    /// The room became members-only (status 322).
    MembersOnly,
    /// Status 332: a final shutdown.
    Shutdown,
}

/// Who acted on somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The actor's nick, if present.
    pub nick: Option<SmolStr>,
    /// The actor's bare JID: only to those entitled (MUC-PRES-18).
    pub jid: BareJid,
}

/// A groupchat message. Stands alone: history a year old must render as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The sender's number.
    pub person: PersonNo,
    /// The sender's stable id.
    pub id: StableId,
    /// The sender's nick as shown.
    pub nick: SmolStr,
    /// Whether that nick is one the person has chosen (MIX shows no generated ones).
    pub nick_chosen: bool,
    /// The sender's bare JID.
    pub jid: BareJid,
    /// The sender's affiliation.
    pub affiliation: Affiliation,
    /// The sender's role.
    pub role: Role,
    /// Visibility of JIDs at that time.
    pub visibility: Visibility,
    /// `id` of the sender's stanza.
    pub own_id: Option<SmolStr>,
    /// `xml:lang` of the sender's stanza.
    pub lang: Option<SmolStr>,
    /// The child elements.
    pub payload: Bytes,
    /// What they are.
    pub traits: Traits,
    /// Its archive id; a fresh one, not for paging, if it is not archived.
    pub archive_id: ArchiveId,
    /// Kept in the archive.
    pub archived: bool,
    /// This is a change of the subject: the `<subject/>` elements.
    pub subject: Option<Bytes>,
    /// An id in the payload that each view writes in its own way.
    pub reference: Option<(Reference, Resolved)>,
}

impl Message {
    /// Its id in the MUC view: the sender's own; the archive id if it gave none, the same in all copies (MUC-MSG-03).
    #[must_use]
    pub fn muc_id(&self) -> SmolStr {
        let own = self.own_id.clone();
        own.unwrap_or_else(|| self.archive_id.text().as_str().into())
    }

    /// Both names of the message, if `id` is one of them: who is here in both views has seen it under both (MAP-26).
    #[must_use]
    pub fn called(&self, id: &str) -> Option<Resolved> {
        let own_id = self.muc_id();
        let is_it = own_id == id || ArchiveId::parse(id) == Some(self.archive_id);
        is_it.then_some(Resolved {
            own_id,
            archive_id: self.archive_id,
        })
    }
}

/// A private message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateMessage {
    /// The sender's stable id.
    pub id: StableId,
    /// The sender's nick.
    pub nick: SmolStr,
    /// To whom.
    pub to: PersonNo,
    /// Only to this session (the answer to somebody's message), else to all.
    pub session: Option<FullJid>,
    /// `type` of the stanza.
    pub kind: Option<SmolStr>,
    /// `id` of the stanza.
    pub own_id: Option<SmolStr>,
    /// `xml:lang` of the stanza.
    pub lang: Option<SmolStr>,
    /// The child elements.
    pub payload: Bytes,
}

/// The subject of a channel: the message that set it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// When it was set.
    pub stamp: Timestamp,
    /// The message that set it.
    pub message: Arc<Message>,
}
