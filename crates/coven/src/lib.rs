//! The coven binary: configuration, roles, HTTP, wiring.
//!
//! A library so that tests can use the parts; `main.rs` only calls it.

pub mod config;
pub mod health;
pub mod http;
pub mod log;
