//! The world of one seed: steps everything in turn, by a few milliseconds, until all is calm; then asks everybody.
//!
//! Within a step: what is planned happens, the store answers, the process works, the server moves stanzas.

use std::collections::VecDeque;

use coven_front::Barrier;

use crate::check::{self, Found};
use crate::history::{History, What};
use crate::os;
use crate::plan::{Fault, Plan, SECOND, Step};
use crate::process::Process;
use crate::rng::Rng;
use crate::rule::Rule;
use crate::server::{Did, Server, StreamNo, bounce};
use crate::store::{Disk, SimStore};
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
    disk: Disk,
    process: Option<Process>,
    /// What processes that were killed had under way to the store.
    orphans: Vec<SimStore>,
    without: Option<Rule>,
    /// When the process is to come back.
    back: Option<u64>,
    paused_until: u64,
    listens_again: Option<u64>,
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

/// Runs a seed to its end, all rules in force but one. `trace`: everything is printed as it happens.
#[must_use]
pub fn run(seed: u64, trace: bool, without: Option<Rule>) -> Outcome {
    let mut rng = Rng::new(seed);
    os::steer(rng.draw());
    let plan = Plan::of(&mut rng.split(), without.is_some_and(Rule::is_harsh));
    let mut world = World::new(plan, rng, without);
    world.history.is_traced = trace;
    world.work();
    world.judge()
}

impl World {
    fn new(plan: Plan, mut rng: Rng, without: Option<Rule>) -> Self {
        let server = Server::new(1, rng.split());
        let mut world = Self {
            now: 0,
            steps: plan.steps.iter().cloned().collect(),
            users: (0..plan.users)
                .map(|no| User::new(no, plan.rooms))
                .collect(),
            plan,
            server,
            disk: Disk::default(),
            process: None,
            orphans: Vec::new(),
            without,
            back: None,
            paused_until: 0,
            listens_again: None,
            history: History::default(),
            rng,
        };
        world.start();
        world
    }

    fn work(&mut self) {
        let calm = self.plan.calm;
        while self.now < calm {
            let step = self.rng.range(500, 8_000);
            self.step(step);
        }
        while self.now < calm + CALM {
            let step = self.rng.range(5_000, 40_000);
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
        self.come_back();
        for orphan in &self.orphans {
            orphan.step(&self.disk, self.now);
        }
        self.orphans.retain(|orphan| !orphan.is_empty());
        if let Some(process) = &mut self.process {
            process.store.step(&self.disk, self.now);
            if self.now >= self.paused_until {
                process.host.step(self.now);
            }
        }
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
            Fault::Crash(down) => self.crash(down),
            Fault::Restart(down) => {
                if let Some(process) = &self.process {
                    process.terminate();
                    self.back = Some(self.now + down);
                }
            }
            Fault::Pause(time) => self.paused_until = self.now + time,
            Fault::Cut => self.server.cut(0),
            Fault::Away(time) => {
                self.server.listen(0, false);
                self.server.cut(0);
                self.listens_again = Some(self.now + time);
            }
            Fault::Stall(time) => self.server.stall(0, self.now + time),
            Fault::StoreAway(time) => {
                if let Some(process) = &self.process {
                    process.store.away(self.now + time);
                }
            }
            Fault::StoreFails(time) => {
                if let Some(process) = &self.process {
                    process.store.fail(self.now + time, false);
                }
            }
        }
    }

    fn crash(&mut self, down: u64) {
        let Some(process) = self.process.take() else {
            return;
        };
        process.host.kill();
        process.store.orphan(&mut self.rng, self.now);
        self.orphans.push(process.store);
        self.back = Some(self.now + down);
        self.paused_until = 0;
    }

    /// Starts the process again when it is time: after a crash, or after it has ended.
    fn come_back(&mut self) {
        if self.process.as_ref().is_some_and(Process::has_ended) {
            self.process = None;
            self.back.get_or_insert(self.now);
        }
        if self.process.is_none() && self.back.is_some_and(|at| at <= self.now) {
            self.back = None;
            self.start();
        }
        if self.listens_again.is_some_and(|at| at <= self.now) {
            self.listens_again = None;
            self.server.listen(0, true);
        }
    }

    fn start(&mut self) {
        // The store of one process: its lock says that the process before is dead.
        let store = SimStore::new(self.rng.split(), self.without);
        store.takes(self.rng.range(500, 20_000));
        let network = self.server.network();
        let barrier = match self.without {
            Some(Rule::Barrier) => Barrier::Off,
            _ => Barrier::OwnDomain,
        };
        let workers = self.plan.workers;
        self.process = Some(Process::alone(self.now, store, network, workers, barrier));
    }

    fn did(&mut self, did: Did) {
        match did {
            Did::Up(node, stream) => {
                let truth = self.disk.truth();
                let rooms = (0..self.plan.rooms).map(|room| truth.acknowledged(&room_name(room)));
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
            if let What::Message {
                room, id, durable, ..
            } = &mut what
            {
                *durable = self.disk.truth().position(&room_name(*room), id).is_some();
            }
            self.history.note(self.now, user, what);
        }
        if let Some(sent) = answer {
            self.send(user, sent);
        }
    }

    /// A stanza from a user: to the component, or back.
    fn send(&mut self, user: usize, sent: Sent) {
        let way = self.server.way(0);
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
        if self.history.is_traced
            && let Some(process) = &self.process
        {
            println!(
                "calls and answers of the store under way: {:?}",
                process.store.depth()
            );
        }
        if let Some(process) = self.process.take() {
            process.host.kill();
        }
        let found = Found {
            history: &self.history,
            users: &self.users,
            disk: &self.disk,
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
                .map(|room| self.disk.truth().count(&room_name(room)))
                .sum(),
            copies: copies.count(),
        }
    }
}
