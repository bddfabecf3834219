//! How long rooms stood still around each fault.
//!
//! Owns one number per fault and room: the longest time from the sending of a message to the moment at which it, or one
//! that was sent later, was seen by its sender. So a message that was refused or has vanished counts as long as the room
//! was of no use, and no longer.

use super::fault::Fault;
use super::outcome::Messages;
use crate::history::Ticks;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Messages count for a fault from this long before its begin ...
const BEFORE_SECONDS: i32 = 1;
/// ... to this long after its end, or to the next fault.
const AFTER_SECONDS: i32 = 15;

/// The pauses of one kind of fault.
#[derive(Debug, Default)]
struct Pauses {
    /// In milliseconds.
    millis: Vec<f64>,
    /// Rooms in which nothing was seen any more.
    never: u64,
    /// How many faults there were.
    faults: u64,
}

/// Pauses by kind of fault.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<String, Pauses>);

impl Table {
    /// A table with a row for each kind.
    pub(super) fn new(faults: &[Fault]) -> Self {
        let mut table = Self::default();
        for fault in faults {
            table.0.entry(fault.name.clone()).or_default().faults += 1;
        }
        table
    }

    /// Rooms that a fault has silenced for good.
    pub(super) fn never(&self) -> u64 {
        self.0.values().map(|pauses| pauses.never).sum()
    }

    /// The numbers, in milliseconds.
    pub(super) fn to_json(&self) -> Value {
        let row = |(name, pauses): (&String, &Pauses)| {
            let mut row = quantiles(&pauses.millis);
            if let Some(row) = row.as_object_mut() {
                row.insert("faults".into(), pauses.faults.into());
                row.insert("never".into(), pauses.never.into());
            }
            (name.clone(), row)
        };
        Value::Object(self.0.iter().map(row).collect())
    }
}

/// How many numbers there are, and what 50, 99 and 100 percent of them do not exceed.
pub(super) fn quantiles(millis: &[f64]) -> Value {
    let mut sorted = millis.to_vec();
    sorted.sort_by(f64::total_cmp);
    json!({
        "samples": sorted.len(), "p50_ms": quantile(&sorted, 50), "p99_ms": quantile(&sorted, 99),
        "max_ms": sorted.last(),
    })
}

/// The smallest value that so many percent of the values do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Adds the pauses of one room.
pub(super) fn measure(messages: &Messages, faults: &[Fault], table: &mut Table) {
    let mut by_time: Vec<(Ticks, Option<Ticks>)> =
        messages.values().map(|sent| (sent.at, sent.seen)).collect();
    by_time.sort_unstable();
    // From the last to the first: when it, or a later one, was first seen.
    let mut soonest = None;
    for (_, seen) in by_time.iter_mut().rev() {
        soonest = [soonest, *seen].into_iter().flatten().min();
        *seen = soonest;
    }
    for (at, fault) in faults.iter().enumerate() {
        let next = faults
            .get(at + 1)
            .map_or(Ticks(u32::MAX), |next| next.begin);
        let from = fault.begin.plus_seconds(-BEFORE_SECONDS);
        let until = fault.end.plus_seconds(AFTER_SECONDS).min(next);
        let hit = by_time
            .iter()
            .filter(|(sent, _)| from <= *sent && *sent <= until);
        add(hit, table.0.entry(fault.name.clone()).or_default());
    }
}

fn add<'a>(hit: impl Iterator<Item = &'a (Ticks, Option<Ticks>)>, pauses: &mut Pauses) {
    let (mut longest, mut never) = (None, false);
    for (sent, seen) in hit {
        match seen {
            Some(seen) => longest = longest.max(Some(Ticks(seen.0.saturating_sub(sent.0)))),
            None => never = true,
        }
    }
    pauses.never += u64::from(never);
    pauses.millis.extend(longest.map(Ticks::millis));
}
