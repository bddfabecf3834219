//! What a node is told of a channel: how far its output is acknowledged, on which connection, under which lease.
//!
//! Owns when there is news. How far each connection has come is the cursors' word (`cursor.rs`).

use coven_cluster::Channel;
use coven_cluster::link::Acknowledged;

use super::projection::Projection;
use super::stage::Stage;

impl Projection {
    /// Whether there is something to be told to the node for the first time since it was told last.
    pub(crate) fn becomes_dirty(&mut self) -> bool {
        let becomes = !self.is_dirty && self.has_news();
        self.is_dirty |= becomes;
        becomes
    }

    pub(super) fn has_news(&self) -> bool {
        let mut seats = self.seats.iter();
        seats.any(|seat| seat.cursor.news(self.at).is_some())
    }

    /// Adds what is to be told to the node.
    pub(crate) fn report(&self, channel: &Channel, stage: &Stage, to: &mut Vec<Acknowledged>) {
        let all = self.is_done();
        let least = self.seats.iter().map(|seat| seat.cursor.safe()).min();
        let least = least.unwrap_or_default().min(self.at);
        for seat in &self.seats {
            let outlet = stage.outlets.get(seat.connection);
            if let (Some(mark), Some(outlet)) = (seat.cursor.news(self.at), outlet)
                && let Some(lease) = outlet.lease()
            {
                to.push(Acknowledged {
                    channel: channel.clone(),
                    connection: outlet.connection().name().clone(),
                    lease,
                    epoch: self.owner,
                    sequence: mark.sequence,
                    least,
                    commit: mark.commit,
                    all,
                });
            }
        }
    }

    /// The node has been told.
    pub(crate) fn told(&mut self) {
        self.is_dirty = false;
        for seat in &mut self.seats {
            seat.cursor.told(self.at);
        }
    }
}
