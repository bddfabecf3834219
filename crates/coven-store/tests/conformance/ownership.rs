//! Who may write: claims, epochs, releases.

use coven_store::{Claim, Epoch, Error, Receipts, Retention, SessionId, ShardId};

use super::world::{Channel, SHARD, World};

pub(crate) fn i1_only_the_newest_owner_writes(world: &mut World) {
    let mut old = world.own(SHARD);
    let mut channel = Channel::created(&mut old, "coven");
    world.claim(SHARD, 2).unwrap();

    let change = channel.says("too late");
    assert!(matches!(old.refused(vec![change]), Error::Fenced { .. }));
    let (store, epoch, key) = (&old.store, old.epoch, &channel.key);
    assert!(matches!(old.snapshot(key, 1), Err(Error::Fenced { .. })));
    let fenced = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::Fenced { .. })), "{result:?}")
    };
    fenced(store.acknowledge(SHARD, epoch, Receipts::default()).wait());
    fenced(store.list(SHARD, epoch, Vec::new()).wait());
    fenced(store.forget_process(SHARD, epoch, 1.into()).wait());
    fenced(store.release(SHARD, epoch).wait());
    fenced(
        store
            .expire(SHARD, epoch, Retention::default())
            .wait()
            .map(|_| ()),
    );
    // Nor one who believes in a future epoch.
    fenced(store.release(SHARD, Epoch(u64::MAX)).wait());
    assert_eq!(old.load(key).unwrap().head.0, 1);
}

pub(crate) fn a_living_owner_is_not_displaced(world: &mut World) {
    let granted = world.claim(SHARD, 1).unwrap();
    let claim = Claim {
        session: SessionId(2),
        judged_dead: None,
        known: Epoch(0),
    };
    let refused = world.store.claim(SHARD, claim).wait().unwrap_err();
    let Error::Held { owner, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!((owner.epoch, owner.session), (granted.epoch, SessionId(1)));
    assert_eq!(world.store.owner(SHARD).wait().unwrap(), Some(owner));

    // Somebody else was judged dead: the same session, at an earlier epoch.
    let other = coven_store::Owner {
        epoch: Epoch(owner.epoch.0 - 1),
        ..owner
    };
    let claim = Claim {
        judged_dead: Some(other),
        ..claim
    };
    assert!(matches!(
        world.store.claim(SHARD, claim).wait(),
        Err(Error::Held { .. })
    ));
}

pub(crate) fn the_owner_judged_dead_is_displaced(world: &mut World) {
    let first = world.claim(SHARD, 1).unwrap();
    let second = world.claim(SHARD, 2).unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!(
        world.store.owner(SHARD).wait().unwrap().unwrap().session,
        SessionId(2)
    );
}

pub(crate) fn an_epoch_is_above_all_that_is_known(world: &mut World) {
    let claim = Claim {
        session: SessionId(1),
        judged_dead: None,
        known: Epoch(1_000),
    };
    let granted = world.store.claim(SHARD, claim).wait().unwrap();
    assert!(granted.epoch > Epoch(1_000));
    assert!(world.claim(SHARD, 2).unwrap().epoch > granted.epoch);
}

pub(crate) fn release_lets_anybody_claim(world: &mut World) {
    let owner = world.own(SHARD);
    world.store.release(SHARD, owner.epoch).wait().unwrap();
    assert_eq!(world.store.owner(SHARD).wait().unwrap(), None);
    assert!(matches!(
        world.store.release(SHARD, owner.epoch).wait(),
        Err(Error::Fenced { .. })
    ));
    let claim = Claim {
        session: SessionId(2),
        judged_dead: None,
        known: Epoch(0),
    };
    let claimed = world.store.claim(SHARD, claim).wait().unwrap();
    assert!(claimed.epoch > owner.epoch);
    assert_eq!(
        claimed.found, owner.epoch,
        "who was there meanwhile is not seen"
    );
}

pub(crate) fn a_restart_leaves_no_owner_but_the_epoch(world: &mut World) {
    let first = world.claim(SHARD, 1).unwrap();
    world.restart();
    if world.shared {
        // Somebody else has to judge it dead.
        let owner = world.store.owner(SHARD).wait().unwrap().unwrap();
        assert_eq!((owner.epoch, owner.session), (first.epoch, SessionId(1)));
        assert!(world.claim(SHARD, 2).unwrap().epoch > first.epoch);
        return;
    }
    assert_eq!(world.store.owner(SHARD).wait().unwrap(), None);
    let claim = Claim {
        session: SessionId(2),
        judged_dead: None,
        known: Epoch(0),
    };
    assert!(world.store.claim(SHARD, claim).wait().unwrap().epoch > first.epoch);
}

pub(crate) fn the_identity_stays(world: &mut World) {
    let identity = world.store.identity().wait().unwrap();
    world.restart();
    assert_eq!(world.store.identity().wait().unwrap(), identity);
    assert_ne!(World::memory().store.identity().wait().unwrap(), identity);
}

pub(crate) fn a_closed_store_answers_closed(world: &mut World) {
    let owner = world.own(SHARD);
    world.store.close().wait().unwrap();
    assert_eq!(world.store.identity().wait(), Err(Error::Closed));
    assert_eq!(world.store.owner(SHARD).wait(), Err(Error::Closed));
    assert_eq!(world.store.unsent(ShardId(1)).wait(), Err(Error::Closed));
    assert_eq!(
        world.store.release(SHARD, owner.epoch).wait(),
        Err(Error::Closed)
    );
    world.store.close().wait().unwrap();
}
