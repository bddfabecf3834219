//! XEP-0114 streams, stanzas to commands, events to stanzas; sans-io.
//!
//! What every stanza shares lives in [`stream`] (bytes to stanzas and back, the XEP-0114 handshake, limits) and
//! [`stanza`] (envelope, payload, errors, what only the service may say). The two views of a channel, and what
//! decides between them, build on these. Nothing here opens a socket, reads a clock or draws a random number.
//!
//! Read next: `stream/framer.rs` for the way in, `stanza/payload.rs` for what a stanza is made of,
//! `stanza/template.rs` and `stream/writer.rs` for the way out.

pub mod ns;
pub mod stanza;
pub mod stream;
