//! What plans are shown, put together by hand.

use std::time::Duration;

use coven_cluster::{LeaseNumber, Moment, ProcessId};
use coven_store::registry::{Lease, Member, Role, Seen, Sight, Way};
use coven_store::{ConnectionId, SessionId, ShardId, StoreId, Timestamp};

/// A session's time to live.
pub(crate) const TTL: Duration = Duration::from_secs(6);

/// So many seconds after the beginning, which is late enough for everything to be calm.
pub(crate) fn at(seconds: f64) -> Moment {
    Moment(Duration::from_secs(1000) + Duration::from_secs_f64(seconds))
}

/// Nobody is there, and it has long been so.
pub(crate) fn nobody() -> Sight {
    Sight {
        store: Some(StoreId(1)),
        format: 1,
        server: "one".into(),
        unbroken: Duration::from_secs(1000),
        now: Timestamp(1_000_000),
        renewed: None,
        sessions: Vec::new(),
        leases: Vec::new(),
        requests: Default::default(),
    }
}

/// Nodes of these numbers, with the shards that each owns; the session of a process has its number.
pub(crate) fn nodes(nodes: &[(u128, &[u16])]) -> Sight {
    let mut sight = nobody();
    for (number, owned) in nodes {
        let mut node = seen(*number, Role::Node);
        node.member.owned = owned.iter().copied().map(ShardId).collect();
        sight.sessions.push(node);
    }
    sight
}

/// Front-ends of these numbers.
pub(crate) fn fronts(fronts: &[u128]) -> Sight {
    let mut sight = nobody();
    let seen = |number: &u128| seen(*number, Role::Front);
    sight.sessions = fronts.iter().map(seen).collect();
    sight
}

/// A process, with the session of its number.
pub(crate) fn seen(number: u128, role: Role) -> Seen {
    Seen {
        session: SessionId(number),
        member: Member {
            process: ProcessId(number),
            role,
            address: "127.0.0.1:7400".into(),
            weight: 1,
            draining: false,
            version: "test".into(),
            formats: 1,
            owned: Default::default(),
        },
        remaining: Duration::from_secs(5),
    }
}

/// The record of a connection.
pub(crate) fn lease(name: &str, holder: Option<u128>, number: u64) -> Lease {
    Lease {
        connection: ConnectionId(name.into()),
        way: way(),
        holder: holder.map(SessionId),
        number: LeaseNumber(number),
        asked_by: None,
    }
}

/// Where all connections lead.
pub(crate) fn way() -> Way {
    Way {
        group: "main".into(),
        space: "chat.example".into(),
        server_node: "127.0.0.1".into(),
    }
}
