//! What a node is asked from outside: to attach front-ends, to take shards and give them up, and how it is.

use crate::actor::Message;
use crate::ownership::{self, NodeEvent, Take, Where};
use crate::receipts;
use crate::seat::Seat;
use crate::shared::{Health, Shared};
use coven_cluster::{Channel, Fence, FrontLink, ProcessId, ShardId, ToFront};
use coven_core::{ChannelName, Epoch};
use coven_store::{ChannelKey, Error, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::broadcast;

/// A node in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// How the node is.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// From now on nothing is read past the deadline of this fence, also before anybody has noticed it (design §5.1).
    pub fn keep_to(&self, fence: Fence) {
        self.shared.shards.fence(fence);
    }

    /// How many channels are in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.shared.table.all().len()
    }

    /// Attaches a front-end of another process: what it says goes to the seat, what it is told goes to `link`. It hears first
    /// what this node owns, and gets output when it has said what it holds. A link that takes nothing for too long is
    /// detached ([`Seat::detached`]).
    pub fn attach(&self, process: ProcessId, link: impl FrontLink + 'static) -> Arc<Seat> {
        self.seat(process, link, false)
    }

    pub(crate) fn seat(
        &self,
        process: ProcessId,
        link: impl FrontLink + 'static,
        is_local: bool,
    ) -> Arc<Seat> {
        let shared = Arc::clone(&self.shared);
        let (state, saying) = shared.fronts.attach(process, link, is_local);
        let owned = shared.shards.announced();
        if !is_local {
            state.tell(ToFront::Owned(owned));
        }
        let (detached, node) = (Arc::clone(&state), Arc::downgrade(&shared));
        shared.spawn(async move {
            saying.await;
            // Also one that does not know it yet: views leave it out from now on.
            if let Some(shared) = node.upgrade() {
                shared.detach(&detached);
            }
        });
        Arc::new(Seat { shared, state })
    }

    /// Claims shards (design §5.3). Those that are this node's already are left out of the answer.
    pub async fn take(
        &self,
        shards: Vec<Take>,
        session: SessionId,
    ) -> Vec<(ShardId, Result<Epoch, Error>)> {
        ownership::take(&self.shared, shards, session).await
    }

    /// Gives shards up; ends when they are released (design §5.10).
    pub async fn give_up(&self, shards: Vec<ShardId>) {
        ownership::give_up(&self.shared, shards).await;
    }

    /// Somebody is known to own a shard under a higher epoch than this node: it is dropped.
    pub async fn heard_of(&self, shard: ShardId, epoch: Epoch) {
        ownership::heard_of(&self.shared, shard, epoch).await;
    }

    /// The deadline of the session has passed: nothing is read or decided until [`Handle::resume`] (design §5.1).
    pub fn suspend(&self) {
        ownership::suspend(&self.shared);
    }

    /// There is a session again. Every shard is claimed with it; ends when each is this node's again, or lost.
    pub async fn resume(&self, session: SessionId) {
        ownership::resume(&self.shared, session).await;
    }

    /// The shards of this node.
    #[must_use]
    pub fn owned(&self) -> Vec<(ShardId, Epoch)> {
        self.shared.shards.owned()
    }

    /// What becomes of shards without the agent's doing. Who listens too slowly looks at [`Handle::owned`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.shared.events.subscribe()
    }

    /// Where a channel is.
    #[must_use]
    pub fn place(&self, channel: &Channel) -> Where {
        self.shared.place(channel)
    }

    /// Records may be written in this format from now on (I7). Before this is said they are in the first one.
    pub fn finalized(&self, format: u32) {
        self.shared.formats.finalized(format);
    }

    /// The shards in which something of a newer version was met since this was asked last: a node that reads it has to go
    /// on with them (I7).
    #[must_use]
    pub fn beyond(&self) -> BTreeSet<ShardId> {
        self.shared.formats.take_beyond()
    }

    /// These channels are in quarantine, and no others by an operator's word: all that is asked of them is answered with an
    /// error, here and after each take-over, until they are left out (I10).
    pub fn quarantined(&self, channels: &BTreeSet<ChannelKey>) {
        for key in self.shared.quarantine.ask(channels) {
            self.tell_quarantine(&self.channel(key));
        }
    }

    /// A channel that this node has put there by itself is tried again.
    pub fn lift(&self, channel: &Channel) {
        self.shared.quarantine.lifted(channel);
        self.tell_quarantine(channel);
    }

    /// The channels that this node has put there by itself: damaged, or panicking.
    #[must_use]
    pub fn in_quarantine(&self) -> Vec<Channel> {
        let found = self.shared.quarantine.all_found().into_iter();
        let found = found.map(|key| self.channel(key));
        found
            .filter(|channel| self.shared.shards.owns(channel.shard()))
            .collect()
    }

    fn channel(&self, key: ChannelKey) -> Channel {
        let ChannelKey { space, local } = key;
        Channel::new(ChannelName { space, local }, self.shared.options.shards)
    }

    fn tell_quarantine(&self, channel: &Channel) {
        if let Some(mailbox) = self.shared.table.get(channel) {
            mailbox.tell(Message::Quarantine);
        }
    }

    /// The service ends for good: every session of every channel ends, and its user is told so as soon as that is durable
    /// (MUC-LEAVE-13, I6). From now on nothing else is decided. Ends when all have; answers in how many channels that could
    /// not be done, since they are in quarantine, or the store took nothing for a minute.
    ///
    /// For whoever owns all channels: in a cluster others would go on.
    pub async fn end_sessions(&self) -> usize {
        crate::ending::end_all(&self.shared).await
    }

    /// A front-end's session ended more than ten minutes ago: outcomes of its operations are forgotten (design §5.6).
    pub async fn forget_process(&self, process: ProcessId) {
        receipts::forget_process(&self.shared, process.0).await;
    }
}
