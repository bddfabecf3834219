//! Connections to Redis, and what is made of its errors.
//!
//! One connection is used by everybody, in order; it is made anew when it breaks or leads to what is no primary any more.
//! What was sent on a broken one is not sent again: whether it was done is not known, and who asked has to find out.

mod look;
mod target;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::sync::Mutex;
use tracing::{info, warn};

pub(super) use self::target::Target;
use super::keys::Keys;
use super::value::text;
use super::{Durability, Options};
use crate::{Error, ShardId, StoreId};

/// How long an answer may take (crates' default is half a second, which a short stall already exceeds).
const PATIENCE: Duration = Duration::from_secs(10);
/// How long `WAIT` waits for a replica.
const REPLICA_MS: u64 = 1_000;
/// What the value of the store's own key begins with.
const FORMAT: &str = "coven1";

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
}

#[derive(Debug, Default)]
struct Linked {
    /// Counts connections, so that only the one that broke is given up.
    number: u64,
    link: Option<Link>,
}

/// An open connection.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To all primaries of a cluster.
    Many(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Many(_) => "Many",
        })
    }
}

/// Commands for the slot of one shard.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) shard: ShardId,
    pub(super) commands: Vec<Cmd>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There is no connection: nothing was sent.
    Unreachable(String),
    /// The connection broke: not known what was done.
    Lost(String),
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(why) => Self::Io(format!("redis cannot be reached: {why}")),
            Trouble::Lost(why) => Self::Unknown(format!("the connection to redis broke: {why}")),
        }
    }
}

/// Answers of one batch: a refusal of the server stands in for a single command's answer.
pub(super) type Answers = Result<Vec<RedisResult<Value>>, Trouble>;

impl Server {
    /// Connects and looks whether this Redis can be used.
    pub(super) async fn open(target: Target, options: Options) -> Result<(Self, StoreId), Error> {
        let server = Self {
            shared: Arc::new(Shared {
                target,
                options,
                durability: OnceLock::new(),
                link: Mutex::default(),
            }),
        };
        server.look().await?;
        let identity = server.identity().await?;
        Ok((server, identity))
    }

    /// Whether commands of different shards may go to different servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.shared.target, Target::Cluster(_))
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The keys of a shard.
    pub(super) fn keys(&self, shard: ShardId) -> Keys {
        Keys::new(&self.shared.options.prefix, shard)
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

    /// The command that reads the store's mark, see [`identity_of`].
    pub(super) fn mark(&self) -> Cmd {
        let mut get = redis::cmd("GET");
        get.arg(format!("{}:store", self.shared.options.prefix));
        get
    }

    /// Sends all batches at once; each gets its answers.
    pub(super) async fn run(&self, batches: &[Batch]) -> Vec<Answers> {
        match self.link().await {
            Ok((number, Link::One(link))) => self.run_on_one(number, link, batches).await,
            Ok((number, Link::Many(link))) => self.run_on_many(number, &link, batches).await,
            Err(trouble) => batches.iter().map(|_| Err(trouble.clone())).collect(),
        }
    }

    /// The answers to commands of one shard, none of which may be refused.
    pub(super) async fn ask(
        &self,
        shard: ShardId,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>, Error> {
        let mut answers = self.run(&[Batch { shard, commands }]).await;
        let answers = answers.pop().unwrap_or_else(|| Ok(Vec::new()));
        // Reading changes nothing: there is no doubt about what was done.
        let answers = answers.map_err(|trouble| match trouble {
            Trouble::Unreachable(why) | Trouble::Lost(why) => Error::Io(why),
        })?;
        answers
            .into_iter()
            .map(|answer| answer.map_err(|error| refusal(&error)))
            .collect()
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
                self.give_up(number, &error).await;
                let trouble = Trouble::Lost(error.to_string());
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
                self.give_up(number, error).await;
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
        let link = self.shared.target.connect(PATIENCE).await;
        let link = link.map_err(|error| Trouble::Unreachable(error.to_string()))?;
        linked.number += 1;
        linked.link = Some(link.clone());
        Ok((linked.number, link))
    }

    async fn give_up(&self, number: u64, error: &RedisError) {
        let mut linked = self.shared.link.lock().await;
        if linked.number == number && linked.link.take().is_some() {
            warn!(%error, "the connection to redis broke");
        }
    }

    /// A server that has become a replica, or is loading, is asked no more: the next connection finds the primary.
    async fn look_for_replica(&self, number: u64, answers: &[RedisResult<Value>]) {
        let moved = answers.iter().find_map(|answer| match answer {
            Err(error) if is_elsewhere(error) => Some(error),
            _ => None,
        });
        if let Some(error) = moved {
            self.give_up(number, error).await;
        }
    }

    /// Version and settings. What may not be asked is taken to be right.
    async fn look(&self) -> Result<(), Error> {
        let infos = match self.infos().await {
            Ok(infos) => infos,
            Err(Error::Denied(why)) => {
                warn!(%why, "INFO is refused: version, eviction, memory and persistence of redis are not checked");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let found = look::findings(&infos)?;
        for warning in &found.warnings {
            warn!("{warning}");
        }
        let durability = found.durability(self.options().durability)?;
        info!(?durability, "how durable an answer of redis has to be");
        let _set_before = self.shared.durability.set(durability);
        Ok(())
    }

    /// `INFO` of each primary.
    pub(super) async fn infos(&self) -> Result<Vec<String>, Error> {
        let cmd = redis::cmd("INFO");
        let (_, link) = self.link().await?;
        let answer = match link {
            Link::One(mut link) => cmd.query_async::<Value>(&mut link).await,
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

    async fn identity(&self) -> Result<StoreId, Error> {
        let options = &self.shared.options;
        let key = format!("{}:store", options.prefix);
        let get = self.mark();
        let found = self.ask(ShardId(0), vec![get.clone()]).await?;
        if matches!(found.first(), Some(Value::Nil)) {
            if options.must_exist {
                let prefix = &options.prefix;
                return Err(Error::Unfit(format!(
                    "there is no store with the prefix {prefix:?} in this redis, and must-exist = true"
                )));
            }
            let fresh = crate::random::store_id();
            let mut set = redis::cmd("SET");
            set.arg(&key)
                .arg(format!("{FORMAT}:{:032x}:{}", fresh.0, options.shards))
                .arg("NX");
            self.ask(ShardId(0), vec![set]).await?;
        }
        let found = self.ask(ShardId(0), vec![get]).await?;
        identity(&found.first().map(text).unwrap_or_default(), options.shards)
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

/// Whose store a mark is; `None` for what is no mark.
pub(super) fn identity_of(mark: &str) -> Option<StoreId> {
    let (id, _) = mark
        .strip_prefix(FORMAT)?
        .strip_prefix(':')?
        .split_once(':')?;
    u128::from_str_radix(id, 16).ok().map(StoreId)
}

fn identity(value: &str, shards: u16) -> Result<StoreId, Error> {
    let unfit = |why: String| Err(Error::Unfit(why));
    let mut parts = value.split(':');
    if parts.next() != Some(FORMAT) {
        return unfit(format!(
            "{value:?} is not the mark of a store that this version knows"
        ));
    }
    let id = parts
        .next()
        .and_then(|id| u128::from_str_radix(id, 16).ok());
    let made_with = parts.next().and_then(|shards| shards.parse::<u16>().ok());
    match (id, made_with) {
        (Some(id), Some(stored)) if stored == shards => Ok(StoreId(id)),
        (Some(_), Some(stored)) => unfit(format!("it was made with {stored} shards, not {shards}")),
        _ => unfit(format!("{value:?} is not the mark of a store")),
    }
}

/// The server does not take commands now, or is not the right one.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    matches!(code, "READONLY" | "LOADING" | "MASTERDOWN" | "UNKILLABLE")
}

/// What a refusal of the server means: nothing was done.
pub(super) fn refusal(error: &RedisError) -> Error {
    match error.code().unwrap_or_default() {
        "MISCONF" => Error::Full("redis cannot write to its disk".to_owned()),
        "OOM" => Error::Full("the memory of redis is used up: maxmemory".to_owned()),
        "READONLY" | "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" | "NOREPLICAS"
        | "BUSY" | "NOSCRIPT" => Error::Io(error.to_string()),
        "NOPERM" | "NOAUTH" | "WRONGPASS" => {
            Error::Denied(error.detail().unwrap_or_default().to_owned())
        }
        _ => Error::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_shards_is_part_of_the_mark() {
        assert_eq!(identity("coven1:00ff:1024", 1024), Ok(StoreId(255)));
        assert!(identity("coven1:00ff:1024", 512).is_err());
        assert!(identity("hello", 1024).is_err());
    }
}
