//! The MIX view on the wire: XML in, XML out, with real channels in between; alone, with MUC on one domain, and with MUC
//! on a mirrored one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../common/mod.rs"]
mod common;

mod archive;
mod channel;
mod discovery;
mod join;
mod leave;
mod listing;
mod mapping;
mod messages;
mod nodes;
mod people;
mod presence;
mod service;
