//! The output gate's far side: what is durable goes to the front-end, shard by shard, without holding up the pipeline.
//!
//! Owns the order of a shard's outputs, and what waits because the front-end does not take it. A front-end's worker that
//! waits for one slow server holds up its own shards only; the pipeline, and with it everybody else, goes on.
//!
//! At the bound ([`MOST_BYTES`], all shards together) the pipeline takes nothing new: commands wait in their channels'
//! mailboxes, and are refused there (`resource-constraint`) once these are full. Nothing that is durable is dropped.

use crate::shared::{Front, Sending};
use coven_cluster::{Channel, Delivery, Output, ShardId};
use coven_core::{Epoch, Origin, Refusal};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// About so many bytes of outputs may wait.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// What a delivery weighs beside the records in it.
const DELIVERY_BYTES: usize = 512;

/// What leaves.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) output: Option<Output>,
    /// About its size.
    pub(crate) bytes: usize,
    /// Answered when it and all before it were handed over.
    pub(crate) barrier: Option<oneshot::Sender<()>>,
}

/// The outputs of all shards.
pub(crate) struct Gate {
    front: Arc<dyn Front>,
    /// Shards whose output the front-end does not take at once.
    lanes: HashMap<ShardId, Lane>,
    bytes: usize,
}

/// One shard's outputs: one on its way, the others behind it.
struct Lane {
    sending: Sending,
    sending_bytes: usize,
    barrier: Option<oneshot::Sender<()>>,
    /// About the size of all of it.
    bytes: usize,
    waiting: VecDeque<Leaving>,
}

impl Gate {
    pub(crate) fn new(front: Arc<dyn Front>) -> Self {
        Self {
            front,
            lanes: HashMap::new(),
            bytes: 0,
        }
    }

    /// Lets something leave, behind everything of its shard.
    pub(crate) fn push(&mut self, shard: ShardId, leaving: Leaving) {
        if let Some(lane) = self.lanes.get_mut(&shard) {
            self.bytes += leaving.bytes;
            lane.bytes += leaving.bytes;
            lane.waiting.push_back(leaving);
            return;
        }
        let Some(mut lane) = Lane::new(&*self.front, leaving) else {
            return;
        };
        // Mostly it is taken at once. If not, the next call of `sent` asks with a waker that wakes.
        let context = &mut Context::from_waker(Waker::noop());
        if lane.poll(context, &*self.front).is_pending() {
            self.bytes += lane.bytes;
            self.lanes.insert(shard, lane);
        }
    }

    /// Lets a refusal leave.
    pub(crate) fn refuse(&mut self, channel: Channel, origin: Arc<Origin>, refusal: Refusal) {
        let shard = channel.shard();
        let refusal = Box::new(refusal);
        let output = Output {
            channel: Some(channel),
            // A refusal is nobody's but who asked: it is told whatever became of the shard.
            epoch: Epoch::default(),
            commit: 0,
            deliveries: vec![Delivery::Refused {
                origin,
                refusal,
                operation: None,
            }],
            trace: None,
        };
        let leaving = Leaving {
            output: Some(output),
            bytes: DELIVERY_BYTES,
            barrier: None,
        };
        self.push(shard, leaving);
    }

    /// Whether everything has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether more waits than may.
    pub(crate) const fn is_full(&self) -> bool {
        self.bytes > MOST_BYTES
    }

    /// Waits until the front-end has taken something that waited. Nothing is lost if this is dropped.
    pub(crate) async fn sent(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (front, mut bytes, lanes) = (&*self.front, 0, self.lanes.len());
        self.lanes.retain(|_, lane| {
            let pending = lane.poll(context, front).is_pending();
            bytes += lane.bytes;
            pending
        });
        let progress = bytes < self.bytes || self.lanes.len() < lanes;
        self.bytes = bytes;
        if progress {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Lane {
    /// `None` where nothing has to be sent.
    fn new(front: &dyn Front, leaving: Leaving) -> Option<Self> {
        let Some(output) = leaving.output else {
            pass(leaving.barrier);
            return None;
        };
        Some(Self {
            sending: front.send(output.into()),
            sending_bytes: leaving.bytes,
            barrier: leaving.barrier,
            bytes: leaving.bytes,
            waiting: VecDeque::new(),
        })
    }

    /// Sends what can be sent. Ready when nothing is left.
    fn poll(&mut self, context: &mut Context<'_>, front: &dyn Front) -> Poll<()> {
        while self.sending.as_mut().poll(context).is_ready() {
            self.bytes -= self.sending_bytes;
            pass(self.barrier.take());
            if !self.next(front) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Begins to send the next one. Tells whether there is one.
    fn next(&mut self, front: &dyn Front) -> bool {
        while let Some(leaving) = self.waiting.pop_front() {
            let Some(output) = leaving.output else {
                self.bytes -= leaving.bytes;
                pass(leaving.barrier);
                continue;
            };
            self.sending = front.send(output.into());
            self.sending_bytes = leaving.bytes;
            self.barrier = leaving.barrier;
            return true;
        }
        false
    }
}

/// About what deliveries weigh, without their records, which weigh what they weigh in the journal.
pub(crate) fn weight(deliveries: &[Delivery]) -> usize {
    let of = |delivery: &Delivery| match delivery {
        Delivery::Base { roster, .. } => DELIVERY_BYTES * (1 + roster.sessions().len()),
        Delivery::Passing(message) => DELIVERY_BYTES + message.payload.len(),
        _ => DELIVERY_BYTES,
    };
    deliveries.iter().map(of).sum()
}

fn pass(barrier: Option<oneshot::Sender<()>>) {
    if let Some(barrier) = barrier {
        let _nobody_waits = barrier.send(());
    }
}
