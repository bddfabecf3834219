//! The actor of one channel: receives, decides, applies, hands over to the commit pipeline.
//!
//! What a command leads to is the core's; a turn is in [`crate::turn`]. Here are the messages, the actor's life (load,
//! reset, quarantine, passivation) and what leaves when output has to be sent again.

use crate::commit::{Progress, Request, wait};
use crate::directory;
use crate::load::{self, Stored};
use crate::operations::Outcomes;
use crate::quota;
use crate::shared::Shared;
use coven_cluster::trace::{self, Span, Step};
use coven_cluster::{Channel, Delivery, Operation};
use coven_core::{Channel as State, Condition, Refusal, Roster, Sequence, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use smol_str::SmolStr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, warn};

/// Events in one output when the journal is sent again.
const PAGE: usize = 200;
/// A deadline that could not be kept is tried again after this.
pub(crate) const RETRY_MS: i64 = 1000;

/// What an actor is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Decide or read. With the moment at which the node took it.
    Operation(Box<Operation>, Instant),
    /// Events up to here are acknowledged on all connections.
    Acknowledged(Sequence),
    /// Send again what a connection has not acknowledged.
    Resend,
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
    /// A deadline has passed.
    Timer,
}

/// The actor of one channel.
#[derive(Debug)]
pub(crate) struct ChannelActor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: Channel,
}

/// What the actor holds between turns.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: Channel,
    pub(crate) condition: Soundness,
    pub(crate) generation: u32,
    /// The front-end holds the roster.
    pub(crate) front_has_roster: bool,
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
    turn: Turn,
}

/// The operation that has its turn.
#[derive(Debug, Default)]
struct Turn {
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
        let mut room = Room::new(Arc::clone(&self.shared), self.channel.clone());
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
        let mailbox = self.shared.table.get(&self.channel);
        if let (Message::Idle(_done), Some(mailbox)) = (&message, &mailbox) {
            mailbox.done();
            return self.idle(myself, room).await;
        }
        match message {
            Message::Operation(operation, taken) => {
                room.turn = Turn::new(&operation, taken);
                room.operation(&operation).await;
                room.turn = Turn::default();
            }
            Message::Acknowledged(sequence) => room.acknowledged(sequence).await,
            Message::Resend => Box::pin(room.resend()).await,
            Message::Load(done) => Box::pin(room.taken_up(done)).await,
            Message::Reset {
                generation,
                base_lost,
            } => Box::pin(room.reset(generation, base_lost)).await,
            Message::Snapshot => room.plan_snapshot().await,
            Message::Timer => room.timer().await,
            Message::Idle(_) => {}
        }
        if let Some(mailbox) = mailbox {
            mailbox.done();
        }
    }

    /// Leaves memory, unless something is owed or has come in meanwhile.
    async fn idle(&self, myself: ActorRef<Message>, room: &mut Room) {
        if !room.may_leave().await {
            return;
        }
        // Before the channel is free for another actor: that one's roster must not be forgotten by this one's word.
        room.forget().await;
        if self.shared.table.retire(&self.channel) {
            myself.stop(None);
        }
    }
}

impl Room {
    fn new(shared: Arc<Shared>, channel: Channel) -> Self {
        Self {
            shared,
            channel,
            condition: Soundness::Unloaded,
            generation: 0,
            front_has_roster: false,
            acknowledged: Sequence(0),
            owed_since: None,
            snapshot: None,
            waived: false,
            snapshot_at: Sequence(0),
            outcomes: Outcomes::default(),
            timer: None,
            panics: 0,
            turn: Turn::default(),
        }
    }

    /// Loads the channel; what was not acknowledged when the last process ended is sent again.
    pub(crate) async fn load(&mut self) {
        match load::load(&self.shared, &self.channel).await {
            Ok(stored) => self.take(stored).await,
            Err(error) if error.is_temporary() => {
                warn!(channel = %self.channel, %error, "the channel could not be loaded yet");
            }
            Err(error) => {
                error!(event = "quarantined", channel = %self.channel, %error, "the channel cannot be loaded");
                self.quarantine();
            }
        }
    }

    async fn take(&mut self, stored: Stored) {
        self.shared.health.loaded();
        self.outcomes = Outcomes::load(&stored.outcomes);
        self.timer = stored.state.next_timer();
        if self.timer.is_some() {
            self.shared.set_timer(&self.channel, self.timer);
        }
        let unsent = stored.unsent.is_some();
        let head = stored.state.roster().at();
        self.snapshot_at = stored.base.at();
        self.acknowledged = if unsent { stored.base.at() } else { head };
        if unsent {
            // Whoever made this output may have died before the directory was written.
            let listing = directory::listing(&stored.state);
            self.shared.directory.note(&self.channel, listing);
            quota::note(&self.shared, &self.channel, quota::owners(&stored.state));
        }
        self.condition = Soundness::Sound(Box::new(stored.state));
        if unsent {
            self.send_again(stored.base, stored.journal, stored.acknowledged)
                .await;
        }
    }

    /// Loads the channel, if that is not done. Whoever asks does so again when the store does not give it yet.
    async fn taken_up(&mut self, done: oneshot::Sender<bool>) {
        if matches!(self.condition, Soundness::Unloaded) {
            self.load().await;
        }
        let _nobody_waits = done.send(!matches!(self.condition, Soundness::Unloaded));
    }

    /// A stream was lost, and with it what it had not acknowledged: base roster and journal once more (design §5.8).
    async fn resend(&mut self) {
        self.settle().await;
        if matches!(self.condition, Soundness::Quarantined) {
            // There is nothing to send; but errors go out only to connections that do not wait for anything.
            return self
                .send_again(Roster::default(), Vec::new(), Vec::new())
                .await;
        }
        match load::load(&self.shared, &self.channel).await {
            Ok(s) => self.send_again(s.base, s.journal, s.acknowledged).await,
            Err(error) => warn!(channel = %self.channel, %error, "cannot send again yet"),
        }
    }

    /// Base roster and journal, in pages: between two of them the front-end can look after other channels.
    async fn send_again(
        &mut self,
        base: Roster,
        journal: Vec<Arc<coven_core::Record>>,
        acknowledged: Vec<(SmolStr, Sequence)>,
    ) {
        self.front_has_roster = true;
        let mut page = vec![Delivery::Base {
            roster: Box::new(base),
            acknowledged,
        }];
        for record in journal {
            if page.len() >= PAGE {
                let more_follows = true;
                let page = std::mem::take(&mut page);
                self.send(Request {
                    more_follows,
                    ..Request::output(&self.channel, self.generation, page)
                })
                .await;
            }
            let history = self.history_of(&record).await;
            page.push(Delivery::Event { record, history });
        }
        self.send(Request::output(&self.channel, self.generation, page))
            .await;
    }

    /// What was decided on top of a refused commit is void: begins anew from what the store has.
    async fn reset(&mut self, generation: u32, base_lost: bool) {
        if generation > self.generation {
            self.generation = generation;
            if matches!(self.condition, Soundness::Quarantined) {
                return;
            }
            self.condition = Soundness::Unloaded;
            self.snapshot = None;
            self.waived = false;
            if let Ok(stored) = load::load(&self.shared, &self.channel).await {
                self.outcomes = Outcomes::load(&stored.outcomes);
                self.timer = stored.state.next_timer();
                self.arm_anew();
                self.condition = Soundness::Sound(Box::new(stored.state));
            }
        }
        if base_lost {
            self.resend().await;
        }
    }

    /// A deadline that has passed for nothing passes again, though not at once: the store may be full.
    fn arm_anew(&self) {
        if let Some(at) = self.timer {
            let soon = crate::shared::now().plus_ms(RETRY_MS);
            self.shared.set_timer(&self.channel, Some(at.max(soon)));
        }
    }

    pub(crate) fn quarantine(&mut self) {
        self.shared.health.quarantined();
        self.condition = Soundness::Quarantined;
    }

    /// Whether the channel owes nothing and its state is safe in a snapshot.
    async fn may_leave(&mut self) -> bool {
        self.acknowledged(Sequence(0)).await;
        match &self.condition {
            Soundness::Quarantined => return false,
            Soundness::Unloaded => return true,
            Soundness::Sound(state) if state.roster().at() > self.acknowledged => return false,
            Soundness::Sound(_) => {}
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

    async fn forget(&mut self) {
        if std::mem::take(&mut self.front_has_roster) {
            let deliveries = vec![Delivery::Forget];
            self.send(Request::output(&self.channel, self.generation, deliveries))
                .await;
        }
    }

    /// Waits until all that this channel has decided is durable and sent.
    pub(crate) async fn settle(&mut self) {
        let (barrier, passed) = oneshot::channel();
        let request = Request::output(&self.channel, self.generation, Vec::new());
        self.send(Request {
            barrier: Some(barrier),
            ..request
        })
        .await;
        let _void = passed.await;
    }

    pub(crate) async fn send(&self, mut request: Request) {
        request.progress = self.turn.progress();
        if let Err(unsent) = self.shared.commits.send(request).await
            && let Some(origin) = unsent.0.origin
        {
            self.shared.refuse(&self.channel, origin, wait()).await;
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
