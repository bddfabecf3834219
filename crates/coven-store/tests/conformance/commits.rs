//! What a commit must be, and what becomes of it.

use bytes::Bytes;
use coven_store::{
    ArchiveQuery, ChannelCommit, CommitNumber, ConnectionId, Entry, Epoch, Error, Outcome,
    ProcessId, Sequence, ShardId, TimerChange, Timestamp,
};

use super::world::{Channel, SHARD, World, ack, acks, chat, texts};

pub(crate) fn commit_numbers_count_by_one(world: &mut World) {
    let mut owner = world.own(SHARD);
    assert_eq!(owner.last, CommitNumber(0));
    let mut channel = Channel::created(&mut owner, "coven");
    let change = channel.says("hail");
    for number in [0, 1, 3] {
        let mut commit = owner.next(vec![change.clone()]);
        owner.last = CommitNumber(1);
        commit.number = CommitNumber(number);
        let refused = owner
            .store
            .commit(SHARD, owner.epoch, commit)
            .wait()
            .unwrap_err();
        let stored = CommitNumber(1);
        assert_eq!(
            refused,
            Error::Diverged {
                shard: SHARD,
                number: CommitNumber(number),
                stored
            }
        );
    }
    assert_eq!(owner.commit(vec![change]), CommitNumber(2));
}

pub(crate) fn commit_numbers_survive_owners_and_restarts(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let change = channel.says("hail");
    owner.commit(vec![change]);
    let mut next = world.own(SHARD);
    assert_eq!(next.last, CommitNumber(2));
    let change = channel.says("again");
    next.commit(vec![change]);
    world.restart();
    assert_eq!(world.own(SHARD).last, CommitNumber(3));
    assert_eq!(
        world.own(ShardId(8)).last,
        CommitNumber(0),
        "each shard has its own numbers"
    );
}

pub(crate) fn a_commit_is_all_or_nothing(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut good = Channel::created(&mut owner, "good");
    let mut bad = Channel::created(&mut owner, "bad");
    let mut wrong = bad.says("from nowhere");
    wrong.expected = Sequence(5);
    let mut right = good.says("hail");
    right.unsent = true;
    right.timer = TimerChange::Set(Timestamp(9));
    let mut commit = owner.next(vec![right.clone(), wrong]);
    owner.last = CommitNumber(2);
    commit.receipts = acks(vec![ack(&good.key, "c1", 1, 2, CommitNumber(3))]);
    let refused = owner.store.commit(SHARD, owner.epoch, commit).wait();
    assert!(
        matches!(refused, Err(Error::Sequence { .. })),
        "{refused:?}"
    );

    let loaded = owner.load(&good.key).unwrap();
    assert_eq!((loaded.head, loaded.journal.len()), (Sequence(1), 1));
    assert_eq!(
        (loaded.unsent, loaded.timer, loaded.acks.len()),
        (None, None, 0)
    );
    assert!(owner.archive(&good.key).is_empty());
    assert!(owner.store.unsent(SHARD).wait().unwrap().is_empty());
    owner.commit(vec![right]);
}

pub(crate) fn the_expected_sequence_is_compared(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let change = channel.says("once");
    owner.commit(vec![change.clone()]);
    let refused = owner.refused(vec![change]);
    let (expected, stored) = (Sequence(1), Sequence(2));
    assert_eq!(
        refused,
        Error::Sequence {
            key: channel.key.clone(),
            expected,
            stored
        }
    );
    let unknown = ChannelCommit::new(Channel::new("unknown").key, Sequence(1));
    assert!(matches!(
        owner.refused(vec![unknown]),
        Error::Sequence { .. }
    ));
}

pub(crate) fn gaps_and_twins_are_invalid(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let gap = channel.with(|channel| {
        channel.head += 1;
        vec![channel.message(1, "after a gap")]
    });
    assert!(matches!(owner.refused(vec![gap]), Error::Invalid(_)));
    channel.head = 1;
    let one = channel.says("one");
    let two = channel.says("two");
    assert!(
        matches!(owner.refused(vec![one, two]), Error::Invalid(_)),
        "one channel twice"
    );
}

pub(crate) fn stamps_never_go_back(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let created = channel.stamp;
    let earlier = channel.with(|channel| {
        vec![Entry {
            stamp: Timestamp(created - 1),
            ..channel.message(1, "early")
        }]
    });
    assert!(matches!(owner.refused(vec![earlier]), Error::Invalid(_)));
    channel.head = 1;
    let same = channel.with(|channel| {
        vec![Entry {
            stamp: Timestamp(created),
            ..channel.message(1, "same")
        }]
    });
    owner.commit(vec![same]);
}

pub(crate) fn pipelined_commits_are_done_in_order(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut other = world.own(ShardId(8));
    let mut channel = Channel::created(&mut owner, "coven");
    let mut elsewhere = Channel::created(&mut other, "elsewhere");
    let mut answers = Vec::new();
    for number in 1..=200 {
        let text = format!("m{number}");
        for (owner, channel) in [(&mut owner, &mut channel), (&mut other, &mut elsewhere)] {
            let change = channel.says(&text);
            let commit = owner.next(vec![change]);
            answers.push(owner.store.commit(owner.shard, owner.epoch, commit));
        }
    }
    answers
        .into_iter()
        .for_each(|answer| answer.wait().unwrap());
    assert_eq!(owner.archive(&channel.key), chat(1..=200));
    assert_eq!(other.archive(&elsewhere.key), chat(1..=200));
    let journal = owner.load(&channel.key).unwrap().journal;
    assert_eq!(texts(&journal[1..]), chat(1..=200));
}

pub(crate) fn il_18_a_commit_of_refusals_only_counts(world: &mut World) {
    let mut owner = world.own(SHARD);
    let channel = Channel::created(&mut owner, "coven");
    let mut refusal = channel.change();
    refusal.outcomes = vec![outcome(1, 1, 0, "conflict")];
    owner.commit(vec![refusal]);
    // Nothing happened in the channel, but the number tells whether the refusal was kept.
    assert_eq!(owner.load(&channel.key).unwrap().head, Sequence(1));
    assert_eq!(world.own(SHARD).last, CommitNumber(2));
}

pub(crate) fn il_08_the_first_epoch_is_kept(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let again = channel.with(|channel| {
        vec![Entry {
            first_epoch: Epoch(3),
            ..channel.message(1, "again")
        }]
    });
    owner.commit(vec![again]);
    world.restart();
    let owner = world.own(SHARD);
    assert_eq!(
        owner.load(&channel.key).unwrap().journal[1].first_epoch,
        Epoch(3)
    );
    let page = owner
        .page(
            &channel.key,
            ArchiveQuery {
                max: 1,
                ..ArchiveQuery::default()
            },
        )
        .unwrap();
    assert_eq!(page.entries[0].first_epoch, Epoch(3));
}

pub(crate) fn i4_outcomes_are_kept_above_their_base(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    let refused = Outcome {
        addressee: Some(ConnectionId("c1".into())),
        ..outcome(1, 1, 0, "refused")
    };
    let mut change = channel.says("done");
    change.outcomes = vec![refused, outcome(1, 2, 0, "done"), outcome(2, 1, 0, "other")];
    owner.commit(vec![change]);
    let mut change = channel.change();
    change.outcomes = vec![outcome(1, 3, 1, "later")];
    let later = owner.commit(vec![change]);
    world.restart();
    let owner = world.own(SHARD);
    let outcomes = owner.load(&channel.key).unwrap().outcomes;
    let kept: Vec<_> = outcomes
        .iter()
        .map(|it| (it.outcome.process.0, it.outcome.n))
        .collect();
    assert_eq!(
        kept,
        [(1, 2), (1, 3), (2, 1)],
        "1 of process 1 is at its base"
    );
    assert_eq!(
        (outcomes[0].commit, outcomes[1].commit),
        (CommitNumber(2), later)
    );
    assert_eq!(outcomes[1].outcome, outcome(1, 3, 1, "later"));
}

pub(crate) fn outcomes_of_a_process_are_forgotten_on_demand(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut other = world.own(ShardId(8));
    for owner in [&mut owner, &mut other] {
        let mut channel = Channel::created(owner, "coven");
        let mut change = channel.says("done");
        change.outcomes = vec![outcome(1, 1, 0, "done"), outcome(2, 1, 0, "done")];
        owner.commit(vec![change]);
    }
    let mut idle = Channel::created(&mut owner, "idle");
    let mut change = idle.says("done");
    change.outcomes = vec![outcome(1, 1, 0, "done")];
    owner.commit(vec![change]);
    owner.snapshot(&idle.key, 2).unwrap();

    owner
        .store
        .forget_process(SHARD, owner.epoch, ProcessId(1))
        .wait()
        .unwrap();
    let key = Channel::new("coven").key;
    for _ in 0..2 {
        let owner = world.own(SHARD);
        let kept = owner.load(&key).unwrap().outcomes;
        assert_eq!(
            kept.iter()
                .map(|it| it.outcome.process.0)
                .collect::<Vec<_>>(),
            [2]
        );
        assert!(owner.load(&idle.key).unwrap().outcomes.is_empty());
        assert_eq!(
            world.own(ShardId(8)).load(&key).unwrap().outcomes.len(),
            2,
            "another shard"
        );
        world.restart();
    }
}

pub(crate) fn i6_everything_is_there_after_a_restart(world: &mut World) {
    let mut owner = world.own(SHARD);
    let mut channel = Channel::created(&mut owner, "coven");
    channel.chats(&mut owner, 50);
    let mut change = channel.does("joined");
    change.unsent = true;
    change.timer = TimerChange::Set(Timestamp(77));
    change.outcomes = vec![Outcome {
        addressee: Some(ConnectionId("c1".into())),
        ..outcome(1, 1, 0, "refused")
    }];
    owner.commit(vec![change]);
    owner.acknowledge(acks(vec![ack(&channel.key, "c1", 1, 40, CommitNumber(41))]));
    let (loaded, archive) = (owner.load(&channel.key), owner.archive(&channel.key));
    assert_eq!(archive, chat(1..=50));
    for _ in 0..3 {
        world.restart();
        let owner = world.own(SHARD);
        assert_eq!(owner.load(&channel.key), loaded);
        assert_eq!(owner.archive(&channel.key), archive);
    }
}

fn outcome(process: u128, n: u64, base: u64, result: &'static str) -> Outcome {
    let result = Bytes::from_static(result.as_bytes());
    Outcome {
        process: ProcessId(process),
        n,
        base,
        after: Sequence(1),
        addressee: None,
        result,
    }
}
