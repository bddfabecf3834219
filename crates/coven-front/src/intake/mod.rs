//! The way in: from a stanza that was read to an operation for the node, or an answer given here.
//!
//! Read next: `rates.rs` for what people may send.

mod rates;

pub use rates::{Rate, Rates};
