//! Who is there: sessions of processes, leases of connections, and what operators have asked for (design §5.1, §5.9).
//!
//! Owns what the processes of a cluster tell each other through the store. It is for liveness only: nothing here protects a
//! shard, the epoch that each commit shows does (I1). Decides nothing either: who is dead, who takes what and when is
//! worked out by `coven-cluster`.
//!
//! Read next: [`Registry`] for the contract, [`MemoryRegistry`] for the shortest statement of what each call means;
//! [`RedisRegistry`](crate::redis::RedisRegistry) is the one of a cluster.

mod memory;
mod record;
mod shards;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use smol_str::SmolStr;

pub use self::memory::MemoryRegistry;
pub use self::shards::ShardSet;
use crate::{
    ChannelKey, ConnectionId, LeaseNumber, Pending, ProcessId, SessionId, ShardId, StoreId,
    Timestamp,
};

pub(crate) use self::record::{read_lease, read_member, write_member, write_way};

/// What processes tell each other.
///
/// * A call puts its request in a queue and comes back at once, as those of [`Store`](crate::Store) do.
/// * What makes somebody the holder of something ([`take`](Self::take)), or ends that, is answered when it is as durable
///   as a commit. A renewal and a poll are not: they say how it was.
/// * An [`Unknown`](crate::Error::Unknown) answer leaves open whether it was done. Asking once more is harmless.
pub trait Registry: fmt::Debug + Send + Sync + 'static {
    /// Begins a session that lasts for `ttl` unless it is renewed. Works when the store is full.
    fn open(&self, session: SessionId, member: Member, ttl: Duration) -> Pending<()>;

    /// Replaces what a session says of its process. Answers whether the session is there. Works when the store is full.
    fn tell(&self, session: SessionId, member: Member) -> Pending<bool>;

    /// Ends a session, with what operators have asked of its process: that is done. One that is not there is passed over.
    fn close(&self, session: SessionId) -> Pending<()>;

    /// Everything that is known, in one round trip; before it, where asked for, a session is made to last for `ttl` from
    /// now on.
    fn poll(&self, renew: Option<(SessionId, Duration)>) -> Pending<Sight>;

    /// Makes `take.session` the holder of a connection, under a number above all earlier ones, above `take.known`, and at
    /// least the store's clock in milliseconds. A session that holds it already gets a new number.
    ///
    /// Answers the lease that is in the way when another session holds it and is not the one judged dead.
    fn take(&self, take: TakeLease) -> Pending<Result<LeaseNumber, Box<Lease>>>;

    /// Ends the lease of this number. One of another number is passed over.
    fn release(&self, connection: &ConnectionId, number: LeaseNumber) -> Pending<()>;

    /// Asks the holder of the lease of this number to give it up (IL-14). The first to ask is remembered.
    fn ask_to_give_up(
        &self,
        connection: &ConnectionId,
        number: LeaseNumber,
        by: ProcessId,
    ) -> Pending<()>;

    /// Keeps what an operator asks for; all processes see it with their next poll.
    fn request(&self, request: Request) -> Pending<()>;

    /// From now on records of this format may be written to the store of this identity (I7); all processes see it with
    /// their next poll. A lower format than the store's changes nothing. Whether every process can read it is the caller's
    /// to know. Answers whether that is the store that is there.
    fn finalize(&self, store: StoreId, format: u32) -> Pending<bool>;
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It runs channels.
    Node,
    /// It holds streams to servers.
    Front,
    /// It is all there is: no other process may use the store. Older versions pass it over.
    Alone,
}

/// What a session says of its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The process; drawn at its start.
    pub process: ProcessId,
    /// What it is.
    pub role: Role,
    /// Where its link server listens; for people only with front-ends, which dial.
    pub address: SmolStr,
    /// Its share among its like: twice the weight, twice the shards. 0 takes none.
    pub weight: u32,
    /// It gives up what it has, and takes nothing.
    pub draining: bool,
    /// Its version, for people.
    pub version: SmolStr,
    /// The newest format of records that it reads, and can write (I7).
    pub formats: u32,
    /// The shards that it believes to own. A hint, for who looks for shards without an owner; the store's token decides.
    pub owned: ShardSet,
}

/// A session that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The session.
    pub session: SessionId,
    /// What it says.
    pub member: Member,
    /// How long it lasts unless it is renewed.
    pub remaining: Duration,
}

/// A connection's record: who holds it (design §5.9). It stays when nobody does: the number counts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The connection.
    pub connection: ConnectionId,
    /// Where it leads.
    pub way: Way,
    /// The session of its holder.
    pub holder: Option<SessionId>,
    /// Of this lease; of the last one if nobody holds it.
    pub number: LeaseNumber,
    /// The node that does not reach the holder, and has asked for the lease to be given up.
    pub asked_by: Option<ProcessId>,
}

/// Where a connection leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// The group of servers that reach the same users.
    pub group: SmolStr,
    /// The space whose channels it serves.
    pub space: SmolStr,
    /// The server's node that it is attached to.
    pub server_node: SmolStr,
}

/// A wish to hold a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeLease {
    /// The connection.
    pub connection: ConnectionId,
    /// Where it leads.
    pub way: Way,
    /// Who wants it.
    pub session: SessionId,
    /// The holder that the taker knows to be dead, or to be itself.
    pub judged_dead: Option<SessionId>,
    /// The highest number of this connection that the taker has heard of.
    pub known: LeaseNumber,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The process gives up what it has, and takes nothing any more.
    Drain(ProcessId),
    /// The process takes again.
    Undrain(ProcessId),
    /// The shard belongs to this process, whatever the weights say, as long as it is there; `None`: to the preferred one.
    Move(ShardId, Option<ProcessId>),
    /// Everything that is asked of the channel is answered with an error, whoever has it (I10).
    Quarantine(ChannelKey),
    /// The channel is worked with again.
    Lift(ChannelKey),
}

/// What operators have asked for and not taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Processes that are to drain.
    pub draining: BTreeSet<ProcessId>,
    /// Shards that have been moved.
    pub moved: BTreeMap<ShardId, ProcessId>,
    /// Channels that are in quarantine.
    pub quarantined: BTreeSet<ChannelKey>,
}

/// Everything that is known, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The store's identity; `None` where there is no store: it was emptied (design §5.15).
    pub store: Option<StoreId>,
    /// The format of records that is finalized: up to it processes may write (I7).
    pub format: u32,
    /// Which server answered: another name, another primary, or the same one after a restart.
    pub server: SmolStr,
    /// How long this registry has been connected, without a break, to that server. Whoever was cut off at the beginning
    /// may need a full TTL of it to be seen again (IL-29).
    pub unbroken: Duration,
    /// The store's clock.
    pub now: Timestamp,
    /// Whether the session to be renewed was there; `None` when none was to be.
    pub renewed: Option<bool>,
    /// Sessions, by process.
    pub sessions: Vec<Seen>,
    /// Leases, by connection.
    pub leases: Vec<Lease>,
    /// What operators have asked for.
    pub requests: Requests,
}

/// Why a store is not for a program that reads formats up to `known` (I7).
#[must_use]
pub fn beyond(format: u32, known: u32) -> String {
    format!(
        "its records are of format {format}, this program reads formats up to {known}: start a newer one"
    )
}

impl Requests {
    /// What was asked of a process is over with it.
    pub(crate) fn forget(&mut self, process: ProcessId) {
        self.draining.remove(&process);
        self.moved.retain(|_, to| *to != process);
    }
}

impl Sight {
    /// Whether this session is there.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|seen| seen.session == session)
    }

    /// What there is of a process; the newest session, should there be two.
    #[must_use]
    pub fn of(&self, process: ProcessId) -> Option<&Seen> {
        let mine = self
            .sessions
            .iter()
            .filter(|it| it.member.process == process);
        mine.max_by_key(|seen| seen.remaining)
    }

    /// The lease of a connection.
    #[must_use]
    pub fn lease(&self, connection: &ConnectionId) -> Option<&Lease> {
        self.leases
            .iter()
            .find(|lease| lease.connection == *connection)
    }
}
