//! How much people may send: rates of each bare JID, over all its sessions and channels, counted per front-end.
//!
//! Owns the buckets. A bucket is one number, the time at which it is full again (GCRA), so that somebody who is at rest
//! needs none. Bound: [`TABLE`] people per table; when all are in use, the table is emptied: rates begin anew for its
//! people, which is the smaller evil. Pure: the time comes in.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coven_core::BareJid;
use hashbrown::HashMap;
use tokio::time::Instant;

/// So many in the long run, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many ...
    pub count: u32,
    /// ... in this time, in the long run.
    pub per: Duration,
    /// How many at once after a time of rest.
    pub burst: u32,
}

/// What one bare JID may send.
///
/// Source: XEP-0045 §14.6. Requirements MUC-ERR-07 to 09.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Messages and IQs to channels and occupants.
    pub messages: Rate,
    /// Changes of presence. Leaving is always free.
    pub presence: Rate,
    /// Joins, in either view, also where one has joined already.
    pub joins: Rate,
    /// New channels.
    pub creations: Rate,
    /// Pages of archives.
    pub archive_pages: Rate,
    /// In how many rooms one may be at once.
    pub rooms: u32,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Presence,
    Join,
    Creation,
    ArchivePage,
}

const KINDS: usize = 5;
const TABLES: usize = 16;
/// People per table.
const TABLE: usize = 8192;

/// The buckets of everybody who has sent something lately.
#[derive(Debug)]
pub(crate) struct Limiter {
    paces: [Pace; KINDS],
    tables: [Mutex<Table>; TABLES],
    hasher: foldhash::quality::RandomState,
    born: Instant,
}

/// A rate in microseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// What one costs.
    each: u64,
    /// How far ahead of the time one may be.
    ahead: u64,
}

/// For each person, by the hash of its JID, when each of its buckets is full again.
type Table = HashMap<u64, [u64; KINDS], foldhash::fast::RandomState>;

impl Limiter {
    pub(crate) fn new(rates: Rates) -> Self {
        let Rates {
            messages,
            presence,
            joins,
            creations,
            archive_pages,
            rooms: _,
        } = rates;
        Self {
            paces: [messages, presence, joins, creations, archive_pages].map(Pace::new),
            tables: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::quality::RandomState::default(),
            born: Instant::now(),
        }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self, who: &BareJid, kind: Kind) -> bool {
        self.take_at(who, kind, self.now())
    }

    /// Somebody has created a channel: counted when it has happened, since a join does not say that it will create.
    pub(crate) fn created(&self, who: &BareJid) {
        self.charge_at(who, Kind::Creation, self.now());
    }

    /// Whether somebody may create another channel.
    pub(crate) fn may_create(&self, who: &BareJid) -> bool {
        self.may_at(who, Kind::Creation, self.now())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn take_at(&self, who: &BareJid, kind: Kind, now: u64) -> bool {
        let pace = self.pace(kind);
        self.with(who, kind, now, |full| {
            let next = pace.after(*full, now);
            let fits = next - now <= pace.ahead;
            if fits {
                *full = next;
            }
            fits
        })
    }

    fn charge_at(&self, who: &BareJid, kind: Kind, now: u64) {
        let pace = self.pace(kind);
        self.with(who, kind, now, |full| {
            *full = pace.after(*full, now).min(now + pace.ahead + pace.each);
        });
    }

    fn may_at(&self, who: &BareJid, kind: Kind, now: u64) -> bool {
        let pace = self.pace(kind);
        self.with(who, kind, now, |full| {
            pace.after(*full, now) - now <= pace.ahead
        })
    }

    fn pace(&self, kind: Kind) -> Pace {
        self.paces.get(kind as usize).copied().unwrap_or_default()
    }

    fn with<R>(&self, who: &BareJid, kind: Kind, now: u64, act: impl FnOnce(&mut u64) -> R) -> R {
        let hash = self.hasher.hash_one(who);
        let mut table = self.table(hash);
        if table.len() >= TABLE && !table.contains_key(&hash) {
            make_room(&mut table, now);
        }
        let buckets = table.entry(hash).or_default();
        let mut spare = 0;
        act(buckets.get_mut(kind as usize).unwrap_or(&mut spare))
    }

    fn table(&self, hash: u64) -> MutexGuard<'_, Table> {
        let [first, ..] = hash.to_le_bytes();
        let table = self.tables.get(usize::from(first) % TABLES);
        let table = table.unwrap_or(&self.tables[0]);
        table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those at rest need no bucket.
fn make_room(table: &mut Table, now: u64) {
    table.retain(|_, buckets| buckets.iter().any(|full| *full > now));
    if table.len() >= TABLE {
        table.clear();
    }
}

impl Pace {
    fn new(rate: Rate) -> Self {
        let per = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX);
        let each = (per / u64::from(rate.count.max(1))).max(1);
        Self {
            each,
            ahead: each.saturating_mul(u64::from(rate.burst.max(1))),
        }
    }

    /// When the bucket is full again after one more.
    fn after(self, full: u64, now: u64) -> u64 {
        full.max(now).saturating_add(self.each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;

    fn limiter(count: u32, seconds: u64, burst: u32) -> Limiter {
        let rate = Rate {
            count,
            per: Duration::from_secs(seconds),
            burst,
        };
        Limiter::new(Rates {
            messages: rate,
            presence: rate,
            joins: rate,
            creations: rate,
            archive_pages: rate,
            rooms: 100,
        })
    }

    fn who(name: &str) -> BareJid {
        BareJid::from_normalised(format!("{name}@shakespeare.example"))
    }

    #[test]
    fn muc_err_07_burst_first_then_the_rate() {
        let limiter = limiter(1, 1, 3);
        let take = |now| limiter.take_at(&who("hag66"), Kind::Message, now);
        assert_eq!([0, 0, 0, 0].map(take), [true, true, true, false]);
        assert_eq!([SECOND, SECOND].map(take), [true, false]);
        let rested = 100 * SECOND;
        assert_eq!([rested; 4].map(take), [true, true, true, false]);
    }

    #[test]
    fn muc_err_07_people_and_kinds_do_not_share() {
        let limiter = limiter(1, 1, 1);
        assert!(limiter.take_at(&who("hag66"), Kind::Message, 0));
        assert!(!limiter.take_at(&who("hag66"), Kind::Message, 0));
        assert!(limiter.take_at(&who("hag66"), Kind::Join, 0));
        assert!(limiter.take_at(&who("crone1"), Kind::Message, 0));
    }

    #[test]
    fn creations_are_charged_when_they_have_happened() {
        let limiter = limiter(1, 1, 2);
        let hag = who("hag66");
        for may in [true, true, false, false] {
            assert_eq!(limiter.may_at(&hag, Kind::Creation, 0), may);
            limiter.charge_at(&hag, Kind::Creation, 0);
        }
        assert!(limiter.may_at(&hag, Kind::Creation, 2 * SECOND));
    }

    #[test]
    fn i9_the_number_of_people_is_bounded() {
        let limiter = limiter(1, 3600, 1);
        for n in 0..2 * TABLES * TABLE {
            limiter.take_at(&who(&n.to_string()), Kind::Message, 0);
        }
        let held: usize = limiter
            .tables
            .iter()
            .map(|t| t.lock().map_or(0, |t| t.len()))
            .sum();
        assert!(held <= TABLES * TABLE, "{held}");
    }

    proptest! {
        #[test]
        fn muc_err_07_never_more_than_burst_and_rate(
            steps in proptest::collection::vec(0..3 * SECOND, 1..200),
            burst in 1..10_u32,
        ) {
            let limiter = limiter(2, 1, burst);
            let (mut now, mut taken) = (0, 0);
            for step in steps {
                now += step;
                taken += u64::from(limiter.take_at(&who("hag66"), Kind::Message, now));
                prop_assert!(taken <= u64::from(burst) + 2 * now / SECOND + 1);
            }
        }
    }
}
