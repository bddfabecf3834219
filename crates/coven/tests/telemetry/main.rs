//! The real binary with a collector of OpenTelemetry in the test: one trace follows one message from the stanza to its
//! copies, in one process and through several, and no signal has anything that people wrote.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod collector;
#[path = "../../../coven-store/tests/conformance/redis_server.rs"]
mod redis_server;
mod roles;
mod server;

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collector::Collector;
use opentelemetry_proto::tonic::trace::v1::Span;
use server::Server;

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(90);

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(held.await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// A running coven. Killed when dropped.
struct Coven(Child);

impl Drop for Coven {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Coven {
    /// Starts it with this configuration, these arguments and variables, and no others of ours.
    fn start(
        folder: &tempfile::TempDir,
        config: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> Self {
        // A file for each process: another may just be reading its own.
        let mut file = tempfile::NamedTempFile::with_suffix_in(".toml", folder).unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let file = file.into_temp_path().keep().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_coven"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("COVEN_") || name.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        command.arg("serve").arg("--config").arg(&file);
        command.args(arguments);
        Self(command.stderr(Stdio::inherit()).spawn().unwrap())
    }
}

fn coven(folder: &tempfile::TempDir, upstream: SocketAddr, variables: &[(&str, String)]) -> Coven {
    let config = format!(
        "[[domain]]\nname = 'chat.localhost'\nlock-timeout = 'off'\n\
         [[upstream]]\naddress = '{upstream}'\ndomains = ['chat.localhost']\nsecret = 'canary'\nbarrier = 'off'\n\
         [http]\nlisten = 'off'\n"
    );
    Coven::start(folder, &config, &[], variables)
}

const JOIN: &str = "<presence from='hag66@localhost/pda' to='canary-room@chat.localhost/thirdwitch'>\
                    <x xmlns='http://jabber.org/protocol/muc'/></presence>";
const SAY: &str = "<message from='hag66@localhost/pda' to='canary-room@chat.localhost' type='groupchat' id='canary-id'>\
                   <body>canary body</body></message>";

/// Joins and says something; the reflection has come.
async fn converse(server: &Server) {
    until("attached", || server.is_attached()).await;
    server.send(JOIN);
    until("joined", || {
        server.has("code='110'") || server.has("code=\"110\"")
    })
    .await;
    server.send(SAY);
    until("reflected", || server.has("canary body")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_follows_one_message_with_the_right_parents() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, endpoint) = Collector::start().await;
    let (server, upstream) = Server::start();
    let _coven = coven(
        &folder,
        upstream,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}")),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200".to_owned()),
        ],
    );
    converse(&server).await;
    let named = |name: &str| -> Vec<Span> {
        let spans = collector.spans();
        spans.into_iter().filter(|span| span.name == name).collect()
    };
    // The join and the message: a trace each.
    until("all spans", || named("front render").len() == 2).await;
    let roots = named("front read");
    assert_eq!(roots.len(), 2);
    assert_ne!(roots[0].trace_id, roots[1].trace_id);
    for root in &roots {
        assert_eq!(root.parent_span_id, b"", "the first of its trace");
        let mut parent = root.clone();
        for step in ["node decide", "node commit", "front render"] {
            let mut next = named(step);
            next.retain(|span| span.trace_id == root.trace_id);
            assert_eq!(next.len(), 1, "{step}");
            assert_eq!(next[0].parent_span_id, parent.span_id, "{step}");
            assert!(next[0].start_time_unix_nano >= root.start_time_unix_nano);
            parent = next.remove(0);
        }
    }
    until("metrics", || {
        let names = collector.metric_names();
        [
            "coven_node_events_total",
            "coven_node_commit_seconds_count",
            "coven_connection_up",
        ]
        .iter()
        .all(|name| names.iter().any(|n| n == name))
    })
    .await;
    // Nothing that people wrote, and no secret, in any signal.
    let all = collector.everything();
    assert!(!all.contains("canary") && !all.contains("hag66"));
    assert!(all.contains("service.name"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, endpoint) = Collector::start().await;
    let (server, upstream) = Server::start();
    let _coven = coven(
        &folder,
        upstream,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}")),
            ("OTEL_TRACES_SAMPLER", "always_off".to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200".to_owned()),
        ],
    );
    converse(&server).await;
    until("metrics", || !collector.metric_names().is_empty()).await;
    assert_eq!(collector.spans(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_nothing_but_what_it_misses() {
    let folder = tempfile::tempdir().unwrap();
    let (server, upstream) = Server::start();
    let endpoint = (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://127.0.0.1:9".to_owned(),
    );
    let mut coven = coven(&folder, upstream, &[endpoint]);
    converse(&server).await;
    let pid = coven.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    until("it ends", || coven.0.try_wait().unwrap().is_some()).await;
    assert_eq!(coven.0.wait().unwrap().code(), Some(0));
}
