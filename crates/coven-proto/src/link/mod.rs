//! What links carry of the core's types: each `x_to` has its `x_from`, total and strict, tested by round trips.
//!
//! Owns no message of its own: operations, outputs and what else goes between processes is put together in `coven-link`.
//! The format is `proto/coven/v1/link.proto`; commands are in [`command`], reads in [`query`], answers in [`answer`].

mod answer;
mod command;
mod query;
mod stanza;

pub use answer::{answer_from, answer_to};
pub use command::{command_from, command_to};
pub use query::{page_from, page_to, query_from, query_to};
pub use stanza::{
    origin_from, origin_to, probe_from, probe_to, refusal_from, refusal_to, relayed_from,
    relayed_to, sender_from, sender_to,
};

use crate::Error;
use crate::event::{channel_key, decode_event, encode_event, message_from, message_to};
use crate::snapshot::{parts_to, roster_from};
use crate::wire::link as wire;
use bytes::Bytes;
use coven_core::event::Message;
use coven_core::people::participation::Nodes;
use coven_core::{ArchiveId, Epoch, Nick, Record, Roster, Sequence, StableId, Timestamp};
use std::sync::Arc;

/// An event with its place.
#[must_use]
pub fn record_to(record: &Record) -> wire::Record {
    wire::Record {
        sequence: record.sequence.0,
        first_epoch: record.first_epoch.0,
        stamp: record.stamp.0,
        event: encode_event(&record.event).1,
    }
}

/// What [`record_to`] made.
pub fn record_from(record: wire::Record) -> Result<Arc<Record>, Error> {
    Ok(Arc::new(Record {
        sequence: Sequence(record.sequence),
        first_epoch: Epoch(record.first_epoch),
        stamp: Timestamp(record.stamp),
        event: decode_event(record.event)?,
    }))
}

/// Several, in order.
#[must_use]
pub fn records_to(records: &[Arc<Record>]) -> Vec<wire::Record> {
    records.iter().map(|record| record_to(record)).collect()
}

/// What [`records_to`] made.
pub fn records_from(records: Vec<wire::Record>) -> Result<Vec<Arc<Record>>, Error> {
    records.into_iter().map(record_from).collect()
}

/// A roster, and the key of its generated resources, which a snapshot does not hold.
#[must_use]
pub fn base_to(roster: &Roster) -> (crate::wire::Snapshot, Bytes) {
    let parts = roster.parts();
    let key = parts.resource_key.map(|key| key.0.to_vec());
    (parts_to(&parts), key.unwrap_or_default().into())
}

/// What [`base_to`] made.
pub fn base_from(
    roster: Option<crate::wire::Snapshot>,
    resource_key: &[u8],
) -> Result<Roster, Error> {
    let key = match resource_key {
        [] => None,
        key => Some(channel_key(key)?),
    };
    roster_from(roster.ok_or(Error::Missing("roster"))?, key)
}

/// A groupchat message that has no place of its own.
#[must_use]
pub fn passing_to(message: &Message) -> crate::wire::Message {
    message_to(message)
}

/// What [`passing_to`] made.
pub fn passing_from(message: crate::wire::Message) -> Result<Message, Error> {
    message_from(message)
}

fn nodes_from(nodes: u32) -> Result<Nodes, Error> {
    let nodes = u16::try_from(nodes).map_err(|_| Error::Invalid("nodes"))?;
    Ok(Nodes(nodes))
}

fn nick_to(nick: Option<&Nick>) -> Option<String> {
    nick.map(|nick| nick.as_str().into())
}

fn nick_from(nick: Option<String>) -> Option<Nick> {
    nick.as_deref().map(Nick::from_clean)
}

fn entry_id(id: &ArchiveId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn person_id(id: &StableId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn size(number: u64) -> Result<usize, Error> {
    usize::try_from(number).map_err(|_| Error::Invalid("number"))
}
