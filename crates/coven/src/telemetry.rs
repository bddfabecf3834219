//! OpenTelemetry: traces of the way of a message, and the metrics of `/metrics`, over OTLP (docs/metrics.md).
//!
//! Owns what is started and ended for it. Nothing is, and nothing costs on the way of a message, unless the environment
//! names a collector. All settings are the variables that OpenTelemetry defines. A collector that is away or slow costs
//! nothing but what it misses: spans wait in a bounded queue of the library, and are dropped when it is full.

use std::fmt::Debug;
use std::time::Duration;

use coven_cluster::TraceContext;
use coven_cluster::trace::{self, Recording, Span, Step, Tracing};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::metrics::Metrics;
use crate::metrics::family::{Kind, Value, cumulative, seconds};

/// At the end, what has not been sent is sent for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What of telemetry is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    traces: bool,
    metrics: bool,
}

impl Wanted {
    /// By the variables of OpenTelemetry; `variable` looks one up.
    fn by(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let off = variable("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let all = is_set("OTEL_EXPORTER_OTLP_ENDPOINT");
        Self {
            traces: !off && (all || is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")),
            metrics: !off && (all || is_set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")),
        }
    }
}

/// Running telemetry; [`Telemetry::end`] sends what is left.
#[derive(Debug, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

impl Telemetry {
    /// Starts what the environment asks for; `service` is the name of the process where that has none. Within the runtime.
    ///
    /// Errors: an address that is none.
    pub fn start(service: &'static str, metrics: &Metrics) -> Result<Self, ExporterBuildError> {
        let wanted = Wanted::by(|name| std::env::var(name).ok());
        let mut telemetry = Self::default();
        if wanted.traces {
            let provider = traces(resource(service))?;
            trace::install(Box::new(Spans(provider.tracer("coven"))));
            telemetry.traces = Some(provider);
        }
        if wanted.metrics {
            telemetry.metrics = Some(self::metrics(resource(service), metrics)?);
        }
        Ok(telemetry)
    }

    /// Sends what is left, in bounded time.
    pub async fn end(self) {
        let last = tokio::task::spawn_blocking(move || {
            // A collector that is away has missed it; there is nobody else to tell.
            let _ = self.traces.map(|t| t.shutdown_with_timeout(LAST_WORDS));
            let _ = self.metrics.map(|m| m.shutdown_with_timeout(LAST_WORDS));
        });
        let _ = tokio::time::timeout(LAST_WORDS, last).await;
    }
}

/// Who this process is. What the environment says of it goes before what is said here.
fn resource(service: &'static str) -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|a| a.contains("service.name="));
    let mut instance = [0; 8];
    // Without random bytes there would be no process: names of ours come from the same source.
    let _ = getrandom::fill(&mut instance);
    let builder = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            format!("{:016x}", u64::from_be_bytes(instance)),
        ));
    match named {
        true => builder.build(),
        false => builder.with_service_name(service).build(),
    }
}

fn traces(resource: Resource) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

fn metrics(resource: Resource, source: &Metrics) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter = MetricExporter::builder().with_tonic().build()?;
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .with_resource(resource)
        .build();
    observe(&provider.meter("coven"), source);
    Ok(provider)
}

/// An instrument for each metric that there is now; each looks up its own numbers when it is asked, once a minute.
fn observe(meter: &Meter, source: &Metrics) {
    for family in source.families() {
        match family.kind {
            Kind::Counter => counter(meter, source, family.name, family.help),
            Kind::Gauge => gauge(meter, source, family.name, family.help),
            Kind::Histogram => histogram(meter, source, &family.name, family.help),
        }
    }
}

/// The samples of a metric: attributes and value.
fn samples(source: &Metrics, name: &str) -> Vec<(Vec<KeyValue>, Value)> {
    let family = source.families().into_iter().find(|f| f.name == name);
    let Some(family) = family else {
        return Vec::new();
    };
    let attributes = |of_label: String| match family.label {
        "" => Vec::new(),
        label => vec![KeyValue::new(label, of_label)],
    };
    let samples = family.samples.into_iter();
    samples.map(|(of, value)| (attributes(of), value)).collect()
}

fn counter(meter: &Meter, source: &Metrics, name: String, help: &'static str) {
    let (source, asked) = (source.clone(), name.clone());
    let builder = meter.u64_observable_counter(name).with_description(help);
    builder
        .with_callback(move |observer| {
            for (attributes, value) in samples(&source, &asked) {
                if let Value::Count(count) = value {
                    observer.observe(count, &attributes);
                }
            }
        })
        .build();
}

fn gauge(meter: &Meter, source: &Metrics, name: String, help: &'static str) {
    let (source, asked) = (source.clone(), name.clone());
    let builder = meter.f64_observable_gauge(name).with_description(help);
    builder
        .with_callback(move |observer| {
            for (attributes, value) in samples(&source, &asked) {
                observer.observe(number(&value), &attributes);
            }
        })
        .build();
}

/// The library has no histogram that is looked up: the same three counters as in the text format.
fn histogram(meter: &Meter, source: &Metrics, name: &str, help: &'static str) {
    let times = |source: &Metrics, name: &str| {
        samples(source, name)
            .into_iter()
            .find_map(|(_, value)| match value {
                Value::Times(times) => Some(times),
                _ => None,
            })
    };
    let (bucket_source, bucket_name) = (source.clone(), name.to_owned());
    meter
        .u64_observable_counter(format!("{name}_bucket"))
        .with_description(help)
        .with_callback(move |observer| {
            let Some(times) = times(&bucket_source, &bucket_name) else {
                return;
            };
            for (bound, count) in cumulative(&times) {
                let bound = bound.map_or_else(|| "+Inf".to_owned(), |b| b.to_string());
                observer.observe(count, &[KeyValue::new("le", bound)]);
            }
        })
        .build();
    let (count_source, count_name) = (source.clone(), name.to_owned());
    meter
        .u64_observable_counter(format!("{name}_count"))
        .with_callback(move |observer| {
            if let Some(times) = times(&count_source, &count_name) {
                observer.observe(times.count(), &[]);
            }
        })
        .build();
    let (sum_source, sum_name) = (source.clone(), name.to_owned());
    meter
        .f64_observable_counter(format!("{name}_sum"))
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(times) = times(&sum_source, &sum_name) {
                observer.observe(seconds(times.nanos), &[]);
            }
        })
        .build();
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format has no larger integers"
)]
const fn number(value: &Value) -> f64 {
    match value {
        Value::Count(count) => *count as f64,
        Value::Number(number) => *number,
        Value::Times(_) => 0.0,
    }
}

/// Spans by the library.
#[derive(Debug)]
struct Spans(SdkTracer);

impl Tracing for Spans {
    fn begin(&self, step: Step, parent: Option<TraceContext>) -> Option<Span> {
        let builder = SpanBuilder::from_name(step.name()).with_kind(match step {
            Step::Read => SpanKind::Consumer,
            Step::Render => SpanKind::Producer,
            Step::Decide | Step::Commit => SpanKind::Internal,
        });
        let context = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(remote(parent))
        });
        let span = self.0.build_with_context(builder, &context);
        let sampled = span.span_context().is_sampled();
        sampled.then(|| Span::new(Box::new(Recorded(span))))
    }
}

/// A span that is going on: the library ends it when it is dropped.
#[derive(Debug)]
struct Recorded(opentelemetry_sdk::trace::Span);

impl Recording for Recorded {
    fn context(&self) -> TraceContext {
        let context = self.0.span_context();
        TraceContext {
            trace_id: context.trace_id().to_bytes(),
            span_id: context.span_id().to_bytes(),
            flags: context.trace_flags().to_u8(),
        }
    }
}

fn remote(parent: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(parent.trace_id),
        SpanId::from_bytes(parent.span_id),
        TraceFlags::new(parent.flags),
        true,
        TraceState::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> (bool, bool) {
        let wanted = Wanted::by(|name| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        (wanted.traces, wanted.metrics)
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        assert_eq!(wanted(&[]), (false, false));
        assert_eq!(
            wanted(&[("OTEL_TRACES_SAMPLER", "always_on")]),
            (false, false)
        );
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        assert_eq!(wanted(&[endpoint]), (true, true));
        assert_eq!(
            wanted(&[endpoint, ("OTEL_SDK_DISABLED", "true")]),
            (false, false)
        );
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4317");
        assert_eq!(wanted(&[traces]), (true, false));
    }
}
