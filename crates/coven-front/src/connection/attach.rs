//! The life of a connection: attempts, streams, waiting in between.
//!
//! Owns when a stream is opened and when it is over. Losing one never loses more than it: the connection goes on until
//! the front-end ends.

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::dial::{Dial, Socket};
use super::handshake::{self, Opened};
use super::keyring::{Keyring, Refusal};
use super::reader::Reader;
use super::writer::{Outflow, SEAL};
use super::{Connection, StreamNo};
use crate::intake::Intake;
use crate::status::{ConnectionEvent, Down, Happened, Reporter, UpstreamState};

/// A stream that lasted for so long was a good one: the next attempt follows soon.
const LASTED: Duration = Duration::from_secs(10);
/// For what waits to be written, for the last barrier, and for the server to close its side after us.
const FAREWELL: Duration = SEAL.saturating_add(Duration::from_secs(2));
/// The same where the stream has ended by itself.
const SHORT_FAREWELL: Duration = Duration::from_millis(100);

/// Before a stream to another node of a server takes over from the last one (design §5.9).
const SETTLE: Duration = Duration::from_secs(1);

/// How the work of a connection ends.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// The front-end drains: a stream that is there goes on, none is opened.
    pub(crate) drains: CancellationToken,
    /// The stream is closed after what waits is written.
    pub(crate) detaches: CancellationToken,
}

/// Keeps one connection attached.
pub(crate) struct Attach {
    pub(crate) connection: Arc<Connection>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) reporter: Reporter,
    dial: Arc<dyn Dial>,
    ends: Ends,
    keyring: Keyring,
    backoff: Backoff,
    /// Where the last stream under this lease led.
    led_to: Option<SmolStr>,
}

impl Attach {
    pub(crate) fn new(
        connection: Arc<Connection>,
        intake: Arc<Intake>,
        reporter: Reporter,
        dial: Arc<dyn Dial>,
        ends: Ends,
    ) -> Self {
        let keyring = Keyring::new(connection.upstream().secrets.clone());
        Self {
            connection,
            intake,
            reporter,
            dial,
            ends,
            keyring,
            backoff: Backoff::default(),
            led_to: None,
        }
    }

    /// Runs until the front-end detaches. While the connection is not held, nothing is done but to be ready for it.
    pub(crate) async fn run(mut self) {
        let connection = Arc::clone(&self.connection);
        let Ends { drains, detaches } = self.ends.clone();
        while !drains.is_cancelled() {
            tokio::select! {
                _ = connection.wanted(connection.barred()) => {}
                () = drains.cancelled() => break,
            }
            connection.is_attached(true);
            self.attach().await;
            connection.is_attached(false);
            // One that is being given up as well: nothing more is attempted.
            if !connection.tenure().0.takes_events() || connection.is_barred() {
                self.reporter.report(UpstreamState::Standby);
            }
        }
        detaches.cancelled().await;
        self.reporter.report(UpstreamState::Down(Down::Drained));
    }

    /// Attached under one lease, to its end: it is given up, or the server has given the domain to another stream, or there
    /// is no stream while the front-end drains.
    async fn attach(&mut self) {
        let connection = Arc::clone(&self.connection);
        let Ends { drains, detaches } = self.ends.clone();
        let over = CancellationToken::new();
        let ends = async {
            tokio::select! {
                () = detaches.cancelled() => {}
                () = connection.unwanted() => {}
            }
            over.cancel();
            std::future::pending::<()>().await;
        };
        let attempts = async {
            while !over.is_cancelled() && !drains.is_cancelled() && !connection.is_barred() {
                self.attempt(&over).await;
            }
        };
        tokio::select! {
            () = attempts => {}
            () = ends => {}
        }
        self.led_to = None;
        connection.unbind();
    }

    async fn attempt(&mut self, over: &CancellationToken) {
        let drains = self.ends.drains.clone();
        let attempt = async {
            match self.open().await {
                Ok(opened) => Ok(opened),
                Err(down) => Err(self.refused(down)),
            }
        };
        let opened = tokio::select! {
            biased;
            () = over.cancelled() => return,
            () = drains.cancelled() => return,
            opened = attempt => opened,
        };
        let wait = match opened {
            Ok(opened) => self.serve(opened, over).await,
            Err(wait) => wait,
        };
        tokio::select! {
            () = over.cancelled() => {}
            () = drains.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    async fn open(&mut self) -> Result<Opened, Down> {
        let secret = self.keyring.current().map_err(Down::NoSecret)?;
        let opened = handshake::open(&self.connection, secret, &*self.dial).await?;
        self.keyring.accepted();
        Ok(opened)
    }

    /// An attempt failed. Tells how long to wait.
    fn refused(&mut self, down: Down) -> Duration {
        if down == Down::NotAuthorized && self.keyring.refused() == Refusal::TryNext {
            return Duration::ZERO;
        }
        self.is_down(down);
        self.pause()
    }

    /// Serves one stream to its end. Tells how long to wait before the next.
    async fn serve(&mut self, opened: Opened, stop: &CancellationToken) -> Duration {
        let led_to = self.connection.server_node();
        if self
            .led_to
            .replace(led_to.clone())
            .is_some_and(|before| before != led_to)
        {
            // What the old node of the server has taken in is still under way between the server's own nodes (IL-34).
            tokio::select! {
                () = sleep(SETTLE) => {}
                () = stop.cancelled() => return Duration::ZERO,
            }
        }
        let began = Instant::now();
        let stream = self.connection.begin();
        self.is_up();
        let down = self.run_stream(opened, stream, stop).await;
        self.connection.end();
        if down == Down::Moved {
            self.is_down(down);
            return Duration::ZERO;
        }
        // Who was given the domain instead has the lease by now, or will have: fighting would cost both their streams.
        let is_kicked = down == Down::Conflict && self.intake.front.is_clustered();
        if is_kicked {
            self.connection.bar();
        }
        let event = if is_kicked {
            Happened::Kicked
        } else {
            Happened::Down(down.clone())
        };
        self.tell(event);
        self.is_down(down);
        if began.elapsed() >= LASTED {
            self.backoff.reset();
        }
        self.pause()
    }

    async fn run_stream(&self, opened: Opened, stream: StreamNo, stop: &CancellationToken) -> Down {
        let Socket { reading, writing } = opened.socket;
        let closing = CancellationToken::new();
        let reader = Reader {
            connection: Arc::clone(&self.connection),
            intake: Arc::clone(&self.intake),
            component: opened.component,
            socket: reading,
        };
        let writer = Outflow::new(
            Arc::clone(&self.connection),
            writing,
            Arc::clone(&self.intake.front),
        );
        let mut halves = JoinSet::new();
        halves.spawn(reader.run(stream, opened.events));
        halves.spawn(writer.run(closing.clone()));
        let (down, patience) = tokio::select! {
            ended = halves.join_next() => {
                let down = ended.and_then(Result::ok).unwrap_or(Down::Closed);
                (down, SHORT_FAREWELL)
            }
            () = stop.cancelled() => (Down::Drained, FAREWELL),
            () = self.connection.moves() => (Down::Moved, FAREWELL),
        };
        if self.connection.tenure().0.lease().is_none() {
            // It is somebody else's by now: not one byte more.
            halves.shutdown().await;
            return down;
        }
        closing.cancel();
        let both = async { while halves.join_next().await.is_some() {} };
        let _ = timeout(patience, both).await;
        halves.shutdown().await;
        down
    }

    fn tell(&self, happened: Happened) {
        self.intake.front.tell(ConnectionEvent {
            connection: self.connection.name().clone(),
            happened,
        });
    }

    fn is_up(&self) {
        self.reporter.report(UpstreamState::Up);
        self.tell(Happened::Up);
        info!(
            event = "upstream-up",
            upstream = self.connection.upstream().address(),
            domain = %self.connection.domain(),
            group = %self.connection.group().0,
        );
    }

    /// Logged once for each reason, not for each attempt. The end of a drain is nothing to be warned of.
    fn is_down(&self, down: Down) {
        let (reason, is_drained) = (
            down.to_string(),
            matches!(down, Down::Drained | Down::Moved),
        );
        if !self.reporter.report(UpstreamState::Down(down)) {
            return;
        }
        let upstream = self.connection.upstream().address();
        let domain = self.connection.domain();
        if is_drained {
            info!(event = "upstream-down", upstream, %domain, reason);
        } else {
            warn!(event = "upstream-down", upstream, %domain, reason);
        }
    }

    fn pause(&mut self) -> Duration {
        self.backoff.next(getrandom::u32().unwrap_or(u32::MAX / 2))
    }
}
