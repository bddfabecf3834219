//! The directory, and all channels of a space: kept per shard, read over all of them.

use redis::{Cmd, Value};
use smol_str::SmolStr;

use super::keys::{channel, name};
use super::record::Under;
use super::server::{Batch, Server, refusal};
use super::value::list;
use crate::{ChannelKey, DirectoryPage, DirectoryQuery, Error, Listing, ShardId, UnknownChannel};

/// See [`Store::channels`](crate::Store::channels).
pub(super) async fn channels(
    server: &Server,
    space: &SmolStr,
    after: Option<&SmolStr>,
    max: usize,
) -> Result<Vec<ChannelKey>, Error> {
    let from = after.map_or_else(|| first(space), |after| behind(space, after));
    let some = |shard| {
        let mut cmd = redis::cmd("ZRANGEBYLEX");
        cmd.arg(server.keys(shard).alive())
            .arg(&from)
            .arg(end(space));
        cmd.arg("LIMIT").arg(0).arg(max);
        vec![cmd]
    };
    let mut found: Vec<_> = members(over_all(server, some).await?).collect();
    found.sort();
    found.truncate(max);
    Ok(found)
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
    let from = query
        .after
        .as_ref()
        .map_or_else(|| first(space), |after| behind(space, after));
    let to = query
        .before
        .as_ref()
        .map_or_else(|| end(space), |local| ahead(space, local));
    let some = |shard| vec![range(server, shard, query, (&from, &to))];
    let mut found: Vec<_> = members(over_all(server, some).await?).collect();
    found.sort();
    let complete = found.len() <= query.max;
    if query.from_end {
        found.drain(..found.len().saturating_sub(query.max));
    }
    found.truncate(query.max);
    let count = count(server, query.unlisted, &first(space), &end(space)).await?;
    let index = match found.first() {
        Some(key) => Some(
            self::count(
                server,
                query.unlisted,
                &first(space),
                &ahead(space, &key.local),
            )
            .await?,
        ),
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

/// One shard's names in a range; one more than the page has, so that it is known whether that is all.
fn range(server: &Server, shard: ShardId, query: &DirectoryQuery, (from, to): (&str, &str)) -> Cmd {
    let mut cmd = redis::cmd(if query.from_end {
        "ZREVRANGEBYLEX"
    } else {
        "ZRANGEBYLEX"
    });
    cmd.arg(server.keys(shard).directory(query.unlisted));
    match query.from_end {
        true => cmd.arg(to).arg(from),
        false => cmd.arg(from).arg(to),
    };
    cmd.arg("LIMIT").arg(0).arg(query.max.saturating_add(1));
    cmd
}

async fn count(server: &Server, unlisted: bool, from: &str, to: &str) -> Result<u64, Error> {
    let some = |shard| {
        let mut cmd = redis::cmd("ZLEXCOUNT");
        cmd.arg(server.keys(shard).directory(unlisted))
            .arg(from)
            .arg(to);
        vec![cmd]
    };
    let numbers = over_all(server, some).await?.into_iter();
    let numbers = numbers.map(|(_, value)| match value {
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
        vec![cmd]
    };
    let answers = over_all(server, some).await?;
    Ok(answers
        .iter()
        .any(|(_, value)| !matches!(value, Value::Nil)))
}

async fn listings(
    server: &Server,
    found: Vec<ChannelKey>,
) -> Result<Vec<(SmolStr, Listing)>, Error> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let some = |shard| {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(server.keys(shard).listings())
            .arg(found.iter().map(name).collect::<Vec<_>>());
        vec![cmd]
    };
    let mut listings: Vec<Option<Listing>> = vec![None; found.len()];
    for (_, values) in over_all(server, some).await? {
        for ((value, key), listing) in list(values).into_iter().zip(&found).zip(&mut listings) {
            if let Value::BulkString(blob) = value {
                *listing = Some(Under(key).listing(&blob.into())?);
            }
        }
    }
    let both = found.into_iter().zip(listings);
    Ok(both
        .map(|(key, listing)| (key.local, listing.unwrap_or_default()))
        .collect())
}

/// The answers of all shards to the same commands.
async fn over_all(
    server: &Server,
    commands: impl Fn(ShardId) -> Vec<Cmd>,
) -> Result<Vec<(ShardId, Value)>, Error> {
    let shards = (0..server.options().shards).map(ShardId);
    let batches: Vec<_> = shards
        .map(|shard| Batch {
            shard,
            commands: commands(shard),
        })
        .collect();
    let mut all = Vec::new();
    for (batch, answers) in batches.iter().zip(server.run(&batches).await) {
        for answer in answers.map_err(super::server::Trouble::of_reading)? {
            all.push((batch.shard, answer.map_err(|error| refusal(&error))?));
        }
    }
    Ok(all)
}

fn members(answers: Vec<(ShardId, Value)>) -> impl Iterator<Item = ChannelKey> {
    answers
        .into_iter()
        .flat_map(|(_, value)| list(value))
        .filter_map(|value| match value {
            Value::BulkString(name) => channel(&name),
            _ => None,
        })
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
