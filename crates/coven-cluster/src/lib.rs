//! What nodes and front-ends share: shards of channels, and the link between the two.
//!
//! Membership, ownership and views over Redis come with the cluster; in one process a node owns every shard and one
//! front-end holds every connection. Read next: [`link`].

pub mod link;
pub mod operations;
pub mod shard;
pub mod timing;
pub mod trace;

pub use link::{
    Acknowledged, Delivery, FrontLink, Held, LeaseNumber, NodeLink, Operation, OperationId, Output,
    ProcessId, Relay, Request, ToFront, ToNode,
};
pub use shard::{Channel, ShardId};
pub use trace::TraceContext;
