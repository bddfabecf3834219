//! What is due by time: sweeps, changes of presence that were put off, second looks at servers that were away.

use std::time::Duration;

use coven_cluster::{Operation, Request, ToNode};
use coven_core::{Command, Group};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::admit::place;
use super::channel::leaves;
use super::desk::{Intake, lock};
use super::rates::Kind;
use crate::connection::Connection;

/// How often what waits is looked at.
const TEND: Duration = Duration::from_millis(100);
/// Probes of those whose grace is over, at each look: 1,000 per second, as in a sweep.
const PROBES: usize = 100;

impl Intake {
    /// A connection is up, and its workers are ready for it: its group is to be swept.
    pub(crate) fn attached(&self, connection: &Connection) {
        self.front.want_sweep(connection.group());
    }

    /// Does what is due by time, until `stop`.
    pub(crate) async fn tend(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = Instant::now();
            self.sweep(now);
            self.release();
            self.probe(now);
            let pause = async {
                if self.is_idle() {
                    self.front.tend.notified().await;
                } else {
                    sleep(TEND).await;
                }
            };
            tokio::select! {
                () = pause => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        lock(&self.front.sweeps).is_empty()
            && lock(&self.deferred).is_empty()
            && lock(&self.grace).is_empty()
    }

    fn sweep(&self, now: Instant) {
        let is_whole = |group: &Group| {
            let mut of_group = self.front.connections.iter();
            of_group.all(|c| {
                let is_held = c.tenure().0.takes_events();
                c.group() != group || !is_held || c.stream().is_up()
            })
        };
        let due = lock(&self.front.sweeps).due(now, is_whole);
        for group in due {
            let sweep = ToNode::Sweep {
                group: group.clone(),
            };
            if self.node.try_send(sweep).is_ok() {
                lock(&self.front.sweeps).done(&group);
            }
        }
    }

    /// Changes of presence that the rate allows now. Leaving has no rate, nor have bounces.
    fn release(&self) {
        let may = |operation: &Operation| {
            let bounce = matches!(operation.request, Request::Command(Command::Bounce(_)));
            let limiter = self.front.limiter.as_ref();
            bounce
                || leaves(&operation.request)
                || limiter.is_none_or(|l| l.take(&operation.sender.bare, Kind::Presence))
        };
        let due = lock(&self.deferred).due(|operation| may(operation));
        for operation in due {
            if let Err(ToNode::Operation(operation)) =
                self.node.try_send(ToNode::Operation(operation))
                && let Some(place) = place(&operation.sender, operation.channel.name())
            {
                lock(&self.deferred).put_back(place, operation);
            }
        }
    }

    /// Sessions whose server has been away for a minute. Where the node has no room they wait for the next look.
    fn probe(&self, now: Instant) {
        let due = lock(&self.grace).due(now, PROBES);
        for operation in due {
            match self.node.try_send(ToNode::Operation(operation)) {
                Err(ToNode::Operation(operation)) => {
                    if let Some(place) = place(&operation.sender, operation.channel.name()) {
                        lock(&self.grace).missed(&place, operation);
                    }
                }
                _ => self.front.counters.operations.add(1),
            }
        }
    }
}
