//! What coven keeps: the store trait, and its memory, SQLite and Redis implementations.
//!
//! Owns: ownership of shards, commits, channels (journal, snapshot, acknowledgements, outcomes, timers), the archive,
//! and the directory. Owns no rule of MUC or MIX: records are bytes here, and archive ids are made by the caller (the
//! store knows only places, see [`Place`]).
//!
//! Read next: [`Store`] for the contract, [`Commit`] for what one commit carries, [`MemoryStore`] for the shortest
//! statement of what each call means. [`registry`] is what the processes of a cluster tell each other.

mod archive;
mod channel;
mod commit;
mod condition;
mod directory;
mod error;
pub mod fail;
mod ids;
mod memory;
mod pending;
mod random;
pub mod redis;
pub mod registry;
pub mod sqlite;
mod state;
mod store;

pub use archive::{
    ArchiveBounds, ArchivePage, ArchiveQuery, Filter, Place, Retention, UnknownPlace,
};
pub use channel::{Ack, Loaded, Snapshot, StoredOutcome};
pub use commit::{
    Acknowledgement, Answered, ArchiveMeta, ChannelCommit, Commit, Entry, Life, Outcome, Receipts,
    Rewrite, Sent, TimerChange,
};
pub use condition::Condition;
pub use directory::{DirectoryPage, DirectoryQuery, Listing, UnknownChannel};
pub use error::Error;
pub use ids::{
    ChannelKey, CommitNumber, ConnectionId, Epoch, LeaseNumber, Owner, ProcessId, SenderId,
    Sequence, SessionId, ShardId, StoreId, Timestamp,
};
pub use memory::{Kept, MemoryStore};
pub use pending::{Pending, Reply};
pub use redis::{RedisRegistry, RedisStore};
pub use registry::{MemoryRegistry, Registry};
pub use sqlite::SqliteStore;
pub use store::{Claim, Ownership, Store};
