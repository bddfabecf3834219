//! One channel as this front-end sees it: its roster, its renderer, and how far each connection has got.
//!
//! Owns the order of things for one channel: a base replaces the roster, an event follows on the one before it, what has
//! no sequence goes behind the last event. What is written to a connection and what is not is the cursors' word
//! (`cursor.rs`); what it looks like is the renderer's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use coven_cluster::link::Acknowledged;
use coven_cluster::{Channel, Delivery, ProcessId};
use coven_core::{Answer, Epoch, Origin, Record, Refusal, Roster, Sequence};
use coven_xmpp::domains::Names;
use coven_xmpp::render::{self, Renderer, Sync};
use smol_str::SmolStr;
use tracing::{error, warn};

use super::cursor::{Based, Cursor};
use super::outlet::Fate;
use super::stage::{Fanout, Gate, Stage};

/// One channel as this front-end sees it.
#[derive(Debug)]
pub(crate) struct Projection {
    names: Names,
    /// The connections of its space that this front-end holds.
    seats: Vec<Seat>,
    live: Option<Live>,
    /// Who owns the channel's shard, by the last base.
    owner: Epoch,
    /// How far that owner's own events have come.
    at: Sequence,
    /// The last event that was gone through for the first time.
    noted: Sequence,
    /// The node has forgotten it, and has not begun again.
    is_forgotten: bool,
    /// Waits to be reported.
    is_dirty: bool,
    /// Was used since it was last looked at for rest.
    was_used: bool,
}

/// A connection that is held, and how far the channel has come on it.
#[derive(Debug)]
struct Seat {
    connection: usize,
    cursor: Cursor,
}

#[derive(Debug)]
struct Live {
    roster: Roster,
    renderer: Renderer,
}

impl Projection {
    /// A channel of which nothing is known yet; `held`: the connections of its space that this front-end holds.
    pub(crate) fn new(names: Names, held: impl Iterator<Item = usize>) -> Self {
        let seat = |connection| Seat {
            connection,
            cursor: Cursor::new(),
        };
        Self {
            names,
            seats: held.map(seat).collect(),
            live: None,
            owner: Epoch::default(),
            at: Sequence::default(),
            noted: Sequence::default(),
            is_forgotten: false,
            is_dirty: false,
            was_used: false,
        }
    }

    /// A connection of its space is held from now on, or anew: it begins with the next base (IL-06, IL-27).
    pub(crate) fn hold(&mut self, connection: usize) {
        self.release(connection);
        let at = self
            .seats
            .partition_point(|seat| seat.connection < connection);
        let cursor = Cursor::new();
        self.seats.insert(at, Seat { connection, cursor });
    }

    /// A connection is held no more.
    pub(crate) fn release(&mut self, connection: usize) {
        self.seats.retain(|seat| seat.connection != connection);
    }

    /// Renders one delivery of an owner. What an older owner says of the state is dropped: the newest sends all that counts
    /// itself (`is_old`). Answers are not (IL-26). Tells whether it was dropped.
    pub(crate) fn deliver(
        &mut self,
        channel: &Channel,
        delivery: Delivery,
        (owner, is_old): (Epoch, bool),
        stage: &mut Stage,
    ) -> bool {
        match delivery {
            Delivery::Base { .. }
            | Delivery::Event { .. }
            | Delivery::Sync { .. }
            | Delivery::PresenceDump { .. }
            | Delivery::Passing(_)
            | Delivery::Forget
                if is_old =>
            {
                return true;
            }
            Delivery::Base {
                roster,
                acknowledged,
            } => self.base(channel, *roster, &acknowledged, owner, stage),
            Delivery::Event { record, history } => {
                self.event(channel, &record, &history, owner, stage);
            }
            Delivery::Forget => {
                self.live = None;
                self.is_forgotten = true;
            }
            Delivery::Probe(probe) => {
                self.open(stage, |_| true);
                stage.is_probing(true);
                render::probe(&self.names, &probe, &mut stage.fanout(Some(&self.names)));
                stage.is_probing(false);
                self.shut(stage);
            }
            other => {
                let wants = match &other {
                    Delivery::Answer { .. }
                    | Delivery::Refused { .. }
                    | Delivery::NotJoined { .. } => Cursor::takes_answers,
                    _ => Cursor::is_current,
                };
                self.open(stage, wants);
                self.passing(other, stage);
                self.shut(stage);
            }
        }
        false
    }

    /// All output of a commit of an owner has been gone through.
    pub(crate) fn committed(
        &mut self,
        channel: &Channel,
        commit: u64,
        owner: Epoch,
        stage: &mut Stage,
    ) {
        if owner != self.owner {
            return;
        }
        for seat in &mut self.seats {
            let mark = seat.cursor.committed(commit);
            if let (Some(mark), Some(outlet)) = (mark, stage.outlets.get_mut(seat.connection)) {
                outlet.commit(channel, mark);
            }
        }
    }

    /// The cursor of a connection.
    pub(crate) fn cursor(&mut self, connection: usize) -> Option<&mut Cursor> {
        let mut seats = self.seats.iter_mut();
        let seat = seats.find(|seat| seat.connection == connection)?;
        Some(&mut seat.cursor)
    }

    /// Something has become of a written event.
    pub(crate) fn meets(&mut self, connection: usize, fate: &Fate<'_>) {
        let Some(cursor) = self.cursor(connection) else {
            return;
        };
        match fate {
            Fate::TakenIn(_, mark) => cursor.acknowledged(*mark),
            Fate::Lost(_) => cursor.lost(),
            Fate::Unwritten(_, last) => cursor.unwritten(*last),
        }
    }

    /// Whether there is something to be told to the node for the first time since it was told last.
    pub(crate) fn becomes_dirty(&mut self) -> bool {
        let becomes = !self.is_dirty && self.has_news();
        self.is_dirty |= becomes;
        becomes
    }

    fn has_news(&self) -> bool {
        let mut seats = self.seats.iter();
        seats.any(|seat| seat.cursor.news(self.at).is_some())
    }

    /// Adds what is to be told to the node.
    pub(crate) fn report(&self, channel: &Channel, stage: &Stage, to: &mut Vec<Acknowledged>) {
        let all = self.is_done();
        let least = self.seats.iter().map(|seat| seat.cursor.safe()).min();
        let least = least.unwrap_or_default().min(self.at);
        for seat in &self.seats {
            let outlet = stage.outlets.get(seat.connection);
            if let (Some(mark), Some(outlet)) = (seat.cursor.news(self.at), outlet)
                && let Some(lease) = outlet.lease()
            {
                to.push(Acknowledged {
                    channel: channel.clone(),
                    connection: outlet.connection().name().clone(),
                    lease,
                    epoch: self.owner,
                    sequence: mark.sequence,
                    least,
                    commit: mark.commit,
                    all,
                });
            }
        }
    }

    /// The node has been told.
    pub(crate) fn told(&mut self) {
        self.is_dirty = false;
        for seat in &mut self.seats {
            seat.cursor.told(self.at);
        }
    }

    /// Whether nothing is lost with it.
    pub(crate) fn is_disposable(&self) -> bool {
        self.live.is_none() && self.is_done() && !self.is_dirty && !self.has_news()
    }

    /// Looks whether it is at rest: then what can be made again is dropped. Tells whether it is not.
    pub(crate) fn rest(&mut self) -> bool {
        let was_used = std::mem::take(&mut self.was_used);
        if let (false, Some(live)) = (was_used, &mut self.live) {
            live.renderer.shrink();
        }
        was_used
    }

    fn is_done(&self) -> bool {
        self.seats.iter().all(|seat| seat.cursor.is_done())
    }

    fn base(
        &mut self,
        channel: &Channel,
        roster: Roster,
        acknowledged: &[(SmolStr, Sequence)],
        owner: Epoch,
        stage: &mut Stage,
    ) {
        let at = roster.at();
        let is_new_owner = owner > std::mem::replace(&mut self.owner, owner);
        let was_forgotten = std::mem::take(&mut self.is_forgotten);
        for seat in &mut self.seats {
            let name = stage
                .outlets
                .get(seat.connection)
                .map(|o| o.connection().name());
            let known = acknowledged.iter().find(|(of, _)| Some(of) == name);
            let known = known.map(|(_, sequence)| *sequence);
            // Where another owner begins lower, its events say themselves whether they are others (IL-09).
            if was_forgotten && !is_new_owner && seat.cursor.renew(at, known) {
                self.noted = at;
            }
            match seat.cursor.base(at, known, owner) {
                Based::Complete => {}
                Based::Missing => stage.is_broken(),
                Based::Skipped => {
                    stage.front.counters.skipped.add(1);
                    warn!(%channel, sequence = at.0, "events are gone that a lost stream may have swallowed");
                }
            }
            // What was told by a link that is gone may not have arrived.
            if stage.front.is_clustered() {
                seat.cursor.tell_again();
            }
        }
        let renderer = Renderer::new(&self.names);
        self.at = at;
        self.live = Some(Live { roster, renderer });
    }

    fn event(
        &mut self,
        channel: &Channel,
        record: &Record,
        history: &[Arc<Record>],
        owner: Epoch,
        stage: &mut Stage,
    ) {
        let (sequence, first) = (record.sequence, record.first_epoch);
        let at = self.live.as_ref().map(|live| live.roster.at());
        if at.is_some_and(|at| sequence == at.next()) && !stage.front.is_clustered() {
            self.goes_on_under(owner);
        }
        match at.filter(|_| owner == self.owner) {
            Some(at) if sequence <= at => return,
            Some(at) if sequence == at.next() || at == Sequence::default() => {}
            _ => return self.broken(channel, sequence, stage),
        }
        self.open_for_event(stage, record);
        self.render(channel, record, history, stage);
        self.was_used = true;
        self.at = sequence;
        for seat in &mut self.seats {
            let (gate, touched) = stage.shut(seat.connection);
            let cursor = &mut seat.cursor;
            if !cursor.wants(sequence, first) {
                // It was held anew, and its base has not come: it is asked for.
                if cursor.begins() {
                    cursor.broken();
                    stage.is_broken();
                }
                continue;
            }
            match (gate, touched, stage.outlets.get_mut(seat.connection)) {
                (Gate::Open, true, Some(outlet)) => {
                    outlet.note(channel, cursor.wrote(sequence, first));
                }
                (Gate::Down, true, _) => cursor.dropped(),
                (Gate::Behind, true, _) => cursor.missed(),
                _ => cursor.passed(sequence, first),
            }
        }
    }

    /// The one node has claimed its store anew, as after a failure: what follows on the last event is the same history, and
    /// needs no new roster.
    fn goes_on_under(&mut self, owner: Epoch) {
        if owner > self.owner {
            self.owner = owner;
            for seat in &mut self.seats {
                seat.cursor.goes_on_under(owner);
            }
        }
    }

    /// Applies an event, and renders it where it is for anybody. A fault of the renderer costs this event, not the
    /// channel (I10).
    fn render(
        &mut self,
        channel: &Channel,
        record: &Record,
        history: &[Arc<Record>],
        stage: &mut Stage,
    ) {
        let Some(live) = &mut self.live else { return };
        let front = Arc::clone(&stage.front);
        let is_new = record.sequence > self.noted;
        self.noted = self.noted.max(record.sequence);
        let is_open = stage.is_open();
        let rendered = catch_unwind(AssertUnwindSafe(|| {
            let delta = live.roster.apply(record);
            front.note(channel.name(), record, is_new, &delta);
            let (roster, mut fanout) = (&live.roster, stage.fanout(Some(&self.names)));
            if is_open {
                live.renderer
                    .event(roster, &delta, record, history, &mut fanout);
            } else {
                live.renderer.shrink();
                fanout.leave_out();
            }
        }));
        stage.front.counters.events.add(1);
        if rendered.is_err() {
            self.fault(stage);
        }
    }

    fn passing(&mut self, delivery: Delivery, stage: &mut Stage) {
        let names = self.names.clone();
        let mut fanout = stage.fanout(Some(&names));
        let rendered = catch_unwind(AssertUnwindSafe(|| self.write(delivery, &mut fanout)));
        if rendered.is_err() {
            self.fault(stage);
        }
    }

    fn write(&mut self, delivery: Delivery, sink: &mut Fanout<'_>) {
        match (delivery, &mut self.live) {
            (
                Delivery::Sync {
                    session,
                    history,
                    altered,
                    stanza_id,
                    max_chars,
                },
                Some(live),
            ) => {
                let sync = Sync {
                    session,
                    history: &history,
                    altered,
                    stanza_id: stanza_id.as_deref(),
                    max_chars,
                };
                live.renderer.sync(&live.roster, &sync, sink);
            }
            (Delivery::PresenceDump { to }, Some(live)) => {
                live.renderer.presence_dump(&live.roster, to, sink);
            }
            (Delivery::Passing(message), Some(live)) => {
                live.renderer.passing(&live.roster, &message, sink);
            }
            (Delivery::Relay(relayed), Some(live)) => live.renderer.relay(&relayed, sink),
            (other, _) => reply(other, sink),
        }
    }

    /// The renderer begins anew: what it holds may be half of something.
    fn fault(&mut self, stage: &Stage) {
        stage.front.counters.panics.add(1);
        error!(local = %self.names.local, "rendering failed: a fault of the program");
        if let Some(live) = &mut self.live {
            live.renderer = Renderer::new(&self.names);
        }
    }

    /// There is no state that the event could follow on: nothing is written until the node begins again.
    fn broken(&mut self, channel: &Channel, sequence: Sequence, stage: &mut Stage) {
        let is_known = self.seats.iter().any(|seat| !seat.cursor.is_done());
        if self.live.take().is_some() || !is_known {
            stage.front.counters.gaps.add(1);
            error!(%channel, sequence = sequence.0, "an event does not follow on the one before");
        }
        for seat in &mut self.seats {
            seat.cursor.broken();
        }
        stage.is_broken();
    }

    /// Opens the gates of connections that have a stream, have room, and want this event.
    fn open_for_event(&self, stage: &mut Stage, record: &Record) {
        for seat in &self.seats {
            let gate = if seat.cursor.wants(record.sequence, record.first_epoch) {
                stage.gate_for_events(seat.connection)
            } else {
                Gate::Passed
            };
            stage.set(seat.connection, gate);
        }
    }

    /// Opens the gates of connections that have a stream and whose cursor says so.
    fn open(&self, stage: &mut Stage, wants: impl Fn(&Cursor) -> bool) {
        for seat in &self.seats {
            let gate = if wants(&seat.cursor) {
                stage.gate(seat.connection)
            } else {
                Gate::Passed
            };
            stage.set(seat.connection, gate);
        }
    }

    fn shut(&self, stage: &mut Stage) {
        for seat in &self.seats {
            stage.shut(seat.connection);
        }
    }
}

/// Answers and refusals: they need no roster.
pub(crate) fn reply(delivery: Delivery, sink: &mut Fanout<'_>) {
    match delivery {
        Delivery::Answer { origin, answer } => answered(&origin, &answer, sink),
        Delivery::Refused {
            origin,
            refusal,
            operation,
        } => refused_once(&origin, &refusal, operation, sink),
        Delivery::NotJoined { origin } => render::not_joined(&origin, sink),
        _ => sink.without_roster(),
    }
}

/// What cannot be cut is `resource-constraint` to the requester (I9).
fn answered(origin: &Origin, answer: &Answer, sink: &mut Fanout<'_>) {
    let domains = sink.domains();
    render::answer(&domains, origin, answer, sink);
    if sink.oversized_iq {
        let refusal = Refusal::usual(coven_core::Condition::ResourceConstraint);
        refused(origin, &refusal.text("the answer is too large"), sink);
    }
}

/// A refusal of a remote link may come again: it is written once (design §3.6).
fn refused_once(
    origin: &Origin,
    refusal: &Refusal,
    operation: Option<(ProcessId, u64)>,
    sink: &mut Fanout<'_>,
) {
    if operation.is_some_and(|operation| sink.was_refused(operation)) {
        return;
    }
    refused(origin, refusal, sink);
    if let Some(operation) = operation {
        sink.is_refused(operation);
    }
}

fn refused(origin: &Origin, refusal: &Refusal, sink: &mut Fanout<'_>) {
    let domains = sink.domains();
    render::refused(&domains, origin, refusal, sink);
}
