//! A front-end's place at a node: what it says comes in here (design §3.2, §5.9).

use crate::actor::Message;
use crate::commit::wait;
use crate::fronts::SeatState;
use crate::shared::Shared;
use crate::{aside, directory, receipts};
use coven_cluster::{Delivery, NodeLink, Operation, ProcessId, Request, ToFront, ToNode};
use coven_core::{Query, Refusal};
use std::sync::Arc;
use tokio::time::Instant;

/// One attached front-end. Dropping it detaches the front-end.
#[derive(Debug)]
pub struct Seat {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Arc<SeatState>,
}

impl Seat {
    /// Whose it is.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        self.state.process
    }

    /// Ends when the node has detached the front-end: it took nothing for too long. Its link is to be closed; when it comes
    /// back, it gets what it has missed.
    pub async fn detached(&self) {
        self.state.gone.cancelled().await;
    }

    fn operation(&self, operation: Box<Operation>) -> Result<(), ToNode> {
        let shared = &self.shared;
        if self.state.is_local && self.state.is_deaf() {
            return Err(ToNode::Operation(operation));
        }
        if !shared.shards.takes(operation.channel.shard()) {
            if operation.id.is_none() && operation.is_departure() {
                return Err(ToNode::Operation(operation));
            }
            self.not_owner(&operation);
            return Ok(());
        }
        if matches!(operation.request, Request::Query(Query::Ping { .. }))
            && shared.table.get(&operation.channel).is_none()
        {
            return match aside::answer(shared, operation) {
                Ok(()) => Ok(()),
                Err(operation) => self.full(operation),
            };
        }
        let channel = operation.channel.clone();
        let message = Message::Operation(operation, Instant::now());
        match shared.table.offer(shared, &channel, message) {
            Err(Message::Operation(operation, _)) => self.full(operation),
            _ => Ok(()),
        }
    }

    /// The queue is full: whoever asked is told by the front-end whose operation it is (IL-19, I9).
    fn full(&self, operation: Box<Operation>) -> Result<(), ToNode> {
        let Some(id) = operation.id else {
            return Err(ToNode::Operation(operation));
        };
        self.state.tell(ToFront::NotTaken {
            channel: operation.channel,
            id,
            refusal: Box::new(wait()),
        });
        Ok(())
    }

    fn not_owner(&self, operation: &Operation) {
        let channel = operation.channel.clone();
        match operation.id {
            Some(id) => {
                let epoch = self.shared.shards.known(channel.shard());
                self.state.tell(ToFront::NotOwner { channel, id, epoch });
            }
            None => self.refuse(operation, wait()),
        }
    }

    fn refuse(&self, operation: &Operation, refusal: Refusal) {
        let origin = Arc::clone(&operation.origin);
        if origin.is_answerable() {
            let refusal = Box::new(refusal);
            let delivery = Delivery::Refused {
                origin,
                refusal,
                operation: operation.id.map(|id| id.name()),
            };
            let channel = Some(operation.channel.clone());
            self.state.tell(self.shared.output(channel, vec![delivery]));
        }
    }
}

impl NodeLink for Seat {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        let shared = &self.shared;
        match message {
            ToNode::Operation(operation) => self.operation(operation),
            ToNode::Holds(held) => {
                if shared.fronts.says(&self.state, held) {
                    shared.spawn(Arc::clone(shared).introduce(Arc::clone(&self.state)));
                }
                Ok(())
            }
            ToNode::Relay { to, relay } => {
                shared.fronts.tell(to.0, ToFront::Relay(relay));
                Ok(())
            }
            ToNode::Acknowledge(batch) => {
                receipts::take(shared, &self.state, batch);
                Ok(())
            }
            ToNode::Directory(request) => {
                directory::spawn_answer(shared, &self.state, request).map_err(ToNode::Directory)
            }
            ToNode::Sweep { group } => {
                shared.sweeps.begin(shared, group);
                Ok(())
            }
            ToNode::StreamLost { channels, .. } => {
                shared.send_again(&self.state, channels);
                Ok(())
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.detach(&self.state);
    }
}
