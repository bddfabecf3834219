//! Messages of a link as bytes: total and strict, tested by round trips over every variant.
//!
//! Owns what `coven-cluster` defines; what these carry of the core's types converts in [`coven_proto::link`].

mod to_front;
mod to_node;

pub use to_front::{decode_to_front, encode_to_front};
pub use to_node::{decode_to_node, encode_to_node};

use bytes::Bytes;
use coven_cluster::link::Relay;
use coven_cluster::{Channel, OperationId, TraceContext};
use coven_core::ChannelName;
use coven_proto::Error;
use coven_proto::wire::link as wire;

/// Connections, acknowledgements or channels in one message: small ones decode to much more than their bytes.
const MOST: usize = 4096;

/// Errors: there are more than `most`.
const fn few<T>(all: &[T], most: usize) -> Result<(), Error> {
    if all.len() > most {
        return Err(Error::Invalid("number of entries: too many"));
    }
    Ok(())
}

fn channel_to(channel: &Channel) -> wire::ChannelName {
    wire::ChannelName {
        space: channel.name().space.as_str().into(),
        local: channel.name().local.as_str().into(),
    }
}

fn channel_from(name: Option<wire::ChannelName>, shards: u16) -> Result<Channel, Error> {
    let name = name.ok_or(Error::Missing("channel"))?;
    let name = ChannelName {
        space: name.space.into(),
        local: name.local.into(),
    };
    Ok(Channel::new(name, shards))
}

fn id_to(id: &OperationId) -> wire::OperationId {
    wire::OperationId {
        process: process_to(id.process),
        n: id.n,
        prev: id.prev,
        base: id.base,
    }
}

fn id_from(id: wire::OperationId) -> Result<OperationId, Error> {
    Ok(OperationId {
        process: process_from(&id.process)?,
        n: id.n,
        prev: id.prev,
        base: id.base,
    })
}

pub(crate) fn process_to(process: u128) -> Bytes {
    Bytes::copy_from_slice(&process.to_be_bytes())
}

pub(crate) fn process_from(bytes: &[u8]) -> Result<u128, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::Invalid("process"))?;
    Ok(u128::from_be_bytes(bytes))
}

fn trace_to(trace: Option<TraceContext>) -> Option<Bytes> {
    trace.map(|trace| Bytes::copy_from_slice(&trace.to_bytes()))
}

fn trace_from(trace: Option<Bytes>) -> Result<Option<TraceContext>, Error> {
    let context = |bytes: Bytes| TraceContext::from_bytes(&bytes).ok_or(Error::Invalid("trace"));
    trace.map(context).transpose()
}

fn relay_to(relay: &Relay) -> wire::BarrierAnswer {
    wire::BarrierAnswer {
        id: relay.id.as_str().into(),
        from: relay.from.as_str().into(),
    }
}

fn relay_from(relay: wire::BarrierAnswer) -> Relay {
    Relay {
        id: relay.id.into(),
        from: relay.from.into(),
    }
}
