//! How far the output of one channel has come on one connection.
//!
//! Owns the repeat filter and what is acknowledged (design §5.9, interleavings IL-03 to IL-06): what was written to the
//! present stream is never written to it again, what a lost stream may have swallowed comes again after the last
//! acknowledged event, and in between nothing of the channel is written. Only where events were left out because too much
//! waited, answers go on: they may precede events that were decided before them. Pure: who loses streams and who answers
//! barriers is told from outside. One cursor is one connection's: they know nothing of each other (IL-06, IL-27).

use coven_core::{Epoch, Sequence};

/// A place in the output of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Up to this event.
    pub(crate) sequence: Sequence,
    /// Under which epoch that one was first committed, or not after which it was.
    pub(crate) first: Epoch,
    /// Up to the output of this commit ...
    pub(crate) commit: u64,
    /// ... of this owner: each counts its own.
    pub(crate) owner: Epoch,
}

/// One channel on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Written to the present stream, or not for this connection at all: not rendered for it again.
    written: Mark,
    /// Nothing up to here can be lost any more.
    done: Mark,
    /// The last event written and not acknowledged.
    pending: Option<(Sequence, Epoch)>,
    /// Something was lost or dropped: nothing is written until the node sends what is missing.
    gap: Option<Gap>,
    /// What the node was told: sequence and commit. `None`: it has to be told anew.
    reported: Option<(Sequence, u64)>,
    /// Where the events that were written have been replaced by others: what was acknowledged of the old ones from there on
    /// counts for nothing (IL-09).
    replaced: Option<(Sequence, Epoch)>,
}

/// Something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    cause: Cause,
    /// The node has been asked for it.
    is_asked: bool,
    /// It is known that something is missing, and has not only not begun.
    is_needed: bool,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The connection was not held here before, or the channel not known: it begins with the next base (IL-06, IL-27).
    Begins,
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
    /// A cursor that begins with the next base.
    pub(crate) fn new() -> Self {
        Self {
            written: Mark::default(),
            done: Mark::default(),
            pending: None,
            gap: Some(Gap::new(Cause::Begins)),
            reported: Some((Sequence::default(), 0)),
            replaced: None,
        }
    }

    /// The node had forgotten the channel, and begins at `at`: if nothing is on its way, what was written before says
    /// nothing of what comes now, since this may be another channel of the same name, whose events are counted from one.
    /// Commits are counted on: what is not reported of them still is. Tells whether that was so.
    pub(crate) fn renew(&mut self, at: Sequence, acknowledged: Option<Sequence>) -> bool {
        if !self.is_done() || at >= self.written.sequence {
            return false;
        }
        let start = at.max(acknowledged.unwrap_or_default());
        let unsaid = self
            .reported
            .is_none_or(|(_, commit)| commit != self.done.commit);
        self.written.sequence = start;
        self.done.sequence = start;
        self.reported = (!unsaid).then_some((start, self.done.commit));
        self.replaced = None;
        true
    }

    /// The node begins again at `at`, as the owner `owner`; `acknowledged`: what it knows of this connection.
    pub(crate) fn base(
        &mut self,
        at: Sequence,
        acknowledged: Option<Sequence>,
        owner: Epoch,
    ) -> Based {
        self.goes_on_under(owner);
        let Some(gap) = self.gap else {
            return Based::Complete;
        };
        let known = match gap.cause {
            Cause::Begins => acknowledged.unwrap_or(at),
            Cause::LeftOut | Cause::Lost => {
                self.written.sequence.max(acknowledged.unwrap_or_default())
            }
        };
        let skipped = at > known;
        if skipped && !gap.is_asked {
            self.gap = Some(Gap {
                is_needed: true,
                ..gap
            });
            return Based::Missing;
        }
        self.gap = None;
        let start = known.max(at);
        if start > self.written.sequence {
            self.written.sequence = start;
            self.written.first = owner;
        }
        if self.pending.is_none() {
            self.done = self.written;
        }
        if gap.cause == Cause::Begins {
            self.reported = Some((start, 0));
        }
        if skipped {
            Based::Skipped
        } else {
            Based::Complete
        }
    }

    /// The same history goes on under another epoch.
    pub(crate) fn goes_on_under(&mut self, owner: Epoch) {
        if owner > self.written.owner {
            self.has_owner(owner);
        }
    }

    /// Another owner counts its own commits, and may lack what the one before had told us of: it is told all anew.
    fn has_owner(&mut self, owner: Epoch) {
        for mark in [&mut self.written, &mut self.done] {
            (mark.owner, mark.commit) = (owner, 0);
        }
        self.reported = None;
    }

    /// The node may not have got what it was told.
    pub(crate) const fn tell_again(&mut self) {
        self.reported = None;
    }

    /// Whether this event is to be written: it follows on the written ones, or takes the place of one of them that was lost
    /// with its owner (IL-09). What is older is a repeat, or a ghost (IL-07, IL-08).
    pub(crate) fn wants(&self, sequence: Sequence, first: Epoch) -> bool {
        let diverges = self.written.owner != Epoch::default() && first > self.written.first;
        self.gap.is_none() && (sequence > self.written.sequence || diverges)
    }

    /// Whether what has no sequence may be written: it would overtake what is missing.
    pub(crate) const fn is_current(&self) -> bool {
        self.gap.is_none()
    }

    /// Whether it waits for its first base, and has missed nothing so far.
    pub(crate) fn begins(&self) -> bool {
        self.gap.is_some_and(|gap| !gap.is_needed)
    }

    /// Whether answers and refusals may be written. They come only once (I5) and need no roster, so they do not wait for
    /// events that were left out: those come after them, though they were decided before.
    pub(crate) fn takes_answers(&self) -> bool {
        self.gap.is_none_or(|gap| gap.cause != Cause::Lost)
    }

    /// A wanted event was written, or handed over to be. Tells what holds once the server has taken it in.
    pub(crate) fn wrote(&mut self, sequence: Sequence, first: Epoch) -> Mark {
        self.moves(sequence, first);
        self.pending = Some((sequence, first));
        self.written
    }

    /// Nothing of a wanted event is for this connection.
    pub(crate) fn passed(&mut self, sequence: Sequence, first: Epoch) {
        self.moves(sequence, first);
        if self.pending.is_none() {
            (self.done.sequence, self.done.first) = (sequence, first);
        }
    }

    fn moves(&mut self, sequence: Sequence, first: Epoch) {
        if sequence <= self.written.sequence {
            let before = Sequence(sequence.0.saturating_sub(1));
            self.done.sequence = self.done.sequence.min(before);
            self.replaced = Some((before, first));
            self.pending = None;
        }
        (self.written.sequence, self.written.first) = (sequence, first);
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

    /// What was handed over was not written to the present stream from some event on: the last that was is `last`, or the
    /// acknowledged one. What is on its way is not lost (IL-03, IL-23).
    pub(crate) fn unwritten(&mut self, last: Option<Mark>) {
        self.pending = last.map(|last| (last.sequence, last.first));
        let last = last.unwrap_or(self.done);
        (self.written.sequence, self.written.first) = (last.sequence, last.first);
        self.missed();
    }

    /// All output of a commit has been gone through. Tells what holds once the last written event is acknowledged.
    pub(crate) fn committed(&mut self, commit: u64) -> Option<Mark> {
        if self.gap.is_some() {
            return None;
        }
        self.written.commit = self.written.commit.max(commit);
        let Some((sequence, first)) = self.pending else {
            self.done.commit = self.written.commit;
            return None;
        };
        Some(Mark {
            sequence,
            first,
            ..self.written
        })
    }

    /// The server has taken in what was written up to `mark`.
    pub(crate) fn acknowledged(&mut self, mark: Mark) {
        if self.pending == Some((mark.sequence, mark.first)) {
            self.pending = None;
            self.done = self.written;
            self.replaced = None;
        } else if self.pending.is_some() {
            let sequence = match self.replaced {
                Some((before, first)) if mark.first < first => mark.sequence.min(before),
                _ => mark.sequence,
            };
            if sequence > self.done.sequence {
                (self.done.sequence, self.done.first) = (sequence, mark.first);
            }
            if mark.owner == self.done.owner {
                self.done.commit = self.done.commit.max(mark.commit);
            }
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
        match &mut self.gap {
            Some(gap) if gap.is_needed => {
                gap.is_asked = true;
                true
            }
            _ => false,
        }
    }

    /// The channel's events did not come without a gap: what follows on the written ones must come again.
    pub(crate) fn broken(&mut self) {
        match &mut self.gap {
            Some(gap) if gap.cause == Cause::Begins => gap.is_needed = true,
            _ => self.gap = Some(Gap::new(Cause::Lost)),
        }
    }

    /// Whether nothing is unacknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.gap.is_none_or(|gap| !gap.is_needed) && self.pending.is_none()
    }

    /// No event up to here can be lost any more.
    pub(crate) const fn safe(&self) -> Sequence {
        self.done.sequence
    }

    /// What the node has not been told yet, where its own events have come as far as `line`: what was acknowledged beyond
    /// that may have been another's.
    pub(crate) fn news(&self, line: Sequence) -> Option<Mark> {
        let told = (self.done.sequence.min(line), self.done.commit);
        let nothing = (Sequence::default(), 0);
        let is_news = match self.reported {
            Some((sequence, commit)) => told.0 > sequence || told.1 > commit,
            None => told != nothing,
        };
        is_news.then_some(Mark {
            sequence: told.0,
            ..self.done
        })
    }

    /// The node has been told.
    pub(crate) fn told(&mut self, line: Sequence) {
        let (sequence, commit) = self.reported.unwrap_or_default();
        self.reported = Some((
            self.done.sequence.min(line).max(sequence),
            self.done.commit.max(commit),
        ));
    }
}

impl Gap {
    const fn new(cause: Cause) -> Self {
        Self {
            cause,
            is_asked: false,
            is_needed: !matches!(cause, Cause::Begins),
        }
    }
}

#[cfg(test)]
mod tests;
