//! Formats of what is kept, as one number (I7).
//!
//! The number is raised by one with every new kind of event, and with every new field of an event or a snapshot, that an
//! older process may not pass over. A process reads all formats up to [`newest`], and writes the one that is finalized in
//! its store. Who may raise that, and when, is told in `docs/cluster.md`.
//!
//! With the cargo feature `fail-points` and `COVEN_FORMAT=2` in the environment a process knows one format more, so that
//! tests can upgrade: in it the record of an updated presence stands in a field that no other build knows.

use bytes::Bytes;
use coven_core::Event;

/// The first: what it holds is in `proto/coven/v1/journal.proto`.
pub const FIRST: u32 = 1;

/// The newest format that this build reads, and can write.
#[must_use]
pub fn newest() -> u32 {
    trial::newest().unwrap_or(FIRST)
}

/// The record of an event in the format that is written, from its record in the newest.
pub(crate) fn written(event: &Event, record: Bytes, format: u32) -> Bytes {
    trial::written(event, &record, format).unwrap_or(record)
}

/// The record of an event in the newest format, from one in any that this build reads.
pub(crate) fn read(record: Bytes) -> Bytes {
    trial::read(&record).unwrap_or(record)
}

#[cfg(not(feature = "fail-points"))]
mod trial {
    use super::{Bytes, Event};

    pub(super) const fn newest() -> Option<u32> {
        None
    }

    pub(super) const fn written(_: &Event, _: &Bytes, _: u32) -> Option<Bytes> {
        None
    }

    pub(super) const fn read(_: &Bytes) -> Option<Bytes> {
        None
    }
}

#[cfg(feature = "fail-points")]
mod trial {
    use super::{Bytes, Event};

    /// Field 1000 with a length before it.
    const FIELD: [u8; 2] = [0xc2, 0x3e];

    pub(super) fn newest() -> Option<u32> {
        std::env::var("COVEN_FORMAT").ok()?.parse().ok()
    }

    pub(super) fn written(event: &Event, record: &Bytes, format: u32) -> Option<Bytes> {
        let is_new = format > super::FIRST && matches!(event, Event::Updated { .. });
        is_new.then(|| {
            let mut bytes = FIELD.to_vec();
            // Cannot fail: a vector grows.
            let _ = prost::encode_length_delimiter(record.len(), &mut bytes);
            bytes.extend_from_slice(record);
            bytes.into()
        })
    }

    pub(super) fn read(record: &Bytes) -> Option<Bytes> {
        let mut rest = record.strip_prefix(&FIELD)?;
        newest()?;
        prost::decode_length_delimiter(&mut rest).ok()?;
        Some(Bytes::copy_from_slice(rest))
    }
}
