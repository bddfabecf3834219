//! A bounded queue between the callers and a thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Jobs that wait for a thread, bounded by number and by weight.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    most: usize,
    most_weight: usize,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<(T, usize)>,
    weight: usize,
    waiting: usize,
    closed: bool,
}

/// Why a job was not taken; the job is dropped, and with it the reply in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// What a thread gets.
#[derive(Debug)]
pub(super) enum Work<T> {
    Jobs(Vec<T>),
    Nothing,
    Closed,
}

impl<T> Queue<T> {
    /// A queue for at most `most` jobs of at most `most_weight` together. One job alone may weigh more.
    pub(super) const fn new(most: usize, most_weight: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            weight: 0,
            waiting: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            most,
            most_weight,
        }
    }

    /// Puts a job at the end.
    pub(super) fn push(&self, job: T, weight: usize) -> Result<(), (T, Refused)> {
        let mut state = self.lock();
        if state.closed {
            return Err((job, Refused::Closed));
        }
        let heavy = !state.jobs.is_empty() && state.weight + weight > self.most_weight;
        if heavy || state.jobs.len() >= self.most {
            return Err((job, Refused::Full));
        }
        state.jobs.push_back((job, weight));
        state.weight += weight;
        if state.waiting > 0 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes up to `most` jobs of up to `weight` together, at least one. Waits until there are any, at most `patience`.
    pub(super) fn take(&self, most: usize, weight: usize, patience: Option<Duration>) -> Work<T> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return Work::Closed;
            }
            let late;
            (state, late) = self.wait(state, patience);
            if late && state.jobs.is_empty() && !state.closed {
                return Work::Nothing;
            }
        }
        let mut taken = Vec::new();
        let mut left = weight;
        while let Some((job, weight)) = state
            .jobs
            .pop_front_if(|(_, weight)| taken.is_empty() || *weight <= left)
        {
            state.weight -= weight;
            left = left.saturating_sub(weight);
            taken.push(job);
            if taken.len() == most {
                break;
            }
        }
        Work::Jobs(taken)
    }

    /// Takes no more jobs; those in it will still be done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Takes no more jobs, and drops those in it.
    pub(super) fn clear(&self) {
        self.close();
        let jobs = std::mem::take(&mut self.lock().jobs);
        drop(jobs);
    }

    /// Whether no more jobs are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    fn wait<'s>(
        &self,
        mut state: MutexGuard<'s, State<T>>,
        patience: Option<Duration>,
    ) -> (MutexGuard<'s, State<T>>, bool) {
        state.waiting += 1;
        let (mut state, late) = match patience {
            None => (
                self.filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                false,
            ),
            Some(patience) => {
                let (state, late) = self
                    .filled
                    .wait_timeout(state, patience)
                    .unwrap_or_else(PoisonError::into_inner);
                (state, late.timed_out())
            }
        };
        state.waiting -= 1;
        (state, late)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn jobs(work: Work<u8>) -> Vec<u8> {
        match work {
            Work::Jobs(jobs) => jobs,
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_full_queue_refuses() {
        let queue = Queue::new(3, 10);
        queue.push(1, 20).unwrap();
        assert_eq!(queue.push(2, 1), Err((2, Refused::Full)), "by weight");
        assert_eq!(jobs(queue.take(10, 10, None)), [1]);
        for job in 1..=3 {
            queue.push(job, 0).unwrap();
        }
        assert_eq!(queue.push(4, 0), Err((4, Refused::Full)), "by number");
    }

    #[test]
    fn jobs_come_in_order_and_within_bounds() {
        let queue = Queue::new(10, 100);
        for job in 0..5 {
            queue.push(job, 4).unwrap();
        }
        assert_eq!(jobs(queue.take(2, 100, None)), [0, 1]);
        assert_eq!(jobs(queue.take(10, 9, None)), [2, 3]);
        assert_eq!(jobs(queue.take(10, 9, None)), [4]);
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_has() {
        let queue = Queue::new(10, 100);
        queue.push(1, 1).unwrap();
        queue.close();
        assert_eq!(queue.push(2, 1), Err((2, Refused::Closed)));
        assert_eq!(jobs(queue.take(10, 10, None)), [1]);
        assert!(matches!(queue.take(10, 10, None), Work::Closed));
    }

    #[test]
    fn a_cleared_queue_is_empty_and_closed() {
        let queue = Queue::new(10, 100);
        queue.push(1, 1).unwrap();
        queue.clear();
        assert_eq!(queue.push(2, 1), Err((2, Refused::Closed)));
        assert!(matches!(queue.take(10, 10, None), Work::Closed));
    }

    #[test]
    fn patience_ends() {
        let queue: Queue<u8> = Queue::new(1, 1);
        assert!(matches!(
            queue.take(1, 1, Some(Duration::from_millis(1))),
            Work::Nothing
        ));
    }
}
