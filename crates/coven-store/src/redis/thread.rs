//! The thread that a store or a registry runs on: one runtime of its own, so that it can be used from any.

use tokio::sync::oneshot;

use crate::Error;

type Opened = oneshot::Sender<Result<(), Error>>;

/// Starts a thread that opens something, and then works on it until that ends. Blocks until it is open, or not.
///
/// Errors: those of `open`; `Io` where no thread can be had.
pub(super) fn run<Open, Work>(name: &str, open: Open) -> Result<(), Error>
where
    Open: AsyncFnOnce() -> Result<Work, Error> + Send + 'static,
    Work: Future<Output = ()>,
{
    let (opened, outcome) = oneshot::channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(serve(open, opened)),
            Err(error) => tell(opened, Err(Error::Io(error.to_string()))),
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Error::Io(error.to_string()))?;
    let ended = |_| Error::Io("the thread for redis ended".to_owned());
    outcome.blocking_recv().map_err(ended)?
}

async fn serve<Open, Work>(open: Open, opened: Opened)
where
    Open: AsyncFnOnce() -> Result<Work, Error>,
    Work: Future<Output = ()>,
{
    match open().await {
        Ok(work) => {
            tell(opened, Ok(()));
            work.await;
        }
        Err(error) => tell(opened, Err(error)),
    }
}

/// Whoever opens it may be gone.
fn tell(opened: Opened, outcome: Result<(), Error>) {
    let _gone = opened.send(outcome);
}
