//! One person as a whole, what of it the MUC view shows, and what an event changed.

use crate::command::View;
use crate::people::participation::{Node, Participation};
use crate::people::{affiliation::Affiliation, person::Person, role::Role};
use crate::presence::listing::Told;
use crate::presence::session::{Session, Show};
use crate::roster::Roster;
use crate::settings::config::Config;
use std::sync::Arc;

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
    /// The touched person after; `None` if it is forgotten.
    pub after: Option<PersonView>,
    /// The session that began, changed (as it was before) or ended.
    pub session: Option<Arc<Session>>,
    /// The settings before, if they changed.
    pub config_before: Option<Arc<Config>>,
    /// Everybody there was, when the channel was destroyed.
    pub everybody: Vec<PersonView>,
    /// The roster as it was, when the channel was destroyed.
    pub ended: Option<Arc<Roster>>,
    /// What subscribers of the participants node are told now, in order of ids.
    pub told: Vec<Told>,
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
    ///
    /// When subscribers of the participants node are told is [`crate::presence::listing`]'s.
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
