//! Whether a connection is held, and how it is given up (design §5.9: leases).
//!
//! Owns the words and their order: granted, held, leaving (workers write no more events to it), closing (its stream is
//! sealed by a barrier), given up. Who decides is an agent elsewhere; who carries it out are the connection's task
//! (`connection/attach.rs`) and the workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coven_cluster::LeaseNumber;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::Connection;

/// For workers to act by a change.
const WORKERS: Duration = Duration::from_secs(2);
/// For the stream to be closed behind its last barrier.
const CLOSE: Duration = Duration::from_secs(6);

/// Whether a connection is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tenure {
    /// By nobody here: this front-end stands by.
    #[default]
    No,
    /// Under this lease: attached, as far as the server lets it.
    Held(LeaseNumber),
    /// It is being given up: what was rendered is written, nothing more is.
    Leaving(LeaseNumber),
    /// Its stream is being closed behind a last barrier.
    Closing(LeaseNumber),
}

impl Tenure {
    /// The lease, as long as this front-end may have something to say about it.
    pub(crate) const fn lease(self) -> Option<LeaseNumber> {
        match self {
            Self::No => None,
            Self::Held(lease) | Self::Leaving(lease) | Self::Closing(lease) => Some(lease),
        }
    }

    /// Whether events are for it.
    pub(crate) const fn takes_events(self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// Whether a stream is wanted.
    pub(crate) const fn wants_stream(self) -> bool {
        matches!(self, Self::Held(_) | Self::Leaving(_))
    }
}

/// What a connection's task and the workers know of its tenure.
#[derive(Debug)]
pub(super) struct Holding {
    tenure: watch::Sender<Tenure>,
    /// Counts the changes.
    changes: AtomicU64,
    /// Counts how often it became somebody else's.
    losses: AtomicU64,
    /// For each worker the last change that it acts by.
    seen: Box<[AtomicU64]>,
    /// For each worker the last change up to which it has told nodes all there was to tell.
    told: Box<[AtomicU64]>,
    progress: Notify,
    /// There is a stream, or an attempt at one.
    is_attached: watch::Sender<bool>,
    /// The lease under which the server took the domain away; 0: none.
    barred: AtomicU64,
}

impl Holding {
    pub(super) fn new(workers: usize) -> Self {
        let none = || (0..workers).map(|_| AtomicU64::default()).collect();
        Self {
            tenure: watch::Sender::default(),
            changes: AtomicU64::default(),
            losses: AtomicU64::default(),
            seen: none(),
            told: none(),
            progress: Notify::new(),
            is_attached: watch::Sender::default(),
            barred: AtomicU64::default(),
        }
    }

    /// Changes the tenure if `change` says to what. Tells the number of the last change.
    fn change(&self, change: impl FnOnce(Tenure) -> Option<Tenure>) -> Option<u64> {
        let mut number = None;
        self.tenure.send_if_modified(|tenure| {
            let Some(new) = change(*tenure) else {
                return false;
            };
            *tenure = new;
            number = Some(self.changes.fetch_add(1, Ordering::AcqRel) + 1);
            true
        });
        number
    }

    /// Waits until all workers have come as far, but no longer than they may need.
    async fn all(&self, workers: &[AtomicU64], change: u64) {
        let behind = |worker: &AtomicU64| worker.load(Ordering::Acquire) < change;
        let reached = async {
            loop {
                let progress = self.progress.notified();
                if !workers.iter().any(behind) {
                    break;
                }
                progress.await;
            }
        };
        let _ = timeout(WORKERS, reached).await;
    }

    fn mark(&self, workers: &[AtomicU64], worker: usize, change: u64) {
        if let Some(reached) = workers.get(worker) {
            reached.fetch_max(change, Ordering::AcqRel);
            self.progress.notify_waiters();
        }
    }
}

impl Connection {
    /// Whether it is held, and the number of the last change of that.
    pub(crate) fn tenure(&self) -> (Tenure, u64) {
        let tenure = self.holding.tenure.borrow();
        (*tenure, self.holding.changes.load(Ordering::Acquire))
    }

    /// The number of the last change of tenure.
    pub(crate) fn tenure_changes(&self) -> u64 {
        self.holding.changes.load(Ordering::Acquire)
    }

    /// How often it became somebody else's: what was handed over before may not be written after.
    pub(super) fn losses(&self) -> u64 {
        self.holding.losses.load(Ordering::Acquire)
    }

    /// It is held from now on. Tells whether that is news: a lease is granted once, and a later one is higher. What is held
    /// already goes on under the new number.
    pub(crate) fn grant(&self, lease: LeaseNumber) -> bool {
        let news = self.holding.change(|tenure| {
            let is_new = match tenure {
                Tenure::No => true,
                Tenure::Held(old) => lease > old,
                // It is still being given up: only another lease is another tenure.
                Tenure::Leaving(old) | Tenure::Closing(old) => lease > old,
            };
            is_new.then_some(Tenure::Held(lease))
        });
        self.wake_workers();
        news.is_some()
    }

    /// It is somebody else's: nothing more is written to it, and the stream is closed at once. Tells whether it was held.
    pub(crate) fn lose(&self) -> bool {
        let held = |tenure: Tenure| tenure.lease().map(|_| Tenure::No);
        self.holding.losses.fetch_add(1, Ordering::AcqRel);
        let lost = self.holding.change(held).is_some();
        self.wake_workers();
        lost
    }

    /// Gives it up: what was rendered is written and taken in by the server, the stream is closed, nodes have been told what
    /// is acknowledged. In bounded time, whatever the server does. Tells whether it was given up, and not granted anew.
    /// `leaving` is called when nothing more is to be taken in for it, and answers are still written.
    pub(crate) async fn give_up(&self, leaving: impl FnOnce()) -> bool {
        let (tenure, _) = self.tenure();
        let Some(lease) = tenure.lease() else {
            return false;
        };
        let same = |tenure: Tenure| tenure.lease() == Some(lease);
        let to = |new: Tenure| move |tenure| same(tenure).then_some(new);
        if let Some(change) = self.holding.change(to(Tenure::Leaving(lease))) {
            self.wake_workers();
            self.holding.all(&self.holding.seen, change).await;
        }
        leaving();
        if let Some(change) = self.holding.change(to(Tenure::Closing(lease))) {
            let mut attached = self.holding.is_attached.subscribe();
            let _ = timeout(CLOSE, attached.wait_for(|attached| !attached)).await;
            self.wake_workers();
            self.holding.all(&self.holding.told, change).await;
        }
        let given_up = self.holding.change(to(Tenure::No)).is_some();
        self.wake_workers();
        given_up
    }

    /// A worker acts by the tenure as of this change.
    pub(crate) fn saw_tenure(&self, worker: usize, change: u64) {
        self.holding.mark(&self.holding.seen, worker, change);
    }

    /// A worker has told nodes all there was to tell as of this change.
    pub(crate) fn told_all(&self, worker: usize, change: u64) {
        self.holding.mark(&self.holding.told, worker, change);
    }

    /// Waits until a stream is wanted under another lease than `barred`. Tells the lease.
    pub(super) async fn wanted(&self, barred: Option<LeaseNumber>) -> LeaseNumber {
        let mut tenure = self.holding.tenure.subscribe();
        let wanted = |tenure: &Tenure| match tenure {
            Tenure::Held(lease) => Some(*lease) != barred,
            _ => false,
        };
        match tenure.wait_for(wanted).await.map(|tenure| tenure.lease()) {
            Ok(Some(lease)) => lease,
            _ => std::future::pending().await,
        }
    }

    /// Waits until no stream is wanted.
    pub(super) async fn unwanted(&self) {
        let mut tenure = self.holding.tenure.subscribe();
        let over = |tenure: &Tenure| !tenure.wants_stream();
        if tenure.wait_for(over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The server has given the domain to another stream: none is wanted under the lease that is held now.
    pub(super) fn bar(&self) {
        let lease = self.tenure().0.lease().map_or(0, |lease| lease.0);
        self.holding.barred.store(lease, Ordering::Release);
    }

    /// The lease under which the server took the domain away.
    pub(super) fn barred(&self) -> Option<LeaseNumber> {
        let lease = self.holding.barred.load(Ordering::Acquire);
        (lease > 0).then_some(LeaseNumber(lease))
    }

    /// Whether the server has taken the domain away under the lease that is held now.
    pub(crate) fn is_barred(&self) -> bool {
        self.barred().is_some() && self.barred() == self.tenure().0.lease()
    }

    /// Whether there is a stream, or an attempt at one.
    pub(super) fn is_attached(&self, is_attached: bool) {
        self.holding.is_attached.send_replace(is_attached);
    }
}
