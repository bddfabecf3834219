//! Who hears a channel: which front-ends hold its roster, and what leaves when one of them needs it anew.
//!
//! A front-end that begins to hold a connection of the space gets the roster with the next event; if the channel owes
//! anything, at once: base and journal, and the refusals and answers that nobody has acknowledged (design §5.7, 5.8; IL-10). Nothing is
//! sent to one that lacks what it builds on.

use crate::actor::{Message, Room, Soundness};
use crate::commit::Request;
use crate::fronts::{Seats, View};
use crate::holding::SeatNo;
use crate::kept::Last;
use crate::load;
use crate::operations;
use crate::table::lock;
use coven_cluster::Delivery;
use coven_core::{Record, Roster, Sequence};
use coven_proto::decode_outcome;
use coven_store::StoredOutcome;
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// What could not be sent again is tried after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);
/// Deliveries in one output when the journal is sent again.
const PAGE: usize = 200;

/// What is sent again.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) base: Roster,
    pub(crate) journal: Vec<Arc<Record>>,
    pub(crate) acknowledged: Vec<(SmolStr, Sequence)>,
    pub(crate) outcomes: Vec<StoredOutcome>,
}

/// The front-ends that hold a channel's roster.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// Whom the channel has seen last.
    view: Option<Arc<View>>,
    /// Of these: who has the roster, by number and since when it holds what it holds.
    have: Vec<(SeatNo, u64)>,
    /// How long was waited before the latest attempt to send again that failed.
    pause: Duration,
    /// Another attempt is to come.
    is_due: bool,
}

impl Audience {
    /// Takes up a view; those that are in it no more are forgotten.
    fn see(&mut self, view: &Arc<View>) {
        if self
            .view
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, view))
        {
            return;
        }
        let there = |known: &(SeatNo, u64)| {
            view.members()
                .any(|(seat, since)| (seat.no, since) == *known)
        };
        self.have.retain(there);
        self.view = Some(Arc::clone(view));
    }

    /// Those of the view who lack the roster.
    fn lacking(&self) -> Vec<Arc<crate::fronts::SeatState>> {
        let Some(view) = &self.view else {
            return Vec::new();
        };
        let mut lacking = Vec::new();
        for (seat, since) in view.members() {
            if !self.have.contains(&(seat.no, since)) {
                lacking.push(Arc::clone(seat));
            }
        }
        lacking
    }

    /// From now on all of the view have it.
    fn all_have(&mut self) {
        if let Some(view) = &self.view {
            self.have = view
                .members()
                .map(|(seat, since)| (seat.no, since))
                .collect();
        }
    }

    /// Whether all of this view have it.
    fn is_complete(&self, view: &Arc<View>) -> bool {
        self.view
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, view))
            && self.have.len() == view.seats.len()
    }

    /// All of this view are about to get it.
    pub(crate) fn meet_all(&mut self, view: &Arc<View>) -> Seats {
        self.see(view);
        self.all_have();
        Arc::clone(&view.seats)
    }

    /// Everybody of the view that was seen last.
    pub(crate) fn seats(&self) -> Option<Seats> {
        self.view.as_ref().map(|view| Arc::clone(&view.seats))
    }

    /// Nobody has it.
    pub(crate) fn forget(&mut self) {
        self.have.clear();
    }
}

impl Room {
    /// Who holds connections of the channel's space now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.shared.fronts.view(&self.channel.name().space)
    }

    /// Whether output of the channel is not acknowledged by all connections.
    pub(crate) fn owes(&self) -> bool {
        let view = self.view();
        self.head() > self.acknowledged || lock(&self.acks).owes(&view.connections)
    }

    /// After a new epoch of the shard nobody has the roster: it goes before the next output under that (design §5.7). What
    /// builds on one of an earlier epoch is not taken.
    pub(crate) fn note_epoch(&mut self) {
        if self.is_void() {
            return;
        }
        let epoch = self.shared.shards.said(self.channel.shard());
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.audience.forget();
        }
    }

    /// Front-ends that are new get what the channel owes. Tells whether that went well: if not, nothing may be said to them that
    /// builds on it.
    pub(crate) async fn meet(&mut self) -> bool {
        self.note_epoch();
        let view = self.view();
        if self.audience.is_complete(&view) {
            return true;
        }
        self.audience.see(&view);
        let lacking = self.audience.lacking();
        if lacking.is_empty() || !self.owes() {
            return true;
        }
        self.resend_to(lacking.into()).await
    }

    /// What could not be sent again is sent now, if anybody still waits for it.
    pub(crate) async fn again(&mut self) {
        self.audience.is_due = false;
        self.note_epoch();
        let view = self.view();
        self.audience.see(&view);
        let lacking = self.audience.lacking();
        if !lacking.is_empty() {
            self.resend_to(lacking.into()).await;
        }
    }

    /// Tries once more in a while to send again: nobody else asks for it (IL-28).
    fn try_again(&mut self) {
        if std::mem::replace(&mut self.audience.is_due, true) {
            return;
        }
        let pause = (self.audience.pause * 2).clamp(FIRST_PAUSE, MOST_PAUSE);
        self.audience.pause = pause;
        let (shared, channel) = (Arc::clone(&self.shared), self.channel.clone());
        let acks = Arc::clone(&self.acks);
        self.shared.spawn(async move {
            tokio::time::sleep(pause).await;
            let mailbox = shared.table.get(&channel);
            if let Some(mailbox) = mailbox.filter(|it| Arc::ptr_eq(&it.acks, &acks)) {
                mailbox.tell(Message::Again);
            }
        });
    }

    /// The roster as it is before the events, for those who lack it.
    pub(crate) fn base(&mut self) -> Option<(Box<Delivery>, Vec<SeatNo>)> {
        self.note_epoch();
        let Soundness::Sound(state) = &self.condition else {
            return None;
        };
        let lacking = self.audience.lacking();
        if lacking.is_empty() {
            return None;
        }
        let base = Delivery::Base {
            roster: Box::new(state.roster().clone()),
            acknowledged: Vec::new(),
        };
        self.audience.all_have();
        let to = lacking.iter().map(|seat| seat.no).collect();
        Some((Box::new(base), to))
    }

    /// A stream was lost, and with it what it had not acknowledged: base roster and journal once more (design §5.8).
    pub(crate) async fn resend(&mut self, seat: SeatNo) {
        let view = self.view();
        let seats = view.seats.iter().filter(|s| s.no == seat);
        let seats: Vec<_> = seats.cloned().collect();
        if !seats.is_empty() {
            self.resend_to(seats.into()).await;
        }
    }

    /// Base roster and journal for everybody.
    pub(crate) async fn resend_all(&mut self) {
        let view = self.view();
        self.resend_to(Arc::clone(&view.seats)).await;
    }

    /// The shard has a new epoch: what was not acknowledged under the old one is sent again.
    pub(crate) async fn renew(&mut self) {
        self.note_epoch();
        if self.owes() {
            self.resend_all().await;
        }
    }

    /// Tells whether the store gave what is to be sent; if not, it is tried again.
    async fn resend_to(&mut self, to: Seats) -> bool {
        self.settle().await;
        self.note_epoch();
        let view = self.view();
        self.audience.see(&view);
        if matches!(self.condition, Soundness::Quarantined) {
            // There is nothing to send; but errors go out only to connections that do not wait for anything.
            let nothing = base(Roster::default(), Vec::new());
            self.page(&to, nothing, false).await;
            return true;
        }
        match load::load(&self.shared, &self.channel).await {
            Ok(stored) => {
                self.audience.now_have(&to);
                let owed = Owed {
                    base: stored.base,
                    journal: stored.journal,
                    acknowledged: self.as_known(stored.acknowledged),
                    outcomes: stored.outcomes,
                };
                self.send_again(owed, to).await;
                self.audience.pause = Duration::ZERO;
                true
            }
            Err(error) if !error.may_pass(self.shared.is_cluster) => {
                error!(event = "quarantined", channel = %self.channel, %error, "what is owed cannot be read");
                self.quarantine();
                false
            }
            Err(error) => {
                warn!(channel = %self.channel, %error, "cannot send again yet");
                self.audience.lack(&to);
                self.try_again();
                false
            }
        }
    }

    /// Base roster, journal, refusals and answers, in pages: between two of them a front-end can look after other channels.
    pub(crate) async fn send_again(&mut self, owed: Owed, to: Seats) {
        let mut replies = self.owed_replies(&owed.outcomes).into_iter().peekable();
        let mut page = base(owed.base, owed.acknowledged);
        for record in owed.journal {
            while let Some((_, reply)) = replies.next_if(|(after, _)| *after < record.sequence) {
                page.push(reply);
            }
            if page.len() >= PAGE {
                let page = std::mem::take(&mut page);
                self.page(&to, page, true).await;
            }
            let history = self.history_of(&record).await;
            page.push(Delivery::Event { record, history });
        }
        page.extend(replies.map(|(_, reply)| reply));
        self.page(&to, page, false).await;
    }

    async fn page(&self, to: &Seats, page: Vec<Delivery>, more_follows: bool) {
        self.send(Request {
            more_follows,
            ..Request::output(self, Arc::clone(to), page)
        })
        .await;
    }

    /// The stored refusals and answers that the connections of their group have not acknowledged, each with the place that it
    /// stands behind.
    fn owed_replies(&self, outcomes: &[StoredOutcome]) -> Vec<(Sequence, Delivery)> {
        let view = self.view();
        let acks = lock(&self.acks);
        let is_owed = |it: &&StoredOutcome| {
            let owed = crate::acks::Owed::of(it);
            owed.is_some_and(|owed| acks.is_owed(&owed, &view.connections))
        };
        let mut owed: Vec<&StoredOutcome> = outcomes.iter().filter(is_owed).collect();
        owed.sort_by_key(|it| (it.commit, it.outcome.after));
        let reply = |it: &&StoredOutcome| {
            let outcome = decode_outcome(it.outcome.result.clone()).ok()?;
            let name = (it.outcome.process.0, it.outcome.n);
            Some((
                Sequence(it.outcome.after.0),
                operations::again(outcome, name)?,
            ))
        };
        owed.iter().filter_map(reply).collect()
    }

    /// What connections have acknowledged: as stored, or, where the store has lost it, as it is known here.
    fn as_known(&self, stored: Vec<(SmolStr, Sequence)>) -> Vec<(SmolStr, Sequence)> {
        let mut all = stored;
        for (connection, _, at) in lock(&self.acks).all() {
            match all.iter_mut().find(|(of, _)| of == connection) {
                Some((_, sequence)) => *sequence = at.sequence.max(*sequence),
                None => all.push((connection.clone(), at.sequence)),
            }
        }
        all
    }

    /// The channel leaves memory: what was acknowledged of it is kept for a while. A single store loses nothing.
    pub(crate) fn keep_acks(&self) {
        let head = self.head();
        match &self.condition {
            _ if !self.shared.is_cluster || self.is_void() => {}
            Soundness::Sound(state) if state.roster().exists() => {
                let view = self.view();
                let last = Last::of(&lock(&self.acks), &view.connections, head);
                self.shared.kept.put(&self.channel, last);
            }
            _ => self.shared.kept.forget(&self.channel),
        }
    }

    /// Rosters are not needed any more.
    pub(crate) async fn forget(&mut self) {
        let view = self.view();
        self.audience.see(&view);
        let have = std::mem::take(&mut self.audience.have);
        if !have.is_empty() {
            let to = Arc::clone(&view.seats);
            self.send(Request::output(self, to, vec![Delivery::Forget]))
                .await;
        }
    }
}

impl Audience {
    /// These lack it.
    fn lack(&mut self, seats: &Seats) {
        self.have
            .retain(|(no, _)| !seats.iter().any(|seat| seat.no == *no));
    }

    /// These have it from now on.
    fn now_have(&mut self, seats: &Seats) {
        let Some(view) = self.view.clone() else {
            return;
        };
        for (seat, since) in view.members() {
            let place = (seat.no, since);
            if seats.iter().any(|s| s.no == seat.no) && !self.have.contains(&place) {
                self.have.push(place);
            }
        }
    }
}

fn base(roster: Roster, acknowledged: Vec<(SmolStr, Sequence)>) -> Vec<Delivery> {
    vec![Delivery::Base {
        roster: Box::new(roster),
        acknowledged,
    }]
}
