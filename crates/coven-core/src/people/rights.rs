//! Setting affiliations and roles: the events of kick, ban, membership and voice (MUC-ROLE, MUC-AFF, MAP-14..20).
//!
//! Here are the power rules that everything builds on; admin lists on the wire come with a later step.

use super::{affiliation::Affiliation, nick::Nick, person::Person, role::Role};
use crate::channel::{Channel, Decision};
use crate::command::Sender;
use crate::event::{By, Cause, Event};
use crate::ids::{ChannelKey, StableId};
use crate::query::Answer;
use crate::{BareJid, Condition, Refusal};
use smol_str::SmolStr;
use std::sync::Arc;

/// Sets the affiliation of a bare JID or domain. Only admins and owners; only owners make or unmake those; a channel
/// keeps an owner.
pub fn set_affiliation(
    channel: &Channel,
    sender: &Sender,
    jid: &BareJid,
    affiliation: Affiliation,
    reason: Option<&SmolStr>,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let actor = channel.affiliation(&sender.bare);
    let old = channel
        .roster
        .person_of(jid)
        .map_or(Affiliation::None, |p| p.affiliation);
    if actor < Affiliation::Admin
        || (actor == Affiliation::Admin && old.max(affiliation) >= Affiliation::Admin)
    {
        return Err(Refusal::usual(if actor < Affiliation::Admin {
            Condition::Forbidden
        } else {
            Condition::NotAllowed
        }));
    }
    if old == Affiliation::Owner && affiliation != Affiliation::Owner && owners(channel) == 1 {
        return Err(Refusal::usual(Condition::Conflict));
    }
    if affiliation == Affiliation::Outcast && *jid == sender.bare {
        return Err(Refusal::usual(Condition::Conflict));
    }
    let person = Person {
        affiliation,
        granted: None,
        ..known(channel, jid)
    };
    let event = changed(channel, sender, person, reason);
    Ok(Decision::event(event).and_answer(Answer::Done))
}

/// Sets the role of an occupant; none kicks. Only moderators; nobody may act on a higher affiliation.
pub fn set_role(
    channel: &Channel,
    sender: &Sender,
    nick: &str,
    role: Role,
    reason: Option<&SmolStr>,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let actor = channel
        .roster
        .person_of(&sender.bare)
        .filter(|p| channel.roster.role(p) == Role::Moderator);
    let actor = actor.ok_or_else(|| Refusal::usual(Condition::Forbidden))?;
    let target = Nick::new(nick).and_then(|n| channel.roster.holder(&n));
    let target = target.ok_or_else(|| Refusal::usual(Condition::ItemNotFound))?;
    let above = target.affiliation >= Affiliation::Admin || target.affiliation > actor.affiliation;
    let granting = role == Role::Moderator && actor.affiliation < Affiliation::Admin;
    if above || granting {
        return Err(Refusal::usual(Condition::NotAllowed));
    }
    let (by, reason) = (Some(by(channel, sender)), reason.cloned());
    let event = if role == Role::None {
        Event::Removed {
            person: Arc::clone(target),
            cause: Cause::Kicked,
            by,
            reason,
        }
    } else {
        let person = Person {
            granted: Some(role),
            ..(**target).clone()
        };
        Event::Changed {
            person: Arc::new(person),
            by,
            reason,
        }
    };
    Ok(Decision::event(event).and_answer(Answer::Done))
}

fn changed(channel: &Channel, sender: &Sender, person: Person, reason: Option<&SmolStr>) -> Event {
    let lost = channel.roster.config().members_only && person.affiliation == Affiliation::None;
    let cause = match person.affiliation {
        Affiliation::Outcast => Some(Cause::Banned),
        _ if lost => Some(Cause::AffiliationLost),
        _ => None,
    };
    let present = channel
        .roster
        .view(person.no)
        .is_some_and(|view| view.present());
    let reserved = person
        .reserved
        .clone()
        .filter(|_| person.affiliation != Affiliation::Outcast);
    let (person, by, reason) = (
        Arc::new(Person { reserved, ..person }),
        Some(by(channel, sender)),
        reason.cloned(),
    );
    match cause.filter(|_| present) {
        Some(cause) => Event::Removed {
            person,
            cause,
            by,
            reason,
        },
        None => Event::Changed { person, by, reason },
    }
}

fn by(channel: &Channel, sender: &Sender) -> By {
    let person = channel.roster.person_of(&sender.bare);
    By {
        nick: person
            .and_then(|p| p.nick.as_ref())
            .map(|n| n.as_str().into()),
        jid: sender.bare.clone(),
    }
}

fn known(channel: &Channel, jid: &BareJid) -> Person {
    if let Some(person) = channel.roster.person_of(jid) {
        return (**person).clone();
    }
    let key = channel.key.unwrap_or(ChannelKey([0; 32]));
    Person {
        no: channel.roster.next_person(),
        jid: jid.clone(),
        id: StableId::of(&key, jid.as_str()),
        nick: None,
        reserved: None,
        affiliation: Affiliation::None,
        granted: None,
    }
}

fn owners(channel: &Channel) -> usize {
    channel
        .roster
        .persons()
        .filter(|p| p.affiliation == Affiliation::Owner)
        .count()
}
