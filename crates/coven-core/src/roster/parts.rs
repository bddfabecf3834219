//! A roster taken apart and put together again: what a snapshot stores.

use super::Roster;
use crate::event::Subject;
use crate::ids::{ChannelKey, Sequence, Timestamp};
use crate::people::participation::Participation;
use crate::people::person::Person;
use crate::presence::listing::Untold;
use crate::presence::session::Session;
use crate::settings::config::Config;
use smol_str::SmolStr;
use std::sync::Arc;

/// A roster taken apart, for snapshots. Two rosters with the same parts are the same.
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
    /// Comes from the channel's key ([`ChannelKey::of_resources`]), so a snapshot need not hold it.
    pub resource_key: Option<ChannelKey>,
    /// People with their participation, in order of first contact.
    pub people: Vec<(Arc<Person>, Option<Arc<Participation>>)>,
    /// Sessions in order of their beginning.
    pub sessions: Vec<Arc<Session>>,
    /// What subscribers of the participants node have not been told yet, in order of ids.
    pub untold: Vec<Untold>,
    /// See [`Roster::next_person`].
    pub next_person: u32,
    /// See [`Roster::next_session`].
    pub next_session: u32,
}

impl Roster {
    /// Puts a roster together from its parts.
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
            resource_key: parts.resource_key,
            ..Self::default()
        };
        for (person, participation) in &parts.people {
            roster.put_person(person);
            roster.participate(person.no, participation.as_ref());
        }
        for session in &parts.sessions {
            roster.put_session(session);
        }
        for (person, _) in &parts.people {
            roster.settle(person.no);
        }
        for untold in parts.untold {
            roster.listing.put(untold);
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
            resource_key: self.resource_key,
            people: self
                .people
                .values()
                .map(|m| (Arc::clone(&m.person), m.participation.clone()))
                .collect(),
            sessions: self.sessions.values().cloned().collect(),
            untold: self.listing.iter().cloned().collect(),
            next_person: self.next_person,
            next_session: self.next_session,
        }
    }
}
