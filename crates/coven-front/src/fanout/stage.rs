//! Where rendered stanzas go: to the outlet of the connection that is responsible for the recipient, or nowhere.
//!
//! Owns the gates: for what is being rendered now, which connections it is for. A renderer goes through all recipients in
//! a plain loop; what has been written to a connection before, or is for one that is down, ends here.

use std::cell::Cell;
use std::sync::Arc;

use coven_cluster::ProcessId;
use coven_cluster::routes::LastWay;
use coven_core::Group;
use coven_xmpp::domains::{Domains, Names};
use coven_xmpp::render::{MAX_STANZA, Quirks, Recipient, Sink};
use coven_xmpp::stanza::{Outgoing, Template};
use coven_xmpp::stream::Refused;

use super::outlet::Outlet;
use crate::front::Front;
use crate::intake::Recent;

/// The outlets of a worker, and which of them are open.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) front: Arc<Front>,
    pub(crate) outlets: Vec<Outlet>,
    slots: Vec<Slot>,
    last: LastWay,
    tally: Tally,
    is_broken: bool,
    /// What is rendered is a probe: it comes again by another sweep.
    is_probing: bool,
    /// Stored refusals that were written, by connection, process and number (design §3.6).
    refused: Recent,
    /// A server that takes its time must not hold up others: there are several, or nodes in other processes, whose links
    /// would stand still with all they say.
    others_wait: bool,
}

/// One connection, while something is rendered.
#[derive(Debug, Clone, Default)]
struct Slot {
    gate: Gate,
    /// Something was for it. A renderer that only asks ([`Sink::wants`]) has something as well.
    touched: Cell<bool>,
}

/// Whether a connection is to get what is being rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Gate {
    /// It does not belong to the channel.
    #[default]
    Shut,
    /// Yes.
    Open,
    /// It has it already, or must not get it yet.
    Passed,
    /// It has no stream.
    Down,
    /// Too much waits for it already.
    Behind,
}

/// Counted here, added to the counters once in a while.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    copies: u64,
    down: u64,
    behind: u64,
    unroutable: u64,
    oversized: u64,
    answers: u64,
    probes: u64,
    again: u64,
}

/// What a renderer writes to.
#[derive(Debug)]
pub(crate) struct Fanout<'a> {
    stage: &'a mut Stage,
    /// The channel's addresses; none for the directory.
    names: Option<&'a Names>,
    /// An IQ was larger than the upstream takes: whoever asked gets an error in its place.
    pub(crate) oversized_iq: bool,
    /// The stored refusal that is rendered.
    refusal: Option<Name>,
    /// Where it was written.
    refused_on: Option<usize>,
}

/// What an operation is called: process and number.
type Name = (ProcessId, u64);

impl Stage {
    pub(crate) fn new(front: Arc<Front>, worker: usize) -> Self {
        let outlet = |connection| Outlet::new(Arc::clone(connection), worker);
        let outlets: Vec<Outlet> = front.connections.iter().map(outlet).collect();
        Self {
            slots: vec![Slot::default(); outlets.len()],
            outlets,
            last: LastWay::default(),
            tally: Tally::default(),
            is_broken: false,
            is_probing: false,
            refused: Recent::default(),
            others_wait: front.is_clustered() || several_servers(&front),
            front,
        }
    }

    /// A channel's events have a gap.
    pub(crate) const fn is_broken(&mut self) {
        self.is_broken = true;
    }

    /// Whether a channel's events have got a gap since this was asked last.
    pub(crate) const fn take_broken(&mut self) -> bool {
        std::mem::replace(&mut self.is_broken, false)
    }

    /// What is rendered next is a probe, or is none.
    pub(crate) const fn is_probing(&mut self, is_probing: bool) {
        self.is_probing = is_probing;
    }

    /// Refusals that were lost with a stream, or were not written, are written when they come again. Those of other
    /// connections, and those that the server has, are not.
    pub(crate) fn forget_lost_refusals(&mut self) {
        for (at, outlet) in self.outlets.iter_mut().enumerate() {
            for operation in outlet.take_lost_refusals() {
                self.refused.remove(&(at, operation));
            }
        }
    }

    /// Whether the session of this process lets output of nodes be written. Tells whether it does not.
    pub(crate) fn look_at_fence(&mut self) -> bool {
        let is_open = self.front.fence.is_open();
        for outlet in &mut self.outlets {
            outlet.fence(is_open);
        }
        !is_open
    }

    /// Sets the gate of a connection for what is rendered next.
    pub(crate) fn set(&mut self, connection: usize, gate: Gate) {
        if let Some(slot) = self.slots.get_mut(connection) {
            *slot = Slot {
                gate,
                touched: Cell::new(false),
            };
        }
    }

    /// Shuts a gate. Tells what it was, and whether anything came for it.
    pub(crate) fn shut(&mut self, connection: usize) -> (Gate, bool) {
        let slot = self.slots.get_mut(connection).map(std::mem::take);
        slot.map_or((Gate::Shut, false), |slot| (slot.gate, slot.touched.get()))
    }

    /// The gate for what goes to whoever is there, and does not come again.
    pub(crate) fn gate(&self, connection: usize) -> Gate {
        match self.outlets.get(connection) {
            Some(outlet) if !outlet.is_held() => Gate::Shut,
            Some(outlet) if outlet.takes_passing() => Gate::Open,
            Some(outlet) if outlet.is_up() => Gate::Behind,
            Some(_) => Gate::Down,
            None => Gate::Shut,
        }
    }

    /// The gate for events: they can come again.
    pub(crate) fn gate_for_events(&self, connection: usize) -> Gate {
        match self.outlets.get(connection) {
            Some(outlet) if !outlet.is_held() => Gate::Shut,
            Some(outlet) if outlet.is_behind() => Gate::Behind,
            Some(outlet) if outlet.is_up() => Gate::Open,
            Some(_) => Gate::Down,
            None => Gate::Shut,
        }
    }

    /// Whether what is rendered next is to be written anywhere.
    pub(crate) fn is_open(&self) -> bool {
        self.slots.iter().any(|slot| slot.gate == Gate::Open)
    }

    /// What a renderer writes to.
    pub(crate) const fn fanout<'a>(&'a mut self, names: Option<&'a Names>) -> Fanout<'a> {
        Fanout {
            stage: self,
            names,
            oversized_iq: false,
            refusal: None,
            refused_on: None,
        }
    }

    /// Hands over all that is packed, and adds up what was counted.
    pub(crate) fn flush(&mut self) {
        for outlet in &mut self.outlets {
            outlet.flush();
        }
        let counters = &self.front.counters;
        let tally = std::mem::take(&mut self.tally);
        counters.copies.add(tally.copies);
        counters.copies_down.add(tally.down);
        counters.copies_behind.add(tally.behind);
        counters.copies_unroutable.add(tally.unroutable);
        counters.oversized.add(tally.oversized);
        counters.answers_lost.add(tally.answers);
        counters.probes_missed.add(tally.probes);
        counters.refused_again.add(tally.again);
    }

    /// Hands over full chunks, and waits while too much waits for any connection, within bounds (`hold.rs`).
    pub(crate) async fn relieve(&mut self) {
        for outlet in &mut self.outlets {
            if outlet.relieve(self.others_wait).await {
                self.front.counters.fell_behind.add(1);
            }
        }
    }

    fn send(
        &mut self,
        template: &Template,
        to: &str,
        (bare, group): (&str, &Group),
        refusal: Option<Name>,
    ) -> Sent {
        let routes = &self.front.routes;
        let found = routes.find(group, template.from_domain(), bare, &mut self.last);
        let found = found.and_then(|at| Some((at, self.slots.get(at)?, self.outlets.get_mut(at)?)));
        let Some((at, slot, outlet)) = found else {
            self.tally.unroutable += 1;
            return Sent::No;
        };
        let was_written = |name: Name| self.refused.contains(&(at, name));
        if slot.gate == Gate::Open && refusal.is_some_and(was_written) {
            self.tally.again += 1;
            return Sent::No;
        }
        slot.touched.set(true);
        match slot.gate {
            Gate::Open => match outlet.push(template, to) {
                Ok(()) => self.tally.copies += 1,
                Err(refused) => return self.refused(&refused),
            },
            Gate::Down => self.tally.down += 1,
            Gate::Behind => {
                self.tally.behind += 1;
                if self.is_probing {
                    self.tally.probes += 1;
                    outlet.misses_probe(group);
                }
            }
            // Another front-end holds it: there it is written.
            Gate::Shut if !outlet.is_held() => return Sent::No,
            Gate::Shut => self.tally.unroutable += 1,
            Gate::Passed => {}
        }
        if slot.gate == Gate::Open {
            Sent::Yes(at)
        } else {
            Sent::NotNow
        }
    }

    /// It would have broken the stream. It is never sent again: a repeat would be no smaller.
    const fn refused(&mut self, refused: &Refused) -> Sent {
        match refused {
            Refused::TooLarge { .. } => {
                self.tally.oversized += 1;
                Sent::TooLarge
            }
            Refused::ForeignFrom { .. } => {
                self.tally.unroutable += 1;
                Sent::No
            }
        }
    }
}

fn several_servers(front: &Front) -> bool {
    let mut servers = front.connections.iter().map(|c| c.upstream().address());
    servers
        .next()
        .is_some_and(|first| servers.any(|other| other != first))
}

/// What became of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// On this connection.
    Yes(usize),
    /// Its gate is not open.
    NotNow,
    No,
    TooLarge,
}

impl Fanout<'_> {
    /// The domains that are served.
    pub(crate) fn domains(&self) -> Arc<Domains> {
        Arc::clone(&self.stage.front.domains)
    }

    /// Something cannot be rendered, since the channel's roster is not here.
    pub(crate) fn without_roster(&self) {
        self.stage.front.counters.gaps.add(1);
    }

    /// What is for connections that do not get it now is not rendered: there may have been something for each of them.
    pub(crate) fn leave_out(&mut self) {
        for slot in &self.stage.slots {
            slot.touched.set(true);
        }
    }

    /// What is rendered next is a stored refusal: it is not written where it was written before.
    pub(crate) const fn refuses(&mut self, operation: Name) {
        self.refusal = Some(operation);
    }

    /// It was gone through: remembered if it was written.
    pub(crate) fn has_refused(&mut self) {
        if let (Some(operation), Some(at)) = (self.refusal.take(), self.refused_on.take()) {
            self.stage.refused.insert(&(at, operation));
        }
    }

    fn route(&self, to: &Recipient<'_>) -> Option<usize> {
        let domain = self.names?.domain(to.view)?;
        let routes = &self.stage.front.routes;
        routes.find(to.group, domain, to.bare, &mut LastWay::default())
    }
}

impl Sink for Fanout<'_> {
    fn send(&mut self, template: &Template, to: Recipient<'_>) {
        let way = (to.bare, to.group);
        self.stage.send(template, to.to, way, None);
    }

    /// It does not come again: if it is not written now, it is lost.
    fn answer(&mut self, stanza: Outgoing, group: &Group) {
        let bare = stanza
            .to
            .split_once('/')
            .map_or(&*stanza.to, |(bare, _)| bare);
        let (way, refusal) = ((bare, group), self.refusal);
        match self.stage.send(&stanza.template, &stanza.to, way, refusal) {
            Sent::NotNow => self.stage.tally.answers += 1,
            Sent::TooLarge => self.oversized_iq |= stanza.to_bytes().starts_with(b"<iq"),
            Sent::Yes(at) => self.refused_on = Some(at),
            Sent::No => {}
        }
    }

    fn wants(&self, to: &Recipient<'_>) -> bool {
        let slot = self.route(to).and_then(|at| self.stage.slots.get(at));
        slot.is_some_and(|slot| {
            slot.touched.set(true);
            slot.gate == Gate::Open
        })
    }

    /// Only for the server's own users (MIX-PAMC-09).
    fn quirks(&self, to: &Recipient<'_>) -> Quirks {
        let front = &self.stage.front;
        if !front.routes.is_user_of(to.group, to.bare) {
            return Quirks::default();
        }
        let connection = self.route(to).and_then(|at| front.connections.get(at));
        connection.map_or_else(Quirks::default, |connection| connection.upstream().quirks)
    }

    fn max_stanza(&self, group: &Group) -> usize {
        let of_group = self.stage.front.connections.iter();
        let of_group = of_group.filter(|connection| connection.group() == group);
        let least = of_group
            .map(|connection| connection.upstream().max_stanza_bytes)
            .min();
        least.unwrap_or(MAX_STANZA)
    }
}
