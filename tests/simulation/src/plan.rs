//! What a seed means: who does what when, and which faults come.

use crate::rng::Rng;

/// A second, in microseconds.
pub const SECOND: u64 = 1_000_000;
/// When everybody has entered, about.
const SETTLED: u64 = 2 * SECOND;

/// All that is planned.
#[derive(Debug)]
pub struct Plan {
    /// How many users.
    pub users: usize,
    /// How many rooms.
    pub rooms: usize,
    /// Tasks of a front-end that render.
    pub workers: usize,
    /// What happens, in order of time (microseconds).
    pub steps: Vec<(u64, Step)>,
    /// When the last step is done and the last fault over.
    pub calm: u64,
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

/// Something that goes wrong. Times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed, and comes back after this time.
    Crash(u64),
    /// The process is ended in order, and comes back after this time.
    Restart(u64),
    /// The process stands still for this time (SIGSTOP).
    Pause(u64),
    /// The stream breaks.
    Cut,
    /// The server's listener and its streams are away for this time.
    Away(u64),
    /// The server reads nothing for this time.
    Stall(u64),
    /// The store does nothing for this time.
    StoreAway(u64),
    /// The store fails for this time, most of it.
    StoreFails(u64),
}

impl Plan {
    /// The plan of a seed. `harsh`: most faults are crashes and broken streams, and there are many.
    #[must_use]
    pub fn of(rng: &mut Rng, harsh: bool) -> Self {
        let users = rng.range(3, 8) as usize;
        let rooms = rng.range(1, 4) as usize;
        let mut plan = Self {
            users,
            rooms,
            workers: rng.range(1, 3) as usize,
            steps: Vec::new(),
            calm: 0,
        };
        plan.entering(rng);
        let length = rng.range(4, 9) * SECOND;
        plan.talking(rng, length);
        plan.faults(rng, length, harsh);
        if harsh {
            plan.last_words(rng, SETTLED + length + SECOND);
        }
        plan.steps.sort_by_key(|(at, _)| *at);
        let ends = plan.steps.iter().map(|(at, step)| at + step.lasts());
        plan.calm = ends.max().unwrap_or_default().max(SETTLED + length);
        plan
    }

    /// The owner enters each room first. Rooms are persistent.
    fn entering(&mut self, rng: &mut Rng) {
        for room in 0..self.rooms {
            self.add(200_000, Step::Join(0, room));
            for user in 1..self.users {
                if rng.percent(70) {
                    let at = rng.range(600_000, SETTLED);
                    self.add(at, Step::Join(user, room));
                }
            }
        }
    }

    fn talking(&mut self, rng: &mut Rng, length: u64) {
        for _ in 0..rng.range(20, 120) {
            let at = rng.range(SETTLED, SETTLED + length);
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
                0..=3 => Fault::Crash(short),
                4 | 5 => Fault::Cut,
                6 => Fault::Restart(short),
                7 => Fault::Pause(long),
                8 => Fault::Away(short),
                9 => Fault::Stall(long),
                _ if rng.percent(50) => Fault::StoreAway(long),
                _ => Fault::StoreFails(short),
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
        let fault = match rng.percent(50) {
            true => Fault::Crash(SECOND),
            false => Fault::Cut,
        };
        self.add(broken, Step::Fault(fault));
    }

    fn add(&mut self, at: u64, step: Step) {
        self.steps.push((at, step));
    }
}

impl Step {
    /// How long it lasts.
    const fn lasts(&self) -> u64 {
        match self {
            Self::Fault(
                Fault::Crash(time)
                | Fault::Restart(time)
                | Fault::Pause(time)
                | Fault::Away(time)
                | Fault::Stall(time)
                | Fault::StoreAway(time)
                | Fault::StoreFails(time),
            ) => *time,
            _ => 0,
        }
    }
}
