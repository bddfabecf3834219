//! What goes of archives by age and by number.
//!
//! What is to go is found beside the writes, some channels at a time; only letting go of it is a write. A channel whose
//! archive cannot be read is passed over, and keeps nobody else's.

use std::collections::HashSet;

use redis::Value;
use tokio::task::JoinSet;
use tracing::error;

use super::job::{Job, Lanes, Request};
use super::keys::{Commands, Keys, channel, next, number};
use super::record::{Record, Stored, Under};
use super::search::{Archive, CHUNK, Range};
use super::server::Server;
use super::value::{list, text};
use crate::{ChannelKey, Epoch, Error, Pending, Place, Retention, Sequence, ShardId, Timestamp};

/// Channels that are looked at side by side.
const SOME: usize = 64;

/// What goes of one channel's archive.
#[derive(Debug)]
pub(super) struct Expired {
    pub(super) key: ChannelKey,
    /// The newest message that goes.
    pub(super) last: Place,
    /// How many go.
    count: u64,
    /// Sequences of rewrites of what goes.
    rewrites: Vec<u64>,
    /// The channel's floor and how much was ever archived, as of then.
    seen: (Sequence, u64),
}

impl Expired {
    /// Whether a record is that of the channel that was looked at, and not of a later one of its name.
    pub(super) fn is_of(&self, record: &Record) -> bool {
        let (floor, archived) = self.seen;
        record.state.floor == floor
            && record.archived >= archived
            && record.state.head >= self.last.sequence
    }

    pub(super) fn forget_rewrites(&self, keys: &Keys, to: &mut Commands) {
        for some in self.rewrites.chunks(1000) {
            let fields: Vec<_> = some.iter().map(|it| number(*it)).collect();
            let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
            to.push("HDEL", keys.rewrites(&self.key), &fields);
        }
    }
}

/// See [`Store::expire`](crate::Store::expire).
pub(super) async fn expire(
    server: &Server,
    lanes: &Lanes,
    (shard, epoch): (ShardId, Epoch),
    retention: Retention,
) -> Result<u64, Error> {
    let (mut gone, mut seen, mut from) = (0, HashSet::new(), "0".to_owned());
    loop {
        let (then, channels) = some_channels(server, shard, &from).await?;
        let new = channels
            .into_iter()
            .filter(|(key, _)| seen.insert(key.clone()));
        let expired = expired(server, shard, new, retention).await;
        let is_end = then == "0";
        // The last one is sent in any case: it says whether the shard is still its caller's.
        if is_end || !expired.is_empty() {
            gone += expired.iter().map(|it| it.count).sum::<u64>();
            let (reply, answer) = Pending::channel();
            let request = Request::Expire(expired);
            let write = Job::Write {
                shard,
                epoch,
                request,
                reply,
            };
            lanes.put(shard, write);
            answer.await?;
        }
        if is_end {
            return Ok(gone);
        }
        from = then;
    }
}

/// Some channels with an archive, and from where to go on.
async fn some_channels(
    server: &Server,
    shard: ShardId,
    from: &str,
) -> Result<(String, Vec<(ChannelKey, Record)>), Error> {
    let mut scan = redis::cmd("HSCAN");
    scan.arg(server.keys(shard).channels())
        .arg(from)
        .arg("COUNT")
        .arg(SOME);
    let answers = server.ask(shard, vec![scan]).await?;
    let mut answer = list(answers.into_iter().next().unwrap_or_default()).into_iter();
    let then = text(&answer.next().unwrap_or_default());
    let pairs = list(answer.next().unwrap_or_default());
    let found = pairs.chunks_exact(2).filter_map(archived);
    Ok((then, found.collect()))
}

fn archived(pair: &[Value]) -> Option<(ChannelKey, Record)> {
    let [Value::BulkString(name), Value::BulkString(blob)] = pair else {
        return None;
    };
    let key = channel(name)?;
    match Under(&key).record(&blob.clone().into()) {
        Ok(record) => (record.archived > 0).then_some((key, record)),
        Err(error) => {
            error!(%error, "old messages of a channel are not removed");
            None
        }
    }
}

/// What goes of these channels.
async fn expired(
    server: &Server,
    shard: ShardId,
    channels: impl Iterator<Item = (ChannelKey, Record)>,
    retention: Retention,
) -> Vec<Expired> {
    let (mut all, mut looks) = (Vec::new(), JoinSet::new());
    for (key, record) in channels {
        let server = server.clone();
        looks.spawn(async move { of_channel(&server, shard, key, &record, retention).await });
        if looks.len() >= SOME {
            all.extend(looks.join_next().await);
        }
    }
    while let Some(look) = looks.join_next().await {
        all.push(look);
    }
    let answers = all.into_iter().filter_map(Result::ok);
    let found = answers.filter_map(|found| {
        found.unwrap_or_else(|error| {
            error!(shard = shard.0, %error, "old messages of a channel are not removed");
            None
        })
    });
    found.collect()
}

async fn of_channel(
    server: &Server,
    shard: ShardId,
    key: ChannelKey,
    record: &Record,
    retention: Retention,
) -> Result<Option<Expired>, Error> {
    let archive = Archive {
        server,
        shard,
        key: &key,
        keys: server.keys(shard),
        first: record.first(),
    };
    let Some((last, count)) = archive.expired(retention).await? else {
        return Ok(None);
    };
    let rewrites = match record.rewritten {
        true => archive.rewrites_up_to(last).await?,
        false => Vec::new(),
    };
    Ok(Some(Expired {
        last,
        count,
        rewrites,
        seen: (record.state.floor, record.archived),
        key: key.clone(),
    }))
}

impl Archive<'_> {
    /// The newest message that goes, and how many do.
    async fn expired(&self, retention: Retention) -> Result<Option<(Place, u64)>, Error> {
        let all = self.all();
        let oldest = self.end(all, false).await?.and_then(|it| it.number);
        let newest = self.end(all, true).await?.and_then(|it| it.number);
        let Some((oldest, newest)) = oldest.zip(newest) else {
            return Ok(None);
        };
        let by_age = match retention
            .not_before
            .and_then(|stamp| stamp.0.checked_sub(1))
        {
            Some(stamp) => {
                let to = Place {
                    stamp: Timestamp(stamp),
                    sequence: Sequence(u64::MAX),
                };
                self.end(Range { to, ..all }, true).await?
            }
            None => None,
        };
        let held = newest - oldest + 1;
        let too_many = retention
            .max_count
            .map_or(0, |most| held.saturating_sub(most));
        let too_old = by_age
            .as_ref()
            .and_then(|it| it.number)
            .map_or(0, |last| last - oldest + 1);
        let count = too_many.max(too_old);
        let last = match by_age {
            _ if count == 0 => return Ok(None),
            Some(last) if too_old >= too_many => Some(last),
            _ => self.nth(count).await?,
        };
        Ok(last.map(|last| (last.entry.place(), count)))
    }

    /// The entry that is the `count`th of all.
    async fn nth(&self, count: u64) -> Result<Option<Stored>, Error> {
        let mut range = self.all();
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        loop {
            let some = self.read(range, false, left.min(CHUNK)).await?;
            left -= some.len();
            match some.into_iter().next_back() {
                Some(last) if left > 0 => range.from = next(last.entry.place()),
                last => return Ok(last),
            }
        }
    }

    async fn rewrites_up_to(&self, last: Place) -> Result<Vec<u64>, Error> {
        let mut read = redis::cmd("HKEYS");
        read.arg(self.keys.rewrites(self.key));
        let answers = self.server.ask(self.shard, vec![read]).await?;
        let fields = super::value::fields(&answers.into_iter().next().unwrap_or_default());
        let sequences = fields.iter().filter_map(|it| it.parse().ok());
        Ok(sequences.filter(|it| *it <= last.sequence.0).collect())
    }
}
