//! What every registry does.

use std::time::Duration;

use coven_store::registry::{Request, Sight};
use coven_store::{LeaseNumber, ProcessId, SessionId, ShardId};
use tokio::time::Instant;

use super::world::{LONG, SHORT, World, c1, node, wish};

pub(crate) async fn a_session_is_seen_by_all_with_what_it_says(world: World) {
    let mut member = node(7);
    member.owned = [ShardId(3), ShardId(700)].into_iter().collect();
    let opened = world.one.open(SessionId(1), member.clone(), LONG);
    opened.await.unwrap();
    let sight = world.sight().await;
    let seen = sight.of(ProcessId(7)).unwrap();
    assert_eq!((seen.session, &seen.member), (SessionId(1), &member));
    assert!(seen.remaining <= LONG && seen.remaining > LONG / 2);
    assert!(sight.has(SessionId(1)) && !sight.has(SessionId(2)));
}

pub(crate) async fn a_session_ends_with_its_time(world: World) {
    let short = world.open(1, SHORT).await;
    let long = world.open(2, LONG).await;
    let sight = until(&world, |sight| !sight.has(short)).await;
    assert!(sight.has(long));
}

pub(crate) async fn a_renewed_session_lasts(world: World) {
    // Long enough for whoever is to renew it.
    const FIRST: Duration = Duration::from_secs(4);
    let session = world.open(1, FIRST).await;
    let renewed = world.one.poll(Some((session, LONG))).await.unwrap();
    assert_eq!(renewed.renewed, Some(true));
    tokio::time::sleep(FIRST + SHORT).await;
    let sight = world.sight().await;
    assert!(sight.of(ProcessId(1)).unwrap().remaining > FIRST);
    assert_eq!(sight.renewed, None);
}

pub(crate) async fn a_session_that_is_over_is_not_renewed(world: World) {
    let session = world.open(1, SHORT).await;
    until(&world, |sight| !sight.has(session)).await;
    let sight = world.one.poll(Some((session, LONG))).await.unwrap();
    assert_eq!((sight.renewed, sight.has(session)), (Some(false), false));
    assert!(!world.one.tell(session, node(1)).await.unwrap());
    assert!(!world.sight().await.has(session));
}

pub(crate) async fn a_closed_session_is_gone_at_once(world: World) {
    let session = world.open(1, LONG).await;
    world.one.close(session).await.unwrap();
    world.one.close(SessionId(99)).await.unwrap();
    assert!(world.sight().await.sessions.is_empty());
}

pub(crate) async fn what_a_session_says_is_replaced(world: World) {
    let session = world.open(1, LONG).await;
    let mut member = node(1);
    member.draining = true;
    assert!(world.one.tell(session, member.clone()).await.unwrap());
    assert_eq!(world.sight().await.of(ProcessId(1)).unwrap().member, member);
}

pub(crate) async fn a_lease_has_one_holder(world: World) {
    let number = world.take(1, None).await.unwrap();
    let refused = world.two.take(wish(2)).await.unwrap().unwrap_err();
    assert_eq!(
        (refused.holder, refused.number),
        (Some(SessionId(1)), number)
    );
    let lease = world.lease().await;
    assert_eq!(*refused, lease);
    assert_eq!((lease.connection, lease.way), (c1(), wish(1).way));
}

pub(crate) async fn the_number_of_a_lease_is_above_all_that_is_known(world: World) {
    let first = world.take(1, None).await.unwrap();
    assert!(first.0 > 0 && first.0 >= world.sight().await.now.0 / 2);
    let second = world.take(2, Some(1)).await.unwrap();
    assert!(second > first);
    let mut take = wish(3);
    take.judged_dead = Some(SessionId(2));
    take.known = LeaseNumber(1 << 50);
    let third = world.two.take(take).await.unwrap().unwrap();
    assert_eq!(third, LeaseNumber((1 << 50) + 1));
}

pub(crate) async fn the_holder_judged_dead_is_replaced(world: World) {
    world.take(1, None).await.unwrap();
    assert_eq!(world.take(2, Some(9)).await, None);
    assert!(world.take(2, Some(1)).await.is_some());
    assert_eq!(world.lease().await.holder, Some(SessionId(2)));
}

pub(crate) async fn a_holder_that_asks_again_gets_a_new_number(world: World) {
    let first = world.take(1, None).await.unwrap();
    let again = world.take(1, None).await.unwrap();
    assert!(again > first);
    assert_eq!(world.lease().await.number, again);
}

pub(crate) async fn a_released_lease_is_free_and_its_number_stays(world: World) {
    let number = world.take(1, None).await.unwrap();
    world.one.release(&c1(), number).await.unwrap();
    let lease = world.lease().await;
    assert_eq!((lease.holder, lease.number), (None, number));
    assert!(world.take(2, None).await.unwrap() > number);
}

pub(crate) async fn only_the_lease_of_this_number_is_released(world: World) {
    let first = world.take(1, None).await.unwrap();
    let second = world.take(2, Some(1)).await.unwrap();
    world.one.release(&c1(), first).await.unwrap();
    let lease = world.lease().await;
    assert_eq!((lease.holder, lease.number), (Some(SessionId(2)), second));
}

pub(crate) async fn il_14_a_lease_is_asked_to_be_given_up(world: World) {
    let number = world.take(1, None).await.unwrap();
    let ask = |number, by| world.one.ask_to_give_up(&c1(), number, ProcessId(by));
    ask(LeaseNumber(number.0 + 1), 70).await.unwrap();
    assert_eq!(world.lease().await.asked_by, None);
    ask(number, 71).await.unwrap();
    ask(number, 72).await.unwrap();
    let lease = world.lease().await;
    let asked = (lease.asked_by, lease.holder, lease.number);
    assert_eq!(asked, (Some(ProcessId(71)), Some(SessionId(1)), number));
    world.one.release(&c1(), number).await.unwrap();
    assert_eq!(world.lease().await.asked_by, None);
    ask(number, 73).await.unwrap();
    assert_eq!(world.lease().await.asked_by, None, "nobody holds it");
}

pub(crate) async fn operators_ask_and_take_back(world: World) {
    let (process, shard) = (ProcessId(5), ShardId(42));
    let request = |request| world.one.request(request);
    request(Request::Drain(process)).await.unwrap();
    request(Request::Move(shard, Some(process))).await.unwrap();
    let requests = world.sight().await.requests;
    assert!(requests.draining.contains(&process));
    assert_eq!(requests.moved.get(&shard), Some(&process));
    request(Request::Undrain(process)).await.unwrap();
    request(Request::Move(shard, None)).await.unwrap();
    assert_eq!(world.sight().await.requests, Default::default());
}

pub(crate) async fn il_31_the_store_is_named(world: World) {
    assert_eq!(world.sight().await.store, Some(world.store));
}

pub(crate) async fn unbroken_counts_from_the_first_poll(world: World) {
    let first = world.sight().await;
    assert_eq!(first.unbroken, Duration::ZERO);
    tokio::time::sleep(SHORT).await;
    let later = world.sight().await;
    assert!(later.unbroken >= SHORT && later.unbroken < LONG);
    assert_eq!(later.server, first.server);
    assert!(!later.server.is_empty());
}

/// What is seen as soon as something is so.
async fn until(world: &World, is: impl Fn(&Sight) -> bool) -> Sight {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let sight = world.sight().await;
        if is(&sight) {
            return sight;
        }
        assert!(Instant::now() < end, "never so: {sight:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
