//! What nodes and front-ends share: shards of channels, the link between the two, and who owns and holds what.
//!
//! In one process a node owns every shard and one front-end holds every connection. In a cluster an [`agent`] in each
//! process keeps its session with the store ([`session`]), claims shards ([`claims`]) or takes leases of connections
//! ([`leases`]), and judges who is dead ([`judge`]). These decide from what the registry shows
//! ([`coven_store::Registry`]), with the time given. Read next: [`link`], then [`agent`].

pub mod agent;
pub mod claims;
pub mod clock;
pub mod judge;
pub mod leases;
pub mod link;
pub mod operations;
pub mod rendezvous;
pub mod routes;
pub mod session;
pub mod shard;
pub mod timing;
pub mod trace;

pub use clock::{BootClock, Clock, Fence, Moment, TokioClock};
pub use link::{
    Acknowledged, Delivery, FrontLink, Held, LeaseNumber, NodeLink, Operation, OperationId, Output,
    ProcessId, Relay, Request, ToFront, ToNode,
};
pub use shard::{Channel, ShardId};
pub use trace::TraceContext;
