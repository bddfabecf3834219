//! A server that takes its time, next to another: what cannot come again reaches it all the same, or is counted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;

use common::room::Room;
use common::server::{Server, Stream};
use common::{Bench, DOMAIN, Plan, until, upstream};
use coven_cluster::Delivery;
use coven_core::command::View;
use coven_core::{Answer, Condition, Config, Group, Origin, Refusal, Sequence, StanzaKind};
use coven_front::Status;

#[tokio::test]
async fn i5_answers_and_refusals_go_on_while_events_are_left_out() {
    let mut slow = Slow::behind().await;
    let said = slow.room.say("crone1", "left out");
    slow.bench.send(&slow.room, said).await;
    until("the event is left out", || {
        slow.bench.handle.snapshot().copies_behind > 0
    })
    .await;
    let answer = Delivery::Answer {
        origin: origin("<query xmlns='http://jabber.org/protocol/muc#owner'/>"),
        answer: Box::new(Answer::Form(Arc::new(Config::default()))),
        operation: None,
    };
    slow.bench
        .send(&slow.room, vec![answer, refused("no")])
        .await;
    // Now it reads: what is left out comes again behind them.
    let heard = slow.heard().await;
    let place = |what: &str| {
        let at = |stanza: &String| stanza.contains(what);
        assert_eq!(heard.iter().filter(|s| at(s)).count(), 1, "{what}");
        heard.iter().position(at).unwrap()
    };
    let order = [
        place("muc#roomconfig"),
        place("<forbidden "),
        place("left out"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(slow.bench.handle.snapshot().answers_lost, 0);
}

#[tokio::test]
async fn i9_answers_beyond_twice_the_bound_are_counted() {
    let mut slow = Slow::behind().await;
    let said = slow.room.say("crone1", "left out");
    slow.bench.send(&slow.room, said).await;
    let long = "x".repeat(100_000);
    for _ in 0..60 {
        slow.bench.send(&slow.room, vec![refused(&long)]).await;
    }
    until("something is too much", || {
        slow.bench.handle.snapshot().answers_lost > 0
    })
    .await;
    assert!(slow.bench.handle.snapshot().connections[1].waiting_bytes < 9 * 1024 * 1024);
    let heard = slow.heard().await;
    let refusals = heard.iter().filter(|s| s.contains("<forbidden ")).count() as u64;
    let lost = slow.bench.handle.snapshot().answers_lost;
    assert!(refusals > 20, "{refusals}");
    assert_eq!(refusals + lost, 60, "each is there or counted");
}

#[tokio::test]
async fn muc_leave_12_i9_probes_that_find_no_room_are_asked_for_again() {
    let mut slow = Slow::behind().await;
    until("both groups are swept", || slow.bench.node.sweeps() == 2).await;
    let long = "x".repeat(100_000);
    while slow.bench.handle.snapshot().answers_lost == 0 {
        slow.bench.send(&slow.room, vec![refused(&long)]).await;
    }
    let session = slow.room.state.roster().sessions().next().unwrap().clone();
    let probe = slow.room.state.probe(&session);
    slow.bench
        .send(&slow.room, vec![Delivery::Probe(probe)])
        .await;
    until("it finds no room", || {
        slow.bench.handle.snapshot().probes_missed == 1
    })
    .await;
    slow.heard().await;
    until("its group is swept again", || slow.bench.node.sweeps() == 3).await;
}

/// A room of one user behind a server that does not read; another server does.
struct Slow {
    bench: Bench,
    room: Room,
    start: Sequence,
    slow: Stream,
    _others: (Server, Server, Stream),
}

impl Slow {
    /// So much waits that events are left out.
    async fn behind() -> Self {
        let (mut near, mut far) = (Server::start().await, Server::start().await);
        let mut plan = Plan::new(&near);
        plan.workers = 1;
        let mut other = upstream(&far, &[DOMAIN]);
        other.group = group();
        plan.upstreams.push(other);
        let bench = plan.start();
        let (fast, slow) = (near.accept().await, far.accept().await);
        bench.status(Status::is_up).await;
        let mut room = Room::new("coven");
        room.join_through("crone1", group());
        let start = room.head();
        bench.send(&room, vec![room.base(start, &[])]).await;
        let body = "x".repeat(100_000);
        while bench.handle.snapshot().fell_behind == 0 {
            let said = room.say("crone1", &body);
            bench.send(&room, said).await;
        }
        Self {
            bench,
            room,
            start,
            slow,
            _others: (near, far, fast),
        }
    }

    /// All that it gets once it reads, until all is acknowledged.
    async fn heard(&mut self) -> Vec<String> {
        let Self {
            bench, room, slow, ..
        } = self;
        let head = room.head();
        let acknowledged = || {
            let all = bench.node.acknowledged();
            all.iter().any(|a| a.sequence == head && a.all)
        };
        let (mut heard, mut asked) = (Vec::new(), 0);
        while !acknowledged() {
            let more = || bench.node.lost().len() > asked || acknowledged();
            heard.extend(slow.serve_until(more).await);
            if bench.node.lost().len() > asked {
                asked += 1;
                bench.send(room, room.again(self.start, &[])).await;
            }
        }
        heard
    }
}

fn group() -> Group {
    Group("slow".into())
}

fn refused(text: &str) -> Delivery {
    Delivery::Refused {
        origin: origin("<query xmlns='jabber:iq:version'/>"),
        refusal: Box::new(Refusal::usual(Condition::Forbidden).text(text.to_owned())),
        operation: None,
    }
}

fn origin(payload: &'static str) -> Arc<Origin> {
    Arc::new(Origin {
        kind: StanzaKind::Iq,
        from: "crone1@shakespeare.example/pda".into(),
        to: format!("coven@{DOMAIN}").into(),
        id: Some("q".into()),
        lang: None,
        view: View::Muc,
        group: group(),
        payload: payload.into(),
    })
}
