//! A node that remembers what it was given, and has room for it or not.

use super::until;
use coven_cluster::link::{Acknowledged, NodeLink};
use coven_cluster::{Operation, Request, ToNode};
use coven_core::{Command, Sequence};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub struct Node {
    given: Mutex<Vec<ToNode>>,
    is_full: AtomicBool,
}

impl NodeLink for Node {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(message);
        }
        self.given.lock().unwrap().push(message);
        Ok(())
    }
}

impl Node {
    pub fn is_full(&self, full: bool) {
        self.is_full.store(full, Ordering::Relaxed);
    }

    /// What was given so far, of one kind.
    pub fn all<T>(&self, pick: impl Fn(&ToNode) -> Option<T>) -> Vec<T> {
        self.given.lock().unwrap().iter().filter_map(pick).collect()
    }

    /// Waits for `count` of one kind.
    pub async fn first<T>(&self, count: usize, pick: impl Fn(&ToNode) -> Option<T>) -> Vec<T> {
        until("the node is given something", || {
            self.all(&pick).len() >= count
        })
        .await;
        self.all(pick)
    }

    /// Commands so far.
    pub fn commands(&self) -> Vec<Command> {
        self.all(|message| match message {
            ToNode::Operation(operation) => command(operation),
            _ => None,
        })
    }

    /// Waits for that many commands.
    pub async fn wait_commands(&self, count: usize) -> Vec<Command> {
        until("commands", || self.commands().len() >= count).await;
        self.commands()
    }

    /// Acknowledgements so far.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        let batches = self.all(|message| match message {
            ToNode::Acknowledge(batch) => Some(batch.clone()),
            _ => None,
        });
        batches.into_iter().flatten().collect()
    }

    /// Waits until an event is acknowledged, with nothing open.
    pub async fn wait_acknowledged(&self, sequence: Sequence) -> Acknowledged {
        let is_it = |ack: &Acknowledged| ack.sequence >= sequence && ack.all;
        until("an acknowledgement", || {
            self.acknowledged().iter().any(is_it)
        })
        .await;
        self.acknowledged().into_iter().find(is_it).unwrap()
    }

    /// Channels whose output was asked for again, so far, one list for each message.
    pub fn lost(&self) -> Vec<Vec<coven_cluster::Channel>> {
        self.all(|message| match message {
            ToNode::StreamLost { channels, .. } => Some(channels.clone()),
            _ => None,
        })
    }

    /// Sweeps so far.
    pub fn sweeps(&self) -> usize {
        self.all(|message| matches!(message, ToNode::Sweep { .. }).then_some(()))
            .len()
    }
}

fn command(operation: &Operation) -> Option<Command> {
    match &operation.request {
        Request::Command(command) => Some(command.clone()),
        Request::Query(_) => None,
    }
}
