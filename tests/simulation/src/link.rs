//! The ends of a link, with the rules of `coven-link`: something is said every second, silence ends it, and what is heard
//! after too long a silence does not count; a newer link of a front-end replaces the one before.
//!
//! Owns no decision: what is heard goes to the real node and front-end. The real links are tried in `tests/cluster`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coven_cluster::agent::{self, LinkUp};
use coven_cluster::{Delivery, FrontLink, NodeLink, Operation, ProcessId, ToFront, ToNode};
use coven_core::{Condition, Epoch, Record, Refusal, Sequence};
use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::net::{Call, Lane, Lanes, Net, Parcel};
use crate::rule::Rule;

/// Limits of `coven-link` (design §5.9).
const KEEPALIVE: Duration = Duration::from_secs(1);
const FRONT_SILENCE: Duration = Duration::from_secs(3);
const NODE_SILENCE: Duration = Duration::from_secs(6);
const CONNECT: Duration = Duration::from_secs(3);
/// What is not taken is offered again after this pause.
const OFFER: Duration = Duration::from_millis(20);

/// Links that a front-end dials.
#[derive(Debug)]
pub struct Dialer {
    /// The network.
    pub net: Net,
    /// Where this front-end is.
    pub place: usize,
    /// Its process.
    pub process: ProcessId,
    /// The front-end.
    pub front: coven_front::Handle,
    /// Left out.
    pub without: Option<Rule>,
}

impl agent::Dial for Dialer {
    async fn link(&self, node: ProcessId, address: SmolStr, up: LinkUp) {
        let Some(lanes) = self.net.call(self.place, self.process, &address, node) else {
            return;
        };
        let _ends = FrontEnd(lanes.clone());
        lanes.to_node.alive();
        if !matches!(
            timeout(CONNECT, lanes.to_front.next()).await,
            Ok(Parcel::Alive)
        ) {
            return;
        }
        let seat = self
            .front
            .node_up(node, Arc::new(ToNodeEnd(Arc::clone(&lanes.to_node))));
        up.up();
        let mut spoiler = Spoiler::new(self.without);
        let hear = async {
            while let Some(parcel) = hear(&lanes.to_front, FRONT_SILENCE).await {
                if let Parcel::Said(message) = parcel {
                    seat.send(spoiler.spoil(message)).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = paused(FRONT_SILENCE) => {}
            () = hear => {}
            () = keep_alive(&lanes.to_node) => {}
        }
    }
}

/// What a front-end sends into.
#[derive(Debug)]
struct ToNodeEnd(Arc<Lane<ToNode>>);

impl NodeLink for ToNodeEnd {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        self.0.try_say(message)
    }
}

/// Closes both lanes when the front-end lets go, or is killed.
struct FrontEnd(Lanes);

impl Drop for FrontEnd {
    fn drop(&mut self) {
        self.0.to_node.end();
        self.0.to_front.deafen();
    }
}

/// Closes both lanes when the node lets go, or is killed.
struct NodeEnd(Lanes);

impl Drop for NodeEnd {
    fn drop(&mut self) {
        self.0.to_front.end();
        self.0.to_node.deafen();
    }
}

/// What comes next; nothing when the link is over. What comes after too long a silence does not count.
async fn hear<T>(lane: &Lane<T>, silence: Duration) -> Option<Parcel<T>> {
    let since = Instant::now();
    let came = timeout(silence, lane.next()).await;
    if since.elapsed() > silence {
        return None;
    }
    came.ok().filter(|parcel| !matches!(parcel, Parcel::End))
}

async fn keep_alive<T>(lane: &Lane<T>) {
    loop {
        sleep(KEEPALIVE).await;
        lane.alive();
    }
}

/// Ends when this process was stopped for longer than `silence`.
async fn paused(silence: Duration) {
    let step = silence / 4;
    loop {
        let since = Instant::now();
        sleep(step).await;
        if since.elapsed() > step + silence {
            return;
        }
    }
}

/// Takes the calls of front-ends for a node, until it is dropped.
pub async fn serve(mut calls: mpsc::Receiver<Call>, node: coven_node::Handle, linked: Linked) {
    let mut links = JoinSet::new();
    while let Some(call) = calls.recv().await {
        while links.try_join_next().is_some() {}
        links.spawn(attend(call, node.clone(), linked.clone()));
    }
}

async fn attend(call: Call, node: coven_node::Handle, linked: Linked) {
    let Call { front, lanes } = call;
    let _ends = NodeEnd(lanes.clone());
    let Some(place) = linked.take(front).await else {
        return;
    };
    lanes.to_front.alive();
    let seat = node.attach(front, ToFrontEnd(Arc::clone(&lanes.to_front)));
    let hear = async {
        while let Some(parcel) = hear(&lanes.to_node, NODE_SILENCE).await {
            if let Parcel::Said(message) = parcel {
                offer(&seat, &lanes.to_front, message).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = place.stop.cancelled() => {}
        () = paused(NODE_SILENCE) => {}
        () = hear => {}
        () = seat.detached() => {}
        () = keep_alive(&lanes.to_front) => {}
    }
}

/// What a node sends into.
#[derive(Debug)]
struct ToFrontEnd(Arc<Lane<ToFront>>);

impl FrontLink for ToFrontEnd {
    async fn send(&self, message: ToFront) {
        self.0.say(message).await;
    }
}

/// Gives a node what a front-end says; what it has no room for is refused, or offered again.
async fn offer(seat: &coven_node::Seat, back: &Lane<ToFront>, message: ToNode) {
    let mut message = message;
    while let Err(refused) = seat.try_send(message) {
        message = match refused {
            ToNode::Operation(operation) => match not_taken(*operation) {
                Some(answer) => return back.say(answer).await,
                None => return,
            },
            other => other,
        };
        sleep(OFFER).await;
    }
}

fn not_taken(operation: Operation) -> Option<ToFront> {
    Some(ToFront::NotTaken {
        channel: operation.channel,
        id: operation.id?,
        refusal: Box::new(Refusal::usual(Condition::ResourceConstraint)),
    })
}

/// The links of a node: one for each front-end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Linked(Arc<Mutex<BTreeMap<ProcessId, (CancellationToken, CancellationToken)>>>);

/// A link's place; dropping it makes room.
struct Place {
    front: ProcessId,
    stop: CancellationToken,
    gone: CancellationToken,
    linked: Linked,
}

impl Linked {
    /// Whose links are up.
    #[must_use]
    pub fn all(&self) -> BTreeSet<ProcessId> {
        self.places().keys().copied().collect()
    }

    /// A place, when the link before it has ended.
    async fn take(&self, front: ProcessId) -> Option<Place> {
        loop {
            let older = {
                let mut places = self.places();
                match places.get(&front) {
                    Some(older) => older.clone(),
                    None => {
                        let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
                        places.insert(front, (stop.clone(), gone.clone()));
                        let linked = self.clone();
                        return Some(Place {
                            front,
                            stop,
                            gone,
                            linked,
                        });
                    }
                }
            };
            older.0.cancel();
            timeout(CONNECT, older.1.cancelled()).await.ok()?;
        }
    }

    fn places(
        &self,
    ) -> MutexGuard<'_, BTreeMap<ProcessId, (CancellationToken, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.linked.places().remove(&self.front);
        self.gone.cancel();
    }
}

/// Leaves out rules of the front-end by what it is told.
struct Spoiler {
    without: Option<Rule>,
    /// No event was first committed under this epoch.
    epoch: u64,
}

impl Spoiler {
    const fn new(without: Option<Rule>) -> Self {
        Self {
            without,
            epoch: 1 << 60,
        }
    }

    fn spoil(&mut self, message: ToFront) -> ToFront {
        let ToFront::Output(output) = message else {
            return message;
        };
        if !matches!(self.without, Some(Rule::Roster | Rule::Filter)) {
            return ToFront::Output(output);
        }
        let mut output = (*output).clone();
        for delivery in &mut output.deliveries {
            self.delivery(delivery);
        }
        output.into()
    }

    fn delivery(&mut self, delivery: &mut Delivery) {
        match (delivery, self.without) {
            (Delivery::Base { acknowledged, .. }, Some(Rule::Roster)) => {
                for (_, sequence) in acknowledged {
                    *sequence = Sequence(u64::MAX >> 1);
                }
            }
            (Delivery::Event { record, .. }, Some(Rule::Filter)) => {
                self.epoch += 1;
                *record = Arc::new(Record {
                    first_epoch: Epoch(self.epoch),
                    ..(**record).clone()
                });
            }
            _ => {}
        }
    }
}
