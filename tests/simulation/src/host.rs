//! A process: a runtime of its own, whose time goes on only when it is stepped.
//!
//! A crash drops the runtime with everything in it, at any point between two steps. A pause (SIGSTOP) leaves it alone; when
//! it is stepped again all of the time that it missed passes at once, as for a process that is continued.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::time::Instant;

/// A process.
pub struct Host {
    runtime: Runtime,
    /// Its clock when it began, and the simulation's.
    began: Instant,
    began_micros: u64,
    /// Up to where it was stepped.
    at_micros: u64,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} us)", self.at_micros)
    }
}

/// A step longer than this is the end of a pause.
const MOST_STEP: u64 = 200_000;

impl Host {
    /// Begins a process that does this.
    #[must_use]
    pub fn start(now_micros: u64, work: impl Future<Output = ()> + Send + 'static) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let began = runtime.block_on(async {
            drop(tokio::spawn(work));
            Instant::now()
        });
        Self {
            runtime,
            began,
            began_micros: now_micros,
            at_micros: now_micros,
        }
    }

    /// Lets it work until that time.
    pub fn step(&mut self, to_micros: u64) {
        let missed = to_micros.saturating_sub(self.at_micros + MOST_STEP);
        let until = self.began + Duration::from_micros(to_micros - self.began_micros);
        self.runtime.block_on(async {
            if missed > 0 {
                tokio::time::advance(Duration::from_micros(missed)).await;
            }
            tokio::time::sleep_until(until).await;
        });
        self.at_micros = to_micros;
    }

    /// In its runtime, for what asks for its time.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Ends it at once: nothing in it runs any more.
    pub fn kill(self) {
        self.runtime.shutdown_background();
    }
}
