//! What can go wrong with a front-end as a whole. Streams that break are no errors: they come again.

/// Why a front-end cannot be made, or did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// A part of it ended although it should run: a fault of the program.
    #[error("a task of the front-end failed")]
    Failed,
}
