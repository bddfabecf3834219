//! What subscribers of the participants node are told, and when (MAP-12).
//!
//! The node shows who is there. A join or leave by MIX is told at once, as XEP-0369 §7.1.2 demands. What MUC clients do is
//! told a moment later: changes of one second together, and an item outlives the last MUC session of somebody who takes
//! part by MUC alone, so that a client that reconnects is no news. What subscribers do not know yet is part of the
//! [`crate::Roster`], told by [`Event::Announced`] when the channel's timer says so: a restart neither forgets nor repeats
//! a change. Where nobody takes part by MIX nothing is kept.
//!
//! Who is shown as there is [`crate::PersonView::present`]; how it is written is in `coven-xmpp` (`mix/events.rs`).

use crate::channel::{Channel, Decision, Facts};
use crate::event::Event;
use crate::people::nick::Nick;
use crate::{BareJid, Person, StableId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long an item outlives the last MUC session, in milliseconds.
pub const LINGER_MS: i64 = 30_000;
/// Changes within so many milliseconds of the first one are told together.
pub const TOGETHER_MS: i64 = 1_000;

/// An item of the participants node that is another than its subscribers know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Its id.
    pub id: StableId,
    /// Whose it is.
    pub jid: BareJid,
    /// As it was last told; `None` if they know of none.
    pub known: Option<Arc<Person>>,
    /// When it changed; for one that lingers, when it will have.
    pub since: Timestamp,
}

/// What subscribers are told of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is so now.
    Is(Arc<Person>),
    /// It is gone.
    Gone(StableId),
}

/// All that subscribers do not know yet, by id. Ids say nothing about people, so neither does this order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    untold: BTreeMap<StableId, Untold>,
    order: BTreeSet<(Timestamp, StableId)>,
}

impl Listing {
    /// When the first of it is to be told.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let (since, _) = self.order.first()?;
        Some(since.plus_ms(TOGETHER_MS))
    }

    /// An item may have changed now; if it is gone by a leave (`lingers`), it stays for a while. What is again as its
    /// readers know it is no news.
    pub(crate) fn changed(
        &mut self,
        before: Option<&Arc<Person>>,
        after: Option<&Arc<Person>>,
        now: Timestamp,
        lingers: bool,
    ) {
        let Some(person) = after.or(before) else {
            return;
        };
        if looks(before) == looks(after) {
            return;
        }
        let old = self.take(person.id);
        let first = old.as_ref().map_or(now, |untold| untold.since.min(now));
        let known = old.map_or_else(|| before.cloned(), |untold| untold.known);
        if looks(known.as_ref()) != looks(after) {
            self.put(Untold {
                id: person.id,
                jid: person.jid.clone(),
                known,
                since: if lingers {
                    now.plus_ms(LINGER_MS)
                } else {
                    first
                },
            });
        }
    }

    pub(crate) fn put(&mut self, untold: Untold) {
        self.order.insert((untold.since, untold.id));
        self.untold.insert(untold.id, untold);
    }

    fn take(&mut self, id: StableId) -> Option<Untold> {
        let untold = self.untold.remove(&id)?;
        self.order.remove(&(untold.since, id));
        Some(untold)
    }

    /// Takes out what is to be told now, in order of ids.
    pub(crate) fn tell(&mut self, is_due: impl Fn(&Untold) -> bool) -> Vec<Untold> {
        let due = self.untold.values().filter(|untold| is_due(untold));
        let ids: Vec<_> = due.map(|untold| untold.id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    /// All of it, in order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Untold> {
        self.untold.values()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Tells what is due.
pub(crate) fn timer(channel: &Channel, facts: &Facts) -> Decision {
    match channel.roster.listing_due() {
        Some(due) if due <= facts.now => Decision::event(Event::Announced),
        _ => Decision::default(),
    }
}

/// What of a person an item shows that may change: whether there is one, and with which nick.
fn looks(person: Option<&Arc<Person>>) -> Option<Option<&Nick>> {
    person.map(|person| person.nick.as_ref())
}
