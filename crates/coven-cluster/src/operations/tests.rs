//! One rule each, with nodes that only remember.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use super::*;
use crate::Request;
use coven_core::command::Sender;
use coven_core::{BareJid, ChannelName, Command, Group, Origin, Query, StanzaKind, View};
use std::sync::Arc;

const ME: ProcessId = ProcessId(7);
const N0: ProcessId = ProcessId(100);
const N1: ProcessId = ProcessId(101);

#[derive(Debug, Default)]
struct Out {
    /// (node, n, prev, base)
    sent: Vec<(ProcessId, u64, u64, u64)>,
    refused: Vec<Condition>,
    full: bool,
}

impl Effects for Out {
    fn send(&mut self, to: ProcessId, operation: Box<Operation>) -> bool {
        let id = operation.id.unwrap();
        if !self.full {
            self.sent.push((to, id.n, id.prev, id.base));
        }
        !self.full
    }

    fn refuse(&mut self, _: &Operation, refusal: Refusal) {
        self.refused.push(refusal.condition);
    }
}

impl Out {
    fn take(&mut self) -> Vec<(ProcessId, u64, u64, u64)> {
        std::mem::take(&mut self.sent)
    }
}

fn channel() -> Channel {
    let name = ChannelName {
        space: "chat.example".into(),
        local: "coven".into(),
    };
    Channel::new(name, 1024)
}

fn operation(request: Request) -> Box<Operation> {
    let sender = Sender {
        full: None,
        bare: BareJid::from_normalised("hag66@shakespeare.example".to_owned()),
        group: Group("main".into()),
    };
    let origin = Origin {
        kind: StanzaKind::Iq,
        from: "hag66@shakespeare.example/pda".into(),
        to: "coven@chat.example".into(),
        id: None,
        lang: None,
        view: View::Muc,
        group: Group("main".into()),
        payload: bytes::Bytes::new(),
    };
    Box::new(Operation {
        channel: channel(),
        sender,
        request,
        origin: Arc::new(origin),
        id: None,
        trace: None,
    })
}

fn command() -> Box<Operation> {
    operation(Request::Command(Command::Create))
}

fn leave() -> Box<Operation> {
    operation(Request::Command(Command::Leave {
        payload: bytes::Bytes::new(),
    }))
}

fn read() -> Box<Operation> {
    operation(Request::Query(Query::Info { view: View::Muc }))
}

fn now() -> Instant {
    Instant::from_std(std::time::Instant::now())
}

fn owned(epoch: u64) -> Vec<(ShardId, Epoch)> {
    vec![(channel().shard(), Epoch(epoch))]
}

/// A table whose operations go to `N0`, and a second node.
fn two_nodes() -> (Operations, Out, Instant) {
    let (mut table, mut out) = (Operations::new(ME), Out::default());
    table.link_up(N0);
    table.link_up(N1);
    table.owned(N0, &owned(5), &mut out);
    (table, out, now())
}

fn submit(table: &mut Operations, out: &mut Out, now: Instant, count: usize) {
    for _ in 0..count {
        table.submit(command(), now, out).unwrap();
    }
}

#[test]
fn each_operation_names_the_one_before_it() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 3);
    assert_eq!(out.take(), [(N0, 1, 0, 0), (N0, 2, 1, 0), (N0, 3, 2, 0)]);
    table.done(&channel(), 2);
    submit(&mut table, &mut out, now, 1);
    assert_eq!(out.take(), [(N0, 4, 3, 2)]);
}

#[test]
fn il_20_prev_and_base_are_set_anew_at_each_sending() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 2);
    table.done(&channel(), 1);
    out.take();
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(
        out.take(),
        [(N1, 2, 1, 1)],
        "nothing names what is answered"
    );
}

#[test]
fn a_new_owner_gets_all_that_is_unanswered_first_and_in_order() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 2);
    table.committed(&channel(), 1);
    out.take();
    table.link_down(N0, now, &mut out);
    submit(&mut table, &mut out, now, 1);
    assert_eq!(out.take(), [], "it waits for an owner");
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(out.take(), [(N1, 1, 0, 0), (N1, 2, 1, 0), (N1, 3, 2, 0)]);
}

#[test]
fn a_new_link_to_the_same_node_gets_it_again() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 1);
    table.link_down(N0, now, &mut out);
    table.link_up(N0);
    out.take();
    table.owned(N0, &owned(5), &mut out);
    assert_eq!(out.take(), [(N0, 1, 0, 0)]);
}

#[test]
fn the_highest_epoch_wins_whoever_says_it() {
    let (mut table, mut out, now) = two_nodes();
    table.owned(N1, &owned(9), &mut out);
    table.owned(N0, &owned(8), &mut out);
    table.released(N0, &owned(8), now);
    assert_eq!(table.target(channel().shard()), Some(N1));
    table.released(N1, &owned(9), now);
    assert_eq!(table.target(channel().shard()), None);
}

#[test]
fn who_is_not_the_owner_gets_it_again_only_as_the_owner() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 2);
    out.take();
    for n in [1, 2] {
        table.not_owner(N0, &channel(), n, Epoch(6), now, &mut out);
    }
    assert_eq!(out.take(), []);
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(out.take(), [(N1, 1, 0, 0), (N1, 2, 1, 0)]);
    // Nobody has done anything with them: they time out as such.
    table.not_owner(N1, &channel(), 1, Epoch(7), now, &mut out);
    table.not_owner(N1, &channel(), 2, Epoch(7), now, &mut out);
    table.tick(now + OWNERLESS, &mut out);
    assert_eq!(out.refused, [Condition::ResourceConstraint; 2]);
}

#[test]
fn missing_operations_are_sent_again_in_order() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 3);
    out.take();
    table.missing(N0, &channel(), 1, &mut out);
    assert_eq!(out.take(), [(N0, 2, 1, 0), (N0, 3, 2, 0)]);
    table.missing(N1, &channel(), 0, &mut out);
    assert_eq!(out.take(), [], "nobody but the owner lacks anything");
}

#[test]
fn il_25_committed_stops_the_time_out() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 2);
    table.committed(&channel(), 1);
    table.tick(now + UNKNOWN, &mut out);
    assert_eq!(out.refused, [Condition::RemoteServerTimeout]);
    assert_eq!(table.len(), 1, "it is kept until it is done");
    table.done(&channel(), 1);
    assert!(table.is_empty());
}

#[test]
fn i5_without_an_owner_operations_wait_and_are_then_refused() {
    let (mut table, mut out, now) = (Operations::new(ME), Out::default(), now());
    submit(&mut table, &mut out, now, 1);
    table.tick(now + OWNERLESS / 2, &mut out);
    assert_eq!(out.refused, []);
    table.tick(now + OWNERLESS, &mut out);
    assert_eq!(out.refused, [Condition::ResourceConstraint]);
    let late = table.submit(command(), now + OWNERLESS, &mut out);
    assert!(late.is_err(), "later ones at once");
    table.link_up(N0);
    table.owned(N0, &owned(1), &mut out);
    assert!(table.submit(command(), now + OWNERLESS, &mut out).is_ok());
}

#[test]
fn i4_passing_operations_are_never_sent_again() {
    let (mut table, mut out, now) = two_nodes();
    table.submit(read(), now, &mut out).unwrap();
    submit(&mut table, &mut out, now, 1);
    out.take();
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(out.take(), [(N1, 2, 1, 1)]);
    assert_eq!(out.refused, [], "the old owner may still answer");
    table.link_down(N0, now, &mut out);
    assert_eq!(out.refused, [Condition::RemoteServerTimeout]);
}

#[test]
fn the_end_of_a_read_says_nothing_of_commands_before_it() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 1);
    table.submit(read(), now, &mut out).unwrap();
    table.done(&channel(), 2);
    assert_eq!(table.len(), 1);
    table.done(&channel(), 1);
    assert!(table.is_empty());
}

#[test]
fn i5_the_end_of_a_command_says_nothing_of_reads_before_it() {
    let (mut table, mut out, now) = two_nodes();
    table.submit(read(), now, &mut out).unwrap();
    submit(&mut table, &mut out, now, 1);
    table.done(&channel(), 2);
    assert_eq!(table.len(), 1, "nobody has answered the read");
    table.link_down(N0, now, &mut out);
    assert_eq!(out.refused, [Condition::RemoteServerTimeout]);
}

#[test]
fn i4_the_end_of_what_was_given_up_says_nothing_of_others() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 2);
    table.submit(read(), now, &mut out).unwrap();
    table.link_down(N0, now, &mut out);
    assert_eq!(out.refused, [Condition::RemoteServerTimeout], "the read");
    table.link_up(N0);
    table.owned(N0, &owned(5), &mut out);
    table.done(&channel(), 3);
    assert_eq!(table.len(), 2);
    out.take();
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(out.take(), [(N1, 1, 0, 0), (N1, 2, 1, 0)]);
}

#[test]
fn il_19_what_was_not_taken_is_dropped_before_it_is_refused() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 1);
    let busy = || Refusal::usual(Condition::ResourceConstraint);
    table.not_taken(N0, &channel(), 1, busy(), &mut out);
    table.not_taken(N0, &channel(), 1, busy(), &mut out);
    assert_eq!(out.refused, [Condition::ResourceConstraint]);
    out.take();
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(out.take(), [], "nobody gets it again");
}

#[test]
fn muc_leave_01_a_departure_is_not_given_up_with_what_is_refused() {
    let (mut table, mut out, now) = (Operations::new(ME), Out::default(), now());
    table.submit(leave(), now, &mut out).unwrap();
    submit(&mut table, &mut out, now, 1);
    table.tick(now + UNKNOWN, &mut out);
    assert_eq!(out.refused, [Condition::ResourceConstraint]);
    table.link_up(N0);
    table.owned(N0, &owned(5), &mut out);
    assert_eq!(out.take(), [(N0, 1, 0, 0)]);
    let before = DEPARTURES - Duration::from_secs(1);
    table.tick(now + before, &mut out);
    assert_eq!(table.len(), 1, "nobody has said what became of it");
    table.tick(now + DEPARTURES, &mut out);
    assert!(table.is_empty());
}

#[test]
fn muc_leave_12_a_departure_that_was_not_taken_goes_again_before_what_came_after_it() {
    let (mut table, mut out, now) = two_nodes();
    table.submit(leave(), now, &mut out).unwrap();
    submit(&mut table, &mut out, now, 1);
    out.take();
    let busy = || Refusal::usual(Condition::ResourceConstraint);
    table.not_taken(N0, &channel(), 1, busy(), &mut out);
    table.missing(N0, &channel(), 0, &mut out);
    assert_eq!(out.take(), [(N0, 1, 0, 0), (N0, 2, 1, 0)]);
    table.not_taken(N0, &channel(), 1, busy(), &mut out);
    table.retry(&mut out);
    assert_eq!(out.take(), [], "not at once");
    table.tick(now + AGAIN, &mut out);
    assert_eq!(out.take(), [(N0, 1, 0, 0)]);
    let broken = Refusal::usual(Condition::InternalServerError);
    table.not_taken(N0, &channel(), 1, broken, &mut out);
    assert_eq!(table.len(), 1, "it is of no use");
}

#[test]
fn il_19_a_late_word_of_the_old_owner_refuses_nothing() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 1);
    table.owned(N1, &owned(6), &mut out);
    let busy = || Refusal::usual(Condition::ResourceConstraint);
    table.not_taken(N0, &channel(), 1, busy(), &mut out);
    assert_eq!((out.refused.len(), table.len()), (0, 1));
    // The old owner may have committed it: nobody can say that it did not happen.
    table.not_taken(N1, &channel(), 1, busy(), &mut out);
    assert_eq!(out.refused, [Condition::RemoteServerTimeout]);
}

#[test]
fn i9_a_full_queue_gives_the_newest_back_and_keeps_what_was_sent_before() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, 1);
    out.full = true;
    assert!(table.submit(command(), now, &mut out).is_err());
    table.owned(N1, &owned(6), &mut out);
    assert!(table.has_backlog());
    out.full = false;
    out.take();
    submit(&mut table, &mut out, now, 1);
    assert_eq!(
        out.take(),
        [(N1, 1, 0, 0), (N1, 3, 1, 0)],
        "nothing overtakes"
    );
}

#[test]
fn i9_the_operations_of_a_channel_are_bounded() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, PER_CHANNEL);
    assert!(table.submit(command(), now, &mut out).is_err());
    table.done(&channel(), 1);
    assert!(table.submit(command(), now, &mut out).is_ok());
}

#[test]
fn i9_what_is_committed_keeps_nothing_new_out() {
    let (mut table, mut out, now) = two_nodes();
    submit(&mut table, &mut out, now, PER_CHANNEL);
    for n in 1..=PER_CHANNEL as u64 {
        table.committed(&channel(), n);
    }
    submit(&mut table, &mut out, now, PER_CHANNEL);
    assert!(table.submit(command(), now, &mut out).is_err());
    assert_eq!(table.len(), 2 * PER_CHANNEL, "its output is waited for");
}

#[test]
fn i9_of_what_is_committed_the_oldest_is_forgotten() {
    let (mut table, mut out, now) = two_nodes();
    let count = PER_CHANNEL as u64 + 2;
    for n in 1..=count {
        submit(&mut table, &mut out, now, 1);
        table.committed(&channel(), n);
        table.committed(&channel(), n);
    }
    assert_eq!(table.len(), PER_CHANNEL);
    out.take();
    table.owned(N1, &owned(6), &mut out);
    assert_eq!(out.take()[0], (N1, 3, 2, 2), "nothing names what is gone");
    table.done(&channel(), count);
    assert!(table.is_empty());
    submit(&mut table, &mut out, now, 1);
    table.done(&channel(), count + 1);
    assert_eq!((table.open.count, table.open.bytes), (0, 0));
    assert_eq!((table.committed.count, table.committed.bytes), (0, 0));
    assert!(table.oldest.is_empty());
}

#[test]
fn i5_a_node_that_takes_a_shard_back_gets_what_it_may_have_dropped_with_it() {
    let (mut table, mut out, now) = two_nodes();
    table.submit(command(), now, &mut out).unwrap();
    table.submit(read(), now, &mut out).unwrap();
    let n = out.take().first().unwrap().1;
    table.released(N0, &owned(9), now);
    table.owned(N0, &owned(10), &mut out);
    let again: Vec<u64> = out.take().iter().map(|sent| sent.1).collect();
    assert_eq!(again, [n], "the command, and not the read");
}
