//! When a channel ends by itself: a temporary room with its last occupant, an unconfigured one with its creator or its
//! time (MUC-LEAVE-06, MUC-CREATE-08, 09; MAP-42).

use crate::channel::{Channel, Decision, Facts};
use crate::event::Event;
use crate::ids::{PersonNo, SessionNo};

/// What follows when `session` of `person` (or its participation, if `None`) has ended.
pub(crate) fn after_leaving(
    channel: &Channel,
    person: PersonNo,
    session: Option<SessionNo>,
) -> Option<Event> {
    let roster = &channel.roster;
    let stays = |no: PersonNo| {
        roster.view(no).is_some_and(|view| {
            let muc = view.muc_sessions().any(|s| Some(s.no) != session);
            muc || session.is_some() && view.participation.is_some()
        })
    };
    let creator_gone = channel.lock.is_some_and(|lock| lock.creator == person) && !stays(person);
    let others = roster
        .people()
        .any(|view| view.person.no != person && view.present());
    let empty = !roster.config().persistent && !others && !stays(person);
    (creator_gone || empty).then_some(Event::Destroyed {
        alternate: None,
        reason: None,
        password: None,
    })
}

/// An unconfigured room's time is over (MUC-CREATE-09).
pub(crate) fn timer(channel: &Channel, facts: &Facts) -> Decision {
    match channel.lock {
        Some(lock) if lock.until <= facts.now => Decision::event(Event::Destroyed {
            alternate: None,
            reason: None,
            password: None,
        }),
        _ => Decision::default(),
    }
}
