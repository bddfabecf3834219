//! Upstream streams, routing, rosters, fan-out.
//!
//! A front-end attaches domains to XMPP servers (XEP-0114), translates stanzas into operations for a node, keeps the
//! rosters of channels that are active, renders what the node decided and writes it. It keeps nothing that cannot be
//! rebuilt. It does not know rules (`coven-core`) nor what stanzas look like (`coven-xmpp`).
//!
//! Read next: `service.rs`.

#![allow(dead_code, reason = "parts land one by one")]

mod error;
mod handle;
mod intake;
mod metrics;
mod options;
mod service;
mod status;

pub use coven_xmpp::render::Quirks;
pub use error::Error;
pub use handle::Handle;
pub use intake::{Rate, Rates};
pub use metrics::Snapshot;
pub use options::{Barrier, Options, Secrets, Upstream};
pub use service::Service;
pub use status::{ConnectionStatus, Down, Status, UpstreamState};
