//! Agents over a real Redis, in real time.

use std::sync::Arc;
use std::time::Duration;

use coven_cluster::agent::Options;
use coven_cluster::{BootClock, claims};
use coven_store::registry::Role;
use coven_store::{RedisRegistry, RedisStore, Store};

use super::cluster::{SHARDS, start, until};
use super::world::seen;

/// A node's store and options, over connections of its own.
async fn process(url: String, number: u128) -> (Arc<dyn Store>, Options) {
    let mut options = coven_store::redis::Options::new(url);
    options.prefix = "agents".into();
    options.shards = SHARDS;
    let open = move || {
        let store = RedisStore::open(options.clone()).unwrap();
        let identity = store.identity().wait().unwrap();
        let registry = Arc::new(RedisRegistry::open(options).unwrap());
        let member = seen(number, Role::Node).member;
        let mut options = Options::new(registry, Arc::new(BootClock), member, identity);
        options.claims = claims::Limits {
            calm: Duration::from_secs(1),
            ..claims::Limits::default()
        };
        let store: Arc<dyn Store> = Arc::new(store);
        (store, options)
    };
    tokio::task::spawn_blocking(open).await.unwrap()
}

/// Shares, a kill, and a stop. How long it takes is printed: on a busy machine that says nothing of the 7 s of the design.
#[tokio::test]
async fn a_killed_node_is_replaced_and_so_is_one_that_stops() {
    let Some(url) = super::redis_server::url() else {
        return;
    };
    let all = usize::from(SHARDS);
    let (store, options) = process(url.clone(), 1).await;
    let (one_handle, one, _one_runs) = start(store, options);
    until(|| one.serves().len() == all).await;
    let (store, options) = process(url.clone(), 2).await;
    let (_handle, two, two_runs) = start(store, options);
    until(|| two.serves().len() >= all / 4 && one.serves().len() + two.serves().len() == all).await;
    two_runs.abort();
    let took = until(|| one.serves().len() == all).await;
    println!("a killed node was replaced after {took:?}");
    let (store, options) = process(url, 3).await;
    let (handle, three, _three_runs) = start(store, options);
    until(|| handle.health().borrow().session.is_some()).await;
    one_handle.stop(Duration::from_secs(10)).await;
    let took = until(|| three.serves().len() == all).await;
    println!("a node that stopped was replaced after {took:?}");
}
