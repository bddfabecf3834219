//! The registries under test, and a short way to tell a case.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coven_store::redis::Durability;
use coven_store::registry::{Lease, Member, Role, ShardSet, Sight, TakeLease, Way};
use coven_store::{
    ConnectionId, LeaseNumber, MemoryRegistry, ProcessId, RedisRegistry, RedisStore, Registry,
    SessionId, Store, StoreId,
};

/// A time to live that no case waits for.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// One that cases wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// Two clients of one registry.
pub(crate) struct World {
    pub(crate) one: Arc<dyn Registry>,
    pub(crate) two: Arc<dyn Registry>,
    pub(crate) store: StoreId,
}

impl World {
    pub(crate) fn memory() -> Self {
        let store = StoreId(11);
        let one = MemoryRegistry::new(store);
        Self {
            two: Arc::new(one.client()),
            one: Arc::new(one),
            store,
        }
    }

    /// A registry of its own in the Redis of this run; `None` where there is no Redis to be had.
    pub(crate) async fn redis() -> Option<Self> {
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let url = super::redis_server::url()?;
        let prefix = format!("registry{}", WORLDS.fetch_add(1, Ordering::Relaxed));
        Some(Self::at(url, prefix).await)
    }

    /// The registry of this name in this Redis.
    pub(crate) async fn at(url: String, prefix: String) -> Self {
        Self::with(url, prefix, None).await
    }

    pub(crate) async fn with(url: String, prefix: String, durability: Option<Durability>) -> Self {
        let mut options = coven_store::redis::Options::new(url);
        options.prefix = prefix.into();
        options.durability = durability;
        let open = move || {
            let store = RedisStore::open(options.clone()).unwrap();
            let store = store.identity().wait().unwrap();
            let client = || Arc::new(RedisRegistry::open(options.clone()).unwrap());
            Self {
                one: client(),
                two: client(),
                store,
            }
        };
        tokio::task::spawn_blocking(open).await.unwrap()
    }

    /// Begins a session of the process of the same number.
    pub(crate) async fn open(&self, number: u128, ttl: Duration) -> SessionId {
        let session = SessionId(number);
        self.one.open(session, node(number), ttl).await.unwrap();
        session
    }

    /// What the other client sees.
    pub(crate) async fn sight(&self) -> Sight {
        self.two.poll(None).await.unwrap()
    }

    /// What the other client sees of the only lease.
    pub(crate) async fn lease(&self) -> Lease {
        let sight = self.sight().await;
        sight.lease(&c1()).unwrap().clone()
    }

    /// Takes the connection of all cases.
    pub(crate) async fn take(&self, session: u128, dead: Option<u128>) -> Option<LeaseNumber> {
        let mut take = wish(session);
        take.judged_dead = dead.map(SessionId);
        self.one.take(take).await.unwrap().ok()
    }
}

/// What a node says of itself.
pub(crate) fn node(number: u128) -> Member {
    Member {
        process: ProcessId(number),
        role: Role::Node,
        address: "127.0.0.1:7400".into(),
        weight: 1,
        draining: false,
        version: "1.0 (test)".into(),
        formats: 1,
        owned: ShardSet::default(),
    }
}

/// The connection of all cases.
pub(crate) fn c1() -> ConnectionId {
    ConnectionId("chat.example at 127.0.0.1:5347".into())
}

/// A wish to hold it.
pub(crate) fn wish(session: u128) -> TakeLease {
    TakeLease {
        connection: c1(),
        way: Way {
            group: "main".into(),
            space: "chat.example".into(),
            server_node: "127.0.0.1:5347".into(),
        },
        session: SessionId(session),
        judged_dead: None,
        known: LeaseNumber(0),
    }
}
