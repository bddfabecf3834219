//! `/livez` and `/readyz` for probes, `/metrics` for whoever watches.
//!
//! They are served by a thread of their own, so that a process whose workers are stuck still says so. Connections are
//! bounded in number and in time, whatever their other end does (S-62).

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// How many connections are served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;

/// After this time a connection is closed, whatever is going on.
const MAX_LIFE: Duration = Duration::from_secs(10);

/// A running HTTP server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `listen` and serves `health` and `metrics` until stopped.
    ///
    /// Errors: what binding the port or starting the thread came upon.
    pub fn start(listen: SocketAddr, health: Health, metrics: Metrics) -> io::Result<Self> {
        let listener = StdListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                let serving = serve(listener, routes(health, metrics), MAX_LIFE);
                runtime.block_on(async { stopped.run_until_cancelled(serving).await });
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens: the port is the one taken when the configured one is 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the HTTP thread ended by a panic");
        }
    }
}

async fn serve(listener: StdListener, routes: Router, max_life: Duration) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => Bounded {
            listener,
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            max_life,
        },
        Err(error) => return tracing::error!(%error, "cannot serve HTTP"),
    };
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "HTTP ended");
    }
}

fn routes(health: Health, metrics: Metrics) -> Router {
    let numbers = Router::new()
        .route("/metrics", get(numbers))
        .with_state(metrics);
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(numbers)
}

async fn numbers(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()).into_response()
}

async fn livez(State(health): State<Health>) -> Response {
    match health.stuck(Instant::now()) {
        None => "ok\n".into_response(),
        Some(silence) => {
            let why = format!("stuck for {} s\n", silence.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

async fn readyz(State(health): State<Health>) -> Response {
    let readiness = health.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&readiness) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Takes a limited number of connections, each for a limited time.
struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    max_life: Duration,
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed; without a permit there would be no bound, so wait for ever.
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return std::future::pending().await;
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    return (
                        Connection {
                            stream,
                            end: Box::pin(sleep(self.max_life)),
                            _permit: permit,
                        },
                        from,
                    );
                }
                // Out of descriptors, or a connection that is gone already.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is over.
struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// An error when the time is over; else the task is woken then.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::health::STUCK;

    fn start(health: &Health) -> Server {
        let listen = "127.0.0.1:0".parse().unwrap();
        Server::start(listen, health.clone(), Metrics::default()).unwrap()
    }

    /// Status and body of an answer.
    fn fetch(server: &Server, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    #[test]
    fn livez_fails_only_when_the_process_is_stuck() {
        let health = Health::new(Instant::now());
        health.part("store").down("away");
        let server = start(&health);
        assert_eq!(fetch(&server, "GET /livez"), (200, "ok\n".to_owned()));
        health.beat(Instant::now().checked_sub(STUCK).unwrap());
        let (status, body) = fetch(&server, "GET /livez");
        assert_eq!(
            (status, body.starts_with("stuck for 10 s")),
            (503, true),
            "{body}"
        );
    }

    #[test]
    fn readyz_says_why_not() {
        let health = Health::new(Instant::now());
        let store = health.part("store");
        health.started();
        let server = start(&health);
        let starting = r#"{"ready":false,"reasons":["store: starting"]}"#;
        assert_eq!(fetch(&server, "GET /readyz"), (503, starting.to_owned()));
        store.up();
        assert_eq!(
            fetch(&server, "GET /readyz"),
            (200, r#"{"ready":true,"reasons":[]}"#.to_owned())
        );
    }

    #[test]
    fn nothing_else_is_served() {
        let server = start(&Health::new(Instant::now()));
        for (request, status) in [("GET /metric", 404), ("GET /", 404), ("POST /livez", 405)] {
            assert_eq!(fetch(&server, request).0, status, "{request}");
        }
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let health = Health::new(Instant::now());
        let server = start(&health);
        let again = Server::start(server.address(), health, Metrics::default());
        let error = again.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn stopping_frees_the_port_with_a_connection_open() {
        let server = start(&Health::new(Instant::now()));
        let address = server.address();
        let _idle = TcpStream::connect(address).unwrap();
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }

    #[tokio::test]
    async fn s_62_a_silent_connection_is_closed() {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(
            listener,
            routes(Health::new(Instant::now()), Metrics::default()),
            Duration::from_millis(50),
        ));
        let closed = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            stream.write_all(b"GET /livez HT").unwrap();
            stream.read(&mut [0; 16]).is_ok_and(|read| read == 0)
        });
        assert!(closed.await.unwrap());
        serving.abort();
    }
}
