//! Which front-end should hold which connection.

use std::collections::BTreeMap;

use coven_store::ConnectionId;

use super::{Attach, Connection};
use crate::ProcessId;
use crate::rendezvous::{Candidate, Thing, ranking, score};

/// Connections that are spread together: of one space and group.
type Heap<'a> = Vec<&'a Connection>;

/// Who should hold each connection, of those that may; the same wherever the same is seen. Who holds one keeps it unless
/// it has more than its share; with `standby` in any case.
pub(super) fn assign(
    connections: &[Connection],
    candidates: &[Candidate],
    holder: impl Fn(&ConnectionId) -> Option<ProcessId>,
) -> BTreeMap<ConnectionId, ProcessId> {
    let is_candidate = |process: &ProcessId| candidates.iter().any(|it| it.process == *process);
    let mut assigned = BTreeMap::new();
    let mut heaps: BTreeMap<_, Heap<'_>> = BTreeMap::new();
    for connection in connections {
        let id = &connection.id;
        let held = holder(id).filter(is_candidate);
        if connection.attach == Attach::Standby {
            let first = || ranking(Thing::name(&id.0), candidates).first().copied();
            assigned.extend(held.or_else(first).map(|it| (id.clone(), it)));
        } else {
            let heap = (&connection.way.group, &connection.way.space);
            heaps.entry(heap).or_default().push(connection);
        }
    }
    for mut heap in heaps.into_values() {
        heap.sort_by(|a, b| a.id.cmp(&b.id));
        let held = |id: &ConnectionId| holder(id).filter(is_candidate);
        assigned.extend(spread(&heap, candidates, held));
    }
    assigned
}

/// Shares differ by one connection at most. What is held stays where it is within the share, best scores first; what is
/// free goes to who has the best score of those with room.
fn spread(
    heap: &[&Connection],
    candidates: &[Candidate],
    held: impl Fn(&ConnectionId) -> Option<ProcessId>,
) -> BTreeMap<ConnectionId, ProcessId> {
    let mut shares = Shares::new(heap.len(), candidates);
    let mut kept: Vec<_> = heap
        .iter()
        .filter_map(|it| held(&it.id).map(|holder| (score_of(it, holder, candidates), it, holder)))
        .collect();
    kept.sort_by_key(|(score, ..)| std::cmp::Reverse(*score));
    let mut assigned = BTreeMap::new();
    for (_, connection, holder) in kept {
        if shares.take(holder) {
            assigned.insert(connection.id.clone(), holder);
        }
    }
    for connection in heap {
        if assigned.contains_key(&connection.id) {
            continue;
        }
        let ranks = ranking(Thing::name(&connection.id.0), candidates);
        if let Some(first) = ranks.into_iter().find(|process| shares.take(*process)) {
            assigned.insert(connection.id.clone(), first);
        }
    }
    assigned
}

fn score_of(
    connection: &Connection,
    holder: ProcessId,
    candidates: &[Candidate],
) -> Option<(u64, ProcessId)> {
    let candidate = candidates.iter().find(|it| it.process == holder)?;
    score(Thing::name(&connection.id.0), *candidate)
}

/// How many connections each may still have.
struct Shares {
    least: usize,
    /// Front-ends that may have one more than the least.
    extra: usize,
    counts: BTreeMap<ProcessId, usize>,
}

impl Shares {
    fn new(connections: usize, candidates: &[Candidate]) -> Self {
        let each = candidates.len().max(1);
        Self {
            least: connections / each,
            extra: connections % each,
            counts: candidates.iter().map(|it| (it.process, 0)).collect(),
        }
    }

    /// Counts one more for a front-end, if there is room.
    fn take(&mut self, process: ProcessId) -> bool {
        let Some(count) = self.counts.get_mut(&process) else {
            return false;
        };
        let needs_extra = *count == self.least;
        if *count > self.least || (needs_extra && self.extra == 0) {
            return false;
        }
        self.extra -= usize::from(needs_extra);
        *count += 1;
        true
    }
}
