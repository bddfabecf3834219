//! XEP-0114 streams, stanzas to commands, events to stanzas; sans-io.
//!
//! What every stanza shares lives in [`stream`] (bytes to stanzas and back, the XEP-0114 handshake, limits) and
//! [`stanza`] (envelope, payload, errors, what only the service may say). The two views of a channel are `muc` and
//! `mix`, with what serves both in `both`; [`dispatch`] decides which one an incoming stanza belongs to, [`render`]
//! turns events into stanzas for recipients, [`domains`] knows our addresses. Nothing here opens a socket, reads a
//! clock or draws a random number.
//!
//! Read next: `dispatch.rs` for the way in, `render.rs` for the way out; below them `stream/framer.rs`,
//! `stanza/payload.rs` for what a stanza is made of, `stanza/template.rs` and `stream/writer.rs`.

mod both;
pub mod dispatch;
pub mod domains;
mod incoming;
mod mix;
mod muc;
pub mod ns;
pub mod render;
pub mod stanza;
pub mod stream;
