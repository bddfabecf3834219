//! Links of a front-end to nodes: one task each, which dials again when the link is down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coven_store::registry::{Role, Sight};
use smol_str::SmolStr;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Dial;
use crate::ProcessId;
use crate::rendezvous::{Candidate, Thing, score};

/// The first pause before dialling again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A link that lasted for so long was a good one. What ends sooner may do so again for the same reason, and each beginning
/// costs a node what it owes.
const LASTED: Duration = Duration::from_secs(10);

/// Tells the agent that a link is up. It counts as down again when [`Dial::link`] ends.
#[derive(Debug, Clone)]
pub struct LinkUp {
    process: ProcessId,
    up: Arc<Mutex<BTreeSet<ProcessId>>>,
}

impl LinkUp {
    /// The link is up.
    pub fn up(&self) {
        lock(&self.up).insert(self.process);
    }

    fn down(&self) -> bool {
        lock(&self.up).remove(&self.process)
    }
}

/// The links of a front-end.
#[derive(Debug, Default)]
pub(super) struct Links {
    up: Arc<Mutex<BTreeSet<ProcessId>>>,
    dialled: BTreeMap<ProcessId, (SmolStr, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Links {
    /// Dials nodes that are there; drops links to those that are gone, unless the link is alive: then it is only the
    /// registry that does not know them.
    pub(super) fn update<D: Dial>(&mut self, sight: &Sight, dial: &Arc<D>) {
        while self.tasks.try_join_next().is_some() {}
        let up = self.up();
        let nodes = sight.sessions.iter().map(|seen| &seen.member);
        let nodes: BTreeMap<ProcessId, SmolStr> = nodes
            .filter(|member| member.role == Role::Node)
            .map(|member| (member.process, member.address.clone()))
            .collect();
        let up_at = Arc::clone(&self.up);
        self.dialled.retain(|process, (address, task)| {
            let stays = match nodes.get(process) {
                Some(told) => told == address,
                None => up.contains(process),
            };
            if !stays {
                task.abort();
                lock(&up_at).remove(process);
            }
            stays
        });
        for (process, address) in nodes {
            if !self.dialled.contains_key(&process) {
                self.dial(process, address, dial);
            }
        }
    }

    /// Nodes whose link is up.
    pub(super) fn up(&self) -> BTreeSet<ProcessId> {
        lock(&self.up).clone()
    }

    /// Nodes whose link should be up, and is not.
    pub(super) fn missing(&self) -> Vec<ProcessId> {
        let up = self.up();
        let all = self.dialled.keys().copied();
        all.filter(|process| !up.contains(process)).collect()
    }

    /// Drops all links.
    pub(super) async fn close(&mut self) {
        self.tasks.shutdown().await;
        self.dialled.clear();
        lock(&self.up).clear();
    }

    fn dial<D: Dial>(&mut self, process: ProcessId, address: SmolStr, dial: &Arc<D>) {
        let link = LinkUp {
            process,
            up: Arc::clone(&self.up),
        };
        let keep = keep(Arc::clone(dial), address.clone(), link);
        self.dialled
            .insert(process, (address, self.tasks.spawn(keep)));
    }
}

/// Keeps a link: dials again, after a pause that grows until a link has lasted.
async fn keep<D: Dial>(dial: Arc<D>, address: SmolStr, link: LinkUp) {
    let mut pauses = Pauses::default();
    loop {
        let began = Instant::now();
        dial.link(link.process, address.clone(), link.clone()).await;
        let lasted = link.down() && began.elapsed() >= LASTED;
        tokio::time::sleep(pauses.next(link.process, lasted)).await;
    }
}

/// The pauses between links to one node.
#[derive(Debug, Default)]
struct Pauses(u32);

impl Pauses {
    /// The next one, a part of it by the node and the attempt: those to several nodes are not all dialled at once.
    fn next(&mut self, node: ProcessId, lasted: bool) -> Duration {
        let attempt = if lasted { 0 } else { self.0 };
        self.0 = attempt.saturating_add(1);
        let full = (PAUSES.0 * 2_u32.saturating_pow(attempt.min(8))).min(PAUSES.1);
        let thing = Thing::number(u16::try_from(attempt).unwrap_or(u16::MAX));
        let score = score(
            thing,
            Candidate {
                process: node,
                weight: 1,
            },
        );
        let part = score.map_or(0, |(score, _)| score % 1024);
        full / 2 + full.mul_f64(f64::from(u32::try_from(part).unwrap_or(0)) / 2048.0)
    }
}

fn lock(up: &Mutex<BTreeSet<ProcessId>>) -> std::sync::MutexGuard<'_, BTreeSet<ProcessId>> {
    up.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i9_links_that_do_not_last_are_dialled_less_and_less_often() {
        let (mut pauses, node) = (Pauses::default(), ProcessId(100));
        let (mut last, mut most) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..8 {
            last = pauses.next(node, false);
            most = most.max(last);
        }
        assert!(last >= PAUSES.1 / 2 && most <= PAUSES.1);
        assert!(pauses.next(node, true) <= PAUSES.0, "it has lasted");
        assert_ne!(
            pauses.next(node, false),
            pauses.next(ProcessId(101), true) * 2
        );
    }
}
