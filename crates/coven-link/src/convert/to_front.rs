//! What nodes say to front-ends.

use super::{
    channel_from, channel_to, few, id_from, id_to, process_from, process_to, relay_from, relay_to,
    trace_from, trace_to,
};
use bytes::Bytes;
use coven_cluster::{Channel, Delivery, OperationId, Output, ProcessId, ShardId, ToFront};
use coven_core::{Epoch, PersonNo, Sequence, SessionNo};
use coven_proto::Error;
use coven_proto::link::{
    answer_from, answer_to, base_from, base_to, origin_from, origin_to, passing_from, passing_to,
    probe_from, probe_to, record_from, record_to, records_from, records_to, refusal_from,
    refusal_to, relayed_from, relayed_to,
};
use coven_proto::wire::link as wire;
use coven_proto::wire::link::delivery::Body as Thing;
use coven_proto::wire::link::to_front::Body;
use prost::Message as _;
use smol_str::SmolStr;
use std::sync::Arc;

/// The bytes of a message to a front-end.
#[must_use]
pub fn encode_to_front(message: &ToFront) -> Bytes {
    let body = match message {
        ToFront::Output(output) => Body::Output(output_to(output)),
        ToFront::Owned(shards) => Body::Owned(owned_to(shards)),
        ToFront::Released(shards) => Body::Released(owned_to(shards)),
        ToFront::NotOwner { channel, id, epoch } => Body::NotOwner(wire::NotOwner {
            channel: Some(channel_to(channel)),
            id: Some(id_to(id)),
            epoch: epoch.0,
        }),
        ToFront::Missing { channel, after } => Body::Missing(operation_of(channel, *after)),
        ToFront::Committed { channel, n } => Body::Committed(operation_of(channel, *n)),
        ToFront::Done { channel, n } => Body::Done(operation_of(channel, *n)),
        ToFront::NotTaken {
            channel,
            id,
            refusal,
        } => Body::NotTaken(wire::NotTaken {
            channel: Some(channel_to(channel)),
            id: Some(id_to(id)),
            refusal: Some(refusal_to(refusal)),
        }),
        ToFront::Relay(relay) => Body::Relay(relay_to(relay)),
    };
    wire::ToFront { body: Some(body) }.encode_to_vec().into()
}

/// The message that [`encode_to_front`] made. `shards`: of this cluster.
pub fn decode_to_front(message: wire::ToFront, shards: u16) -> Result<ToFront, Error> {
    Ok(match message.body.ok_or(Error::Missing("message"))? {
        Body::Output(output) => output_from(output, shards)?.into(),
        Body::Owned(owned) => ToFront::Owned(owned_from(owned, shards)?),
        Body::Released(released) => ToFront::Released(owned_from(released, shards)?),
        Body::NotOwner(not) => ToFront::NotOwner {
            channel: channel_from(not.channel, shards)?,
            id: named(not.id)?,
            epoch: Epoch(not.epoch),
        },
        Body::Missing(of) => ToFront::Missing {
            channel: channel_from(of.channel, shards)?,
            after: of.n,
        },
        Body::Committed(of) => ToFront::Committed {
            channel: channel_from(of.channel, shards)?,
            n: of.n,
        },
        Body::Done(of) => ToFront::Done {
            channel: channel_from(of.channel, shards)?,
            n: of.n,
        },
        Body::NotTaken(not) => ToFront::NotTaken {
            channel: channel_from(not.channel, shards)?,
            id: named(not.id)?,
            refusal: Box::new(refusal_from(not.refusal)?),
        },
        Body::Relay(relay) => ToFront::Relay(relay_from(relay)),
    })
}

fn named(id: Option<wire::OperationId>) -> Result<OperationId, Error> {
    id_from(id.ok_or(Error::Missing("operation"))?)
}

fn operation_of(channel: &Channel, n: u64) -> wire::OperationOf {
    wire::OperationOf {
        channel: Some(channel_to(channel)),
        n,
    }
}

fn owned_to(shards: &[(ShardId, Epoch)]) -> wire::Owned {
    let shards = shards.iter().map(|(shard, epoch)| wire::Shard {
        shard: shard.0.into(),
        epoch: epoch.0,
    });
    wire::Owned {
        shards: shards.collect(),
    }
}

fn owned_from(owned: wire::Owned, shards: u16) -> Result<Vec<(ShardId, Epoch)>, Error> {
    let shard = |s: wire::Shard| match u16::try_from(s.shard) {
        Ok(shard) if shard < shards => Ok((ShardId(shard), Epoch(s.epoch))),
        _ => Err(Error::Invalid("shard")),
    };
    few(&owned.shards, usize::from(shards))?;
    owned.shards.into_iter().map(shard).collect()
}

fn output_to(output: &Output) -> wire::Output {
    wire::Output {
        channel: output.channel.as_ref().map(channel_to),
        epoch: output.epoch.0,
        commit: output.commit,
        deliveries: output.deliveries.iter().map(delivery_to).collect(),
        trace: trace_to(output.trace),
    }
}

fn output_from(output: wire::Output, shards: u16) -> Result<Output, Error> {
    let channel = output.channel.map(|name| channel_from(Some(name), shards));
    let deliveries: Result<_, Error> = output.deliveries.into_iter().map(delivery_from).collect();
    Ok(Output {
        channel: channel.transpose()?,
        epoch: Epoch(output.epoch),
        commit: output.commit,
        deliveries: deliveries?,
        trace: trace_from(output.trace)?,
    })
}

fn delivery_to(delivery: &Delivery) -> wire::Delivery {
    let body = match delivery {
        Delivery::Base {
            roster,
            acknowledged,
        } => {
            let (roster, resource_key) = base_to(roster);
            Thing::Base(wire::Base {
                roster: Some(roster),
                resource_key,
                acknowledged: acknowledged.iter().map(taken_to).collect(),
            })
        }
        Delivery::Event { record, history } => Thing::Event(wire::Happened {
            record: Some(record_to(record)),
            history: records_to(history),
        }),
        Delivery::Sync {
            session,
            history,
            altered,
            stanza_id,
            max_chars,
        } => Thing::Sync(wire::Sync {
            session: session.0,
            history: records_to(history),
            altered: *altered,
            stanza_id: stanza_id.as_ref().map(ToString::to_string),
            max_chars: *max_chars,
        }),
        Delivery::PresenceDump { to } => Thing::PresenceDump(wire::PresenceDump { to: to.0 }),
        Delivery::Passing(message) => Thing::Passing(passing_to(message)),
        Delivery::Relay(relayed) => Thing::Relay(relayed_to(relayed)),
        Delivery::Answer {
            origin,
            answer,
            operation,
        } => Thing::Answer(wire::Answered {
            origin: Some(origin_to(origin)),
            answer: Some(answer_to(answer)),
            operation: operation.map(name_to),
        }),
        Delivery::Refused {
            origin,
            refusal,
            operation,
        } => Thing::Refused(wire::Refused {
            origin: Some(origin_to(origin)),
            refusal: Some(refusal_to(refusal)),
            operation: operation.map(name_to),
        }),
        Delivery::NotJoined { origin, operation } => Thing::NotJoined(wire::NotJoined {
            origin: Some(origin_to(origin)),
            operation: operation.map(name_to),
        }),
        Delivery::Probe(probe) => Thing::Probe(probe_to(probe)),
        Delivery::Forget => Thing::Forget(wire::Forget {}),
    };
    wire::Delivery { body: Some(body) }
}

fn delivery_from(delivery: wire::Delivery) -> Result<Delivery, Error> {
    Ok(match delivery.body.ok_or(Error::Missing("delivery"))? {
        Thing::Base(base) => Delivery::Base {
            roster: Box::new(base_from(base.roster, &base.resource_key)?),
            acknowledged: base.acknowledged.into_iter().map(taken_from).collect(),
        },
        Thing::Event(happened) => Delivery::Event {
            record: record_from(happened.record.ok_or(Error::Missing("record"))?)?,
            history: records_from(happened.history)?,
        },
        Thing::Sync(sync) => Delivery::Sync {
            session: SessionNo(sync.session),
            history: records_from(sync.history)?,
            altered: sync.altered,
            stanza_id: sync.stanza_id.map(SmolStr::from),
            max_chars: sync.max_chars,
        },
        Thing::PresenceDump(dump) => Delivery::PresenceDump {
            to: PersonNo(dump.to),
        },
        Thing::Passing(message) => Delivery::Passing(Arc::new(passing_from(message)?)),
        Thing::Relay(relayed) => Delivery::Relay(relayed_from(relayed)),
        Thing::Answer(answered) => Delivery::Answer {
            origin: Arc::new(origin_from(answered.origin)?),
            answer: Box::new(answer_from(answered.answer)?),
            operation: answered.operation.map(name_from).transpose()?,
        },
        Thing::Refused(refused) => Delivery::Refused {
            origin: Arc::new(origin_from(refused.origin)?),
            refusal: Box::new(refusal_from(refused.refusal)?),
            operation: refused.operation.map(name_from).transpose()?,
        },
        Thing::NotJoined(not) => Delivery::NotJoined {
            origin: Arc::new(origin_from(not.origin)?),
            operation: not.operation.map(name_from).transpose()?,
        },
        Thing::Probe(probe) => Delivery::Probe(probe_from(probe)?),
        Thing::Forget(_) => Delivery::Forget,
    })
}

fn taken_to((connection, sequence): &(SmolStr, Sequence)) -> wire::Taken {
    wire::Taken {
        connection: connection.as_str().into(),
        sequence: sequence.0,
    }
}

fn taken_from(taken: wire::Taken) -> (SmolStr, Sequence) {
    (taken.connection.into(), Sequence(taken.sequence))
}

fn name_to((process, n): (ProcessId, u64)) -> wire::OperationName {
    wire::OperationName {
        process: process_to(process.0),
        n,
    }
}

fn name_from(name: wire::OperationName) -> Result<(ProcessId, u64), Error> {
    Ok((ProcessId(process_from(&name.process)?), name.n))
}
