//! The way in: from a stanza that was read to an operation for the node, or an answer given here.
//!
//! Owns what is decided before any channel is asked: rates, bounds, graces. Nothing here waits: where there is no room the
//! sender is told so, at once (I9); errors are never answered (MUC-ERR-04).
//!
//! Read next: `desk.rs` for one stanza, `admit.rs` and `rates.rs` for what people may send, `grace.rs` for ghosts,
//! `order.rs` for servers that lose it.

mod admit;
mod channel;
mod deferred;
mod desk;
mod grace;
mod order;
mod rates;
mod recent;
mod sweeps;
mod tend;
mod visits;

pub(crate) use desk::Intake;
pub(crate) use order::Order;
pub(crate) use rates::Limiter;
pub use rates::{Rate, Rates};
pub(crate) use recent::{Recent, Rosters};
pub(crate) use sweeps::Sweeps;
pub(crate) use visits::Visits;
