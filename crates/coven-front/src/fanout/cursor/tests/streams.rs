//! The cursors of two connections against a node that sends what it is asked for, and streams that come and go at any time.

use super::{OWNER, cursor};
use crate::fanout::cursor::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const CONNECTIONS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    /// The node commits an event; with something for these connections.
    Commit([bool; CONNECTIONS]),
    /// The front-end goes through the next thing that the node sent.
    Deliver,
    /// The server answers a barrier behind all that was written.
    Barrier(usize),
    Lose(usize),
    Attach(usize),
    /// Too much waits: events are left out.
    Fall(usize),
    /// There is room again.
    Recover(usize),
    /// The front-end tells the node what is acknowledged.
    Report,
    /// The node hears of what was lost, and sends again.
    Resend,
}

#[derive(Debug, Clone, Copy)]
enum Sent {
    Base(Sequence, [Option<Sequence>; CONNECTIONS]),
    Event(Sequence),
}

#[derive(Debug, Default)]
struct Wire {
    is_up: bool,
    is_behind: bool,
    /// Written to the present stream, in order.
    stream: Vec<Sequence>,
    /// What a barrier has shown to be with the server.
    safe: Vec<Sequence>,
    ledger: VecDeque<Mark>,
}

#[derive(Debug)]
struct World {
    /// What each event has for whom; the first has sequence 1.
    journal: Vec<[bool; CONNECTIONS]>,
    told: [Option<Sequence>; CONNECTIONS],
    link: VecDeque<Sent>,
    asked: bool,
    at: Sequence,
    cursors: [Cursor; CONNECTIONS],
    wires: [Wire; CONNECTIONS],
}

impl World {
    fn new() -> Self {
        let start = Sequence(0);
        Self {
            journal: Vec::new(),
            told: [None; CONNECTIONS],
            link: VecDeque::new(),
            asked: false,
            at: start,
            cursors: std::array::from_fn(|_| cursor(start.0)),
            wires: Default::default(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(whom) => {
                self.journal.push(*whom);
                let sequence = Sequence(self.journal.len() as u64);
                self.link.push_back(Sent::Event(sequence));
            }
            Step::Deliver => match self.link.pop_front() {
                Some(Sent::Base(at, acknowledged)) => self.base(at, acknowledged),
                Some(Sent::Event(sequence)) => self.event(sequence),
                None => {}
            },
            Step::Barrier(c) => self.barrier(*c),
            Step::Lose(c) => {
                self.wires[*c].is_up = false;
                self.wires[*c].is_behind = false;
                self.wires[*c].stream.clear();
                self.wires[*c].ledger.clear();
                self.cursors[*c].lost();
            }
            Step::Attach(c) => {
                self.wires[*c].is_up = true;
                self.asked |= self.cursors[*c].ask();
            }
            Step::Fall(c) => self.wires[*c].is_behind = self.wires[*c].is_up,
            Step::Recover(c) => {
                if std::mem::take(&mut self.wires[*c].is_behind) {
                    self.asked |= self.cursors[*c].ask();
                }
            }
            Step::Report => self.report(),
            Step::Resend => self.resend(),
        }
    }

    fn base(&mut self, at: Sequence, acknowledged: [Option<Sequence>; CONNECTIONS]) {
        self.at = at;
        for (cursor, acknowledged) in self.cursors.iter_mut().zip(acknowledged) {
            assert_eq!(cursor.base(at, acknowledged, OWNER), Based::Complete);
        }
    }

    fn event(&mut self, sequence: Sequence) {
        assert_eq!(sequence, self.at.next());
        self.at = sequence;
        let whom = self.journal[sequence.0 as usize - 1];
        for (c, is_for) in whom.into_iter().enumerate() {
            let cursor = &mut self.cursors[c];
            if !cursor.wants(sequence, OWNER) {
                continue;
            }
            match (is_for, self.wires[c].is_up) {
                (true, true) if self.wires[c].is_behind => cursor.missed(),
                (true, true) => {
                    let mark = cursor.wrote(sequence, OWNER);
                    self.wires[c].ledger.push_back(mark);
                    self.write(c, sequence);
                }
                (true, false) => cursor.dropped(),
                (false, _) => cursor.passed(sequence, OWNER),
            }
        }
    }

    /// I3: in order, nothing between missing, nothing that is safe once more.
    fn write(&mut self, c: usize, sequence: Sequence) {
        let Self { journal, wires, .. } = self;
        let wire = &mut wires[c];
        assert!(
            !wire.safe.contains(&sequence),
            "{sequence:?} again after its barrier"
        );
        assert!(
            wire.stream.last().is_none_or(|last| *last < sequence),
            "order"
        );
        for earlier in 1..sequence.0 {
            let earlier = Sequence(earlier);
            let is_there = wire.safe.contains(&earlier) || wire.stream.contains(&earlier);
            let is_for = journal[earlier.0 as usize - 1][c];
            assert!(
                is_there || !is_for,
                "{earlier:?} is missing before {sequence:?}"
            );
        }
        wire.stream.push(sequence);
    }

    fn barrier(&mut self, c: usize) {
        let wire = &mut self.wires[c];
        wire.safe.extend(&wire.stream);
        wire.safe.sort_unstable();
        wire.safe.dedup();
        for mark in wire.ledger.drain(..) {
            self.cursors[c].acknowledged(mark);
        }
    }

    /// I5, IL-28: never more than what is safe.
    fn report(&mut self) {
        for c in 0..CONNECTIONS {
            let Some(mark) = self.cursors[c].news(self.at) else {
                continue;
            };
            for sequence in 1..=mark.sequence.0 {
                let is_for = self.journal[sequence as usize - 1][c];
                assert!(!is_for || self.wires[c].safe.contains(&Sequence(sequence)));
            }
            assert!(self.told[c] <= Some(mark.sequence), "it goes back");
            self.told[c] = Some(mark.sequence);
            self.cursors[c].told(self.at);
        }
    }

    fn resend(&mut self) {
        if !std::mem::take(&mut self.asked) {
            return;
        }
        let lowest = self.told.iter().map(|told| told.unwrap_or_default()).min();
        let base = lowest.unwrap_or_default();
        self.link.push_back(Sent::Base(base, self.told));
        for sequence in base.0 + 1..=self.journal.len() as u64 {
            self.link.push_back(Sent::Event(Sequence(sequence)));
        }
    }

    fn settle(&mut self) {
        for c in 0..CONNECTIONS {
            if !self.wires[c].is_up {
                self.step(&Step::Attach(c));
            }
            self.step(&Step::Recover(c));
        }
        self.asked |= (0..CONNECTIONS).any(|c| self.cursors[c].ask());
        self.step(&Step::Resend);
        while !self.link.is_empty() {
            self.step(&Step::Deliver);
        }
        for c in 0..CONNECTIONS {
            self.step(&Step::Barrier(c));
        }
        self.step(&Step::Report);
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let connection = 0..CONNECTIONS;
    let step = prop_oneof![
        4 => any::<[bool; CONNECTIONS]>().prop_map(Step::Commit),
        4 => Just(Step::Deliver),
        2 => connection.clone().prop_map(Step::Barrier),
        1 => connection.clone().prop_map(Step::Lose),
        2 => connection.clone().prop_map(Step::Attach),
        1 => connection.clone().prop_map(Step::Fall),
        1 => connection.prop_map(Step::Recover),
        1 => Just(Step::Report),
        1 => Just(Step::Resend),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn i3_streams_may_come_and_go_and_nothing_is_lost_or_overtaken(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        let head = Sequence(world.journal.len() as u64);
        for c in 0..CONNECTIONS {
            prop_assert!(world.cursors[c].is_done());
            prop_assert_eq!(world.cursors[c].written.sequence, head);
            prop_assert_eq!(world.told[c].unwrap_or_default(), head);
        }
    }
}
