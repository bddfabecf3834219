//! A node with a store of the test's choice and a front-end that only listens.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; not every test file uses all of it"
)]

pub(crate) mod cluster;
pub(crate) mod held;

use bytes::Bytes;
use coven_cluster::link::Acknowledged;
use coven_cluster::{
    Channel, Delivery, FrontLink, LeaseNumber, NodeLink, Operation, OperationId, Output, Request,
    ToFront, ToNode,
};
use coven_core::command::{Join, Post, Traits};
use coven_core::{
    ChannelName, Command, Epoch, Event, FullJid, Group, HistoryRequest, Origin, Query, Record,
    Sender, Sequence, StanzaKind, View,
};
use coven_node::{Handle, Options, Seat, Service};
use coven_store::Store;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// A front-end that hands every output to the test, but takes none of the room `stuck`.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    pub(crate) outputs: mpsc::Sender<Output>,
    pub(crate) words: mpsc::Sender<ToFront>,
    pub(crate) heard: Heard,
}

/// Of each room the last event and the last commit that were heard of.
pub(crate) type Heard = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

fn hear(heard: &Heard, output: &Output) {
    let Some(channel) = &output.channel else {
        return;
    };
    let sequences = output.deliveries.iter().filter_map(record);
    let last = sequences.map(|record| record.sequence.0).max();
    let mut heard = heard.lock().unwrap();
    let place = heard.entry(channel.name().local.to_string()).or_default();
    *place = (
        place.0.max(last.unwrap_or_default()),
        place.1.max(output.commit),
    );
}

impl FrontLink for Ear {
    fn send(&self, message: ToFront) -> impl Future<Output = ()> + Send {
        let ear = self.clone();
        async move {
            let output = match message {
                ToFront::Output(output) => Arc::unwrap_or_clone(output),
                other => {
                    let _test_is_over = ear.words.send(other).await;
                    return;
                }
            };
            hear(&ear.heard, &output);
            if output
                .channel
                .as_ref()
                .is_some_and(|c| c.name().local == "stuck")
            {
                std::future::pending::<()>().await;
            }
            let _test_is_over = ear.outputs.send(output).await;
        }
    }
}

/// A node under test.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) seat: Arc<Seat>,
    pub(crate) service: Service,
    pub(crate) outputs: mpsc::Receiver<Output>,
    /// What is said beside outputs.
    pub(crate) words: mpsc::Receiver<ToFront>,
    heard: Heard,
}

impl Node {
    pub(crate) async fn start(store: Arc<dyn Store>) -> Self {
        Self::with(
            store,
            Options {
                shards: 4,
                ..Options::default()
            },
        )
        .await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, mut options: Options) -> Self {
        options.spaces.entry("chat.example".into()).or_default();
        let (to_outputs, outputs) = mpsc::channel(10_000);
        let (to_words, words) = mpsc::channel(10_000);
        let ear = Ear {
            outputs: to_outputs,
            words: to_words,
            heard: Heard::default(),
        };
        let heard = Arc::clone(&ear.heard);
        let (handle, seat, service) = Service::start_alone(store, ear, options).await.unwrap();
        Self {
            handle,
            seat,
            service,
            outputs,
            words,
            heard,
        }
    }

    /// Stops without a word, as a crash would: nothing is drained.
    pub(crate) fn crash(self) {
        drop(self);
    }

    pub(crate) fn send(&self, operation: Operation) {
        let message = ToNode::Operation(Box::new(operation));
        assert!(self.seat.try_send(message).is_ok(), "the queue is full");
    }

    pub(crate) fn join(&self, room: &str, jid: &str, nick: &str) {
        self.send(operation(room, jid, Request::Command(join(nick))));
    }

    /// Configures the room with its defaults, so that others and messages are let in.
    pub(crate) fn unlock(&self, room: &str, jid: &str) {
        self.send(operation(
            room,
            jid,
            Request::Command(Command::Configure(Box::default())),
        ));
    }

    pub(crate) fn destroy(&self, room: &str, jid: &str) {
        let destroy = Command::Destroy(coven_core::command::End {
            reason: None,
            alternate: None,
            password: None,
        });
        self.send(operation(room, jid, Request::Command(destroy)));
    }

    pub(crate) fn say(&self, room: &str, jid: &str, body: &str) {
        self.send(operation(room, jid, Request::Command(post(body))));
    }

    pub(crate) fn ask(&self, room: &str, jid: &str, query: Query) {
        self.send(operation(room, jid, Request::Query(query)));
    }

    /// All deliveries until one fits, that one included.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        until(&mut self.outputs, fits).await
    }

    /// Waits until no channel is in memory.
    pub(crate) async fn emptied(&self) {
        eventually("none is in memory", async || self.handle.in_memory() == 0).await;
    }

    /// One connection has taken in what others have not.
    pub(crate) fn acknowledge_on(&self, room: &str, connection: &str, sequence: u64, least: u64) {
        let receipt = Acknowledged {
            channel: channel(room),
            connection: connection.into(),
            lease: LeaseNumber::default(),
            epoch: Epoch::default(),
            sequence: Sequence(sequence),
            least: Sequence(least),
            commit: 1,
            all: false,
        };
        let sent = self.seat.try_send(ToNode::Acknowledge(vec![receipt]));
        assert!(sent.is_ok());
    }

    /// Acknowledges everything up to a sequence, as far as it was heard of.
    pub(crate) fn acknowledge(&self, room: &str, sequence: u64, commit: u64) {
        let heard = self.heard.lock().unwrap().get(room).copied();
        let (last, newest) = heard.unwrap_or_default();
        let (sequence, commit) = (sequence.min(last), commit.min(newest));
        let receipt = Acknowledged {
            channel: channel(room),
            connection: "c".into(),
            lease: LeaseNumber::default(),
            epoch: Epoch::default(),
            sequence: Sequence(sequence),
            least: Sequence(sequence),
            commit,
            all: true,
        };
        assert!(
            self.seat
                .try_send(ToNode::Acknowledge(vec![receipt]))
                .is_ok()
        );
    }
}

pub(crate) fn channel(room: &str) -> Channel {
    Channel::new(
        ChannelName {
            space: "chat.example".into(),
            local: room.into(),
        },
        4,
    )
}

pub(crate) fn sender(jid: &str) -> Sender {
    let full = FullJid::parse(jid).unwrap();
    Sender {
        bare: full.bare(),
        full: Some(full),
        group: Group("main".into()),
    }
}

pub(crate) fn operation(room: &str, jid: &str, request: Request) -> Operation {
    let origin = Arc::new(Origin {
        kind: StanzaKind::Message,
        from: jid.into(),
        to: format!("{room}@chat.example").into(),
        id: Some("id".into()),
        lang: None,
        view: View::Muc,
        group: Group("main".into()),
        payload: Bytes::new(),
    });
    Operation {
        channel: channel(room),
        sender: sender(jid),
        request,
        origin,
        id: None,
        trace: None,
    }
}

pub(crate) const fn named(mut operation: Operation, n: u64, prev: u64, base: u64) -> Operation {
    operation.id = Some(OperationId {
        process: 7,
        n,
        prev,
        base,
    });
    operation
}

pub(crate) fn join(nick: &str) -> Command {
    Command::Join(Box::new(Join {
        nick: Some(nick.into()),
        password: None,
        history: HistoryRequest::default(),
        presence: Arc::default(),
        stanza_id: None,
    }))
}

pub(crate) fn post(body: &str) -> Command {
    Command::Post(Box::new(Post {
        view: None,
        own_id: Some(body.into()),
        lang: None,
        payload: Bytes::from(format!("<body>{body}</body>")),
        traits: Traits::BODY,
        subject: None,
        reference: None,
    }))
}

pub(crate) fn record(delivery: &Delivery) -> Option<&Arc<Record>> {
    match delivery {
        Delivery::Event { record, .. } => Some(record),
        _ => None,
    }
}

/// The `own_id`s of messages among deliveries, in order.
pub(crate) fn said(deliveries: &[Delivery]) -> Vec<String> {
    let message = |d: &Delivery| match &record(d)?.event {
        Event::Message(m) => m.own_id.as_ref().map(ToString::to_string),
        _ => None,
    };
    deliveries.iter().filter_map(message).collect()
}

pub(crate) fn is_message(delivery: &Delivery, id: &str) -> bool {
    said(std::slice::from_ref(delivery)) == [id]
}

pub(crate) fn is_joined(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Event { record, .. } if matches!(record.event, Event::Joined { .. }))
}

pub(crate) fn is_destroyed(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Event { record, .. } if matches!(record.event, Event::Destroyed { .. }))
}

/// Longer than anything takes: only what never comes is waited for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let so = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let so = tokio::time::timeout(PATIENCE, so).await;
    assert!(so.is_ok(), "it never comes to this: {what}");
}

/// All deliveries until one fits, that one included.
pub(crate) async fn until(
    outputs: &mut mpsc::Receiver<Output>,
    fits: impl Fn(&Delivery) -> bool,
) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let output = tokio::time::timeout(PATIENCE, outputs.recv()).await;
        let output = output
            .unwrap_or_else(|_| panic!("not among {all:#?}"))
            .unwrap();
        let found = output.deliveries.iter().any(&fits);
        all.extend(output.deliveries);
        if found {
            return all;
        }
    }
}
