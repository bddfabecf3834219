//! Membership, ownership and leases: the plans one by one, and agents of several processes over one registry in memory.
//!
//! `world` has what the plans are shown; `cluster` runs agents on tokio's paused clock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod claims;
mod cluster;
mod fronts;
mod judge;
mod leases;
mod nodes;
mod real;
#[path = "../../../coven-store/tests/conformance/redis_server.rs"]
mod redis_server;
mod rendezvous;
mod session;
mod world;
