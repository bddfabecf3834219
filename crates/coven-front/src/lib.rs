//! Upstream streams, routing, rosters, fan-out.
//!
//! A front-end attaches domains to XMPP servers (XEP-0114), translates stanzas into operations for a node, keeps the
//! rosters of channels that are active, renders what the node decided and writes it. It keeps nothing that cannot be
//! rebuilt. It does not know rules (`coven-core`) nor what stanzas look like (`coven-xmpp`).
//!
//! Read next: `service.rs` for the whole, `intake` for the way in, `fanout` for the way out, `connection` for streams.

mod clock;
mod connection;
mod error;
mod fail;
mod fanout;
mod front;
mod handle;
mod intake;
mod metrics;
mod options;
mod routes;
mod service;
mod status;
mod trace;

pub use connection::{Dial, Dialing, Outward, Socket, Tcp};
pub use coven_xmpp::render::Quirks;
pub use error::Error;
pub use handle::Handle;
pub use intake::{Rate, Rates};
pub use metrics::{ConnectionSnapshot, Snapshot};
pub use options::{Barrier, Options, Secrets, Upstream};
pub use service::Service;
pub use status::{ConnectionStatus, Down, Status, UpstreamState};
