//! Templates of occupants' presences, kept while a room of more than a few occupants is busy.
//!
//! Owns one entry for each occupant that was shown to somebody: everybody who joins gets the same stanza, but for `to`.
//! Entries follow the roster, because every change of a person passes through [`Presences::put`] or
//! [`Presences::forget`]. There are two variants, for those who see real JIDs and for the others (I8).
//!
//! In a small room nothing is kept: most rooms are small, and there making a stanza again costs less than keeping it
//! (some 450 bytes a variant).

use super::occupant::Look;
use crate::stanza::Template;
use coven_core::{PersonNo, Role, Roster};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// With fewer occupants nothing is kept.
const FEW: usize = 8;

/// Two variants of a stanza, each made when somebody is to get it.
#[derive(Debug, Default)]
pub(super) struct Variants {
    plain: OnceCell<Template>,
    with_jid: OnceCell<Template>,
}

impl Variants {
    /// The variant for recipients who see real JIDs, or for those who do not.
    pub(super) fn get(&self, sees_jids: bool, make: impl FnOnce() -> Template) -> &Template {
        let cell = if sees_jids {
            &self.with_jid
        } else {
            &self.plain
        };
        cell.get_or_init(make)
    }

    /// The same where it may turn out that there is nothing to make.
    pub(super) fn get_or_try(
        &self,
        sees_jids: bool,
        make: impl FnOnce() -> Option<Template>,
    ) -> Option<&Template> {
        let cell = if sees_jids {
            &self.with_jid
        } else {
            &self.plain
        };
        if let Some(template) = cell.get() {
            return Some(template);
        }
        let template = make()?;
        Some(cell.get_or_init(|| template))
    }
}

/// An occupant as others see it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its role, by which the room decides whether it is shown.
    pub(super) role: Role,
    pub(super) variants: Variants,
}

impl Entry {
    fn new(role: Role) -> Self {
        Self {
            role,
            variants: Variants::default(),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Presences {
    entries: BTreeMap<PersonNo, Entry>,
    /// There is an entry for each occupant.
    complete: bool,
}

impl Presences {
    /// The person is there, and looks otherwise than before.
    pub(super) fn put(&mut self, look: &Look, roster: &Roster) {
        if self.pays(roster) {
            let entry = Entry::new(look.role);
            self.entries.insert(look.person.no, entry);
        }
    }

    /// The stanzas of somebody who is there, if they are kept.
    pub(super) fn get(&mut self, look: &Look, roster: &Roster) -> Option<&Variants> {
        if !self.pays(roster) {
            return None;
        }
        let entry = self.entries.entry(look.person.no);
        let entry = entry.or_insert_with(|| Entry::new(look.role));
        Some(&entry.variants)
    }

    /// Whether stanzas are kept. What is kept already goes on following the roster in a room that has become small.
    pub(super) fn pays(&self, roster: &Roster) -> bool {
        !self.entries.is_empty() || roster.occupants() >= FEW
    }

    /// The person is no longer there.
    pub(super) fn forget(&mut self, no: PersonNo) {
        self.entries.remove(&no);
        self.complete &= !self.entries.is_empty();
    }

    /// Settings changed that everybody's presence depends on.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All occupants in order of first contact.
    pub(super) fn all(&mut self, roster: &Roster) -> impl Iterator<Item = (PersonNo, &Entry)> {
        if !self.complete {
            self.fill(roster);
        }
        self.entries.iter().map(|(no, entry)| (*no, entry))
    }

    fn fill(&mut self, roster: &Roster) {
        for look in roster.people().filter_map(|view| Look::of(&view)) {
            let entry = self.entries.entry(look.person.no);
            entry.or_insert_with(|| Entry::new(look.role));
        }
        self.complete = true;
    }
}
