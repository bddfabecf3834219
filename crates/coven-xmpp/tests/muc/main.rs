//! The MUC view on the wire: XML in, XML out, with real channels in between.

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

mod disco;
mod errors;
mod hecate;
mod history;
mod join;
mod leave;
mod mam;
mod mapping;
mod merged;
mod message;
mod owner;
mod presence;
mod private;
mod props;
mod sessions;
mod unique;
mod witches;
