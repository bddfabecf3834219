//! What the participants node shows, and what its subscribers know of it (MAP-12; [`crate::presence::listing`]).

use super::{Delta, PersonView, Roster};
use crate::event::Event;
use crate::ids::Timestamp;
use crate::people::person::Person;
use crate::presence::listing::{Told, Untold};
use std::sync::Arc;

impl Roster {
    /// The items of the participants node, in order of first contact: everybody who is there, and those who lately left by
    /// MUC.
    #[must_use]
    pub fn listed(&self) -> Vec<&Arc<Person>> {
        let mut listed: Vec<_> = self.present().collect();
        let untold = self.listing.iter();
        let lingering = untold.filter(|untold| self.lingers(untold));
        listed.extend(lingering.filter_map(|untold| untold.known.as_ref()));
        listed.sort_by_key(|person| person.no);
        listed
    }

    /// When subscribers of the participants node are to be told something.
    #[must_use]
    pub fn listing_due(&self) -> Option<Timestamp> {
        self.listing.due()
    }

    /// Notes what an event changed in the participants node, if there is anybody to tell, and answers what subscribers are
    /// told now. A join by MIX is told before its result (MIX-JOIN-08), a leave likewise; with it goes all that waits.
    pub(super) fn list(&mut self, delta: &Delta, event: &Event) -> Vec<Told> {
        if self.counts.participants == 0 {
            self.listing.clear();
            return Vec::new();
        }
        let (before, after) = (item(delta.before.as_ref()), item(delta.after.as_ref()));
        let lingers = after.is_none() && matches!(event, Event::Left { .. });
        self.listing.changed(before, after, self.stamp, lingers);
        match event {
            Event::Announced | Event::Participated { .. } | Event::Departed { .. } => self.tell(),
            _ => Vec::new(),
        }
    }

    /// All that does not linger. With it ends the linger of those whose nick somebody else has taken: no two items have the
    /// same.
    fn tell(&mut self) -> Vec<Told> {
        let mut listing = std::mem::take(&mut self.listing);
        let due = listing.tell(|untold| !self.lingers(untold));
        self.listing = listing;
        due.iter().map(|untold| self.told(untold)).collect()
    }

    fn told(&self, untold: &Untold) -> Told {
        let there = |person: &&Arc<Person>| self.is_present(person.no);
        match self.person_of(&untold.jid).filter(there) {
            Some(person) => Told::Is(Arc::clone(person)),
            None => Told::Gone(untold.id),
        }
    }

    /// Whether an item is still shown though who it is of has left.
    fn lingers(&self, untold: &Untold) -> bool {
        let nick = untold
            .known
            .as_ref()
            .and_then(|person| person.nick.as_ref());
        untold.since > self.stamp && nick.is_none_or(|nick| self.holder(nick).is_none())
    }
}

/// The person whose item the node shows.
fn item(view: Option<&PersonView>) -> Option<&Arc<Person>> {
    let there = view.filter(|view| view.present());
    there.map(|view| &view.person)
}
