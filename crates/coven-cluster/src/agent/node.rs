//! The agent of a node: claims shards, gives them up, and keeps the node from speaking when it may not.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use coven_core::Epoch;
use coven_store::registry::{Registry, Request, Role, Sight};
use coven_store::{ChannelKey, Error, Owner, SessionId, Store};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::core::{Core, OVERDUE, PATIENCE};
use super::{Event, Handle, Options, Take};
use crate::claims::{Claims, Plan, View, candidates};
use crate::judge::{self, Departed};
use crate::leases::Unreached;
use crate::rendezvous::{Thing, ranking};
use crate::session::Change;
use crate::{ProcessId, ShardId};

/// What an agent does with a node; `coven-node`'s handle has it all.
pub trait NodeControl: Send + Sync + 'static {
    /// Claims shards, and takes up those that are granted.
    fn take(
        &self,
        shards: Vec<Take>,
        session: SessionId,
    ) -> impl Future<Output = Vec<(ShardId, Result<Epoch, Error>)>> + Send;

    /// Gives shards up; ends when they are released.
    fn give_up(&self, shards: Vec<ShardId>) -> impl Future<Output = ()> + Send;

    /// Nothing is read or decided any more.
    fn suspend(&self);

    /// There is a session again: every shard is claimed with it. Ends when each is this node's again, or lost.
    fn resume(&self, session: SessionId) -> impl Future<Output = ()> + Send;

    /// The shards of this node.
    fn owned(&self) -> Vec<(ShardId, Epoch)>;

    /// Front-ends whose link is up.
    fn linked(&self) -> BTreeSet<ProcessId>;

    /// Records may be written in this format (I7). Said with each poll.
    fn finalized(&self, format: u32) {
        let _ = format;
    }

    /// The channels that operators have put in quarantine (I10). Said with each poll.
    fn quarantined(&self, channels: &BTreeSet<ChannelKey>) {
        let _ = channels;
    }

    /// The shards in which something of a newer version was met since this was asked last (I7).
    fn beyond(&self) -> BTreeSet<ShardId> {
        BTreeSet::new()
    }

    /// A process' session ended long ago, and it has no link: what is kept for it goes.
    fn forget_process(&self, process: ProcessId) -> impl Future<Output = ()> + Send;
}

/// The agent of a node.
pub struct NodeAgent<C> {
    core: Core,
    control: Arc<C>,
    store: Arc<dyn Store>,
    claims: Claims,
    departed: Departed,
    unreached: Unreached,
    /// Those of this process so far.
    sessions: BTreeSet<SessionId>,
    /// The highest epochs heard of.
    epochs: BTreeMap<ShardId, Epoch>,
    /// Shards that are just being claimed or given up.
    busy: BTreeSet<ShardId>,
    /// A session is being taken up: nothing else is claimed.
    resuming: bool,
    /// Which shard was handed over to which newer node.
    handed_over: BTreeSet<(ShardId, ProcessId)>,
    tasks: JoinSet<Done>,
}

/// What a task has done.
#[derive(Debug)]
enum Done {
    Resumed(SessionId),
    Claimed(Claimed),
    GaveUp(ShardId),
    /// It was asked for, or could not be.
    HandedOver(ShardId, ProcessId, bool),
    Told,
}

/// What has become of claims.
#[derive(Debug, Default)]
struct Claimed {
    asked: Vec<ShardId>,
    heard: Vec<(ShardId, Epoch)>,
    results: Vec<(ShardId, Result<Epoch, Error>)>,
}

impl<C> std::fmt::Debug for NodeAgent<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeAgent").finish_non_exhaustive()
    }
}

impl<C: NodeControl> NodeAgent<C> {
    /// An agent for a node of a store with so many shards. Nothing happens before it runs.
    pub fn new(options: Options, shards: u16, store: Arc<dyn Store>, control: C) -> (Self, Handle) {
        let (handle, outlet) = Handle::new();
        let me = options.member.process;
        let agent = Self {
            claims: Claims::new(me, shards, options.claims),
            core: Core::new(options, outlet),
            control: Arc::new(control),
            store,
            departed: Departed::default(),
            unreached: Unreached::default(),
            sessions: BTreeSet::new(),
            epochs: BTreeMap::new(),
            busy: BTreeSet::new(),
            resuming: false,
            handed_over: BTreeSet::new(),
            tasks: JoinSet::new(),
        };
        (agent, handle)
    }

    /// Works until it is told to stop. The node is suspended when it starts, and when it ends.
    pub async fn run(mut self) {
        self.control.suspend();
        loop {
            for change in self.core.poll().await {
                self.change(change);
            }
            while let Some(done) = self.tasks.try_join_next() {
                self.done(done);
            }
            self.core.open_fence(!self.resuming);
            self.tell().await;
            self.act();
            let has_something = self.has_something();
            self.core.publish(has_something, Vec::new());
            if self.core.is_over(has_something) {
                break;
            }
            let hurry = !self.tasks.is_empty() || self.is_anybody_leaving();
            self.rest(hurry).await;
        }
        self.control.suspend();
        self.tasks.shutdown().await;
        self.core.end().await;
    }

    /// Waits until the next poll is due. What is done meanwhile is told at once, since others wait for it, and more is begun: a
    /// drain of a thousand shards would else take that many polls.
    async fn rest(&mut self, hurry: bool) {
        let due = self.core.due(hurry);
        loop {
            tokio::select! {
                // The poll renews the session: it waits for nobody.
                biased;
                _asked = self.core.pause_until(due) => return,
                Some(done) = self.tasks.join_next() => {
                    let mut is_news = self.done(done);
                    while let Some(done) = self.tasks.try_join_next() {
                        is_news |= self.done(done);
                    }
                    if is_news {
                        self.tell().await;
                        self.act();
                    }
                }
            }
        }
    }

    fn change(&mut self, change: Change) {
        self.core.report(change);
        match change {
            Change::Suspended(_) => self.control.suspend(),
            Change::Resumed(session) => {
                self.sessions.insert(session);
                self.resume(session);
            }
        }
    }

    /// Takes up a session; after the one that is just being taken up, if there is one.
    fn resume(&mut self, session: SessionId) {
        if self.resuming {
            return;
        }
        self.resuming = true;
        let control = Arc::clone(&self.control);
        self.tasks.spawn(async move {
            control.resume(session).await;
            Done::Resumed(session)
        });
    }

    /// Says which shards are this node's.
    async fn tell(&mut self) {
        let owned = self.owned();
        let owned = owned
            .iter()
            .map(|shard| coven_store::ShardId(shard.0))
            .collect();
        self.core.tell(|member| member.owned = owned).await;
    }

    /// Plans, and begins what is planned.
    fn act(&mut self) {
        let (Some(session), Some(sight)) = (self.core.valid(), self.core.sight.clone()) else {
            return;
        };
        if self.core.health.unreachable.is_some() || self.resuming {
            return;
        }
        let owned = self.owned();
        let plan = self.claims.plan(View {
            now: self.core.options.clock.now(),
            sight: &sight,
            owned: &owned,
            busy: &self.busy,
            draining: self.core.is_draining(),
        });
        self.begin(plan, session, &sight);
        self.ask_for_leases(&sight);
        self.forget_departed(&sight);
        self.control.finalized(sight.format);
        self.control.quarantined(&sight.requests.quarantined);
        self.hand_over(&sight);
    }

    /// Has shards that this node cannot read moved to a node that can, once for each such node: it stays there as long as
    /// that is there, so that nothing goes back and forth (I7).
    fn hand_over(&mut self, sight: &Sight) {
        let me = &self.core.options.member;
        for shard in self.control.beyond() {
            let Some(newer) = newer_node(shard, me.formats, sight) else {
                error!(
                    shard = shard.0,
                    "what a newer version has written cannot be read here, and no newer node is there"
                );
                continue;
            };
            if !self.handed_over.insert((shard, newer)) {
                continue;
            }
            warn!(shard = shard.0, to = %format!("{:032x}", newer.0), "a newer version has to go on");
            let registry = Arc::clone(&self.core.options.registry);
            let request = Request::Move(coven_store::ShardId(shard.0), Some(newer));
            self.tasks.spawn(async move {
                let answer = registry.request(request).await;
                Done::HandedOver(shard, newer, answer.is_ok())
            });
        }
    }

    fn begin(&mut self, plan: Plan, session: SessionId, sight: &Arc<Sight>) {
        let Plan { claim, give_up } = plan;
        self.busy.extend(claim.iter().chain(&give_up));
        if !claim.is_empty() {
            let known = |shard: &ShardId| self.epochs.get(shard).copied().unwrap_or(Epoch(0));
            let wanted: Vec<_> = claim.iter().map(|shard| (*shard, known(shard))).collect();
            let (control, store) = (Arc::clone(&self.control), Arc::clone(&self.store));
            let (sight, ttl) = (Arc::clone(sight), self.core.options.timing.ttl);
            let registry = Arc::clone(&self.core.options.registry);
            let own = self.sessions.clone();
            self.tasks.spawn(async move {
                let seen = (&*registry, &*sight, ttl);
                let mut claimed = look(&*store, wanted, &own, seen).await;
                let takes = std::mem::take(&mut claimed.1);
                let mut claimed = claimed.0;
                if !takes.is_empty() {
                    claimed.results = control.take(takes, session).await;
                }
                Done::Claimed(claimed)
            });
        }
        // Each for itself: it is told of as soon as it is released.
        for shard in give_up {
            let control = Arc::clone(&self.control);
            self.tasks.spawn(async move {
                control.give_up(vec![shard]).await;
                Done::GaveUp(shard)
            });
        }
    }

    /// Asks holders that this node does not reach to give up what they hold (IL-14).
    fn ask_for_leases(&mut self, sight: &Sight) {
        let (now, patience) = (self.core.options.clock.now(), self.core.options.unreached);
        let linked = self.control.linked();
        let me = self.core.options.member.process;
        for (connection, number) in self.unreached.update(now, sight, &linked, patience) {
            warn!(connection = %connection.0, "its holder is not reached: it is asked to give it up");
            let registry = Arc::clone(&self.core.options.registry);
            self.tasks.spawn(async move {
                let _asked_again = registry.ask_to_give_up(&connection, number, me).await;
                Done::Told
            });
        }
    }

    fn forget_departed(&mut self, sight: &Sight) {
        let options = &self.core.options;
        let limits = (options.timing.ttl, options.keep_departed);
        let linked = self.control.linked();
        let over = self
            .departed
            .update(options.clock.now(), sight, &linked, limits);
        for process in over {
            let control = Arc::clone(&self.control);
            self.tasks.spawn(async move {
                control.forget_process(process).await;
                Done::Told
            });
        }
    }

    /// Takes in what a task has done. Tells whether more may follow from it: what was only said is said again with a poll.
    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) -> bool {
        let is_news = !matches!(done, Ok(Done::Told | Done::HandedOver(..)));
        match done {
            Ok(Done::Resumed(session)) => self.resumed(session),
            Ok(Done::Claimed(claimed)) => self.claimed(claimed),
            Ok(Done::GaveUp(shard)) => {
                info!(shard = shard.0, "a shard is given up");
                self.busy.remove(&shard);
                self.core.say(Event::GaveUp(shard));
            }
            Ok(Done::HandedOver(shard, newer, false)) => {
                self.handed_over.remove(&(shard, newer));
            }
            Ok(Done::HandedOver(..) | Done::Told) => {}
            // A fault of ours that ends the task ends the agent too, and with it the process.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
        is_news
    }

    /// A session is taken up. If there is another by now, that one is next.
    fn resumed(&mut self, session: SessionId) {
        self.resuming = false;
        match self.core.valid() {
            Some(now) if now != session => self.resume(now),
            Some(_) => {}
            None => self.control.suspend(),
        }
    }

    fn claimed(&mut self, claimed: Claimed) {
        for (shard, epoch) in claimed.heard {
            self.heard(shard, epoch);
        }
        for (shard, result) in &claimed.results {
            match result {
                Ok(epoch) => {
                    info!(event = "shard-claimed", shard = shard.0, epoch = epoch.0);
                    self.heard(*shard, *epoch);
                    self.core.say(Event::Claimed(*shard));
                }
                // Another node was first.
                Err(error @ Error::Held { .. }) => {
                    debug!(shard = shard.0, %error, "a claim was refused");
                }
                Err(error) => warn!(shard = shard.0, %error, "a claim was refused"),
            }
        }
        let owned = self.owned();
        let now = self.core.options.clock.now();
        for shard in claimed.asked {
            self.busy.remove(&shard);
            if !owned.contains(&shard) {
                self.claims.refused(shard, now);
            }
        }
    }

    fn heard(&mut self, shard: ShardId, epoch: Epoch) {
        let known = self.epochs.entry(shard).or_insert(epoch);
        *known = (*known).max(epoch);
    }

    fn owned(&self) -> BTreeSet<ShardId> {
        self.control
            .owned()
            .into_iter()
            .map(|(shard, _)| shard)
            .collect()
    }

    fn has_something(&self) -> bool {
        !self.busy.is_empty() || !self.control.owned().is_empty()
    }

    /// Somebody gives shards up, or may be dead: others are to take them soon.
    fn is_anybody_leaving(&self) -> bool {
        self.core.sight.as_ref().is_some_and(|sight| {
            let mut others = sight
                .sessions
                .iter()
                .filter(|it| !it.member.owned.is_empty());
            others.any(|it| it.member.draining || it.remaining < OVERDUE)
        })
    }
}

/// The node that reads more than this one and has the best claim to a shard.
fn newer_node(shard: ShardId, formats: u32, sight: &Sight) -> Option<ProcessId> {
    let mut nodes = candidates(sight, Role::Node);
    nodes.retain(|node| {
        sight
            .of(node.process)
            .is_some_and(|seen| seen.member.formats > formats)
    });
    let ranks = ranking(Thing::number(shard.0), &nodes);
    ranks.first().copied()
}

/// Reads the tokens of shards; answers what is to be taken of them. Who is dead is judged by a sight that is younger than the
/// tokens: a process may have taken a session since the last one, and its shards with it (IL-29).
async fn look(
    store: &dyn Store,
    wanted: Vec<(ShardId, Epoch)>,
    own: &BTreeSet<SessionId>,
    (registry, sight, ttl): (&dyn Registry, &Sight, Duration),
) -> (Claimed, Vec<Take>) {
    let mut claimed = Claimed::default();
    let mut tokens = Vec::new();
    // All are asked for before the first answer is awaited.
    let reads: Vec<_> = wanted
        .into_iter()
        .map(|(shard, known)| (shard, known, store.owner(coven_store::ShardId(shard.0))))
        .collect();
    for (shard, known, read) in reads {
        claimed.asked.push(shard);
        let Ok(owner) = read.await else { continue };
        if let Some(owner) = owner {
            claimed.heard.push((shard, Epoch(owner.epoch.0)));
        }
        tokens.push((shard, owner, known));
    }
    let judged = |sight: &Sight| {
        let take = |(shard, owner, known): &(ShardId, Option<Owner>, Epoch)| {
            judge::take(*shard, *owner, *known, own, (sight, ttl))
        };
        tokens.iter().filter_map(take).collect::<Vec<_>>()
    };
    let takes = judged(sight);
    let is_dead = |take: &Take| {
        take.judged_dead
            .is_some_and(|by| !own.contains(&by.session))
    };
    if !takes.iter().any(is_dead) {
        return (claimed, takes);
    }
    match tokio::time::timeout(PATIENCE, registry.poll(None)).await {
        Ok(Ok(sight)) => (claimed, judged(&sight)),
        _ => (claimed, Vec::new()),
    }
}
