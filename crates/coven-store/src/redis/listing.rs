//! The directory, and all channels of a space: kept per shard, read over all of them.
//!
//! Redis does one thing at a time: whoever browses the directory must not hold up the rooms. So a shard is asked for a
//! few names, and what is told of a channel is asked for only where it lies; `read` sees to it that pages take turns, and
//! leave Redis time between them.

use std::collections::BTreeMap;

use redis::{Cmd, Value};
use smol_str::SmolStr;

use super::keys::{Keys, channel, name};
use super::record::Under;
use super::server::{Batch, Server};
use super::value::list;
use crate::{ChannelKey, DirectoryPage, DirectoryQuery, Error, Listing, ShardId, UnknownChannel};

/// Names that all shards together are asked for at first, in multiples of what is wanted: names lie evenly in shards.
const SPREAD: usize = 4;
/// Names that each shard is asked for at least.
const LEAST: usize = 4;
/// See [`Store::channels`](crate::Store::channels).
pub(super) async fn channels(
    server: &Server,
    space: &SmolStr,
    after: Option<&SmolStr>,
    max: usize,
) -> Result<Vec<ChannelKey>, Error> {
    let from = after.map_or_else(|| first(space), |after| behind(space, after));
    let ask = Names {
        set: Keys::alive,
        from,
        to: end(space),
        backwards: false,
    };
    let found = ask.some(server, max).await?.into_iter();
    Ok(found.map(|(key, _)| key).collect())
}

/// See [`Store::directory`](crate::Store::directory).
pub(super) async fn page(
    server: &Server,
    space: &SmolStr,
    query: &DirectoryQuery,
) -> Result<Result<DirectoryPage, UnknownChannel>, Error> {
    for local in query.after.iter().chain(&query.before) {
        if !is_listed(server, space, local, query.unlisted).await? {
            return Ok(Err(UnknownChannel(local.clone())));
        }
    }
    let from = query.after.as_ref();
    let to = query.before.as_ref();
    let ask = Names {
        set: directory(query.unlisted),
        from: from.map_or_else(|| first(space), |after| behind(space, after)),
        to: to.map_or_else(|| end(space), |local| ahead(space, local)),
        backwards: query.from_end,
    };
    // One more than the page has, so that it is known whether that is all.
    let mut found = ask.some(server, query.max.saturating_add(1)).await?;
    let complete = found.len() <= query.max;
    found.truncate(query.max);
    found.sort();
    let count = count(server, query.unlisted, &first(space), &end(space)).await?;
    let index = match found.first() {
        // The first page begins with the first.
        Some(_) if query.after.is_none() && (!query.from_end || (complete && to.is_none())) => {
            Some(0)
        }
        Some((key, _)) => {
            let until = ahead(space, &key.local);
            Some(self::count(server, query.unlisted, &first(space), &until).await?)
        }
        None => None,
    };
    let channels = listings(server, found).await?;
    Ok(Ok(DirectoryPage {
        channels,
        complete,
        count,
        index,
    }))
}

/// Names in a range, of all shards.
struct Names {
    set: fn(&Keys) -> String,
    from: String,
    to: String,
    backwards: bool,
}

/// What a shard has been asked for.
struct Part {
    found: Vec<ChannelKey>,
    /// There may be more behind them.
    more: bool,
}

impl Names {
    /// The first `max` in the direction of the question. Each shard is asked for a few at first, and for more where one
    /// of the wanted may be among them.
    async fn some(&self, server: &Server, max: usize) -> Result<Vec<(ChannelKey, ShardId)>, Error> {
        let shards = server.options().shards;
        let mut chunk = (max.saturating_mul(SPREAD) / usize::from(shards.max(1))).max(LEAST);
        let mut parts: BTreeMap<_, _> = (0..shards).map(|it| (ShardId(it), Part::new())).collect();
        loop {
            let open = self.open(&parts, max);
            if open.is_empty() {
                return Ok(self.merged(&parts, max));
            }
            let batches = open.iter().map(|shard| Batch {
                shard: *shard,
                commands: vec![self.range(server, *shard, parts.get(shard), chunk)],
            });
            let answers = server.ask_all(batches.collect()).await;
            for (shard, answers) in open.into_iter().zip(answers) {
                let found = members(answers?);
                if let Some(part) = parts.get_mut(&shard) {
                    part.more = found.len() >= chunk;
                    part.found.extend(found);
                }
            }
            chunk = chunk.saturating_mul(2).min(max.max(LEAST));
        }
    }

    /// Shards that may have more of the wanted names: those whose last known one comes before the last wanted one.
    fn open(&self, parts: &BTreeMap<ShardId, Part>, max: usize) -> Vec<ShardId> {
        let best = self.merged(parts, max);
        let last = (best.len() >= max).then(|| best.last()).flatten();
        let is_open = |part: &Part| {
            part.more
                && match (part.found.last(), last) {
                    (Some(known), Some((last, _))) => self.is_before(known, last),
                    _ => max > 0,
                }
        };
        let open = parts.iter().filter(|(_, part)| is_open(part));
        open.map(|(shard, _)| *shard).collect()
    }

    fn merged(&self, parts: &BTreeMap<ShardId, Part>, max: usize) -> Vec<(ChannelKey, ShardId)> {
        let each = parts.iter();
        let mut all: Vec<_> = each
            .flat_map(|(shard, part)| part.found.iter().map(|key| (key.clone(), *shard)))
            .collect();
        all.sort();
        if self.backwards {
            all.reverse();
        }
        all.truncate(max);
        all
    }

    fn is_before(&self, one: &ChannelKey, other: &ChannelKey) -> bool {
        if self.backwards {
            one > other
        } else {
            one < other
        }
    }

    fn range(&self, server: &Server, shard: ShardId, part: Option<&Part>, chunk: usize) -> Cmd {
        let known = part.and_then(|part| part.found.last());
        let (mut from, mut to) = (self.from.clone(), self.to.clone());
        match known {
            Some(key) if self.backwards => to = ahead(&key.space, &key.local),
            Some(key) => from = behind(&key.space, &key.local),
            None => {}
        }
        let mut cmd = redis::cmd(if self.backwards {
            "ZREVRANGEBYLEX"
        } else {
            "ZRANGEBYLEX"
        });
        cmd.arg((self.set)(&server.keys(shard)));
        match self.backwards {
            true => cmd.arg(to).arg(from),
            false => cmd.arg(from).arg(to),
        };
        cmd.arg("LIMIT").arg(0).arg(chunk);
        cmd
    }
}

impl Part {
    const fn new() -> Self {
        Self {
            found: Vec::new(),
            more: true,
        }
    }
}

const fn directory(unlisted: bool) -> fn(&Keys) -> String {
    match unlisted {
        true => |keys| keys.directory(true),
        false => |keys| keys.directory(false),
    }
}

async fn count(server: &Server, unlisted: bool, from: &str, to: &str) -> Result<u64, Error> {
    let some = |shard| {
        let mut cmd = redis::cmd("ZLEXCOUNT");
        cmd.arg(server.keys(shard).directory(unlisted))
            .arg(from)
            .arg(to);
        cmd
    };
    let numbers = over_all(server, some).await?.into_iter();
    let numbers = numbers.map(|value| match value {
        Value::Int(number) => u64::try_from(number).unwrap_or_default(),
        _ => 0,
    });
    Ok(numbers.sum())
}

async fn is_listed(
    server: &Server,
    space: &SmolStr,
    local: &SmolStr,
    unlisted: bool,
) -> Result<bool, Error> {
    let key = ChannelKey::new(space.clone(), local.clone());
    // Which shard it lies in is not known here: only one can have it.
    let some = |shard| {
        let mut cmd = redis::cmd("ZSCORE");
        cmd.arg(server.keys(shard).directory(unlisted))
            .arg(name(&key));
        cmd
    };
    let answers = over_all(server, some).await?;
    Ok(answers.iter().any(|value| *value != Value::Nil))
}

/// What is told of channels, each asked for where it lies.
async fn listings(
    server: &Server,
    found: Vec<(ChannelKey, ShardId)>,
) -> Result<Vec<(SmolStr, Listing)>, Error> {
    let mut of_shard: BTreeMap<ShardId, Vec<ChannelKey>> = BTreeMap::new();
    for (key, shard) in found {
        of_shard.entry(shard).or_default().push(key);
    }
    let batches = of_shard.iter().map(|(shard, keys)| {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(server.keys(*shard).listings())
            .arg(keys.iter().map(name).collect::<Vec<_>>());
        let commands = vec![cmd];
        Batch {
            shard: *shard,
            commands,
        }
    });
    let answers = server.ask_all(batches.collect()).await;
    let mut listings = BTreeMap::new();
    for (keys, answers) in of_shard.into_values().zip(answers) {
        let values = answers?.into_iter().flat_map(list);
        for (key, value) in keys.into_iter().zip(values) {
            let listing = match value {
                Value::BulkString(blob) => Under(&key).listing(&blob.into())?,
                _ => Listing::default(),
            };
            listings.insert(key.local, listing);
        }
    }
    Ok(listings.into_iter().collect())
}

/// The answers of all shards to the same command.
async fn over_all(server: &Server, command: impl Fn(ShardId) -> Cmd) -> Result<Vec<Value>, Error> {
    let shards = (0..server.options().shards).map(ShardId);
    let batches = shards.map(|shard| Batch {
        shard,
        commands: vec![command(shard)],
    });
    let answers = server.ask_all(batches.collect()).await.into_iter();
    let each = answers.map(|answers| Ok(answers?.into_iter().next().unwrap_or_default()));
    each.collect()
}

fn members(answers: Vec<Value>) -> Vec<ChannelKey> {
    let values = answers.into_iter().flat_map(list);
    let names = values.filter_map(|value| match value {
        Value::BulkString(name) => channel(&name),
        _ => None,
    });
    names.collect()
}

/// From the first name of a space on.
fn first(space: &str) -> String {
    format!("[{space}\0")
}

/// Up to the last name of a space.
fn end(space: &str) -> String {
    format!("({space}\x01")
}

/// From the name after `local` on.
fn behind(space: &str, local: &str) -> String {
    format!("({space}\0{local}")
}

/// Up to the name before `local`.
fn ahead(space: &str, local: &str) -> String {
    format!("({space}\0{local}")
}
