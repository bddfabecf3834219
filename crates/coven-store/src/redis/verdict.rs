//! How what is staged goes to Redis, and what the answer means.

use redis::{Cmd, RedisResult, Value};

use super::scripts;
use super::server::refusal;
use super::stage::Staged;
use super::value::{fields, parse, session};
use crate::{CommitNumber, Epoch, Error, Owner, ShardId};

/// The script, by its text or its hash, with its keys and commands.
pub(super) fn script(owner: &str, epoch: Epoch, staged: &Staged, text: bool) -> Cmd {
    let script = scripts::write(staged.frees);
    let mut cmd = redis::cmd(if text { "EVAL" } else { "EVALSHA" });
    cmd.arg(if text { &script.text } else { &script.hash });
    cmd.arg(staged.commands.keys().len() + 1).arg(owner);
    cmd.arg(staged.commands.keys());
    cmd.arg(epoch.0).arg(staged.follows.0);
    for word in staged.commands.words() {
        cmd.arg(word.as_slice());
    }
    cmd
}

/// What the script's answer means.
pub(super) fn judge(
    shard: ShardId,
    epoch: Epoch,
    staged: &Staged,
    answer: Option<RedisResult<Value>>,
) -> Result<(), Error> {
    let answer = match answer {
        Some(Ok(answer)) => fields(&answer),
        Some(Err(error)) => return Err(refusal(&error)),
        None => return Err(Error::Unknown("redis gave no answer".to_owned())),
    };
    if answer.first().is_some_and(|done| done == "1") {
        return Ok(());
    }
    let stored = CommitNumber(parse(answer.get(3)));
    let owner = answer.get(2).and_then(|it| session(it));
    let there = Epoch(parse(answer.get(1)));
    match owner {
        // Sent twice by the cluster's client: the first one did it, and nobody else can have.
        Some(_) if there == epoch && stored == staged.number && stored != staged.follows => Ok(()),
        Some(_) if there == epoch => Err(Error::Diverged {
            shard,
            number: staged.number,
            stored,
        }),
        _ => Err(Error::Fenced {
            shard,
            epoch,
            stored: owner.map(|session| Owner {
                epoch: there,
                session,
            }),
        }),
    }
}

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
