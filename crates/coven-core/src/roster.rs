//! The roster: the part of a channel that rendering needs. Node and front-ends hold the same one and apply the same events.
//!
//! Owns people, sessions, participations, settings and the subject, with their indexes. It does not own the channel's
//! secret, its lock or its history: those are in [`crate::channel`]. [`Roster::apply`] returns a [`Delta`], what the
//! touched person was before and is after; views are rendered from that difference.

use crate::command::View;
use crate::event::{Event, Record, Subject};
use crate::ids::{PersonNo, Sequence, SessionNo, Timestamp};
use crate::jid::{BareJid, FullJid};
use crate::people::nick::Nick;
use crate::people::participation::{Node, Participation};
use crate::people::visibility::{self, Viewer};
use crate::people::{affiliation::Affiliation, person::Person, role::Role};
use crate::presence::session::{Presence, Session, Show};
use crate::settings::config::Config;
use hashbrown::HashMap;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::Arc;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

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
    people: BTreeMap<PersonNo, Member>,
    sessions: BTreeMap<SessionNo, Arc<Session>>,
    by_bare: Map<BareJid, PersonNo>,
    by_full: [Map<FullJid, SessionNo>; 2],
    nicks: Map<SmolStr, PersonNo>,
    reserved: Map<SmolStr, PersonNo>,
    next_person: u32,
    next_session: u32,
    participants: usize,
}

#[derive(Debug, Clone)]
struct Member {
    person: Arc<Person>,
    sessions: Vec<SessionNo>,
    participation: Option<Arc<Participation>>,
}

/// All there is to one person at a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// The record.
    pub person: Arc<Person>,
    /// The role, by affiliation, settings and grant; meaningful while an occupant.
    pub role: Role,
    /// Its sessions in order.
    pub sessions: Vec<Arc<Session>>,
    /// Its participation.
    pub participation: Option<Arc<Participation>>,
}

/// What an occupant looks like to the MUC view (MAP-08, MAP-11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// As this session, the best of its sessions.
    Session(Arc<Session>),
    /// A participant without client online: `xa`, or plainly available if it does not share presence.
    Absent {
        /// Show `xa`.
        xa: bool,
    },
}

/// What an event changed, beyond what the roster shows afterwards.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    /// The touched person before.
    pub before: Option<PersonView>,
    /// The touched person after.
    pub after: Option<PersonView>,
    /// The session that began, changed (as it was before) or ended.
    pub session: Option<Arc<Session>>,
    /// The settings before, if they changed.
    pub config_before: Option<Arc<Config>>,
    /// Everybody there was, when the channel was destroyed.
    pub everybody: Vec<PersonView>,
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

    /// When the settings (the info node) last changed.
    #[must_use]
    pub const fn configured(&self) -> Timestamp {
        self.configured
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
        self.sessions.get(&no)
    }

    /// The session of a full JID in a view.
    #[must_use]
    pub fn session_of(&self, view: View, full: &FullJid) -> Option<&Arc<Session>> {
        self.sessions.get(self.full_index(view).get(full)?)
    }

    /// A person's record by number.
    #[must_use]
    pub fn person(&self, no: PersonNo) -> Option<&Arc<Person>> {
        self.people.get(&no).map(|member| &member.person)
    }

    /// A person's record by bare JID.
    #[must_use]
    pub fn person_of(&self, bare: &BareJid) -> Option<&Arc<Person>> {
        self.person(*self.by_bare.get(bare)?)
    }

    /// The person that holds a nick now: an occupant, or a participant.
    #[must_use]
    pub fn holder(&self, nick: &Nick) -> Option<&Arc<Person>> {
        self.person(*self.nicks.get(nick.key())?)
    }

    /// The person that has reserved a nick.
    #[must_use]
    pub fn reserver(&self, nick: &Nick) -> Option<&Arc<Person>> {
        self.person(*self.reserved.get(nick.key())?)
    }

    /// A person's participation.
    #[must_use]
    pub fn participation(&self, no: PersonNo) -> Option<&Arc<Participation>> {
        self.people.get(&no)?.participation.as_ref()
    }

    /// All there is to a person.
    #[must_use]
    pub fn view(&self, no: PersonNo) -> Option<PersonView> {
        self.people.get(&no).map(|member| self.view_of(member))
    }

    /// Everybody known to the channel, also without being there, in order of first contact.
    pub fn people(&self) -> impl Iterator<Item = PersonView> {
        self.people.values().map(|member| self.view_of(member))
    }

    /// The records of everybody known to the channel, in order of first contact.
    pub fn persons(&self) -> impl Iterator<Item = &Arc<Person>> {
        self.people.values().map(|member| &member.person)
    }

    /// Participants subscribed to `node`, in order of first contact.
    pub fn subscribers(
        &self,
        node: Node,
    ) -> impl Iterator<Item = (&Arc<Person>, &Arc<Participation>)> {
        let members = if self.participants == 0 {
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
        self.participants
    }

    /// How many people are occupants: with a MUC session, or participants (MUC-DISCO-15, MAP-11).
    #[must_use]
    pub fn occupants(&self) -> usize {
        self.people
            .values()
            .filter(|m| m.participation.is_some() || self.has_muc(m))
            .count()
    }

    /// Whether anybody is an occupant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.participants == 0
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

    /// Makes an event part of the roster. Never fails: what names somebody unknown changes nothing.
    pub fn apply(&mut self, record: &Record) -> Delta {
        self.at = record.sequence;
        self.stamp = record.stamp;
        match &record.event {
            Event::Created {
                config, creator, ..
            } => self.begin(config, creator, record.stamp),
            Event::Unlocked | Event::Private(_) => Delta::default(),
            Event::Joined {
                person, session, ..
            } => self.touch(person.no, |r| {
                r.put_person(person);
                r.put_session(session);
            }),
            Event::Online { session } => self.touch(session.person, |r| r.put_session(session)),
            Event::Updated { session, presence } => {
                self.update(*session, presence, record.sequence)
            }
            Event::Left { session, .. } => self.leave(*session),
            Event::Renamed { person, .. } | Event::Changed { person, .. } => {
                self.touch(person.no, |r| {
                    r.put_person(person);
                    r.tidy(person.no);
                })
            }
            Event::Participated {
                person,
                participation,
            } => self.touch(person.no, |r| {
                r.put_person(person);
                r.participate(person.no, Some(participation));
            }),
            Event::Departed { person, .. } => self.touch(*person, |r| {
                r.drop_sessions(*person, Some(View::Mix));
                r.participate(*person, None);
                r.tidy(*person);
            }),
            Event::Removed { person, .. } => self.touch(person.no, |r| {
                r.put_person(person);
                r.drop_sessions(person.no, None);
                r.participate(person.no, None);
                r.tidy(person.no);
            }),
            Event::Message(message) => {
                if message.subject.is_some() {
                    self.subject = Some(Arc::new(Subject {
                        stamp: record.stamp,
                        message: Arc::clone(message),
                    }));
                }
                Delta::default()
            }
            Event::Configured { config } => {
                self.configured = record.stamp;
                let before = std::mem::replace(&mut self.config, Arc::clone(config));
                Delta {
                    config_before: Some(before),
                    ..Delta::default()
                }
            }
            Event::Destroyed { alternate, .. } => self.end(alternate.as_ref()),
        }
    }

    /// Puts a roster together from its parts, as a snapshot stores them.
    #[must_use]
    pub fn from_parts(parts: Parts) -> Self {
        let mut roster = Self {
            at: parts.at,
            stamp: parts.stamp,
            exists: parts.exists,
            config: parts.config,
            configured: parts.configured,
            subject: parts.subject,
            alternate: parts.alternate,
            ..Self::default()
        };
        for (person, participation) in &parts.people {
            roster.put_person(person);
            roster.participate(person.no, participation.as_ref());
        }
        for session in &parts.sessions {
            roster.put_session(session);
        }
        roster.next_person = parts.next_person;
        roster.next_session = parts.next_session;
        roster
    }

    /// The parts that [`Self::from_parts`] takes.
    #[must_use]
    pub fn parts(&self) -> Parts {
        Parts {
            at: self.at,
            stamp: self.stamp,
            exists: self.exists,
            config: Arc::clone(&self.config),
            configured: self.configured,
            subject: self.subject.clone(),
            alternate: self.alternate.clone(),
            people: self
                .people
                .values()
                .map(|m| (Arc::clone(&m.person), m.participation.clone()))
                .collect(),
            sessions: self.sessions.values().cloned().collect(),
            next_person: self.next_person,
            next_session: self.next_session,
        }
    }

    fn begin(&mut self, config: &Arc<Config>, creator: &Arc<Person>, stamp: Timestamp) -> Delta {
        self.exists = true;
        self.alternate = None;
        self.config = Arc::clone(config);
        self.configured = stamp;
        self.touch(creator.no, |r| r.put_person(creator))
    }

    fn end(&mut self, alternate: Option<&SmolStr>) -> Delta {
        let everybody = self.people().collect();
        let (at, stamp, next_person, next_session) =
            (self.at, self.stamp, self.next_person, self.next_session);
        *self = Self {
            at,
            stamp,
            next_person,
            next_session,
            alternate: alternate.cloned(),
            ..Self::default()
        };
        Delta {
            everybody,
            ..Delta::default()
        }
    }

    fn touch(&mut self, no: PersonNo, change: impl FnOnce(&mut Self)) -> Delta {
        let before = self.view(no);
        change(self);
        Delta {
            before,
            after: self.view(no),
            ..Delta::default()
        }
    }

    fn update(&mut self, no: SessionNo, presence: &Arc<Presence>, at: Sequence) -> Delta {
        let Some(old) = self.sessions.get(&no).cloned() else {
            return Delta::default();
        };
        let new = Session {
            presence: Arc::clone(presence),
            updated: at,
            ..(*old).clone()
        };
        let delta = self.touch(old.person, |r| {
            r.sessions.insert(no, Arc::new(new));
        });
        Delta {
            session: Some(old),
            ..delta
        }
    }

    fn leave(&mut self, no: SessionNo) -> Delta {
        let Some(session) = self.sessions.get(&no).cloned() else {
            return Delta::default();
        };
        let delta = self.touch(session.person, |r| {
            r.drop_session(&session);
            r.tidy(session.person);
        });
        Delta {
            session: Some(session),
            ..delta
        }
    }

    fn put_person(&mut self, person: &Arc<Person>) {
        self.next_person = self.next_person.max(person.no.0 + 1);
        self.forget_nicks(person.no);
        if let Some(nick) = &person.nick {
            self.nicks.insert(nick.key().clone(), person.no);
        }
        if let Some(nick) = &person.reserved {
            self.reserved.insert(nick.key().clone(), person.no);
        }
        self.by_bare.insert(person.jid.clone(), person.no);
        match self.people.get_mut(&person.no) {
            Some(member) => member.person = Arc::clone(person),
            None => {
                let member = Member {
                    person: Arc::clone(person),
                    sessions: Vec::new(),
                    participation: None,
                };
                self.people.insert(person.no, member);
            }
        }
    }

    fn forget_nicks(&mut self, no: PersonNo) {
        let Some(person) = self.person(no).cloned() else {
            return;
        };
        for (index, nick) in [
            (&mut self.nicks, &person.nick),
            (&mut self.reserved, &person.reserved),
        ] {
            let Some(nick) = nick else { continue };
            if index.get(nick.key()) == Some(&no) {
                index.remove(nick.key());
            }
        }
    }

    fn put_session(&mut self, session: &Arc<Session>) {
        self.next_session = self.next_session.max(session.no.0 + 1);
        self.full_index_mut(session.view)
            .insert(session.jid.clone(), session.no);
        if let Some(member) = self.people.get_mut(&session.person) {
            member.sessions.push(session.no);
        }
        self.sessions.insert(session.no, Arc::clone(session));
    }

    fn drop_session(&mut self, session: &Session) {
        self.sessions.remove(&session.no);
        self.full_index_mut(session.view).remove(&session.jid);
        if let Some(member) = self.people.get_mut(&session.person) {
            member.sessions.retain(|no| *no != session.no);
        }
    }

    fn drop_sessions(&mut self, no: PersonNo, only: Option<View>) {
        let Some(view) = self.view(no) else { return };
        for session in view
            .sessions
            .iter()
            .filter(|s| only.is_none_or(|v| s.view == v))
        {
            self.drop_session(session);
        }
    }

    fn participate(&mut self, no: PersonNo, participation: Option<&Arc<Participation>>) {
        let Some(member) = self.people.get_mut(&no) else {
            return;
        };
        self.participants -= usize::from(member.participation.is_some());
        self.participants += usize::from(participation.is_some());
        member.participation = participation.cloned();
    }

    /// What the end of the last session, or of a participation, entails: the grant ends, the nick is free again, and a
    /// person that nothing lasting ties to the channel is forgotten.
    fn tidy(&mut self, no: PersonNo) {
        let Some(member) = self.people.get(&no) else {
            return;
        };
        let muc = self.has_muc(member);
        let there = muc || member.participation.is_some();
        let person = &member.person;
        if !muc && person.granted.is_some() || !there && person.nick != person.reserved {
            let nick = if there {
                person.nick.clone()
            } else {
                person.reserved.clone()
            };
            let person = Person {
                granted: person.granted.filter(|_| muc),
                nick,
                ..(**person).clone()
            };
            self.put_person(&Arc::new(person));
        }
        if !there && self.person(no).is_some_and(|p| !p.lasting()) {
            self.forget(no);
        }
    }

    fn forget(&mut self, no: PersonNo) {
        self.forget_nicks(no);
        if let Some(member) = self.people.remove(&no) {
            self.by_bare.remove(&member.person.jid);
        }
    }

    fn has_muc(&self, member: &Member) -> bool {
        member
            .sessions
            .iter()
            .any(|no| self.sessions.get(no).is_some_and(|s| s.view == View::Muc))
    }

    fn view_of(&self, member: &Member) -> PersonView {
        PersonView {
            person: Arc::clone(&member.person),
            role: member.person.role(&self.config),
            sessions: member
                .sessions
                .iter()
                .filter_map(|no| self.sessions.get(no).cloned())
                .collect(),
            participation: member.participation.clone(),
        }
    }

    fn full_index(&self, view: View) -> &Map<FullJid, SessionNo> {
        let [muc, mix] = &self.by_full;
        if view == View::Muc { muc } else { mix }
    }

    fn full_index_mut(&mut self, view: View) -> &mut Map<FullJid, SessionNo> {
        let [muc, mix] = &mut self.by_full;
        if view == View::Muc { muc } else { mix }
    }
}

/// A roster taken apart, for snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// See [`Roster::at`].
    pub at: Sequence,
    /// See [`Roster::stamp`].
    pub stamp: Timestamp,
    /// See [`Roster::exists`].
    pub exists: bool,
    /// See [`Roster::config`].
    pub config: Arc<Config>,
    /// See [`Roster::configured`].
    pub configured: Timestamp,
    /// See [`Roster::subject`].
    pub subject: Option<Arc<Subject>>,
    /// See [`Roster::alternate`].
    pub alternate: Option<SmolStr>,
    /// People with their participation, in order of first contact.
    pub people: Vec<(Arc<Person>, Option<Arc<Participation>>)>,
    /// Sessions in order of their beginning.
    pub sessions: Vec<Arc<Session>>,
    /// See [`Roster::next_person`].
    pub next_person: u32,
    /// See [`Roster::next_session`].
    pub next_session: u32,
}

impl PersonView {
    /// Its MUC sessions.
    pub fn muc_sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.iter().filter(|s| s.view == View::Muc)
    }

    /// Its MIX clients that are online.
    pub fn mix_sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.iter().filter(|s| s.view == View::Mix)
    }

    /// Whether the MUC view shows an occupant, and the MIX view a participant: both show the same people (MAP-11, 12).
    #[must_use]
    pub fn present(&self) -> bool {
        self.participation.is_some() || self.muc_sessions().next().is_some()
    }

    /// What the occupant looks like; `None` if there is none.
    ///
    /// Source: MUC-MULTI-05, MAP-08, MAP-11, MAP-52. The best show wins, then MUC sessions, then the most recent.
    #[must_use]
    pub fn shown(&self) -> Option<Shown> {
        let best = self
            .sessions
            .iter()
            .max_by_key(|s| (s.presence.show, s.view == View::Muc, s.updated, s.no));
        match (best, &self.participation) {
            (Some(session), _) => Some(Shown::Session(Arc::clone(session))),
            (None, Some(participation)) => Some(Shown::Absent {
                xa: participation.nodes.has(Node::Presence),
            }),
            (None, None) => None,
        }
    }

    /// The affiliation.
    #[must_use]
    pub fn affiliation(&self) -> Affiliation {
        self.person.affiliation
    }
}

impl Shown {
    /// The show value.
    #[must_use]
    pub fn show(&self) -> Show {
        match self {
            Self::Session(session) => session.presence.show,
            Self::Absent { xa: true } => Show::Xa,
            Self::Absent { xa: false } => Show::Available,
        }
    }

    /// Whether others see no difference between the two.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Session(a), Self::Session(b)) => a.presence == b.presence && a.jid == b.jid,
            (Self::Absent { xa: a }, Self::Absent { xa: b }) => a == b,
            _ => false,
        }
    }
}
