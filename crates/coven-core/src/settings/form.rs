//! The owner form: who may see it, and what a submit changes (XEP-0045 §10; MUC-CREATE-04..07, MUC-CONF).

use super::config::Config;
use crate::channel::{Channel, Decision};
use crate::command::{Sender, Settings};
use crate::event::{Cause, Event};
use crate::people::affiliation::Affiliation;
use crate::query::Answer;
use crate::{Condition, Refusal};
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
pub fn submit(
    channel: &Channel,
    sender: &Sender,
    settings: &Settings,
) -> Result<Decision, Refusal> {
    may_configure(channel, sender)?;
    let config = changed(channel.roster.config(), settings)?;
    if !config.persistent && channel.roster.participants() > 0 {
        return Err(Refusal::usual(Condition::NotAcceptable).text("the room has MIX participants"));
    }
    let mut decision = Decision::default();
    let members_only = config.members_only && !channel.roster.config().members_only;
    let empties = !config.persistent && channel.roster.is_empty();
    if config != **channel.roster.config() {
        if members_only {
            decision.events.extend(adopt(channel));
        }
        decision.events.push(Event::Configured {
            config: Arc::new(config),
        });
        if members_only {
            decision.events.extend(expel(channel));
        }
    }
    if channel.lock.is_some() {
        decision.events.push(Event::Unlocked);
    }
    if empties {
        decision.events.push(Event::Destroyed {
            alternate: None,
            reason: None,
            password: None,
        });
    }
    Ok(decision.and_answer(Answer::Done))
}

/// A cancelled form ends a room that was never configured (MUC-CREATE-07), else changes nothing (MUC-CONF-05).
pub fn cancel(channel: &Channel, sender: &Sender) -> Result<Decision, Refusal> {
    may_configure(channel, sender)?;
    let mut decision = Decision::default();
    if channel.lock.is_some() {
        decision.events.push(Event::Destroyed {
            alternate: None,
            reason: None,
            password: None,
        });
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
    set(&mut new.visibility, s.visibility.as_ref());
    let secret = s.password.clone().filter(|p| !p.is_empty());
    new.password = match (s.password_protected, &s.password) {
        (Some(false), _) => None,
        (Some(true), _) => Some(
            secret
                .or_else(|| old.password.clone())
                .ok_or_else(no_secret)?,
        ),
        (None, Some(_)) => secret,
        (None, None) => new.password,
    };
    Ok(new)
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
    let lacks = |view: &crate::PersonView| {
        view.participation.is_some() && view.affiliation() == Affiliation::None
    };
    channel.roster.people().filter(lacks).map(|view| {
        let person = crate::Person {
            affiliation: Affiliation::Member,
            ..(*view.person).clone()
        };
        Event::Changed {
            person: Arc::new(person),
            by: None,
            reason: None,
        }
    })
}

/// MUC occupants without affiliation leave with status 322 (MUC-CONF-11).
fn expel(channel: &Channel) -> impl Iterator<Item = Event> {
    let lacks = |view: &crate::PersonView| {
        view.participation.is_none() && view.present() && view.affiliation() == Affiliation::None
    };
    channel
        .roster
        .people()
        .filter(lacks)
        .map(|view| Event::Removed {
            person: view.person,
            cause: Cause::MembersOnly,
            by: None,
            reason: None,
        })
}
