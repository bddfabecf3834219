//! The output gate's far side: what is durable goes to the front-ends, shard by shard, without holding up the pipeline.
//!
//! Owns the order of a shard's outputs to each front-end, and what waits because one does not take it. A front-end's worker
//! that waits for one slow server holds up its own shards only; the pipeline, and with it everybody else, goes on.
//!
//! At its bound ([`MOST_BYTES`], all shards together) a front-end of another process is detached: it comes back, and gets
//! what it has not acknowledged. For the one in this process the pipeline takes nothing new: commands wait in their
//! channels' mailboxes, and are refused there (`resource-constraint`) once these are full; nothing durable is dropped.

use crate::fronts::{SeatState, Seats, Sending};
use crate::holding::SeatNo;
use coven_cluster::{Delivery, Output, ShardId, ToFront};
use coven_core::{Answer, Event, Record};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use tracing::warn;

/// About so many bytes of outputs may wait for a front-end.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// What a delivery weighs beside the records in it.
const DELIVERY_BYTES: usize = 512;

/// What leaves.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) output: Output,
    /// To whom.
    pub(crate) to: Seats,
    /// The roster that goes before it, to these.
    pub(crate) base: Option<(Delivery, Vec<SeatNo>)>,
    /// About its size.
    pub(crate) bytes: usize,
}

/// The outputs of all shards to all front-ends.
#[derive(Default)]
pub(crate) struct Gate {
    /// Shards whose output a front-end does not take at once.
    lanes: HashMap<(SeatNo, ShardId), Lane>,
}

/// One shard's outputs to one front-end: one on its way, the others behind it.
struct Lane {
    seat: Arc<SeatState>,
    sending: Sending,
    sending_bytes: usize,
    waiting: VecDeque<(ToFront, usize)>,
}

impl Gate {
    /// Lets something leave, behind everything of its shard.
    pub(crate) fn push(&mut self, shard: ShardId, leaving: Leaving) {
        let Leaving {
            output,
            to,
            base,
            bytes,
        } = leaving;
        let based = base.map(|(base, to)| {
            let mut deliveries = Vec::with_capacity(output.deliveries.len() + 1);
            deliveries.push(base);
            deliveries.extend(output.deliveries.iter().cloned());
            let output = Output {
                deliveries,
                ..output.clone()
            };
            (Arc::new(output), to)
        });
        let output = Arc::new(output);
        for seat in to.iter() {
            let with_base = based.as_ref().filter(|(_, to)| to.contains(&seat.no));
            let output = with_base.map_or(&output, |(output, _)| output);
            if !output.deliveries.is_empty() {
                self.send(seat, shard, ToFront::Output(Arc::clone(output)), bytes);
            }
        }
    }

    fn send(&mut self, seat: &Arc<SeatState>, shard: ShardId, message: ToFront, bytes: usize) {
        if seat.gone.is_cancelled() {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&(seat.no, shard)) {
            lane.waiting.push_back((message, bytes));
            Self::queued(seat, bytes);
            return;
        }
        let mut lane = Lane {
            seat: Arc::clone(seat),
            sending: seat.send(message),
            sending_bytes: bytes,
            waiting: VecDeque::new(),
        };
        // Mostly it is taken at once. If not, the next call of `sent` asks with a waker that wakes.
        let context = &mut Context::from_waker(Waker::noop());
        if lane.sending.as_mut().poll(context).is_pending() {
            self.lanes.insert((seat.no, shard), lane);
            Self::queued(seat, bytes);
        }
    }

    fn queued(seat: &SeatState, bytes: usize) {
        let queued = seat.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if queued > MOST_BYTES && !seat.is_local {
            warn!(process = %format_args!("{:032x}", seat.process.0), queued, "a front-end takes nothing: detached");
            seat.gone.cancel();
        }
    }

    /// Whether everything has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether more waits than may, for a front-end that is not detached for it.
    pub(crate) fn is_full(&self) -> bool {
        let mut lanes = self.lanes.values();
        let local = lanes.find(|lane| lane.seat.is_local);
        local.is_some_and(|lane| lane.seat.queued.load(Ordering::Relaxed) > MOST_BYTES)
    }

    /// What waits for front-ends that are gone is dropped.
    pub(crate) fn sweep(&mut self) {
        self.lanes.retain(|_, lane| !lane.seat.gone.is_cancelled());
    }

    /// Waits until a front-end has taken something that waited. Nothing is lost if this is dropped.
    pub(crate) async fn sent(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (lanes, mut progress) = (self.lanes.len(), false);
        self.lanes.retain(|_, lane| {
            let (pending, moved) = lane.poll(context);
            progress |= moved;
            pending
        });
        if progress || self.lanes.len() < lanes {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Lane {
    /// Sends what can be sent. Tells whether there is more, and whether anything was taken.
    fn poll(&mut self, context: &mut Context<'_>) -> (bool, bool) {
        let mut moved = false;
        if self.seat.gone.is_cancelled() {
            return (false, true);
        }
        while self.sending.as_mut().poll(context).is_ready() {
            moved = true;
            let bytes = self.sending_bytes;
            self.seat.queued.fetch_sub(bytes, Ordering::Relaxed);
            let Some((message, bytes)) = self.waiting.pop_front() else {
                return (false, true);
            };
            self.sending = self.seat.send(message);
            self.sending_bytes = bytes;
        }
        (true, moved)
    }
}

/// About what deliveries weigh, without their records, which weigh what they weigh in the journal.
pub(crate) fn weight(deliveries: &[Delivery]) -> usize {
    let of = |delivery: &Delivery| match delivery {
        Delivery::Base { roster, .. } => DELIVERY_BYTES * (1 + roster.sessions().len()),
        Delivery::Passing(message) => DELIVERY_BYTES + message.payload.len(),
        Delivery::Answer { answer, .. } => DELIVERY_BYTES + weight_of(answer),
        _ => DELIVERY_BYTES,
    };
    deliveries.iter().map(of).sum()
}

/// About what an answer weighs beside that: only pages of the archive are large.
fn weight_of(answer: &Answer) -> usize {
    let Answer::Archive(page) = answer else {
        return 0;
    };
    let of = |record: &Arc<Record>| match &record.event {
        Event::Message(message) => DELIVERY_BYTES + message.payload.len(),
        _ => DELIVERY_BYTES,
    };
    page.entries.iter().map(of).sum()
}
