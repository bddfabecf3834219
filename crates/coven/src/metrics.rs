//! `/metrics`: what node and front-end count, in the text format of Prometheus; the same numbers go out over OTLP.
//!
//! Owns the names for the outside world (`docs/metrics.md`). The numbers belong to the parts, which keep them as plain
//! atomics; they are read when somebody asks. No label is a channel or a person: connections and workers are few.
//! Read next: [`family`], then [`crate::telemetry`].

pub(crate) mod family;

use std::sync::{Arc, OnceLock};

use coven_front::Snapshot as Front;
use coven_node::Snapshot as Node;
use family::{Family, Kind, Value};

/// Where the numbers come from, once the parts run: what a process has of them. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Sources>);

#[derive(Debug, Default)]
struct Sources {
    front: OnceLock<coven_front::Handle>,
    node: OnceLock<coven_node::Health>,
    owner: OnceLock<coven_node::Handle>,
    links: OnceLock<coven_link::Stats>,
}

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    /// From now on these are asked.
    pub fn attach(&self, front: coven_front::Handle, node: coven_node::Health) {
        self.attach_front(front);
        self.attach_node(node);
    }

    /// From now on this front-end is asked.
    pub fn attach_front(&self, front: coven_front::Handle) {
        // A second time there is nothing to change: a process has one of each.
        let _ = self.0.front.set(front);
    }

    /// From now on this node is asked.
    pub fn attach_node(&self, node: coven_node::Health) {
        let _ = self.0.node.set(node);
    }

    /// From now on this node of a cluster is asked what it owns.
    pub fn attach_owner(&self, node: coven_node::Handle) {
        let _ = self.0.owner.set(node);
    }

    /// From now on the links between front-ends and nodes are asked.
    pub fn attach_links(&self, links: coven_link::Stats) {
        let _ = self.0.links.set(links);
    }

    /// All numbers as of now; none before the parts run.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = String::new();
        for family in self.families() {
            family.write(&mut page);
        }
        page
    }

    /// All numbers as of now.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut families = Vec::new();
        if let Some(front) = self.0.front.get() {
            self::front(&front.snapshot(), &mut families);
        }
        if let Some(node) = self.0.node.get() {
            self::node(&node.snapshot(), &mut families);
        }
        if let Some(node) = self.0.owner.get() {
            families.push(shards(node.owned().len()));
        }
        if let Some(links) = self.0.links.get() {
            self::links(&links.snapshot(), &mut families);
        }
        families
    }
}

fn front(front: &Front, families: &mut Vec<Family>) {
    for (name, help, value) in front.counters() {
        families.push(counter(&format!("coven_front_{name}_total"), help, value));
    }
    let workers = front.waiting_outputs.iter().enumerate();
    families.push(Family {
        name: "coven_front_waiting_outputs".to_owned(),
        kind: Kind::Gauge,
        help: "Outputs that wait for a worker.",
        label: "worker",
        samples: workers
            .map(|(no, waiting)| (no.to_string(), Value::Count(*waiting as u64)))
            .collect(),
    });
    families.push(Family::one(
        "coven_front_render_seconds",
        Kind::Histogram,
        "From taking an output until it was rendered and packed for its streams.",
        Value::Times(front.render_times),
    ));
    connections(front, families);
}

fn connections(front: &Front, families: &mut Vec<Family>) {
    type Number = fn(&coven_front::ConnectionSnapshot) -> Value;
    let all: [(&str, Kind, &'static str, Number); 8] = [
        ("up", Kind::Gauge, "Whether there is a stream.", |c| {
            Value::Count(u64::from(c.up))
        }),
        ("streams_total", Kind::Counter, "Streams so far.", |c| {
            Value::Count(c.streams)
        }),
        ("read_bytes_total", Kind::Counter, "Bytes read.", |c| {
            Value::Count(c.bytes_read)
        }),
        (
            "written_bytes_total",
            Kind::Counter,
            "Bytes written.",
            |c| Value::Count(c.bytes_written),
        ),
        (
            "writes_total",
            Kind::Counter,
            "System calls for that.",
            |c| Value::Count(c.writes),
        ),
        (
            "barriers_total",
            Kind::Counter,
            "Barriers that were answered.",
            |c| Value::Count(c.barriers),
        ),
        (
            "last_barrier_seconds",
            Kind::Gauge,
            "How long the last one took.",
            |c| Value::Number(c.last_barrier.as_secs_f64()),
        ),
        (
            "waiting_bytes",
            Kind::Gauge,
            "Bytes that wait to be written.",
            |c| Value::Count(c.waiting_bytes as u64),
        ),
    ];
    for (name, kind, help, number) in all {
        let of = |c: &coven_front::ConnectionSnapshot| (c.name.to_string(), number(c));
        families.push(Family {
            name: format!("coven_connection_{name}"),
            kind,
            help,
            label: "connection",
            samples: front.connections.iter().map(of).collect(),
        });
    }
}

fn node(node: &Node, families: &mut Vec<Family>) {
    families.push(Family::one(
        "coven_store_up",
        Kind::Gauge,
        "Whether the store takes commits.",
        Value::Count(u64::from(node.store_up)),
    ));
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
        families.push(counter(&format!("coven_node_{name}_total"), help, value));
    }
    for (name, help, times) in [
        (
            "operation",
            "From taking an operation until what it led to could leave.",
            node.operation_times,
        ),
        (
            "commit",
            "From handing a group commit to the store until it was durable.",
            node.commit_times,
        ),
    ] {
        let name = format!("coven_node_{name}_seconds");
        families.push(Family::one(
            name,
            Kind::Histogram,
            help,
            Value::Times(times),
        ));
    }
}

fn shards(owned: usize) -> Family {
    Family::one(
        "coven_node_shards",
        Kind::Gauge,
        "Shards that this node owns.",
        Value::Count(owned as u64),
    )
}

fn links(links: &coven_link::Snapshot, families: &mut Vec<Family>) {
    families.push(Family::one(
        "coven_link_up",
        Kind::Gauge,
        "Links between front-ends and nodes that are up.",
        Value::Count(links.up),
    ));
    for (name, help, value) in [
        ("opened", "Links that came up.", links.opened),
        ("frames_in", "Frames that came in.", links.frames_in),
        ("frames_out", "Frames that went out.", links.frames_out),
        ("bytes_in", "Bytes that came in.", links.bytes_in),
        ("bytes_out", "Bytes that went out.", links.bytes_out),
        ("encoded", "Messages that were encoded.", links.encoded),
        (
            "encoded_before",
            "Messages whose bytes another link had made already.",
            links.encoded_before,
        ),
    ] {
        families.push(counter(&format!("coven_link_{name}_total"), help, value));
    }
    let broken = links.broken.iter();
    families.push(Family {
        name: "coven_link_broken_total".to_owned(),
        kind: Kind::Counter,
        help: "Links and attempts that ended.",
        label: "reason",
        samples: broken
            .map(|(reason, count)| ((*reason).to_owned(), Value::Count(*count)))
            .collect(),
    });
}

fn counter(name: &str, help: &'static str, value: u64) -> Family {
    Family::one(name, Kind::Counter, help, Value::Count(value))
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
        let mut families = Vec::new();
        super::front(&front, &mut families);
        super::node(&node, &mut families);
        families.push(shards(3));
        super::links(&coven_link::Snapshot::default(), &mut families);
        let mut page = String::new();
        families.iter().for_each(|family| family.write(&mut page));
        page
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
            "coven_node_shards 3\n",
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
            .filter(|name| name.starts_with("coven_"))
            .collect();
        let text = full();
        let given: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
            .collect();
        assert_eq!(written, given);
    }
}
