//! Which connections a front-end takes, and which it gives up (design §5.9, §6).
//!
//! A plan from what is seen. Every front-end works out the same assignment: with `standby` the holder keeps a connection
//! and the others wait; else connections of one space and group are spread evenly, and as few as possible move. Who is
//! assigned a free connection takes it at once, the next in rank later. A change that is planned begins with the holder:
//! it passes a barrier, and then releases the lease. The registry grants a lease once; nothing here is trusted for that.

mod assign;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coven_store::registry::{Lease, Role, Sight, TakeLease, Way};
use coven_store::{ConnectionId, SessionId};

use self::assign::assign;
use crate::claims::candidates;
use crate::clock::Moment;
use crate::judge::is_dead;
use crate::rendezvous::{Candidate, Thing, ranking};
use crate::{LeaseNumber, ProcessId};

/// How the connections of a server are shared among front-ends (design §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attach {
    /// One holder; the others wait until it is gone.
    Standby,
    /// Spread evenly.
    Spread,
}

/// A connection as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name: the same in all processes.
    pub id: ConnectionId,
    /// Where it leads.
    pub way: Way,
    /// How it is shared.
    pub attach: Attach,
}

/// What bounds plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A session's time to live.
    pub ttl: Duration,
    /// How much longer each front-end waits than the one before it in rank.
    pub rank_delay: Duration,
    /// How long nothing is moved for balance after front-ends have come or gone.
    pub calm: Duration,
    /// How long a front-end leaves a connection alone that it was kicked from, or was asked to give up; twice as long with
    /// each further kick.
    pub cool: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(6),
            rank_delay: Duration::from_secs(1),
            calm: Duration::from_secs(10),
            cool: Duration::from_secs(10),
        }
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Now.
    pub now: Moment,
    /// Who is there.
    pub sight: &'a Sight,
    /// This process' session, valid now.
    pub session: SessionId,
    /// The leases that this process has granted to its front-end.
    pub held: &'a BTreeMap<ConnectionId, LeaseNumber>,
    /// Connections that are just being taken or given up.
    pub busy: &'a BTreeSet<ConnectionId>,
    /// Nodes that this process has a link to.
    pub linked: &'a BTreeSet<ProcessId>,
    /// This front-end gives up what it has.
    pub draining: bool,
}

/// What is to be done about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Take its lease.
    Take(TakeLease),
    /// Pass a barrier, and release this lease.
    GiveUp(ConnectionId, LeaseNumber),
    /// Somebody else holds it under a higher number: stop at once.
    Lost(ConnectionId),
}

/// Plans for one front-end.
#[derive(Debug)]
pub struct Elections {
    me: ProcessId,
    limits: Limits,
    /// Since when a connection is free.
    free: BTreeMap<ConnectionId, Moment>,
    /// Who was seen alive with a connection last: if it is free now, that one has let go of it.
    last: BTreeMap<ConnectionId, ProcessId>,
    /// Until when a connection is left alone.
    cooling: BTreeMap<ConnectionId, Moment>,
    kicks: BTreeMap<ConnectionId, Kicks>,
    /// Sessions that this process has had.
    sessions: BTreeSet<SessionId>,
    candidates: Vec<Candidate>,
    /// When front-ends came or went last.
    changed: Moment,
}

#[derive(Debug, Clone, Copy)]
struct Kicks {
    count: u32,
    last: Moment,
    /// The stream is to be given up.
    pending: bool,
}

/// What the record of a connection means for this process.
enum Standing<'a> {
    /// It holds it.
    Mine(&'a Lease),
    /// It held it under an earlier session, or the registry has lost that it does: it takes it again.
    MineAgain(Option<SessionId>),
    /// Nobody holds it; the dead holder is named.
    Free(Option<SessionId>),
    /// Somebody else does.
    Others,
    /// Somebody else does now.
    Lost,
}

impl Elections {
    /// Plans for this front-end.
    #[must_use]
    pub fn new(me: ProcessId, limits: Limits) -> Self {
        Self {
            me,
            limits,
            free: BTreeMap::new(),
            last: BTreeMap::new(),
            cooling: BTreeMap::new(),
            kicks: BTreeMap::new(),
            sessions: BTreeSet::new(),
            candidates: Vec::new(),
            changed: Moment::default(),
        }
    }

    /// The server has closed this process' stream for another one: it does not fight for it (design §6).
    pub fn kicked(&mut self, connection: ConnectionId, now: Moment) {
        let calm = self.limits.cool * 6;
        let kicks = self.kicks.entry(connection.clone()).or_insert(Kicks {
            count: 0,
            last: now,
            pending: true,
        });
        if now.since(kicks.last) > calm {
            kicks.count = 0;
        }
        kicks.count = (kicks.count + 1).min(5);
        kicks.last = now;
        kicks.pending = true;
        let cool = self.limits.cool * 2_u32.pow(kicks.count - 1);
        self.cooling.insert(connection, now + cool);
    }

    /// What to do now.
    pub fn plan(&mut self, connections: &[Connection], view: View<'_>) -> Vec<Step> {
        self.look(connections, view);
        let assigned = assign(connections, &self.candidates, |id| {
            self.living(id, view.sight)
        });
        let mut moves = self.may_move(view);
        let mut steps = Vec::new();
        for connection in connections.iter().filter(|it| !view.busy.contains(&it.id)) {
            let first = assigned.get(&connection.id).copied();
            steps.extend(self.step(connection, first, &mut moves, view));
        }
        steps
    }

    fn step(
        &mut self,
        connection: &Connection,
        first: Option<ProcessId>,
        moves: &mut bool,
        view: View<'_>,
    ) -> Option<Step> {
        let id = &connection.id;
        match self.standing(id, view) {
            Standing::Mine(lease) => {
                let why = self.is_to_give_up(lease, view);
                if !why && lease.way != connection.way {
                    // It leads to another node of the server by now: the others are to know.
                    return Some(Step::Take(take(connection, lease.holder, view)));
                }
                let planned = *moves && first.is_some_and(|first| first != self.me);
                if !why && !planned {
                    return None;
                }
                *moves = *moves && why;
                if let Some(kicks) = self.kicks.get_mut(id) {
                    kicks.pending = false;
                }
                if lease.asked_by.is_some() {
                    self.cooling.insert(id.clone(), view.now + self.limits.cool);
                }
                Some(Step::GiveUp(id.clone(), lease.number))
            }
            Standing::MineAgain(dead) => Some(Step::Take(take(connection, dead, view))),
            Standing::Free(dead) => self
                .may_take(connection, first, view)
                .then(|| Step::Take(take(connection, dead, view))),
            Standing::Lost => Some(Step::Lost(id.clone())),
            Standing::Others => None,
        }
    }

    /// Takes in what is seen.
    fn look(&mut self, connections: &[Connection], view: View<'_>) {
        self.sessions.insert(view.session);
        let candidates = candidates(view.sight, Role::Front);
        if candidates != self.candidates {
            self.candidates = candidates;
            self.changed = view.now;
        }
        self.cooling.retain(|_, until| *until > view.now);
        for Connection { id, .. } in connections {
            if let Some(holder) = self.living(id, view.sight) {
                self.last.insert(id.clone(), holder);
            }
            if matches!(self.standing(id, view), Standing::Free(_)) {
                self.free.entry(id.clone()).or_insert(view.now);
            } else {
                self.free.remove(id);
            }
        }
    }

    fn standing<'a>(&self, id: &ConnectionId, view: View<'a>) -> Standing<'a> {
        let held = view.held.get(id).copied();
        let Some(lease) = view.sight.lease(id) else {
            return held.map_or(Standing::Free(None), |_| Standing::MineAgain(None));
        };
        let holder = lease.holder;
        match held {
            Some(mine) if mine > lease.number => Standing::MineAgain(holder),
            _ if holder == Some(view.session) && held == Some(lease.number) => {
                Standing::Mine(lease)
            }
            // The answer to taking it was lost.
            _ if holder == Some(view.session) => Standing::MineAgain(holder),
            Some(_) if holder.is_some_and(|it| self.sessions.contains(&it)) => {
                Standing::MineAgain(holder)
            }
            Some(_) => Standing::Lost,
            None => self.of_others(holder, view.sight),
        }
    }

    fn of_others(&self, holder: Option<SessionId>, sight: &Sight) -> Standing<'static> {
        match holder {
            None => Standing::Free(None),
            Some(old) if self.sessions.contains(&old) => Standing::Free(Some(old)),
            Some(other) if is_dead(other, sight, self.limits.ttl) => Standing::Free(Some(other)),
            Some(_) => Standing::Others,
        }
    }

    /// The front-end that holds a connection, if it lives.
    fn living(&self, id: &ConnectionId, sight: &Sight) -> Option<ProcessId> {
        let holder = sight.lease(id)?.holder?;
        let seen = sight.sessions.iter().find(|seen| seen.session == holder)?;
        Some(seen.member.process)
    }

    /// Whether this process has to let go of what it holds.
    fn is_to_give_up(&self, lease: &Lease, view: View<'_>) -> bool {
        if view.draining || self.was_kicked(lease) {
            return true;
        }
        let others = self.candidates.iter().any(|it| it.process != self.me);
        let unreached = lease
            .asked_by
            .is_some_and(|node| !view.linked.contains(&node));
        unreached && others
    }

    fn was_kicked(&self, lease: &Lease) -> bool {
        let kicks = self.kicks.get(&lease.connection);
        kicks.is_some_and(|kicks| kicks.pending)
    }

    fn may_take(&self, connection: &Connection, first: Option<ProcessId>, view: View<'_>) -> bool {
        let is_candidate = self.candidates.iter().any(|it| it.process == self.me);
        if view.draining || !is_candidate || self.cooling.contains_key(&connection.id) {
            return false;
        }
        let ranks = self.ranks(&connection.id, first);
        let rank = ranks.iter().position(|it| *it == self.me);
        let rank = rank.unwrap_or(ranks.len());
        let delay = self.limits.rank_delay * u32::try_from(rank).unwrap_or(u32::MAX);
        let since = self.free.get(&connection.id).copied();
        since.is_some_and(|since| view.now.since(since) >= delay)
    }

    /// In which order a free connection is for the front-ends: for the assigned one first, and for the one that has let go
    /// of it last, since that one may leave it alone for a while (IL-14).
    fn ranks(&self, id: &ConnectionId, first: Option<ProcessId>) -> Vec<ProcessId> {
        let last = self.last.get(id).copied();
        let mut ranks = ranking(Thing::name(&id.0), &self.candidates);
        ranks.sort_by_key(|it| (Some(*it) == last, Some(*it) != first));
        ranks
    }

    /// Whether one connection may be moved for balance: all is calm, and nothing else is moving.
    fn may_move(&self, view: View<'_>) -> bool {
        let calm = view.now.since(self.changed).min(view.sight.unbroken);
        calm >= self.limits.calm && self.free.is_empty() && view.busy.is_empty()
    }
}

fn take(connection: &Connection, dead: Option<SessionId>, view: View<'_>) -> TakeLease {
    let stored = view.sight.lease(&connection.id);
    let stored = stored.map(|lease| lease.number).unwrap_or_default();
    let held = view.held.get(&connection.id).copied().unwrap_or_default();
    TakeLease {
        connection: connection.id.clone(),
        way: connection.way.clone(),
        session: view.session,
        judged_dead: dead,
        known: held.max(stored),
    }
}

/// Since when a node has no link to front-ends that it sees, for asking those that hold connections to give them up (IL-14).
#[derive(Debug, Default)]
pub struct Unreached(BTreeMap<ProcessId, Moment>);

impl Unreached {
    /// The leases to ask for: of holders that live, and without a link for `patience`. Nothing while no other front-end
    /// has a link: then it is this node that is cut off.
    pub fn update(
        &mut self,
        now: Moment,
        sight: &Sight,
        linked: &BTreeSet<ProcessId>,
        patience: Duration,
    ) -> Vec<(ConnectionId, LeaseNumber)> {
        let fronts = candidates(sight, Role::Front);
        let seen = sight
            .sessions
            .iter()
            .map(|seen| (seen.session, seen.member.process));
        let processes: BTreeMap<SessionId, ProcessId> = seen.collect();
        let there: BTreeSet<ProcessId> = processes.values().copied().collect();
        self.0
            .retain(|process, _| there.contains(process) && !linked.contains(process));
        let reaches_some = fronts.iter().any(|front| linked.contains(&front.process));
        let mut asks = Vec::new();
        for lease in &sight.leases {
            let Some(holder) = lease.holder.and_then(|it| processes.get(&it)) else {
                continue;
            };
            if linked.contains(holder) {
                continue;
            }
            let since = *self.0.entry(*holder).or_insert(now);
            if now.since(since) >= patience && lease.asked_by.is_none() && reaches_some {
                asks.push((lease.connection.clone(), lease.number));
            }
        }
        asks
    }
}
