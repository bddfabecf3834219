//! The connection to Redis: how it is made, kept, and given up.
//!
//! There are two to the same server, made and given up together: Redis answers nobody on a connection that waits for a
//! replica, so what writes waits on one, and what reads goes over the other. They are made anew when one breaks or leads to
//! what is no primary any more. New ones are looked at before they are used: whether they lead to the store that is known
//! (`identity`). What was sent on a broken one is not sent again here: whether it was done is not known, and who asked
//! finds out (`deliver`). Next: `link` for what goes over a connection, `recognise` for what it leads to, `target` for
//! addresses, `look` for what a server says of itself, `trouble` for errors.

mod identity;
mod link;
mod look;
mod recognise;
mod sentinel;
mod target;
mod trouble;

use std::sync::{Arc, Mutex as Guard, MutexGuard, PoisonError};
use std::time::Duration;

use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use self::link::{Link, Way};

pub(super) use self::identity::{hex as store_hex, marked};
pub(super) use self::look::Info;
pub(super) use self::target::Target;
pub(super) use self::trouble::{Trouble, is_elsewhere, is_passing, refusal};
use super::keys::Keys;
use super::upkeep::Upkeep;
use super::{Durability, Options};
use crate::{Condition, Error, ShardId, StoreId};

/// An answer may take as long as one is willing to wait for a connection, and this much longer.
const MORE: Duration = Duration::from_secs(1);
/// How long making a connection may take, all of it.
const CONNECT: Duration = Duration::from_secs(3);
/// How long to wait before trying again what cannot be done now.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// How often it is said that replicas are missing.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How long `WAIT` waits for a replica.
const REPLICA_MS: u64 = 1_000;

/// Where commands go.
#[derive(Clone, Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    options: Options,
    /// What was found to fit when it was opened; it may be raised, never lowered.
    durability: Guard<Option<Durability>>,
    link: Mutex<Linked>,
    /// Members of a cluster did not answer: it is time to ask anew who they are.
    suspect: AtomicBool,
    state: Guard<State>,
    condition: watch::Sender<Condition>,
    upkeep: Arc<Upkeep>,
}

#[derive(Debug, Default)]
struct Linked {
    /// Counts connections, so that only the one that broke is given up.
    number: u64,
    link: Option<Link>,
    /// When the latest one could not be made, and why.
    failed: Option<(Instant, Trouble)>,
}

#[derive(Debug, Default)]
struct State {
    /// The store that this process began with, or that was accepted since.
    identity: Option<StoreId>,
    /// A shard without its mark was met: all have to be looked at.
    incomplete: bool,
    /// Since when there has been no connection.
    down_since: Option<Instant>,
    /// When it was last said that replicas are missing.
    told_short: Option<Instant>,
}

/// Commands for the slot of one shard.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) shard: ShardId,
    pub(super) commands: Vec<Cmd>,
}

/// Answers of one batch: a refusal of the server stands in for a single command's answer.
pub(super) type Answers = Result<Vec<RedisResult<Value>>, Trouble>;

impl Server {
    /// Connects and looks whether this Redis can be used.
    pub(super) async fn open(
        target: Target,
        options: Options,
        condition: watch::Sender<Condition>,
        upkeep: Arc<Upkeep>,
    ) -> Result<Self, Error> {
        let server = Self {
            shared: Arc::new(Shared {
                target,
                options,
                durability: Guard::default(),
                link: Mutex::default(),
                suspect: AtomicBool::new(false),
                state: Guard::default(),
                condition,
                upkeep,
            }),
        };
        server.look().await?;
        let found = server.find_or_make(!server.options().must_exist).await?;
        let (number, link) = server.link().await?;
        let unmarked = server.unmarked(number, &link, found).await?;
        if !unmarked.is_empty() {
            let (count, shards) = (unmarked.len(), server.options().shards);
            let why = format!("{count} of its {shards} shards are missing: restore them");
            return Err(Error::Unfit(why));
        }
        server.state().identity = Some(found);
        Ok(server)
    }

    /// As [`Self::open`], for one who compares the store's mark each time: any store will do later.
    pub(super) async fn open_any(target: Target, options: Options) -> Result<Self, Error> {
        let nobody_looks = watch::Sender::new(Condition::Good);
        let server = Self::open(target, options, nobody_looks, Arc::default()).await?;
        server.state().identity = None;
        Ok(server)
    }

    /// Whether commands of different shards may go to different servers.
    pub(super) fn is_cluster(&self) -> bool {
        self.shared.target.is_cluster()
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// What is shared about room.
    pub(super) fn upkeep(&self) -> &Upkeep {
        &self.shared.upkeep
    }

    /// The keys of a shard.
    pub(super) fn keys(&self, shard: ShardId) -> Keys {
        Keys::new(&self.shared.options.prefix, shard)
    }

    /// The store that is known.
    pub(super) fn identity(&self) -> StoreId {
        self.state().identity.unwrap_or_default()
    }

    /// Until when somebody who begins to wait now should wait for a connection (design §5.12).
    pub(super) fn until(&self) -> Instant {
        let since = self.state().down_since;
        since.unwrap_or_else(Instant::now) + self.options().patience
    }

    /// The number of the connection that commands go over now, made if there is none.
    pub(super) async fn connection(&self) -> Result<u64, Trouble> {
        self.link().await.map(|(number, _)| number)
    }

    /// Gives up the connection: the next command makes another.
    pub(super) async fn hang_up(&self) {
        self.shared.link.lock().await.link = None;
    }

    /// Sends all batches at once, in order with what was sent before; each gets its answers.
    pub(super) async fn run(&self, batches: &[Batch]) -> Vec<Answers> {
        self.run_over(batches, false).await
    }

    /// Sends batches of what changes nothing.
    pub(super) async fn read(&self, batches: &[Batch]) -> Vec<Answers> {
        self.run_over(batches, true).await
    }

    async fn run_over(&self, batches: &[Batch], reads: bool) -> Vec<Answers> {
        if batches.is_empty() {
            return Vec::new();
        }
        match self.link().await {
            Ok((number, link)) => self.run_on(number, link.way(reads), batches).await,
            Err(trouble) => batches.iter().map(|_| Err(trouble.clone())).collect(),
        }
    }

    /// The answers to commands of one shard that change nothing, none of which may be refused. Waits for a connection.
    pub(super) async fn ask(
        &self,
        shard: ShardId,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>, Error> {
        let answers = self.ask_all(vec![Batch { shard, commands }]).await.pop();
        answers.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// As [`Self::ask`], for many shards at once: what ails one concerns no other.
    pub(super) async fn ask_all(&self, batches: Vec<Batch>) -> Vec<Result<Vec<Value>, Error>> {
        let until = self.until();
        let mut all: Vec<_> = batches.iter().map(|_| Ok(Vec::new())).collect();
        let mut left: Vec<_> = batches.into_iter().enumerate().collect();
        loop {
            let (places, batches): (Vec<_>, Vec<_>) = left.into_iter().unzip();
            let answers = self.read(&batches).await.into_iter().map(settled);
            left = Vec::new();
            for ((place, batch), (answer, may_pass)) in places.into_iter().zip(batches).zip(answers)
            {
                if may_pass && Instant::now() < until {
                    left.push((place, batch));
                } else if let Some(slot) = all.get_mut(place) {
                    *slot = answer;
                }
            }
            if left.is_empty() {
                return all;
            }
            sleep(PAUSE).await;
        }
    }

    /// The command that waits until what was written before it on this connection is durable; none where it is at once.
    pub(super) fn barrier(&self) -> Option<Cmd> {
        let mut cmd = match self.durability()? {
            Durability::Primary => return None,
            Durability::Replica => redis::cmd("WAIT"),
            Durability::ReplicaFsync => {
                let mut cmd = redis::cmd("WAITAOF");
                cmd.arg(0);
                cmd
            }
        };
        cmd.arg(1).arg(REPLICA_MS);
        Some(cmd)
    }

    /// How durable an answer has to be; `None` until a server has been looked at.
    pub(super) fn durability(&self) -> Option<Durability> {
        *self
            .shared
            .durability
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// `INFO` of each primary, with its address in a cluster.
    pub(super) async fn infos(&self) -> Result<Vec<(String, String)>, Error> {
        let infos = self.link().await?.1.way(true).infos().await;
        infos.map_err(|error| refusal(&error))
    }

    /// Says that what is done is held back, now and then.
    pub(super) fn say_short(&self) {
        let (now, mut state) = (Instant::now(), self.state());
        let is_news = |told: Instant| now.saturating_duration_since(told) >= SAY_EVERY;
        if state.told_short.is_none_or(is_news) {
            state.told_short = Some(now);
            drop(state);
            warn!("no replica of redis has the newest commits: they are held back");
        }
    }

    async fn run_on(&self, number: u64, way: Way, batches: &[Batch]) -> Vec<Answers> {
        match way {
            Way::One(link) => self.run_on_one(number, link, batches).await,
            Way::Many(link) => {
                let may_repeat = self.barrier().map_or(1, |_| 2);
                let (answers, is_suspect) = link::run_on_many(&link, batches, may_repeat).await;
                self.shared.suspect.fetch_or(is_suspect, Ordering::Relaxed);
                answers
            }
        }
    }

    async fn run_on_one(
        &self,
        number: u64,
        mut link: MultiplexedConnection,
        batches: &[Batch],
    ) -> Vec<Answers> {
        let pipe = link::pipe(batches.iter().flat_map(|batch| &batch.commands));
        let all: RedisResult<Vec<RedisResult<Value>>> = pipe.query_async(&mut link).await;
        match all {
            Ok(answers) => {
                self.look_for_replica(number, &answers).await;
                let mut answers = answers.into_iter();
                let part =
                    |batch: &Batch| Ok(answers.by_ref().take(batch.commands.len()).collect());
                batches.iter().map(part).collect()
            }
            Err(error) => {
                let trouble = Trouble::Lost(error.to_string());
                self.give_up(number, &error.to_string()).await;
                batches.iter().map(|_| Err(trouble.clone())).collect()
            }
        }
    }

    async fn link(&self) -> Result<(u64, Link), Trouble> {
        let asked = Instant::now();
        let mut linked = self.shared.link.lock().await;
        if let Some(link) = &linked.link {
            return Ok((linked.number, link.clone()));
        }
        // One attempt answers all who waited for it: one after the other they would wait for as many.
        if let Some((at, trouble)) = &linked.failed
            && *at >= asked
        {
            return Err(trouble.clone());
        }
        let made = timeout(CONNECT, self.make_link()).await;
        let made =
            made.unwrap_or_else(|_| Err(Trouble::Unreachable("it takes too long".to_owned())));
        if let Err(trouble) = &made {
            self.note(trouble);
            linked.failed = Some((Instant::now(), trouble.clone()));
        }
        let link = made?;
        linked.number += 1;
        linked.link = Some(link.clone());
        let number = linked.number;
        drop(linked);
        if self.state().incomplete {
            self.complete(number, &link).await?;
        }
        self.note_up();
        Ok((number, link))
    }

    async fn make_link(&self) -> Result<Link, Trouble> {
        let patience = self.options().patience + MORE;
        let link = self.shared.target.connect(patience).await;
        let link = link.map_err(|error| Trouble::of_connecting(&error))?;
        self.recognise(&link).await?;
        Ok(link)
    }

    async fn give_up(&self, number: u64, why: &str) {
        let mut linked = self.shared.link.lock().await;
        if linked.number == number && linked.link.take().is_some() {
            warn!(why, "the connection to redis is given up");
        }
    }

    /// A server that has become a replica is asked no more: the next connection finds the primary.
    async fn look_for_replica(&self, number: u64, answers: &[RedisResult<Value>]) {
        let moved = answers.iter().find_map(|answer| match answer {
            Err(error) if is_elsewhere(error) => Some(error),
            _ => None,
        });
        if let Some(error) = moved {
            self.give_up(number, &error.to_string()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to what changes nothing, and whether it may be another one in a moment.
fn settled(answers: Answers) -> (Result<Vec<Value>, Error>, bool) {
    match answers {
        Ok(answers) => match answers.into_iter().collect::<RedisResult<Vec<_>>>() {
            Err(error) => (Err(refusal(&error)), is_passing(&error)),
            Ok(answers) => (Ok(answers), false),
        },
        Err(trouble) => {
            let may_pass = trouble.may_pass();
            (Err(trouble.of_reading()), may_pass)
        }
    }
}
