//! Processes of a cluster, on tokio's paused clock: real agents over one registry and one store in memory. A node here
//! claims and releases shards in the store, as a real one does, and runs no channels.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coven_cluster::agent::{
    Dial, FrontAgent, FrontControl, Handle, LinkUp, NodeAgent, NodeControl, Options, Take,
};
use coven_cluster::leases::{Attach, Connection};
use coven_cluster::session::Timing;
use coven_cluster::{Clock, Fence, LeaseNumber, ProcessId, ShardId, TokioClock, judge};
use coven_core::Epoch;
use coven_store::registry::Role;
use coven_store::{
    Claim, ConnectionId, Error, MemoryRegistry, MemoryStore, Owner, SessionId, Store,
};
use smol_str::SmolStr;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::world::{seen, way};

/// How many shards there are.
pub(crate) const SHARDS: u16 = 32;

/// What all processes share.
pub(crate) struct Cluster {
    pub(crate) store: MemoryStore,
    pub(crate) registry: MemoryRegistry,
    clock: Arc<dyn Clock>,
}

/// One process.
pub(crate) struct Process<C> {
    pub(crate) handle: Handle,
    pub(crate) control: Arc<C>,
    pub(crate) registry: Arc<MemoryRegistry>,
    pub(crate) fence: Fence,
    run: JoinHandle<()>,
}

impl<C> Process<C> {
    /// kill -9.
    pub(crate) fn kill(self) -> Arc<C> {
        self.run.abort();
        self.control
    }

    /// SIGTERM; answers how long it took.
    pub(crate) async fn stop(self) -> Duration {
        let began = Instant::now();
        self.handle.stop(Duration::from_secs(30)).await;
        self.run.await.unwrap();
        began.elapsed()
    }
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let store = MemoryStore::new();
        let identity = store.identity().await.unwrap();
        Self {
            store,
            registry: MemoryRegistry::new(identity),
            clock: Arc::new(TokioClock::new()),
        }
    }

    pub(crate) async fn node(&self, number: u128) -> Process<Node> {
        self.node_reading(number, 1).await
    }

    /// A node that reads formats up to this one.
    pub(crate) async fn node_reading(&self, number: u128, formats: u32) -> Process<Node> {
        let (registry, mut options) = self.options(number, Role::Node).await;
        options.member.formats = formats;
        let fence = options.fence.clone();
        let (handle, control, run) = start(Arc::new(self.store.clone()), options);
        Process {
            handle,
            control,
            registry,
            fence,
            run,
        }
    }

    pub(crate) async fn front(&self, number: u128, connections: &[Connection]) -> Process<Front> {
        let (registry, options) = self.options(number, Role::Front).await;
        let fence = options.fence.clone();
        let control = Arc::new(Front {
            connections: connections.to_vec(),
            fence: fence.clone(),
            state: Mutex::default(),
        });
        let dial = Always;
        let (agent, handle) = FrontAgent::new(options, Control(Arc::clone(&control)), dial);
        Process {
            handle,
            control,
            registry,
            fence,
            run: tokio::spawn(agent.run()),
        }
    }

    async fn options(&self, number: u128, role: Role) -> (Arc<MemoryRegistry>, Options) {
        let registry = Arc::new(self.registry.client());
        let identity = self.store.identity().await.unwrap();
        let member = seen(number, role).member;
        let options = Options::new(
            Arc::clone(&registry) as _,
            Arc::clone(&self.clock),
            member,
            identity,
        );
        (registry, options)
    }
}

/// Starts a node over any store, and any registry.
pub(crate) fn start(
    store: Arc<dyn Store>,
    options: Options,
) -> (Handle, Arc<Node>, JoinHandle<()>) {
    let control = Arc::new(Node {
        store: Arc::clone(&store),
        state: Mutex::default(),
    });
    let (agent, handle) = NodeAgent::new(options, SHARDS, store, Control(Arc::clone(&control)));
    (handle, control, tokio::spawn(agent.run()))
}

/// Waits until something is so; answers how long that took.
pub(crate) async fn until(mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(120), "it is never so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// A time to live.
pub(crate) fn ttl() -> Duration {
    Timing::default().ttl
}

/// What the agent holds: the test looks at the same.
#[derive(Debug)]
struct Control<C>(Arc<C>);

/// A node without channels.
#[derive(Debug)]
pub(crate) struct Node {
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    owned: BTreeMap<ShardId, Owner>,
    suspended: bool,
    lost: Vec<ShardId>,
    linked: BTreeSet<ProcessId>,
    forgotten: Vec<ProcessId>,
    beyond: BTreeSet<ShardId>,
    /// Each time it stopped or went on speaking.
    turns: Vec<bool>,
}

impl Node {
    /// The shards that it would serve now.
    pub(crate) fn serves(&self) -> BTreeSet<ShardId> {
        let state = self.state.lock().unwrap();
        let all = state.owned.keys().copied();
        if state.suspended {
            BTreeSet::new()
        } else {
            all.collect()
        }
    }

    /// What it would serve with a session.
    pub(crate) fn owned(&self) -> BTreeMap<ShardId, Owner> {
        self.state.lock().unwrap().owned.clone()
    }

    /// Shards that it has lost.
    pub(crate) fn lost(&self) -> Vec<ShardId> {
        self.state.lock().unwrap().lost.clone()
    }

    pub(crate) fn link(&self, front: u128) {
        self.state.lock().unwrap().linked.insert(ProcessId(front));
    }

    pub(crate) fn unlink(&self, front: u128) {
        self.state.lock().unwrap().linked.remove(&ProcessId(front));
    }

    /// It meets something of a newer version.
    pub(crate) fn meet_newer(&self, shard: ShardId) {
        self.state.lock().unwrap().beyond.insert(shard);
    }

    pub(crate) fn forgotten(&self) -> Vec<ProcessId> {
        self.state.lock().unwrap().forgotten.clone()
    }

    async fn claim(&self, take: Take, session: SessionId) -> Result<Epoch, Error> {
        let claim = Claim {
            session,
            judged_dead: take.judged_dead,
            known: coven_store::Epoch(take.known.0),
        };
        let shard = coven_store::ShardId(take.shard.0);
        let epoch = self.store.claim(shard, claim).await?.epoch;
        let owner = Owner { epoch, session };
        self.state.lock().unwrap().owned.insert(take.shard, owner);
        Ok(Epoch(epoch.0))
    }
}

impl NodeControl for Control<Node> {
    async fn take(
        &self,
        shards: Vec<Take>,
        session: SessionId,
    ) -> Vec<(ShardId, Result<Epoch, Error>)> {
        let mut results = Vec::new();
        for take in shards {
            results.push((take.shard, self.0.claim(take, session).await));
        }
        results
    }

    async fn give_up(&self, shards: Vec<ShardId>) {
        for shard in shards {
            let owner = self.0.state.lock().unwrap().owned.remove(&shard);
            let Some(owner) = owner else { continue };
            let stored = coven_store::ShardId(shard.0);
            self.0.store.release(stored, owner.epoch).await.unwrap();
        }
    }

    fn beyond(&self) -> BTreeSet<ShardId> {
        std::mem::take(&mut self.0.state.lock().unwrap().beyond)
    }

    fn suspend(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.suspended = true;
        state.turns.push(false);
    }

    async fn resume(&self, session: SessionId) {
        for (shard, own) in self.0.owned() {
            let stored = self
                .0
                .store
                .owner(coven_store::ShardId(shard.0))
                .await
                .unwrap();
            let again = judge::take_again(shard, own, stored);
            let claimed = match again {
                Some(take) => self.0.claim(take, session).await.is_ok(),
                None => false,
            };
            if !claimed {
                let mut state = self.0.state.lock().unwrap();
                state.owned.remove(&shard);
                state.lost.push(shard);
            }
        }
        let mut state = self.0.state.lock().unwrap();
        state.suspended = false;
        state.turns.push(true);
    }

    fn owned(&self) -> Vec<(ShardId, Epoch)> {
        let owned = self.0.owned().into_iter();
        owned
            .map(|(shard, owner)| (shard, Epoch(owner.epoch.0)))
            .collect()
    }

    fn linked(&self) -> BTreeSet<ProcessId> {
        self.0.state.lock().unwrap().linked.clone()
    }

    async fn forget_process(&self, process: ProcessId) {
        self.0.state.lock().unwrap().forgotten.push(process);
    }
}

/// A front-end without streams.
#[derive(Debug)]
pub(crate) struct Front {
    connections: Vec<Connection>,
    fence: Fence,
    state: Mutex<FrontState>,
}

#[derive(Debug, Default)]
struct FrontState {
    held: BTreeMap<ConnectionId, LeaseNumber>,
    barriers: usize,
}

impl Front {
    pub(crate) fn held(&self) -> BTreeMap<ConnectionId, LeaseNumber> {
        self.state.lock().unwrap().held.clone()
    }

    /// How often it gave something up in order.
    pub(crate) fn barriers(&self) -> usize {
        self.state.lock().unwrap().barriers
    }
}

impl FrontControl for Control<Front> {
    fn connections(&self) -> Vec<Connection> {
        self.0.connections.clone()
    }

    fn grant(&self, connection: &ConnectionId, lease: LeaseNumber) {
        let mut state = self.0.state.lock().unwrap();
        let before = state.held.insert(connection.clone(), lease);
        assert!(before.is_none_or(|before| before < lease));
    }

    async fn revoke(&self, connection: &ConnectionId) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut state = self.0.state.lock().unwrap();
        state.held.remove(connection);
        state.barriers += 1;
    }

    /// By then its session was over: it must not have been able to write under the next one.
    fn lost(&self, connection: &ConnectionId) {
        assert!(!self.0.fence.is_open(), "{connection:?} is another's");
        self.0.state.lock().unwrap().held.remove(connection);
    }
}

/// A link that is up as long as it is wanted.
#[derive(Debug)]
struct Always;

impl Dial for Always {
    fn link(&self, _: ProcessId, _: SmolStr, up: LinkUp) -> impl Future<Output = ()> + Send {
        up.up();
        std::future::pending()
    }
}

/// Connections of one space.
pub(crate) fn connections(count: usize, attach: Attach) -> Vec<Connection> {
    let connection = |number| Connection {
        id: ConnectionId(format!("c{number}").into()),
        way: way(),
        attach,
    };
    (0..count).map(connection).collect()
}
