//! The store and, in a cluster, the registry beside it: how they are opened, and what it means that they cannot be.

use std::sync::Arc;
use std::time::Duration;

use coven_store::{
    Error as StoreError, RedisRegistry, RedisStore, SqliteStore, Store, redis, sqlite,
};
use tracing::error;

use crate::config::{self, Config, Role};
use crate::failure::Failure;
use crate::health::{Health, Part};
use crate::options;

/// The store's name among the parts of the process.
pub const STORE: &str = "store";

/// How long a Redis that cannot be reached is left alone at the start.
const AGAIN: Duration = Duration::from_secs(1);

/// Opens the store that the configuration names. A Redis that cannot be reached is waited for, and `health` says so.
///
/// Errors: in use by another process, of another make, or broken.
pub async fn open_store(config: &Config, health: &Health) -> Result<Arc<dyn Store>, Failure> {
    let (alone, config) = (config.role == Role::All, &config.store);
    match options::store(config, alone) {
        options::Store::Sqlite(options) => open_sqlite(config, options).await,
        options::Store::Redis(options) => open_redis(config, options, &health.part(STORE)).await,
    }
}

async fn open_sqlite(
    config: &config::Store,
    options: sqlite::Options,
) -> Result<Arc<dyn Store>, Failure> {
    let folder = options
        .path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let why = format!(
            "there is no folder {}: make it, or give [store] url another file",
            folder.display()
        );
        return Err(Failure::StoreUnfit {
            store: config.to_string(),
            why,
        });
    }
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await;
    match opened {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => Err(store_failure(config, error)),
        Err(error) => Err(opening_failed(&error)),
    }
}

async fn open_redis(
    config: &config::Store,
    options: redis::Options,
    part: &Part,
) -> Result<Arc<dyn Store>, Failure> {
    let store = patiently(config, part, || {
        let options = options.clone();
        move || RedisStore::open(options)
    })
    .await?;
    Ok(Arc::new(store))
}

/// Opens the registry of the cluster, which is beside the store. A Redis that cannot be reached is waited for.
///
/// Errors: not in Redis, of another make, or broken.
pub async fn open_registry(
    config: &config::Store,
    health: &Health,
) -> Result<RedisRegistry, Failure> {
    let options::Store::Redis(options) = options::store(config, false) else {
        return Err(Failure::StoreUnfit {
            store: config.to_string(),
            why: "processes of a cluster meet in a Redis".to_owned(),
        });
    };
    let part = health.part(STORE);
    patiently(config, &part, || {
        let options = options.clone();
        move || RedisRegistry::open(options)
    })
    .await
}

/// Tries to open what is in Redis, until that can be reached.
async fn patiently<T: Send + 'static, F>(
    config: &config::Store,
    part: &Part,
    open: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    let mut told = false;
    loop {
        let opened = tokio::task::spawn_blocking(open()).await;
        match opened {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(StoreError::Io(why))) => {
                part.down(why.clone());
                if !std::mem::replace(&mut told, true) {
                    error!(event = "store-down", store = %config, why, "redis is waited for");
                }
                tokio::time::sleep(AGAIN).await;
            }
            Ok(Err(error)) => return Err(store_failure(config, error)),
            Err(error) => return Err(opening_failed(&error)),
        }
    }
}

fn opening_failed(error: &tokio::task::JoinError) -> Failure {
    Failure::Internal {
        what: "opening the store",
        why: error.to_string(),
    }
}

/// What to do about a damaged store.
pub const DAMAGE_ADVICE: &str =
    "the store is damaged: keep a copy of its files, and restore a backup (see docs/store.md)";

/// What is damaged in the store that the configuration names, one line for each.
///
/// Errors: in use by another process, of another make, or not in a file.
pub fn check_store(config: &config::Store) -> Result<Vec<String>, Failure> {
    match options::store(config, true) {
        options::Store::Sqlite(options) => {
            SqliteStore::check(options).map_err(|error| store_failure(config, error))
        }
        options::Store::Redis(_) => Err(Failure::StoreUnfit {
            store: config.to_string(),
            why: "only a store in a file is checked as a whole; one in Redis is checked as it is read"
                .to_owned(),
        }),
    }
}

/// What a failure of the store means for the process.
pub fn store_failure(config: &config::Store, error: StoreError) -> Failure {
    let store = config.to_string();
    match error {
        StoreError::Full(why) => Failure::Store {
            store,
            why: format!("{why}: make room and start again"),
        },
        StoreError::Corrupt(why) => Failure::Store {
            store,
            why: format!(
                "it is damaged: {why}: run `coven check-store` to see all, restore a backup"
            ),
        },
        StoreError::Locked { path } => Failure::StoreLocked { path },
        StoreError::Unfit(why) | StoreError::Denied(why) => Failure::StoreUnfit { store, why },
        error => Failure::Store {
            store,
            why: error.to_string(),
        },
    }
}
