//! Generated values of everything that a link carries. From a seed come all variants once, with other contents each time.

mod core;
mod names;
mod random;

pub(crate) use names::{
    NAMES, name_of_answer, name_of_delivery, name_of_event, name_of_request, name_of_to_front,
    name_of_to_node,
};

use coven_cluster::link::{DirectoryRequest, Relay};
use coven_cluster::{
    Acknowledged, Channel, Delivery, Held, LeaseNumber, Operation, OperationId, Output, ProcessId,
    Request, ShardId, ToFront, ToNode, TraceContext,
};
use coven_core::presence::ghost::Probe;
use coven_core::roster::Parts;
use coven_core::{ChannelName, Epoch, Group, PersonNo, ProbeMark, Sequence, SessionNo};
use random::Random;
use std::sync::Arc;

/// Rosters inside of a message.
pub(crate) trait Rosters {
    /// Their parts.
    fn rosters(&self) -> Vec<Parts>;
}

impl Rosters for ToNode {
    fn rosters(&self) -> Vec<Parts> {
        Vec::new()
    }
}

impl Rosters for ToFront {
    fn rosters(&self) -> Vec<Parts> {
        let Self::Output(output) = self else {
            return Vec::new();
        };
        let of = |delivery: &Delivery| match delivery {
            Delivery::Base { roster, .. } => Some(roster.parts()),
            _ => None,
        };
        output.deliveries.iter().filter_map(of).collect()
    }
}

/// Every variant of what a front-end says.
pub(crate) fn to_node(seed: u64) -> Vec<ToNode> {
    let r = &mut Random(seed);
    let mut all = vec![
        ToNode::Holds(r.some(|r| Held {
            connection: r.text(),
            lease: LeaseNumber(r.next()),
            space: r.text(),
        })),
        ToNode::Acknowledge(r.some(acknowledged)),
        ToNode::Directory(Box::new(DirectoryRequest {
            space: r.text(),
            sender: core::sender(r),
            page: core::page(r),
            origin: Arc::new(core::origin(r)),
        })),
        ToNode::Sweep {
            group: Group(r.text()),
        },
        ToNode::StreamLost {
            connection: r.text(),
            channels: r.some(channel),
        },
        ToNode::Relay {
            to: process(r),
            relay: relay(r),
        },
    ];
    let commands = core::commands(r).into_iter().map(Request::Command);
    let queries = core::queries(r).into_iter().map(Request::Query);
    let requests: Vec<_> = commands.chain(queries).collect();
    for request in requests {
        all.push(ToNode::Operation(Box::new(operation(r, request))));
    }
    all
}

/// Every variant of what a node says.
pub(crate) fn to_front(seed: u64) -> Vec<ToFront> {
    let r = &mut Random(seed);
    let mut all = vec![
        ToFront::Owned(r.some(shard)),
        ToFront::Released(r.some(shard)),
        ToFront::NotOwner {
            channel: channel(r),
            id: id(r),
            epoch: Epoch(r.next()),
        },
        ToFront::Missing {
            channel: channel(r),
            after: r.next(),
        },
        ToFront::Committed {
            channel: channel(r),
            n: r.next(),
        },
        ToFront::Done {
            channel: channel(r),
            n: r.next(),
        },
        ToFront::NotTaken {
            channel: channel(r),
            id: id(r),
            refusal: Box::new(core::refusal(r)),
        },
        ToFront::Relay(relay(r)),
    ];
    for delivery in deliveries(r) {
        all.push(output(r, vec![delivery]));
    }
    let many = deliveries(r)
        .into_iter()
        .filter(|d| !matches!(d, Delivery::Base { .. }));
    let many = many.collect();
    all.push(output(r, many));
    all
}

fn output(r: &mut Random, deliveries: Vec<Delivery>) -> ToFront {
    Output {
        channel: r.maybe(channel),
        epoch: Epoch(r.next()),
        commit: r.next(),
        deliveries,
        trace: r.maybe(trace),
    }
    .into()
}

fn deliveries(r: &mut Random) -> Vec<Delivery> {
    let mut all = vec![
        Delivery::Base {
            roster: Box::new(core::roster(r)),
            acknowledged: r.some(|r| (r.text(), Sequence(r.next()))),
        },
        Delivery::Sync {
            session: SessionNo(r.small()),
            history: r.some(core::record),
            altered: r.flip(),
            stanza_id: r.maybe(Random::text),
            max_chars: r.maybe(Random::next),
        },
        Delivery::PresenceDump {
            to: PersonNo(r.small()),
        },
        Delivery::Passing(Arc::new(core::message(r))),
        Delivery::Relay(core::relayed(r)),
        Delivery::Refused {
            origin: Arc::new(core::origin(r)),
            refusal: Box::new(core::refusal(r)),
            operation: r.maybe(|r| (process(r), r.next())),
        },
        Delivery::NotJoined {
            origin: Arc::new(core::origin(r)),
            operation: r.maybe(|r| (process(r), r.next())),
        },
        Delivery::Probe(Probe {
            session: core::session(r),
            mark: ProbeMark(r.bytes()),
        }),
        Delivery::Forget,
    ];
    for record in core::records(r) {
        all.push(Delivery::Event {
            record,
            history: r.some(core::record),
        });
    }
    for answer in core::answers(r) {
        all.push(Delivery::Answer {
            origin: Arc::new(core::origin(r)),
            answer: Box::new(answer),
            operation: r.maybe(|r| (process(r), r.next())),
        });
    }
    all
}

fn operation(r: &mut Random, request: Request) -> Operation {
    Operation {
        channel: channel(r),
        sender: core::sender(r),
        request,
        origin: Arc::new(core::origin(r)),
        id: r.maybe(id),
        trace: r.maybe(trace),
    }
}

fn acknowledged(r: &mut Random) -> Acknowledged {
    Acknowledged {
        channel: channel(r),
        connection: r.text(),
        lease: LeaseNumber(r.next()),
        epoch: Epoch(r.next()),
        sequence: Sequence(r.next()),
        least: Sequence(r.next()),
        commit: r.next(),
        all: r.flip(),
    }
}

fn relay(r: &mut Random) -> Relay {
    Relay {
        id: r.text(),
        from: r.text(),
    }
}

fn channel(r: &mut Random) -> Channel {
    let name = ChannelName {
        space: r.text(),
        local: r.text(),
    };
    Channel::new(name, 1024)
}

fn id(r: &mut Random) -> OperationId {
    OperationId {
        process: process(r).0,
        n: r.next(),
        prev: r.next(),
        base: r.next(),
    }
}

fn process(r: &mut Random) -> ProcessId {
    ProcessId(u128::from_be_bytes(r.bytes()))
}

fn shard(r: &mut Random) -> (ShardId, Epoch) {
    (ShardId((r.next() % 1024) as u16), Epoch(r.next()))
}

fn trace(r: &mut Random) -> TraceContext {
    TraceContext {
        trace_id: r.bytes::<16>().map(|b| b | 1),
        span_id: r.bytes::<8>().map(|b| b | 1),
        flags: r.next() as u8,
    }
}
