//! Reading, rewriting, stripping and answering of single stanzas.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod addresses;
mod bounds;
mod errors;
mod oracle;
mod payload;
mod read;
mod strip;

use bytes::Bytes;
use coven_xmpp::stanza::{Payload, Reason, Rejected, Scope, Stanza};
use coven_xmpp::stream::Limits;

/// Reads a stanza as it comes from a component stream.
fn read(xml: &str) -> Result<Stanza, Rejected> {
    Stanza::read(
        &Bytes::copy_from_slice(xml.as_bytes()),
        &Scope::default(),
        &Limits::default(),
    )
}

fn reason(xml: &str) -> Reason {
    read(xml).expect_err(xml).reason
}

/// A message with these children.
fn message(children: &str) -> Stanza {
    let xml = format!(
        "<message from='u@h/r' to='r@chat.example' type='groupchat' id='1'>{children}</message>"
    );
    read(&xml).unwrap_or_else(|rejected| panic!("{xml}: {rejected:?}"))
}

/// The payload of a message as text.
fn rewritten(children: &str) -> String {
    text(&message(children).payload)
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.bytes().to_vec()).unwrap()
}
