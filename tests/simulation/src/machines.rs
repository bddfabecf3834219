//! The machines of a world: which processes run where, and what goes wrong with them, their links and their store.
//!
//! Owns the processes, the store and the registry that outlive them, and the network between them. A place is where one
//! process runs at a time; the next one there is another process, with another id.

use coven_cluster::ProcessId;
use coven_store::registry::Request;
use coven_store::{Store as _, StoreId};

use crate::net::Net;
use crate::plan::{Fault, Shape};
use crate::process::{Around, Process, Role};
use crate::registry::{Meeting, SimRegistry};
use crate::rng::Rng;
use crate::rule::Rule;
use crate::server::Network;
use crate::store::{Disk, Kept, SimStore};

/// All machines.
#[derive(Debug)]
pub struct Machines {
    /// What outlives processes.
    pub disk: Disk,
    shape: Shape,
    identity: StoreId,
    meeting: Meeting,
    net: Net,
    network: Network,
    places: Vec<Place>,
    /// What processes that were killed had under way.
    orphans: Vec<(SimStore, SimRegistry)>,
    /// What the store falls back to, and when.
    kept: Option<(u64, u64, Kept)>,
    without: Option<Rule>,
    rng: Rng,
}

#[derive(Debug)]
struct Place {
    role: Role,
    process: Option<Process>,
    /// When the process is to come back.
    back: Option<u64>,
    paused_until: u64,
    /// Drained by an operator until then.
    drained_until: Option<u64>,
}

impl Machines {
    /// All of them, started.
    #[must_use]
    pub fn new(shape: Shape, network: Network, mut rng: Rng, without: Option<Rule>) -> Self {
        let disk = Disk::default();
        let identity = disk.model.identity().wait().unwrap_or(StoreId(0));
        let place = |role| Place {
            role,
            process: None,
            back: Some(0),
            paused_until: 0,
            drained_until: None,
        };
        let mut machines = Self {
            disk,
            identity,
            meeting: Meeting::new(identity),
            net: Net::new(rng.range(100, 3_000), rng.split()),
            network,
            places: shape.roles().map(place).collect(),
            shape,
            orphans: Vec::new(),
            kept: None,
            without,
            rng,
        };
        machines.come_back(0);
        machines
    }

    /// Everything goes on until `now`.
    pub fn step(&mut self, now: u64) {
        self.meeting.step(now);
        self.lose(now);
        self.come_back(now);
        for (store, registry) in &self.orphans {
            store.line.step(&self.disk, now);
            registry.line.step(&self.meeting, now);
        }
        self.orphans
            .retain(|(store, registry)| !store.line.is_empty() || !registry.line.is_empty());
        self.net.step(now);
        for place in &mut self.places {
            let Some(process) = &mut place.process else {
                continue;
            };
            process.around.store.line.step(&self.disk, now);
            process.around.registry.line.step(&self.meeting, now);
            if now >= place.paused_until {
                process.host.step(now);
            }
        }
    }

    /// Something goes wrong. Faults of servers are not ours.
    pub fn fault(&mut self, fault: &Fault, now: u64) {
        match *fault {
            Fault::Crash(place, down) => self.crash(place, now, down),
            Fault::Dies(place, down) => {
                self.net.silence(place);
                self.crash(place, now, down);
            }
            Fault::Restart(place, down) => {
                if let Some(process) = &self.places[place].process {
                    process.terminate();
                    self.places[place].back = Some(now + down);
                }
            }
            Fault::Pause(place, time) => self.places[place].paused_until = now + time,
            Fault::StoreAway(place, time) => self.around(place, |around| {
                around.store.line.away(now + time);
                around.registry.away(now + time);
            }),
            Fault::StoreFails(place, time) => {
                self.around(place, |around| around.store.line.fail(now + time, true));
            }
            Fault::LinkCut(node, front, time) => self.net.block(node, front, now + time),
            Fault::FailOver(time) => self.fail_over(now, time),
            Fault::Loss(since, time) => {
                self.kept = Some((now + since, time, self.disk.keep()));
            }
            Fault::Drain(place, time) => {
                self.places[place].drained_until = Some(now + time);
                self.ask(place, Request::Drain);
            }
            Fault::Cut(_) | Fault::Away(..) | Fault::Stall(..) => {}
        }
    }

    /// Ends all.
    pub fn end(&mut self) {
        for place in &mut self.places {
            if let Some(process) = place.process.take() {
                process.host.kill();
            }
        }
    }

    fn crash(&mut self, at: usize, now: u64, down: u64) {
        let place = &mut self.places[at];
        let Some(process) = place.process.take() else {
            return;
        };
        place.back = Some(now + down);
        place.paused_until = 0;
        process.host.kill();
        let Around {
            store, registry, ..
        } = process.around;
        store.line.orphan(&mut self.rng, now);
        registry.line.orphan(&mut self.rng, now);
        self.orphans.push((store, registry));
    }

    /// Another server takes over from the one that held store and registry: nobody has a session any more.
    fn fail_over(&mut self, now: u64, time: u64) {
        self.meeting.fail_over();
        for place in 0..self.places.len() {
            self.around(place, |around| {
                around.store.line.away(now + time);
                around.registry.line.away(now + time);
            });
        }
    }

    /// The server that takes over had not got the last commits.
    fn lose(&mut self, now: u64) {
        if let Some((_, time, kept)) = self.kept.take_if(|(at, ..)| *at <= now) {
            self.disk.set_back(kept);
            self.fail_over(now, time);
        }
    }

    /// Starts processes again when it is time: after a crash, or after they have ended.
    fn come_back(&mut self, now: u64) {
        for at in 0..self.places.len() {
            let place = &mut self.places[at];
            if place.process.as_ref().is_some_and(Process::has_ended) {
                place.process = None;
                place.back.get_or_insert(now);
            }
            if place.drained_until.is_some_and(|until| until <= now) {
                place.drained_until = None;
                self.ask(at, Request::Undrain);
            }
            let place = &mut self.places[at];
            if place.process.is_none() && place.back.is_some_and(|back| back <= now) {
                place.back = None;
                let role = place.role;
                let process = self.start(at, role, now);
                self.places[at].process = Some(process);
            }
        }
    }

    fn start(&mut self, place: usize, role: Role, now: u64) -> Process {
        let store = SimStore::new(self.rng.split(), self.without);
        store.line.takes(self.rng.range(500, 20_000));
        let registry = SimRegistry::new(self.rng.split(), &self.meeting, self.without);
        let around = Around {
            role,
            process: ProcessId(u128::from(self.rng.draw()) << 64 | u128::from(self.rng.draw())),
            place,
            store,
            registry,
            identity: self.identity,
            net: self.net.clone(),
            network: self.network.of(place),
            upstreams: self.shape.upstreams,
            attach: self.shape.attach,
            workers: self.shape.workers,
            without: self.without,
        };
        Process::start(now, around)
    }

    fn ask(&self, place: usize, request: impl FnOnce(ProcessId) -> Request) {
        if let Some(process) = &self.places[place].process {
            self.meeting.request(request(process.around.process));
        }
    }

    fn around(&self, place: usize, act: impl FnOnce(&Around)) {
        if let Some(process) = &self.places[place].process {
            act(&process.around);
        }
    }
}
