//! How far the output of one channel has come on one connection.
//!
//! Owns the repeat filter and what is acknowledged (design §5.9, interleavings IL-03 to IL-06): what was written to the
//! present stream is never written to it again, what a lost stream may have swallowed comes again after the last
//! acknowledged event, and in between nothing of the channel is written. Only where events were left out because too much
//! waited, answers go on: they may precede events that were decided before them. Pure: who loses streams and who answers
//! barriers is told from outside. One cursor is one connection's: they know nothing of each other (IL-06, IL-27).

use coven_core::Sequence;

/// A place in the output of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Up to this event.
    pub(crate) sequence: Sequence,
    /// Up to the output of this commit.
    pub(crate) commit: u64,
}

/// One channel on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Written to the present stream, or not for this connection at all: not rendered for it again.
    written: Mark,
    /// Nothing up to here can be lost any more.
    done: Mark,
    /// The last event written and not acknowledged.
    pending: Option<Sequence>,
    /// Something was lost or dropped: nothing is written until the node sends what is missing.
    gap: Option<Gap>,
    /// What the node was told.
    reported: Mark,
}

/// Something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    cause: Cause,
    /// The node has been asked for it.
    is_asked: bool,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Too much waited: the stream is whole up to there, and goes on.
    LeftOut,
    /// A stream was lost, or there was none, or the node's output had a gap itself.
    Lost,
}

/// What a new base means for a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Based {
    /// What follows is complete for it.
    Complete,
    /// It still misses something; another base is to come.
    Missing,
    /// The node has no longer what it misses: it goes on behind a gap of events.
    Skipped,
}

impl Cursor {
    /// A cursor of a channel whose roster was just taken over at `at`; `acknowledged`: what the node knows of it.
    pub(crate) fn new(at: Sequence, acknowledged: Option<Sequence>) -> Self {
        let start = Mark {
            sequence: at.max(acknowledged.unwrap_or_default()),
            commit: 0,
        };
        Self {
            written: start,
            done: start,
            pending: None,
            gap: None,
            reported: start,
        }
    }

    /// The node had forgotten the channel, and begins at `at`: if nothing is on its way, what was written before says
    /// nothing of what comes now, since this may be another channel of the same name, whose events are counted from one.
    /// Commits are counted on: what is not reported of them still is. Tells whether that was so.
    pub(crate) fn renew(&mut self, at: Sequence, acknowledged: Option<Sequence>) -> bool {
        if !self.is_done() || at >= self.written.sequence {
            return false;
        }
        let mut new = Self::new(at, acknowledged);
        new.written.commit = self.written.commit;
        new.done.commit = self.done.commit;
        new.reported.commit = self.reported.commit;
        *self = new;
        true
    }

    /// The node begins again at `at`.
    pub(crate) fn base(&mut self, at: Sequence, acknowledged: Option<Sequence>) -> Based {
        let Some(gap) = self.gap else {
            return Based::Complete;
        };
        let known = self.written.sequence.max(acknowledged.unwrap_or_default());
        let skipped = at > known;
        if skipped && !gap.is_asked {
            return Based::Missing;
        }
        self.gap = None;
        self.written.sequence = known.max(at);
        if self.pending.is_none() {
            self.done = self.written;
        }
        if skipped {
            Based::Skipped
        } else {
            Based::Complete
        }
    }

    /// Whether this event is to be written.
    pub(crate) fn wants(&self, sequence: Sequence) -> bool {
        self.gap.is_none() && sequence > self.written.sequence
    }

    /// Whether what has no sequence may be written: it would overtake what is missing.
    pub(crate) const fn is_current(&self) -> bool {
        self.gap.is_none()
    }

    /// Whether answers and refusals may be written. They come only once (I5) and need no roster, so they do not wait for
    /// events that were left out: those come after them, though they were decided before.
    pub(crate) fn takes_answers(&self) -> bool {
        self.gap.is_none_or(|gap| gap.cause == Cause::LeftOut)
    }

    /// A wanted event was written, or handed over to be. Tells what holds once the server has taken it in.
    pub(crate) const fn wrote(&mut self, sequence: Sequence) -> Mark {
        self.written.sequence = sequence;
        self.pending = Some(sequence);
        self.written
    }

    /// Nothing of a wanted event is for this connection.
    pub(crate) const fn passed(&mut self, sequence: Sequence) {
        self.written.sequence = sequence;
        if self.pending.is_none() {
            self.done.sequence = sequence;
        }
    }

    /// Something of a wanted event was for this connection, which has no stream.
    pub(crate) fn dropped(&mut self) {
        self.lost();
        self.gap = Some(Gap::new(Cause::Lost));
    }

    /// Something of a wanted event was for this connection, on which too much waits already. What is on its way is not
    /// lost: this event and all after it come again behind it.
    pub(crate) const fn missed(&mut self) {
        self.gap = Some(Gap::new(Cause::LeftOut));
    }

    /// All output of a commit has been gone through. Tells what holds once the last written event is acknowledged.
    pub(crate) fn committed(&mut self, commit: u64) -> Option<Mark> {
        if self.gap.is_some() {
            return None;
        }
        self.written.commit = self.written.commit.max(commit);
        let Some(sequence) = self.pending else {
            self.done.commit = self.written.commit;
            return None;
        };
        let commit = self.written.commit;
        Some(Mark { sequence, commit })
    }

    /// The server has taken in what was written up to `mark`.
    pub(crate) fn acknowledged(&mut self, mark: Mark) {
        if self.pending == Some(mark.sequence) {
            self.pending = None;
            self.done = self.written;
        } else if self.pending.is_some() {
            self.done.sequence = self.done.sequence.max(mark.sequence);
            self.done.commit = self.done.commit.max(mark.commit);
        }
    }

    /// The stream is gone, and with it what was not acknowledged (IL-05).
    pub(crate) fn lost(&mut self) {
        if self.pending.take().is_some() {
            self.written = self.done;
            self.gap = Some(Gap::new(Cause::Lost));
        }
    }

    /// The node is to be asked for what is missing; tells whether anything is.
    pub(crate) const fn ask(&mut self) -> bool {
        let Some(gap) = &mut self.gap else {
            return false;
        };
        gap.is_asked = true;
        true
    }

    /// The channel's events did not come without a gap: what follows on the written ones must come again.
    pub(crate) const fn broken(&mut self) {
        self.gap = Some(Gap::new(Cause::Lost));
    }

    /// Whether nothing is unacknowledged.
    pub(crate) const fn is_done(&self) -> bool {
        self.gap.is_none() && self.pending.is_none()
    }

    /// No event up to here can be lost any more.
    pub(crate) const fn safe(&self) -> Sequence {
        self.done.sequence
    }

    /// What the node has not been told yet.
    pub(crate) fn news(&self) -> Option<Mark> {
        (self.reported != self.done).then_some(self.done)
    }

    /// The node has been told.
    pub(crate) const fn told(&mut self) {
        self.reported = self.done;
    }
}

impl Gap {
    const fn new(cause: Cause) -> Self {
        let is_asked = false;
        Self { cause, is_asked }
    }
}

#[cfg(test)]
mod tests;
