//! The real binary with a collector of OpenTelemetry in the test: one trace follows one message from the stanza to its
//! copies, and no signal has anything that people wrote.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was sent to it.
#[derive(Debug, Clone, Default)]
struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap()
        };
        let collector = Self::default();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve(address));
        until("the collector listens", || {
            TcpStream::connect(address).is_ok()
        })
        .await;
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let traces = self.traces.lock().unwrap();
        let scopes = traces.iter().flat_map(|t| &t.resource_spans);
        let scopes = scopes.flat_map(|r| &r.scope_spans);
        scopes.flat_map(|s| s.spans.clone()).collect()
    }

    fn metric_names(&self) -> Vec<String> {
        let metrics = self.metrics.lock().unwrap();
        let scopes = metrics.iter().flat_map(|m| &m.resource_metrics);
        let scopes = scopes.flat_map(|r| &r.scope_metrics);
        let metrics = scopes.flat_map(|s| &s.metrics);
        metrics.map(|m| m.name.clone()).collect()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(held.await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// An XMPP server that accepts one component, and routes its barriers back.
#[derive(Debug, Clone)]
struct Server(Arc<Mutex<Option<TcpStream>>>, Arc<Mutex<String>>);

impl Server {
    fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self(Arc::default(), Arc::default());
        let serving = server.clone();
        std::thread::spawn(move || serving.serve(&listener));
        (server, address)
    }

    fn serve(&self, listener: &TcpListener) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 65536];
        let _header = stream.read(&mut buffer);
        let header = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
                      xmlns:stream='http://etherx.jabber.org/streams' from='chat.localhost' id='s'>";
        stream.write_all(header.as_bytes()).unwrap();
        let _handshake = stream.read(&mut buffer);
        stream.write_all(b"<handshake/>").unwrap();
        *self.0.lock().unwrap() = Some(stream.try_clone().unwrap());
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            self.1.lock().unwrap().push_str(&text);
        }
    }

    fn send(&self, stanza: &str) {
        let mut stream = self.0.lock().unwrap();
        stream
            .as_mut()
            .unwrap()
            .write_all(stanza.as_bytes())
            .unwrap();
    }

    fn has(&self, text: &str) -> bool {
        self.1.lock().unwrap().contains(text)
    }
}

/// A running coven. Killed when dropped.
struct Coven(Child);

impl Drop for Coven {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn coven(folder: &tempfile::TempDir, upstream: SocketAddr, variables: &[(&str, String)]) -> Coven {
    let file = folder.path().join("coven.toml");
    let config = format!(
        "[[domain]]\nname = 'chat.localhost'\nlock-timeout = 'off'\n\
         [[upstream]]\naddress = '{upstream}'\ndomains = ['chat.localhost']\nsecret = 'canary'\nbarrier = 'off'\n\
         [http]\nlisten = 'off'\n"
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_coven"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("COVEN_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    command.arg("serve").arg("--config").arg(&file);
    Coven(command.stderr(Stdio::inherit()).spawn().unwrap())
}

const JOIN: &str = "<presence from='hag66@localhost/pda' to='canary-room@chat.localhost/thirdwitch'>\
                    <x xmlns='http://jabber.org/protocol/muc'/></presence>";
const SAY: &str = "<message from='hag66@localhost/pda' to='canary-room@chat.localhost' type='groupchat' id='canary-id'>\
                   <body>canary body</body></message>";

/// Joins and says something; the reflection has come.
async fn converse(server: &Server) {
    until("attached", || server.0.lock().unwrap().is_some()).await;
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
    let all = format!(
        "{:?}{:?}",
        collector.traces.lock().unwrap(),
        collector.metrics.lock().unwrap()
    );
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
