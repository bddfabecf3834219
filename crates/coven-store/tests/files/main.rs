//! What only a store in a file can suffer: crashes, damage, full disks, a second process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod crash;
mod damage;
mod limits;
mod pinned;
mod rooms;
