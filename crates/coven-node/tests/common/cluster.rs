//! Nodes of a cluster that share a store, and front-ends that are attached to them.

use super::{Ear, Heard, PATIENCE, channel, named, operation, until};
use coven_cluster::link::Acknowledged;
use coven_cluster::{
    Delivery, Held, LeaseNumber, NodeLink, Output, ProcessId, Request, ShardId, ToFront, ToNode,
};
use coven_core::{Command, Sequence};
use coven_node::{Handle, Options, Seat, Service, Take};
use coven_store::{SessionId, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The connections of the space in all these tests.
pub(crate) const CONNECTIONS: [&str; 2] = ["c1", "c2"];

/// A node of a cluster.
pub(crate) struct Member {
    pub(crate) handle: Handle,
    pub(crate) service: Service,
    store: Arc<dyn Store>,
    pub(crate) session: SessionId,
}

/// A front-end's link to a node.
pub(crate) struct Front {
    pub(crate) seat: Arc<Seat>,
    pub(crate) outputs: mpsc::Receiver<Output>,
    pub(crate) words: mpsc::Receiver<ToFront>,
    pub(crate) heard: Heard,
    process: u128,
}

impl Member {
    /// Owns nothing yet.
    pub(crate) fn start(store: &Arc<impl Store>, session: u128) -> Self {
        Self::with(store, session, Options::default())
    }

    /// The same, with other options.
    pub(crate) fn with(store: &Arc<impl Store>, session: u128, mut options: Options) -> Self {
        options.shards = 4;
        options.spaces.insert("chat.example".into(), Arc::default());
        let names = CONNECTIONS.map(Into::into).to_vec();
        options.connections.insert("chat.example".into(), names);
        let store: Arc<dyn Store> = store.clone();
        let (handle, service) = Service::start(Arc::clone(&store), options);
        Self {
            handle,
            service,
            store,
            session: SessionId(session),
        }
    }

    /// Takes every shard, over whoever owned it.
    pub(crate) async fn take_all(&self) {
        let mut takes = Vec::new();
        for shard in 0..4 {
            takes.push(Take {
                shard: ShardId(shard),
                judged_dead: self.store.owner(coven_store::ShardId(shard)).await.unwrap(),
                known: coven_core::Epoch::default(),
            });
        }
        for (shard, taken) in self.handle.take(takes, self.session).await {
            assert!(taken.is_ok(), "{shard:?}: {taken:?}");
        }
    }

    /// Starts, and takes every shard.
    pub(crate) async fn owner(store: &Arc<impl Store>, session: u128) -> Self {
        let member = Self::start(store, session);
        member.take_all().await;
        member
    }

    /// A front-end that holds these connections.
    pub(crate) fn front(&self, process: u128, held: &[(&str, u64)]) -> Front {
        let (to_outputs, outputs) = mpsc::channel(10_000);
        let (to_words, words) = mpsc::channel(10_000);
        let ear = Ear {
            outputs: to_outputs,
            words: to_words,
            heard: Heard::default(),
        };
        let heard = Arc::clone(&ear.heard);
        let seat = self.handle.attach(ProcessId(process), ear);
        let front = Front {
            seat,
            outputs,
            words,
            heard,
            process,
        };
        front.holds(held);
        front
    }

    /// Marks of the room's shard.
    pub(crate) async fn unsent(&self, room: &str) -> bool {
        let shard = coven_store::ShardId(channel(room).shard().0);
        !self.store.unsent(shard).await.unwrap().is_empty()
    }

    /// As if it were killed: nothing is finished, and nobody hears of it.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Front {
    pub(crate) fn holds(&self, held: &[(&str, u64)]) {
        let held = held.iter().map(|(connection, lease)| Held {
            connection: (*connection).into(),
            lease: LeaseNumber(*lease),
            space: "chat.example".into(),
        });
        assert!(self.seat.try_send(ToNode::Holds(held.collect())).is_ok());
    }

    /// Sends an operation with a name.
    pub(crate) fn send(
        &self,
        room: &str,
        jid: &str,
        command: Command,
        (n, prev, base): (u64, u64, u64),
    ) {
        let mut named = named(
            operation(room, jid, Request::Command(command)),
            n,
            prev,
            base,
        );
        if let Some(id) = &mut named.id {
            id.process = self.process;
        }
        assert!(
            self.seat
                .try_send(ToNode::Operation(Box::new(named)))
                .is_ok()
        );
    }

    /// All deliveries until one fits, that one included.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        until(&mut self.outputs, fits).await
    }

    /// All words until one fits, that one included.
    pub(crate) async fn word(&mut self, fits: impl Fn(&ToFront) -> bool) -> Vec<ToFront> {
        let mut all = Vec::new();
        loop {
            let word = tokio::time::timeout(PATIENCE, self.words.recv()).await;
            let word = word
                .unwrap_or_else(|_| panic!("not among {all:#?}"))
                .unwrap();
            let found = fits(&word);
            all.push(word);
            if found {
                return all;
            }
        }
    }

    /// What has come by now.
    pub(crate) async fn heard_by_now(&mut self) -> (Vec<Delivery>, Vec<ToFront>) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (mut deliveries, mut words) = (Vec::new(), Vec::new());
        while let Ok(output) = self.outputs.try_recv() {
            deliveries.extend(output.deliveries);
        }
        while let Ok(word) = self.words.try_recv() {
            words.push(word);
        }
        (deliveries, words)
    }

    /// A connection has taken in all that this front-end has heard of a room.
    pub(crate) fn acknowledge(&self, member: &Member, room: &str, connection: &str, lease: u64) {
        let epoch = member.handle.place(&channel(room)).epoch;
        self.acknowledge_under(epoch.unwrap_or_default(), room, connection, lease);
    }

    pub(crate) fn acknowledge_under(
        &self,
        epoch: coven_core::Epoch,
        room: &str,
        connection: &str,
        lease: u64,
    ) {
        let (sequence, commit) = self
            .heard
            .lock()
            .unwrap()
            .get(room)
            .copied()
            .unwrap_or_default();
        let receipt = Acknowledged {
            channel: channel(room),
            connection: connection.into(),
            lease: LeaseNumber(lease),
            epoch,
            sequence: Sequence(sequence),
            least: Sequence(0),
            commit,
            all: false,
        };
        assert!(
            self.seat
                .try_send(ToNode::Acknowledge(vec![receipt]))
                .is_ok()
        );
    }
}

pub(crate) const fn is_done(word: &ToFront, of: u64) -> bool {
    matches!(word, ToFront::Done { n, .. } if *n == of)
}

pub(crate) const fn is_committed(word: &ToFront, of: u64) -> bool {
    matches!(word, ToFront::Committed { n, .. } if *n == of)
}

pub(crate) const fn is_base(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Base { .. })
}

pub(crate) const fn is_refused(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Refused { .. })
}
