//! The end for good: `coven admin shutdown --final` (I6, MUC-LEAVE-13).
//!
//! Owns the word alone: whether it was said. What follows from it is in [`crate::run`]. Only a process of role `all` takes
//! it, since that has every channel: of several processes one would end the sessions of its own channels only, and the
//! others, or whoever starts the ended ones again, would go on (MUC-LEAVE-14).

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Admin, Answer, Part, Refused};

/// Whether the end for good was asked for.
#[derive(Debug, Default)]
pub(super) struct End(CancellationToken);

impl Admin {
    /// The service ends for good: all sessions end, then the process. Answers at once.
    pub fn end_for_good(&self) -> Answer {
        let Part::Alone(end) = self.part()? else {
            return Err(Refused::NotHere(
                "a final shutdown is not offered in a cluster: stop all nodes and front-ends, start one process with --role all on the same store, and ask that one",
            ));
        };
        end.0.cancel();
        Ok(json!({ "shutdown": "final" }))
    }

    /// Ends when that was asked for; never in a cluster.
    pub async fn is_ended_for_good(&self) {
        match self.part() {
            Ok(Part::Alone(end)) => end.0.cancelled().await,
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn i6_a_process_that_is_alone_is_ended_for_good_when_asked_and_not_before() {
        let admin = Admin::default();
        assert!(matches!(admin.end_for_good(), Err(Refused::NotNow(_))));
        admin.attach_alone();
        let mut ended = std::pin::pin!(admin.is_ended_for_good());
        let is_ended = std::future::poll_fn(|context| {
            std::task::Poll::Ready(ended.as_mut().poll(context).is_ready())
        });
        assert!(!is_ended.await);
        let answer = admin.end_for_good().unwrap();
        assert_eq!(answer, json!({ "shutdown": "final" }));
        ended.await;
        assert!(admin.end_for_good().is_ok(), "asked twice");
    }

    #[test]
    fn who_is_alone_has_no_others_to_tell_about() {
        let admin = Admin::default();
        admin.attach_alone();
        assert!(matches!(admin.nodes(), Err(Refused::NotHere(_))));
    }
}
