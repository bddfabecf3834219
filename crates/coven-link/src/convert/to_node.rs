//! What front-ends say to nodes.

use super::{
    MOST, channel_from, channel_to, few, id_from, id_to, process_from, process_to, relay_from,
    relay_to, trace_from, trace_to,
};
use bytes::Bytes;
use coven_cluster::link::DirectoryRequest;
use coven_cluster::{Acknowledged, Held, LeaseNumber, Operation, ProcessId, Request, ToNode};
use coven_core::{Epoch, Group, Sequence};
use coven_proto::Error;
use coven_proto::link::{
    command_from, command_to, origin_from, origin_to, page_from, page_to, query_from, query_to,
    sender_from, sender_to,
};
use coven_proto::wire::link as wire;
use coven_proto::wire::link::to_node::Body;
use prost::Message as _;
use std::sync::Arc;

/// The bytes of a message to a node.
#[must_use]
pub fn encode_to_node(message: &ToNode) -> Bytes {
    let body = match message {
        ToNode::Holds(held) => Body::Holds(wire::Holds {
            held: held.iter().map(held_to).collect(),
        }),
        ToNode::Operation(operation) => Body::Operation(operation_to(operation)),
        ToNode::Acknowledge(batch) => Body::Acknowledge(wire::Acknowledge {
            acknowledged: batch.iter().map(acknowledged_to).collect(),
        }),
        ToNode::Directory(request) => Body::Directory(wire::DirectoryRequest {
            space: request.space.as_str().into(),
            sender: Some(sender_to(&request.sender)),
            page: Some(page_to(&request.page)),
            origin: Some(origin_to(&request.origin)),
        }),
        ToNode::Sweep { group } => Body::Sweep(wire::Sweep {
            group: group.0.as_str().into(),
        }),
        ToNode::StreamLost {
            connection,
            channels,
        } => Body::StreamLost(wire::StreamLost {
            connection: connection.as_str().into(),
            channels: channels.iter().map(channel_to).collect(),
        }),
        ToNode::Relay { to, relay } => Body::Relay(wire::RelayTo {
            to: process_to(to.0),
            relay: Some(relay_to(relay)),
        }),
    };
    wire::ToNode { body: Some(body) }.encode_to_vec().into()
}

/// The message that [`encode_to_node`] made. `shards`: of this cluster.
pub fn decode_to_node(message: wire::ToNode, shards: u16) -> Result<ToNode, Error> {
    Ok(match message.body.ok_or(Error::Missing("message"))? {
        Body::Holds(holds) => {
            few(&holds.held, MOST)?;
            ToNode::Holds(holds.held.into_iter().map(held_from).collect())
        }
        Body::Operation(operation) => {
            ToNode::Operation(Box::new(operation_from(operation, shards)?))
        }
        Body::Acknowledge(batch) => {
            few(&batch.acknowledged, MOST)?;
            let all = batch.acknowledged.into_iter();
            let all = all.map(|one| acknowledged_from(one, shards));
            ToNode::Acknowledge(all.collect::<Result<_, _>>()?)
        }
        Body::Directory(request) => ToNode::Directory(Box::new(DirectoryRequest {
            space: request.space.into(),
            sender: sender_from(request.sender)?,
            page: page_from(request.page.ok_or(Error::Missing("page"))?),
            origin: Arc::new(origin_from(request.origin)?),
        })),
        Body::Sweep(sweep) => ToNode::Sweep {
            group: Group(sweep.group.into()),
        },
        Body::StreamLost(lost) => {
            few(&lost.channels, MOST)?;
            let channels = lost.channels.into_iter();
            let channels = channels.map(|channel| channel_from(Some(channel), shards));
            ToNode::StreamLost {
                connection: lost.connection.into(),
                channels: channels.collect::<Result<_, _>>()?,
            }
        }
        Body::Relay(to) => ToNode::Relay {
            to: ProcessId(process_from(&to.to)?),
            relay: relay_from(to.relay.ok_or(Error::Missing("relay"))?),
        },
    })
}

fn held_to(held: &Held) -> wire::Held {
    wire::Held {
        connection: held.connection.as_str().into(),
        lease: held.lease.0,
        space: held.space.as_str().into(),
    }
}

fn held_from(held: wire::Held) -> Held {
    Held {
        connection: held.connection.into(),
        lease: LeaseNumber(held.lease),
        space: held.space.into(),
    }
}

fn operation_to(operation: &Operation) -> wire::Operation {
    let request = match &operation.request {
        Request::Command(command) => wire::operation::Request::Command(command_to(command)),
        Request::Query(query) => wire::operation::Request::Query(query_to(query)),
    };
    wire::Operation {
        channel: Some(channel_to(&operation.channel)),
        sender: Some(sender_to(&operation.sender)),
        request: Some(request),
        origin: Some(origin_to(&operation.origin)),
        id: operation.id.as_ref().map(id_to),
        trace: trace_to(operation.trace),
    }
}

fn operation_from(operation: wire::Operation, shards: u16) -> Result<Operation, Error> {
    let request = match operation.request.ok_or(Error::Missing("request"))? {
        wire::operation::Request::Command(command) => Request::Command(command_from(command)?),
        wire::operation::Request::Query(query) => Request::Query(query_from(query)?),
    };
    Ok(Operation {
        channel: channel_from(operation.channel, shards)?,
        sender: sender_from(operation.sender)?,
        request,
        origin: Arc::new(origin_from(operation.origin)?),
        id: operation.id.map(id_from).transpose()?,
        trace: trace_from(operation.trace)?,
    })
}

fn acknowledged_to(one: &Acknowledged) -> wire::Acknowledged {
    wire::Acknowledged {
        channel: Some(channel_to(&one.channel)),
        connection: one.connection.as_str().into(),
        lease: one.lease.0,
        epoch: one.epoch.0,
        sequence: one.sequence.0,
        least: one.least.0,
        commit: one.commit,
        all: one.all,
    }
}

fn acknowledged_from(one: wire::Acknowledged, shards: u16) -> Result<Acknowledged, Error> {
    Ok(Acknowledged {
        channel: channel_from(one.channel, shards)?,
        connection: one.connection.into(),
        lease: LeaseNumber(one.lease),
        epoch: Epoch(one.epoch),
        sequence: Sequence(one.sequence),
        least: Sequence(one.least),
        commit: one.commit,
        all: one.all,
    })
}
