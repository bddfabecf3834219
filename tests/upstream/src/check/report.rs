//! What the checker says: numbers, violations with examples, pauses.
//!
//! Owns the names in the report. The run is good if no violation was counted and every room went on after every fault.

use super::fault::Fault;
use super::pause::{self, Table};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Examples that are kept of each violation.
const EXAMPLES: usize = 10;

/// What may never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Violation {
    /// Archived, and never seen by somebody who was there (I3).
    Lost,
    /// Seen, and not in the archive, though its sender has seen it (I2).
    NotArchived,
    /// Seen twice, at a time that no fault excuses (I3).
    Duplicated,
    /// Seen, or archived, in another order (I3).
    Reordered,
    /// In the archive twice (I4).
    ArchivedTwice,
    /// Refused, and yet it happened (I5).
    RefusedAndHappened,
    /// No answer at all, at a time that no fault excuses (I5).
    Vanished,
    /// Another archive id than at others or in the archive.
    Differing,
    /// Seen, and never archived, and its sender knows nothing of it.
    Phantom,
    /// Somebody was told that an occupant left (I6).
    Left,
    /// An occupant was told once more that it entered (I6).
    Rejoined,
    /// An occupant was told that it is none (I6).
    LostPlace,
    /// An occupant's history does not even say that it entered: it is not whole.
    NoHistory,
}

impl Violation {
    const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::NotArchived => "not_archived",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::ArchivedTwice => "archived_twice",
            Self::RefusedAndHappened => "refused_and_happened",
            Self::Vanished => "vanished",
            Self::Differing => "differing",
            Self::Phantom => "phantom",
            Self::Left => "left",
            Self::Rejoined => "rejoined",
            Self::LostPlace => "lost_place",
            Self::NoHistory => "no_history",
        }
    }
}

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What was counted.
        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $($(#[doc = $doc])* pub(super) $name: u64,)*
        }

        impl Counts {
            fn to_json(&self) -> Map<String, Value> {
                [$((stringify!($name).to_owned(), Value::from(self.$name)),)*].into_iter().collect()
            }
        }
    };
}

counts! {
    /// Rooms that were checked.
    rooms,
    /// Occupants of these.
    occupants,
    /// Messages that were sent.
    sent,
    /// Messages that their senders saw.
    acknowledged,
    /// Messages that the server bounced: no component was attached.
    bounced,
    /// Messages that went into an empty slot.
    swallowed,
    /// Messages that were answered by `remote-server-timeout`.
    unknown,
    /// Of these, those that happened.
    unknown_happened,
    /// Messages that were answered by nothing and did not happen.
    silent,
    /// Entries of the archives.
    archived,
    /// Copies that were seen.
    deliveries,
    /// Copies that were seen twice because of a fault that excuses it.
    duplicated_excused,
    /// Presences of others who were there already.
    presences_again,
    /// Self-pings.
    pings,
    /// Of these, without an answer.
    pings_silent,
    /// Of these, with an error.
    pings_refused,
}

/// The report as it grows.
#[derive(Debug)]
pub(super) struct Report {
    /// Numbers.
    pub(super) counts: Counts,
    /// Refusals by condition.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// How long each of them took, in milliseconds.
    pub(super) refused_after: Vec<f64>,
    /// How long rooms stood still.
    pub(super) pauses: Table,
    violations: BTreeMap<Violation, (u64, Vec<String>)>,
}

impl Report {
    /// Nothing so far.
    pub(super) fn new(faults: &[Fault]) -> Self {
        Self {
            counts: Counts::default(),
            refused: BTreeMap::new(),
            refused_after: Vec::new(),
            pauses: Table::new(faults),
            violations: BTreeMap::new(),
        }
    }

    /// Counts a violation.
    pub(super) fn add(&mut self, violation: Violation, example: impl FnOnce() -> String) {
        let (count, examples) = self.violations.entry(violation).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }

    /// How often that was found.
    #[cfg(test)]
    pub(super) fn found(&self, violation: Violation) -> u64 {
        self.violations
            .get(&violation)
            .map_or(0, |(count, _)| *count)
    }

    /// Whether nothing went wrong.
    pub(super) fn is_good(&self) -> bool {
        self.violations.is_empty() && self.pauses.never() == 0
    }

    /// All of it.
    pub(super) fn to_json(&self) -> Value {
        let violation = |(violation, (count, examples)): (&Violation, &(u64, Vec<String>))| {
            (
                violation.name().to_owned(),
                json!({"count": count, "examples": examples}),
            )
        };
        json!({
            "good": self.is_good(),
            "violations": self.violations.iter().map(violation).collect::<Map<_, _>>(),
            "counts": self.counts.to_json(),
            "refused": self.refused,
            "refused_after": pause::quantiles(&self.refused_after),
            "pauses": self.pauses.to_json(),
        })
    }
}
