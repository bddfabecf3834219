//! Self-pings to channels that are not in memory: answered from the store, without loading the channel (design §6).
//!
//! After a take-over everybody in a room may ask at once (XEP-0410), and has to be told that nothing has changed (I6): so
//! one read of the store answers all who asked before it began, and a channel waits for its turn among others. What is asked
//! of a channel in memory is answered in its actor's turn ([`crate::reply`]).

use crate::commit::wait;
use crate::load::{self, Stored};
use crate::shared::Shared;
use coven_cluster::{Channel, Delivery, Operation, Request};
use coven_core::{Condition, Refusal};
use hashbrown::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Self-pings that wait for all channels together; beyond it they are refused (I9).
const MOST: usize = 8 * 1024;

/// What is asked of channels that are not in memory: one task for each of these channels.
#[derive(Debug, Default)]
pub(crate) struct Asides(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// A channel is in here as long as its task is there.
    channels: HashMap<Channel, Vec<Operation>>,
    count: usize,
}

impl Asides {
    /// Puts a question behind those of its channel. Tells whether it is the first: then nobody answers yet.
    ///
    /// Errors: gives it back when too many wait.
    fn put(&self, operation: Box<Operation>) -> Result<bool, Box<Operation>> {
        let mut waiting = self.lock();
        if waiting.count >= MOST {
            return Err(operation);
        }
        waiting.count += 1;
        let is_first = !waiting.channels.contains_key(&operation.channel);
        let of = waiting.channels.entry(operation.channel.clone());
        of.or_default().push(*operation);
        Ok(is_first)
    }

    /// All that was asked of a channel up to now. If that is nothing, the next question is the first again.
    fn take(&self, channel: &Channel) -> Vec<Operation> {
        let mut waiting = self.lock();
        let some = waiting.channels.get_mut(channel).map(std::mem::take);
        let some = some.unwrap_or_default();
        if some.is_empty() {
            waiting.channels.remove(channel);
        }
        waiting.count = waiting.count.saturating_sub(some.len());
        some
    }

    /// A channel's task has ended before its time.
    fn forget(&self, channel: &Channel) {
        let mut waiting = self.lock();
        let some = waiting.channels.remove(channel).unwrap_or_default();
        waiting.count = waiting.count.saturating_sub(some.len());
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a channel. However it ends, it is not in the way of the next question.
struct Turn {
    shared: Arc<Shared>,
    channel: Channel,
    /// Nobody asks any more: what is asked next has a task of its own.
    is_over: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.asides.forget(&self.channel);
        }
    }
}

/// Answers a self-ping to a channel that is not in memory.
///
/// Errors: gives it back when too many wait.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    operation: Box<Operation>,
) -> Result<(), Box<Operation>> {
    let channel = operation.channel.clone();
    if shared.asides.put(operation)? {
        let turn = Turn {
            shared: Arc::clone(shared),
            channel,
            is_over: false,
        };
        tokio::spawn(turn.run());
    }
    Ok(())
}

impl Turn {
    /// Reads and answers until nobody asks any more.
    async fn run(mut self) {
        loop {
            let Some(place) = self.shared.reads.channel().await else {
                return;
            };
            let some = self.shared.asides.take(&self.channel);
            if some.is_empty() {
                self.is_over = true;
                return;
            }
            let stored = self.read().await;
            drop(place);
            for operation in some {
                self.tell(&operation, stored.as_ref()).await;
            }
        }
    }

    /// The channel as it is, while this node may say so.
    async fn read(&self) -> Option<Stored> {
        if self.shared.shards.is_suspended(self.channel.shard()) {
            return None;
        }
        load::load(&self.shared, &self.channel).await.ok()
    }

    async fn tell(&self, operation: &Operation, stored: Option<&Stored>) {
        let delivery = self.answered(operation, stored);
        let channel = self.channel.clone();
        self.shared.say(Some(channel), vec![delivery]).await;
        if let Some(id) = operation.id {
            self.shared.passed(&self.channel, id);
        }
    }

    fn answered(&self, operation: &Operation, stored: Option<&Stored>) -> Delivery {
        let policies = self.shared.policies(&self.channel);
        let is_suspended = self.shared.shards.is_suspended(self.channel.shard());
        let answer = match (stored, &operation.request) {
            (Some(stored), Request::Query(query)) if !is_suspended => {
                let asked = || stored.state.query(&operation.sender, query, &policies);
                catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(|_| {
                    self.shared.health.panicked();
                    Err(Refusal::usual(Condition::InternalServerError))
                })
            }
            _ => Err(wait()),
        };
        let origin = Arc::clone(&operation.origin);
        match answer {
            Ok(answer) => crate::reply::answered(&origin, answer),
            Err(refusal) => Delivery::Refused {
                origin,
                refusal: Box::new(refusal),
                operation: operation.id.map(|id| id.name()),
            },
        }
    }
}
