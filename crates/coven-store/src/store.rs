//! The contract that all stores keep; `conformance` tests it.

use std::fmt;

use smol_str::SmolStr;

use crate::{
    ArchiveBounds, ArchivePage, ArchiveQuery, ChannelKey, Commit, CommitNumber, Condition,
    DirectoryPage, DirectoryQuery, Epoch, Listing, Loaded, Owner, Pending, ProcessId, Receipts,
    Retention, Sent, SessionId, ShardId, Snapshot, StoreId, Timestamp, UnknownChannel,
    UnknownPlace,
};

/// Keeps everything that must outlive a process.
///
/// * A call puts its request in a queue and comes back at once; nothing blocks a runtime's worker. Writes to one shard
///   take effect in the order of the calls. A read sees every write whose answer was there before the read was called.
/// * Every write shows the epoch of the caller's ownership; another one is [`Error::Fenced`](crate::Error::Fenced) (I1).
/// * An answer that is not an error is durable at the configured level.
/// * Queues are bounded: what does not fit is [`Error::Busy`](crate::Error::Busy) at once, and not done. Of pipelined
///   commits the later ones are then [`Error::Diverged`](crate::Error::Diverged).
///
/// `shard` is the shard of `key`: the caller computes it, the store only keeps it.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The random id drawn when the store was created (design §5.15).
    fn identity(&self) -> Pending<StoreId>;

    /// Who owns a shard; `None` if nobody does.
    fn owner(&self, shard: ShardId) -> Pending<Option<Owner>>;

    /// Makes `claim.session` the owner of a shard, with an epoch above all earlier ones and above `claim.known`.
    ///
    /// Errors: `Held` when somebody owns the shard and is not the owner that was judged dead.
    fn claim(&self, shard: ShardId, claim: Claim) -> Pending<Ownership>;

    /// Gives a shard up: anybody may claim it. The epoch counts on.
    fn release(&self, shard: ShardId, epoch: Epoch) -> Pending<()>;

    /// Appends a commit as a whole. May be called again before the answer is there.
    ///
    /// Errors: `Fenced`; `Diverged` unless the number is the stored one plus one; `Sequence` unless each channel is
    /// where the commit expects it; `Invalid`; and what befalls the medium. None of them leaves a part behind.
    fn commit(&self, shard: ShardId, epoch: Epoch, commit: Commit) -> Pending<()>;

    /// Stores acknowledgements without a commit. A channel that the store does not hold is passed over.
    ///
    /// A channel that is destroyed, has no mark and no outcomes is forgotten with this.
    fn acknowledge(&self, shard: ShardId, epoch: Epoch, receipts: Receipts) -> Pending<()>;

    /// Forgets all outcomes of a process whose session ended long enough ago (design §5.6).
    fn forget_process(&self, shard: ShardId, epoch: Epoch, process: ProcessId) -> Pending<()>;

    /// Replaces a channel's snapshot, and lets go of the journal that it covers.
    ///
    /// One older than the stored snapshot is passed over, and so is one of a channel that the store does not hold: it was
    /// destroyed, and forgotten with its last acknowledgement.
    ///
    /// Errors: `Unacknowledged` unless it covers at most the head, and either nothing is marked unsent, or some
    /// connection has acknowledged and all that have did so up to `snapshot.sequence`.
    fn snapshot(
        &self,
        shard: ShardId,
        epoch: Epoch,
        key: ChannelKey,
        snapshot: Snapshot,
    ) -> Pending<()>;

    /// Drops the oldest archived messages of all channels of a shard. Answers how many went.
    fn expire(&self, shard: ShardId, epoch: Epoch, retention: Retention) -> Pending<u64>;

    /// Sets what the directory says about channels of a shard; `None` takes them out.
    fn list(
        &self,
        shard: ShardId,
        epoch: Epoch,
        listings: Vec<(ChannelKey, Option<Listing>)>,
    ) -> Pending<()>;

    /// All that a new owner needs of a channel; `None` where the store holds nothing of it.
    fn load(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<Loaded>>;

    /// Whether there is such a channel, created and not destroyed.
    fn exists(&self, shard: ShardId, key: &ChannelKey) -> Pending<bool>;

    /// Channels of a shard with output that is not known to be acknowledged, in order of key.
    fn unsent(&self, shard: ShardId) -> Pending<Vec<Sent>>;

    /// Channels of a shard with a deadline, earliest first.
    fn timers(&self, shard: ShardId) -> Pending<Vec<(Timestamp, ChannelKey)>>;

    /// A page of a channel's archive. A channel that does not exist has an empty one.
    fn archive_page(
        &self,
        shard: ShardId,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Pending<Result<ArchivePage, UnknownPlace>>;

    /// Oldest and newest place of a channel's archive; `None` where it is empty.
    fn archive_bounds(&self, shard: ShardId, key: &ChannelKey) -> Pending<Option<ArchiveBounds>>;

    /// A page of the directory of a space.
    fn directory(
        &self,
        space: &SmolStr,
        query: DirectoryQuery,
    ) -> Pending<Result<DirectoryPage, UnknownChannel>>;

    /// At most `max` existing channels of a space after `after`, in order of localpart.
    fn channels(
        &self,
        space: &SmolStr,
        after: Option<&SmolStr>,
        max: usize,
    ) -> Pending<Vec<ChannelKey>>;

    /// Channels that hold up the trimming of the log and should be snapshotted now, oldest first; mostly none.
    fn wants_snapshot(&self) -> Vec<(ShardId, ChannelKey)>;

    /// Whether archived messages should go before their time, for lack of room (design §5.14). Cheap: asked often.
    fn wants_room(&self) -> bool {
        false
    }

    /// Before which moment the archived messages of these shards should go so that there is room; `None` for none of them.
    /// They go by [`Store::expire`].
    fn room_before(&self, shards: Vec<ShardId>) -> Pending<Option<Timestamp>> {
        drop(shards);
        Pending::ready(Ok(None))
    }

    /// How the store is, without asking it: for readiness and for operators.
    fn condition(&self) -> Condition {
        Condition::Good
    }

    /// Takes the store that is there now for the right one, and begins an empty one where there is none: the operator's
    /// answer to [`Condition::Replaced`] (design §5.15). Answers its id.
    ///
    /// Errors: `Unfit` for a store that this process cannot use.
    fn accept(&self) -> Pending<StoreId> {
        self.identity()
    }

    /// Does what is queued, then closes: everything after it is [`Error::Closed`](crate::Error::Closed).
    fn close(&self) -> Pending<()>;
}

/// A claim of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The session that wants to own it.
    pub session: SessionId,
    /// The owner that the claimer knows to be dead, or to be itself.
    pub judged_dead: Option<Owner>,
    /// The highest epoch of this shard that the claimer has heard of.
    pub known: Epoch,
}

/// A granted claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The epoch to show with each write.
    pub epoch: Epoch,
    /// Number of the newest commit of the shard; 0 for none.
    pub last_commit: CommitNumber,
    /// The epoch that the shard had until now, owned or released; 0 if nobody has owned it. Above all that the claimer was
    /// granted: somebody else has owned it meanwhile (I1).
    pub found: Epoch,
}
