//! Which channels are in memory: a map in stripes, from the channel to its actor's mailbox.
//!
//! A channel is put in by its first operation and taken out only by its own actor, under the stripe's lock and only
//! while nothing is in its mailbox: so no operation is lost between the two.

use crate::acks::Acks;
use crate::actor::{ChannelActor, Message};
use crate::shared::Shared;
use coven_cluster::{Channel, ShardId};
use hashbrown::HashMap;
use ractor::{ActorRef, ActorRuntime};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const STRIPES: usize = 64;

type Stripe = HashMap<Channel, Arc<Mailbox>, foldhash::fast::RandomState>;

/// What is acknowledged of a channel: shared by its actor, what it has sent, and who hears of acknowledgements. One for
/// each actor, so that a word about an earlier one is not taken for one about this.
pub(crate) type ChannelAcks = Arc<Mutex<Acks>>;

/// Which channels are in memory.
#[derive(Debug)]
pub(crate) struct Table {
    stripes: Vec<Mutex<Stripe>>,
    hasher: foldhash::fast::RandomState,
    began: tokio::time::Instant,
}

/// The way to one actor. Counts what waits there: an actor's own queue has no bound.
#[derive(Debug)]
pub(crate) struct Mailbox {
    actor: ActorRef<Message>,
    waiting: AtomicUsize,
    used: AtomicU64,
    /// Of the shard, when the actor was made: after it, it is void.
    tenure: u64,
    pub(crate) acks: ChannelAcks,
}

impl Mailbox {
    /// Puts an operation in. Errors: gives it back when too many wait.
    fn offer(&self, message: Message, bound: usize) -> Result<(), Message> {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= bound {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(message);
        }
        self.actor.cast(message).map_err(|error| match error {
            ractor::MessagingErr::SendErr(message) => message,
            _ => Message::Idle(None),
        })
    }

    /// Tells the actor something that is not an operation. Waits in the same line, without a bound of its own: each part
    /// of the node that tells something does so at its own slow pace. A word to leave does not count as waiting: it goes to
    /// the end of the line until nothing else is there, and two of them would wait for each other for ever.
    pub(crate) fn tell(&self, message: Message) {
        let counts = !matches!(message, Message::Leave { .. });
        if counts {
            self.waiting.fetch_add(1, Ordering::AcqRel);
        }
        if self.actor.cast(message).is_err() && counts {
            self.done();
        }
    }

    /// What was waiting has been handled.
    pub(crate) fn done(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    fn stopped(&self) -> bool {
        matches!(
            self.actor.get_status(),
            ractor::ActorStatus::Stopping | ractor::ActorStatus::Stopped
        )
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        let stripes = (0..STRIPES)
            .map(|_| Mutex::new(Stripe::default()))
            .collect();
        Self {
            stripes,
            hasher: foldhash::fast::RandomState::default(),
            began: tokio::time::Instant::now(),
        }
    }

    /// Gives an operation to the channel's actor, which is made if the channel is not in memory.
    pub(crate) fn offer(
        &self,
        shared: &Arc<Shared>,
        channel: &Channel,
        message: Message,
    ) -> Result<(), Message> {
        // The stripe stays locked until the operation is in: the actor cannot retire in between.
        let mut stripe = self.stripe(channel);
        let mailbox = self.mailbox(shared, channel, &mut stripe);
        mailbox.used.store(self.now_ms(), Ordering::Relaxed);
        mailbox.offer(message, shared.options.mailbox)
    }

    /// Loads the channel, if it is not in memory, and tells its actor something.
    pub(crate) fn tell(&self, shared: &Arc<Shared>, channel: &Channel, message: Message) {
        let mut stripe = self.stripe(channel);
        self.mailbox(shared, channel, &mut stripe).tell(message);
    }

    /// The channel's mailbox, if it is in memory.
    pub(crate) fn get(&self, channel: &Channel) -> Option<Arc<Mailbox>> {
        self.stripe(channel).get(channel).cloned()
    }

    /// Takes a channel out, unless something waits in its mailbox. `acks`: the actor's; one in whose place there is another
    /// is out already.
    pub(crate) fn retire(&self, channel: &Channel, acks: &ChannelAcks) -> bool {
        let mut stripe = self.stripe(channel);
        let Some(mailbox) = stripe.get(channel).filter(|m| Arc::ptr_eq(&m.acks, acks)) else {
            return true;
        };
        let idle = mailbox.waiting.load(Ordering::Acquire) == 0;
        if idle {
            stripe.remove(channel);
        }
        idle
    }

    /// Channels without an operation for so long, and with nothing in their mailbox: there it may be this word already.
    pub(crate) fn idle(&self, idle_ms: u64) -> Vec<Arc<Mailbox>> {
        let before = self.now_ms().saturating_sub(idle_ms);
        let mut idle = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            let quiet = |m: &&Arc<Mailbox>| {
                m.used.load(Ordering::Relaxed) < before && m.waiting.load(Ordering::Relaxed) == 0
            };
            idle.extend(stripe.values().filter(quiet).cloned());
        }
        idle
    }

    /// The channels of some shards that are in memory.
    pub(crate) fn of(&self, is_meant: impl Fn(ShardId) -> bool) -> Vec<(Channel, Arc<Mailbox>)> {
        let mut found = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            let meant = stripe.iter().filter(|(c, _)| is_meant(c.shard()));
            found.extend(meant.map(|(channel, mailbox)| (channel.clone(), Arc::clone(mailbox))));
        }
        found
    }

    /// All channels in memory.
    pub(crate) fn all(&self) -> Vec<Arc<Mailbox>> {
        let stripes = self.stripes.iter();
        stripes
            .flat_map(|s| {
                let stripe = s.lock().unwrap_or_else(PoisonError::into_inner);
                stripe.values().cloned().collect::<Vec<_>>()
            })
            .collect()
    }

    fn mailbox(
        &self,
        shared: &Arc<Shared>,
        channel: &Channel,
        stripe: &mut Stripe,
    ) -> Arc<Mailbox> {
        let tenure = shared.shards.tenure(channel.shard());
        if let Some(mailbox) = stripe.get(channel).filter(|m| !m.stopped()) {
            if mailbox.tenure == tenure {
                return Arc::clone(mailbox);
            }
            // Of an earlier ownership: it hands on what it has, and ends. Nothing more comes to it.
            let (settle, done) = (false, None);
            mailbox.tell(Message::Leave { settle, done });
        }
        let acks = ChannelAcks::default();
        let mailbox = Arc::new(Mailbox {
            actor: spawn(shared, channel, &acks, tenure),
            tenure,
            acks,
            waiting: AtomicUsize::new(0),
            used: AtomicU64::new(self.now_ms()),
        });
        stripe.insert(channel.clone(), Arc::clone(&mailbox));
        mailbox
    }

    fn stripe(&self, channel: &Channel) -> MutexGuard<'_, Stripe> {
        let hash = self.hasher.hash_one(channel);
        let at = usize::try_from(hash).unwrap_or_default() % STRIPES;
        #[allow(clippy::indexing_slicing, reason = "a remainder of the length")]
        self.stripes[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An actor without a name and without links: a supervisor over 100,000 of them would be one lock for all.
fn spawn(
    shared: &Arc<Shared>,
    channel: &Channel,
    acks: &ChannelAcks,
    tenure: u64,
) -> ActorRef<Message> {
    let actor = ChannelActor {
        tenure,
        shared: Arc::clone(shared),
        channel: channel.clone(),
        acks: Arc::clone(acks),
    };
    #[allow(
        clippy::expect_used,
        reason = "only a taken name can fail, and there is no name"
    )]
    let (actor, _loading) =
        ActorRuntime::spawn_instant(None, actor, ()).expect("an actor without a name starts");
    actor
}

pub(crate) fn lock(acks: &Mutex<Acks>) -> MutexGuard<'_, Acks> {
    acks.lock().unwrap_or_else(PoisonError::into_inner)
}
