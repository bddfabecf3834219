//! Properties of decisions: whatever is done, by whomever, the channel stays sound and outsiders have no effect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "random/mod.rs"]
mod random;
#[path = "table/mod.rs"]
mod table;

use coven_core::event::{Event, Record};
use coven_core::presence::listing::Told;
use coven_core::roster::{Delta, PersonView};
use coven_core::{Nick, Person, PersonNo, Roster, SessionNo, StableId, View};
use proptest::prelude::*;
use random::{enters, is_outsider, life, live, never_refused, sound};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

proptest! {
    #![proptest_config(random::lives())]

    /// Nick uniqueness, one occupant per person, roles that affiliations allow, counts, indexes: `random/check.rs`.
    #[test]
    fn a_channel_is_always_sound(steps in life()) {
        live(&steps, |table, _, outcome| {
            prop_assert!(sound(outcome));
            random::check::channel(&table.channel)
        })?;
    }

    #[test]
    fn muc_err_04_what_is_never_refused(steps in life()) {
        live(&steps, |_, step, outcome| {
            prop_assert!(!never_refused(&step.command) || outcome.refusal.is_none());
            Ok(())
        })?;
    }

    #[test]
    fn muc_enter_18_muc_err_11_a_refusal_leaves_no_trace(steps in life()) {
        let mut before = Roster::default().parts();
        live(&steps, |table, _, outcome| {
            if outcome.refusal.is_some() {
                prop_assert_eq!(&before, &table.parts());
            }
            before = table.parts();
            Ok(())
        })?;
    }

    /// Who has no part in the channel changes nothing but by entering, and nobody hears of it.
    #[test]
    fn outsiders_have_no_effect(steps in life()) {
        let mut outside = true;
        let mut next = steps.iter().skip(1);
        live(&steps, |table, step, outcome| {
            if outside && !enters(&step.command) {
                prop_assert!(outcome.records.is_empty(), "{outcome:?}");
                let heard = |o: &coven_core::channel::Output| matches!(
                    o,
                    coven_core::channel::Output::Passing(_)
                        | coven_core::channel::Output::Sync { .. }
                        | coven_core::channel::Output::PresenceDump { .. }
                );
                prop_assert!(!outcome.outputs.iter().any(heard));
            }
            if let Some(step) = next.next() {
                outside = is_outsider(table, &step.jid);
            }
            Ok(())
        })?;
    }

    /// An event is about one person: the delta says what that person was and is, and nobody else changes.
    #[test]
    fn an_event_changes_nobody_else(steps in life()) {
        let table = live(&steps, |_, _, _| Ok(()))?;
        let mut roster = Roster::default();
        for record in &table.journal {
            let before = everybody(&roster);
            let delta = roster.apply(record);
            told(record, &before, &delta, &everybody(&roster))?;
        }
    }

    /// Who reads the participants node once and follows what is told knows all of it that is not kept back, whatever happens;
    /// and after a while all of it.
    #[test]
    fn map_12_who_follows_what_is_told_knows_the_participants_node(steps in life()) {
        let mut table = live(&steps, |_, _, _| Ok(()))?;
        while let Some(due) = table.channel.next_timer() {
            table.now = table.now.max(due);
            table.tick().ok();
        }
        let (mut roster, mut known) = (Roster::default(), None);
        for record in &table.journal {
            let delta = roster.apply(record);
            if roster.participants() == 0 {
                known = None;
                continue;
            }
            let now = || items(roster.present());
            let known = known.get_or_insert_with(now);
            delta.told.iter().for_each(|told| follow(known, told));
            let mut expected = now();
            for untold in roster.parts().untold {
                expected.remove(&untold.id);
                expected.extend(items(untold.known.iter()));
            }
            prop_assert_eq!(&*known, &expected);
        }
        prop_assert_eq!(roster.parts().untold, []);
    }

    /// I3 for the core: every MUC session hears exactly what was said between its join and its end, in journal order;
    /// who is not there hears nothing.
    #[test]
    fn i3_muc_comp_12_everybody_hears_one_order_while_there(steps in life()) {
        let table = live(&steps, |_, _, _| Ok(()))?;
        let (mut roster, mut heard) = (Roster::default(), BTreeMap::<SessionNo, Vec<u64>>::new());
        for record in &table.journal {
            roster.apply(record);
            if matches!(record.event, Event::Message(_)) {
                for session in roster.sessions().filter(|s| s.view == View::Muc) {
                    heard.entry(session.no).or_default().push(record.sequence.0);
                }
            }
        }
        for (no, (from, to)) in visits(&table.journal) {
            let said: Vec<_> = table.journal.iter()
                .filter(|r| matches!(r.event, Event::Message(_)))
                .map(|r| r.sequence.0)
                .filter(|at| *at > from && *at < to)
                .collect();
            prop_assert_eq!(heard.remove(&no).unwrap_or_default(), said);
        }
        prop_assert!(heard.is_empty(), "somebody who never joined heard something");
    }
}

type Items = BTreeMap<StableId, Option<Nick>>;

fn items<'a>(people: impl Iterator<Item = &'a Arc<Person>>) -> Items {
    people
        .map(|person| (person.id, person.nick.clone()))
        .collect()
}

fn follow(known: &mut Items, told: &Told) {
    match told {
        Told::Is(person) => drop(known.insert(person.id, person.nick.clone())),
        Told::Gone(id) => drop(known.remove(id)),
    }
}

fn everybody(roster: &Roster) -> BTreeMap<PersonNo, PersonView> {
    roster.people().map(|view| (view.person.no, view)).collect()
}

/// Sessions with the sequences of their beginning and end, told from the events alone.
fn visits(journal: &[Arc<Record>]) -> BTreeMap<SessionNo, (u64, u64)> {
    let mut visits = BTreeMap::new();
    let mut here: BTreeMap<SessionNo, PersonNo> = BTreeMap::new();
    for record in journal {
        let at = record.sequence.0;
        let gone: BTreeSet<SessionNo> = match &record.event {
            Event::Joined { session, .. } => {
                here.insert(session.no, session.person);
                visits.insert(session.no, (at, u64::MAX));
                BTreeSet::new()
            }
            Event::Left { session, .. } => BTreeSet::from([*session]),
            Event::Removed { person, .. } => {
                let of = |(no, p): (&SessionNo, &PersonNo)| (*p == person.no).then_some(*no);
                here.iter().filter_map(of).collect()
            }
            Event::Destroyed { .. } => here.keys().copied().collect(),
            _ => BTreeSet::new(),
        };
        for no in gone {
            here.remove(&no);
            if let Some((_, to)) = visits.get_mut(&no) {
                *to = at;
            }
        }
    }
    visits
}

/// The delta tells the truth about its person, and all others are as before (but for roles, which settings change).
fn told(
    record: &Record,
    before: &BTreeMap<PersonNo, PersonView>,
    delta: &Delta,
    after: &BTreeMap<PersonNo, PersonView>,
) -> Result<(), TestCaseError> {
    if matches!(record.event, Event::Destroyed { .. }) {
        let all: Vec<_> = before.values().cloned().collect();
        prop_assert_eq!(&delta.everybody, &all);
        prop_assert!(after.is_empty());
        return Ok(());
    }
    let touched = delta.before.as_ref().or(delta.after.as_ref());
    let touched = touched.map(|view| view.person.no);
    if let Some(no) = touched {
        prop_assert_eq!(delta.before.as_ref(), before.get(&no));
        prop_assert_eq!(delta.after.as_ref(), after.get(&no));
    }
    let settings = matches!(
        record.event,
        Event::Configured { .. } | Event::Created { .. }
    );
    let others = |people: &BTreeMap<PersonNo, PersonView>| {
        let mut people = people.clone();
        people.retain(|no, _| Some(*no) != touched);
        if settings {
            people
                .values_mut()
                .for_each(|view| view.role = coven_core::Role::None);
        }
        people
    };
    prop_assert_eq!(others(before), others(after));
    Ok(())
}
