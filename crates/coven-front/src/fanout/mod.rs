//! The way out: deliveries of nodes to stanzas on connections.
//!
//! Channels are spread over workers by shard; all output of a channel goes through one worker, which keeps its order.
//! A worker owns its channels' rosters and renderers, packs stanzas for each connection, and knows what of them is
//! acknowledged.
//!
//! Read next: `worker.rs`, then `projection.rs` and `cursor.rs`; `stage.rs` and `outlet.rs` for the way to a connection.

mod cursor;
mod hold;
mod outlet;
mod owed;
mod projection;
mod receipts;
mod replies;
mod stage;
mod worker;

pub(crate) use worker::{Answered, Incoming, Worker};
