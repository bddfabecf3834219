//! What goes of the archive before its time, for lack of room, and which channels should be written down for it.
//!
//! Source: design §5.14, `[archive] max-bytes`. From 90 percent of `maxmemory` on, and above a configured bound, the oldest
//! archived messages of all channels go, to one moment for all; never journal or snapshots. Messages that no snapshot
//! covers are journal too: their channels are asked for a snapshot first. Owns the decision; what goes at that moment is
//! [`Store::expire`](crate::Store::expire)'s, like what goes by age.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;
use tracing::error;

use super::keys::channel;
use super::monitor::Memory;
use super::server::Server;
use super::value::{list, text};
use crate::{ChannelKey, Error, ShardId, Timestamp};

/// How often, at most, messages go because Redis is nearly full.
const PRESSED: Duration = Duration::from_secs(10);
/// How long is waited for snapshots to cover what went last, before more goes.
const UNCOVERED: Duration = Duration::from_secs(600);
/// What is younger never goes because Redis is nearly full: then something else fills it.
const YOUNG_MS: u64 = 24 * 60 * 60 * 1000;
/// How often the archives are measured where they have a bound.
const MEASURED: Duration = Duration::from_secs(300);
/// When Redis is nearly full so many percent of the archives stay each time.
const KEEP: u64 = 90;
/// Archives that are asked about at once.
const CHUNK: usize = 256;
/// Entries that a channel's journal may have before a snapshot is asked for.
pub(super) const MAX_JOURNAL: u64 = 8_192;

/// What is shared between the tasks of a store about room.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Bound of the archives of all shards together, in bytes.
    bound: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    memory: Memory,
    /// That messages going does not help was said, since it became full.
    told: bool,
    /// When messages went for lack of room, or the archives were measured.
    last: Option<Instant>,
    /// The memory was looked at since.
    is_fresh: bool,
    wanted: BTreeSet<(ShardId, ChannelKey)>,
    /// Channels that hide what no snapshot covers yet: it goes when one does.
    uncovered: BTreeSet<(ShardId, ChannelKey)>,
}

impl Upkeep {
    pub(super) fn new(bound: Option<u64>) -> Self {
        Self {
            bound,
            state: Mutex::default(),
        }
    }

    /// See [`Store::wants_room`](crate::Store::wants_room).
    pub(super) fn wants_room(&self, now: Instant) -> bool {
        let state = self.state();
        let pause = match (state.memory.is_pressing(), self.bound) {
            // What went is still there until a snapshot covers it, and then until the memory is looked at.
            (true, _) if !state.uncovered.is_empty() || !state.is_fresh => UNCOVERED,
            (true, _) => PRESSED,
            (false, Some(_)) => MEASURED,
            (false, None) => return false,
        };
        state
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    /// Notes how full Redis is; answers how it was.
    pub(super) fn note(&self, memory: Memory) -> Memory {
        let mut state = self.state();
        state.is_fresh = true;
        state.told &= memory.is_pressing();
        std::mem::replace(&mut state.memory, memory)
    }

    /// Asks for a snapshot of a channel.
    pub(super) fn want(&self, shard: ShardId, key: ChannelKey) {
        self.state().wanted.insert((shard, key));
    }

    /// Asks for one so that what its archive hides can go.
    pub(super) fn want_for_room(&self, shard: ShardId, key: ChannelKey) {
        self.state().uncovered.insert((shard, key.clone()));
        self.want(shard, key);
    }

    /// A snapshot covers all that a channel's archive hides.
    pub(super) fn covered(&self, shard: ShardId, key: &ChannelKey) {
        let mut state = self.state();
        if !state.uncovered.is_empty() {
            state.uncovered.remove(&(shard, key.clone()));
        }
    }

    /// See [`Store::wants_snapshot`](crate::Store::wants_snapshot).
    pub(super) fn wanted(&self) -> Vec<(ShardId, ChannelKey)> {
        std::mem::take(&mut self.state().wanted)
            .into_iter()
            .collect()
    }

    /// See [`Store::room_before`](crate::Store::room_before).
    pub(super) async fn room_before(
        &self,
        server: &Server,
        shards: &[ShardId],
    ) -> Result<Option<Timestamp>, Error> {
        self.begin(Instant::now());
        let mut archives = Vec::new();
        for shard in shards {
            archives.extend(measured(server, *shard).await?);
        }
        let total: u64 = archives.iter().map(|archive| archive.bytes).sum();
        let share = |bound: u64| {
            let all = u64::from(server.options().shards.max(1));
            bound / all * shards.len() as u64
        };
        let by_bound = moment(&archives, self.bound.map_or(u64::MAX, share));
        if !self.state().memory.is_pressing() {
            return Ok(by_bound);
        }
        let by_memory = moment(&archives, total / 100 * KEEP);
        let young = Timestamp(now_ms().saturating_sub(YOUNG_MS));
        let by_memory = by_memory.filter(|moment| *moment <= young);
        if by_memory.is_none() && !std::mem::replace(&mut self.state().told, true) {
            error!(
                archives = total,
                "redis is nearly full, and not of old messages: give it more memory (maxmemory)"
            );
        }
        Ok(by_bound.max(by_memory))
    }

    /// A round of letting go begins.
    fn begin(&self, now: Instant) {
        let mut state = self.state();
        (state.last, state.is_fresh) = (Some(now), false);
        state.uncovered.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day: that of messages, to tell old ones.
#[allow(
    clippy::disallowed_methods,
    reason = "stamps of messages are of this clock"
)]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// One channel's archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Archive {
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Archive {
    /// What stays of it when all before `moment` goes, if its messages are spread evenly over its time.
    fn left(self, moment: Timestamp) -> u64 {
        let span = self.last.0 - self.first.0 + 1;
        let stays = (self.last.0 + 1).saturating_sub(moment.0).min(span);
        let part = u128::from(self.bytes) * u128::from(stays) / u128::from(span);
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// The earliest moment before which all has to go so that at most `keep` bytes stay; `None` where nothing has to.
fn moment(archives: &[Archive], keep: u64) -> Option<Timestamp> {
    let left = |moment| {
        archives
            .iter()
            .map(|it| it.left(Timestamp(moment)))
            .sum::<u64>()
    };
    let mut from = archives.iter().map(|it| it.first.0).min()?;
    let mut to = archives.iter().map(|it| it.last.0).max()? + 1;
    if left(from) <= keep {
        return None;
    }
    while from < to {
        let middle = from + (to - from) / 2;
        match left(middle) <= keep {
            true => to = middle,
            false => from = middle + 1,
        }
    }
    Some(Timestamp(to))
}

/// The archives of a shard.
async fn measured(server: &Server, shard: ShardId) -> Result<Vec<Archive>, Error> {
    let keys = server.keys(shard);
    let mut names = redis::cmd("HKEYS");
    names.arg(keys.channels());
    let names = server.ask(shard, vec![names]).await?.into_iter().next();
    let names: Vec<_> = list(names.unwrap_or_default())
        .into_iter()
        .filter_map(|name| match name {
            Value::BulkString(name) => channel(&name),
            _ => None,
        })
        .collect();
    let mut archives = Vec::new();
    for some in names.chunks(CHUNK) {
        let mut commands = Vec::new();
        for key in some {
            let stream = keys.archive(key);
            let mut size = redis::cmd("MEMORY");
            size.arg("USAGE").arg(&stream);
            let mut first = redis::cmd("XRANGE");
            first.arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
            let mut last = redis::cmd("XREVRANGE");
            last.arg(&stream).arg("+").arg("-").arg("COUNT").arg(1);
            commands.extend([size, first, last]);
        }
        let answers = server.ask(shard, commands).await?;
        archives.extend(answers.chunks_exact(3).filter_map(archive));
    }
    Ok(archives)
}

/// Of the answers about one stream; `None` for one that is empty.
fn archive(answers: &[Value]) -> Option<Archive> {
    let [Value::Int(bytes), first, last] = answers else {
        return None;
    };
    Some(Archive {
        bytes: u64::try_from(*bytes).ok()?,
        first: stamp(first)?,
        last: stamp(last)?,
    })
}

/// The stamp of the one entry in an answer: `[[id, fields]]`.
fn stamp(entries: &Value) -> Option<Timestamp> {
    let Value::Array(entries) = entries else {
        return None;
    };
    let Some(Value::Array(entry)) = entries.first() else {
        return None;
    };
    let id = text(entry.first()?);
    let (stamp, _) = id.split_once('-')?;
    Some(Timestamp(stamp.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn archive(bytes: u64, first: u64, last: u64) -> Archive {
        Archive {
            bytes,
            first: Timestamp(first),
            last: Timestamp(last),
        }
    }

    #[test]
    fn nothing_goes_while_there_is_room() {
        assert_eq!(moment(&[], 0), None);
        assert_eq!(moment(&[archive(100, 1, 10)], 100), None);
    }

    #[test]
    fn the_oldest_go_from_all_channels_to_one_moment() {
        // Ten bytes for each moment from 1 to 10.
        let even = archive(100, 1, 10);
        assert_eq!(moment(&[even], 50), Some(Timestamp(6)));
        assert_eq!(moment(&[even], 0), Some(Timestamp(11)));
        // A newer channel keeps all of its own.
        let newer = archive(100, 11, 20);
        assert_eq!(moment(&[even, newer], 100), Some(Timestamp(11)));
        assert_eq!(moment(&[even, newer], 150), Some(Timestamp(6)));
    }

    #[test]
    fn room_is_wanted_when_it_presses_and_not_all_the_time() {
        let now = Instant::now();
        let upkeep = Upkeep::new(None);
        assert!(!upkeep.wants_room(now));
        upkeep.note(Memory { percent: Some(90) });
        assert!(upkeep.wants_room(now));
        upkeep.state().last = Some(now);
        assert!(!upkeep.wants_room(now));
        assert!(upkeep.wants_room(now + PRESSED));
        // Not again before what went is covered, and the memory was looked at behind that.
        let (shard, key) = (ShardId(7), ChannelKey::new("chat.example", "coven"));
        upkeep.want_for_room(shard, key.clone());
        assert!(!upkeep.wants_room(now + PRESSED));
        upkeep.covered(shard, &key);
        upkeep.begin(now);
        assert!(!upkeep.wants_room(now + PRESSED));
        upkeep.note(Memory { percent: Some(90) });
        assert!(upkeep.wants_room(now + PRESSED));
        let bounded = Upkeep::new(Some(1));
        assert!(bounded.wants_room(now));
        bounded.state().last = Some(now);
        assert!(!bounded.wants_room(now + PRESSED));
        assert!(bounded.wants_room(now + MEASURED));
    }
}
