//! What makes a read see one transaction, in the database and in the index.
//!
//! COMMIT makes a transaction visible in the database; the index takes it over a moment later. A read that begins its view
//! of the database in between would look with an old index at a new database. Therefore the writer tells the index of
//! each transaction before COMMIT, with a mark that the database has from this transaction on. A read begins its view
//! under the index's lock; while a transaction is underway it looks for the mark, and if it finds it has the index take
//! the transaction over at once, in the writer's place. So nobody waits for a flush, and no read is tried again.
//!
//! A transaction that changes nothing in the index is not told of: either view of the database fits.

use rusqlite::Connection;

use super::index::Index;
use super::stage::Staged;
use super::{rows, schema};
use crate::{ChannelKey, Error, ShardId};

/// Channels with enough messages in the log for a page.
pub(super) type Full = Vec<(ShardId, ChannelKey)>;

/// What the database has from a transaction on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The log row with this id.
    Logged(i64),
    /// This number in the owner row, for a transaction without log row.
    Counted(i64),
}

/// A transaction between its last statement and the index.
#[derive(Debug, Default)]
pub(super) enum Underway {
    #[default]
    Nothing,
    /// COMMIT comes, or is done.
    Told(Mark, Staged),
    /// A read found it in the database; the writer has yet to learn what came out.
    TakenOver(Full),
}

impl Mark {
    /// Whether the database has it.
    fn is_in(self, db: &Connection) -> Result<bool, Error> {
        match self {
            Self::Logged(id) => rows::has_log(db, id),
            Self::Counted(number) => Ok(schema::counted(db)? == number),
        }
    }
}

impl Index {
    /// Tells of a transaction that is about to be committed.
    pub(super) fn announce(&mut self, staged: Staged) {
        if let Some(mark) = staged.mark {
            self.underway = Underway::Told(mark, staged);
        }
    }

    /// The transaction failed. Must come before anything else is written to the database.
    pub(super) fn withdraw(&mut self) {
        self.underway = Underway::Nothing;
    }

    /// Has the index say what the view of the database does that `db` has begun under the index's lock.
    pub(super) fn follow(&mut self, db: &Connection) -> Result<(), Error> {
        if let Underway::Told(mark, _) = &self.underway
            && mark.is_in(db)?
        {
            let full = self.settle();
            self.underway = Underway::TakenOver(full);
        }
        Ok(())
    }

    /// The transaction is committed: takes it over, unless a read did.
    pub(super) fn settle(&mut self) -> Full {
        match std::mem::take(&mut self.underway) {
            Underway::Nothing => Full::new(),
            Underway::TakenOver(full) => full,
            Underway::Told(_, staged) => self.take_over(staged),
        }
    }
}
