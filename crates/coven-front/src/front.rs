//! What all parts of a front-end share, both ways: domains, connections, routes, counters.
//!
//! Owns nothing that changes but counters and small tables with locks of their own; no lock is held over an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coven_cluster::clock::Fence;
use coven_cluster::routes::{LastWay, Routes};
use coven_cluster::timing::Timing;
use coven_cluster::{Held, Operation, Relay};
use coven_core::{
    ChannelName, Delta, Event, Group, Origin, PersonView, Record, Refusal, Timestamp,
};
use coven_xmpp::domains::Domains;
use coven_xmpp::render;
use coven_xmpp::stanza::Outgoing;
use smol_str::SmolStr;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::clock;
use crate::connection::{BarrierNo, Connection, Ids, NotTaken, ServerNodes, Whose};
use crate::epochs::Epochs;
use crate::intake::{Limiter, Order, Recent, Rosters, Sweeps, Visits};
use crate::metrics::{Counter, Counters};
use crate::options::{Barrier, Options, Upstream};
use crate::own::OwnWords;
use crate::status::ConnectionEvent;

/// Events of connections that wait for whoever listens.
const EVENTS: usize = 256;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all parts of a front-end share.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) domains: Arc<Domains>,
    pub(crate) shards: u16,
    pub(crate) connections: Vec<Arc<Connection>>,
    pub(crate) routes: Routes,
    /// The connections of each space.
    spaces: BTreeMap<SmolStr, Arc<[usize]>>,
    /// What people may send; none if rates are off.
    pub(crate) limiter: Option<Limiter>,
    /// Channels whose roster is here.
    pub(crate) rosters: Rosters,
    /// Sessions that have joined lately.
    pub(crate) joined: Recent,
    /// In how many rooms people are.
    pub(crate) visits: Visits,
    /// Whether servers keep the order of what people say.
    pub(crate) order: Order,
    /// Whether a domain has several connections in one group.
    pub(crate) has_several: bool,
    pub(crate) counters: Counters,
    /// From taking an output until it was rendered and packed for its streams.
    pub(crate) render_times: Timing,
    pub(crate) activity: Activity,
    /// The newest owners of shards.
    pub(crate) epochs: Epochs,
    /// Whether output of nodes may be written (design §5.9).
    pub(crate) fence: Fence,
    /// The ids of barriers.
    pub(crate) ids: Ids,
    /// Groups that are to be swept.
    pub(crate) sweeps: Mutex<Sweeps>,
    /// Something is to be tended.
    pub(crate) tend: Notify,
    events: broadcast::Sender<ConnectionEvent>,
    /// There are others: connections are held by lease, nodes are several.
    is_clustered: bool,
    /// When it began.
    born: Timestamp,
    workers: Arc<[Notify]>,
}

/// Whether anything goes in or out: a drain waits for quiet.
#[derive(Debug, Default)]
pub(crate) struct Activity(Counter);

impl Activity {
    /// Something went in or out.
    pub(crate) fn touch(&self) {
        self.0.add(1);
    }

    /// Changes with each touch.
    pub(crate) fn count(&self) -> u64 {
        self.0.get()
    }
}

impl Front {
    /// `cluster`: there are others.
    pub(crate) fn new(options: &Options, workers: usize, ids: Ids, cluster: Option<Fence>) -> Self {
        let workers: Arc<[Notify]> = (0..workers).map(|_| Notify::new()).collect();
        let connections = connections(options, &workers);
        Self {
            epochs: Epochs::new(options.shards),
            is_clustered: cluster.is_some(),
            fence: cluster.unwrap_or_else(Fence::open),
            ids,
            sweeps: Mutex::default(),
            tend: Notify::new(),
            events: broadcast::Sender::new(EVENTS),
            domains: Arc::clone(&options.domains),
            shards: options.shards,
            routes: Routes::new(connections.iter().map(|connection| connection.place())),
            spaces: spaces(&options.domains, &connections),
            has_several: has_several(&connections),
            connections,
            limiter: options.rates.map(Limiter::new),
            rosters: Rosters::default(),
            joined: Recent::default(),
            order: Order::default(),
            visits: Visits::new(options.rates.map_or(0, |rates| rates.rooms)),
            counters: Counters::default(),
            render_times: Timing::default(),
            activity: Activity::default(),
            born: clock::now(),
            workers,
        }
    }

    /// Whether connections are held by lease.
    pub(crate) const fn is_clustered(&self) -> bool {
        self.is_clustered
    }

    /// What happened to a connection, for whoever listens.
    pub(crate) fn tell(&self, event: ConnectionEvent) {
        let _ = self.events.send(event);
    }

    /// What happens to connections from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.events.subscribe()
    }

    /// What this front-end holds.
    pub(crate) fn held(&self) -> Vec<Held> {
        let held = |connection: &Arc<Connection>| {
            let domain = self.domains.get(connection.domain())?;
            Some(Held {
                connection: connection.name().clone(),
                lease: connection.tenure().0.lease()?,
                space: domain.space.clone(),
            })
        };
        self.connections.iter().filter_map(held).collect()
    }

    /// Its sessions are to be probed once more.
    pub(crate) fn want_sweep(&self, group: &Group) {
        lock(&self.sweeps).want(group, Instant::now());
        self.tend.notify_one();
    }

    /// A barrier's answer that came on another front-end's stream.
    pub(crate) fn take_relay(&self, relay: &Relay) {
        if let Some(Whose::Ours(connection, no)) = self.ids.read(&relay.id) {
            self.barrier_answered(connection, no, &relay.from, None);
        }
    }

    /// Whether barriers are answered by who is at this address, on streams of the servers of `via`: a domain of ours, or the
    /// host that was chosen for that.
    pub(crate) fn answers_barriers(&self, from: &str, via: &Connection) -> bool {
        let mut of_group = self.connections.iter().filter(|c| c.group() == via.group());
        of_group.any(|connection| match &connection.upstream().barrier {
            Barrier::Host(host) => from == host,
            Barrier::OwnDomain | Barrier::Off => from == connection.domain(),
        })
    }

    /// A barrier came back, on whatever stream: it counts for the one on which it was sent. Who it comes from shows that the
    /// server has it from where it was sent to. `via`: the connection on which it came, if that was here.
    pub(crate) fn barrier_answered(
        &self,
        connection: usize,
        no: BarrierNo,
        from: &str,
        via: Option<usize>,
    ) {
        let sent = self.connections.get(connection);
        let answers = |sent: &&Arc<Connection>| match &sent.upstream().barrier {
            Barrier::Host(host) => from == host,
            Barrier::OwnDomain | Barrier::Off => from == sent.domain(),
        };
        if let Some(sent) = sent.filter(answers)
            && sent.answered(no).is_some()
            && via != Some(connection)
            && self.had_choice(sent, via)
        {
            self.order.strayed(sent, &self.counters.reordered);
        }
    }

    /// Whether the server had several streams for the domain of a barrier to write the answer to, and chose another than it
    /// was sent on. A domain of one stream is at two front-ends only while one takes it over from the other; and an answer on
    /// the stream of another domain is the fault of another set-up, which is told apart (MAP-27).
    fn had_choice(&self, sent: &Connection, via: Option<usize>) -> bool {
        let is_like = |other: &Arc<Connection>| {
            (other.group(), other.domain()) == (sent.group(), sent.domain())
        };
        let came_on = via.and_then(|at| self.connections.get(at));
        sent.upstream().barrier == Barrier::OwnDomain
            && came_on.is_none_or(is_like)
            && self.connections.iter().filter(|c| is_like(c)).count() > 1
    }

    /// Answers without a node; by the connection that is responsible for the address, or where another front-end holds that
    /// one, by any of the same kind that is up here.
    pub(crate) fn answer(&self, answer: &Outgoing, group: &Group) {
        self.counters.answered.add(1);
        let bare = answer.to.split_once('/');
        let bare = bare.map_or(&*answer.to, |(bare, _)| bare);
        let domain = answer.template.from_domain();
        let mut last = LastWay::default();
        let way = self.routes.find(group, domain, bare, &mut last);
        let responsible = way.and_then(|at| self.connections.get(at));
        let Some(connection) = responsible else {
            return self.counters.copies_unroutable.add(1);
        };
        let is_like = |other: &&Arc<Connection>| {
            let same = other.group() == connection.group() && other.domain() == domain;
            same && other.stream().is_up()
        };
        let connection = if self.is_clustered && !connection.stream().is_up() {
            self.connections.iter().find(is_like).unwrap_or(connection)
        } else {
            connection
        };
        match connection.direct().push(answer) {
            Ok(()) => connection.wake(),
            Err(NotTaken::Down | NotTaken::Full) => self.counters.answers_lost.add(1),
            Err(NotTaken::Refused(_)) => self.counters.oversized.add(1),
        }
    }

    /// Whether this front-end holds a connection by which the sender of an operation can be answered later.
    pub(crate) fn serves(&self, operation: &Operation) -> bool {
        let (group, space) = (&operation.origin.group, &operation.channel.name().space);
        let is_held = |at: &usize| {
            let connection = self.connections.get(*at);
            connection.is_some_and(|c| c.group() == group && c.tenure().0.takes_events())
        };
        self.of_space(space).iter().any(is_held)
    }

    /// Tells the sender of an operation that it is given up.
    pub(crate) fn refuse(&self, origin: &Origin, refusal: &Refusal) {
        if origin.is_answerable() {
            render::refused(&self.domains, origin, refusal, &mut OwnWords(self));
        }
    }

    /// The upstreams' servers that have several nodes behind one name.
    pub(crate) fn server_nodes(&self) -> Vec<Arc<ServerNodes>> {
        let mut all: Vec<Arc<ServerNodes>> = Vec::new();
        for nodes in self.connections.iter().filter_map(|c| c.server_nodes()) {
            if !all.iter().any(|known| Arc::ptr_eq(known, nodes)) {
                all.push(Arc::clone(nodes));
            }
        }
        all
    }

    /// The connections that serve channels of a space.
    pub(crate) fn of_space(&self, space: &str) -> Arc<[usize]> {
        self.spaces.get(space).cloned().unwrap_or_default()
    }

    /// Waits until a worker is to look at the connections.
    pub(crate) async fn woken(&self, worker: usize) {
        match self.workers.get(worker) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// An event has happened: what it means for the rates of those whom it is about. One that comes again, or was there
    /// before this front-end, has been paid for (`is_new`: it is the first time here).
    pub(crate) fn note(&self, channel: &ChannelName, record: &Record, is_new: bool, delta: &Delta) {
        let Some(limiter) = &self.limiter else {
            return;
        };
        match &record.event {
            Event::Created { creator, .. } if is_new && record.stamp >= self.born => {
                limiter.created(&creator.jid);
            }
            Event::Joined { session, .. } => {
                self.joined.insert(&(&session.jid, channel));
                self.visits.joined(session.jid.bare_str(), channel);
            }
            Event::Left { .. } => {
                if let Some(session) = &delta.session {
                    self.joined.remove(&(&session.jid, channel));
                }
                let stays = |after: &PersonView| after.muc_sessions().next().is_some();
                if !delta.after.as_ref().is_some_and(stays) {
                    self.gone(channel, delta.before.as_ref());
                }
            }
            Event::Removed { .. } => self.gone(channel, delta.before.as_ref()),
            Event::Destroyed { .. } => self.gone(channel, &delta.everybody),
            _ => {}
        }
    }

    /// These people are in the room no more.
    fn gone<'a>(&self, channel: &ChannelName, people: impl IntoIterator<Item = &'a PersonView>) {
        for view in people {
            self.visits.left(view.person.jid.as_str(), channel);
            for session in &view.sessions {
                self.joined.remove(&(&session.jid, channel));
            }
        }
    }
}

fn connections(options: &Options, workers: &Arc<[Notify]>) -> Vec<Arc<Connection>> {
    let mut connections = Vec::new();
    for upstream in &options.upstreams {
        let (shared, address) = (Arc::new(upstream.clone()), upstream.address());
        let server_nodes = server_nodes(upstream);
        for domain in &upstream.domains {
            for name in upstream.slots.names(&upstream.group, &address, domain) {
                let of = (Arc::clone(&shared), server_nodes.clone());
                let (index, workers) = (connections.len(), Arc::clone(workers));
                let connection = Connection::new(index, (domain.clone(), name), of, workers);
                connections.push(Arc::new(connection));
            }
        }
    }
    connections
}

fn has_several(connections: &[Arc<Connection>]) -> bool {
    let mut ways = std::collections::BTreeSet::new();
    let is_second = |c: &Arc<Connection>| !ways.insert((c.group().clone(), c.domain().clone()));
    connections.iter().any(is_second)
}

/// Of an upstream whose name stands for several nodes of a server.
fn server_nodes(upstream: &Upstream) -> Option<Arc<ServerNodes>> {
    let slots = upstream.slots;
    if slots.server_nodes.get() == 1 {
        return None;
    }
    let (each, all) = (slots.each.get().into(), slots.count().into());
    let nodes = ServerNodes::new(&upstream.host, upstream.port, each, all);
    for domain in &upstream.domains {
        nodes.serve(domain);
    }
    Some(Arc::new(nodes))
}

fn spaces(domains: &Domains, connections: &[Arc<Connection>]) -> BTreeMap<SmolStr, Arc<[usize]>> {
    let mut spaces: BTreeMap<SmolStr, Vec<usize>> = BTreeMap::new();
    for connection in connections {
        if let Some(domain) = domains.get(connection.domain()) {
            let of_space = spaces.entry(domain.space.clone()).or_default();
            of_space.push(connection.index());
        }
    }
    let shared = |(space, of_space): (SmolStr, Vec<usize>)| (space, Arc::from(of_space));
    spaces.into_iter().map(shared).collect()
}
