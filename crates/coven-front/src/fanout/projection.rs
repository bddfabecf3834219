//! One channel as this front-end sees it: its roster, its renderer, and how far each connection has got.
//!
//! Owns the order of things for one channel: a base replaces the roster, an event follows on the one before it, what has
//! no sequence goes behind the last event. What is written to a connection and what is not is the cursors' word
//! (`cursor.rs`); what it looks like is the renderer's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use coven_cluster::{Channel, Delivery, ProcessId};
use coven_core::{Epoch, Record, Roster, Sequence};
use coven_xmpp::domains::Names;
use coven_xmpp::render::{self, Renderer, Sync};
use smol_str::SmolStr;
use tracing::{error, warn};

use super::cursor::{Based, Cursor};
use super::outlet::Fate;
use super::owed::Owed;
use super::replies::reply;
use super::stage::{Fanout, Gate, Stage};

/// One channel as this front-end sees it.
#[derive(Debug)]
pub(crate) struct Projection {
    names: Names,
    /// The connections of its space that this front-end holds.
    pub(super) seats: Vec<Seat>,
    live: Option<Live>,
    /// Who owns the channel's shard, by the last base.
    pub(super) owner: Epoch,
    /// How far that owner's own events have come.
    pub(super) at: Sequence,
    /// The last event that was gone through for the first time.
    noted: Sequence,
    /// The node has forgotten it, and has not begun again.
    is_forgotten: bool,
    /// Waits to be reported.
    pub(super) is_dirty: bool,
    /// What one alone is still to be told.
    pub(super) owed: Owed,
    /// Was used since it was last looked at for rest.
    was_used: bool,
    /// How often it was looked at since it was used.
    looks: u8,
}

/// After so many looks without use, one whose shard has moved is left.
const LOOKS: u8 = 3;

/// A connection that is held, and how far the channel has come on it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) connection: usize,
    pub(super) cursor: Cursor,
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
            owed: Owed::default(),
            was_used: false,
            looks: 0,
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
        self.owed.forget(connection);
    }

    /// The connections that are held.
    pub(super) fn connections(&self) -> impl Iterator<Item = usize> + '_ {
        self.seats.iter().map(|seat| seat.connection)
    }

    /// Whether its roster is here.
    pub(super) const fn is_live(&self) -> bool {
        self.live.is_some()
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
                if Owed::is_for(&delivery) {
                    self.owe(&delivery, stage);
                }
                return true;
            }
            delivery if Owed::is_for(&delivery) && !self.is_live() => self.owe(&delivery, stage),
            delivery if Owed::is_for(&delivery) => {
                self.open(stage, Cursor::is_current);
                self.passing(delivery.clone(), stage);
                self.shut_owing(&delivery, stage);
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
                    // It was not done and is kept nowhere: it depends on nothing that is still to come, and never comes again.
                    Delivery::Refused {
                        operation: None, ..
                    } => |_: &Cursor| true,
                    Delivery::Answer { .. }
                    | Delivery::Refused { .. }
                    | Delivery::NotJoined { .. } => Cursor::takes_answers,
                    _ => Cursor::is_current,
                };
                let stored = match &other {
                    Delivery::Answer { operation, .. }
                    | Delivery::Refused { operation, .. }
                    | Delivery::NotJoined { operation, .. } => *operation,
                    _ => None,
                };
                self.open(stage, wants);
                self.passing(other, stage);
                match stored {
                    Some(operation) => self.shut_behind(channel, operation, stage),
                    None => self.shut(stage),
                }
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
        // Output without a number is followed by more: the roster is not there yet.
        if commit > 0 {
            self.pay(stage);
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

    /// Whether nothing is lost with it.
    pub(crate) fn is_disposable(&self) -> bool {
        self.live.is_none() && self.is_done() && !self.is_dirty && !self.has_news()
    }

    /// Looks whether it is at rest: then what can be made again is dropped. `has_moved`: its shard has a newer owner, who
    /// sends the roster anew, and nobody says that this one is not needed any more. Tells whether all of it may go.
    pub(crate) fn rest(&mut self, has_moved: bool) -> bool {
        if std::mem::take(&mut self.was_used) {
            self.looks = 0;
            return false;
        }
        if let Some(live) = &mut self.live {
            live.renderer.shrink();
        }
        self.looks = self.looks.saturating_add(1);
        // The newer owner may not know yet what was acknowledged to the last one: until it has loaded what is owed, what was
        // written is remembered.
        let is_left = has_moved && self.looks >= LOOKS || self.seats.is_empty();
        if is_left && self.is_done() {
            self.live = None;
        }
        self.is_disposable()
    }

    /// Who owns the channel's shard, by the last base.
    pub(crate) const fn owner(&self) -> Epoch {
        self.owner
    }

    pub(super) fn is_done(&self) -> bool {
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
                    outlet.note(channel, cursor.wrote(sequence, first), None);
                }
                (Gate::Down, true, _) => cursor.dropped(),
                (Gate::Behind, true, _) => cursor.missed(),
                _ => cursor.passed(sequence, first),
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

    pub(super) fn passing(&mut self, delivery: Delivery, stage: &mut Stage) {
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

    /// Shuts the gates behind a stored refusal or answer: the node keeps it until it is acknowledged, so it is noted like an
    /// event, and comes again where it was not written (I5, IL-10).
    fn shut_behind(&mut self, channel: &Channel, refusal: (ProcessId, u64), stage: &mut Stage) {
        for seat in &mut self.seats {
            let (gate, touched) = stage.shut(seat.connection);
            match (gate, touched, stage.outlets.get_mut(seat.connection)) {
                (Gate::Open, true, Some(outlet)) => {
                    outlet.note(channel, seat.cursor.refused(), Some(refusal));
                }
                (Gate::Down, true, _) => seat.cursor.dropped(),
                (Gate::Behind, true, _) => seat.cursor.missed(),
                _ => {}
            }
        }
    }

    /// Opens the gate of one connection.
    pub(super) fn open_one(&self, connection: usize, stage: &mut Stage) {
        for seat in &self.seats {
            let is_it = seat.connection == connection;
            stage.set(
                seat.connection,
                if is_it { Gate::Open } else { Gate::Passed },
            );
        }
    }

    pub(super) fn shut(&self, stage: &mut Stage) {
        for seat in &self.seats {
            stage.shut(seat.connection);
        }
    }
}
