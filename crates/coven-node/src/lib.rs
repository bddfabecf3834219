//! Nodes: channel actors, the commit pipeline, and the output gate.
//!
//! Owns which channels are in memory ([`table`]), one actor for each ([`actor`]), and the way of everything they decide:
//! into a group commit of their shard and, once that is durable, out to the front-ends ([`commit`], I2). The rules are in
//! `coven-core`; here is no `if` about rooms. What a channel needs from the store is read in [`load`] and [`archive`].
//!
//! A [`Service`] runs it all; a [`Handle`] attaches front-ends, each with a [`Seat`] ([`seat`], [`fronts`]), and takes shards
//! and gives them up ([`ownership`]). In one process it owns all shards, and has one front-end ([`Service::start_alone`]).

mod acks;
mod actor;
mod archive;
mod aside;
mod audience;
mod commit;
mod convert;
mod deadlines;
mod departures;
mod directory;
mod effects;
mod ending;
mod entry;
mod formats;
mod fronts;
mod handle;
mod holding;
mod kept;
mod load;
mod operations;
mod options;
mod ownership;
mod quarantine;
mod quota;
mod reads;
mod receipts;
mod reconcile;
mod reply;
mod responsible;
mod seat;
mod service;
mod sessions;
mod shards;
mod shared;
mod snapshots;
mod start;
mod sweep;
mod table;
mod turn;
mod upkeep;

pub use handle::Handle;
pub use options::{Error, Options};
pub use ownership::{NodeEvent, Take, Where};
pub use seat::Seat;
pub use service::Service;
pub use shared::{Health, Snapshot};
