//! Records as entries of the store, and back.

use crate::convert;
use coven_core::{Epoch, Event, Record, Sequence};
use coven_proto::{decode_event, encode_event_in};
use coven_store::{ArchiveMeta, Entry, Life};
use std::sync::Arc;

/// The journal entry of a record, in a format that is finalized.
pub(crate) fn encode(record: &Record, format: u32) -> Entry {
    let (kind, bytes) = encode_event_in(&record.event, format);
    Entry {
        sequence: convert::sequence(record.sequence),
        first_epoch: coven_store::Epoch(record.first_epoch.0),
        stamp: convert::stamp(record.stamp),
        kind: kind.0,
        life: life(&record.event),
        archive: archived(&record.event),
        record: bytes,
    }
}

/// The record of an entry.
pub(crate) fn decode(entry: &Entry) -> Result<Arc<Record>, coven_proto::Error> {
    Ok(Arc::new(Record {
        sequence: Sequence(entry.sequence.0),
        first_epoch: Epoch(entry.first_epoch.0),
        stamp: convert::timestamp(entry.stamp),
        event: decode_event(entry.record.clone())?,
    }))
}

const fn life(event: &Event) -> Life {
    match event {
        Event::Created { .. } => Life::Creates,
        Event::Destroyed { .. } => Life::Destroys,
        _ => Life::Within,
    }
}

fn archived(event: &Event) -> Option<ArchiveMeta> {
    match event {
        Event::Message(m) if m.archived => Some(ArchiveMeta {
            sender: Some(convert::sender(m.id)),
        }),
        _ => None,
    }
}
