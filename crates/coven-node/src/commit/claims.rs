//! A shard that has to be claimed again, over this node's own token: the session was lost, or the store has lost commits or the
//! claim (design §5.1, 5.11; IL-16). What is held meanwhile, and appended again, is in `commit/held.rs`.

use super::held::Waiting;
use super::{Awaited, Committer, InFlight};
use crate::convert;
use coven_cluster::ShardId;
use coven_store::{Claim, CommitNumber, Epoch, Error, Owner, Ownership};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, warn};

impl Committer {
    /// Claims a shard over a token.
    pub(super) fn claim_again(&mut self, shard: ShardId, over: Owner) {
        let epoch = Epoch(self.shared.shards.epoch(shard).0);
        let session = self.shared.sessions.newest();
        let claim = Claim {
            session,
            judged_dead: Some(over),
            known: Epoch(self.shared.shards.known(shard).0),
        };
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        line.on_their_way += 1;
        line.held.claiming = true;
        line.held.claims_as = session;
        let claimed = self.shared.store.claim(convert::shard(shard), claim);
        self.in_flight.push_back(InFlight {
            shard,
            epoch,
            number: CommitNumber::default(),
            sent: Instant::now(),
            answer: Awaited::Claim(claimed),
            events: 0,
            parts: Vec::new(),
            commit: None,
        });
    }

    /// The shard was claimed again, or not.
    pub(super) fn claimed_held(&mut self, shard: ShardId, answer: Result<Ownership, Error>) {
        let own = Epoch(self.shared.shards.epoch(shard).0);
        let is_own = |by: &Owner| self.shared.sessions.is_own(by.session);
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        line.on_their_way -= 1;
        line.held.claiming = false;
        match answer {
            // Released by now: but what its owner has made is not in what this node knows (I1, I2).
            Ok(ownership) if ownership.found > own.max(line.held.granted) => {
                return self.let_go(shard, ownership.epoch, Some(ownership.found));
            }
            Ok(ownership) => self.owned_again(shard, ownership),
            // Our own claim, also one of an earlier session, whose answer was lost (I3).
            Err(Error::Held { owner, .. }) if is_own(&owner) => {
                line.held.granted = line.held.granted.max(owner.epoch);
                line.held.claim = Some(owner);
            }
            // Lost by the store: claimed over, whoever it names (IL-16).
            Err(Error::Held { owner, .. }) if owner.epoch <= own => line.held.claim = Some(owner),
            Err(Error::Held { owner, .. }) => return self.lose(shard, Some(owner.epoch)),
            Err(Error::Fenced { stored, .. }) => {
                return self.lose(shard, stored.map(|by| by.epoch));
            }
            Err(error) => self.say_away(shard, &error),
        }
        self.go_on(shard);
    }

    fn owned_again(&mut self, shard: ShardId, ownership: Ownership) {
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let session = line.held.claims_as;
        line.held.session = session;
        line.held.claim = None;
        line.held.pause = Duration::ZERO;
        let (stored, last) = (ownership.last_commit, line.last);
        if stored.0 > last.0 + line.held.waiting.len() as u64 {
            error!(shard = shard.0, %stored, "the store has commits that this node has never made");
            return self.let_go(shard, ownership.epoch, None);
        }
        let is_newest = session == self.shared.sessions.newest();
        if !is_newest {
            let epoch = ownership.epoch;
            line.held.claim = Some(Owner { epoch, session });
        }
        let epoch = coven_core::Epoch(ownership.epoch.0);
        self.shared.shards.renew(shard, epoch, is_newest);
        if let Some(resumed) = line.held.resumed.take_if(|_| is_newest) {
            let _nobody_waits = resumed.send(());
        }
        if stored < last {
            line.held.has_lost = true;
            let before = line.tail.bytes();
            let again = line.tail.after(stored, last);
            self.tail_bytes -= before - line.tail.bytes();
            let Some(again) = again else {
                return self.gap(shard, ownership);
            };
            warn!(
                shard = shard.0,
                commits = again.len(),
                "what the store has lost is appended again"
            );
            line.last = stored;
            for commit in again.into_iter().rev() {
                let events = 0;
                let parts = Vec::new();
                line.held.waiting.push_front(Waiting {
                    commit,
                    events,
                    since: Instant::now(),
                    parts,
                });
            }
        } else {
            self.stored(shard, stored);
        }
    }

    /// The shard is another's, or to be begun anew: what this node has of it does not count. `epoch`: the one to release.
    pub(super) fn let_go(&mut self, shard: ShardId, epoch: Epoch, by: Option<Epoch>) {
        warn!(event = "fenced", shard = shard.0, "a shard is let go");
        let _forgotten = self.shared.store.release(convert::shard(shard), epoch);
        self.lose(shard, by);
    }

    /// What was held under an earlier epoch has left: from now on all that leaves is said under the shard's own, and what is
    /// owed is sent again under it.
    pub(super) fn say_epoch(&self, shard: ShardId) {
        if let Some(epoch) = self.shared.shards.say(shard) {
            self.shared.announce(shard, epoch);
            self.shared.renewed(shard);
        }
    }

    /// The store has lost more than is kept here: what it has counts.
    fn gap(&mut self, shard: ShardId, ownership: Ownership) {
        self.shared.health.gap();
        error!(
            shard = shard.0,
            stored = %ownership.last_commit,
            "the store has lost more commits than are kept: the shard is begun anew from what it has"
        );
        self.let_go(shard, ownership.epoch, None);
    }

    /// Where the store stands is not known: the shard is to be claimed again.
    pub(super) fn claim_own(&mut self, shard: ShardId) {
        let epoch = Epoch(self.shared.shards.epoch(shard).0);
        if let Some(line) = self.lines.get_mut(&shard) {
            let session = line.held.session;
            line.held.claim.get_or_insert(Owner { epoch, session });
            self.shared.shards.stall(shard, true);
        }
        self.go_on(shard);
    }

    /// Somebody else owns the shard: everything of it that is not durable is void. Who asked for it asks the new owner.
    pub(super) fn lose(&mut self, shard: ShardId, by: Option<Epoch>) {
        self.close_line(shard);
        self.shared
            .lost(shard, by.map(|epoch| coven_core::Epoch(epoch.0)));
    }

    /// Claims a shard again with a new session, when what is on its way has come back.
    pub(super) fn resume(&mut self, shard: ShardId, resumed: oneshot::Sender<()>) {
        let epoch = Epoch(self.shared.shards.epoch(shard).0);
        let Some(line) = self.lines.get_mut(&shard) else {
            return;
        };
        let session = line.held.session;
        line.held.claim.get_or_insert(Owner { epoch, session });
        line.held.resumed = Some(resumed);
        line.held.pause = Duration::ZERO;
        self.shared.shards.stall(shard, true);
        if line.on_their_way == 0 {
            self.try_held(shard);
        }
    }
}
