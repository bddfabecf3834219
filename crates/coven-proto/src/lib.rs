//! Journal records and snapshots as bytes: what `proto/` generates, and the conversions from and to the core's types.
//!
//! Owns the formats (design §2, I7): [`encode_event`] and [`decode_event`], [`encode_snapshot`] and [`decode_snapshot`];
//! which of them may be written is a number, see [`mod@format`].
//! Knows nothing of where the bytes are kept. What links between processes carry of the core's types
//! converts in [`link`]; the messages around it in `coven-link`.

mod event;
pub mod format;
pub mod link;
mod outcome;
mod people;
mod settings;
mod snapshot;

/// What `proto/coven/v1` generates.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/coven.v1.rs"));

    pub mod link {
        include!(concat!(env!("OUT_DIR"), "/coven.v1.link.rs"));
    }
}

pub use event::{Kind, decode_event, encode_event, encode_event_in};
pub use outcome::{Outcome, Reply, decode_outcome, encode_outcome};
pub use snapshot::{State, decode_snapshot, encode_snapshot};

/// Why bytes could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not protobuf of this kind.
    #[error("not a {what}: {source}")]
    Format {
        /// What was expected.
        what: &'static str,
        /// Where it broke.
        source: prost::DecodeError,
    },
    /// A part that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A part has a value that means nothing.
    #[error("{0} has no valid value")]
    Invalid(&'static str),
    /// An event of a kind that this version does not know, and may not pass over: a newer version has to go on (I7).
    #[error("an event of a newer version")]
    Newer,
}
