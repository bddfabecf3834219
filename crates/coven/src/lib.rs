//! The coven binary: configuration, roles, HTTP, wiring.
//!
//! A library so that tests can use the parts; `main.rs` only calls it. Read next: [`run`] for the
//! life of the process, [`config`] for what can be set.

pub mod admin;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod failure;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod options;
pub mod parts;
pub mod run;
pub mod signals;
pub mod sole;
pub mod spaces;
pub mod stores;
pub mod telemetry;
pub mod watch;
