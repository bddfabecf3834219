//! The gate opens: what follows when a commit is durable, of each part of it (I2).
//!
//! Owns the order of that: what this node notes, what is to be acknowledged, what leaves, and only then the word by which
//! the part's operation is done. How output leaves, and waits, is in [`super::gate`].

use super::gate::{self, Leaving};
use super::{Committer, Part};
use crate::acks::Owed;
use crate::quota;
use crate::shared::Shared;
use crate::table::lock;
use coven_cluster::trace::Span;
use coven_cluster::{Delivery, Output};
use coven_core::Sequence;
use std::sync::atomic::Ordering;

impl Committer {
    /// What depended on the commit of this number leaves.
    pub(super) fn release(&mut self, mut part: Part, commit: u64) {
        part.note(&self.shared);
        let number = if part.more_follows { 0 } else { commit };
        part.owe(commit, number);
        if let Some(leaving) = part.leaving(number) {
            self.gate.push(part.channel.shard(), leaving);
        }
        part.finish(&self.shared);
    }
}

impl Part {
    /// What this node notes of it.
    fn note(&mut self, shared: &Shared) {
        if let Some(listing) = self.listing.take() {
            shared.directory.note(&self.channel, *listing);
        }
        if !self.owners.is_empty() {
            quota::note(shared, &self.channel, std::mem::take(&mut self.owners));
        }
        if let Some(taken) = self.progress.taken {
            shared.health.done(taken.elapsed());
        }
        if let Some(departed) = &self.departed {
            departed.store(true, Ordering::Release);
        }
    }

    /// What of it is to be acknowledged. It leaves under `number`; its operation is done with `commit`.
    fn owe(&mut self, commit: u64, number: u64) {
        let marks = self.writes && !self.deliveries.is_empty();
        let mut acks = lock(&self.acks);
        acks.leaves(last_event(&self.deliveries), number, marks);
        if let Some(id) = self.operation.filter(|_| !self.is_passing) {
            let group = self.addressee.take().filter(|_| marks);
            let owed = group.map(|group| Owed { commit, group });
            acks.waits(id.process, id.n, owed);
        }
    }

    /// What of it leaves, if anything does.
    fn leaving(&mut self, number: u64) -> Option<Leaving> {
        if self.deliveries.is_empty() && self.base.is_none() {
            return None;
        }
        let deliveries = std::mem::take(&mut self.deliveries);
        Some(Leaving {
            bytes: self.bytes + gate::weight(&deliveries),
            output: Output {
                channel: Some(self.channel.clone()),
                epoch: self.epoch,
                commit: number,
                deliveries,
                trace: self.progress.span.as_ref().map(Span::context),
            },
            to: self.to.clone(),
            base: self.base.take().map(|(base, to)| (*base, to)),
        })
    }

    /// Says how far its operation is, and to whoever waits that it is durable and has left.
    fn finish(self, shared: &Shared) {
        match self.operation {
            Some(id) if self.is_passing => shared.passed(&self.channel, id),
            Some(id) => shared.committed(&self.channel, id, &self.acks),
            None => {}
        }
        if let Some(barrier) = self.barrier {
            let _nobody_waits = barrier.send(());
        }
    }
}

fn last_event(deliveries: &[Delivery]) -> Option<Sequence> {
    let sequence = |delivery: &Delivery| match delivery {
        Delivery::Event { record, .. } => Some(record.sequence),
        _ => None,
    };
    deliveries.iter().rev().find_map(sequence)
}
