//! One channel as this front-end sees it: its roster, its renderer, and how far each connection has got.
//!
//! Owns the order of things for one channel: a base replaces the roster, an event follows on the one before it, what has
//! no sequence goes behind the last event. What is written to a connection and what is not is the cursors' word
//! (`cursor.rs`); what it looks like is the renderer's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use coven_cluster::link::Acknowledged;
use coven_cluster::{Channel, Delivery, LeaseNumber};
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
    /// The connections of its space.
    connections: Arc<[usize]>,
    /// One for each of these.
    cursors: Vec<Cursor>,
    live: Option<Live>,
    /// The last event that was gone through for the first time.
    noted: Sequence,
    /// The node has forgotten it, and has not begun again.
    is_forgotten: bool,
    /// Waits to be reported.
    is_dirty: bool,
    /// Was used since it was last looked at for rest.
    was_used: bool,
}

#[derive(Debug)]
struct Live {
    roster: Roster,
    renderer: Renderer,
}

impl Projection {
    /// A channel of which nothing is known yet.
    pub(crate) fn new(names: Names, connections: Arc<[usize]>) -> Self {
        Self {
            names,
            connections,
            cursors: Vec::new(),
            live: None,
            noted: Sequence::default(),
            is_forgotten: false,
            is_dirty: false,
            was_used: false,
        }
    }

    /// Renders one delivery.
    pub(crate) fn deliver(&mut self, channel: &Channel, delivery: Delivery, stage: &mut Stage) {
        match delivery {
            Delivery::Base {
                roster,
                acknowledged,
            } => self.base(channel, *roster, &acknowledged, stage),
            Delivery::Event { record, history } => self.event(channel, &record, &history, stage),
            Delivery::Forget => {
                self.live = None;
                self.is_forgotten = true;
            }
            Delivery::Probe(probe) => {
                self.open(stage, |_| true);
                render::probe(&self.names, &probe, &mut stage.fanout(Some(&self.names)));
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
    }

    /// All output of a commit has been gone through.
    pub(crate) fn committed(&mut self, channel: &Channel, commit: u64, stage: &mut Stage) {
        for (at, cursor) in self.connections.iter().zip(&mut self.cursors) {
            let mark = cursor.committed(commit);
            if let (Some(mark), Some(outlet)) = (mark, stage.outlets.get_mut(*at)) {
                outlet.commit(channel, mark);
            }
        }
    }

    /// The cursor of a connection.
    pub(crate) fn cursor(&mut self, connection: usize) -> Option<&mut Cursor> {
        let at = self.connections.iter().position(|at| *at == connection)?;
        self.cursors.get_mut(at)
    }

    /// Something has become of a written event.
    pub(crate) fn meets(&mut self, connection: usize, fate: &Fate<'_>) {
        let Some(cursor) = self.cursor(connection) else {
            return;
        };
        match fate {
            Fate::TakenIn(_, mark) => cursor.acknowledged(*mark),
            Fate::Lost(_) => cursor.lost(),
        }
    }

    /// Whether there is something to be told to the node for the first time since it was told last.
    pub(crate) fn becomes_dirty(&mut self) -> bool {
        let becomes = !self.is_dirty && self.has_news();
        self.is_dirty |= becomes;
        becomes
    }

    fn has_news(&self) -> bool {
        self.cursors.iter().any(|cursor| cursor.news().is_some())
    }

    /// Adds what is to be told to the node.
    pub(crate) fn report(&self, channel: &Channel, stage: &Stage, to: &mut Vec<Acknowledged>) {
        let all = self.is_done();
        let least = self.cursors.iter().map(Cursor::safe).min();
        let least = least.unwrap_or_default();
        for (at, cursor) in self.connections.iter().zip(&self.cursors) {
            let outlet = stage.outlets.get(*at);
            if let (Some(mark), Some(outlet)) = (cursor.news(), outlet) {
                to.push(Acknowledged {
                    channel: channel.clone(),
                    connection: outlet.connection().name().clone(),
                    lease: LeaseNumber::default(),
                    epoch: Epoch::default(),
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
        for cursor in &mut self.cursors {
            cursor.told();
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
        self.cursors.iter().all(Cursor::is_done)
    }

    fn base(
        &mut self,
        channel: &Channel,
        roster: Roster,
        acknowledged: &[(SmolStr, Sequence)],
        stage: &Stage,
    ) {
        let at = roster.at();
        let known = |connection: usize| {
            let name = stage.outlets.get(connection)?.connection().name();
            let of_it = acknowledged.iter().find(|(of, _)| of == name)?;
            Some(of_it.1)
        };
        if self.cursors.is_empty() {
            let new = |connection: &usize| Cursor::new(at, known(*connection));
            self.cursors = self.connections.iter().map(new).collect();
        }
        let was_forgotten = std::mem::take(&mut self.is_forgotten);
        for (connection, cursor) in self.connections.iter().zip(&mut self.cursors) {
            if was_forgotten && cursor.renew(at, known(*connection)) {
                self.noted = at;
            }
            if cursor.base(at, known(*connection)) == Based::Skipped {
                stage.front.counters.skipped.add(1);
                warn!(%channel, sequence = at.0, "events are gone that a lost stream may have swallowed");
            }
        }
        let renderer = Renderer::new(&self.names);
        self.live = Some(Live { roster, renderer });
    }

    fn event(
        &mut self,
        channel: &Channel,
        record: &Record,
        history: &[Arc<Record>],
        stage: &mut Stage,
    ) {
        let sequence = record.sequence;
        let at = self.live.as_ref().map(|live| live.roster.at());
        match at {
            Some(at) if sequence <= at => return,
            Some(at) if sequence == at.next() || at == Sequence::default() => {}
            _ => return self.broken(channel, sequence, stage),
        }
        self.open_for_event(stage, sequence);
        self.render(channel, record, history, stage);
        self.was_used = true;
        for (at, cursor) in self.connections.iter().zip(&mut self.cursors) {
            let (gate, touched) = stage.shut(*at);
            if !cursor.wants(sequence) {
                continue;
            }
            match (gate, touched, stage.outlets.get_mut(*at)) {
                (Gate::Open, true, Some(outlet)) => outlet.note(channel, cursor.wrote(sequence)),
                (Gate::Down, true, _) => cursor.dropped(),
                (Gate::Behind, true, _) => cursor.missed(),
                _ => cursor.passed(sequence),
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
        if self.live.take().is_some() || self.cursors.is_empty() {
            stage.front.counters.gaps.add(1);
            error!(%channel, sequence = sequence.0, "an event does not follow on the one before");
        }
        if self.cursors.is_empty() {
            let new = |_: &usize| Cursor::new(Sequence::default(), None);
            self.cursors = self.connections.iter().map(new).collect();
        }
        for cursor in &mut self.cursors {
            cursor.broken();
        }
        stage.is_broken();
    }

    /// Opens the gates of connections that have a stream, have room, and want this event.
    fn open_for_event(&self, stage: &mut Stage, sequence: Sequence) {
        for (at, cursor) in self.connections.iter().zip(&self.cursors) {
            let gate = if cursor.wants(sequence) {
                stage.gate_for_events(*at)
            } else {
                Gate::Passed
            };
            stage.set(*at, gate);
        }
    }

    /// Opens the gates of connections that have a stream and whose cursor says so.
    fn open(&self, stage: &mut Stage, wants: impl Fn(&Cursor) -> bool) {
        let mut cursors = self.cursors.iter();
        for at in &*self.connections {
            let wanted = cursors.next().is_none_or(&wants);
            let gate = if wanted {
                stage.gate(*at)
            } else {
                Gate::Passed
            };
            stage.set(*at, gate);
        }
    }

    fn shut(&self, stage: &mut Stage) {
        for at in &*self.connections {
            stage.shut(*at);
        }
    }
}

/// Answers and refusals: they need no roster.
pub(crate) fn reply(delivery: Delivery, sink: &mut Fanout<'_>) {
    match delivery {
        Delivery::Answer { origin, answer } => answered(&origin, &answer, sink),
        Delivery::Refused {
            origin, refusal, ..
        } => refused(&origin, &refusal, sink),
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

fn refused(origin: &Origin, refusal: &Refusal, sink: &mut Fanout<'_>) {
    let domains = sink.domains();
    render::refused(&domains, origin, refusal, sink);
}
