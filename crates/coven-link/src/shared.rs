//! Bytes of outputs that go to several links: encoded once.

use crate::convert::encode_to_front;
use crate::stats::Stats;
use bytes::Bytes;
use coven_cluster::{Output, ToFront};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How many encodings are remembered. A node hands an output to all links in turn, so the newest few are enough.
const REMEMBERED: usize = 32;

/// Larger ones are rosters: they go to one front-end.
const MAX_BYTES: usize = 256 * 1024;

/// The newest encodings of outputs that others may want as well. An output is known by its place in memory, which the
/// weak reference keeps from being used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encodings {
    newest: Arc<Mutex<VecDeque<Encoded>>>,
    stats: Stats,
}

/// An output, and its bytes.
type Encoded = (Weak<Output>, Bytes);

impl Encodings {
    /// None yet.
    pub(crate) fn new(stats: Stats) -> Self {
        Self {
            newest: Arc::default(),
            stats,
        }
    }

    /// The bytes of a message: made now, unless another link has asked before.
    pub(crate) fn of(&self, message: &ToFront) -> Bytes {
        let shared = match message {
            ToFront::Output(output) if Arc::strong_count(output) > 1 => output,
            _ => {
                self.stats.encoded(false);
                return encode_to_front(message);
            }
        };
        let found = self.find(shared);
        self.stats.encoded(found.is_some());
        found.unwrap_or_else(|| {
            let bytes = encode_to_front(message);
            self.keep(shared, &bytes);
            bytes
        })
    }

    fn find(&self, output: &Arc<Output>) -> Option<Bytes> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(of, _): &&Encoded| std::ptr::eq(of.as_ptr(), Arc::as_ptr(output));
        newest
            .iter()
            .rev()
            .find(same)
            .map(|(_, bytes)| bytes.clone())
    }

    fn keep(&self, output: &Arc<Output>, bytes: &Bytes) {
        if bytes.len() > MAX_BYTES {
            return;
        }
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.retain(|(of, _)| of.strong_count() > 0);
        if newest.len() >= REMEMBERED {
            newest.pop_front();
        }
        newest.push_back((Arc::downgrade(output), bytes.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coven_cluster::Delivery;
    use coven_core::Epoch;

    fn output(commit: u64) -> Arc<Output> {
        Arc::new(Output {
            channel: None,
            epoch: Epoch(1),
            commit,
            deliveries: vec![Delivery::Forget],
            trace: None,
        })
    }

    #[test]
    fn an_output_for_several_links_is_encoded_once() {
        let encodings = Encodings::new(Stats::default());
        let outputs: Vec<_> = (0..100).map(output).collect();
        for output in &outputs {
            let message = ToFront::Output(Arc::clone(output));
            let first = encodings.of(&message);
            assert_eq!(encodings.of(&message.clone()), first);
            assert_eq!(first, encode_to_front(&message));
        }
        let counted = encodings.stats.snapshot();
        assert_eq!((counted.encoded, counted.encoded_before), (100, 100));
    }

    #[test]
    fn an_output_that_is_gone_is_not_taken_for_a_new_one_at_its_place() {
        let encodings = Encodings::new(Stats::default());
        for commit in 0..1000 {
            let message = ToFront::Output(output(commit));
            let shared = message.clone();
            assert_eq!(encodings.of(&shared), encode_to_front(&message));
        }
    }
}
