//! The network between front-ends and nodes: connections with two lanes each, in order, that are slow or blocked.
//!
//! Owns what is under way. A lane loses nothing as long as both ends live; while the way between two processes is blocked,
//! what is under way waits, and comes when it heals: also what an end that is long gone has sent, behind the beginning of a
//! newer connection (IL-33). What ends do with it is in [`crate::link`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use coven_cluster::{ProcessId, ToFront, ToNode};
use smol_str::SmolStr;
use tokio::sync::mpsc;

use crate::os;
use crate::rng::Rng;

/// Messages that fit in a lane: the queues and buffers of both ends.
const ROOM: usize = 512;
/// Connections that a listener has not taken yet.
const BACKLOG: usize = 16;

/// What goes over a lane.
#[derive(Debug)]
pub enum Parcel<T> {
    /// A message.
    Said(T),
    /// The other side lives.
    Alive,
    /// The other side has closed it.
    End,
}

/// One direction of a connection.
pub struct Lane<T>(Mutex<State<T>>);

struct State<T> {
    flight: VecDeque<(u64, Parcel<T>)>,
    arrived: VecDeque<Parcel<T>>,
    last: u64,
    usual: u64,
    rng: Rng,
    /// The reader takes nothing any more.
    is_deaf: bool,
    /// The writer has said all, or its machine is dead.
    is_over: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({} under way)", self.state().flight.len())
    }
}

impl<T> Lane<T> {
    fn new(usual: u64, rng: Rng) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            flight: VecDeque::new(),
            arrived: VecDeque::new(),
            last: 0,
            usual,
            rng,
            is_deaf: false,
            is_over: false,
            reader: None,
            writer: None,
        })))
    }

    /// Sends a message if there is room.
    ///
    /// Errors: gives it back.
    pub fn try_say(&self, message: T) -> Result<(), T> {
        let mut state = self.state();
        if state.is_full() || state.is_deaf || state.is_over {
            return Err(message);
        }
        state.put(Parcel::Said(message));
        Ok(())
    }

    /// Sends a message when there is room; it is dropped if the connection ends.
    pub async fn say(&self, message: T) {
        let mut message = Some(message);
        poll_fn(|context| {
            let mut state = self.state();
            if state.is_full() && !state.is_deaf && !state.is_over {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            if let Some(message) = message.take() {
                state.put(Parcel::Said(message));
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Says that this side lives.
    pub fn alive(&self) {
        self.state().put(Parcel::Alive);
    }

    /// The next parcel that has come.
    pub async fn next(&self) -> Parcel<T> {
        poll_fn(|context| {
            let mut state = self.state();
            wake(&mut state.writer);
            match state.arrived.pop_front() {
                Some(parcel) => Poll::Ready(parcel),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The writer says nothing more.
    pub fn end(&self) {
        let mut state = self.state();
        state.put(Parcel::End);
        state.is_over = true;
        wake(&mut state.writer);
    }

    /// The reader takes nothing more.
    pub fn deafen(&self) {
        let mut state = self.state();
        state.is_deaf = true;
        state.arrived.clear();
        wake(&mut state.writer);
    }

    /// The writer's machine is dead: nothing of it arrives any more.
    fn silence(&self) {
        let mut state = self.state();
        state.flight.clear();
        state.is_over = true;
    }

    fn arrive(&self, now: u64) {
        let mut state = self.state();
        while state.flight.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, parcel)) = state.flight.pop_front()
                && !state.is_deaf
            {
                state.arrived.push_back(parcel);
                wake(&mut state.reader);
            }
        }
    }

    fn is_done(&self) -> bool {
        let state = self.state();
        state.is_deaf && state.is_over
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn is_full(&self) -> bool {
        self.flight.len() + self.arrived.len() >= ROOM
    }

    fn put(&mut self, parcel: Parcel<T>) {
        if self.is_over || self.is_deaf {
            return;
        }
        let takes = self.rng.skewed(self.usual, self.usual * 8);
        self.last = self.last.max(os::now() + takes);
        self.flight.push_back((self.last, parcel));
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Both lanes of a connection.
#[derive(Debug, Clone)]
pub struct Lanes {
    /// Front-end to node.
    pub to_node: Arc<Lane<ToNode>>,
    /// Node to front-end.
    pub to_front: Arc<Lane<ToFront>>,
}

/// A front-end that calls.
#[derive(Debug)]
pub struct Call {
    /// Its process.
    pub front: ProcessId,
    /// The connection.
    pub lanes: Lanes,
}

/// A place in the world: which node, which front-end.
type Pair = (usize, usize);

#[derive(Debug)]
struct Connection {
    pair: Pair,
    lanes: Lanes,
    /// Not yet at the listener.
    call: Option<(u64, ProcessId, Call)>,
}

#[derive(Debug)]
struct Inside {
    rng: Rng,
    usual: u64,
    listeners: BTreeMap<SmolStr, (usize, ProcessId, mpsc::Sender<Call>)>,
    connections: Vec<Connection>,
    blocked: BTreeMap<Pair, u64>,
}

/// The network.
#[derive(Debug, Clone)]
pub struct Net(Arc<Mutex<Inside>>);

impl Net {
    /// With messages that take about so long, in microseconds.
    #[must_use]
    pub fn new(usual: u64, rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(Inside {
            rng,
            usual,
            listeners: BTreeMap::new(),
            connections: Vec::new(),
            blocked: BTreeMap::new(),
        })))
    }

    /// A node listens; one of the same address before it does no more.
    pub fn listen(&self, address: SmolStr, place: usize, node: ProcessId) -> mpsc::Receiver<Call> {
        let (calls, called) = mpsc::channel(BACKLOG);
        let mut inside = self.inside();
        inside.listeners.insert(address, (place, node, calls));
        called
    }

    /// A front-end at `place` calls a node. Whether anybody takes the call shows by what is heard.
    #[must_use]
    pub fn call(
        &self,
        place: usize,
        front: ProcessId,
        address: &SmolStr,
        node: ProcessId,
    ) -> Option<Lanes> {
        let mut inside = self.inside();
        let at = inside.listeners.get(address)?.0;
        let usual = inside.usual;
        let lanes = Lanes {
            to_node: Lane::new(usual, inside.rng.split()),
            to_front: Lane::new(usual, inside.rng.split()),
        };
        let due = os::now() + inside.rng.skewed(usual * 2, usual * 16);
        let call = Call {
            front,
            lanes: lanes.clone(),
        };
        inside.connections.push(Connection {
            pair: (at, place),
            lanes: lanes.clone(),
            call: Some((due, node, call)),
        });
        Some(lanes)
    }

    /// Nothing passes between a node and a front-end until then.
    pub fn block(&self, node: usize, front: usize, until: u64) {
        let mut inside = self.inside();
        let blocked = inside.blocked.entry((node, front)).or_default();
        *blocked = until.max(*blocked);
    }

    /// The machine of a process dies: nobody hears of its end.
    pub fn silence(&self, place: usize) {
        for connection in &self.inside().connections {
            if connection.pair.0 == place {
                connection.lanes.to_front.silence();
            }
            if connection.pair.1 == place {
                connection.lanes.to_node.silence();
            }
        }
    }

    /// What is due arrives.
    pub fn step(&self, now: u64) {
        let mut inside = self.inside();
        let inside = &mut *inside;
        for connection in &mut inside.connections {
            if inside
                .blocked
                .get(&connection.pair)
                .is_some_and(|at| now < *at)
            {
                continue;
            }
            let due = |(due, ..): &mut (u64, ProcessId, Call)| *due <= now;
            if let Some((_, node, call)) = connection.call.take_if(due) {
                let listening = inside.listeners.values().find(|(_, it, _)| *it == node);
                let taken = listening.map(|(_, _, calls)| calls.try_send(call));
                if !matches!(taken, Some(Ok(()))) {
                    connection.lanes.to_node.deafen();
                    connection.lanes.to_front.end();
                }
            }
            if connection.call.is_none() {
                connection.lanes.to_node.arrive(now);
                connection.lanes.to_front.arrive(now);
            }
        }
        let done = |it: &Connection| it.lanes.to_node.is_done() && it.lanes.to_front.is_done();
        inside.connections.retain(|it| !done(it));
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
