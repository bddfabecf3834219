//! The owner form: who may see it, and what a submit changes (XEP-0045 §10; MUC-CREATE-04..07, MUC-CONF).

use super::{config::Config, service::Service};
use crate::channel::{Channel, Decision, Facts};
use crate::command::{Sender, Settings};
use crate::event::{Cause, Event};
use crate::life::persistence::{self, Ending};
use crate::people::visibility::Visibility;
use crate::people::{affiliation::Affiliation, person::Person, role::Role};
use crate::query::Answer;
use crate::{Condition, Refusal};
use smol_str::SmolStr;
use std::sync::Arc;

/// Errors: `item-not-found` without the room, `forbidden` for others than owners (MUC-CONF-02).
pub(crate) fn may_configure(channel: &Channel, sender: &Sender) -> Result<(), Refusal> {
    channel.must_exist_for(sender)?;
    if channel.affiliation(&sender.bare) != Affiliation::Owner {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    Ok(())
}

/// A submitted form: all of it or nothing (MUC-CONF-04); the first one unlocks the room (MUC-CREATE-04, 05).
///
/// In order: participants become members (MAP-16), the settings hold, those who may no longer be here leave (MUC-CONF-11),
/// visitors have voice again (MUC-ROLE-16), the room is unlocked, and ends if it is temporary and empty (MUC-CONF-14).
pub fn submit(
    channel: &Channel,
    sender: &Sender,
    settings: &Settings,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    may_configure(channel, sender)?;
    let old = channel.roster.config();
    let new = changed(old, settings)?;
    acceptable(channel, &new, &facts.service)?;
    let mut decision = Decision::default();
    let mut leaving = Vec::new();
    let persistent = new.persistent;
    if new != **old {
        let shut = new.members_only && !old.members_only;
        if shut {
            decision.events.extend(adopt(channel));
            leaving = strangers(channel);
        }
        let voice = old.moderated && !new.moderated;
        let config = Arc::new(new);
        decision.events.push(Event::Configured { config });
        decision.events.extend(leaving.iter().map(expelled));
        if voice {
            decision.events.extend(voiced(channel, shut, &leaving));
        }
    }
    if channel.lock.is_some() {
        decision.events.push(Event::Unlocked);
    }
    let endings: Vec<_> = leaving.iter().map(|p| Ending::All(p.no)).collect();
    let end = persistence::after_as(channel, persistent, &endings);
    decision.events.extend(end);
    Ok(decision.and_answer(Answer::Done))
}

/// A cancelled form ends a room that was never configured (MUC-CREATE-07), else changes nothing (MUC-CONF-05).
pub fn cancel(channel: &Channel, sender: &Sender) -> Result<Decision, Refusal> {
    may_configure(channel, sender)?;
    let mut decision = Decision::default();
    if channel.lock.is_some() {
        decision.events.push(persistence::destroyed());
    }
    Ok(decision.and_answer(Answer::Done))
}

/// The configuration with the settings put in. Errors: `not-acceptable` (MUC-CFG-08).
fn changed(old: &Config, s: &Settings) -> Result<Config, Refusal> {
    let mut new = s.all.as_deref().unwrap_or(old).clone();
    set(&mut new.name, s.name.as_ref());
    set(&mut new.description, s.description.as_ref());
    set(&mut new.public, s.public.as_ref());
    set(&mut new.persistent, s.persistent.as_ref());
    set(&mut new.members_only, s.members_only.as_ref());
    set(&mut new.moderated, s.moderated.as_ref());
    new.visibility = visibility(new.visibility, s.visibility);
    new.password = password(new.password, s)?;
    Ok(new)
}

/// Source: MUC-CFG-08.
fn password(old: Option<SmolStr>, s: &Settings) -> Result<Option<SmolStr>, Refusal> {
    let given = s.password.clone().filter(|secret| !secret.is_empty());
    match (s.password_protected, &s.password) {
        (Some(false), _) => Ok(None),
        (Some(true), Some(_)) => given.map(Some).ok_or_else(no_secret),
        (Some(true), None) => old.map(Some).ok_or_else(no_secret),
        (None, Some(_)) => Ok(given),
        (None, None) => Ok(old),
    }
}

/// The form knows two values: `moderators` leaves a room whose people choose themselves as it is (MAP-49).
fn visibility(old: Visibility, given: Option<Visibility>) -> Visibility {
    match (old, given) {
        (Visibility::Optional, Some(Visibility::Hidden)) => old,
        (old, given) => given.unwrap_or(old),
    }
}

/// Errors: `not-acceptable` for texts too long (MUC-ERR-10), and for a temporary room with participants (MAP-42).
fn acceptable(channel: &Channel, new: &Config, service: &Service) -> Result<(), Refusal> {
    let refused = |text| Err(Refusal::usual(Condition::NotAcceptable).text(text));
    let texts = [&new.name, &new.description, &new.lang].into_iter();
    let mut texts = texts.chain(&new.password);
    if texts.any(|text| text.len() > service.max_text_bytes) {
        return refused("this text is too long");
    }
    if !new.persistent && channel.roster.participants() > 0 {
        return refused("the room has MIX participants");
    }
    Ok(())
}

fn no_secret() -> Refusal {
    Refusal::usual(Condition::NotAcceptable).text("a password is needed")
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// Participants become members before the room becomes members-only (MAP-16).
fn adopt(channel: &Channel) -> impl Iterator<Item = Event> {
    let participates = |person: &&Arc<Person>| is_participant(channel, person);
    let participants = unaffiliated(channel).filter(participates);
    participants.map(|person| changed_by_nobody(member(person)))
}

/// Occupants by MUC alone who would not be let in any more, in order of their numbers.
fn strangers(channel: &Channel) -> Vec<Arc<Person>> {
    let visits = |person: &&Arc<Person>| !is_participant(channel, person);
    unaffiliated(channel).filter(visits).cloned().collect()
}

/// Those who are there, and in no way on the member list.
fn unaffiliated(channel: &Channel) -> impl Iterator<Item = &Arc<Person>> {
    let none = |person: &&Arc<Person>| channel.affiliation(&person.jid) == Affiliation::None;
    channel.roster.present().filter(none)
}

fn is_participant(channel: &Channel, person: &Person) -> bool {
    channel.roster.participation(person.no).is_some()
}

fn expelled(person: &Arc<Person>) -> Event {
    Event::Removed {
        person: Arc::clone(person),
        cause: Cause::MembersOnly,
        by: None,
        reason: None,
    }
}

/// Those whose voice was taken have it again in a room that is no longer moderated (MUC-ROLE-16). `shut`: it becomes
/// members-only as well, so these are leaving, and participants have just become members.
fn voiced(channel: &Channel, shut: bool, leaving: &[Arc<Person>]) -> impl Iterator<Item = Event> {
    let stays = |person: &&Arc<Person>| leaving.binary_search_by_key(&person.no, |p| p.no).is_err();
    let muted = |person: &&Arc<Person>| person.granted == Some(Role::Visitor);
    let people = channel.roster.present().filter(muted).filter(stays);
    people.map(move |person| {
        let none = channel.affiliation(&person.jid) == Affiliation::None;
        let adopted = shut && none && is_participant(channel, person);
        let person = if adopted {
            member(person)
        } else {
            (**person).clone()
        };
        changed_by_nobody(Person {
            granted: None,
            ..person
        })
    })
}

fn member(person: &Person) -> Person {
    Person {
        affiliation: Affiliation::Member,
        ..person.clone()
    }
}

fn changed_by_nobody(person: Person) -> Event {
    Event::Changed {
        person: Arc::new(person),
        by: None,
        reason: None,
    }
}
