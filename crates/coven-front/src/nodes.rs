//! Nodes in other processes: which links are up, and what goes to whom.
//!
//! Owns the links, and the table of operations (`coven_cluster::operations`) that goes with them. To the rest of the
//! front-end all nodes together are one [`NodeLink`]: the way in and the workers do not know how many there are. In one
//! process this is not used; its one node is reached without a table.
//!
//! Lock: one, held while something is given to a link, so that the order on each link is that of the table. Giving never
//! waits. Bounds: those of the table; one link per process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coven_cluster::link::{Acknowledged, NodeLink};
use coven_cluster::operations::{Effects, Operations};
use coven_cluster::{Channel, Operation, ProcessId, Relay, ShardId, ToFront, ToNode};
use coven_core::{Group, Refusal};
use smol_str::SmolStr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::front::Front;

/// How often it is looked for what has waited too long ...
const TICK: Duration = Duration::from_millis(250);
/// ... and whether a full queue has room again.
const RETRY: Duration = Duration::from_millis(20);
/// A node that comes so soon after a sweep is swept too.
const SWEEP: Duration = Duration::from_secs(30);

/// All nodes that this front-end has a link to.
#[derive(Debug)]
pub(crate) struct Nodes {
    front: Arc<Front>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Operations,
    links: BTreeMap<ProcessId, Link>,
    /// When groups were swept last. Bounded by their number.
    swept: BTreeMap<Group, Instant>,
}

#[derive(Debug)]
struct Link {
    node: Arc<dyn NodeLink>,
    life: Arc<Life>,
    /// What it is to be told, as soon as it has room.
    owes_holds: bool,
    owes_sweeps: BTreeSet<Group>,
}

/// Whether a link is still the one that counts: what came from a lost one and is not rendered yet is dropped.
#[derive(Debug)]
pub(crate) struct Life(AtomicBool);

impl Life {
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Nodes {
    pub(crate) fn new(front: Arc<Front>, process: ProcessId) -> Self {
        Self {
            front,
            state: Mutex::new(State {
                table: Operations::new(process),
                links: BTreeMap::new(),
                swept: BTreeMap::new(),
            }),
        }
    }

    /// A link is up; one to the same process before it counts no more.
    pub(crate) fn up(&self, process: ProcessId, node: Arc<dyn NodeLink>) -> Arc<Life> {
        let now = Instant::now();
        let life = Arc::new(Life(AtomicBool::new(false)));
        let mut state = self.state();
        self.cut(&mut state, process, now);
        let recent = |at: &Instant| now < *at + SWEEP;
        let swept = state.swept.iter().filter(|(_, at)| recent(at));
        let link = Link {
            node,
            life: Arc::clone(&life),
            owes_holds: true,
            owes_sweeps: swept.map(|(group, _)| group.clone()).collect(),
        };
        state.links.insert(process, link);
        state.table.link_up(process);
        self.pay(&mut state);
        life
    }

    /// A link is down.
    pub(crate) fn down(&self, process: ProcessId, life: &Arc<Life>) {
        life.end();
        let mut state = self.state();
        let link = state.links.get(&process);
        if link.is_some_and(|link| Arc::ptr_eq(&link.life, life)) {
            self.cut(&mut state, process, Instant::now());
        }
    }

    fn cut(&self, state: &mut State, process: ProcessId, now: Instant) {
        if let Some(link) = state.links.remove(&process) {
            link.life.end();
            let (table, mut out) = self.parts(state);
            table.link_down(process, now, &mut out);
        }
    }

    /// What a node says besides output.
    pub(crate) fn said(&self, node: ProcessId, message: ToFront) {
        let now = Instant::now();
        let mut state = self.state();
        let (table, mut out) = self.parts(&mut state);
        match message {
            ToFront::Owned(shards) => {
                for (shard, epoch) in &shards {
                    self.front.epochs.raise(*shard, *epoch);
                }
                table.owned(node, &shards, &mut out);
            }
            ToFront::Released(shards) => table.released(node, &shards, now),
            ToFront::NotOwner { channel, id, epoch } => {
                table.not_owner(node, &channel, id.n, epoch, now, &mut out);
            }
            ToFront::Missing { channel, after } => table.missing(node, &channel, after, &mut out),
            ToFront::Committed { channel, n } => table.committed(&channel, n),
            ToFront::Done { channel, n } => table.done(&channel, n),
            ToFront::NotTaken {
                channel,
                id,
                refusal,
            } => table.not_taken(node, &channel, id.n, *refusal, &mut out),
            ToFront::Relay(relay) => self.front.take_relay(&relay),
            ToFront::Output(_) => {}
        }
    }

    /// Whether this is a read or a passing command that nobody has answered.
    pub(crate) fn is_passing(&self, channel: &Channel, n: u64) -> bool {
        self.state().table.is_passing(channel, n)
    }

    /// A read or a passing command was answered, and the answer gone through.
    pub(crate) fn answered(&self, channel: &Channel, n: u64) {
        self.state().table.done(channel, n);
    }

    /// What is held has changed: all nodes are told.
    pub(crate) fn tell_holds(&self) {
        let mut state = self.state();
        for link in state.links.values_mut() {
            link.owes_holds = true;
        }
        self.pay(&mut state);
    }

    /// Does what is due by time, until `stop`.
    pub(crate) async fn tend(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = if self.tick() { RETRY } else { TICK };
            let _ = tokio::time::timeout(pause, stop.cancelled()).await;
        }
    }

    /// A connection is being given up: who could be answered by it alone, and waits for an owner, is answered now (I5).
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        let (table, mut out) = self.parts(&mut state);
        table.abandon(|operation| !self.front.serves(operation), &mut out);
    }

    /// Links that are up.
    pub(crate) fn count(&self) -> usize {
        self.state().links.len()
    }

    /// Operations that are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.state().table.len()
    }

    /// Gives up what has waited too long, and says what found no room. Tells whether something still waits for room.
    fn tick(&self) -> bool {
        let mut state = self.state();
        if self.front.fence.is_open() {
            let (table, mut out) = self.parts(&mut state);
            table.retry(&mut out);
        }
        self.pay(&mut state);
        let (table, mut out) = self.parts(&mut state);
        table.tick(Instant::now(), &mut out);
        let owes = |link: &Link| link.owes_holds || !link.owes_sweeps.is_empty();
        state.table.has_backlog() || state.links.values().any(owes)
    }

    /// Tells links what they are owed, if they have room. While the process may not speak, nobody is told anything.
    fn pay(&self, state: &mut State) {
        if !self.front.fence.is_open() {
            return;
        }
        for link in state.links.values_mut() {
            if link.owes_holds {
                let held = ToNode::Holds(self.front.held());
                link.owes_holds = link.node.try_send(held).is_err();
            }
            let node = &link.node;
            link.owes_sweeps.retain(|group| {
                let group = group.clone();
                node.try_send(ToNode::Sweep { group }).is_err()
            });
        }
    }

    fn operation(&self, operation: Box<Operation>) -> Result<(), ToNode> {
        let mut state = self.state();
        let (table, mut out) = self.parts(&mut state);
        let has_owner = table.target(operation.channel.shard()).is_some();
        if !has_owner && !self.front.serves(&operation) {
            // It came by a stream that ends before anybody could say what has become of it.
            return Err(ToNode::Operation(operation));
        }
        let submitted = table.submit(operation, Instant::now(), &mut out);
        submitted.map_err(ToNode::Operation)
    }

    /// Acknowledgements go to whoever owns the shard now; without an owner they go nowhere: the next one asks for them by
    /// beginning anew.
    fn acknowledge(&self, batch: Vec<Acknowledged>) -> Result<(), ToNode> {
        let state = self.state();
        let shard = |ack: &Acknowledged| ack.channel.shard();
        let refused = state.spread(batch, shard, ToNode::Acknowledge, |message| match message {
            ToNode::Acknowledge(batch) => batch,
            _ => Vec::new(),
        });
        none_of(refused, ToNode::Acknowledge)
    }

    fn lost(&self, connection: &SmolStr, channels: Vec<Channel>) -> Result<(), ToNode> {
        let state = self.state();
        let message = |channels| ToNode::StreamLost {
            connection: connection.clone(),
            channels,
        };
        let refused = state.spread(channels, Channel::shard, message, |message| match message {
            ToNode::StreamLost { channels, .. } => channels,
            _ => Vec::new(),
        });
        none_of(refused, message)
    }

    /// All nodes are to probe: those that have no room now do so later.
    fn sweep(&self, group: Group) -> Result<(), ToNode> {
        let mut state = self.state();
        if state.links.is_empty() {
            return Err(ToNode::Sweep { group });
        }
        for link in state.links.values_mut() {
            link.owes_sweeps.insert(group.clone());
        }
        state.swept.insert(group, Instant::now());
        self.pay(&mut state);
        Ok(())
    }

    /// Not every node has a link to that front-end. It comes there more than once, which means nothing.
    fn everywhere(&self, to: ProcessId, relay: Relay) -> Result<(), ToNode> {
        let state = self.state();
        let mut taken = false;
        for link in state.links.values() {
            let relay = relay.clone();
            taken |= link.node.try_send(ToNode::Relay { to, relay }).is_ok();
        }
        match taken {
            true => Ok(()),
            false => Err(ToNode::Relay { to, relay }),
        }
    }

    /// Any node knows the directory.
    fn any(&self, message: ToNode) -> Result<(), ToNode> {
        let state = self.state();
        let mut message = message;
        for link in state.links.values() {
            match link.node.try_send(message) {
                Ok(()) => return Ok(()),
                Err(back) => message = back,
            }
        }
        Err(message)
    }

    fn parts<'a>(&'a self, state: &'a mut State) -> (&'a mut Operations, Sending<'a>) {
        let sending = Sending {
            front: &self.front,
            links: &state.links,
        };
        (&mut state.table, sending)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives each owner its part. Tells what found no room.
    fn spread<T>(
        &self,
        all: Vec<T>,
        shard: impl Fn(&T) -> ShardId,
        message: impl Fn(Vec<T>) -> ToNode,
        parts: impl Fn(ToNode) -> Vec<T>,
    ) -> Vec<T> {
        let mut by_owner: BTreeMap<ProcessId, Vec<T>> = BTreeMap::new();
        for one in all {
            if let Some(owner) = self.table.target(shard(&one)) {
                by_owner.entry(owner).or_default().push(one);
            }
        }
        let mut refused = Vec::new();
        for (owner, part) in by_owner {
            if let Some(link) = self.links.get(&owner)
                && let Err(back) = link.node.try_send(message(part))
            {
                refused.extend(parts(back));
            }
        }
        refused
    }
}

fn none_of<T>(refused: Vec<T>, message: impl Fn(Vec<T>) -> ToNode) -> Result<(), ToNode> {
    if refused.is_empty() {
        Ok(())
    } else {
        Err(message(refused))
    }
}

impl NodeLink for Nodes {
    /// While the process may not speak (design §5.9), nothing is told to anybody: the caller keeps it or refuses it.
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        if !self.front.fence.is_open() {
            return Err(message);
        }
        match message {
            ToNode::Operation(operation) => self.operation(operation),
            ToNode::Acknowledge(batch) => self.acknowledge(batch),
            ToNode::StreamLost {
                connection,
                channels,
            } => self.lost(&connection, channels),
            ToNode::Sweep { group } => self.sweep(group),
            ToNode::Directory(_) => self.any(message),
            ToNode::Relay { to, relay } => self.everywhere(to, relay),
            ToNode::Holds(_) => {
                self.tell_holds();
                Ok(())
            }
        }
    }
}

/// What the table of operations asks for, done.
struct Sending<'a> {
    front: &'a Front,
    links: &'a BTreeMap<ProcessId, Link>,
}

impl Effects for Sending<'_> {
    fn send(&mut self, to: ProcessId, operation: Box<Operation>) -> bool {
        let link = self.links.get(&to);
        let sent = |link: &Link| link.node.try_send(ToNode::Operation(operation)).is_ok();
        self.front.fence.is_open() && link.is_some_and(sent)
    }

    fn refuse(&mut self, operation: &Operation, refusal: Refusal) {
        self.front.counters.given_up.add(1);
        self.front.refuse(&operation.origin, &refusal);
    }
}
