//! The registry in Redis: who is there, and who holds which connection.
//!
//! Has a connection and a thread of its own: commits do not hold up renewals. One request is under way at a time, which
//! is a poll nearly always; a script makes each of them one step. `registry/scripts.rs` has them, with the layout of keys.
//! What makes a holder is confirmed by the same barrier as commits (design §5.3).

mod answer;
mod scripts;

use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use self::answer::Polled;
use super::keys::name;
use super::server::{Batch, Server, Target, refusal};
use super::value::hex;
use super::verdict::has_replica;
use super::{Options, refused, thread};
use crate::registry::{
    Lease, Member, Registry, Request, Sight, TakeLease, write_member, write_way,
};
use crate::{
    ConnectionId, Error, LeaseNumber, Pending, ProcessId, Reply, SessionId, ShardId, StoreId,
};

/// Requests that wait; more are `Busy`.
const QUEUE: usize = 1024;
/// How long an answer may take: longer than a barrier, and well within a session's time to live.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long requests for processes that are not there are kept.
const REQUESTS_LAST: Duration = Duration::from_secs(3600);

/// A registry in Redis.
#[derive(Debug)]
pub struct RedisRegistry {
    jobs: mpsc::Sender<Job>,
    keys: Keys,
}

#[derive(Debug)]
enum Job {
    /// What says only whether it was done.
    Done(Ask, Reply<()>),
    /// What says yes or no.
    Told(Ask, Reply<bool>),
    Poll(Option<(SessionId, Duration)>, Reply<Sight>),
    Take(Box<TakeLease>, Reply<Result<LeaseNumber, Box<Lease>>>),
    Finalize(StoreId, u32, Reply<bool>),
}

/// Commands, and whether a barrier confirms them.
#[derive(Debug)]
struct Ask {
    commands: Vec<Cmd>,
    durable: bool,
}

/// The keys of the registry.
#[derive(Clone, Debug)]
struct Keys {
    base: String,
}

/// Since when it has been the same server, over the same connection.
#[derive(Debug)]
struct Since {
    connection: u64,
    server: SmolStr,
    at: Instant,
}

impl RedisRegistry {
    /// Connects to the Redis of a store, which has to be there: open the store first. Blocks for as long as that takes.
    ///
    /// Errors: as [`RedisStore::open`](crate::RedisStore::open).
    pub fn open(options: Options) -> Result<Self, Error> {
        let target = Target::parse(&options.url)?;
        let options = Options {
            must_exist: true,
            ..options
        };
        let keys = Keys::new(&options.prefix);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let of_desk = keys.clone();
        thread::run("coven-registry", async move || {
            let server = Server::open_any(target, options).await?;
            Ok(Desk::new(server, of_desk).run(queue))
        })?;
        Ok(Self { jobs, keys })
    }
}

impl Registry for RedisRegistry {
    fn open(&self, session: SessionId, member: Member, ttl: Duration) -> Pending<()> {
        self.done(false, |keys| keys.open(session, &member, ttl))
    }

    fn tell(&self, session: SessionId, member: Member) -> Pending<bool> {
        self.job(|keys, reply| Job::Told(Ask::of(vec![keys.tell(session, &member)]), reply))
    }

    fn close(&self, session: SessionId) -> Pending<()> {
        self.job(|keys, reply| Job::Done(Ask::of(vec![keys.close(session)]), reply))
    }

    fn poll(&self, renew: Option<(SessionId, Duration)>) -> Pending<Sight> {
        self.job(|_, reply| Job::Poll(renew, reply))
    }

    fn take(&self, take: TakeLease) -> Pending<Result<LeaseNumber, Box<Lease>>> {
        self.job(|_, reply| Job::Take(Box::new(take), reply))
    }

    fn release(&self, connection: &ConnectionId, number: LeaseNumber) -> Pending<()> {
        self.done(true, |keys| keys.release(connection, number))
    }

    fn ask_to_give_up(
        &self,
        connection: &ConnectionId,
        number: LeaseNumber,
        by: ProcessId,
    ) -> Pending<()> {
        self.done(false, |keys| keys.ask(connection, number, by))
    }

    fn request(&self, request: Request) -> Pending<()> {
        self.done(true, |keys| keys.request(request))
    }

    fn finalize(&self, store: StoreId, format: u32) -> Pending<bool> {
        self.job(|_, reply| Job::Finalize(store, format, reply))
    }
}

impl RedisRegistry {
    fn done(&self, durable: bool, command: impl FnOnce(&Keys) -> Cmd) -> Pending<()> {
        self.job(|keys, reply| {
            let commands = vec![command(keys)];
            Job::Done(Ask { commands, durable }, reply)
        })
    }

    fn job<T>(&self, make: impl FnOnce(&Keys, Reply<T>) -> Job) -> Pending<T> {
        let (reply, pending) = Pending::channel();
        match self.jobs.try_send(make(&self.keys, reply)) {
            Ok(()) => pending,
            Err(error) => Pending::ready(Err(refused(&error))),
        }
    }
}

impl Ask {
    const fn of(commands: Vec<Cmd>) -> Self {
        Self {
            commands,
            durable: false,
        }
    }
}

/// Does one request after the other.
struct Desk {
    server: Server,
    keys: Keys,
    since: Option<Since>,
}

impl Desk {
    const fn new(server: Server, keys: Keys) -> Self {
        Self {
            server,
            keys,
            since: None,
        }
    }

    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Done(ask, reply) => reply.send(self.ask(ask).await.map(|_| ())),
                Job::Told(ask, reply) => {
                    let answer = self.ask(ask).await;
                    reply.send(answer.map(|value| value == Some(Value::Int(1))));
                }
                Job::Poll(renew, reply) => reply.send(self.poll(renew).await),
                Job::Take(take, reply) => reply.send(self.take(&take).await),
                Job::Finalize(id, format, reply) => reply.send(self.finalize(id, format).await),
            }
        }
    }

    async fn take(&self, take: &TakeLease) -> Result<Result<LeaseNumber, Box<Lease>>, Error> {
        let ask = Ask {
            commands: vec![self.keys.take(take)],
            durable: true,
        };
        let answer = self.ask(ask).await?.unwrap_or(Value::Nil);
        answer::taken(&answer, &take.connection)
            .ok_or_else(|| Error::Corrupt(format!("the lease of {}", take.connection.0)))
    }

    /// Confirmed by a barrier, as commits are: what is written under the format must not outlive the word of it.
    async fn finalize(&self, id: StoreId, format: u32) -> Result<bool, Error> {
        let is_there = self.server.finalize(id, format).await?;
        let confirm = Ask {
            commands: vec![self.server.mark()],
            durable: true,
        };
        self.ask(confirm).await.map(|_| is_there)
    }

    async fn poll(&mut self, renew: Option<(SessionId, Duration)>) -> Result<Sight, Error> {
        let at = Instant::now();
        let mut commands: Vec<_> = renew
            .map(|(session, ttl)| self.keys.renew(session, ttl))
            .into_iter()
            .collect();
        commands.push(self.keys.poll());
        let batches = [commands, vec![self.server.mark()]].map(batch);
        let connection = self.server.connection().await.map_err(unreached)?;
        let answers = self.send(&batches).await.map_err(unreached)?;
        let whole = self.server.connection().await.ok() == Some(connection);
        let polled = Polled::read(answers, renew.is_some())?;
        let unbroken = self.unbroken(connection, polled.server(), at, whole);
        Ok(polled.sight(unbroken))
    }

    /// How long it has been this server, as of a poll that was sent at `at`.
    fn unbroken(&mut self, connection: u64, server: SmolStr, at: Instant, whole: bool) -> Duration {
        let same = |since: &&mut Since| since.connection == connection && since.server == server;
        if let Some(since) = self.since.as_mut().filter(same)
            && whole
        {
            return at.saturating_duration_since(since.at);
        }
        self.since = whole.then_some(Since {
            connection,
            server,
            at,
        });
        Duration::ZERO
    }

    /// The first command's answer.
    async fn ask(&self, ask: Ask) -> Result<Option<Value>, Error> {
        let mut commands = ask.commands;
        let barrier = self.server.barrier().filter(|_| ask.durable);
        let is_confirmed = barrier.is_some();
        commands.extend(barrier);
        let answers = self.send(&[batch(commands)]).await?;
        let mut answers = answers.into_iter().next().unwrap_or_default();
        if is_confirmed && !answers.last().is_some_and(has_replica) {
            return Err(Error::Unknown("no replica of redis has it".to_owned()));
        }
        if answers.is_empty() {
            return Ok(None);
        }
        answers.swap_remove(0).map(Some).map_err(|it| refusal(&it))
    }

    /// Sends batches. A server that takes too long is asked over another connection from then on.
    async fn send(&self, batches: &[Batch]) -> Result<Vec<Vec<RedisResult<Value>>>, Error> {
        let answers = tokio::time::timeout(PATIENCE, self.server.run(batches)).await;
        let Ok(answers) = answers else {
            self.server.hang_up().await;
            warn!("redis takes too long to answer the registry");
            return Err(Error::Unknown("redis takes too long to answer".to_owned()));
        };
        let answers: Result<_, _> = answers.into_iter().collect();
        Ok(answers?)
    }
}

/// Reading changes nothing, and a renewal is judged by the session's own deadline: there is no doubt about what was done.
fn unreached(error: impl Into<Error>) -> Error {
    match error.into() {
        Error::Unknown(why) => Error::Io(why),
        error => error,
    }
}

impl Keys {
    fn new(prefix: &str) -> Self {
        Self {
            base: format!("{prefix}{{cluster}}:"),
        }
    }

    fn of(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    fn session(&self, session: SessionId) -> String {
        self.of("session:") + &hex(session)
    }

    fn open(&self, session: SessionId, member: &Member, ttl: Duration) -> Cmd {
        let keys = [
            self.of("sessions"),
            self.session(session),
            self.of("requests"),
        ];
        let mut cmd = script(scripts::OPEN, &keys);
        cmd.arg(hex(session))
            .arg(write_member(member))
            .arg(milliseconds(ttl))
            .arg(self.of("session:"))
            .arg(milliseconds(REQUESTS_LAST));
        cmd
    }

    fn tell(&self, session: SessionId, member: &Member) -> Cmd {
        let keys = [self.of("sessions"), self.session(session)];
        let mut cmd = script(scripts::TELL, &keys);
        cmd.arg(hex(session)).arg(write_member(member));
        cmd
    }

    fn close(&self, session: SessionId) -> Cmd {
        let keys = [
            self.of("sessions"),
            self.session(session),
            self.of("requests"),
        ];
        let mut cmd = script(scripts::CLOSE, &keys);
        cmd.arg(hex(session));
        cmd
    }

    /// Works when the memory is full, unlike `SET` with a time to live (design §5.14).
    fn renew(&self, session: SessionId, ttl: Duration) -> Cmd {
        let mut cmd = redis::cmd("PEXPIRE");
        cmd.arg(self.session(session)).arg(milliseconds(ttl));
        cmd
    }

    fn poll(&self) -> Cmd {
        let keys = ["sessions", "leases", "requests"].map(|name| self.of(name));
        let mut cmd = script(scripts::POLL, &keys);
        cmd.arg(self.of("session:"));
        cmd
    }

    fn take(&self, take: &TakeLease) -> Cmd {
        let mut cmd = script(scripts::TAKE, &[self.of("leases")]);
        cmd.arg(take.connection.0.as_str())
            .arg(hex(take.session))
            .arg(take.judged_dead.map_or_else(|| "-".to_owned(), hex))
            .arg(take.known.0)
            .arg(write_way(&take.way));
        cmd
    }

    fn release(&self, connection: &ConnectionId, number: LeaseNumber) -> Cmd {
        let mut cmd = script(scripts::RELEASE, &[self.of("leases")]);
        cmd.arg(connection.0.as_str()).arg(number.0);
        cmd
    }

    fn ask(&self, connection: &ConnectionId, number: LeaseNumber, by: ProcessId) -> Cmd {
        let mut cmd = script(scripts::ASK, &[self.of("leases")]);
        cmd.arg(connection.0.as_str())
            .arg(number.0)
            .arg(format!("{:032x}", by.0));
        cmd
    }

    fn request(&self, request: Request) -> Cmd {
        let mut cmd = script(scripts::REQUEST, &[self.of("requests")]);
        match request {
            Request::Drain(process) => cmd.arg(format!("drain:{:032x}", process.0)).arg(""),
            Request::Undrain(process) => cmd.arg(format!("drain:{:032x}", process.0)),
            Request::Move(shard, Some(to)) => cmd
                .arg(format!("move:{}", shard.0))
                .arg(format!("{:032x} ", to.0)),
            Request::Move(shard, None) => cmd.arg(format!("move:{}", shard.0)),
            // A moment far away: no version forgets it for its age.
            Request::Quarantine(key) => cmd.arg(format!("quarantine:{}", name(&key))).arg("- 9"),
            Request::Lift(key) => cmd.arg(format!("quarantine:{}", name(&key))),
        };
        cmd
    }
}

/// Commands go where their keys lie: the shard is only a name here.
const fn batch(commands: Vec<Cmd>) -> Batch {
    Batch {
        shard: ShardId(0),
        commands,
    }
}

fn script(text: &str, keys: &[String]) -> Cmd {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(text).arg(keys.len()).arg(keys);
    cmd
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
