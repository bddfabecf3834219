//! What MUC sessions get when one person changes: joins, leaves, new presences, nicks, roles, affiliations, and all that
//! comes from the MIX side (MAP-72..78).
//!
//! There is one mechanism for all of them: the difference between what was shown and what is shown now. The event adds
//! why (a status, an actor, a reason) and nothing else.

use super::Muc;
use super::join::Burst;
use super::occupant::{Actor, Item, Look, Shape};
use super::presences::Variants;
use crate::render::{Change, Recipient, Sink};
use coven_core::event::{By, Cause};
use coven_core::people::visibility::{self, Viewer};
use coven_core::{
    Affiliation, Event, Person, PersonNo, PersonView, Role, Roster, Session, SessionNo, View,
};
use std::sync::Arc;

/// What an event says of a change besides the change itself.
#[derive(Debug, Clone, Copy, Default)]
struct Why<'a> {
    cause: Option<Cause>,
    by: Option<&'a By>,
    reason: Option<&'a str>,
    /// Child elements of an unavailable presence (MUC-LEAVE-02).
    farewell: &'a [u8],
    /// The service altered the nick (status 210).
    altered: bool,
}

impl<'a> Why<'a> {
    fn of(event: &'a Event) -> Self {
        match event {
            Event::Left { cause, payload, .. } => Self {
                cause: Some(*cause),
                farewell: payload,
                ..Self::default()
            },
            Event::Departed { cause, .. } => Self {
                cause: Some(*cause),
                ..Self::default()
            },
            Event::Removed {
                cause, by, reason, ..
            } => Self {
                cause: Some(*cause),
                ..Self::by(by.as_ref(), reason.as_deref())
            },
            Event::Changed { by, reason, .. } => Self::by(by.as_ref(), reason.as_deref()),
            Event::Renamed { altered, .. } => Self {
                altered: *altered,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    fn by(by: Option<&'a By>, reason: Option<&'a str>) -> Self {
        Self {
            by,
            reason,
            ..Self::default()
        }
    }

    /// An item with actor and reason as this recipient may see them.
    fn told(&self, item: Item<'a>, sees_jids: bool) -> Item<'a> {
        Item {
            actor: Actor::of(self.by, sees_jids),
            reason: self.reason,
            ..item
        }
    }

    /// The service ends for good (MUC-LEAVE-13).
    const fn is_shutdown(&self) -> bool {
        matches!(self.cause, Some(Cause::Shutdown))
    }

    const fn is_plain(&self) -> bool {
        self.by.is_none() && self.reason.is_none()
    }
}

/// The status of an end, to everybody (MUC-STATUS-12, 14 to 18).
const fn status(cause: Option<Cause>) -> Option<u16> {
    match cause {
        Some(Cause::Banned) => Some(301),
        Some(Cause::Kicked) => Some(307),
        Some(Cause::AffiliationLost) => Some(321),
        Some(Cause::MembersOnly) => Some(322),
        Some(Cause::Shutdown) => Some(332),
        Some(Cause::Ghost) => Some(333),
        Some(Cause::Left) | None => None,
    }
}

/// One person before and after, as others see it.
struct Difference<'a> {
    before: Option<&'a PersonView>,
    after: Option<&'a PersonView>,
    was: Option<Look>,
    is: Option<Look>,
    why: Why<'a>,
}

impl Muc {
    /// What follows from a change of one person: first to its own sessions, then to everybody else (MUC-LEAVE-01).
    pub(super) fn changed(&mut self, change: &Change<'_>, sink: &mut impl Sink) {
        let delta = change.delta;
        let (before, after) = (delta.before.as_ref(), delta.after.as_ref());
        let Some(no) = before.or(after).map(|view| view.person.no) else {
            return;
        };
        let difference = Difference {
            before,
            after,
            was: before.and_then(Look::of),
            is: after.and_then(Look::of),
            why: Why::of(&change.record.event),
        };
        match &difference.is {
            Some(look) => self.presences.put(look, change.roster),
            None => self.presences.forget(no),
        }
        self.own(change.roster, &difference, sink);
        if difference.why.is_shutdown() {
            // Everybody is told for oneself alone: all are out in a moment, and a room of n would be told n * n times.
            return;
        }
        self.newcomer(change, sink);
        self.newly_entitled(change.roster, &difference, sink);
        self.others(change.roster, no, &difference, sink);
    }

    /// A session that begins gets the whole room (MUC-ENTER-02, MUC-MULTI-07).
    fn newcomer(&mut self, change: &Change<'_>, sink: &mut impl Sink) {
        if let Event::Joined { session, entry, .. } = &change.record.event {
            let burst = Burst::first(entry, change.history);
            self.burst(change.roster, session, &burst, sink);
        }
    }

    /// The person's own sessions: those that ended, and those that go on (MUC-STATUS-05, MUC-MULTI-08, 10).
    fn own(&self, roster: &Roster, difference: &Difference<'_>, sink: &mut impl Sink) {
        let Some(before) = difference.before else {
            return;
        };
        let after = difference.after;
        for session in before.muc_sessions() {
            match after.and_then(|after| session_in(after, session.no)) {
                None => self.ended(roster, session, before, difference, sink),
                Some(_) if difference.why.is_shutdown() => {}
                Some(now) => self.goes_on(roster, session, now, difference, sink),
            }
        }
    }

    /// Source: MUC-LEAVE-01, 10; MUC-MULTI-09; MUC-PRES-02.
    fn ended(
        &self,
        roster: &Roster,
        session: &Session,
        before: &PersonView,
        difference: &Difference<'_>,
        sink: &mut impl Sink,
    ) {
        let person = after_all(difference).unwrap_or(&before.person);
        let item = Item {
            jid: Some(session.jid.as_str()),
            ..Item::new(affiliation(difference, person), Role::None)
        };
        let statuses = [110, status(difference.why.cause).unwrap_or_default()];
        let from = self.address(&before.person);
        let shape = Shape {
            payload: difference.why.farewell,
            statuses: known(&statuses),
            occupant: Some(person.id),
            ..Shape::unavailable(
                &from,
                difference.why.told(item, still_sees(roster, difference)),
            )
        };
        sink.send(&shape.template(), Recipient::session(session));
    }

    fn goes_on(
        &self,
        roster: &Roster,
        then: &Session,
        now: &Session,
        difference: &Difference<'_>,
        sink: &mut impl Sink,
    ) {
        let (Some(was), Some(is)) = (&difference.was, &difference.is) else {
            return;
        };
        let renamed = !was.same_nick(is);
        if renamed {
            let nick = is.person.shown_nick();
            let item = Item {
                jid: Some(now.jid.as_str()),
                nick: Some(&nick),
                ..Item::new(is.person.affiliation, is.role)
            };
            let from = was.address(&self.room);
            let shape = Shape {
                statuses: &[110, 303],
                occupant: Some(is.person.id),
                ..Shape::unavailable(&from, item)
            };
            sink.send(&shape.template(), Recipient::session(now));
        }
        let same = then.presence == now.presence && was.looks_like(is, false);
        if renamed || !same {
            let statuses = [110, if difference.why.altered { 210 } else { 0 }];
            let sees_jids = roster.sees_jids(&is.person, View::Muc);
            let item = difference.why.told(own_item(is, now), sees_jids);
            self.self_presence(is, now, item, known(&statuses), None, sink);
        }
    }

    /// A session's own presence: of its own availability, with its own address (MUC-MULTI-08, MUC-PRES-06, 15).
    pub(super) fn self_presence(
        &self,
        look: &Look,
        session: &Session,
        item: Item<'_>,
        statuses: &[u16],
        id: Option<&str>,
        sink: &mut impl Sink,
    ) {
        let from = look.address(&self.room);
        let shape = Shape {
            id,
            payload: &session.presence.payload,
            statuses,
            occupant: Some(look.person.id),
            ..Shape::available(&from, item)
        };
        sink.send(&shape.template(), Recipient::session(session));
    }

    /// Who may see real JIDs from now on gets the presences of the others again, with them (MUC-PRES-16, I-19).
    fn newly_entitled(
        &mut self,
        roster: &Roster,
        difference: &Difference<'_>,
        sink: &mut impl Sink,
    ) {
        let (Some(before), Some(after)) = (difference.before, difference.after) else {
            return;
        };
        let sees = |view: &PersonView| roster.sees_jids(&view.person, View::Muc);
        if sees(before) || !sees(after) {
            return;
        }
        for session in after.muc_sessions() {
            if session_in(before, session.no).is_some() {
                self.occupants(roster, session, sink);
            }
        }
    }

    /// Everybody else (MUC-PRES-04, 05, 07, 08, 17; MUC-MULTI-06).
    fn others(
        &mut self,
        roster: &Roster,
        no: PersonNo,
        difference: &Difference<'_>,
        sink: &mut impl Sink,
    ) {
        let broadcast = roster.config().broadcast;
        let shown = |look: &&Look| broadcast.shows(look.role);
        let was = difference.was.as_ref().filter(shown);
        let is = difference.is.as_ref().filter(shown);
        match (was, is) {
            (None, None) => {}
            (Some(was), None) => self.gone(roster, was, difference, sink),
            (None, Some(is)) => self.appears(roster, is, difference, sink),
            (Some(was), Some(is)) if was.same_nick(is) => {
                let plain = !was.looks_like(is, false);
                let with_jid = plain || !was.looks_like(is, true);
                if with_jid {
                    self.shows(roster, is, difference, [plain, with_jid], sink);
                }
            }
            (Some(was), Some(is)) => {
                self.renamed(roster, no, was, is, sink);
                self.appears(roster, is, difference, sink);
            }
        }
    }

    fn appears(
        &mut self,
        roster: &Roster,
        is: &Look,
        difference: &Difference<'_>,
        sink: &mut impl Sink,
    ) {
        self.shows(roster, is, difference, [true, true], sink);
    }

    /// Available presence to those who do not see real JIDs, to those who do, or to both (`whom`).
    fn shows(
        &mut self,
        roster: &Roster,
        is: &Look,
        difference: &Difference<'_>,
        whom: [bool; 2],
        sink: &mut impl Sink,
    ) {
        let [plain, with_jid] = whom;
        let wanted = |sees_jids: bool| if sees_jids { with_jid } else { plain };
        let why = difference.why;
        let (told, made) = (Variants::default(), Variants::default());
        let entry = self.presences.get(is, roster).unwrap_or(&made);
        let room = &self.room;
        for (session, sees_jids) in recipients(roster, is.person.no) {
            if !wanted(sees_jids) {
                continue;
            }
            let template = if why.is_plain() {
                entry.get(sees_jids, || is.template(room, sees_jids))
            } else {
                told.get(sees_jids, || {
                    let from = is.address(room);
                    let shape = Shape {
                        payload: is.payload(),
                        occupant: Some(is.person.id),
                        ..Shape::available(&from, why.told(is.item(sees_jids), sees_jids))
                    };
                    shape.template()
                })
            };
            sink.send(template, Recipient::session(session));
        }
    }

    /// Unavailable: because the person is gone, or because its role is no longer shown, which is no removal
    /// (MUC-PRES-07).
    fn gone(&self, roster: &Roster, was: &Look, difference: &Difference<'_>, sink: &mut impl Sink) {
        let hidden = difference.is.is_some();
        let why = if hidden {
            Why::default()
        } else {
            difference.why
        };
        let person = after_all(difference).unwrap_or(&was.person);
        let statuses = [status(why.cause).unwrap_or_default()];
        let from = was.address(&self.room);
        let variants = Variants::default();
        for (session, sees_jids) in recipients(roster, was.person.no) {
            let template = variants.get(sees_jids, || {
                let item = Item {
                    jid: sees_jids.then(|| was.jid()),
                    ..Item::new(affiliation(difference, person), Role::None)
                };
                let shape = Shape {
                    payload: why.farewell,
                    statuses: known(&statuses),
                    occupant: Some(person.id),
                    ..Shape::unavailable(&from, why.told(item, sees_jids))
                };
                shape.template()
            });
            sink.send(template, Recipient::session(session));
        }
    }

    /// Source: MUC-NICK-01, MUC-STATUS-13.
    fn renamed(&self, roster: &Roster, no: PersonNo, was: &Look, is: &Look, sink: &mut impl Sink) {
        let (from, nick) = (was.address(&self.room), is.person.shown_nick());
        let variants = Variants::default();
        for (session, sees_jids) in recipients(roster, no) {
            let template = variants.get(sees_jids, || {
                let item = Item {
                    nick: Some(&nick),
                    ..is.item(sees_jids)
                };
                let shape = Shape {
                    statuses: &[303],
                    occupant: Some(is.person.id),
                    ..Shape::unavailable(&from, item)
                };
                shape.template()
            });
            sink.send(template, Recipient::session(session));
        }
    }

    fn address(&self, person: &Person) -> smol_str::SmolStr {
        smol_str::format_smolstr!("{}/{}", self.room, person.shown_nick())
    }
}

/// The MUC sessions of everybody but one person, and whether they see real JIDs by the state now (I8).
pub(super) fn recipients(
    roster: &Roster,
    except: PersonNo,
) -> impl Iterator<Item = (&Arc<Session>, bool)> {
    let others = move |s: &&Arc<Session>| s.view == View::Muc && s.person != except;
    roster.sessions().filter(others).map(|session| {
        let person = roster.person(session.person);
        let sees_jids = person.is_some_and(|person| roster.sees_jids(person, View::Muc));
        (session, sees_jids)
    })
}

/// A person's own item in its own session.
pub(super) fn own_item<'a>(look: &Look, session: &'a Session) -> Item<'a> {
    Item {
        jid: Some(session.jid.as_str()),
        ..Item::new(look.person.affiliation, look.role)
    }
}

/// Status codes without the places that were left empty.
pub(super) fn known(statuses: &[u16]) -> &[u16] {
    let end = statuses.iter().rposition(|s| *s != 0).map_or(0, |i| i + 1);
    statuses.get(..end).unwrap_or_default()
}

fn session_in(view: &PersonView, no: SessionNo) -> Option<&Arc<Session>> {
    view.sessions.iter().find(|session| session.no == no)
}

/// The record that holds after the event, if the channel still knows the person.
fn after_all<'a>(difference: &Difference<'a>) -> Option<&'a Arc<Person>> {
    difference.after.map(|view| &view.person)
}

/// Whether somebody whose session has ended sees real JIDs: with the affiliation that is left, and no role (I8).
fn still_sees(roster: &Roster, difference: &Difference<'_>) -> bool {
    let viewer = Viewer {
        affiliation: after_all(difference).map_or(Affiliation::None, |person| person.affiliation),
        role: Role::None,
    };
    visibility::sees_jids(roster.config().visibility, viewer)
}

/// The affiliation after an end (MUC-PRES-02). After a shutdown there is none (MUC-LEAVE-13); somebody whom the channel
/// has forgotten had none.
fn affiliation(difference: &Difference<'_>, person: &Person) -> Affiliation {
    match (difference.why.cause, difference.after) {
        (Some(Cause::Shutdown), _) | (_, None) => Affiliation::None,
        _ => person.affiliation,
    }
}
