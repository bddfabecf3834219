//! What may be asked: requests in numbers, which are read against what is stored at that moment.

use coven_store::{TimerChange, Timestamp};
use proptest::prelude::*;

pub(crate) const SPACE: &str = "chat.example";
pub(crate) const SHARDS: u16 = 2;
pub(crate) const LOCALS: usize = 4;

/// One request, in numbers that are read against what is stored at that moment.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Commit {
        shard: u16,
        parts: Vec<Part>,
        receipts: Vec<Receipt>,
        offset: i8,
        wait: bool,
    },
    Acknowledge {
        shard: u16,
        receipts: Vec<Receipt>,
    },
    Snapshot {
        shard: u16,
        local: usize,
        back: u64,
        settled: bool,
    },
    Expire {
        shard: u16,
        age: u64,
        most: Option<u64>,
    },
    ForgetProcess {
        shard: u16,
        process: u128,
    },
    List {
        shard: u16,
        local: usize,
        listed: Option<bool>,
    },
    Claim {
        shard: u16,
    },
    Query {
        shard: u16,
        local: usize,
        query: Query,
    },
    Restart,
}

/// What a commit does to a channel.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) local: usize,
    pub(crate) entries: Vec<Kind>,
    pub(crate) rewrites: Vec<u64>,
    pub(crate) outcome: Option<(u128, u64, u64)>,
    pub(crate) unsent: bool,
    pub(crate) timer: TimerChange,
    pub(crate) wrong: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Event,
    Message(u8),
    Destroy,
}

#[derive(Clone, Debug)]
pub(crate) enum Receipt {
    Ack {
        local: usize,
        connection: u8,
        lease: u64,
        back: u64,
    },
    Sent {
        local: usize,
        back: u64,
    },
    Gone {
        local: usize,
        connection: u8,
    },
    Answered {
        local: usize,
        process: u128,
        base: u64,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) after: Option<u64>,
    pub(crate) before: Option<u64>,
    pub(crate) start: Option<u64>,
    pub(crate) end: Option<u64>,
    pub(crate) sender: Option<u8>,
    pub(crate) ids: Option<Vec<u64>>,
    pub(crate) filter: bool,
    pub(crate) max: usize,
    pub(crate) from_end: bool,
}

fn part() -> impl Strategy<Value = Part> {
    let kind = prop_oneof![
        4 => Just(Kind::Event),
        12 => (0..3u8).prop_map(Kind::Message),
        1 => Just(Kind::Destroy),
    ];
    let timer = prop_oneof![
        6 => Just(TimerChange::Keep),
        1 => Just(TimerChange::Clear),
        1 => (1..99u64).prop_map(|at| TimerChange::Set(Timestamp(at))),
    ];
    (
        0..LOCALS,
        prop::collection::vec(kind, 0..12),
        prop::collection::vec(0..120u64, 0..2),
        prop::option::weighted(0.1, (0..2u128, 1..9u64, 0..3u64)),
        prop::bool::weighted(0.3),
        timer,
        prop::bool::weighted(0.03),
    )
        .prop_map(
            |(local, entries, rewrites, outcome, unsent, timer, wrong)| Part {
                local,
                entries,
                rewrites,
                outcome,
                unsent,
                timer,
                wrong,
            },
        )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    prop_oneof![
        3 => (0..LOCALS, 0..2u8, 0..3u64, 0..4u64)
            .prop_map(|(local, connection, lease, back)| Receipt::Ack { local, connection, lease, back }),
        3 => (0..LOCALS, 0..3u64).prop_map(|(local, back)| Receipt::Sent { local, back }),
        1 => (0..LOCALS, 0..2u8).prop_map(|(local, connection)| Receipt::Gone { local, connection }),
        1 => (0..LOCALS, 0..2u128, 0..9u64)
            .prop_map(|(local, process, base)| Receipt::Answered { local, process, base }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let place = || prop::option::weighted(0.3, 0..150u64);
    (
        (place(), place(), place(), place()),
        prop::option::weighted(0.3, 0..4u8),
        prop::option::weighted(0.1, prop::collection::vec(0..150u64, 0..5)),
        prop::bool::weighted(0.1),
        0..60usize,
        any::<bool>(),
    )
        .prop_map(
            |((after, before, start, end), sender, ids, filter, max, from_end)| Query {
                after,
                before,
                start,
                end,
                sender,
                ids,
                filter,
                max,
                from_end,
            },
        )
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let shard = 0..SHARDS;
    let offset = prop_oneof![30 => Just(0i8), 1 => -1..2i8];
    prop_oneof![
        20 => (
            shard.clone(),
            prop::collection::vec(part(), 0..3),
            prop::collection::vec(receipt(), 0..2),
            offset,
            prop::bool::weighted(0.3)
        )
            .prop_map(|(shard, parts, receipts, offset, wait)| Op::Commit { shard, parts, receipts, offset, wait }),
        3 => (shard.clone(), prop::collection::vec(receipt(), 0..4))
            .prop_map(|(shard, receipts)| Op::Acknowledge { shard, receipts }),
        8 => (shard.clone(), 0..LOCALS, 0..5u64, prop::bool::weighted(0.8))
            .prop_map(|(shard, local, back, settled)| Op::Snapshot { shard, local, back, settled }),
        1 => (shard.clone(), 0..300u64, prop::option::of(0..60u64))
            .prop_map(|(shard, age, most)| Op::Expire { shard, age, most }),
        1 => (shard.clone(), 0..2u128).prop_map(|(shard, process)| Op::ForgetProcess { shard, process }),
        1 => (shard.clone(), 0..LOCALS, prop::option::of(any::<bool>()))
            .prop_map(|(shard, local, listed)| Op::List { shard, local, listed }),
        1 => shard.clone().prop_map(|shard| Op::Claim { shard }),
        8 => (shard, 0..LOCALS, query()).prop_map(|(shard, local, query)| Op::Query { shard, local, query }),
        1 => Just(Op::Restart),
    ]
}
