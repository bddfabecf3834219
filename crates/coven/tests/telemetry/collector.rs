//! A collector of OpenTelemetry within the test: what processes send to it over OTLP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

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
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What was sent to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collector {
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
    /// Listens on a free port.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self::default();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, address)
    }

    /// All spans that came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let told = self.told().into_iter();
        told.map(|told| told.span).collect()
    }

    /// All spans that came, and who sent each.
    pub(crate) fn told(&self) -> Vec<Told> {
        let traces = self.traces.lock().unwrap();
        let mut all = Vec::new();
        for sent in traces.iter().flat_map(|t| &t.resource_spans) {
            let (service, instance) = (
                attribute(sent, "service.name"),
                attribute(sent, "service.instance.id"),
            );
            for span in sent.scope_spans.iter().flat_map(|s| &s.spans) {
                all.push(Told {
                    service: service.clone(),
                    instance: instance.clone(),
                    span: span.clone(),
                });
            }
        }
        all
    }

    /// Everything that came, as text.
    pub(crate) fn everything(&self) -> String {
        let (traces, metrics) = (self.traces.lock().unwrap(), self.metrics.lock().unwrap());
        format!("{traces:?}{metrics:?}")
    }

    /// The names of all metrics that came.
    pub(crate) fn metric_names(&self) -> Vec<String> {
        let metrics = self.metrics.lock().unwrap();
        let scopes = metrics.iter().flat_map(|m| &m.resource_metrics);
        let scopes = scopes.flat_map(|r| &r.scope_metrics);
        let metrics = scopes.flat_map(|s| &s.metrics);
        metrics.map(|m| m.name.clone()).collect()
    }
}

/// A span, and the process that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Its `service.name`.
    pub(crate) service: String,
    /// Its `service.instance.id`.
    pub(crate) instance: String,
    /// What it sent.
    pub(crate) span: Span,
}

fn attribute(sent: &ResourceSpans, name: &str) -> String {
    let mut all = sent.resource.iter().flat_map(|r| &r.attributes);
    let found = all.find(|attribute| attribute.key == name);
    match found.and_then(|a| a.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}
