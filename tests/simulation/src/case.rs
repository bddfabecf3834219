//! Interleavings that broke earlier versions of the design, as plans: the faults come at given times, under constant talk.
//!
//! Which node and which front-end they befall, and all else, follows from the seed: a few seeds of a case meet the owner and
//! the holder. The rows are explained in docs/adr/009.

use crate::plan::{Fault, SECOND, Shape};
use crate::rng::Rng;

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case(&'static str);

/// When the first fault of a case comes, after everybody has entered.
pub const BEGINS: u64 = 2 * SECOND;
/// How long is talked.
pub const LASTS: u64 = 22 * SECOND;

const MS: u64 = SECOND / 1000;

impl Case {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self("il_11"),
        Self("il_14"),
        Self("il_15"),
        Self("il_16"),
        Self("il_17"),
        Self("il_22"),
        Self("il_23"),
        Self("il_27"),
        Self("il_29"),
        Self("il_33"),
    ];

    /// The case of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.0 == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Its faults, and when they come after the first.
    #[must_use]
    pub fn faults(self, shape: Shape, rng: &mut Rng) -> Vec<(u64, Fault)> {
        let (node, front) = (shape.node(rng), shape.front(rng));
        let other = shape.nodes + (front + 1 - shape.nodes) % shape.fronts;
        match self.0 {
            // A node without a link to the holder is stopped when it is about to ask for the lease.
            "il_11" => vec![
                (0, Fault::LinkCut(node, front, 14 * SECOND)),
                (5_900 * MS, Fault::Pause(node, 8 * SECOND)),
            ],
            "il_14" => vec![(0, Fault::LinkCut(node, front, 15 * SECOND))],
            "il_15" => vec![(0, Fault::StoreAway(front, 15 * SECOND))],
            // The store loses the claim of the node that took over, and what it has committed since.
            "il_16" => vec![
                (0, Fault::Crash(node, 15 * SECOND)),
                (200 * MS, Fault::Loss(9 * SECOND, 500 * MS)),
            ],
            // What was lost is appended again, and then its owner dies.
            "il_17" => vec![
                (0, Fault::Loss(300 * MS, 500 * MS)),
                (9 * SECOND, Fault::Crash(node, SECOND)),
            ],
            "il_22" => vec![
                (0, Fault::LinkCut(node, front, 9 * SECOND)),
                (2_500 * MS, Fault::Pause(front, 3_500 * MS)),
            ],
            "il_23" => vec![(0, Fault::Pause(front, 6_100 * MS))],
            // A front-end takes over, and dies itself.
            "il_27" => vec![
                (0, Fault::Crash(front, 4 * SECOND)),
                (8 * SECOND, Fault::Crash(other, 4 * SECOND)),
            ],
            "il_29" => vec![(0, Fault::FailOver(2 * SECOND))],
            // What was said before the cut comes when the node has long closed its end.
            _ => vec![(0, Fault::LinkCut(node, front, 14_500 * MS))],
        }
    }
}
