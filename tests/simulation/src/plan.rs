//! What a seed means: who does what when, and which faults come.

use coven_cluster::leases::Attach;

use crate::case::{self, Case};
use crate::process::Role;
use crate::rng::Rng;
use crate::rule::Rule;

/// A second, in microseconds.
pub const SECOND: u64 = 1_000_000;
/// When everybody has entered, about.
const SETTLED: u64 = 2 * SECOND;
/// When the processes of a cluster have found each other, about.
const GATHERED: u64 = 3 * SECOND;

/// All that is planned.
#[derive(Debug)]
pub struct Plan {
    /// Which processes there are.
    pub shape: Shape,
    /// How many users.
    pub users: usize,
    /// How many rooms.
    pub rooms: usize,
    /// What happens, in order of time (microseconds).
    pub steps: Vec<(u64, Step)>,
    /// When the last step is done and the last fault over.
    pub calm: u64,
}

/// Which processes there are, and how they are attached.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Nodes of the cluster; none: one process is all.
    pub nodes: usize,
    /// Its front-ends.
    pub fronts: usize,
    /// Nodes of the server.
    pub upstreams: usize,
    /// How connections are shared.
    pub attach: Attach,
    /// Tasks of a front-end that render.
    pub workers: usize,
}

impl Shape {
    fn of(rng: &mut Rng, is_cluster: bool) -> Self {
        let spread = rng.percent(70);
        Self {
            nodes: if is_cluster {
                rng.range(2, 4) as usize
            } else {
                0
            },
            fronts: if is_cluster {
                rng.range(2, 4) as usize
            } else {
                0
            },
            upstreams: match is_cluster && spread {
                true => rng.range(1, 4) as usize,
                false => 1,
            },
            attach: if spread {
                Attach::Spread
            } else {
                Attach::Standby
            },
            workers: rng.range(1, 3) as usize,
        }
    }

    /// What runs at each place: nodes first.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        let alone = usize::from(self.nodes == 0);
        std::iter::repeat_n(Role::Alone, alone)
            .chain(std::iter::repeat_n(Role::Node, self.nodes))
            .chain(std::iter::repeat_n(Role::Front, self.fronts))
    }

    fn places(self) -> u64 {
        self.roles().count() as u64
    }

    pub(crate) fn node(self, rng: &mut Rng) -> usize {
        rng.range(0, self.nodes as u64) as usize
    }

    pub(crate) fn front(self, rng: &mut Rng) -> usize {
        self.nodes + rng.range(0, self.fronts as u64) as usize
    }
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "a user, and a room")]
pub enum Step {
    Join(usize, usize),
    Leave(usize, usize),
    Say(usize, usize),
    Disconnect(usize),
    Connect(usize),
    Fault(Fault),
}

/// Something that goes wrong: at which place or node of the server, and for how long, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed, and comes back after this time.
    Crash(usize, u64),
    /// Its machine dies: nobody is told.
    Dies(usize, u64),
    /// The process is ended in order, and comes back after this time.
    Restart(usize, u64),
    /// The process stands still for this time (SIGSTOP).
    Pause(usize, u64),
    /// The stream to a node of the server breaks.
    Cut(usize),
    /// A listener of the server and its stream are away for this time.
    Away(usize, u64),
    /// A node of the server reads nothing for this time.
    Stall(usize, u64),
    /// The process reaches neither store nor registry for this time.
    StoreAway(usize, u64),
    /// The store fails for this time, most of it.
    StoreFails(usize, u64),
    /// A node and a front-end do not reach each other for this time.
    LinkCut(usize, usize, u64),
    /// The store fails over, and is away for this time: sessions are lost.
    FailOver(u64),
    /// The store fails over, and loses what came in the time before.
    Loss(u64, u64),
    /// An operator drains a process, and takes it back after this time.
    Drain(usize, u64),
}

impl Plan {
    /// The plan of a seed. Without a rule, faults are those by which it is missed, and there are many.
    #[must_use]
    pub fn of(rng: &mut Rng, is_cluster: bool, without: Option<Rule>) -> Self {
        let mut plan = Self {
            shape: Shape::of(rng, is_cluster),
            users: rng.range(3, 8) as usize,
            rooms: rng.range(1, 4) as usize,
            steps: Vec::new(),
            calm: 0,
        };
        let begins = if is_cluster { GATHERED } else { 0 };
        plan.entering(rng, begins);
        let settled = begins + SETTLED;
        let length = match is_cluster {
            true => rng.range(6, 26) * SECOND,
            false => rng.range(4, 9) * SECOND,
        };
        plan.talking(rng, settled, length);
        let harsh = without.is_some_and(Rule::is_harsh);
        match is_cluster {
            true => plan.cluster_faults(rng, settled, length, without),
            false => plan.faults(rng, length, harsh),
        }
        if harsh {
            plan.last_words(rng, settled + length + SECOND);
        }
        plan.finished(settled + length)
    }

    /// The plan of a directed case.
    #[must_use]
    pub fn case(rng: &mut Rng, case: Case) -> Self {
        let shape = Shape {
            nodes: 2,
            fronts: 2,
            upstreams: rng.range(1, 3) as usize,
            attach: Attach::Spread,
            workers: 1,
        };
        let mut plan = Self {
            shape,
            users: 4,
            rooms: 3,
            steps: Vec::new(),
            calm: 0,
        };
        plan.entering(rng, GATHERED);
        let settled = GATHERED + SETTLED;
        for at in (settled..settled + case::LASTS).step_by(150_000) {
            let user = rng.range(0, plan.users as u64) as usize;
            let room = rng.range(0, plan.rooms as u64) as usize;
            plan.add(at, Step::Say(user, room));
        }
        for (at, fault) in case.faults(shape, rng) {
            plan.add(settled + case::BEGINS + at, Step::Fault(fault));
        }
        plan.finished(settled + case::LASTS)
    }

    fn finished(mut self, talked: u64) -> Self {
        self.steps.sort_by_key(|(at, _)| *at);
        let ends = self.steps.iter().map(|(at, step)| at + step.lasts());
        self.calm = ends.max().unwrap_or_default().max(talked);
        self
    }

    /// The owner enters each room first. Rooms are persistent.
    fn entering(&mut self, rng: &mut Rng, begins: u64) {
        for room in 0..self.rooms {
            self.add(begins + 200_000, Step::Join(0, room));
            for user in 1..self.users {
                if rng.percent(70) {
                    let at = begins + rng.range(600_000, SETTLED);
                    self.add(at, Step::Join(user, room));
                }
            }
        }
    }

    fn talking(&mut self, rng: &mut Rng, from: u64, length: u64) {
        for _ in 0..rng.range(20, 120) {
            let at = rng.range(from, from + length);
            let user = rng.range(0, self.users as u64) as usize;
            let room = rng.range(0, self.rooms as u64) as usize;
            let step = match rng.range(0, 100) {
                0..=5 if user > 0 => Step::Leave(user, room),
                6..=15 => Step::Join(user, room),
                16..=17 if user > 0 => Step::Disconnect(user),
                18..=20 => Step::Connect(user),
                _ => Step::Say(user, room),
            };
            if step == Step::Disconnect(user) {
                let back = at + rng.range(0, 2 * SECOND);
                self.add(back, Step::Connect(user));
                self.add(back, Step::Join(user, room));
            }
            self.add(at, step);
        }
    }

    fn faults(&mut self, rng: &mut Rng, length: u64, harsh: bool) {
        let (count, kinds) = if harsh { (8, 7) } else { (rng.range(0, 5), 11) };
        for _ in 0..count {
            let at = rng.range(SETTLED / 2, SETTLED + length);
            let (short, long) = (rng.skewed(SECOND, 3 * SECOND), rng.range(0, 7 * SECOND));
            let fault = match rng.range(0, kinds) {
                0..=3 => Fault::Crash(0, short),
                4 | 5 => Fault::Cut(0),
                6 => Fault::Restart(0, short),
                7 => Fault::Pause(0, long),
                8 => Fault::Away(0, short),
                9 => Fault::Stall(0, long),
                _ if rng.percent(50) => Fault::StoreAway(0, long),
                _ => Fault::StoreFails(0, short),
            };
            self.add(at, Step::Fault(fault));
        }
    }

    /// Of a cluster. A loss by the store is a directed case only ([`crate::case`]).
    fn cluster_faults(&mut self, rng: &mut Rng, from: u64, length: u64, without: Option<Rule>) {
        let count = match without {
            Some(_) => 5,
            None => rng.range(0, 5),
        };
        for _ in 0..count {
            let at = rng.range(from - SECOND, from + length);
            let fault = match without.and_then(|rule| rule.fault(self.shape, rng)) {
                Some(fault) => fault,
                None => self.shape.fault(rng),
            };
            self.add(at, Step::Fault(fault));
        }
    }

    /// The last thing that is said in each room is on its way when something breaks, and nothing is said after it.
    fn last_words(&mut self, rng: &mut Rng, at: u64) {
        for room in 0..self.rooms {
            for user in 0..self.users {
                self.add(at + rng.range(0, 40_000), Step::Say(user, room));
            }
        }
        let broken = at + rng.range(10_000, 80_000);
        let place = rng.range(0, self.shape.places()) as usize;
        let fault = match rng.percent(50) {
            true => Fault::Crash(place, SECOND),
            false => Fault::Cut(0),
        };
        self.add(broken, Step::Fault(fault));
    }

    fn add(&mut self, at: u64, step: Step) {
        self.steps.push((at, step));
    }
}

impl Shape {
    /// A fault of a cluster.
    pub fn fault(self, rng: &mut Rng) -> Fault {
        let place = rng.range(0, self.places()) as usize;
        let upstream = rng.range(0, self.upstreams as u64) as usize;
        let (short, long) = (rng.skewed(SECOND, 9 * SECOND), rng.range(0, 15 * SECOND));
        match rng.range(0, 22) {
            0..=3 => Fault::Crash(place, long),
            4 => Fault::Dies(place, long),
            5..=7 => Fault::Restart(place, short),
            8..=10 => Fault::Pause(place, long),
            11 => Fault::Cut(upstream),
            12 => Fault::Away(upstream, short),
            13 => Fault::Stall(upstream, short),
            14 | 15 => Fault::StoreAway(place, long),
            16 => Fault::StoreFails(place, short),
            17 | 18 => Fault::LinkCut(self.node(rng), self.front(rng), long),
            19 => Fault::FailOver(short),
            _ => Fault::Drain(place, long),
        }
    }
}

impl Rule {
    /// A fault by which it is missed; none in particular.
    fn fault(self, shape: Shape, rng: &mut Rng) -> Option<Fault> {
        let long = rng.range(6 * SECOND, 12 * SECOND);
        let (node, front) = (shape.node(rng), shape.front(rng));
        match self {
            Self::Epoch => Some(Fault::StoreAway(node, long)),
            Self::Sequence => Some(Fault::StoreFails(node, long / 4)),
            Self::Operation => Some(Fault::Crash(node, SECOND)),
            Self::Roster => Some(Fault::Crash(front, SECOND)),
            Self::Filter => Some(match rng.percent(50) {
                true => Fault::Crash(node, SECOND),
                false => Fault::LinkCut(node, front, long),
            }),
            Self::Wait | Self::Nothing => Some(match rng.percent(50) {
                true => Fault::StoreAway(front, long),
                false => Fault::Pause(front, long / 2),
            }),
            Self::Gate | Self::Unsent | Self::Barrier => None,
        }
    }
}

impl Step {
    /// How long it lasts.
    const fn lasts(&self) -> u64 {
        match self {
            Self::Fault(
                Fault::Crash(_, time)
                | Fault::Dies(_, time)
                | Fault::Restart(_, time)
                | Fault::Pause(_, time)
                | Fault::Away(_, time)
                | Fault::Stall(_, time)
                | Fault::StoreAway(_, time)
                | Fault::StoreFails(_, time)
                | Fault::LinkCut(_, _, time)
                | Fault::FailOver(time)
                | Fault::Drain(_, time),
            ) => *time,
            Self::Fault(Fault::Loss(since, time)) => *since + *time,
            _ => 0,
        }
    }
}
