//! The world of one seed: steps everything in turn, by a few milliseconds, until all is calm; then asks everybody.
//!
//! Within a step: what is planned happens, stores answer and processes work ([`crate::machines`]), the server moves stanzas.

use std::collections::VecDeque;

use crate::case::Case;
use crate::check::{self, Found};
use crate::history::{History, What};
use crate::machines::Machines;
use crate::os;
use crate::plan::{Fault, Plan, SECOND, Step};
use crate::process::connection_name;
use crate::rng::Rng;
use crate::rule::Rule;
use crate::server::{Did, Server, StreamNo, bounce};
use crate::user::{Note, Sent, User, room_name};

/// After the last fault, until everything has to be well again.
const CALM: u64 = 40 * SECOND;
/// For the last answers.
const LAST: u64 = 8 * SECOND;

/// The world of one seed.
#[derive(Debug)]
pub struct World {
    now: u64,
    rng: Rng,
    plan: Plan,
    steps: VecDeque<(u64, Step)>,
    server: Server,
    machines: Machines,
    listens_again: Vec<(u64, usize)>,
    users: Vec<User>,
    history: History,
}

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The same for the same seed.
    pub hash: u64,
    /// What is wrong.
    pub violations: Vec<String>,
    /// Messages that became durable.
    pub messages: usize,
    /// Copies of messages that users got.
    pub copies: usize,
}

/// Runs a seed to its end, all rules in force but one; or one of a directed case. `trace`: everything is printed as it happens.
#[must_use]
pub fn run(seed: u64, trace: bool, without: Option<Rule>, case: Option<Case>) -> Outcome {
    let mut rng = Rng::new(seed);
    os::steer(rng.draw());
    let is_cluster = match without {
        Some(rule) => rule.is_of_a_cluster(),
        None => seed.is_multiple_of(2),
    };
    let mut own = rng.split();
    let plan = match case {
        Some(case) => Plan::case(&mut own, case),
        None => Plan::of(&mut own, is_cluster, without),
    };
    let mut world = World::new(plan, rng, without);
    world.history.is_traced = trace;
    if trace {
        println!("{:#?}", world.plan);
    }
    world.work();
    world.judge()
}

impl World {
    fn new(plan: Plan, mut rng: Rng, without: Option<Rule>) -> Self {
        let mut server = Server::new(plan.shape.upstreams, rng.split());
        if matches!(without, Some(Rule::Wait | Rule::Nothing)) {
            server.keep_both(10 * SECOND);
        }
        let machines = Machines::new(plan.shape, server.network(), rng.split(), without);
        Self {
            now: 0,
            steps: plan.steps.iter().cloned().collect(),
            users: (0..plan.users)
                .map(|no| User::new(no, plan.rooms))
                .collect(),
            plan,
            server,
            machines,
            listens_again: Vec::new(),
            history: History::default(),
            rng,
        }
    }

    fn work(&mut self) {
        let calm = self.plan.calm;
        // The more processes, the coarser, so that a seed takes about as long.
        let most = if self.plan.shape.nodes > 0 {
            20_000
        } else {
            8_000
        };
        while self.now < calm {
            let step = self.rng.range(500, most);
            self.step(step);
        }
        while self.now < calm + CALM {
            let step = self.rng.range(5_000, most * 4);
            self.step(step);
        }
        self.ask_everybody();
        while self.now < calm + CALM + LAST {
            let step = self.rng.range(5_000, 20_000);
            self.step(step);
        }
    }

    fn step(&mut self, micros: u64) {
        self.now += micros;
        os::set_now(self.now);
        while self.steps.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, step)) = self.steps.pop_front() {
                self.happen(step);
            }
        }
        let due = self.listens_again.extract_if(.., |(at, _)| *at <= self.now);
        for (_, node) in due {
            self.server.listen(node, true);
        }
        self.machines.step(self.now);
        for did in self.server.step(self.now) {
            self.did(did);
        }
        for user in 0..self.users.len() {
            for sent in self.users[user].again(self.now) {
                self.send(user, sent);
            }
        }
    }

    fn happen(&mut self, step: Step) {
        let sent = match step {
            Step::Join(user, room) if self.users[user].may_join(room) => {
                (user, self.users[user].join(room, self.now))
            }
            Step::Leave(user, room) if self.users[user].may_leave(room) => {
                (user, self.users[user].leave(room, self.now))
            }
            Step::Say(user, room) if self.users[user].rooms[room].here => {
                (user, self.users[user].say(room))
            }
            Step::Disconnect(user) => {
                for sent in self.users[user].disconnect() {
                    self.send(user, sent);
                }
                return;
            }
            Step::Connect(user) => return self.users[user].connect(),
            Step::Fault(fault) => return self.fault(fault),
            Step::Say(..) | Step::Join(..) | Step::Leave(..) => return,
        };
        if let (user, Some(sent)) = sent {
            self.send(user, sent);
        }
    }

    fn fault(&mut self, fault: Fault) {
        let text = format!("{fault:?}");
        self.history.note(self.now, usize::MAX, What::Fault(text));
        match fault {
            Fault::Cut(node) => self.server.cut(node),
            Fault::Away(node, time) => {
                self.server.listen(node, false);
                self.server.cut(node);
                self.listens_again.push((self.now + time, node));
            }
            Fault::Stall(node, time) => self.server.stall(node, self.now + time),
            fault => self.machines.fault(&fault, self.now),
        }
    }

    fn did(&mut self, did: Did) {
        match did {
            Did::Up(node, stream) => {
                let truth = self.machines.disk.truth();
                let connection = connection_name(node);
                let acknowledged = |room| truth.acknowledged(&room_name(room), &connection);
                let rooms = (0..self.plan.rooms).map(acknowledged);
                let acknowledged = rooms.collect();
                let what = What::Up {
                    node,
                    stream,
                    acknowledged,
                };
                drop(truth);
                self.history.note(self.now, usize::MAX, what);
            }
            Did::Down(stream) => {
                let what = What::Down { stream };
                self.history.note(self.now, usize::MAX, what);
            }
            Did::Took(_, stream, xml) => self.route(stream, &xml),
        }
    }

    /// A stanza from the component: to its user, or back.
    fn route(&mut self, stream: StreamNo, xml: &str) {
        let to = crate::stanza::attribute(xml, "to").unwrap_or_default();
        let user = self
            .users
            .iter()
            .position(|u| u.jid().as_deref() == Some(to));
        let Some(user) = user else {
            if let Some(bounced) = bounce(xml) {
                self.server.give(stream, self.now, bounced);
            }
            return;
        };
        let (what, answer) = self.users[user].take(xml, stream);
        if let Some(mut what) = what {
            if let What::Message { id, durable, .. } = &mut what {
                *durable = self.machines.disk.truth().was_durable(id);
            }
            self.history.note(self.now, user, what);
        }
        if let Some(sent) = answer {
            self.send(user, sent);
        }
    }

    /// A stanza from a user: to the component, or back.
    fn send(&mut self, user: usize, sent: Sent) {
        let way = self.server.way(user % self.plan.shape.upstreams);
        let what = match sent.note {
            Note::Join(room) => Some(What::Join { room, way }),
            Note::Leave(room) => Some(What::Leave { room, way }),
            Note::Say(room, id) => Some(What::Say { room, id, way }),
            Note::Ping(room, id) => Some(What::Ping { room, id, way }),
            Note::Gone => Some(What::Gone { way }),
            Note::Nothing => None,
        };
        if let Some(what) = what {
            self.history.note(self.now, user, what);
        }
        if let Some(way) = way {
            self.server.give(way, self.now, sent.xml);
        }
    }

    fn ask_everybody(&mut self) {
        for user in 0..self.users.len() {
            for room in 0..self.plan.rooms {
                if self.users[user].rooms[room].wanted
                    && let Some(sent) = self.users[user].ping(room)
                {
                    self.send(user, sent);
                }
            }
        }
    }

    fn judge(mut self) -> Outcome {
        self.machines.end();
        let found = Found {
            history: &self.history,
            users: &self.users,
            disk: &self.machines.disk,
            rooms: self.plan.rooms,
            asked: self.plan.calm + CALM,
        };
        let violations = check::violations(&found);
        let copies = self.history.events.iter();
        let copies = copies.filter(|event| matches!(event.what, What::Message { .. }));
        let rooms = 0..self.plan.rooms;
        Outcome {
            hash: self.history.hash(),
            violations,
            messages: rooms
                .map(|room| self.machines.disk.truth().count(&room_name(room)))
                .sum(),
            copies: copies.count(),
        }
    }
}
