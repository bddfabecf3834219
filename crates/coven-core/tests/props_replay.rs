//! Properties of the journal: what is replayed is what was (I7).

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

use coven_core::{Channel, Record, Roster, Sequence};
use proptest::prelude::*;
use random::{life, live};
use std::collections::HashMap;
use std::sync::Arc;
use table::Table;

/// All that a channel is.
fn same(a: &Channel, b: &Channel) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.roster().parts(), b.roster().parts());
    prop_assert_eq!(a.key(), b.key());
    prop_assert_eq!(a.lock(), b.lock());
    prop_assert_eq!(a.next_timer(), b.next_timer());
    let tail = |c: &Channel| c.tail().entries().cloned().collect::<Vec<_>>();
    prop_assert_eq!(tail(a), tail(b));
    Ok(())
}

fn fold(mut channel: Channel, records: &[Arc<Record>]) -> Channel {
    for record in records {
        channel.apply(record);
    }
    channel
}

proptest! {
    #![proptest_config(random::lives())]

    #[test]
    fn i7_state_is_the_fold_of_the_journal(steps in life()) {
        let table = live(&steps, |_, _, _| Ok(()))?;
        let again = fold(Channel::new(table.channel.name().clone()), &table.journal);
        same(&again, &table.channel)?;
        random::check::channel(&again)?;
    }

    #[test]
    fn i7_or_of_a_snapshot_and_what_came_after_it(steps in life(), at in 0.0..1.0f64) {
        let table = live(&steps, |_, _, _| Ok(()))?;
        let cut = (table.journal.len() as f64 * at) as usize;
        let (before, after) = table.journal.split_at(cut);
        let name = table.channel.name().clone();
        let whole = fold(Channel::new(name.clone()), before);
        let mut loaded = Channel::from_parts(
            name,
            Roster::from_parts(whole.roster().parts()),
            whole.key().copied(),
            whole.lock().copied(),
        );
        loaded.tail_mut().fill(whole.tail().entries().cloned());
        let loaded = fold(loaded, after);
        same(&loaded, &table.channel)?;
        random::check::channel(&loaded)?;
    }

    #[test]
    fn i7_a_front_ends_roster_that_began_anywhere_is_the_same(steps in life(), at in 0.0..1.0f64) {
        let table = live(&steps, |_, _, _| Ok(()))?;
        let cut = (table.journal.len() as f64 * at) as usize;
        let mut roster = Roster::default();
        for (i, record) in table.journal.iter().enumerate() {
            if i == cut {
                roster = Roster::from_parts(roster.parts());
            }
            roster.apply(record);
        }
        prop_assert_eq!(roster.parts(), table.parts());
    }

    #[test]
    fn sequences_have_no_gap_and_stamps_never_go_back(steps in life()) {
        let table = live(&steps, |_, _, _| Ok(()))?;
        for (i, record) in table.journal.iter().enumerate() {
            prop_assert_eq!(record.sequence, Sequence(i as u64 + 1));
        }
        prop_assert!(table.journal.is_sorted_by_key(|record| record.stamp));
        prop_assert_eq!(table.roster().at(), Sequence(table.journal.len() as u64));
    }

    #[test]
    fn numbers_and_ids_never_mean_another(steps in life()) {
        let mut people = HashMap::new();
        let mut sessions = HashMap::new();
        let mut ids = HashMap::new();
        live(&steps, |table, _, _| meet(table, &mut people, &mut sessions, &mut ids))?;
    }
}

type Met<K, V> = HashMap<K, V>;

/// A person's number means one bare JID for ever, a session's one full JID and join, a stable id one person of a key.
fn meet(
    table: &Table,
    people: &mut Met<u32, String>,
    sessions: &mut Met<u32, (String, u64)>,
    ids: &mut Met<String, String>,
) -> Result<(), TestCaseError> {
    for person in table.roster().persons() {
        let jid = person.jid.as_str().to_owned();
        let known = people.entry(person.no.0).or_insert_with(|| jid.clone());
        prop_assert_eq!(&*known, &jid);
        let id = format!("{:?}{}", table.channel.key().map(|k| k.0), person.id);
        let known = ids.entry(id).or_insert_with(|| jid.clone());
        prop_assert_eq!(&*known, &jid);
    }
    for session in table.roster().sessions() {
        let is = (session.jid.as_str().to_owned(), session.joined.0);
        let known = sessions.entry(session.no.0).or_insert_with(|| is.clone());
        prop_assert_eq!(&*known, &is);
    }
    Ok(())
}
