//! `coven serve`: the life of the process, from the store to the last stanza.
//!
//! Order of the start: signals, store, HTTP (a store in Redis after it), node, front-end. Of the end: readiness goes red, the front-end drains, the
//! node commits what it decided and releases, the store closes. The end for good (`admin shutdown --final`) ends all
//! sessions before it. How the parts are wired is in [`crate::parts`], what each is told in
//! [`crate::options`].

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::admin::Admin;
use crate::config::{Config, Listen, Place, Role};
use crate::failure::Failure;
use crate::health::{HEARTBEAT, Health};
use crate::http::Server;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::signals::Signals;
use crate::stores::open_store;
use crate::telemetry::Telemetry;

/// A drain that takes longer is broken off: what is committed leaves with the next start.
const MAX_DRAIN: Duration = Duration::from_secs(15);

/// How long tasks that are left at the end may keep the process.
const MAX_EXIT: Duration = Duration::from_secs(1);

/// Runs the service until it is told to end.
///
/// Errors: why it did not start, or did not end cleanly.
pub fn serve(config: Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("coven")
        .build();
    let runtime = runtime.map_err(|error| Failure::System {
        what: "start threads",
        error,
    })?;
    let result = runtime.block_on(Box::pin(run(config)));
    runtime.shutdown_timeout(MAX_EXIT);
    result
}

async fn run(config: Config) -> Result<(), Failure> {
    let mut signals = Signals::install()?;
    let health = Health::new(Instant::now());
    let _heart = AbortOnDropHandle::new(tokio::spawn(beat(health.clone())));
    let admin = Admin::default();
    let mut starting = std::pin::pin!(start(&config, &health, &admin));
    let (parts, _http, telemetry) = tokio::select! {
        started = &mut starting => started?,
        signal = signals.next() => {
            info!(signal, "ended while starting");
            return Ok(());
        }
    };
    let ended = until_drained(parts, &health, &mut signals, &admin).await;
    telemetry.end().await;
    ended
}

/// Keeps liveness green while the runtime has workers to run it.
async fn beat(health: Health) {
    let mut ticks = interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        health.beat(ticks.tick().await);
    }
}

async fn start(
    config: &Config,
    health: &Health,
    admin: &Admin,
) -> Result<(Parts, Option<Server>, Telemetry), Failure> {
    let metrics = Metrics::default();
    // A file is asked for first: a second process on it is told of that. A Redis may be waited for, in the sight of probes.
    let (store, http) = match &config.store.place {
        Place::Sqlite { .. } => {
            let store = open_store(config, health).await?;
            (store, start_http(config, health, &metrics, admin)?)
        }
        Place::Redis(_) => {
            let http = start_http(config, health, &metrics, admin)?;
            (open_store(config, health).await?, http)
        }
    };
    let parts = Parts::start(config, store, health, &metrics, admin).await?;
    let started = Telemetry::start(service(config.role), &metrics);
    let telemetry = started.map_err(|error| Failure::Telemetry {
        why: error.to_string(),
    })?;
    health.started();
    Ok((parts, http, telemetry))
}

/// What telemetry calls this process.
const fn service(role: Role) -> &'static str {
    match role {
        Role::All => "coven",
        Role::Node => "coven-node",
        Role::Front => "coven-front",
    }
}

fn start_http(
    config: &Config,
    health: &Health,
    metrics: &Metrics,
    admin: &Admin,
) -> Result<Option<Server>, Failure> {
    let Listen::At(address) = config.http.listen else {
        return Ok(None);
    };
    let token = config.admin_token.clone();
    let admin = token.map(|token| (admin.clone(), token));
    let server = Server::start_with(address, health.clone(), metrics.clone(), admin)
        .map_err(|error| Failure::of_listening(address, error))?;
    info!(address = %server.address(), "serving HTTP");
    Ok(Some(server))
}

/// Serves until a signal, the end for good or a failure, then drains.
async fn until_drained(
    mut parts: Parts,
    health: &Health,
    signals: &mut Signals,
    admin: &Admin,
) -> Result<(), Failure> {
    let failed = tokio::select! {
        signal = signals.next() => {
            info!(event = "draining", signal, "draining");
            None
        }
        () = admin.is_ended_for_good() => end_for_good(&parts, health, signals).await.err(),
        failure = parts.failed() => Some(failure),
    };
    health.drain();
    let drained = tokio::select! {
        drained = timeout(MAX_DRAIN, parts.drain()) => match drained {
            Ok(drained) => drained,
            Err(_) => Err(Failure::NotDrained { why: "it took too long" }),
        },
        signal = signals.next() => {
            warn!(signal, "ending at once");
            Err(Failure::NotDrained { why: "a second signal came" })
        }
    };
    if drained.is_ok() {
        info!(event = "drained", "drained");
    }
    failed.map_or(drained, Err)
}

/// Ends all sessions (I6); the process then ends as it does by a signal. A signal breaks it off: who is not out yet, stays.
async fn end_for_good(
    parts: &Parts,
    health: &Health,
    signals: &mut Signals,
) -> Result<(), Failure> {
    health.drain();
    info!(event = "draining", "ending for good: all sessions end");
    let why = tokio::select! {
        missed = parts.end_sessions() => match missed {
            0 => {
                info!("all sessions have ended");
                return Ok(());
            }
            _ => "not every session could be ended: those go on with the next start",
        },
        signal = signals.next() => {
            warn!(signal, "not every session has ended: those go on with the next start");
            "a signal came while sessions were ended"
        }
    };
    Err(Failure::NotDrained { why })
}
