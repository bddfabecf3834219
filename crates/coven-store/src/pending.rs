//! Answers that are not there yet.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::Error;

/// The answer to a call of the store, as a future.
///
/// The call itself has put the request in its queue: requests are done in the order of the calls, whether and when the
/// answer is awaited. Dropping it does not take the request back.
#[derive(Debug)]
#[must_use = "the request is done all the same, but its failure goes unseen"]
pub struct Pending<T>(State<T>);

/// The other end of a [`Pending`].
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T, Error>>);

#[derive(Debug)]
enum State<T> {
    Ready(Option<Result<T, Error>>),
    Waiting(oneshot::Receiver<Result<T, Error>>),
}

impl<T> Pending<T> {
    /// An answer that is there already.
    pub const fn ready(answer: Result<T, Error>) -> Self {
        Self(State::Ready(Some(answer)))
    }

    /// An answer to be given later. A [`Reply`] that is dropped answers [`Error::Closed`].
    pub fn channel() -> (Reply<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Reply(sender), Self(State::Waiting(receiver)))
    }

    /// Blocks the thread until the answer is there. Not for async code: it panics in a runtime's worker.
    pub fn wait(self) -> Result<T, Error> {
        match self.0 {
            State::Ready(answer) => answer.unwrap_or(Err(Error::Closed)),
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or(Err(Error::Closed)),
        }
    }
}

// Nothing in it is pinned: the answer is moved out, and the receiver is `Unpin` itself.
impl<T> Unpin for Pending<T> {}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(answer) => Poll::Ready(answer.take().unwrap_or(Err(Error::Closed))),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(Error::Closed))),
        }
    }
}

impl<T> Reply<T> {
    /// Gives the answer. Nobody may be waiting for it any more; that is all right.
    pub fn send(self, answer: Result<T, Error>) {
        let _nobody_waits = self.0.send(answer);
    }
}
