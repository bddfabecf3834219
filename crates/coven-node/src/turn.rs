//! One turn of a channel: a command decided. What that leads to is in [`crate::effects`], what its sender is told alone in
//! [`crate::reply`].

use crate::actor::{RETRY_MS, Room, Soundness};
use crate::archive;
use crate::commit::wait;
use crate::fronts::Seats;
use crate::operations::{self, Verdict};
use crate::quota;
use crate::shards::Way;
use crate::shared;
use coven_cluster::{Operation, Request as Asked};
use coven_core::channel::{Decision, Facts};
use coven_core::command::{Command, Resolved};
use coven_core::{Condition, Refusal, Sender, Sequence, Timestamp};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::error;

/// Panics in a channel's turns after which it is put in quarantine (I10).
const MOST_PANICS: u8 = 3;

impl Room {
    /// Decides a command or answers a read.
    pub(crate) async fn operation(&mut self, operation: &Operation) {
        if matches!(self.condition, Soundness::Unloaded) {
            Box::pin(self.load()).await;
        }
        if !matches!(self.condition, Soundness::Sound(_)) {
            let refusal = self.unusable();
            return self.not_taken(operation, refusal).await;
        }
        if let Asked::Query(query) = &operation.request {
            return self.query(operation, query).await;
        }
        if let Some(refusal) = self.shared.ending.refuses(operation) {
            return self.not_taken(operation, refusal).await;
        }
        let verdict = self.outcomes.check(operations::chained(operation));
        if !matches!(verdict, Verdict::Repeat(_)) && !self.end_departed().await {
            return self.not_taken(operation, wait()).await;
        }
        self.decide_operation(operation).await;
    }

    /// Decides a command of a channel that is sound.
    pub(crate) async fn decide_operation(&mut self, operation: &Operation) {
        let Asked::Command(command) = &operation.request else {
            return;
        };
        match self.outcomes.check(operations::chained(operation)) {
            Verdict::New => {}
            Verdict::Repeat(outcome) => {
                // What is said again stands behind what it builds on.
                self.meet().await;
                return self.repeat(operation, outcome).await;
            }
            Verdict::Early(after) => return self.missing(operation, after),
        }
        if !self.may_decide().await {
            return self.not_taken(operation, wait()).await;
        }
        // It may have waited for the end of its ownership.
        if self.is_void() {
            return self.not_owner(operation);
        }
        if !self.meet().await {
            return self.not_taken(operation, wait()).await;
        }
        self.command(operation, command).await;
    }

    /// Whether something may be decided: waits a while if the store is away (IL-24).
    pub(crate) async fn may_decide(&self) -> bool {
        if !self.shared.is_cluster {
            return true;
        }
        let (shard, patience) = (self.channel.shard(), self.shared.options.patience);
        self.shared.shards.way(shard, patience).await == Way::Open
    }

    /// A deadline of the core's has passed.
    pub(crate) async fn timer(&mut self) {
        if matches!(self.condition, Soundness::Unloaded) {
            self.load().await;
        }
        if matches!(self.condition, Soundness::Unloaded) || !self.end_departed().await {
            let soon = shared::now().plus_ms(RETRY_MS);
            return self.shared.deadlines.set(&self.channel, Some(soon));
        }
        let nobody = Sender {
            bare: coven_core::BareJid::from_normalised(""),
            full: None,
            group: coven_core::Group::default(),
        };
        if !self.may_decide().await || self.is_void() || !self.meet().await {
            let soon = shared::now().plus_ms(RETRY_MS);
            return self.shared.deadlines.set(&self.channel, Some(soon));
        }
        let now = shared::now();
        if let Ok(Ok(decision)) = self.decide(&nobody, &Command::Timer, now, Known::default()) {
            self.carry_out(decision, now, None).await;
        }
    }

    async fn command(&mut self, operation: &Operation, command: &Command) {
        let now = shared::now();
        let resolved = match command {
            Command::Post(post) => archive::resolve(self, &operation.sender, post).await,
            _ => None,
        };
        let owned = self.owned(&operation.sender, command).await;
        let known = Known { resolved, owned };
        match self.decide(&operation.sender, command, now, known) {
            Ok(Ok(decision)) => {
                self.carry_out(decision, now, Some(operation)).await;
            }
            Ok(Err(refusal)) => self.refused(operation, refusal).await,
            Err(Panicked) => {
                let refusal = Refusal::usual(Condition::InternalServerError);
                self.refused(operation, refusal).await;
            }
        }
    }

    fn decide(
        &mut self,
        sender: &Sender,
        command: &Command,
        now: Timestamp,
        known: Known,
    ) -> Result<Result<Decision, Refusal>, Panicked> {
        let Soundness::Sound(state) = &self.condition else {
            return Err(Panicked);
        };
        let service = self.shared.policies(&self.channel);
        let facts = Facts {
            now,
            random: random(),
            service,
            resolved: known.resolved,
            owned: known.owned,
        };
        let decided = catch_unwind(AssertUnwindSafe(|| state.decide(sender, command, &facts)));
        decided.map_err(|_| self.panicked())
    }

    /// How many channels the sender owns, where that matters: in a creation, if there is a limit.
    async fn owned(&self, sender: &Sender, command: &Command) -> u32 {
        let Soundness::Sound(state) = &self.condition else {
            return 0;
        };
        let max = self.shared.policies(&self.channel).max_owned;
        match max.filter(|_| quota::creates(state, command)) {
            Some(max) => {
                let space = &self.channel.name().space;
                quota::owned(&self.shared, space, &sender.bare, max).await
            }
            None => 0,
        }
    }

    /// Who hears what is said now: all who hold connections, as far as the channel has met them.
    pub(crate) fn audience(&mut self) -> Seats {
        let view = self.view();
        self.audience.seats().unwrap_or_else(|| view.seats.clone())
    }

    pub(crate) fn head(&self) -> Sequence {
        match &self.condition {
            Soundness::Sound(state) => state.roster().at(),
            _ => Sequence(0),
        }
    }

    pub(crate) fn panicked(&mut self) -> Panicked {
        self.shared.health.panicked();
        self.panics += 1;
        error!(channel = %self.channel, panics = self.panics, "a turn panicked");
        if self.panics >= MOST_PANICS {
            error!(event = "quarantined", channel = %self.channel, "too many panics");
            self.quarantine();
        }
        Panicked
    }
}

/// What a decision needs from outside the channel, and the node has looked for.
#[derive(Debug, Default)]
struct Known {
    resolved: Option<Resolved>,
    owned: u32,
}

/// A turn panicked; it is counted and logged.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Fresh random bytes, drawn from the system in blocks.
fn random() -> [u8; 32] {
    use std::cell::RefCell;
    thread_local! {
        static POOL: RefCell<(Vec<u8>, usize)> = const { RefCell::new((Vec::new(), 0)) };
    }
    POOL.with_borrow_mut(|(pool, used)| {
        if *used + 32 > pool.len() {
            pool.resize(4096, 0);
            if getrandom::fill(pool).is_err() {
                std::process::abort();
            }
            *used = 0;
        }
        let mut bytes = [0; 32];
        if let Some(fresh) = pool.get_mut(*used..*used + 32) {
            bytes.copy_from_slice(fresh);
            fresh.fill(0);
        }
        *used += 32;
        bytes
    })
}
