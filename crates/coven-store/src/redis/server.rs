//! The connection to Redis: how it is made, kept, and given up.
//!
//! One connection is used by everybody, in order; it is made anew when it breaks or leads to what is no primary any more.
//! Each new one is looked at before it is used: whether it leads to the store that is known (`identity`). What was sent on
//! a broken one is not sent again here: whether it was done is not known, and who asked finds out (`deliver`).
//! Next: `recognise` for what a connection leads to, `target` for addresses, `look` for what a server says of itself, `trouble` for errors.

mod identity;
mod look;
mod recognise;
mod target;
mod trouble;

use std::sync::{Arc, Mutex as Guard, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, RedisResult, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

pub(super) use self::identity::{hex as store_hex, identity_of};
pub(super) use self::look::Info;
pub(super) use self::target::Target;
pub(super) use self::trouble::{Trouble, is_elsewhere, is_passing, refusal};
use super::keys::Keys;
use super::upkeep::Upkeep;
use super::value::text;
use super::{Durability, Options};
use crate::{Condition, Error, ShardId, StoreId};

/// An answer may take as long as one is willing to wait for a connection, and this much longer.
const MORE: Duration = Duration::from_secs(1);
/// How long making a connection may take, all of it.
const CONNECT: Duration = Duration::from_secs(3);
/// How long to wait before trying again what cannot be done now.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
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
    /// What was found to fit when it was opened.
    durability: OnceLock<Durability>,
    link: Mutex<Linked>,
    state: Guard<State>,
    condition: watch::Sender<Condition>,
    upkeep: Arc<Upkeep>,
}

#[derive(Debug, Default)]
struct Linked {
    /// Counts connections, so that only the one that broke is given up.
    number: u64,
    link: Option<Link>,
}

#[derive(Debug, Default)]
struct State {
    /// The store that this process began with, or that was accepted since.
    identity: Option<StoreId>,
    /// A shard without its mark was met: all have to be looked at.
    incomplete: bool,
    /// Since when there has been no connection.
    down_since: Option<Instant>,
}

/// An open connection.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server; with its address where Sentinels have named it.
    One(MultiplexedConnection, Option<String>),
    /// To all primaries of a cluster.
    Many(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(_, address) => f.debug_tuple("One").field(address).finish(),
            Self::Many(_) => f.write_str("Many"),
        }
    }
}

impl Link {
    /// The answer to one command.
    async fn one(&self, cmd: Cmd) -> Result<Value, Trouble> {
        let answer = match self.clone() {
            Self::One(mut link, _) => cmd.query_async(&mut link).await,
            Self::Many(mut link) => cmd.query_async(&mut link).await,
        };
        answer.map_err(|error| Trouble::of_connecting(&error))
    }
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
                durability: OnceLock::new(),
                link: Mutex::default(),
                state: Guard::default(),
                condition,
                upkeep,
            }),
        };
        server.look().await?;
        let found = server.find_or_make(!server.options().must_exist).await?;
        let (number, link) = server.link().await?;
        let unmarked = server.unmarked(number, link, found).await?;
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
        matches!(self.shared.target, Target::Cluster(_))
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

    /// Whether there is a connection, made now if there is none.
    pub(super) async fn connect(&self) -> Result<(), Trouble> {
        self.link().await.map(|_| ())
    }

    /// The number of the connection that commands go over now, made if there is none.
    pub(super) async fn connection(&self) -> Result<u64, Trouble> {
        self.link().await.map(|(number, _)| number)
    }

    /// Gives up the connection: the next command makes another.
    pub(super) async fn hang_up(&self) {
        self.shared.link.lock().await.link = None;
    }

    /// Sends all batches at once; each gets its answers.
    pub(super) async fn run(&self, batches: &[Batch]) -> Vec<Answers> {
        match self.link().await {
            Ok((number, link)) => self.run_on(number, link, batches).await,
            Err(trouble) => batches.iter().map(|_| Err(trouble.clone())).collect(),
        }
    }

    /// The answers to commands of one shard that change nothing, none of which may be refused. Waits for a connection.
    pub(super) async fn ask(
        &self,
        shard: ShardId,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>, Error> {
        let batch = [Batch { shard, commands }];
        let until = self.until();
        loop {
            let answers = self.run(&batch).await.pop();
            let error = match answers.unwrap_or_else(|| Ok(Vec::new())) {
                Ok(answers) => match answers.into_iter().collect::<RedisResult<Vec<_>>>() {
                    Err(error) if is_passing(&error) => refusal(&error),
                    answers => return answers.map_err(|error| refusal(&error)),
                },
                Err(trouble) if trouble.may_pass() => trouble.of_reading(),
                Err(trouble) => return Err(trouble.of_reading()),
            };
            if Instant::now() >= until {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    /// The command that waits until what was written before it on this connection is durable; none where it is at once.
    pub(super) fn barrier(&self) -> Option<Cmd> {
        let mut cmd = match self.shared.durability.get()? {
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

    /// `INFO` of each primary.
    pub(super) async fn infos(&self) -> Result<Vec<String>, Error> {
        let cmd = redis::cmd("INFO");
        let answer = match self.link().await?.1 {
            Link::One(mut link, _) => cmd.query_async::<Value>(&mut link).await,
            Link::Many(mut link) => {
                let all = MultipleNodeRoutingInfo::AllMasters;
                let routing = RoutingInfo::MultiNode((all, None));
                link.route_command(cmd, routing).await
            }
        };
        Ok(match answer.map_err(|error| refusal(&error))? {
            Value::Map(each) => each.iter().map(|(_, info)| text(info)).collect(),
            one => vec![text(&one)],
        })
    }

    async fn run_on(&self, number: u64, link: Link, batches: &[Batch]) -> Vec<Answers> {
        match link {
            Link::One(link, _) => self.run_on_one(number, link, batches).await,
            Link::Many(link) => self.run_on_many(number, &link, batches).await,
        }
    }

    async fn run_on_one(
        &self,
        number: u64,
        mut link: MultiplexedConnection,
        batches: &[Batch],
    ) -> Vec<Answers> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        for command in batches.iter().flat_map(|batch| &batch.commands) {
            pipe.add_command(command.clone());
        }
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

    async fn run_on_many(
        &self,
        number: u64,
        link: &ClusterConnection,
        batches: &[Batch],
    ) -> Vec<Answers> {
        let each = batches.iter().map(|batch| {
            let mut link = link.clone();
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            for command in &batch.commands {
                pipe.add_command(command.clone());
            }
            async move { pipe.query_async::<Vec<RedisResult<Value>>>(&mut link).await }
        });
        let mut answers = Vec::with_capacity(batches.len());
        for all in futures_join(each).await {
            if let Err(error) = &all
                && error.is_unrecoverable_error()
            {
                self.give_up(number, &error.to_string()).await;
            }
            answers.push(all.map_err(|error| Trouble::Lost(error.to_string())));
        }
        answers
    }

    async fn link(&self) -> Result<(u64, Link), Trouble> {
        let mut linked = self.shared.link.lock().await;
        if let Some(link) = &linked.link {
            return Ok((linked.number, link.clone()));
        }
        let made = timeout(CONNECT, self.make_link()).await;
        let made =
            made.unwrap_or_else(|_| Err(Trouble::Unreachable("it takes too long".to_owned())));
        if let Err(trouble) = &made {
            self.note(trouble);
        }
        let link = made?;
        linked.number += 1;
        linked.link = Some(link.clone());
        let number = linked.number;
        drop(linked);
        if self.state().incomplete {
            self.complete(number, link.clone()).await?;
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

/// Runs futures side by side, and answers in their order.
async fn futures_join<T>(
    each: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T>
where
    T: Send + 'static,
{
    let tasks: Vec<_> = each.map(tokio::spawn).collect();
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(answer) => all.push(answer),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    all
}
