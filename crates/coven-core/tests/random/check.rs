//! What always holds of a channel.

use coven_core::people::participation::Node;
use coven_core::roster::PersonView;
use coven_core::{Affiliation, Channel, Role, Roster, View};
use proptest::prelude::*;
use std::collections::HashSet;

/// Checks everything.
pub fn channel(channel: &Channel) -> Result<(), TestCaseError> {
    let roster = channel.roster();
    prop_assert_eq!(roster.exists(), channel.key().is_some());
    let people: Vec<_> = roster.people().collect();
    counts(roster, &people)?;
    indexes(roster, &people)?;
    nicks(roster, &people)?;
    for view in &people {
        person(roster, view)?;
    }
    life(channel, &people)
}

/// The kept counts are what counting gives.
fn counts(roster: &Roster, people: &[PersonView]) -> Result<(), TestCaseError> {
    let count = |is: fn(&PersonView) -> bool| people.iter().filter(|v| is(v)).count();
    prop_assert_eq!(roster.occupants(), count(PersonView::present));
    prop_assert_eq!(roster.present().count(), count(PersonView::present));
    prop_assert_eq!(roster.is_empty(), roster.occupants() == 0);
    prop_assert_eq!(roster.online(), count(|v| !v.sessions.is_empty()));
    prop_assert_eq!(roster.participants(), count(|v| v.participation.is_some()));
    prop_assert_eq!(
        roster.owners(),
        count(|v| v.affiliation() == Affiliation::Owner)
    );
    prop_assert_eq!(roster.persons().len(), people.len());
    for node in Node::ALL {
        let subscribed =
            |v: &&PersonView| v.participation.as_ref().is_some_and(|p| p.nodes.has(node));
        prop_assert_eq!(
            roster.subscribers(node).count(),
            people.iter().filter(subscribed).count()
        );
    }
    Ok(())
}

/// Everybody and every session is found by every name, and nothing else is.
fn indexes(roster: &Roster, people: &[PersonView]) -> Result<(), TestCaseError> {
    let mut bare = HashSet::new();
    for view in people {
        let person = &view.person;
        prop_assert!(
            bare.insert(person.jid.clone()),
            "two people of one bare JID"
        );
        prop_assert_eq!(roster.person_of(&person.jid), Some(person));
        prop_assert_eq!(roster.person(person.no), Some(person));
        prop_assert!(person.no < roster.next_person());
        for session in &view.sessions {
            prop_assert_eq!(session.person, person.no);
            prop_assert_eq!(session.jid.bare(), person.jid.clone());
        }
    }
    let of_people: usize = people.iter().map(|v| v.sessions.len()).sum();
    prop_assert_eq!(roster.sessions().len(), of_people);
    for session in roster.sessions() {
        prop_assert_eq!(roster.session_of(session.view, &session.jid), Some(session));
        prop_assert!(session.no < roster.next_session());
        prop_assert!(session.joined <= session.updated && session.updated <= roster.at());
    }
    Ok(())
}

/// No two people who are there have the same nick, nor have any two reserved the same; each is found by its own.
fn nicks(roster: &Roster, people: &[PersonView]) -> Result<(), TestCaseError> {
    let mut keys = HashSet::new();
    for view in people.iter().filter(|v| v.present()) {
        let nick = coven_core::Nick::new(&view.person.shown_nick());
        let nick = nick.ok_or_else(|| TestCaseError::fail("a nick that is none"))?;
        prop_assert!(keys.insert(nick.key().clone()), "two people of one nick");
        prop_assert_eq!(roster.holder(&nick), Some(&view.person));
    }
    for view in people {
        let Some(nick) = &view.person.reserved else {
            continue;
        };
        prop_assert_eq!(roster.reserver(nick), Some(&view.person));
    }
    Ok(())
}

/// A person is there or has a lasting reason to be known, with a role that its affiliation allows.
fn person(roster: &Roster, view: &PersonView) -> Result<(), TestCaseError> {
    let person = &view.person;
    prop_assert_eq!(view.role, roster.role(person));
    prop_assert_eq!(roster.is_present(person.no), view.present());
    if !view.present() {
        prop_assert!(person.lasting(), "{person:?}");
        prop_assert_eq!((&person.nick, person.granted), (&None, None));
        prop_assert!(view.sessions.is_empty());
        return Ok(());
    }
    let affiliation = roster.affiliation(&person.jid);
    prop_assert!(affiliation != Affiliation::Outcast, "a banned one is there");
    prop_assert!(affiliation >= Affiliation::Member || !roster.config().members_only);
    prop_assert_eq!(
        person.affiliation >= Affiliation::Admin,
        view.role == Role::Moderator && person.granted.is_none()
    );
    prop_assert!(view.role >= Role::Visitor);
    prop_assert!(view.shown().is_some());
    prop_assert!(person.nick.is_some() || view.muc_sessions().next().is_none());
    prop_assert!(view.participation.is_some() || view.sessions.iter().all(|s| s.view == View::Muc));
    Ok(())
}

/// A channel that exists has an owner; a temporary room has somebody in it; a locked one has its creator.
fn life(channel: &Channel, people: &[PersonView]) -> Result<(), TestCaseError> {
    let roster = channel.roster();
    if !roster.exists() {
        prop_assert!(people.is_empty() && channel.lock().is_none());
        prop_assert_eq!(roster.sessions().len(), 0);
        return Ok(());
    }
    prop_assert!(roster.owners() > 0, "no owner");
    prop_assert!(
        roster.config().persistent || roster.occupants() > 0,
        "an empty temporary room"
    );
    if let Some(lock) = channel.lock() {
        prop_assert!(roster.is_present(lock.creator), "locked for nobody");
        prop_assert_eq!(channel.next_timer(), Some(lock.until));
    }
    Ok(())
}
