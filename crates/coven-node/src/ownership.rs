//! Taking shards and giving them up (design §5.3, 5.10): what the agent of the cluster asks of a node.
//!
//! Who should own what is decided elsewhere, and may be wrong: safe is only what the store grants. Here is the order of the
//! steps, so that nothing is lost between two owners: what is given up is finished first, durable and acknowledged as far as
//! it is, and what is taken is sent again from where its last owner's output was not acknowledged.

use crate::actor::Message;
use crate::commit::Control;
use crate::fronts::SeatState;
use crate::shared::Shared;
use crate::{convert, receipts, start};
use coven_cluster::{Channel, ShardId, ToFront};
use coven_core::Epoch;
use coven_store::{Claim, Error, Owner, Ownership, Pending, SessionId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

/// Shards that are given up at a time: each is without an owner for a moment only.
const AT_A_TIME: usize = 8;
/// How long a shard may take to be finished before it is given up as it is: its next owner finds what is durable.
const MOST_WAIT: Duration = Duration::from_secs(10);
/// A release that the store did not take is tried again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(1);
/// How long a claim with a new session is waited for: after that it goes on by itself.
const MOST_RESUMING: Duration = Duration::from_secs(1);
/// Channels that are told at a time that there is another front-end, and how long is waited then.
const MEETINGS: usize = 64;
const BETWEEN: Duration = Duration::from_millis(5);
/// So many bytes may wait for a new front-end before more channels begin to send to it.
const PACED_BYTES: usize = 4 * 1024 * 1024;

/// A shard to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// The shard.
    pub shard: ShardId,
    /// The owner that is known to be dead.
    pub judged_dead: Option<Owner>,
    /// The highest epoch of it that was heard of.
    pub known: Epoch,
}

/// What has become of a shard without the agent's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// It has another owner, or has to be claimed anew: this node has dropped it.
    Lost {
        /// The shard.
        shard: ShardId,
        /// The epoch of the other owner, if that is known.
        by: Option<Epoch>,
    },
}

/// Where a channel is, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Where {
    /// Its shard.
    pub shard: ShardId,
    /// The epoch under which this node owns it, if it does.
    pub epoch: Option<Epoch>,
    /// The newest sequence known here, of a channel in memory.
    pub sequence: Option<coven_core::Sequence>,
    /// Whether it is in memory.
    pub loaded: bool,
}

/// Claims shards; what is granted is announced, and what it owes is sent.
pub(crate) async fn take(
    shared: &Arc<Shared>,
    takes: Vec<Take>,
    session: SessionId,
) -> Vec<(ShardId, Result<Epoch, Error>)> {
    if !shared.sessions.begin(session) {
        // There is a newer one: a token that names this one would be a dead owner's.
        return Vec::new();
    }
    let mut claims = JoinSet::new();
    let wanted = takes.into_iter();
    for take in wanted.filter(|take| !shared.shards.owns(take.shard)) {
        let claimed = claim(shared, take, session);
        claims.spawn(async move { (take.shard, claimed.await) });
    }
    let mut answers = Vec::with_capacity(claims.len());
    // As they come: one that is not answered holds up no other.
    while let Some(claimed) = claims.join_next().await {
        let Ok((shard, answer)) = claimed else {
            continue;
        };
        if let Ok(ownership) = &answer {
            own(shared, shard, session, *ownership).await;
        }
        answers.push((shard, answer.map(|it| Epoch(it.epoch.0))));
    }
    let granted = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
    if granted > 0 {
        info!(event = "shard-claimed", shards = granted, "shards are ours");
        shared.taken.notify_one();
    }
    answers
}

fn claim(shared: &Shared, take: Take, session: SessionId) -> Pending<Ownership> {
    let known = shared.shards.known(take.shard).max(take.known);
    let claim = Claim {
        session,
        judged_dead: take.judged_dead,
        known: coven_store::Epoch(known.0),
    };
    shared.store.claim(convert::shard(take.shard), claim)
}

async fn own(shared: &Arc<Shared>, shard: ShardId, session: SessionId, ownership: Ownership) {
    let (done, opened) = oneshot::channel();
    let open = Control::Open {
        shard,
        session,
        last: ownership.last_commit,
        done,
    };
    let _ended = shared.controls.send(open).await;
    let _ended = opened.await;
    let epoch = Epoch(ownership.epoch.0);
    shared.quarantine.taken(shard, shared.options.shards);
    // Another node may have made channels anew meanwhile.
    shared.kept.lose(shard);
    shared.shards.own(shard, epoch);
    shared.announce(shard, epoch);
    shared.spawn(start::take_up(Arc::clone(shared), convert::shard(shard)));
}

/// Gives shards up; ends when they are released, or when that did not succeed in time.
pub(crate) async fn give_up(shared: &Arc<Shared>, shards: Vec<ShardId>) {
    let mut leaving = JoinSet::new();
    for shard in shards {
        if leaving.len() >= AT_A_TIME {
            let _one = leaving.join_next().await;
        }
        leaving.spawn(release(Arc::clone(shared), shard));
    }
    while leaving.join_next().await.is_some() {}
}

async fn release(shared: Arc<Shared>, shard: ShardId) {
    let epoch = shared.epoch(shard);
    if epoch.0 == 0 {
        return;
    }
    shared.shards.leaving(shard);
    if tokio::time::timeout(MOST_WAIT, finished(&shared, shard))
        .await
        .is_err()
    {
        warn!(
            shard = shard.0,
            "not everything of a shard was finished before it was given up"
        );
    }
    let (done, dropped) = oneshot::channel();
    let _ended = shared.controls.send(Control::Drop(shard, done)).await;
    let _ended = dropped.await;
    if let Err(error) = receipts::flush(&shared, shard).await {
        warn!(shard = shard.0, %error, "acknowledgements were not stored: some output will be repeated");
    }
    // Renewed meanwhile, it has another; from here on nothing renews it.
    let epoch = shared.epoch(shard);
    if epoch.0 == 0 {
        return;
    }
    released(&shared, shard, coven_store::Epoch(epoch.0)).await;
    shared.shards.drop(shard);
    shared.kept.lose(shard);
    shared
        .fronts
        .tell_all(&ToFront::Released(vec![(shard, epoch)]));
}

/// Tells the store until it knows, or somebody else owns the shard: a token that names a living session is in everybody's
/// way. What it has not heard in time the agent takes back by that token.
async fn released(shared: &Shared, shard: ShardId, mut epoch: coven_store::Epoch) {
    let (mut pause, until) = (FIRST_PAUSE, Instant::now() + MOST_WAIT);
    let is_own = |by: &Owner| shared.sessions.is_own(by.session);
    loop {
        match shared.store.release(convert::shard(shard), epoch).await {
            // Our own claim, whose answer was lost.
            Err(Error::Fenced {
                stored: Some(by), ..
            }) if is_own(&by) && by.epoch > epoch => epoch = by.epoch,
            Ok(()) | Err(Error::Fenced { .. } | Error::Closed) => return,
            Err(error) => {
                warn!(shard = shard.0, %error, "a shard is not released yet");
                if Instant::now() >= until {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MOST_PAUSE);
            }
        }
    }
}

/// All that was decided is durable, and no channel of the shard is in memory.
async fn finished(shared: &Arc<Shared>, shard: ShardId) {
    let mut leaving = Vec::new();
    for (_, mailbox) in shared.table.of(|of| of == shard) {
        let (done, left) = oneshot::channel();
        let (settle, done) = (true, Some(done));
        mailbox.tell(Message::Leave { settle, done });
        leaving.push(left);
    }
    for left in leaving {
        let _left = left.await;
    }
    let (done, closed) = oneshot::channel();
    let _ended = shared.controls.send(Control::Close(shard, done)).await;
    let _ended = closed.await;
}

/// A shard is known to have another owner with a higher epoch.
pub(crate) async fn heard_of(shared: &Arc<Shared>, shard: ShardId, epoch: Epoch) {
    let own = shared.epoch(shard);
    if own.0 == 0 || epoch <= own {
        return;
    }
    let (done, dropped) = oneshot::channel();
    let _ended = shared.controls.send(Control::Drop(shard, done)).await;
    let _ended = dropped.await;
    shared.lost(shard, Some(epoch));
}

/// The session may have ended: nothing is read or decided until it is sound again.
pub(crate) fn suspend(shared: &Shared) {
    shared.shards.suspend(true);
}

/// There is a new session: every shard is claimed again over this node's own token (design §5.1), and is read again and
/// decided for as soon as it is. Ends when all are, or soon after that.
pub(crate) async fn resume(shared: &Arc<Shared>, session: SessionId) {
    if !shared.sessions.begin(session) {
        return;
    }
    let mut waiting = Vec::new();
    let owned = shared.shards.owned();
    for (shard, _) in &owned {
        shared.shards.outdate(*shard);
    }
    // Each is shut for itself: one that the store does not give does not hold up the others.
    shared.shards.suspend(false);
    for (shard, _) in owned {
        let (done, resumed) = oneshot::channel();
        let _ended = shared.controls.send(Control::Resume(shard, done)).await;
        waiting.push(resumed);
    }
    let all = async {
        for resumed in waiting {
            let _lost = resumed.await;
        }
    };
    if tokio::time::timeout(MOST_RESUMING, all).await.is_err() {
        warn!("not every shard could be claimed with the new session yet");
    }
}

/// Waits until a front-end has taken most of what is for it.
async fn pace(seat: &SeatState) {
    tokio::time::sleep(BETWEEN).await;
    while seat.is_behind(PACED_BYTES) {
        tokio::time::sleep(BETWEEN * 10).await;
    }
}

impl Shared {
    /// A shard is another's: what is in memory of it is void.
    pub(crate) fn lost(self: &Arc<Self>, shard: ShardId, by: Option<Epoch>) {
        let Some(epoch) = self.shards.drop(shard) else {
            return;
        };
        warn!(
            event = "shard-lost",
            shard = shard.0,
            epoch = epoch.0,
            "a shard is not ours any more"
        );
        self.unstored.forget(shard);
        self.kept.lose(shard);
        for (_, mailbox) in self.table.of(|of| of == shard) {
            let (settle, done) = (false, None);
            mailbox.tell(Message::Leave { settle, done });
        }
        self.fronts
            .tell_all(&ToFront::Released(vec![(shard, epoch)]));
        let _nobody_listens = self.events.send(NodeEvent::Lost { shard, by });
    }

    /// A shard goes on under another epoch: what is owed of it is sent again.
    pub(crate) fn renewed(self: &Arc<Self>, shard: ShardId) {
        for (_, mailbox) in self.table.of(|of| of == shard) {
            mailbox.tell(Message::Renew);
        }
    }

    /// Other front-ends hold connections: channels in memory that owe anything send it to them, a few at a time. The others
    /// do so with their next event.
    pub(crate) async fn introduce(self: Arc<Self>, seat: Arc<SeatState>) {
        for (count, (_, mailbox)) in self.table.of(|_| true).into_iter().enumerate() {
            if count % MEETINGS == MEETINGS - 1 {
                pace(&seat).await;
            }
            mailbox.tell(Message::Meet);
        }
    }

    /// A front-end lacks what channels have sent it: they send it again, over a link a few at a time, or it would be more than
    /// may wait for it.
    pub(crate) fn send_again(self: &Arc<Self>, seat: &Arc<SeatState>, mut channels: Vec<Channel>) {
        channels.retain(|channel| self.shards.takes(channel.shard()));
        // The front-end in this process reads on as soon as this returns: nothing that it then hears may come first, since
        // what is answered meanwhile would be dropped (I5).
        let at_once = if seat.is_local {
            channels.len()
        } else {
            MEETINGS
        };
        let rest = channels.split_off(channels.len().min(at_once));
        self.resend(seat, &channels);
        if rest.is_empty() {
            return;
        }
        let (shared, seat) = (Arc::clone(self), Arc::clone(seat));
        self.spawn(async move {
            for some in rest.chunks(MEETINGS) {
                pace(&seat).await;
                shared.resend(&seat, some);
            }
        });
    }

    fn resend(self: &Arc<Self>, seat: &SeatState, channels: &[Channel]) {
        for channel in channels {
            self.table.tell(self, channel, Message::Resend(seat.no));
        }
    }

    /// Where a channel is.
    pub(crate) fn place(&self, channel: &Channel) -> Where {
        let epoch = self.epoch(channel.shard());
        let mailbox = self.table.get(channel);
        Where {
            shard: channel.shard(),
            epoch: Some(epoch).filter(|epoch| epoch.0 != 0),
            sequence: mailbox
                .as_ref()
                .map(|mailbox| crate::table::lock(&mailbox.acks).newest()),
            loaded: mailbox.is_some(),
        }
    }
}
