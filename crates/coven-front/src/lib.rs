//! Upstream streams, routing, rosters, fan-out.
//!
//! A front-end attaches domains to XMPP servers (XEP-0114), translates stanzas into operations for a node, keeps the
//! rosters of channels that are active, renders what the node decided and writes it. It keeps nothing that cannot be
//! rebuilt. It does not know rules (`coven-core`) nor what stanzas look like (`coven-xmpp`).
//!
//! In a cluster it is one of several: it holds connections only by lease (`connection/tenure.rs`), talks to several nodes
//! (`nodes.rs`), and writes their output only while its session lives ([`Service::clustered`]).
//!
//! Read next: `service.rs` for the whole, `intake` for the way in, `fanout` for the way out, `connection` for streams.

mod clock;
mod connection;
mod epochs;
mod error;
mod fail;
mod fanout;
mod front;
mod handle;
mod intake;
mod metrics;
mod nodes;
mod options;
mod own;
mod seat;
mod service;
mod status;
mod trace;

pub use connection::{Dial, Dialing, Outward, Resolving, Socket, Tcp};
pub use coven_xmpp::render::Quirks;
pub use error::Error;
pub use handle::Handle;
pub use intake::{Rate, Rates};
pub use metrics::{ConnectionSnapshot, Snapshot};
pub use options::{Barrier, Options, Secrets, Slots, Upstream};
pub use seat::NodeSeat;
pub use service::Service;
pub use status::{
    ConnectionEvent, ConnectionInfo, ConnectionStatus, Down, Happened, Status, UpstreamState,
};
