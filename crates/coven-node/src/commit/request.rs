//! What a channel wants of the pipeline, and what of it waits for its commit.

use crate::actor::Room;
use crate::departures::Done;
use crate::directory::Listed;
use crate::fronts::Seats;
use crate::holding::SeatNo;
use crate::quota::Owner;
use crate::table::ChannelAcks;
use coven_cluster::trace::Span;
use coven_cluster::{Channel, Delivery, OperationId};
use coven_core::{Origin, Sequence};
use coven_store::{Entry, Outcome, TimerChange};
use smol_str::SmolStr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a channel wants to have committed, and sent after that.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) channel: Channel,
    /// Under which it is said.
    pub(crate) epoch: coven_core::Epoch,
    /// Of the shard, when the actor was made: what one of an earlier ownership wants is void.
    pub(crate) tenure: u64,
    /// Counts the states of the actor: those before the latest reset are void.
    pub(crate) generation: u32,
    /// The sequence before the first entry.
    pub(crate) expected: Sequence,
    pub(crate) entries: Vec<Entry>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) timer: TimerChange,
    pub(crate) deliveries: Vec<Delivery>,
    /// To whom they go.
    pub(crate) to: Seats,
    /// The roster that goes before them, to those of them that lack it.
    pub(crate) base: Option<(Box<Delivery>, Vec<SeatNo>)>,
    /// What is acknowledged of the channel.
    pub(crate) acks: ChannelAcks,
    /// The operation of a remote link that this came of.
    pub(crate) operation: Option<OperationId>,
    /// It is a read or a passing command: done when its answer leaves.
    pub(crate) is_passing: bool,
    /// What the directory says of the channel once this is durable.
    pub(crate) listing: Option<Box<Listed>>,
    /// Who owns the channel then, or no longer.
    pub(crate) owners: Vec<Owner>,
    /// The commit ends with another output of the channel: that one, not this, is what its acknowledgement stands for.
    pub(crate) more_follows: bool,
    /// A departure: told when this is durable. If it is refused, its channel tries it again, and nobody is told.
    pub(crate) departed: Option<Done>,
    /// Who is to be told when it could not be done.
    pub(crate) origin: Option<Arc<Origin>>,
    /// Answered when all before it is durable and sent.
    pub(crate) barrier: Option<oneshot::Sender<()>>,
    /// How far the operation is that it comes from.
    pub(crate) progress: Progress,
}

/// How far an operation is on its way; for telemetry only.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// When the node took it.
    pub(crate) taken: Option<Instant>,
    /// From its decision until it is durable.
    pub(crate) span: Option<Span>,
}

impl Request {
    /// Only deliveries, behind all that came before.
    pub(crate) fn output(room: &Room, to: Seats, deliveries: Vec<Delivery>) -> Self {
        Self {
            channel: room.channel.clone(),
            epoch: room.epoch,
            tenure: room.tenure,
            generation: room.generation,
            to,
            base: None,
            acks: Arc::clone(&room.acks),
            operation: None,
            is_passing: false,
            expected: Sequence(0),
            entries: Vec::new(),
            outcomes: Vec::new(),
            timer: TimerChange::Keep,
            deliveries,
            listing: None,
            owners: Vec::new(),
            more_follows: false,
            departed: None,
            origin: None,
            barrier: None,
            progress: Progress::default(),
        }
    }

    pub(super) const fn writes(&self) -> bool {
        !self.entries.is_empty() || !self.outcomes.is_empty()
    }
}

/// What of a request waits for its commit.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) channel: Channel,
    pub(super) epoch: coven_core::Epoch,
    pub(super) generation: u32,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) to: Seats,
    pub(super) base: Option<(Box<Delivery>, Vec<SeatNo>)>,
    pub(super) acks: ChannelAcks,
    pub(super) operation: Option<OperationId>,
    pub(super) is_passing: bool,
    /// It is part of its commit, and does not only wait for it.
    pub(super) writes: bool,
    /// The group of who is told something that the outcome keeps: its operation is done when that is taken in.
    pub(super) addressee: Option<SmolStr>,
    pub(super) listing: Option<Box<Listed>>,
    pub(super) owners: Vec<Owner>,
    pub(super) more_follows: bool,
    pub(super) departed: Option<Done>,
    pub(super) origin: Option<Arc<Origin>>,
    pub(super) barrier: Option<oneshot::Sender<()>>,
    pub(super) progress: Progress,
    /// What its records weigh.
    pub(super) bytes: usize,
}

impl Part {
    pub(super) fn new(request: Request, bytes: usize) -> Self {
        Self {
            writes: false,
            addressee: None,
            channel: request.channel,
            epoch: request.epoch,
            generation: request.generation,
            deliveries: request.deliveries,
            to: request.to,
            base: request.base,
            acks: request.acks,
            operation: request.operation,
            is_passing: request.is_passing,
            listing: request.listing,
            owners: request.owners,
            more_follows: request.more_follows,
            departed: request.departed,
            origin: request.origin,
            barrier: request.barrier,
            progress: request.progress,
            bytes,
        }
    }

    pub(super) fn has_base(&self) -> bool {
        let is_base = |delivery: &Delivery| matches!(delivery, Delivery::Base { .. });
        self.base.is_some() || self.deliveries.iter().any(is_base)
    }
}
