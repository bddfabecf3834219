//! A metric as the outside world sees it: name, kind, what it counts, and its samples as of now.
//!
//! Owns the shape that `/metrics` and OTLP have in common, and the text format of Prometheus.

use std::fmt::Write;

use coven_cluster::timing::{BOUNDS_MICROS, Times};

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grows, from the start of the process.
    Counter,
    /// As it is now.
    Gauge,
    /// How often something took how long.
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// A number of things.
    Count(u64),
    /// Anything else.
    Number(f64),
    /// How often it took how long.
    Times(Times),
}

/// Samples that differ in one label; without a name of it there is one sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) label: &'static str,
    pub(crate) samples: Vec<(String, Value)>,
}

impl Family {
    /// One number.
    pub(crate) fn one(
        name: impl Into<String>,
        kind: Kind,
        help: &'static str,
        value: Value,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            help,
            label: "",
            samples: vec![(String::new(), value)],
        }
    }

    /// Adds it to a page of the text format.
    pub(crate) fn write(&self, page: &mut String) {
        let Self { name, help, .. } = self;
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "# HELP {name} {help}\n# TYPE {name} {}",
            self.kind.name()
        );
        for (of_label, value) in &self.samples {
            let label = match self.label {
                "" => String::new(),
                label => format!("{{{label}=\"{}\"}}", escaped(of_label)),
            };
            let _ = match value {
                Value::Count(count) => writeln!(page, "{name}{label} {count}"),
                Value::Number(number) => writeln!(page, "{name}{label} {number}"),
                Value::Times(times) => self.write_times(times, page),
            };
        }
    }

    /// Buckets hold all that took at most so long.
    fn write_times(&self, times: &Times, page: &mut String) -> std::fmt::Result {
        let name = &self.name;
        for (bound, count) in cumulative(times) {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            writeln!(page, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
        }
        writeln!(page, "{name}_sum {}", seconds(times.nanos))?;
        writeln!(page, "{name}_count {}", times.count())
    }
}

/// How many took at most so many seconds; without a bound, all.
pub(crate) fn cumulative(times: &Times) -> impl Iterator<Item = (Option<f64>, u64)> {
    let bounds = BOUNDS_MICROS
        .iter()
        .map(|micros| Some(seconds(micros * 1000)));
    let counts = times.buckets.iter().scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    bounds.chain([None]).zip(counts)
}

/// Nanoseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "the formats have no larger integers"
)]
pub(crate) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn escaped(label: &str) -> String {
    let label = label.replace('\\', "\\\\").replace('"', "\\\"");
    label.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use coven_cluster::timing::Timing;
    use std::time::Duration;

    #[test]
    fn buckets_of_a_histogram_are_cumulative() {
        let timing = Timing::default();
        timing.note(Duration::from_micros(100));
        timing.note(Duration::from_micros(400));
        timing.note(Duration::from_secs(60));
        let family = Family::one(
            "t_seconds",
            Kind::Histogram,
            "Time.",
            Value::Times(timing.times()),
        );
        let mut page = String::new();
        family.write(&mut page);
        assert!(page.starts_with(
            "# HELP t_seconds Time.\n# TYPE t_seconds histogram\nt_seconds_bucket{le=\"0.00025\"} 1\nt_seconds_bucket{le=\"0.0005\"} 2\n"
        ), "{page}");
        assert!(page.ends_with(
            "t_seconds_bucket{le=\"30\"} 2\nt_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 60.0005\nt_seconds_count 3\n"
        ), "{page}");
    }
}
