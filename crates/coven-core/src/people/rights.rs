//! Setting affiliations and roles: the events of kick, ban, membership and voice (MUC-ROLE, MUC-AFF, MAP-14..20).
//!
//! Here are the power rules that everything builds on, for one person; lists on the wire come with a later step. An entry
//! of a domain lets in or keeps out its people and gives them nothing else: only bare JIDs become administrators or owners.

use super::person::{self, Person};
use super::role::{self, Role};
use super::{affiliation::Affiliation, nick, nick::Nick};
use crate::channel::{Channel, Decision, Facts};
use crate::command::{Grant, RoleChange, Sender};
use crate::event::{By, Cause, Event};
use crate::ids::{PersonNo, Timestamp};
use crate::life::persistence::{self, Ending};
use crate::query::Answer;
use crate::{BareJid, Condition, Refusal};
use smol_str::SmolStr;
use std::sync::Arc;

/// Sets the affiliation of a bare JID or domain. Who may: MUC-AFF-04..09. Who is no longer let in leaves (MUC-AFF-12, 13,
/// 18; MAP-16, 18); setting what holds already changes nothing but a reservation (MUC-AFF-28).
pub(crate) fn set_affiliation(
    channel: &Channel,
    sender: &Sender,
    grant: &Grant,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let old = person::known(channel, &grant.jid, facts);
    may_set_affiliation(channel, sender, &old, grant.affiliation)?;
    facts.service.bounds(grant.reason.as_ref())?;
    let new = Person {
        reserved: reservation(channel, &old, grant, facts)?.map(Box::new),
        ..old.clone()
    };
    let act = Act::new(channel, sender, grant.reason.as_ref());
    if new.affiliation == grant.affiliation {
        let changed = (new != old).then(|| act.changed(Arc::new(new)));
        return Ok(act.done(channel, Vec::from_iter(changed), &[]));
    }
    person::has_place(channel, &grant.jid, facts)?;
    let affected = affected(channel, &new);
    let (events, removed) = act.affiliate(channel, new, grant.affiliation, affected);
    Ok(act.done(channel, events, &removed))
}

/// The nick that is reserved for who is given an affiliation (MUC-NICK-14); that of somebody who gets none stays. A nick
/// that somebody else has at the moment may be given away: who has it keeps it until leaving (MUC-NICK-15, I-23).
///
/// Errors: those of a nick, `conflict` for one reserved for somebody else, `not-acceptable` for a domain.
fn reservation(
    channel: &Channel,
    person: &Person,
    grant: &Grant,
    facts: &Facts,
) -> Result<Option<Nick>, Refusal> {
    let grants = grant.affiliation >= Affiliation::Member;
    let Some(raw) = grant.nick.as_ref().filter(|_| grants) else {
        return Ok(person.reserved.as_deref().cloned());
    };
    if raw.is_empty() {
        return Ok(None);
    }
    if person.jid.is_domain() {
        return Err(Refusal::usual(Condition::NotAcceptable).text("a domain has no nickname"));
    }
    let nick = nick::allowed(raw, facts)?;
    let reserver = channel.roster.reserver(&nick);
    if reserver.is_some_and(|other| other.no != person.no) {
        return Err(Refusal::usual(Condition::Conflict).text("this nickname is reserved"));
    }
    Ok(Some(nick))
}

/// Sets the role of an occupant; none kicks. Who may: MUC-ROLE-04..13, MAP-19. Setting what holds changes nothing.
pub fn set_role(
    channel: &Channel,
    sender: &Sender,
    change: &RoleChange,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    let (role, reason) = (change.role, change.reason.as_ref());
    channel.must_exist_for(sender)?;
    let actor = channel
        .roster
        .person_of(&sender.bare)
        .filter(|p| channel.roster.role(p) == Role::Moderator)
        .ok_or_else(|| Refusal::usual(Condition::Forbidden))?;
    let target = Nick::new(&change.nick)
        .and_then(|nick| channel.roster.holder(&nick))
        .ok_or_else(|| Refusal::usual(Condition::ItemNotFound))?;
    may_set_role(channel, actor, target, role)?;
    facts.service.bounds(reason)?;
    let act = Act::new(channel, sender, reason);
    if role == Role::None {
        protected(channel, target, facts.now)?;
        let kicked = act.removed(Arc::clone(target), Cause::Kicked);
        return Ok(act.done(channel, vec![kicked], &[target.no]));
    }
    if channel.roster.role(target) == role {
        return Ok(Decision::answer(Answer::Done));
    }
    let usual = role::initial(target.affiliation, channel.roster.config());
    let person = Person {
        granted: (role != usual).then_some(role),
        ..(**target).clone()
    };
    Ok(act.done(channel, vec![act.changed(Arc::new(person))], &[]))
}

/// Who acts, and what is said about it.
struct Act<'a> {
    by: By,
    reason: Option<&'a SmolStr>,
}

impl<'a> Act<'a> {
    fn new(channel: &Channel, sender: &Sender, reason: Option<&'a SmolStr>) -> Self {
        let person = channel.roster.person_of(&sender.bare);
        let nick = person.and_then(|p| p.nick.as_ref());
        Self {
            by: By {
                nick: nick.map(|nick| nick.as_str().into()),
                jid: sender.bare.clone(),
            },
            reason,
        }
    }

    /// The events of a new affiliation, and who leaves by it.
    fn affiliate(
        &self,
        channel: &Channel,
        old: Person,
        affiliation: Affiliation,
        affected: Vec<Arc<Person>>,
    ) -> (Vec<Event>, Vec<PersonNo>) {
        let banned = affiliation == Affiliation::Outcast;
        let moderates = |role: &Role| *role == Role::Moderator;
        let person = Person {
            affiliation,
            granted: old
                .granted
                .filter(|role| moderates(role) && affiliation < Affiliation::Admin && !banned),
            reserved: old.reserved.filter(|_| !banned),
            ..old
        };
        let present = channel.roster.is_present(person.no);
        let cause = excluded(channel, &person.jid, affiliation).filter(|_| present);
        let mut removed = Vec::from_iter(cause.map(|_| person.no));
        let person = Arc::new(person);
        let mut events = vec![match cause {
            Some(cause) => self.removed(person, cause),
            None => self.changed(person),
        }];
        let of_domain = barred(channel, affiliation);
        for (person, cause) in of_domain
            .into_iter()
            .flat_map(|c| affected.iter().map(move |p| (p, c)))
        {
            events.push(self.removed(Arc::clone(person), cause));
            removed.push(person.no);
        }
        (events, removed)
    }

    fn changed(&self, person: Arc<Person>) -> Event {
        Event::Changed {
            person,
            by: Some(self.by.clone()),
            reason: self.reason.cloned(),
        }
    }

    fn removed(&self, person: Arc<Person>, cause: Cause) -> Event {
        Event::Removed {
            person,
            cause,
            by: Some(self.by.clone()),
            reason: self.reason.cloned(),
        }
    }

    /// The decision; a temporary room whose last occupant was removed ends (MUC-LEAVE-06).
    fn done(&self, channel: &Channel, mut events: Vec<Event>, removed: &[PersonNo]) -> Decision {
        let endings: Vec<_> = removed.iter().map(|no| Ending::All(*no)).collect();
        if !endings.is_empty() {
            events.extend(persistence::after(channel, &endings));
        }
        Decision {
            events,
            ..Decision::default()
        }
        .and_answer(Answer::Done)
    }
}

/// Source: MUC-AFF-04..09.
fn may_set_affiliation(
    channel: &Channel,
    sender: &Sender,
    target: &Person,
    new: Affiliation,
) -> Result<(), Refusal> {
    let actor = channel.affiliation(&sender.bare);
    let old = target.affiliation;
    let refused = if actor < Affiliation::Admin {
        Condition::Forbidden
    } else if new == Affiliation::Outcast && target.jid == sender.bare {
        Condition::Conflict
    } else if actor == Affiliation::Admin
        && new == Affiliation::Outcast
        && old >= Affiliation::Admin
    {
        Condition::NotAllowed
    } else if actor == Affiliation::Admin && old.max(new) >= Affiliation::Admin {
        Condition::Forbidden
    } else if new >= Affiliation::Admin && target.jid.is_domain() {
        Condition::NotAcceptable
    } else if old == Affiliation::Owner && new != old && channel.roster.owners() == 1 {
        Condition::Conflict
    } else {
        return Ok(());
    };
    Err(Refusal::usual(refused))
}

/// Source: MUC-ROLE-07, 08, 11..13.
fn may_set_role(
    channel: &Channel,
    actor: &Person,
    target: &Person,
    new: Role,
) -> Result<(), Refusal> {
    let admin = actor.affiliation >= Affiliation::Admin;
    let protected = channel.roster.role(target) == Role::Moderator && !admin;
    let below = target.affiliation < actor.affiliation || target.affiliation == Affiliation::None;
    let not_allowed = match new {
        Role::None => {
            target.affiliation > actor.affiliation || (protected && target.no != actor.no)
        }
        Role::Moderator if !admin => return Err(Refusal::usual(Condition::Forbidden)),
        Role::Moderator => !is_online(channel, target),
        Role::Participant => protected || target.affiliation >= Affiliation::Admin,
        Role::Visitor => protected || target.affiliation >= Affiliation::Admin || !below,
    };
    if not_allowed {
        return Err(Refusal::usual(Condition::NotAllowed));
    }
    Ok(())
}

/// Nobody loses a participation because a moderator tidies idle names: who has no client online and has said nothing for
/// ten minutes cannot be kicked (MAP-19). What was said is looked for in the tail of the history.
fn protected(channel: &Channel, target: &Person, now: Timestamp) -> Result<(), Refusal> {
    let since = now.plus_ms(-KICK_PROTECTION_MS);
    if is_online(channel, target) || channel.tail.spoke(target.no, since) {
        return Ok(());
    }
    Err(Refusal::usual(Condition::NotAllowed).text("this participant is offline"))
}

fn is_online(channel: &Channel, person: &Person) -> bool {
    let view = channel.roster.view(person.no);
    view.is_some_and(|view| !view.sessions.is_empty())
}

/// Those who are there by the entry of a domain alone. Not the domain itself, if it is there: its entry is its own.
fn affected(channel: &Channel, target: &Person) -> Vec<Arc<Person>> {
    if !target.jid.is_domain() {
        return Vec::new();
    }
    let of_domain = |person: &&Arc<Person>| {
        person.affiliation == Affiliation::None
            && person.no != target.no
            && person.jid.domain() == target.jid.as_str()
    };
    channel
        .roster
        .present()
        .filter(of_domain)
        .cloned()
        .collect()
}

/// Why somebody with this own affiliation is no longer let in.
fn excluded(channel: &Channel, jid: &BareJid, own: Affiliation) -> Option<Cause> {
    if own == Affiliation::None && !jid.is_domain() {
        let domain = BareJid::from_normalised(jid.domain());
        return barred(channel, channel.affiliation(&domain));
    }
    barred(channel, own)
}

/// Why an affiliation is no reason to be let in.
fn barred(channel: &Channel, affiliation: Affiliation) -> Option<Cause> {
    match affiliation {
        Affiliation::Outcast => Some(Cause::Banned),
        Affiliation::None if channel.roster.config().members_only => Some(Cause::AffiliationLost),
        _ => None,
    }
}

const KICK_PROTECTION_MS: i64 = 600_000;
