//! The actor of one channel: receives, decides, applies, hands over to the commit pipeline.
//!
//! What a command leads to is the core's; a turn is in [`crate::turn`]. Here are the messages and the actor's life;
//! how a channel comes into memory is in `actor/memory.rs`, what leaves when output has to be sent again in [`crate::audience`].

mod memory;

use crate::audience::Audience;
use crate::commit::{Progress, Request, wait};
use crate::departures::Departures;
use crate::ending::Ended;
use crate::holding::SeatNo;
use crate::operations::Outcomes;
use crate::shared::Shared;
use crate::table::{ChannelAcks, Mailbox};
use coven_cluster::trace::{self, Span, Step};
use coven_cluster::{Channel, Operation};
use coven_core::{Channel as State, Condition, Epoch, Refusal, Sequence, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A deadline that could not be kept is tried again after this.
pub(crate) const RETRY_MS: i64 = 1000;

/// What an actor is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Decide or read. With the moment at which the node took it.
    Operation(Box<Operation>, Instant),
    /// Events up to here are acknowledged on all connections.
    Acknowledged(Sequence),
    /// Send again what a connection of this front-end has not acknowledged.
    Resend(SeatNo),
    /// Other front-ends hold connections of the space: those that are owed anything get it.
    Meet,
    /// What could not be sent again is tried once more.
    Again,
    /// The shard has a new epoch: what is owed is sent again under it.
    Renew,
    /// The shard is given up, or another's: leave memory. `settle`: when all that was decided is durable.
    Leave {
        settle: bool,
        done: Option<oneshot::Sender<()>>,
    },
    /// A process will not ask any more.
    ForgetProcess(u128),
    /// The state is void: load it anew.
    Reset {
        generation: u32,
        /// A roster that the front-end needs was dropped as well.
        base_lost: bool,
    },
    /// Load the channel, and say whether the store gave it.
    Load(oneshot::Sender<bool>),
    /// Write a snapshot as soon as what it covers is acknowledged.
    Snapshot,
    /// Nobody has asked for a while, or the node ends: leave memory if nothing is owed. The sender is dropped when that is
    /// done or not to be done.
    Idle(Option<oneshot::Sender<()>>),
    /// An operator's word about quarantine has changed.
    Quarantine,
    /// The service ends for good: all sessions end. Told what has become of that.
    EndSessions(oneshot::Sender<Ended>),
    /// A deadline has passed.
    Timer,
}

/// The actor of one channel.
#[derive(Debug)]
pub(crate) struct ChannelActor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: Channel,
    pub(crate) acks: ChannelAcks,
    /// Of the shard, when it was made: after it, it is void.
    pub(crate) tenure: u64,
}

/// What the actor holds between turns.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: Channel,
    pub(crate) condition: Soundness,
    pub(crate) generation: u32,
    /// Which front-ends hold the roster.
    pub(crate) audience: Audience,
    pub(crate) acks: ChannelAcks,
    /// The shard's epoch as front-ends know it, under which all that leaves is said.
    pub(crate) epoch: Epoch,
    /// Of the shard, when the actor was made.
    pub(crate) tenure: u64,
    /// The shard is not this node's any more.
    pub(crate) is_leaving: bool,
    /// The base roster that a front-end asked for was dropped with a state of this generation.
    base_owed: u32,
    /// All events up to here are acknowledged, or not waited for any more.
    pub(crate) acknowledged: Sequence,
    /// Since when nothing more was acknowledged.
    pub(crate) owed_since: Option<Timestamp>,
    /// A snapshot that waits for its acknowledgement.
    pub(crate) snapshot: Option<coven_store::Snapshot>,
    /// It waits no longer for connections that are away.
    pub(crate) waived: bool,
    /// Of the latest snapshot that was written, or not taken.
    pub(crate) snapshot_at: Sequence,
    pub(crate) outcomes: Outcomes,
    pub(crate) timer: Option<Timestamp>,
    pub(crate) panics: u8,
    /// Sessions that went and could not be ended yet.
    pub(crate) departures: Option<Box<Departures>>,
    /// Since when the departure waits that is decided now.
    pub(crate) departing_since: Option<Instant>,
    pub(crate) turn: Turn,
}

/// The operation that has its turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: Option<Instant>,
    span: Option<Span>,
}

impl Turn {
    fn new(operation: &Operation, taken: Instant) -> Self {
        Self {
            taken: Some(taken),
            span: trace::follow(Step::Decide, operation.trace),
        }
    }

    /// What goes with what it leads to.
    fn progress(&self) -> Progress {
        Progress {
            taken: self.taken,
            span: trace::follow(Step::Commit, self.span.as_ref().map(Span::context)),
        }
    }
}

/// Whether the channel can be worked with.
#[derive(Debug)]
pub(crate) enum Soundness {
    /// Yes.
    Sound(Box<State>),
    /// The store did not give it: it is tried again with the next operation.
    Unloaded,
    /// Damaged, or panicking: everything is answered with an error until an operator looks (I10).
    Quarantined,
}

impl Actor for ChannelActor {
    type Msg = Message;
    type State = Room;
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        (): (),
    ) -> Result<Room, ActorProcessingErr> {
        let mut room = Room::new(
            Arc::clone(&self.shared),
            self.channel.clone(),
            Arc::clone(&self.acks),
            self.tenure,
        );
        room.load().await;
        Ok(room)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        room: &mut Room,
    ) -> Result<(), ActorProcessingErr> {
        Box::pin(self.turn(myself, message, room)).await;
        Ok(())
    }
}

impl ChannelActor {
    /// One message. In a box of its own while it lasts: an actor at rest keeps room for what it awaits, twice.
    async fn turn(&self, myself: ActorRef<Message>, message: Message, room: &mut Room) {
        let is_own = |mailbox: &Arc<Mailbox>| Arc::ptr_eq(&mailbox.acks, &self.acks);
        let mailbox = self.shared.table.get(&self.channel).filter(is_own);
        if let (Message::Idle(_done), Some(mailbox)) = (&message, &mailbox) {
            mailbox.done();
            return match room.is_void() {
                true => self.leave(myself, room, false, None).await,
                false => self.idle(myself, room).await,
            };
        }
        if let Message::Leave { settle, done } = message {
            return self.leave(myself, room, settle, done).await;
        }
        if room.is_leaving || room.is_void() {
            self.hand_on(room, message);
        } else {
            room.heed(message).await;
        }
        room.look_at_departures();
        if let Some(mailbox) = mailbox {
            mailbox.done();
        }
    }

    /// Leaves memory without a word: rosters stay with the front-ends, and serve under the next owner. What is still in the
    /// mailbox is not for this node.
    async fn leave(
        &self,
        myself: ActorRef<Message>,
        room: &mut Room,
        settle: bool,
        done: Option<oneshot::Sender<()>>,
    ) {
        if settle && !std::mem::replace(&mut room.is_leaving, true) {
            room.settle().await;
            room.write_down_if_acknowledged().await;
        }
        room.is_leaving = true;
        room.hand_on_departures();
        if self.shared.table.retire(&self.channel, &self.acks) {
            if let Some(done) = done {
                let _nobody_waits = done.send(());
            }
            return myself.stop(None);
        }
        if let Some(mailbox) = self.shared.table.get(&self.channel) {
            mailbox.tell(Message::Leave { settle, done });
        }
    }

    /// What comes to an actor of an ownership that has ended: if the shard is this node's again, it is for the actor of that.
    fn hand_on(&self, room: &Room, message: Message) {
        let shared = &self.shared;
        let is_again = room.is_void() && shared.shards.takes(self.channel.shard());
        match message {
            Message::Operation(operation, taken) if is_again => {
                let message = Message::Operation(operation, taken);
                if let Err(Message::Operation(operation, _)) =
                    shared.table.offer(shared, &self.channel, message)
                {
                    room.not_owner(&operation);
                }
            }
            Message::Operation(operation, _) => room.not_owner(&operation),
            message @ (Message::Load(_) | Message::Timer) if is_again => {
                shared.table.tell(shared, &self.channel, message);
            }
            _ => {}
        }
    }

    /// Leaves memory, unless something is owed or has come in meanwhile.
    async fn idle(&self, myself: ActorRef<Message>, room: &mut Room) {
        if !room.may_leave().await {
            return;
        }
        // Before the channel is free for another actor: that one's roster must not be forgotten by this one's word.
        room.forget().await;
        room.keep_acks();
        if self.shared.table.retire(&self.channel, &self.acks) {
            myself.stop(None);
        }
    }
}

impl Room {
    fn new(shared: Arc<Shared>, channel: Channel, acks: ChannelAcks, tenure: u64) -> Self {
        let epoch = shared.shards.said(channel.shard());
        Self {
            shared,
            channel,
            epoch,
            tenure,
            condition: Soundness::Unloaded,
            generation: 0,
            audience: Audience::default(),
            acks,
            is_leaving: false,
            base_owed: 0,
            acknowledged: Sequence(0),
            owed_since: None,
            snapshot: None,
            waived: false,
            snapshot_at: Sequence(0),
            outcomes: Outcomes::default(),
            timer: None,
            panics: 0,
            departures: None,
            departing_since: None,
            turn: Turn::default(),
        }
    }

    /// Does what it is told, while the channel is this node's.
    async fn heed(&mut self, message: Message) {
        match message {
            Message::Operation(operation, taken) => {
                self.turn = Turn::new(&operation, taken);
                self.operation(&operation).await;
                self.turn = Turn::default();
            }
            Message::Acknowledged(sequence) => self.acknowledged(sequence).await,
            Message::Resend(seat) => Box::pin(self.resend(seat)).await,
            Message::Meet => {
                Box::pin(self.meet()).await;
            }
            Message::Again => Box::pin(self.again()).await,
            Message::Renew => Box::pin(self.renew()).await,
            Message::ForgetProcess(process) => self.outcomes.forget(process),
            Message::Load(done) => Box::pin(self.taken_up(done)).await,
            Message::Reset {
                generation,
                base_lost,
            } => Box::pin(self.reset(generation, base_lost)).await,
            Message::Snapshot => self.plan_snapshot().await,
            Message::Timer => self.timer().await,
            Message::Quarantine => Box::pin(self.obey()).await,
            Message::EndSessions(done) => {
                let _nobody_waits = done.send(Box::pin(self.end_sessions()).await);
            }
            // Those are its end, and the actor's.
            Message::Idle(_) | Message::Leave { .. } => {}
        }
    }

    /// Whether the channel owes nothing and its state is safe in a snapshot.
    async fn may_leave(&mut self) -> bool {
        self.acknowledged(Sequence(0)).await;
        if self.owes_departures().await {
            return false;
        }
        match &self.condition {
            Soundness::Quarantined => return false,
            Soundness::Unloaded => return true,
            Soundness::Sound(state) if state.roster().at() > self.acknowledged => return false,
            Soundness::Sound(_) => {}
        }
        // A refusal may be owed although no event is (IL-10).
        if self.owes() {
            return false;
        }
        self.settle().await;
        if !self.exists() {
            // Never made, or destroyed and acknowledged: the store has forgotten it, and a load makes the same of it.
            return true;
        }
        self.write_down().await
    }

    fn exists(&self) -> bool {
        matches!(&self.condition, Soundness::Sound(state) if state.roster().exists())
    }

    /// Waits until all that this channel has decided is durable and sent; `false` if some of it is void.
    pub(crate) async fn settle(&mut self) -> bool {
        self.barrier().await.await.is_ok()
    }

    /// The same, for somebody else: what is answered then.
    pub(crate) async fn barrier(&self) -> oneshot::Receiver<()> {
        let (barrier, passed) = oneshot::channel();
        let request = Request::output(self, Arc::new([]), Vec::new());
        self.send(Request {
            barrier: Some(barrier),
            ..request
        })
        .await;
        passed
    }

    pub(crate) async fn send(&self, mut request: Request) {
        request.progress = self.turn.progress();
        let Err(unsent) = self.shared.commits.send(request).await else {
            return;
        };
        match (unsent.0.operation, unsent.0.origin) {
            (Some(id), _) => self.shared.not_taken(&self.channel, id, wait()),
            (None, Some(origin)) => self.shared.refuse(&self.channel, origin, wait()),
            (None, None) => {}
        }
    }

    /// Whether the ownership that it was made for has ended.
    pub(crate) fn is_void(&self) -> bool {
        let (shards, shard) = (&self.shared.shards, self.channel.shard());
        !shards.owns(shard) || shards.tenure(shard) != self.tenure
    }

    /// The shard is not this node's any more, as it was under the epoch of this actor.
    pub(crate) fn not_owner(&self, operation: &Operation) {
        match operation.id {
            Some(id) => self.shared.not_owner(&self.channel, id, self.epoch),
            None => {
                let origin = Arc::clone(&operation.origin);
                self.shared.refuse(&self.channel, origin, wait());
            }
        }
    }

    /// The error for everything while the channel cannot be worked with.
    pub(crate) fn unusable(&self) -> Refusal {
        match self.condition {
            Soundness::Quarantined => Refusal::usual(Condition::InternalServerError),
            _ => wait(),
        }
    }
}
