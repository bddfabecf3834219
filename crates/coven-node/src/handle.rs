//! What front-ends send to: routes operations to channels, acknowledgements to the store, and the rest to its task.

use crate::actor::Message;
use crate::load;
use crate::shared::{Health, Shared};
use crate::{directory, receipts};
use coven_cluster::{Delivery, NodeLink, Operation, Request, ToNode};
use coven_core::Query;
use std::sync::Arc;
use tokio::time::Instant;

/// Sends to a node in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// How the node is.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// How many channels are in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.shared.table.all().len()
    }

    fn operation(&self, operation: Box<Operation>) -> Result<(), ToNode> {
        if matches!(operation.request, Request::Query(Query::Ping { .. }))
            && self.shared.table.get(&operation.channel).is_none()
        {
            return self.aside(operation);
        }
        let channel = operation.channel.clone();
        let message = Message::Operation(operation, Instant::now());
        match self.shared.table.offer(&self.shared, &channel, message) {
            Ok(()) => Ok(()),
            Err(Message::Operation(operation, _)) => Err(ToNode::Operation(operation)),
            Err(_) => Ok(()),
        }
    }

    /// A self-ping to a channel that is not in memory is answered without loading it (design §6).
    fn aside(&self, operation: Box<Operation>) -> Result<(), ToNode> {
        let Ok(permit) = Arc::clone(&self.shared.reads).try_acquire_owned() else {
            return Err(ToNode::Operation(operation));
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let _permit = permit;
            let delivery = answer_aside(&shared, &operation).await;
            let output = shared.output(Some(operation.channel.clone()), vec![delivery]);
            shared.front.send(output).await;
        });
        Ok(())
    }
}

impl NodeLink for Handle {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        match message {
            ToNode::Operation(operation) => self.operation(operation),
            // In one process the one front-end holds all connections.
            ToNode::Holds(_) | ToNode::Relay { .. } => Ok(()),
            ToNode::Acknowledge(batch) => {
                receipts::take(&self.shared, batch);
                Ok(())
            }
            ToNode::Directory(request) => {
                directory::spawn_answer(&self.shared, request).map_err(ToNode::Directory)
            }
            ToNode::Sweep { group } => {
                self.shared.sweeps.begin(&self.shared, group);
                Ok(())
            }
            ToNode::StreamLost { channels, .. } => {
                for channel in channels {
                    self.shared
                        .table
                        .tell(&self.shared, &channel, Message::Resend);
                }
                Ok(())
            }
        }
    }
}

async fn answer_aside(shared: &Shared, operation: &Operation) -> Delivery {
    let origin = Arc::clone(&operation.origin);
    let policies = shared.policies(&operation.channel);
    let answer = match (
        load::load(shared, &operation.channel).await,
        &operation.request,
    ) {
        (Ok(stored), Request::Query(query)) => {
            stored.state.query(&operation.sender, query, &policies)
        }
        _ => Err(crate::commit::wait()),
    };
    match answer {
        Ok(answer) => crate::turn::answered(&origin, answer),
        Err(refusal) => Delivery::Refused {
            origin,
            refusal: Box::new(refusal),
            operation: None,
        },
    }
}
