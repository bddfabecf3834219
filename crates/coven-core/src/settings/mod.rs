//! Settings of a channel: configuration and locks.

pub mod config;
pub mod form;
pub mod lock;
pub mod service;
