//! What events change in a roster.
//!
//! Everything that concerns one person happens in [`Roster::touch`]: the person leaves indexes and counts, changes, is
//! tidied, and enters them again. What names somebody unknown changes nothing.

use super::index::Index;
use super::list::List;
use super::{Delta, Member, Roster};
use crate::command::View;
use crate::event::{Event, Message, Record, Subject};
use crate::ids::{PersonNo, Sequence, SessionNo, Timestamp};
use crate::people::participation::Participation;
use crate::people::{affiliation::Affiliation, person::Person, role::Role};
use crate::presence::session::{Presence, Session};
use crate::settings::config::Config;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::sync::Arc;

impl Roster {
    /// Makes an event part of the roster. Never decides, never fails.
    pub fn apply(&mut self, record: &Record) -> Delta {
        self.at = record.sequence;
        self.stamp = record.stamp;
        let delta = self.take(record);
        let told = self.list(&delta, &record.event);
        Delta { told, ..delta }
    }

    fn take(&mut self, record: &Record) -> Delta {
        match &record.event {
            Event::Created {
                key,
                config,
                creator,
                ..
            } => {
                self.resource_key = Some(key.of_resources());
                self.begin(config, creator, record.stamp)
            }
            Event::Unknown | Event::Unlocked | Event::Private(_) | Event::Announced => {
                Delta::default()
            }
            Event::Joined {
                person, session, ..
            } => self.arrive(Some(person), session),
            Event::Online { session } => self.arrive(None, session),
            Event::Updated { session, presence } => {
                self.update(*session, presence, record.sequence)
            }
            Event::Left { session, .. } => self.leave(*session),
            Event::Renamed { person, .. } | Event::Changed { person, .. } => {
                self.touch(person.no, |r| r.put_person(person))
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
            }),
            Event::Removed { person, .. } => self.touch(person.no, |r| {
                r.put_person(person);
                r.drop_sessions(person.no, None);
                r.participate(person.no, None);
            }),
            Event::Message(message) => self.message(message, record.stamp),
            Event::Configured { config } => self.configure(config, record.stamp),
            Event::Destroyed { alternate, .. } => self.end(alternate.as_ref()),
        }
    }

    fn begin(&mut self, config: &Arc<Config>, creator: &Arc<Person>, stamp: Timestamp) -> Delta {
        self.exists = true;
        self.alternate = None;
        self.config = Arc::clone(config);
        self.configured = stamp;
        self.touch(creator.no, |r| r.put_person(creator))
    }

    /// Numbers and stamps go on: a later channel of this name uses none of them again.
    fn end(&mut self, alternate: Option<&SmolStr>) -> Delta {
        let everybody = self.people().collect();
        let next = Self {
            at: self.at,
            stamp: self.stamp,
            next_person: self.next_person,
            next_session: self.next_session,
            alternate: alternate.cloned(),
            ..Self::default()
        };
        Delta {
            everybody,
            ended: Some(Arc::new(std::mem::replace(self, next))),
            ..Delta::default()
        }
    }

    fn configure(&mut self, config: &Arc<Config>, stamp: Timestamp) -> Delta {
        self.configured = stamp;
        let before = std::mem::replace(&mut self.config, Arc::clone(config));
        Delta {
            config_before: Some(before),
            ..Delta::default()
        }
    }

    fn message(&mut self, message: &Arc<Message>, stamp: Timestamp) -> Delta {
        if message.subject.is_some() {
            let message = Arc::clone(message);
            self.subject = Some(Arc::new(Subject { stamp, message }));
        }
        Delta::default()
    }

    fn arrive(&mut self, person: Option<&Arc<Person>>, session: &Arc<Session>) -> Delta {
        let delta = self.touch(session.person, |r| {
            if let Some(person) = person {
                r.put_person(person);
            }
            r.put_session(session);
        });
        Delta {
            session: Some(Arc::clone(session)),
            ..delta
        }
    }

    /// Changes neither indexes nor counts.
    fn update(&mut self, no: SessionNo, presence: &Arc<Presence>, at: Sequence) -> Delta {
        let Some(old) = self.sessions.get(no).cloned() else {
            return Delta::default();
        };
        let before = self.view(old.person);
        let new = Session {
            presence: Arc::clone(presence),
            updated: at,
            ..(*old).clone()
        };
        self.sessions.insert(no, Arc::new(new));
        Delta {
            before,
            after: self.view(old.person),
            session: Some(old),
            ..Delta::default()
        }
    }

    fn leave(&mut self, no: SessionNo) -> Delta {
        let Some(session) = self.sessions.get(no).cloned() else {
            return Delta::default();
        };
        let delta = self.touch(session.person, |r| r.drop_session(&session));
        Delta {
            session: Some(session),
            ..delta
        }
    }

    fn touch(&mut self, no: PersonNo, change: impl FnOnce(&mut Self)) -> Delta {
        let before = self.view(no);
        self.unsettle(no);
        change(self);
        self.tidy(no);
        self.settle(no);
        Delta {
            before,
            after: self.view(no),
            ..Delta::default()
        }
    }

    /// Makes a person part of counts and of the nicks in use.
    pub(super) fn settle(&mut self, no: PersonNo) {
        if let Some(key) = self.nick_key(no).map(Cow::into_owned) {
            self.nicks.insert(&key, no);
        }
        self.count(no, |count, is| *count += usize::from(is));
    }

    fn unsettle(&mut self, no: PersonNo) {
        if let Some(key) = self.nick_key(no).map(Cow::into_owned) {
            self.nicks.remove(&key, no);
        }
        self.count(no, |count, is| {
            *count = count.saturating_sub(usize::from(is));
        });
    }

    fn count(&mut self, no: PersonNo, change: impl Fn(&mut usize, bool)) {
        let Some(member) = self.people.get(no) else {
            return;
        };
        let (there, online) = (
            self.is_there(member),
            !member.sessions.as_slice().is_empty(),
        );
        let participates = member.participation.is_some();
        let affiliation = member.person.affiliation;
        change(&mut self.counts.occupants, there);
        change(&mut self.counts.online, online);
        change(&mut self.counts.participants, participates);
        change(&mut self.counts.owners, affiliation == Affiliation::Owner);
        let outcast = affiliation == Affiliation::Outcast;
        change(&mut self.counts.outcasts, outcast);
    }

    pub(super) fn put_person(&mut self, person: &Arc<Person>) {
        self.next_person = self.next_person.max(person.no.0.saturating_add(1));
        self.forget_reservation(person.no);
        if let Some(nick) = &person.reserved {
            self.reserved.insert(nick.key(), person.no);
        }
        self.by_bare.insert(person.jid.as_str(), person.no);
        match self.people.get_mut(person.no) {
            Some(member) => member.person = Arc::clone(person),
            None => {
                let member = Member {
                    person: Arc::clone(person),
                    sessions: List::default(),
                    participation: None,
                };
                self.people.insert(person.no, member);
            }
        }
    }

    pub(super) fn put_session(&mut self, session: &Arc<Session>) {
        self.next_session = self.next_session.max(session.no.0.saturating_add(1));
        let Some(member) = self.people.get_mut(session.person) else {
            return;
        };
        member.sessions.push(session.no);
        self.full_index_mut(session.view)
            .insert(session.jid.as_str(), session.no);
        self.sessions.insert(session.no, Arc::clone(session));
    }

    pub(super) fn participate(&mut self, no: PersonNo, participation: Option<&Arc<Participation>>) {
        if let Some(member) = self.people.get_mut(no) {
            member.participation = participation.cloned();
        }
    }

    fn drop_session(&mut self, session: &Session) {
        self.sessions.remove(session.no);
        self.full_index_mut(session.view)
            .remove(session.jid.as_str(), session.no);
        if let Some(member) = self.people.get_mut(session.person) {
            member.sessions.remove(session.no);
        }
    }

    fn drop_sessions(&mut self, no: PersonNo, only: Option<View>) {
        let Some(member) = self.people.get(no) else {
            return;
        };
        let sessions: Vec<_> = member
            .sessions
            .as_slice()
            .iter()
            .filter_map(|no| self.sessions.get(*no).cloned())
            .filter(|s| only.is_none_or(|view| s.view == view))
            .collect();
        for session in sessions {
            self.drop_session(&session);
        }
    }

    /// What it entails that somebody is no longer there: a grant ends (that of a moderator with the last session: MAP-20),
    /// the nick is free, and a person that nothing lasting ties to the channel is forgotten.
    fn tidy(&mut self, no: PersonNo) {
        let Some(member) = self.people.get(no) else {
            return;
        };
        let there = self.is_there(member);
        let moderating = there && !member.sessions.as_slice().is_empty();
        let person = &member.person;
        let lasting = there || person.lasting();
        let granted = person
            .granted
            .filter(|role| there && (moderating || *role != Role::Moderator));
        let nick = person.nick.as_ref().filter(|_| there);
        if granted != person.granted || nick != person.nick.as_ref() {
            let person = Person {
                granted,
                nick: nick.cloned(),
                ..(**person).clone()
            };
            self.put_person(&Arc::new(person));
        }
        if !there {
            self.drop_sessions(no, None);
        }
        if !lasting {
            self.forget_person(no);
        }
    }

    fn forget_person(&mut self, no: PersonNo) {
        self.forget_reservation(no);
        if let Some(member) = self.people.remove(no) {
            self.by_bare.remove(member.person.jid.as_str(), no);
        }
    }

    fn forget_reservation(&mut self, no: PersonNo) {
        if let Some(key) = self.reserved_key(no).cloned() {
            self.reserved.remove(&key, no);
        }
    }

    const fn full_index_mut(&mut self, view: View) -> &mut Index<SessionNo> {
        let [muc, mix] = &mut self.by_full;
        match view {
            View::Muc => muc,
            View::Mix => mix,
        }
    }
}
