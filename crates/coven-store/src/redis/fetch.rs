//! What the writing task has to know before it can work out a change: owners, commit numbers, channels' records.

use std::collections::{BTreeSet, HashMap};

use redis::{Cmd, Value};

use super::keys::{channel, name};
use super::record::Under;
use super::server::Batch;
use super::stage::Shard;
use super::value::{fields, list, parse, session};
use super::writer::Writer;
use crate::{ChannelKey, CommitNumber, Epoch, Error, ShardId};

/// Channels whose records are kept; above that all are read again when they are needed.
const KEPT: usize = 100_000;

/// What has to be read of a shard.
#[derive(Debug, Default)]
struct Wanted {
    /// All its channels.
    whole: bool,
    channels: BTreeSet<ChannelKey>,
}

impl Writer {
    /// Reads what is not known yet of shards and channels. Waits for a connection as long as the options say. Answers why
    /// shards are not known; what is wrong with one record is noted with its shard, and concerns who needs that one.
    pub(super) async fn prepare(
        &mut self,
        needed: &[(ShardId, Option<Vec<&ChannelKey>>)],
    ) -> HashMap<ShardId, Error> {
        let kept: usize = self.shards.values().map(|it| it.channels.len()).sum();
        if kept > KEPT {
            self.shards.clear();
        }
        let plan: Vec<_> = self.plan(needed).into_iter().collect();
        if plan.is_empty() {
            return HashMap::new();
        }
        let batches = plan.iter().map(|(shard, wanted)| Batch {
            shard: *shard,
            commands: self.commands(*shard, wanted),
        });
        let answers = self.server.ask_all(batches.collect()).await;
        let mut unknown = HashMap::new();
        for ((shard, wanted), answers) in plan.into_iter().zip(answers) {
            match answers {
                Ok(answers) => self.learn(shard, wanted, answers),
                Err(error) => drop(unknown.insert(shard, error)),
            }
        }
        unknown
    }

    fn plan(&self, needed: &[(ShardId, Option<Vec<&ChannelKey>>)]) -> HashMap<ShardId, Wanted> {
        let mut plan: HashMap<ShardId, Wanted> = HashMap::new();
        for (shard, channels) in needed {
            let known = self.shards.get(shard);
            let unknown =
                |key: &&&ChannelKey| known.is_none_or(|it| !it.channels.contains_key(**key));
            let missing: Vec<_> = channels.iter().flatten().filter(unknown).collect();
            if known.is_some() && missing.is_empty() && channels.is_some() {
                continue;
            }
            let entry = plan.entry(*shard).or_default();
            entry.whole |= channels.is_none();
            entry
                .channels
                .extend(missing.into_iter().map(|key| (*key).clone()));
        }
        plan
    }

    fn commands(&self, shard: ShardId, wanted: &Wanted) -> Vec<Cmd> {
        let keys = self.server.keys(shard);
        let mut owner = redis::cmd("HMGET");
        owner
            .arg(keys.owner())
            .arg("epoch")
            .arg("owner")
            .arg("commit")
            .arg("writes");
        let mut commands = vec![owner];
        if wanted.whole {
            let mut all = redis::cmd("HGETALL");
            all.arg(keys.channels());
            commands.push(all);
        } else if !wanted.channels.is_empty() {
            let mut some = redis::cmd("HMGET");
            some.arg(keys.channels())
                .arg(wanted.channels.iter().map(name).collect::<Vec<_>>());
            commands.push(some);
        }
        commands
    }

    fn learn(&mut self, shard: ShardId, wanted: Wanted, answers: Vec<Value>) {
        let mut answers = answers.into_iter();
        let read = fields(&answers.next().unwrap_or_default());
        let known = self.shards.entry(shard).or_insert_with(|| Shard {
            epoch: Epoch(parse(read.first())),
            owner: read.get(1).and_then(|it| session(it)),
            commit: CommitNumber(parse(read.get(2))),
            writes: parse(read.get(3)),
            ..Shard::default()
        });
        let records = list(answers.next().unwrap_or_default());
        if !wanted.whole {
            for (key, value) in wanted.channels.into_iter().zip(records) {
                known.learn(key, value);
            }
            return;
        }
        for pair in records.chunks_exact(2) {
            let [Value::BulkString(name), value] = pair else {
                continue;
            };
            // What is known already is not older.
            if let Some(key) = channel(name).filter(|key| !known.channels.contains_key(key)) {
                known.learn(key, value.clone());
            }
        }
    }
}

impl Shard {
    fn learn(&mut self, key: ChannelKey, value: Value) {
        let read = match value {
            Value::BulkString(blob) => Under(&key).record(&blob.into()).map(Some),
            _ => Ok(None),
        };
        self.damaged.remove(&key);
        match read {
            Ok(record) => drop(self.channels.insert(key, record)),
            Err(error) => {
                tracing::error!(%error, "a channel cannot be written to");
                self.damaged.insert(key, error);
            }
        }
    }
}
