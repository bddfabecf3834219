//! `/metrics`: what node and front-end count, in the text format of Prometheus.
//!
//! Owns the names for the outside world (`docs/metrics.md`). The numbers belong to the parts, which keep them as plain
//! atomics; they are read when somebody asks. No label is a channel or a person: connections and workers are few.

use std::fmt::{Display, Write};
use std::sync::{Arc, OnceLock};

use coven_front::Snapshot as Front;
use coven_node::Snapshot as Node;

/// Where the numbers come from, once the parts run. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<OnceLock<(coven_front::Handle, coven_node::Health)>>);

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    /// From now on these are asked.
    pub fn attach(&self, front: coven_front::Handle, node: coven_node::Health) {
        // A second time there is nothing to change: a process has one of each.
        let _ = self.0.set((front, node));
    }

    /// All numbers as of now; none before the parts run.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.get().map_or_else(String::new, |(front, node)| {
            text(&front.snapshot(), &node.snapshot())
        })
    }
}

fn text(front: &Front, node: &Node) -> String {
    let mut page = Page::default();
    for (name, help, value) in front.counters() {
        page.counter(&format!("coven_front_{name}_total"), help, value);
    }
    let workers = front.waiting_outputs.iter().enumerate();
    page.family(
        "coven_front_waiting_outputs",
        "gauge",
        "Outputs that wait for a worker.",
        "worker",
        workers.map(|(no, waiting)| (no.to_string(), *waiting)),
    );
    connections(front, &mut page);
    self::node(node, &mut page);
    page.0
}

fn connections(front: &Front, page: &mut Page) {
    type Number = fn(&coven_front::ConnectionSnapshot) -> f64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "the format has no larger integers"
    )]
    let families: [(&str, &str, &str, Number); 8] = [
        ("up", "gauge", "Whether there is a stream.", |c| {
            f64::from(u8::from(c.up))
        }),
        ("streams_total", "counter", "Streams so far.", |c| {
            c.streams as f64
        }),
        ("read_bytes_total", "counter", "Bytes read.", |c| {
            c.bytes_read as f64
        }),
        ("written_bytes_total", "counter", "Bytes written.", |c| {
            c.bytes_written as f64
        }),
        ("writes_total", "counter", "System calls for that.", |c| {
            c.writes as f64
        }),
        (
            "barriers_total",
            "counter",
            "Barriers that were answered.",
            |c| c.barriers as f64,
        ),
        (
            "last_barrier_seconds",
            "gauge",
            "How long the last one took.",
            |c| c.last_barrier.as_secs_f64(),
        ),
        (
            "waiting_bytes",
            "gauge",
            "Bytes that wait to be written.",
            |c| c.waiting_bytes as f64,
        ),
    ];
    for (name, kind, help, number) in families {
        let samples = front
            .connections
            .iter()
            .map(|c| (c.name.to_string(), number(c)));
        page.family(
            &format!("coven_connection_{name}"),
            kind,
            help,
            "connection",
            samples,
        );
    }
}

fn node(node: &Node, page: &mut Page) {
    let up = [(String::new(), u8::from(node.store_up))];
    page.family(
        "coven_store_up",
        "gauge",
        "Whether the store takes commits.",
        "",
        up,
    );
    for (name, help, value) in [
        (
            "commits",
            "Group commits that became durable.",
            node.commits,
        ),
        ("events", "Events that became durable.", node.events),
        (
            "refused",
            "Commands refused because the store or a queue did not take them.",
            node.refused,
        ),
        (
            "panics",
            "Faults of the program in channels' turns.",
            node.panics,
        ),
        (
            "quarantined",
            "Channels that were put in quarantine.",
            node.quarantined,
        ),
        ("loaded", "Channels loaded or created.", node.loaded),
    ] {
        page.counter(&format!("coven_node_{name}_total"), help, value);
    }
}

/// The text, as it grows.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, "", [(String::new(), value)]);
    }

    /// A family of samples that differ in one label; without a name of it there is one sample.
    fn family<N: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (String, N)>,
    ) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (value_of_label, value) in samples {
            let _ = if label.is_empty() {
                writeln!(self.0, "{name} {value}")
            } else {
                writeln!(
                    self.0,
                    "{name}{{{label}=\"{}\"}} {value}",
                    escaped(&value_of_label)
                )
            };
        }
    }
}

fn escaped(label: &str) -> String {
    let label = label.replace('\\', "\\\\").replace('"', "\\\"");
    label.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> String {
        let front = Front {
            answers_lost: 3,
            waiting_outputs: vec![7],
            connections: vec![coven_front::ConnectionSnapshot {
                name: "main/\"h\":1/a".into(),
                up: true,
                ..coven_front::ConnectionSnapshot::default()
            }],
            ..Front::default()
        };
        let node = Node {
            store_up: true,
            quarantined: 2,
            ..Node::default()
        };
        text(&front, &node)
    }

    #[test]
    fn numbers_of_all_parts_are_there() {
        let text = full();
        for line in [
            "# TYPE coven_front_answers_lost_total counter\ncoven_front_answers_lost_total 3\n",
            "coven_front_waiting_outputs{worker=\"0\"} 7\n",
            "coven_connection_up{connection=\"main/\\\"h\\\":1/a\"} 1\n",
            "coven_store_up 1\n",
            "coven_node_quarantined_total 2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn the_reference_names_every_metric_and_no_other() {
        let reference = include_str!("../../../docs/metrics.md");
        let written: Vec<&str> = reference
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let text = full();
        let given: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
            .collect();
        assert_eq!(written, given);
    }
}
