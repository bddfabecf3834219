//! What a Redis that is full, or was started anew, still does. Each case has a server of its own.

use std::time::Duration;

use coven_store::redis::Durability;
use coven_store::{Error, ProcessId, SessionId};

use super::world::{LONG, World, c1, node, wish};

/// Design §5.14: whoever is there stays, and who holds what can change, although no message would be taken.
#[tokio::test]
async fn sessions_and_leases_work_when_redis_is_full() {
    let Some(redis) = super::own_redis::own() else {
        return;
    };
    let redis = redis.ready().await;
    let world = World::at(redis.url(), "full".to_owned()).await;
    let session = world.open(1, LONG).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert!(
        redis.command(&["SET", "x", "y"]).await.is_none(),
        "it is full"
    );
    let sight = world.one.poll(Some((session, LONG))).await.unwrap();
    assert_eq!(sight.renewed, Some(true));
    world.one.open(SessionId(2), node(2), LONG).await.unwrap();
    assert!(world.one.tell(SessionId(2), node(3)).await.unwrap());
    let number = world.take(1, None).await.unwrap();
    let asked = world.one.ask_to_give_up(&c1(), number, ProcessId(3));
    asked.await.unwrap();
    world.one.release(&c1(), number).await.unwrap();
    world.one.close(session).await.unwrap();
    let sight = world.sight().await;
    assert_eq!(sight.of(ProcessId(3)).unwrap().session, SessionId(2));
}

/// IL-29: a restart or a fail-over loses every session. It shows as another server, and watching begins anew.
#[tokio::test]
async fn il_29_a_restarted_redis_is_another_server() {
    let Some(redis) = super::own_redis::own() else {
        return;
    };
    let redis = redis.ready().await;
    let world = World::at(redis.url(), "again".to_owned()).await;
    let session = world.open(1, LONG).await;
    let before = world.sight().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(world.sight().await.unbroken > Duration::ZERO);
    let redis = redis.restart();
    let answers = async {
        loop {
            if let Ok(sight) = world.two.poll(Some((session, LONG))).await {
                return sight;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let after = tokio::time::timeout(Duration::from_secs(60), answers);
    let after = after.await.expect("it answers again");
    assert_ne!(after.server, before.server);
    assert_eq!(
        (after.unbroken, after.renewed),
        (Duration::ZERO, Some(false))
    );
    assert_eq!(after.store, None, "il_31: it came back empty");
    drop(redis);
}

/// IL-12: nothing is sent under a lease that a fail-over could lose: who takes it is told so only when a replica has it.
#[tokio::test]
async fn il_12_a_lease_that_no_replica_has_is_not_taken() {
    let Some(url) = super::redis_server::url() else {
        return;
    };
    let replica = Some(Durability::Replica);
    let world = World::with(url, "alone".to_owned(), replica).await;
    let taken = world.one.take(wish(1)).await;
    assert!(matches!(taken, Err(Error::Unknown(_))), "{taken:?}");
    world.open(1, LONG).await;
    assert!(
        world.sight().await.has(SessionId(1)),
        "sessions do not wait"
    );
}
