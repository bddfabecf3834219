//! What all parts of a front-end share, both ways: domains, connections, routes, counters.
//!
//! Owns nothing that changes but counters and small tables with locks of their own; no lock is held over an await.

use std::collections::BTreeMap;
use std::sync::Arc;

use coven_cluster::timing::Timing;
use coven_core::{ChannelName, Delta, Event, PersonView, Record, Timestamp};
use coven_xmpp::domains::Domains;
use smol_str::SmolStr;
use tokio::sync::Notify;

use crate::clock;
use crate::connection::Connection;
use crate::intake::{Limiter, Recent, Rosters, Visits};
use crate::metrics::{Counter, Counters};
use crate::options::Options;
use crate::routes::Routes;

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
    pub(crate) counters: Counters,
    /// From taking an output until it was rendered and packed for its streams.
    pub(crate) render_times: Timing,
    pub(crate) activity: Activity,
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
    pub(crate) fn new(options: &Options, workers: usize) -> Self {
        let workers: Arc<[Notify]> = (0..workers).map(|_| Notify::new()).collect();
        let connections = connections(options, &workers);
        Self {
            domains: Arc::clone(&options.domains),
            shards: options.shards,
            routes: Routes::new(connections.iter().map(|connection| &**connection)),
            spaces: spaces(&options.domains, &connections),
            connections,
            limiter: options.rates.map(Limiter::new),
            rosters: Rosters::default(),
            joined: Recent::default(),
            visits: Visits::new(options.rates.map_or(0, |rates| rates.rooms)),
            counters: Counters::default(),
            render_times: Timing::default(),
            activity: Activity::default(),
            born: clock::now(),
            workers,
        }
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
        let shared = Arc::new(upstream.clone());
        for domain in &upstream.domains {
            let (index, domain) = (connections.len(), domain.clone());
            let (upstream, workers) = (Arc::clone(&shared), Arc::clone(workers));
            connections.push(Arc::new(Connection::new(index, domain, upstream, workers)));
        }
    }
    connections
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
