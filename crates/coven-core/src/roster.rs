//! The roster: the part of a channel that rendering needs. Node and front-ends hold the same one and apply the same events.
//!
//! Owns people, sessions, participations, settings and the subject, with their indexes. It does not own the channel's
//! secret, its lock or its history: those are in [`crate::channel`]. [`Roster::apply`] returns a [`Delta`], what the
//! touched person was before and is after; views are rendered from that difference.
//!
//! Here is what can be asked of a roster; what events change is in `roster/apply.rs`, snapshots in `roster/parts.rs`, one
//! person as a whole in `roster/view.rs`.
//!
//! Cost: every question about one person, nick or session is a lookup or two, and the counts are kept; only lists of
//! people or sessions cost their length.

mod apply;
mod index;
mod list;
mod listing;
mod numbered;
mod parts;
mod view;

pub use parts::Parts;
pub use view::{Delta, PersonView, Shown};

use crate::command::View;
use crate::event::Subject;
use crate::ids::{ChannelKey, PersonNo, Sequence, SessionNo, Timestamp};
use crate::jid::{BareJid, FullJid};
use crate::people::nick::Nick;
use crate::people::participation::{Node, Participation};
use crate::people::visibility::{self, Viewer};
use crate::people::{affiliation::Affiliation, person::Person, role::Role};
use crate::presence::listing::Listing;
use crate::presence::session::Session;
use crate::settings::config::Config;
use index::Index;
use list::List;
use numbered::Numbered;
use smol_str::{SmolStr, format_smolstr};
use std::borrow::Cow;
use std::sync::Arc;

/// People, sessions and settings of a channel at a sequence.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    at: Sequence,
    stamp: Timestamp,
    exists: bool,
    config: Arc<Config>,
    configured: Timestamp,
    subject: Option<Arc<Subject>>,
    alternate: Option<SmolStr>,
    resource_key: Option<ChannelKey>,
    people: Numbered<PersonNo, Member>,
    sessions: Numbered<SessionNo, Arc<Session>>,
    by_bare: Index<PersonNo>,
    by_full: [Index<SessionNo>; 2],
    /// By the keys of nicks of people who are there, generated ones too: no two of them have the same.
    nicks: Index<PersonNo>,
    /// By the keys of reserved nicks.
    reserved: Index<PersonNo>,
    listing: Listing,
    next_person: u32,
    next_session: u32,
    counts: Counts,
}

/// How many people of a kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    participants: usize,
    occupants: usize,
    online: usize,
    owners: usize,
    outcasts: usize,
}

#[derive(Debug, Clone)]
struct Member {
    person: Arc<Person>,
    sessions: List,
    participation: Option<Arc<Participation>>,
}

impl Roster {
    /// The sequence of the last applied event.
    #[must_use]
    pub const fn at(&self) -> Sequence {
        self.at
    }

    /// When the last applied event happened.
    #[must_use]
    pub const fn stamp(&self) -> Timestamp {
        self.stamp
    }

    /// Whether the channel exists.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.exists
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// When the settings last changed.
    #[must_use]
    pub const fn configured(&self) -> Timestamp {
        self.configured
    }

    /// When the info node last changed: settings, or the subject (MIX-NODE-03, MAP-28).
    #[must_use]
    pub fn informed(&self) -> Timestamp {
        let subject = self.subject.as_ref().map(|subject| subject.stamp);
        subject.map_or(self.configured, |stamp| stamp.max(self.configured))
    }

    /// The subject, if one was ever set.
    #[must_use]
    pub const fn subject(&self) -> Option<&Arc<Subject>> {
        self.subject.as_ref()
    }

    /// Where to go instead, if the channel was destroyed with an alternative (MAP-41).
    #[must_use]
    pub const fn alternate(&self) -> Option<&SmolStr> {
        self.alternate.as_ref()
    }

    /// All sessions in order of their beginning.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = &Arc<Session>> {
        self.sessions.values()
    }

    /// A session by number.
    #[must_use]
    pub fn session(&self, no: SessionNo) -> Option<&Arc<Session>> {
        self.sessions.get(no)
    }

    /// The session of a full JID in a view.
    #[must_use]
    pub fn session_of(&self, view: View, full: &FullJid) -> Option<&Arc<Session>> {
        let has = |no| self.sessions.get(no).is_some_and(|s| s.jid == *full);
        self.session(self.full_index(view).find(full.as_str(), has)?)
    }

    /// A person's record by number.
    #[must_use]
    pub fn person(&self, no: PersonNo) -> Option<&Arc<Person>> {
        self.people.get(no).map(|member| &member.person)
    }

    /// A person's record by bare JID (or a domain's, for those that have an affiliation).
    #[must_use]
    pub fn person_of(&self, bare: &BareJid) -> Option<&Arc<Person>> {
        self.named(bare.as_str())
    }

    /// The person that holds a nick now: an occupant, or a participant. Generated nicks are held too (MAP-24).
    #[must_use]
    pub fn holder(&self, nick: &Nick) -> Option<&Arc<Person>> {
        let has = |no| self.nick_key(no).is_some_and(|key| *key == *nick.key());
        self.person(self.nicks.find(nick.key(), has)?)
    }

    /// The person that has reserved a nick.
    #[must_use]
    pub fn reserver(&self, nick: &Nick) -> Option<&Arc<Person>> {
        let has = |no| self.reserved_key(no) == Some(nick.key());
        self.person(self.reserved.find(nick.key(), has)?)
    }

    /// A person's participation.
    #[must_use]
    pub fn participation(&self, no: PersonNo) -> Option<&Arc<Participation>> {
        self.people.get(no)?.participation.as_ref()
    }

    /// All there is to a person.
    #[must_use]
    pub fn view(&self, no: PersonNo) -> Option<PersonView> {
        self.people.get(no).map(|member| self.view_of(member))
    }

    /// Whether a person is an occupant to MUC and a participant to MIX: both views show the same people (MAP-11, 12).
    #[must_use]
    pub fn is_present(&self, no: PersonNo) -> bool {
        self.people
            .get(no)
            .is_some_and(|member| self.is_there(member))
    }

    /// Everybody known to the channel, also without being there, in order of first contact.
    pub fn people(&self) -> impl Iterator<Item = PersonView> {
        self.people.values().map(|member| self.view_of(member))
    }

    /// The records of everybody known to the channel, in order of first contact.
    pub fn persons(&self) -> impl ExactSizeIterator<Item = &Arc<Person>> {
        self.people.values().map(|member| &member.person)
    }

    /// The records of everybody who is there (see [`Self::is_present`]), in order of first contact.
    pub fn present(&self) -> impl Iterator<Item = &Arc<Person>> {
        let there = self.people.values().filter(|member| self.is_there(member));
        there.map(|member| &member.person)
    }

    /// Participants subscribed to `node`, in order of first contact.
    pub fn subscribers(
        &self,
        node: Node,
    ) -> impl Iterator<Item = (&Arc<Person>, &Arc<Participation>)> {
        let members = if self.counts.participants == 0 {
            None
        } else {
            Some(self.people.values())
        };
        members.into_iter().flatten().filter_map(move |member| {
            let participation = member
                .participation
                .as_ref()
                .filter(|p| p.nodes.has(node))?;
            Some((&member.person, participation))
        })
    }

    /// How many people take part by MIX.
    #[must_use]
    pub const fn participants(&self) -> usize {
        self.counts.participants
    }

    /// How many people are occupants: with a MUC session, or participants (MUC-DISCO-15, MAP-11).
    #[must_use]
    pub const fn occupants(&self) -> usize {
        self.counts.occupants
    }

    /// How many people have a client online: those who take a place of a room with a limit (MAP-43).
    #[must_use]
    pub const fn online(&self) -> usize {
        self.counts.online
    }

    /// How many owners there are (MUC-AFF-09).
    #[must_use]
    pub const fn owners(&self) -> usize {
        self.counts.owners
    }

    /// How many people are banned.
    #[must_use]
    pub const fn outcasts(&self) -> usize {
        self.counts.outcasts
    }

    /// Whether nobody is an occupant.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.counts.occupants == 0
    }

    /// The number that the next new person gets.
    #[must_use]
    pub const fn next_person(&self) -> PersonNo {
        PersonNo(self.next_person)
    }

    /// The number that the next new session gets.
    #[must_use]
    pub const fn next_session(&self) -> SessionNo {
        SessionNo(self.next_session)
    }

    /// The affiliation by which a bare JID is let in or kept out: its own, or that of its domain (MUC-ENTER-10,
    /// MUC-AFF-13, MIX-ACL-03). A domain's is never shown as that of its people (MUC-ENTER-26).
    #[must_use]
    pub fn affiliation(&self, bare: &BareJid) -> Affiliation {
        match self.own_affiliation(bare.as_str()) {
            Affiliation::None => match self.own_affiliation(bare.domain()) {
                of_all @ (Affiliation::Outcast | Affiliation::Member) => of_all,
                _ => Affiliation::None,
            },
            own => own,
        }
    }

    /// The role a person has now, or would have on entering.
    #[must_use]
    pub fn role(&self, person: &Person) -> Role {
        person.role(&self.config)
    }

    /// Whether `viewer`, looking through `view`, may see real JIDs of others now (I8).
    #[must_use]
    pub fn sees_jids(&self, viewer: &Person, view: View) -> bool {
        let role = if view == View::Muc {
            self.role(viewer)
        } else {
            Role::None
        };
        visibility::sees_jids(
            self.config.visibility,
            Viewer {
                affiliation: viewer.affiliation,
                role,
            },
        )
    }

    /// What is shown in place of a client's own resource where real JIDs are hidden: the same as long as the session lasts,
    /// another one in every channel, and not to be computed by others (MIX-ANON-08, MAP-51).
    ///
    /// Cost: one HMAC.
    #[must_use]
    pub fn generated_resource(&self, session: SessionNo) -> SmolStr {
        let key = self.resource_key.unwrap_or(ChannelKey([0; 32]));
        let [a, b, c, d, e, f, g, h, ..] = key.mac(&session.0.to_be_bytes());
        format_smolstr!("{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    fn named(&self, bare: &str) -> Option<&Arc<Person>> {
        self.person(self.by_bare.find(bare, |no| self.is_named(no, bare))?)
    }

    fn is_named(&self, no: PersonNo, bare: &str) -> bool {
        self.person(no).is_some_and(|p| p.jid.as_str() == bare)
    }

    /// What the nick of somebody who is there is found by.
    fn nick_key(&self, no: PersonNo) -> Option<Cow<'_, SmolStr>> {
        let member = self.people.get(no).filter(|m| self.is_there(m))?;
        Some(match &member.person.nick {
            Some(nick) => Cow::Borrowed(nick.key()),
            None => Cow::Owned(Nick::from_clean(&member.person.shown_nick()).key().clone()),
        })
    }

    fn reserved_key(&self, no: PersonNo) -> Option<&SmolStr> {
        self.person(no)?.reserved.as_deref().map(Nick::key)
    }

    fn own_affiliation(&self, bare: &str) -> Affiliation {
        self.named(bare)
            .map_or(Affiliation::None, |p| p.affiliation)
    }

    fn is_there(&self, member: &Member) -> bool {
        member.participation.is_some() || self.has_muc(member)
    }

    fn has_muc(&self, member: &Member) -> bool {
        member
            .sessions
            .as_slice()
            .iter()
            .any(|no| self.sessions.get(*no).is_some_and(|s| s.view == View::Muc))
    }

    fn view_of(&self, member: &Member) -> PersonView {
        PersonView {
            person: Arc::clone(&member.person),
            role: member.person.role(&self.config),
            sessions: member
                .sessions
                .as_slice()
                .iter()
                .filter_map(|no| self.sessions.get(*no).cloned())
                .collect(),
            participation: member.participation.clone(),
        }
    }

    const fn full_index(&self, view: View) -> &Index<SessionNo> {
        let [muc, mix] = &self.by_full;
        match view {
            View::Muc => muc,
            View::Mix => mix,
        }
    }
}
