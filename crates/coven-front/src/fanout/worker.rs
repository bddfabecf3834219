//! One worker: takes output of its channels, renders it, tells nodes what is acknowledged and what is lost.
//!
//! Bounds: its queue (a node waits when it is full); what waits for a connection (the worker waits, `lane.rs`). A worker
//! that waits for one connection waits with all its channels: where other servers wait for that, it does so for a second
//! at most, and then goes on without (`hold.rs`); a server that does not read is given up in bounded time.

use std::sync::Arc;
use std::time::Duration;

use coven_cluster::link::NodeLink;
use coven_cluster::trace::{self, Step};
use coven_cluster::{Channel, Delivery, Output, ToNode};
use hashbrown::HashMap;
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::outlet::{Fate, Outlet};
use super::projection::Projection;
use super::replies;
use super::stage::Stage;
use crate::front::Front;
use crate::nodes::{Life, Nodes};

/// Outputs that are gone through before anything else is looked at.
const BATCH: usize = 32;
/// Under load, what is packed is handed over at least so often.
const FLUSH: Duration = Duration::from_millis(1);
/// Nodes are told so often at most.
const REPORT: Duration = Duration::from_millis(100);
/// Channels whose base has not come are asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How often channels are looked at for rest.
const REST: Duration = Duration::from_secs(10);
/// When the node had no room, it is tried again after this.
const RETRY: Duration = Duration::from_millis(20);
/// Channels or acknowledgements in one message to a node.
const PAGE: usize = 1024;
/// For the last reports, when the front-end ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a worker goes through, in order.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Output, and the link by which it came; none from the node in the same process.
    Output(Arc<Output>, Option<Arc<Life>>),
    /// What a node has answered is done: said behind the answer, which is lost if the link ends before it is gone through.
    Answered(Answered),
}

/// The end of a read or a passing command.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) link: Arc<Life>,
    pub(crate) channel: Channel,
    pub(crate) n: u64,
}

impl Answered {
    /// If the link is over, its answer may have been dropped: the table has told whoever asked.
    fn take_notice(self) {
        if !self.link.is_over() {
            self.nodes.answered(&self.channel, self.n);
        }
    }
}

/// Boxed: a table has places that are free.
type Channels = HashMap<Channel, Box<Projection>, foldhash::fast::RandomState>;

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    no: usize,
    queue: mpsc::Receiver<Incoming>,
    node: Arc<dyn NodeLink>,
    stage: Stage,
    channels: Channels,
    /// Channels with news for the node, each once.
    dirty: Vec<Channel>,
    /// For each connection the channels whose output is to be asked for, once a stream is up.
    asks: Vec<Option<Vec<Channel>>>,
    /// Output of nodes may not be written now.
    is_fenced: bool,
    times: Times,
}

/// When something is due.
#[derive(Debug, Default)]
struct Times {
    report: Option<Instant>,
    /// To give the node what it had no room for.
    retry: Option<Instant>,
    ask: Option<Instant>,
    rest: Option<Instant>,
}

impl Times {
    fn next(&self) -> Instant {
        let all = [self.report, self.retry, self.ask, self.rest];
        let next = all.into_iter().flatten().min();
        next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }
}

impl Worker {
    pub(crate) fn new(
        no: usize,
        queue: mpsc::Receiver<Incoming>,
        node: Arc<dyn NodeLink>,
        front: Arc<Front>,
    ) -> Self {
        let stage = Stage::new(front, no);
        Self {
            no,
            queue,
            node,
            asks: stage.outlets.iter().map(|_| None).collect(),
            stage,
            channels: HashMap::default(),
            dirty: Vec::new(),
            is_fenced: false,
            times: Times::default(),
        }
    }

    /// Runs until `stop`, and then tells the node what is still to be told.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let front = Arc::clone(&self.stage.front);
        let mut batch = Vec::with_capacity(BATCH);
        let mut flushed = Instant::now();
        loop {
            let due = self.times.next();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = self.queue.recv_many(&mut batch, BATCH) => if taken == 0 { break },
                () = front.woken(self.no) => {}
                () = sleep_until(due) => {}
            }
            self.observe();
            for incoming in batch.drain(..) {
                self.deliver(incoming).await;
                self.stage.relieve().await;
            }
            let now = Instant::now();
            if self.queue.is_empty() || now - flushed >= FLUSH {
                self.stage.flush();
                flushed = now;
            }
            self.keep_up(now);
        }
        self.end().await;
    }

    /// A long output, as after the loss of a stream, is written as it is rendered and lets others have their turn. What a
    /// lost link has left here is dropped: its node sends it again by the next one (design §5.9).
    async fn deliver(&mut self, incoming: Incoming) {
        let front = Arc::clone(&self.stage.front);
        let output = match incoming {
            Incoming::Output(output, link) if link.as_ref().is_none_or(|l| !l.is_over()) => output,
            Incoming::Output(..) => return front.counters.outdated.add(1),
            Incoming::Answered(answered) => return answered.take_notice(),
        };
        let output = Arc::unwrap_or_clone(output);
        let (begun, _span) = (Instant::now(), trace::follow(Step::Render, output.trace));
        front.counters.outputs.add(1);
        front.activity.touch();
        let Some(channel) = output.channel else {
            return self.deliver_listing(output.deliveries);
        };
        let is_old = front.epochs.is_old(channel.shard(), output.epoch);
        let entry = self.channels.entry(channel.clone());
        let projection = entry.or_insert_with(|| {
            let names = front.domains.names(channel.name());
            let of_space = front.of_space(&channel.name().space);
            let outlets = &self.stage.outlets;
            let is_held = |at: &usize| outlets.get(*at).is_some_and(Outlet::is_held);
            Box::new(Projection::new(
                names,
                of_space.iter().copied().filter(is_held),
            ))
        });
        let age = (output.epoch, is_old);
        for delivery in output.deliveries {
            if !is_old {
                note_rosters(&front, &channel, &delivery);
            }
            if projection.deliver(&channel, delivery, age, &mut self.stage) {
                front.counters.outdated.add(1);
            }
            self.stage.relieve().await;
            consume_budget().await;
        }
        projection.committed(&channel, output.commit, output.epoch, &mut self.stage);
        if projection.is_disposable() {
            self.channels.remove(&channel);
        } else if projection.becomes_dirty() {
            self.dirty.push(channel);
        }
        let now = Instant::now();
        front.render_times.note(now - begun);
        self.times.rest.get_or_insert(now + REST);
    }

    /// Answers of the directory: of no channel, for whoever asked.
    fn deliver_listing(&mut self, deliveries: Vec<Delivery>) {
        for at in 0..self.stage.outlets.len() {
            let gate = self.stage.gate(at);
            self.stage.set(at, gate);
        }
        for delivery in deliveries {
            replies::reply(delivery, &mut self.stage.fanout(None));
        }
        for at in 0..self.stage.outlets.len() {
            self.stage.shut(at);
        }
    }

    /// Takes notice of barriers that were answered, and of streams that came and went.
    fn observe(&mut self) {
        self.observe_tenure();
        self.is_fenced = self.stage.look_at_fence();
        let (channels, dirty) = (&mut self.channels, &mut self.dirty);
        for (at, outlet) in self.stage.outlets.iter_mut().enumerate() {
            let changed =
                outlet.observe(|fate| {
                    let (Fate::TakenIn(channel, _)
                    | Fate::Lost(channel)
                    | Fate::Unwritten(channel, _)) = &fate;
                    let Some(projection) = channels.get_mut(*channel) else {
                        return;
                    };
                    projection.meets(at, &fate);
                    if projection.becomes_dirty() {
                        dirty.push((*channel).clone());
                    }
                });
            let catches_up = outlet.catches_up();
            if catches_up {
                for group in outlet.take_missed_probes() {
                    self.stage.front.want_sweep(&group);
                }
            }
            if let (true, Some(asks)) = (changed || catches_up, self.asks.get_mut(at)) {
                *asks = outlet.is_up().then(|| lacking(channels, at));
                self.times.retry = Some(Instant::now());
            }
        }
        self.stage.forget_lost_refusals();
    }

    /// Takes notice of connections that were granted, or are given up.
    fn observe_tenure(&mut self) {
        for at in 0..self.stage.outlets.len() {
            let Some(outlet) = self.stage.outlets.get_mut(at) else {
                continue;
            };
            let Some(is_new) = outlet.observe_tenure() else {
                continue;
            };
            if is_new {
                let is_held = outlet.is_held();
                for (channel, projection) in &mut self.channels {
                    let of_space = self.stage.front.of_space(&channel.name().space);
                    match is_held && of_space.contains(&at) {
                        true => projection.hold(at),
                        false => projection.release(at),
                    }
                }
            }
            outlet.acts_by_tenure();
        }
    }

    /// Connections that are given up, whose streams are closed: once nodes have been told all, they may be released.
    fn tell_last(&mut self) {
        if self.stage.outlets.iter().any(Outlet::is_closed) && self.report() {
            for outlet in self.stage.outlets.iter().filter(|o| o.is_closed()) {
                outlet.told_all();
            }
        }
    }

    /// Does what is due.
    fn keep_up(&mut self, now: Instant) {
        let is_due = |time: &mut Option<Instant>| time.take_if(|at| *at <= now).is_some();
        let is_again = is_due(&mut self.times.ask);
        if self.stage.take_broken() || is_again {
            self.ask_more(is_again);
        }
        if is_due(&mut self.times.retry) {
            self.ask(now);
        }
        if self.is_fenced {
            self.times.retry.get_or_insert(now + REPORT);
        }
        self.tell_last();
        if is_due(&mut self.times.report) {
            self.report();
        }
        if is_due(&mut self.times.rest) {
            let front = &self.stage.front;
            self.channels.retain(|channel, projection| {
                let has_moved = front.epochs.is_old(channel.shard(), projection.owner());
                let may_go = projection.rest(has_moved);
                if may_go {
                    front.rosters.remove(channel);
                }
                !may_go
            });
            self.times.rest = (!self.channels.is_empty()).then_some(now + REST);
        }
        if !self.dirty.is_empty() {
            self.times.report.get_or_insert(now + REPORT);
        }
    }

    /// Asks for what channels lack on connections that have a stream; `again`: also if it was asked for before.
    fn ask_more(&mut self, again: bool) {
        for (at, outlet) in self.stage.outlets.iter().enumerate() {
            let is_ready = outlet.is_up() && !outlet.is_behind();
            match (is_ready, self.asks.get_mut(at)) {
                (true, Some(asks)) if again => *asks = Some(lacking(&mut self.channels, at)),
                (true, Some(asks)) => {
                    let more = lacking_by(&mut self.channels, at, Cursor::ask_first);
                    asks.get_or_insert_default().extend(more);
                }
                _ => {}
            }
        }
        self.times.retry = Some(Instant::now());
    }

    /// Tells the node what lost streams have swallowed. After that the connections are ready for what comes in.
    fn ask(&mut self, now: Instant) {
        for (outlet, asks) in self.stage.outlets.iter().zip(&mut self.asks) {
            let Some(channels) = asks else { continue };
            let connection = outlet.connection();
            while !channels.is_empty() {
                self.times.ask = Some(now + ASK_AGAIN);
                let page = channels.split_off(channels.len().saturating_sub(PAGE));
                let count = page.len() as u64;
                let message = ToNode::StreamLost {
                    connection: connection.name().clone(),
                    channels: page,
                };
                if let Err(message) = self.node.try_send(message) {
                    if let ToNode::StreamLost { channels: page, .. } = message {
                        channels.extend(page);
                    }
                    self.times.retry = Some(now + RETRY);
                    return;
                }
                self.stage.front.counters.asked_again.add(count);
            }
            *asks = None;
            connection.is_ready(self.no, outlet.stream());
        }
    }

    /// Tells the node what is acknowledged. Tells whether it took all of it.
    fn report(&mut self) -> bool {
        while !self.dirty.is_empty() {
            let start = self.dirty.len().saturating_sub(PAGE);
            let mut told = Vec::new();
            for channel in self.dirty.iter().skip(start) {
                if let Some(projection) = self.channels.get(channel) {
                    projection.report(channel, &self.stage, &mut told);
                }
            }
            let count = told.len() as u64;
            while !told.is_empty() {
                let page = told.split_off(told.len().saturating_sub(PAGE));
                if self.node.try_send(ToNode::Acknowledge(page)).is_err() {
                    return false;
                }
            }
            self.stage.front.counters.acknowledged.add(count);
            for channel in self.dirty.drain(start..) {
                let told = self.channels.get_mut(&channel).map(|projection| {
                    projection.told();
                    projection.is_disposable()
                });
                if told == Some(true) {
                    self.channels.remove(&channel);
                }
            }
        }
        true
    }

    /// The last words: what the last barriers have acknowledged.
    async fn end(mut self) {
        self.observe();
        let told = async {
            while !self.report() {
                tokio::time::sleep(RETRY).await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, told).await;
    }
}

/// Channels that lack something on a connection: it is asked for now.
fn lacking(channels: &mut Channels, connection: usize) -> Vec<Channel> {
    lacking_by(channels, connection, Cursor::ask)
}

/// Those of which the cursor says so.
fn lacking_by(
    channels: &mut Channels,
    connection: usize,
    ask: fn(&mut Cursor) -> bool,
) -> Vec<Channel> {
    let lacks = |projection: &mut Projection| {
        let cursor = projection.cursor(connection);
        cursor.is_some_and(ask)
    };
    let lacking = channels
        .iter_mut()
        .filter_map(|(channel, projection)| lacks(projection).then(|| channel.clone()));
    lacking.collect()
}

/// The way in wants to know which channels are here.
fn note_rosters(front: &Front, channel: &Channel, delivery: &Delivery) {
    match delivery {
        Delivery::Base { .. } => front.rosters.insert(channel),
        Delivery::Forget => front.rosters.remove(channel),
        _ => {}
    }
}
