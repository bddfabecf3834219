//! The way in and out of a component stream, from bytes to bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod component;
mod framer;
mod writer;
