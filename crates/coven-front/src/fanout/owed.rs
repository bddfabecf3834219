//! What one alone was to be told from a channel's roster, and could not be: it is said as soon as the roster is whole again
//! on the connection that it is for (I5).
//!
//! A client that joins again gets everything once more (MUC-ENTER-21), one that subscribes all items. Neither is in the
//! journal, so neither comes again by itself; what is live at that later moment serves as well. Bound: [`MOST`] for each
//! channel; beyond it they are lost, and counted.

use coven_cluster::Delivery;

use super::projection::Projection;
use super::stage::{Gate, Stage};

/// Words that wait for one channel.
const MOST: usize = 64;

/// Words of one channel, each with its connection.
#[derive(Debug, Default)]
pub(super) struct Owed(Vec<(usize, Delivery)>);

impl Owed {
    /// Whether this can be said later as well as now.
    pub(super) const fn is_for(delivery: &Delivery) -> bool {
        matches!(
            delivery,
            Delivery::Sync { .. } | Delivery::PresenceDump { .. }
        )
    }

    /// Nothing is for this connection any more.
    pub(super) fn forget(&mut self, connection: usize) {
        self.0.retain(|(of, _)| *of != connection);
    }

    fn note(&mut self, connection: usize, delivery: &Delivery) -> bool {
        let has_room = self.0.len() < MOST;
        if has_room {
            self.0.push((connection, delivery.clone()));
        }
        has_room
    }
}

impl Projection {
    /// It could not be said at all: it may be for any connection.
    pub(super) fn owe(&mut self, delivery: &Delivery, stage: &Stage) {
        let connections: Vec<usize> = self.connections().collect();
        for connection in connections {
            self.owe_on(connection, delivery, stage);
        }
    }

    /// Shuts the gates behind it: where it did not get through, it is owed.
    pub(super) fn shut_owing(&mut self, delivery: &Delivery, stage: &mut Stage) {
        let connections: Vec<usize> = self.connections().collect();
        for connection in connections {
            let (gate, touched) = stage.shut(connection);
            if touched && matches!(gate, Gate::Passed | Gate::Down | Gate::Behind) {
                self.owe_on(connection, delivery, stage);
            }
        }
    }

    fn owe_on(&mut self, connection: usize, delivery: &Delivery, stage: &Stage) {
        if !self.owed.note(connection, delivery) {
            stage.front.counters.answers_lost.add(1);
        }
    }

    /// Says what is owed on connections that have the whole roster and take it.
    pub(super) fn pay(&mut self, stage: &mut Stage) {
        if self.owed.0.is_empty() || !self.is_live() {
            return;
        }
        for (connection, delivery) in std::mem::take(&mut self.owed.0) {
            let is_current = self.cursor(connection).is_some_and(|c| c.is_current());
            if !is_current || stage.gate(connection) != Gate::Open {
                self.owed.0.push((connection, delivery));
                continue;
            }
            self.open_one(connection, stage);
            self.passing(delivery, stage);
            self.shut(stage);
        }
    }
}
