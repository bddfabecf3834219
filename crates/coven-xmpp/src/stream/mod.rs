//! Bytes to stanzas and back: framing, the XEP-0114 handshake, limits, output.
//!
//! Owns the form of a component stream. It does not own the socket, the time or reconnecting (the shell does), nor
//! what a stanza means.
//!
//! Read next: `component.rs` for the whole of it, `framer.rs` for the way in, `writer.rs` for the way out.

mod component;
mod framer;
mod header;
mod limits;
mod writer;

pub use component::{Broken, Component, Event, RawStanza};
pub use framer::{Frame, FrameError, Framer};
pub use header::{StreamCondition, StreamError};
pub use limits::{Excess, Limits};
pub use writer::{CHUNK_BYTES, Chunk, Refused, Writer};
