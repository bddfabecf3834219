//! What the writing task has to know before it can work out a change: owners, commit numbers, channels' records.

use std::collections::{BTreeSet, HashMap};

use redis::Value;
use tokio::time::Instant;

use super::keys::{channel, name};
use super::record::Under;
use super::server::PAUSE;
use super::stage::Shard;
use super::value::{fields, list, parse, session};
use super::writer::Writer;
use crate::{ChannelKey, CommitNumber, Epoch, Error, ShardId};

/// Channels whose records are kept; above that all are read again when they are needed.
const KEPT: usize = 100_000;

impl Writer {
    /// Reads what is not known yet of shards and channels. Waits for a connection as long as the options say.
    pub(super) async fn prepare(
        &mut self,
        needed: &[(ShardId, Option<Vec<&ChannelKey>>)],
    ) -> Result<(), Error> {
        if self
            .shards
            .values()
            .map(|shard| shard.channels.len())
            .sum::<usize>()
            > KEPT
        {
            self.shards.clear();
        }
        self.connected().await?;
        let plan = self.plan(needed);
        for (shard, (whole, channels)) in plan {
            self.read(shard, whole, channels.into_iter().collect())
                .await?;
        }
        Ok(())
    }

    async fn connected(&self) -> Result<(), Error> {
        let until = self.server.until();
        loop {
            match self.server.connect().await {
                Ok(()) => return Ok(()),
                Err(trouble) if !trouble.may_pass() || Instant::now() >= until => {
                    return Err(trouble.into());
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn plan(
        &self,
        needed: &[(ShardId, Option<Vec<&ChannelKey>>)],
    ) -> HashMap<ShardId, (bool, BTreeSet<ChannelKey>)> {
        let mut plan: HashMap<ShardId, (bool, BTreeSet<ChannelKey>)> = HashMap::new();
        for (shard, channels) in needed {
            let known = self.shards.get(shard);
            let unknown =
                |key: &&&ChannelKey| known.is_none_or(|it| !it.channels.contains_key(**key));
            let missing: Vec<_> = channels.iter().flatten().filter(unknown).collect();
            if known.is_some() && missing.is_empty() && channels.is_some() {
                continue;
            }
            let entry = plan.entry(*shard).or_default();
            entry.0 |= channels.is_none();
            entry
                .1
                .extend(missing.into_iter().map(|key| (*key).clone()));
        }
        plan
    }

    async fn read(
        &mut self,
        shard: ShardId,
        whole: bool,
        channels: Vec<ChannelKey>,
    ) -> Result<(), Error> {
        let keys = self.server.keys(shard);
        let mut owner = redis::cmd("HMGET");
        owner
            .arg(keys.owner())
            .arg("epoch")
            .arg("owner")
            .arg("commit");
        let mut commands = vec![owner];
        if whole {
            let mut all = redis::cmd("HGETALL");
            all.arg(keys.channels());
            commands.push(all);
        } else if !channels.is_empty() {
            let mut some = redis::cmd("HMGET");
            some.arg(keys.channels())
                .arg(channels.iter().map(name).collect::<Vec<_>>());
            commands.push(some);
        }
        let mut answers = self.server.ask(shard, commands).await?.into_iter();
        let read = fields(&answers.next().unwrap_or_default());
        let known = self.shards.entry(shard).or_insert_with(|| Shard {
            epoch: Epoch(parse(read.first())),
            owner: read.get(1).and_then(|it| session(it)),
            commit: CommitNumber(parse(read.get(2))),
            channels: HashMap::new(),
        });
        let records = list(answers.next().unwrap_or_default());
        if whole {
            for pair in records.chunks_exact(2) {
                let [Value::BulkString(name), Value::BulkString(blob)] = pair else {
                    continue;
                };
                let Some(key) = channel(name) else { continue };
                let record = Under(&key).record(&blob.clone().into())?;
                // What is known already is not older.
                known.channels.entry(key).or_insert(Some(record));
            }
            return Ok(());
        }
        for (key, value) in channels.into_iter().zip(records) {
            let record = match value {
                Value::BulkString(blob) => Some(Under(&key).record(&blob.into())?),
                _ => None,
            };
            known.channels.insert(key, record);
        }
        Ok(())
    }
}
