//! How claims and what is staged go to Redis, and what the answers mean.

use redis::{Cmd, RedisResult, Value};

use super::scripts::{self, Known};
use super::server::{is_passing, refusal, store_hex};
use super::stage::Staged;
use super::value::{fields, hex, parse, session};
use crate::{Claim, CommitNumber, Epoch, Error, Owner, Ownership, ShardId, StoreId};

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// Done.
    Done(T),
    /// Not done, and never will be by sending it again.
    Refused(Error),
    /// Not done: something else stands where its predecessor should.
    NotItsTurn(Error),
    /// Not done, and may be in a moment.
    NotNow(Error),
    /// The shard has not the mark of the store: not done.
    NoMark,
}

impl<T> Verdict<T> {
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Done(it) => Verdict::Done(map(it)),
            Self::Refused(error) => Verdict::Refused(error),
            Self::NotItsTurn(error) => Verdict::NotItsTurn(error),
            Self::NotNow(error) => Verdict::NotNow(error),
            Self::NoMark => Verdict::NoMark,
        }
    }
}

/// The script for what is staged, by its text or its hash. `again`: it was sent before, and may have been done.
pub(super) fn write(owner: &str, epoch: Epoch, staged: &Staged, text: bool, again: bool) -> Cmd {
    let mut cmd = call(scripts::write(staged.frees), text);
    cmd.arg(staged.commands.keys().len() + 1).arg(owner);
    cmd.arg(staged.commands.keys());
    cmd.arg(epoch.0).arg(staged.follows.0).arg(staged.number.0);
    cmd.arg(u8::from(again)).arg(staged.write);
    for word in staged.commands.words() {
        cmd.arg(word.as_slice());
    }
    cmd
}

/// The script for a claim, by its text or its hash.
pub(super) fn claim(owner: &str, claim: &Claim, store: StoreId, text: bool) -> Cmd {
    let (dead_epoch, dead) = claim.judged_dead.map_or_else(Default::default, |dead| {
        (dead.epoch.to_string(), hex(dead.session))
    });
    let mut cmd = call(scripts::claim(), text);
    cmd.arg(1).arg(owner).arg(hex(claim.session));
    cmd.arg(dead_epoch).arg(dead).arg(claim.known.0);
    cmd.arg(store_hex(store));
    cmd
}

fn call(script: &Known, text: bool) -> Cmd {
    let mut cmd = redis::cmd(if text { "EVAL" } else { "EVALSHA" });
    cmd.arg(if text { &script.text } else { &script.hash });
    cmd
}

/// What the answer to [`write()`] means.
pub(super) fn of_write(
    shard: ShardId,
    epoch: Epoch,
    staged: &Staged,
    store: StoreId,
    answer: RedisResult<Value>,
) -> Verdict<()> {
    let answer = match answer {
        Ok(answer) => fields(&answer),
        Err(error) => return of_error(&error),
    };
    if answer.first().is_some_and(|done| done == "1") {
        return Verdict::Done(());
    }
    if answer.get(4) != Some(&store_hex(store)) {
        return Verdict::NoMark;
    }
    let there = Epoch(parse(answer.get(1)));
    let stored = CommitNumber(parse(answer.get(3)));
    match answer.get(2).and_then(|it| session(it)) {
        // An earlier write that was given up came late, or redis has lost one: the records are to be read anew.
        Some(_) if there == epoch && stored == staged.follows => Verdict::NotItsTurn(Error::Io(
            format!("shard {shard} is not as its owner knows it"),
        )),
        Some(_) if there == epoch => Verdict::NotItsTurn(Error::Diverged {
            shard,
            number: staged.number,
            stored,
        }),
        owner => Verdict::Refused(Error::Fenced {
            shard,
            epoch,
            stored: owner.map(|session| Owner {
                epoch: there,
                session,
            }),
        }),
    }
}

/// What the answer to [`claim`] means.
pub(super) fn of_claim(shard: ShardId, answer: RedisResult<Value>) -> Verdict<Ownership> {
    let fields = match answer {
        Ok(answer) => fields(&answer),
        Err(error) => return of_error(&error),
    };
    let epoch = Epoch(parse(fields.get(1)));
    match fields.first().map(String::as_str) {
        Some("1") => Verdict::Done(Ownership {
            epoch,
            last_commit: CommitNumber(parse(fields.get(2))),
            found: Epoch(parse(fields.get(3))),
        }),
        Some("2") => Verdict::NoMark,
        _ => {
            let session = fields.get(2).and_then(|it| session(it)).unwrap_or_default();
            let owner = Owner { epoch, session };
            Verdict::Refused(Error::Held { shard, owner })
        }
    }
}

fn of_error<T>(error: &redis::RedisError) -> Verdict<T> {
    match is_passing(error) {
        true => Verdict::NotNow(refusal(error)),
        false => Verdict::Refused(refusal(error)),
    }
}

/// Whether a barrier says that a replica has what was written before it.
pub(super) fn has_replica(answer: &RedisResult<Value>) -> bool {
    match answer {
        Ok(Value::Int(replicas)) => *replicas >= 1,
        // WAITAOF: [local, replicas].
        Ok(Value::Array(both)) => {
            matches!(both.last(), Some(Value::Int(replicas)) if *replicas >= 1)
        }
        _ => false,
    }
}
