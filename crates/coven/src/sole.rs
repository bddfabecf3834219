//! A process of role `all` is alone on its Redis: a second one, or a cluster, is refused at the start, and it at theirs.
//!
//! A store in a file has a lock; here it is a session in the registry, and the lease of a name that is no connection's. Owns
//! nobody's safety: who writes is decided by the epoch that every commit shows (I1), and two that were started in the same
//! instant, or one that stood still for longer than its session lasts, end by that. It is for whoever starts a process
//! where one runs: they are told so, instead of taking its rooms away.
//!
//! A process that was killed leaves its session. Where it ran on this machine the next one sees that it is gone ([`place`]);
//! elsewhere it waits until the session ends ([`TTL`]), and says so.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coven_proto::format;
use coven_store::registry::{Member, Registry, Role, Seen, ShardSet, Sight, TakeLease, Way};
use coven_store::{ConnectionId, Error, LeaseNumber, ProcessId, SessionId, StoreId};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::config;
use crate::failure::Failure;
use crate::stores::store_failure;

/// The name whose lease says who is alone. No connection is called so: theirs name a domain and an address.
const NAME: &str = "(alone)";
/// How long the session of a process that is alone lasts unless it is renewed.
const TTL: Duration = Duration::from_secs(3);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How often it is looked whether others are gone.
const LOOK: Duration = Duration::from_millis(250);
/// How long the registry may take at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What keeps others from the store as long as it is there.
#[derive(Debug)]
pub struct Sole {
    session: SessionId,
    registry: Arc<dyn Registry>,
    /// Who else has it, once somebody has.
    lost: watch::Receiver<Option<String>>,
    keeper: AbortOnDropHandle<()>,
}

/// Makes sure that no other process uses the store, and that none begins to. Waits for one that was killed.
///
/// Errors: another one is there; or the registry fails.
pub async fn begin(
    registry: Arc<dyn Registry>,
    identity: StoreId,
    store: &config::Store,
) -> Result<Sole, Failure> {
    let mut others = Others::default();
    loop {
        let over = others.gone(&registry, store, |_| true).await?;
        let keeper = Keeper {
            session: SessionId::random(),
            registry: Arc::clone(&registry),
            identity,
        };
        match keeper.open(over).await {
            Ok(true) => return Ok(keeper.keep()),
            // Another one was faster, or it is not known.
            Ok(false) => {}
            Err(error) => passing(store, error)?,
        }
        keeper.close().await;
        sleep(LOOK).await;
    }
}

/// Makes sure that no process of role `all` uses the store of a cluster. Waits for one that was killed.
///
/// Errors: one is there; or the registry fails.
pub async fn none_is_there(
    registry: &Arc<dyn Registry>,
    store: &config::Store,
) -> Result<(), Failure> {
    let is_alone = |seen: &Seen| seen.member.role == Role::Alone;
    Others::default().gone(registry, store, is_alone).await?;
    Ok(())
}

impl Sole {
    /// Ends only when another process has the store: this one stood still for too long.
    pub async fn lost(&mut self, store: &config::Store) -> Failure {
        match self
            .lost
            .wait_for(Option::is_some)
            .await
            .map(|by| by.clone())
        {
            Ok(Some(by)) => in_use(store, by),
            _ => std::future::pending().await,
        }
    }

    /// The next process may begin at once.
    pub async fn end(self) {
        drop(self.keeper);
        let ended = close(&*self.registry, self.session);
        if timeout(PATIENCE, ended).await.is_err() {
            warn!("the registry does not answer: the next start waits for a moment");
        }
    }
}

/// Ends the session. Its lease stays: one of a session that is not there is nobody's.
async fn close(registry: &dyn Registry, session: SessionId) {
    if let Err(error) = registry.close(session).await {
        warn!(%error, "the session was not ended: the next start waits for a moment");
    }
}

/// Those who are there, as long as they have to be waited for.
#[derive(Debug, Default)]
struct Others {
    /// How long their sessions were to last, when that was least.
    remaining: BTreeMap<SessionId, Duration>,
    /// Whose processes are known to have ended.
    gone: BTreeSet<SessionId>,
    told: bool,
}

/// What others mean for a process that starts.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody is there.
    Nobody,
    /// Somebody was, and may be.
    Wait(String),
    /// Somebody is.
    InUse(String),
}

impl Others {
    /// Waits until none of those that are meant is there; answers who had the lease of [`NAME`], and is gone.
    async fn gone(
        &mut self,
        registry: &Arc<dyn Registry>,
        store: &config::Store,
        is_meant: impl Fn(&Seen) -> bool,
    ) -> Result<Option<SessionId>, Failure> {
        loop {
            match registry.poll(None).await {
                Ok(sight) => match self.look(&sight, &is_meant) {
                    Verdict::Nobody => {
                        self.clear(&**registry).await;
                        return Ok(holder(&sight));
                    }
                    Verdict::InUse(by) => return Err(in_use(store, by)),
                    Verdict::Wait(by) => self.tell(store, &by),
                },
                Err(error) => passing(store, error)?,
            }
            sleep(LOOK).await;
        }
    }

    /// Ends the sessions of processes that have ended themselves.
    async fn clear(&mut self, registry: &dyn Registry) {
        for session in std::mem::take(&mut self.gone) {
            close(registry, session).await;
        }
    }

    /// A session that lasts longer than when it was looked at before was renewed: its process lives.
    fn look(&mut self, sight: &Sight, is_meant: impl Fn(&Seen) -> bool) -> Verdict {
        let mut verdict = Verdict::Nobody;
        for seen in sight.sessions.iter().filter(|seen| is_meant(seen)) {
            if seen.member.role == Role::Alone && place::is_gone(&seen.member.address) {
                self.gone.insert(seen.session);
                continue;
            }
            let least = self.remaining.entry(seen.session).or_insert(seen.remaining);
            if seen.remaining > *least {
                return Verdict::InUse(name(&seen.member));
            }
            *least = seen.remaining;
            verdict = Verdict::Wait(name(&seen.member));
        }
        verdict
    }

    fn tell(&mut self, store: &config::Store, by: &str) {
        if !std::mem::replace(&mut self.told, true) {
            info!(%store, by, "the store was in use a moment ago: waiting for the end of that session, some seconds at most");
        }
    }
}

/// What holds the session and the lease.
#[derive(Debug, Clone)]
struct Keeper {
    session: SessionId,
    registry: Arc<dyn Registry>,
    identity: StoreId,
}

impl Keeper {
    /// Begins the session and takes the lease over one whose session is gone. `false`: another process has it.
    async fn open(&self, over: Option<SessionId>) -> Result<bool, Error> {
        self.registry.open(self.session, member(), TTL).await?;
        let take = TakeLease {
            connection: ConnectionId(NAME.into()),
            way: Way::default(),
            session: self.session,
            judged_dead: over,
            known: LeaseNumber::default(),
        };
        Ok(self.registry.take(take).await?.is_ok())
    }

    async fn close(&self) {
        close(&*self.registry, self.session).await;
    }

    fn keep(self) -> Sole {
        let (tell, lost) = watch::channel(None);
        let (session, registry) = (self.session, Arc::clone(&self.registry));
        let keeper = AbortOnDropHandle::new(tokio::spawn(async move {
            let by = self.until_lost().await;
            tell.send_replace(Some(by));
            // Whoever listens has to hear of it.
            tell.closed().await;
        }));
        Sole {
            session,
            registry,
            lost,
            keeper,
        }
    }

    /// Renews the session; one that a Redis has lost, or that ended while the process stood still, is begun again.
    async fn until_lost(&self) -> String {
        loop {
            sleep(RENEW).await;
            let Ok(sight) = self.registry.poll(Some((self.session, TTL))).await else {
                continue;
            };
            // An emptied Redis, or another one: nothing is begun there (design §5.15).
            if sight.store != Some(self.identity) {
                continue;
            }
            let holder = holder(&sight);
            let other = holder.filter(|it| *it != self.session);
            let living = |seen: &&Seen| Some(seen.session) == other;
            if let Some(seen) = sight.sessions.iter().find(living) {
                return name(&seen.member);
            }
            if sight.renewed != Some(true) || holder != Some(self.session) {
                // What fails is tried again with the next look.
                let _again = self.open(other).await;
            }
        }
    }
}

fn member() -> Member {
    Member {
        process: ProcessId::random(),
        role: Role::Alone,
        address: place::here().unwrap_or_default().into(),
        weight: 0,
        draining: false,
        version: env!("CARGO_PKG_VERSION").into(),
        formats: format::newest(),
        owned: ShardSet::default(),
    }
}

/// Who has the lease of [`NAME`], or had it when its session ended.
fn holder(sight: &Sight) -> Option<SessionId> {
    sight.lease(&ConnectionId(NAME.into()))?.holder
}

/// A process, for people.
fn name(member: &Member) -> String {
    let Member { role, address, .. } = member;
    match role {
        Role::Alone => "another process of role \"all\"".to_owned(),
        Role::Node => format!("a cluster: node {address}"),
        Role::Front => format!("a cluster: front-end {:032x}", member.process.0),
    }
}

fn in_use(store: &config::Store, by: String) -> Failure {
    let store = store.to_string();
    Failure::StoreInUse { store, by }
}

/// What passes by itself is waited for.
fn passing(store: &config::Store, error: Error) -> Result<(), Failure> {
    match error {
        Error::Io(_) | Error::Unknown(_) | Error::Busy(_) | Error::Full(_) => Ok(()),
        error => Err(store_failure(store, error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use coven_store::registry::MemoryRegistry;
    use tokio::time::Instant;

    use super::*;
    use crate::config::testing::load;

    const STORE: StoreId = StoreId(1);

    fn store() -> config::Store {
        let text = "[store]\nurl = 'redis://localhost'\n[[domain]]\nname = 'a'\n\
            [[upstream]]\naddress = 'localhost:5347'\nsecret = 's'\ndomains = ['a']";
        load(text).store
    }

    async fn start(registry: &MemoryRegistry) -> Result<Sole, Failure> {
        begin(Arc::new(registry.client()), STORE, &store()).await
    }

    fn by(failure: &Failure) -> String {
        match failure {
            Failure::StoreInUse { by, .. } => by.clone(),
            other => other.to_string(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_process_is_refused_as_long_as_the_first_one_lives() {
        let registry = MemoryRegistry::new(STORE);
        let first = start(&registry).await.unwrap();
        for _ in 0..3 {
            let refused = start(&registry).await.unwrap_err();
            assert_eq!(by(&refused), "another process of role \"all\"");
            assert_eq!(refused.exit_code(), 2);
            sleep(TTL * 4).await;
        }
        first.end().await;
        let began = Instant::now();
        start(&registry).await.unwrap();
        assert!(began.elapsed() < LOOK, "waited after a clean end");
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_start_at_once_one_is_refused() {
        let registry = MemoryRegistry::new(STORE);
        let (one, other) = tokio::join!(start(&registry), start(&registry));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_killed_is_waited_for_and_then_gone() {
        let registry = MemoryRegistry::new(STORE);
        drop(start(&registry).await.unwrap());
        let began = Instant::now();
        let _second = start(&registry).await.unwrap();
        let waited = began.elapsed();
        assert!(waited <= TTL + LOOK, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_killed_on_this_machine_is_not_waited_for() {
        let registry = MemoryRegistry::new(STORE);
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let address = place::of(child.id()).unwrap().into();
        child.kill().unwrap();
        child.wait().unwrap();
        let killed = Member {
            address,
            ..member()
        };
        registry.open(SessionId(1), killed, TTL).await.unwrap();
        let began = Instant::now();
        let _second = start(&registry).await.unwrap();
        assert!(
            began.elapsed() < LOOK,
            "waited for a process that has ended"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_redis_that_has_lost_the_sessions_is_told_anew() {
        let registry = MemoryRegistry::new(STORE);
        let mut first = start(&registry).await.unwrap();
        registry.fail_over();
        sleep(RENEW * 2).await;
        assert!(start(&registry).await.is_err());
        let lost = timeout(TTL * 2, first.lost(&store())).await;
        assert!(lost.is_err(), "{lost:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_away_for_too_long_learns_that_another_has_the_store() {
        let registry = MemoryRegistry::new(STORE);
        let client = Arc::new(registry.client());
        let mut first = begin(Arc::clone(&client) as _, STORE, &store())
            .await
            .unwrap();
        client.cut();
        let _second = start(&registry).await.unwrap();
        client.heal();
        let lost = timeout(TTL, first.lost(&store())).await.unwrap();
        assert_eq!(by(&lost), "another process of role \"all\"");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_and_a_process_that_is_alone_refuse_each_other() {
        let registry = MemoryRegistry::new(STORE);
        let node = Member {
            role: Role::Node,
            address: "127.0.0.1:7400".into(),
            ..member()
        };
        let session = SessionId::random();
        registry.open(session, node, TTL).await.unwrap();
        let renewing = registry.client();
        let renewing = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                sleep(RENEW).await;
                renewing.poll(Some((session, TTL))).await.unwrap();
            }
        }));
        let refused = start(&registry).await.unwrap_err();
        assert_eq!(by(&refused), "a cluster: node 127.0.0.1:7400");
        drop(renewing);
        let first = start(&registry).await.unwrap();
        let client: Arc<dyn Registry> = Arc::new(registry.client());
        assert!(none_is_there(&client, &store()).await.is_err());
        first.end().await;
        none_is_there(&client, &store()).await.unwrap();
    }
}
