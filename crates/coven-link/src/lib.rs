//! The gRPC link between front-ends and nodes (design §3): one bidirectional stream for each pair.
//!
//! Owns how the messages of `coven-cluster` travel: conversion ([`encode_to_node`] and its like), frames ([`frame`]), the
//! hello with its versions ([`hello`]), certificates ([`tls`]), the node's [`Server`] and the front-end's [`Client`].
//! Knows nothing of what a message means: who owns a shard, what is sent again after a link was lost and what is dropped is
//! decided by node and front-end.
//!
//! Both directions keep order. Front to node is try-send: a full queue gives the message back. Node to front waits; a
//! front-end that takes nothing for [`Limits::stall`] is cut off. Reader and writer of a link are separate tasks, and the
//! reader never waits for the writer, so that two full queues cannot wait for each other. A link that has broken, for
//! whatever reason, is over: both sides are told, and a new one begins with nothing known.
//!
//! How the protocol may change is in `docs/links.md`.

mod accept;
mod client;
mod codec;
mod convert;
mod dial;
pub mod frame;
pub mod hello;
mod limits;
mod outbox;
mod pump;
mod server;
mod shared;
mod stats;
pub mod tls;

pub use client::{Client, Nodes, State, Target, link};
pub use convert::{decode_to_front, decode_to_node, encode_to_front, encode_to_node};
pub use dial::Dialer;
pub use hello::{Me, Peer, Role};
pub use limits::Limits;
pub use server::{Fronts, Server, ServerOptions, ToFrontEnd};
pub use stats::{Snapshot, Stats};
pub use tls::Security;

/// Why there is no link, or no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The address cannot be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Certificates do not fit, or cannot be read.
    #[error("no trust: {0}")]
    Untrusted(String),
    /// One side will not have the other.
    #[error("refused: {0}")]
    Refused(String),
    /// Another process answers at this address than the one that was meant.
    #[error("another process answers")]
    OtherProcess,
    /// The peer sent what is no message.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The peer sent a message above the bound.
    #[error("a message of more than {0} bytes")]
    TooLarge(usize),
    /// The peer said nothing for too long.
    #[error("silent")]
    Silent,
    /// The peer did not read for too long.
    #[error("does not read")]
    Stalled,
    /// This process was stopped for so long that what it has heard is old.
    #[error("this process was paused")]
    Paused,
    /// The same process has opened a newer link.
    #[error("replaced by a newer link")]
    Replaced,
    /// The stream ended.
    #[error("lost: {0}")]
    Lost(String),
    /// This side has closed it.
    #[error("closed")]
    Closed,
}
