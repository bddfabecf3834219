//! The last commits of a shard, as they were written: a store that has lost some of them gets them again, whole (design
//! §5.11, IL-17). Pure; time comes in.

use coven_store::{Commit, CommitNumber};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long a commit is kept.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// About what each part of a commit weighs beside its records.
const PART_BYTES: usize = 256;

/// The last commits of a shard.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: VecDeque<(Instant, usize, Commit)>,
    bytes: usize,
}

impl Tail {
    /// A commit is durable.
    pub(super) fn push(&mut self, commit: Commit, now: Instant) {
        let bytes = weight(&commit);
        self.bytes += bytes;
        self.kept.push_back((now, bytes, commit));
    }

    /// Lets go what has been kept for long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        while self
            .oldest()
            .is_some_and(|at| now.duration_since(at) > KEPT_FOR)
        {
            self.drop_oldest();
        }
    }

    /// Since when the oldest is kept.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.kept.front().map(|(at, ..)| *at)
    }

    /// Lets the oldest go.
    pub(super) fn drop_oldest(&mut self) {
        if let Some((_, bytes, _)) = self.kept.pop_front() {
            self.bytes -= bytes;
        }
    }

    /// The commits after `stored`, up to the newest; `None` if one of them is not kept any more.
    pub(super) fn after(
        &mut self,
        stored: CommitNumber,
        newest: CommitNumber,
    ) -> Option<Vec<Commit>> {
        let wanted: Vec<Commit> = self
            .kept
            .iter()
            .filter(|(.., commit)| commit.number > stored)
            .map(|(.., commit)| commit.clone())
            .collect();
        let all = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        if stored.0 + all != newest.0 {
            return None;
        }
        self.kept.retain(|(.., commit)| commit.number <= stored);
        self.bytes = self.kept.iter().map(|(_, bytes, _)| bytes).sum();
        Some(wanted)
    }

    /// About its size.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn weight(commit: &Commit) -> usize {
    let channels = commit.channels.iter();
    let of = |channel: &coven_store::ChannelCommit| {
        let entries = channel.entries.iter().map(|e| PART_BYTES + e.record.len());
        let outcomes = channel.outcomes.iter();
        let outcomes = outcomes.map(|o| PART_BYTES + o.result.len());
        PART_BYTES + entries.sum::<usize>() + outcomes.sum::<usize>()
    };
    channels.map(of).sum::<usize>() + PART_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn commit(number: u64) -> Commit {
        Commit {
            number: CommitNumber(number),
            ..Commit::default()
        }
    }

    #[tokio::test]
    async fn il_17_what_the_store_lost_comes_again_as_whole_commits_or_not_at_all() {
        let (mut tail, now) = (Tail::default(), Instant::now());
        for number in 5..9 {
            tail.push(commit(number), now);
        }
        assert!(tail.after(CommitNumber(3), CommitNumber(8)).is_none());
        let again = tail.after(CommitNumber(6), CommitNumber(8)).unwrap();
        assert_eq!(again, [commit(7), commit(8)]);
        assert!(
            tail.after(CommitNumber(6), CommitNumber(8)).is_none(),
            "kept twice"
        );
    }

    #[tokio::test]
    async fn i9_the_tail_is_bounded_by_age() {
        let (mut tail, now) = (Tail::default(), Instant::now());
        tail.push(commit(1), now);
        tail.push(commit(2), now + KEPT_FOR * 2);
        tail.expire(now + KEPT_FOR * 2);
        assert_eq!(tail.kept.len(), 1);
        assert_eq!(tail.bytes(), PART_BYTES);
        tail.drop_oldest();
        assert_eq!((tail.bytes(), tail.oldest()), (0, None));
    }
}
