//! Moments in a transaction at which a test may look in, on the writer's thread. Outside of tests they are nothing.

/// Where the writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Everything is written, and COMMIT comes next.
    BeforeCommit,
    /// COMMIT is done; the index was told of it, and has not taken it over.
    Committed,
    /// The index says what the database does.
    Published,
}

/// Who looks in.
#[derive(Default)]
pub(super) struct Moments {
    #[cfg(test)]
    pub(super) visitor: std::sync::Mutex<Option<Visitor>>,
}

#[cfg(test)]
pub(super) type Visitor = Box<dyn FnMut(Moment) + Send>;

impl Moments {
    /// Passes a moment.
    #[cfg(not(test))]
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "a test looks in here")]
    pub(super) const fn pass(&self, _moment: Moment) {}

    /// Passes a moment.
    #[cfg(test)]
    pub(super) fn pass(&self, moment: Moment) {
        let mut visitor = self
            .visitor
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(visit) = visitor.as_mut() {
            visit(moment);
        }
    }
}

impl std::fmt::Debug for Moments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Moments")
    }
}
