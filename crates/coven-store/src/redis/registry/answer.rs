//! What Redis answers the registry, as values.

use std::time::Duration;

use redis::{RedisResult, Value};
use smol_str::SmolStr;

use super::super::keys::channel as channel_named;
use super::super::server::{marked, refusal};
use super::super::value::{fields, list, parse, session, text};
use crate::registry::{Lease, Requests, Seen, Sight, read_lease, read_member};
use crate::{ConnectionId, Error, LeaseNumber, ProcessId, ShardId, StoreId, Timestamp};

/// A poll's answer.
#[derive(Debug)]
pub(super) struct Polled {
    store: Option<(StoreId, u32)>,
    renewed: Option<bool>,
    parts: Vec<Value>,
}

impl Polled {
    /// Takes the answers apart. Errors: what the server refuses.
    pub(super) fn read(
        answers: Vec<Vec<RedisResult<Value>>>,
        with_renewal: bool,
    ) -> Result<Self, Error> {
        let all: RedisResult<Vec<Value>> = answers.into_iter().flatten().collect();
        let mut all = all.map_err(|error| refusal(&error))?.into_iter();
        let renewed = with_renewal.then(|| all.next() == Some(Value::Int(1)));
        let parts = all.next().map(list).unwrap_or_default();
        let store = all.next().and_then(|mark| marked(&text(&mark)));
        if parts.len() != 5 {
            return Err(Error::Io(
                "redis answers a poll with something else".to_owned(),
            ));
        }
        Ok(Self {
            store,
            renewed,
            parts,
        })
    }

    /// Which server answered.
    pub(super) fn server(&self) -> SmolStr {
        self.parts.get(1).map(text).unwrap_or_default().into()
    }

    /// What it means. Records that cannot be read are passed over: a later version may have written them.
    pub(super) fn sight(self, unbroken: Duration) -> Sight {
        let server = self.server();
        let part = |at| self.parts.get(at).map(fields).unwrap_or_default();
        let leases = part(3);
        let mut leases: Vec<Lease> = leases
            .chunks_exact(2)
            .filter_map(|pair| read_lease(pair.first()?, pair.get(1)?))
            .collect();
        leases.sort_by(|a, b| a.connection.cmp(&b.connection));
        Sight {
            store: self.store.map(|(id, _)| id),
            format: self.store.map_or(1, |(_, format)| format),
            server,
            unbroken,
            now: Timestamp(parse(self.parts.first().map(text).as_ref())),
            renewed: self.renewed,
            sessions: sessions(&part(2)),
            leases,
            requests: requests(&part(4)),
        }
    }
}

/// The answer to taking a lease; `None` where it makes no sense.
pub(super) fn taken(
    answer: &Value,
    connection: &ConnectionId,
) -> Option<Result<LeaseNumber, Box<Lease>>> {
    let answer = fields(answer);
    let second = answer.get(1)?;
    if answer.first()? == "1" {
        return Some(Ok(LeaseNumber(second.parse().ok()?)));
    }
    Some(Err(Box::new(read_lease(&connection.0, second)?)))
}

fn sessions(fields: &[String]) -> Vec<Seen> {
    let read = |each: &[String]| {
        Some(Seen {
            session: session(each.first()?)?,
            member: read_member(each.get(1)?)?,
            remaining: Duration::from_millis(parse(each.get(2))),
        })
    };
    let mut all: Vec<Seen> = fields.chunks_exact(3).filter_map(read).collect();
    all.sort_by_key(|seen| (seen.member.process, seen.session));
    all
}

fn requests(fields: &[String]) -> Requests {
    let process = |hex: &str| u128::from_str_radix(hex, 16).ok().map(ProcessId);
    let mut requests = Requests::default();
    for pair in fields.chunks_exact(2) {
        let [field, value] = pair else { continue };
        if let Some(drained) = field.strip_prefix("drain:").and_then(process) {
            requests.draining.insert(drained);
        }
        let channel = field.strip_prefix("quarantine:");
        if let Some(channel) = channel.and_then(|name| channel_named(name.as_bytes())) {
            requests.quarantined.insert(channel);
        }
        let shard = field.strip_prefix("move:").and_then(|it| it.parse().ok());
        let to = value.split(' ').next().and_then(process);
        if let (Some(shard), Some(to)) = (shard, to) {
            requests.moved.insert(ShardId(shard), to);
        }
    }
    requests
}
