//! The way to a node: connections are accepted, and have to show who they are.

use crate::server::ServerOptions;
use crate::{Broken, Stats};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// Accepts connections, and gives those on that have shown who they are. At most so many do that at a time as there may be
/// links, a quarter of them from one address: who says nothing keeps out nobody else.
pub(crate) async fn accept(
    listener: TcpListener,
    options: ServerOptions,
    connections: mpsc::Sender<Result<crate::tls::Stream, std::io::Error>>,
) {
    let room = Arc::new(Semaphore::new(options.limits.max_links));
    let callers = Callers::default();
    let most = (options.limits.max_links / 4).max(1);
    let mut tasks = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while tasks.try_join_next().is_some() {}
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a link could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(caller) = callers.take(from.ip(), most) else {
            refused(
                &options.stats,
                &Broken::Refused("too many at a time".into()),
                &from,
            );
            continue;
        };
        let (options, connections) = (options.clone(), connections.clone());
        tasks.spawn(async move {
            let _held = (permit, caller);
            let _ = socket.set_nodelay(true);
            let shown = timeout(options.limits.connect, options.security.accept(socket)).await;
            match shown.unwrap_or(Err(Broken::Silent)) {
                Ok(stream) => {
                    let _ = connections.send(Ok(stream)).await;
                }
                Err(broken) => refused(&options.stats, &broken, &from),
            }
        });
    }
}

/// How many connections of each address have not shown yet who they are.
#[derive(Debug, Clone, Default)]
struct Callers(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One of them; dropping it makes room.
struct Caller(Callers, IpAddr);

impl Callers {
    fn take(&self, from: IpAddr, most: usize) -> Option<Caller> {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = callers.entry(from).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Caller(self.clone(), from))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut callers = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = callers.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                callers.remove(&self.1);
            }
        }
    }
}

/// After an error of the system, such as no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn refused(stats: &Stats, broken: &Broken, from: &SocketAddr) {
    stats.broken(broken);
    warn!(%from, reason = broken.name(), error = %broken, "a link was refused");
}
