//! When a channel ends by itself: a temporary room with its last occupant, an unconfigured one with its creator or its
//! time (MUC-LEAVE-06, MUC-CREATE-08, 09; MAP-42).

use crate::channel::{Channel, Decision, Facts};
use crate::event::Event;
use crate::ids::{PersonNo, SessionNo};

/// What of a person has just ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending<'a> {
    /// These sessions.
    Sessions(PersonNo, &'a [SessionNo]),
    /// The participation, with the sessions of its clients.
    Participation(PersonNo),
    /// All of it, by somebody else's act.
    All(PersonNo),
}

/// What follows when all this has ended (each of another person).
pub(crate) fn after(channel: &Channel, endings: &[Ending<'_>]) -> Option<Event> {
    after_as(channel, channel.roster.config().persistent, endings)
}

/// The same, if the room is persistent, or temporary, from now on.
pub(crate) fn after_as(
    channel: &Channel,
    persistent: bool,
    endings: &[Ending<'_>],
) -> Option<Event> {
    let gone = || endings.iter().filter(|ending| vanishes(channel, **ending));
    let creator_gone = channel
        .lock
        .is_some_and(|lock| gone().any(|ending| ending.person() == lock.creator));
    let empty = !persistent && channel.roster.occupants() == gone().count();
    (creator_gone || empty).then(destroyed)
}

/// A room ends without anybody's word.
pub(crate) const fn destroyed() -> Event {
    Event::Destroyed {
        alternate: None,
        reason: None,
        password: None,
    }
}

/// An unconfigured room's time is over (MUC-CREATE-09).
pub(crate) fn timer(channel: &Channel, facts: &Facts) -> Decision {
    match channel.lock {
        Some(lock) if lock.until <= facts.now => Decision::event(destroyed()),
        _ => Decision::default(),
    }
}

impl Ending<'_> {
    const fn person(&self) -> PersonNo {
        match self {
            Self::Sessions(no, _) | Self::Participation(no) | Self::All(no) => *no,
        }
    }
}

/// Whether somebody who was there no longer is: neither a MUC session nor a participation is left (MAP-46).
fn vanishes(channel: &Channel, ending: Ending<'_>) -> bool {
    let view = channel.roster.view(ending.person());
    let Some(view) = view.filter(|view| view.present()) else {
        return false;
    };
    match ending {
        Ending::Sessions(_, ended) => {
            view.participation.is_none() && view.muc_sessions().all(|s| ended.contains(&s.no))
        }
        Ending::Participation(_) => view.muc_sessions().next().is_none(),
        Ending::All(_) => true,
    }
}
