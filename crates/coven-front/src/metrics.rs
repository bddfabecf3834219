//! What a front-end counts.
//!
//! Owns the counters and their snapshot. Names for the outside world are given where they are exported.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coven_cluster::timing::Times;
use smol_str::SmolStr;

/// A number that many may add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Makes it `n`.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        /// Counters of a front-end, apart from those of its connections.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[doc = $doc])* pub(crate) $name: Counter,)*
        }

        /// Counters since the start and depths of queues, as of one moment.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Snapshot {
            $($(#[doc = $doc])* pub $name: u64,)*
            /// The connections, in the order of the options.
            pub connections: Vec<ConnectionSnapshot>,
            /// Outputs that wait for each worker.
            pub waiting_outputs: Vec<usize>,
            /// From taking an output until it was rendered and packed for its streams.
            pub render_times: Times,
        }

        impl Snapshot {
            /// The counters of the whole front-end: name, what is counted, number.
            #[must_use]
            pub fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*).trim_ascii_start(), self.$name),)*]
            }
        }

        impl Counters {
            /// The numbers as of now, without connections and workers.
            pub(crate) fn snapshot(&self) -> Snapshot {
                Snapshot {
                    $($name: self.$name.get(),)*
                    ..Snapshot::default()
                }
            }
        }
    };
}

counters! {
    /// Stanzas read.
    stanzas_read;
    /// Operations given to the node.
    operations;
    /// Stanzas answered here.
    answered;
    /// Stanzas that could not be used: not well-formed, over a bound, without an address.
    rejected;
    /// Stanzas dropped without an answer.
    dropped;
    /// Refused because the node's queue was full.
    refused_full;
    /// Refused because of a rate.
    refused_rate;
    /// Changes of presence that were put off because of a rate.
    coalesced;
    /// Departures that found no place to wait: their sessions are found gone later.
    leaves_lost;
    /// Stanzas for another domain than that of the stream they came through.
    foreign_domain;
    /// Answers dropped because too much waited, or because their stream was down.
    answers_lost;
    /// Errors that came back for what a channel sent to a MIX participant.
    mix_bounces;
    /// Bounces put off because a server may only be away for a moment.
    bounces_waiting;
    /// Faults of the program that cost one stanza or one event.
    panics;
    /// Outputs of nodes that were gone through.
    outputs;
    /// Events that were rendered.
    events;
    /// Stanzas written for channels.
    copies;
    /// Stanzas not written because their connection was down.
    copies_down;
    /// Stanzas not written because too much waited for their connection; events come again.
    copies_behind;
    /// How often a worker gave up waiting for a connection, and left out its events for a time.
    fell_behind;
    /// Stanzas not written because none of the connections is for them.
    copies_unroutable;
    /// Stanzas over the bound of the upstream: never sent again (I9).
    oversized;
    /// Events that did not follow on the one before, or had no roster.
    gaps;
    /// Channels that went on behind a gap, since the node no longer had what was missing.
    skipped;
    /// Channels whose output was asked for again after the loss of a stream.
    asked_again;
    /// Acknowledgements given to the node.
    acknowledged;
    /// Operations that were given up: no owner of their shard, no answer in time, not taken by their node.
    given_up;
    /// Answers to barriers of other front-ends that came on a stream of this one.
    relayed;
    /// Signs that the server spreads what one sender says over several streams, so that its order is lost.
    reordered;
    /// Outputs of links that are gone, and of owners that are not the newest: they come again.
    outdated;
    /// Bytes of rendered output that were not written because the process's session had ended; it comes again.
    fenced_bytes;
    /// Probes that were not written because too much waited: their group is swept again.
    probes_missed;
    /// Refusals that were written already when they came again.
    refused_again;
}

/// Counters of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionSnapshot {
    /// Its name.
    pub name: SmolStr,
    /// Whether there is a stream.
    pub up: bool,
    /// Streams so far.
    pub streams: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// System calls for that.
    pub writes: u64,
    /// Barriers that were answered.
    pub barriers: u64,
    /// How long the last one took.
    pub last_barrier: Duration,
    /// Bytes that wait to be written.
    pub waiting_bytes: usize,
}
