//! Stories: one channel, named people, and what happens when they do things. One file per topic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "../table/mod.rs"]
mod table;

mod config;
mod create;
mod destroy;
mod enter;
mod ghost;
mod history;
mod iq;
mod leave;
mod listing;
mod message;
mod mix_join;
mod mix_nodes;
mod mix_presence;
mod nick;
mod presence;
mod private;
mod read;
mod rights;
mod roles;
mod sessions;
mod subject;
mod visibility;
